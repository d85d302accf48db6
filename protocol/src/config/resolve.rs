//! The effective tree of one device: a pure function of the documents that select it, kept up as they
//! come and go.
//!
//! Each document is a [`Layer`] with a [`Weight`]. At each place the layer of most weight that says
//! something holds. Maps go together; anything else hides what layers of less weight say at its place
//! and below it, null too, which leaves nothing there. A map of exactly one key `$from` with a text
//! stands for the value at the place that the text names; it is one value and no map.

mod changed;
mod explain;
mod references;
mod trie;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use self::changed::Changed;
pub use self::explain::{EffectiveLeaf, Said, Standing};
use self::references::{Reader, View};
pub use self::references::{Resolution, ResolveError, reference};
use self::trie::{Leaf, NodeId, Saying, Trie};
use crate::codec::Name;
use crate::config::document::{ConfigDocument, ListRule, SecretTexts};
use crate::config::value::{KeyPath, TokensError, Value};
use crate::selector::Selector;

/// What stands in a secret's stead wherever it is shown.
pub const MASK: &str = "(secret)";

/// How closely a document is meant for a device; the later weighs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// For every device.
    Everything,
    /// For those with certain labels.
    Labels,
    /// For devices by their names.
    Device,
}

impl Class {
    /// The class of a document with this selector.
    #[must_use]
    pub fn of(select: &Selector) -> Self {
        if select.is_everything() {
            Self::Everything
        } else if select.names_devices() {
            Self::Device
        } else {
            Self::Labels
        }
    }
}

/// A document's rank among all: by class, then priority, then name. No two have the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight {
    /// How closely it is meant for the device.
    pub class: Class,
    /// What its author gave it.
    pub priority: i32,
    /// Its name.
    pub name: Name,
}

/// What one document says.
#[derive(Clone)]
pub struct Layer {
    /// Its rank, and its name.
    pub weight: Weight,
    /// A map, as [`crate::config::value::Tokens::read`] gives it; anything else says nothing.
    pub values: Value,
    /// How its lists go together with those below them; the nearest rule from a list's place upwards.
    pub lists: BTreeMap<KeyPath, ListRule>,
    /// Texts that stand at places of their own, whatever `values` says there, and are never shown.
    pub secrets: BTreeMap<KeyPath, String>,
}

impl Layer {
    /// The layer of a document that bears `name` and selects by `select`. Of secrets that are sealed to
    /// others, so that nobody here has their texts, it says nothing.
    ///
    /// # Errors
    /// When its values are none.
    pub fn of(
        name: Name,
        select: &Selector,
        document: &ConfigDocument,
        texts: Option<&SecretTexts>,
    ) -> Result<Self, TokensError> {
        let paths = document.secrets.iter().flat_map(|secrets| &secrets.paths);
        let texts = texts.iter().flat_map(|texts| &texts.0);
        Ok(Self {
            weight: Weight {
                class: Class::of(select),
                priority: document.priority,
                name,
            },
            values: document.values.read()?,
            lists: document.lists.clone(),
            secrets: paths.cloned().zip(texts.cloned()).collect(),
        })
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Layer({:?})", self.weight)
    }
}

/// All layers of a device, and what comes of them.
#[derive(Default)]
pub struct Resolver {
    trie: Trie,
    layers: BTreeMap<Name, Held>,
}

/// A layer that lies in the trie.
struct Held {
    weight: Arc<Weight>,
    /// Where it says something, in order.
    nodes: Vec<NodeId>,
}

impl Resolver {
    /// The tree of no document.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of these documents.
    #[must_use]
    pub fn of(layers: impl IntoIterator<Item = Layer>) -> Self {
        let mut resolver = Self::new();
        for layer in layers {
            let edited = resolver.lay(layer);
            resolver.prune(&edited.gone);
        }
        resolver
    }

    /// Takes a document's layer in, in place of the one that it had; says what changed.
    pub fn put(&mut self, layer: Layer) -> Changed {
        let edited = self.lay(layer);
        self.settle(&edited)
    }

    /// Takes a document's layer out; says what changed.
    pub fn take(&mut self, name: &Name) -> Changed {
        let mut edited = Edited::default();
        if let Some(held) = self.layers.remove(name) {
            self.lift(&held, &[], &mut edited);
        }
        self.settle(&edited)
    }

    /// The weights of all documents, by their names.
    pub fn weights(&self) -> impl Iterator<Item = &Weight> {
        self.layers.values().map(|held| held.weight.as_ref())
    }

    /// What holds at a place and below it, secrets in clear; none where nothing is.
    ///
    /// # Errors
    /// When a reference in it leads nowhere, around in a circle or to too much.
    pub fn get(&self, path: &KeyPath) -> Result<Option<Value>, ResolveError> {
        self.resolve(path).value
    }

    /// What holds at a place and below it, each secret as [`MASK`]; none where nothing is.
    ///
    /// # Errors
    /// When a reference in it leads nowhere, around in a circle or to too much.
    pub fn shown(&self, path: &KeyPath) -> Result<Option<Value>, ResolveError> {
        Reader::new(&self.trie, View::Masked).resolve(path).value
    }

    /// What [`Self::get`] gives, and the places that it was read from: a change at none of them
    /// changes it.
    #[must_use]
    pub fn resolve(&self, path: &KeyPath) -> Resolution {
        Reader::new(&self.trie, View::Clear).resolve(path)
    }

    /// Every layer that says something at a place, or hides what is said there from above it: the one
    /// that holds first, then by falling weight. References are not followed.
    #[must_use]
    pub fn explain(&self, path: &KeyPath) -> Vec<Said> {
        explain::explain(&self.trie, path)
    }

    /// All that holds and is no map, or an empty one, in the order of the places: secrets masked,
    /// references as they are written.
    #[must_use]
    pub fn leaves(&self) -> Vec<EffectiveLeaf> {
        explain::leaves(&self.trie)
    }

    fn lay(&mut self, layer: Layer) -> Edited {
        let mut edited = Edited::default();
        let held = self.layers.remove(&layer.weight.name);
        let same = held.as_ref().filter(|held| *held.weight == layer.weight);
        let weight = match same {
            Some(held) => Arc::clone(&held.weight),
            None => {
                if let Some(held) = &held {
                    self.lift(held, &[], &mut edited);
                }
                Arc::new(layer.weight)
            }
        };
        let mut laying = Laying {
            trie: &mut self.trie,
            weight: &weight,
            lists: &layer.lists,
            secrets: &layer.secrets,
            nodes: Vec::new(),
            changed: &mut edited.changed,
        };
        let mut values = match layer.values {
            map @ Value::Map(_) => map,
            _ => Value::empty(),
        };
        for (path, text) in &layer.secrets {
            overlay(&mut values, path, text);
        }
        laying.lay(NodeId::ROOT, values, None);
        let mut nodes = laying.nodes;
        nodes.sort_unstable();
        if let Some(held) = held.filter(|held| *held.weight == *weight) {
            self.lift(&held, &nodes, &mut edited);
        }
        let name = weight.name.clone();
        self.layers.insert(name, Held { weight, nodes });
        edited
    }

    /// Takes out what a layer said, but for what it says again at `kept`.
    fn lift(&mut self, held: &Held, kept: &[NodeId], edited: &mut Edited) {
        for node in &held.nodes {
            if kept.binary_search(node).is_ok() {
                continue;
            }
            let floor = self.trie.floor_of(*node);
            if self
                .trie
                .say(*node, &held.weight, Saying::Nothing, floor.as_deref())
            {
                edited.changed.push(*node);
            }
            edited.gone.push(*node);
        }
    }

    fn settle(&mut self, edited: &Edited) -> Changed {
        let changed = Changed::of(&self.trie, &edited.changed);
        self.prune(&edited.gone);
        changed
    }

    fn prune(&mut self, gone: &[NodeId]) {
        for node in gone {
            self.trie.prune(*node);
        }
    }
}

/// What one change did to the trie; nodes are pruned only when their paths were read.
#[derive(Default)]
struct Edited {
    changed: Vec<NodeId>,
    gone: Vec<NodeId>,
}

/// One layer on its way into the trie.
struct Laying<'a> {
    trie: &'a mut Trie,
    weight: &'a Arc<Weight>,
    lists: &'a BTreeMap<KeyPath, ListRule>,
    secrets: &'a BTreeMap<KeyPath, String>,
    nodes: Vec<NodeId>,
    changed: &'a mut Vec<NodeId>,
}

impl Laying<'_> {
    /// No deeper than the values are, which were read from tokens.
    fn lay(&mut self, node: NodeId, value: Value, floor: Option<Arc<Weight>>) {
        match value {
            Value::Map(entries) if !is_reference(&entries) => {
                self.say(node, Saying::Map, floor.as_deref());
                let floor = self.trie.floor_below(node, floor);
                for (key, value) in entries {
                    let child = self.trie.child_or_new(node, key);
                    self.lay(child, value, floor.clone());
                }
            }
            value => {
                let leaf = Leaf {
                    weight: Arc::clone(self.weight),
                    merges: matches!(value, Value::List(_)) && self.merges_at(node),
                    secret: matches!(value, Value::Text(_)) && self.is_secret(node),
                    value,
                };
                self.say(node, Saying::Leaf(leaf), floor.as_deref());
            }
        }
    }

    fn say(&mut self, node: NodeId, saying: Saying, floor: Option<&Weight>) {
        self.nodes.push(node);
        if self.trie.say(node, self.weight, saying, floor) {
            self.changed.push(node);
        }
    }

    fn merges_at(&self, node: NodeId) -> bool {
        if self.lists.is_empty() {
            return false;
        }
        let mut place = Some(self.trie.path_of(node));
        while let Some(path) = place {
            if let Some(rule) = self.lists.get(&path) {
                return *rule == ListRule::Merge;
            }
            place = path.parent();
        }
        false
    }

    fn is_secret(&self, node: NodeId) -> bool {
        !self.secrets.is_empty() && self.secrets.contains_key(&self.trie.path_of(node))
    }
}

fn is_reference(entries: &BTreeMap<String, Value>) -> bool {
    references::target(entries).is_some()
}

/// Puts a secret's text where it belongs. A path beyond all limits, which no checked document has, is
/// passed over.
fn overlay(values: &mut Value, path: &KeyPath, text: &str) {
    if !path.is_bounded() || path.is_empty() {
        return;
    }
    let mut place = values;
    for name in path.segments() {
        if !matches!(place, Value::Map(entries) if !is_reference(entries)) {
            *place = Value::empty();
        }
        let Value::Map(entries) = place else { return };
        place = entries.entry(name.to_owned()).or_insert(Value::Null);
    }
    *place = Value::Text(text.to_owned());
}

#[cfg(test)]
mod tests;
