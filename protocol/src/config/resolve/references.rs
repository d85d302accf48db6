//! Reading the effective tree: what holds is written out, and references are followed on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thiserror::Error;

use super::trie::{Leaf, Node, NodeId, Stand, Trie};
use super::{MASK, Weight};
use crate::config::value::{DEPTH_MAX, KeyPath, KeyPathError, Value};

/// The key of a map that stands for the value at another place.
const FROM: &str = "$from";
/// References that lead on from one another.
const CHAIN_MAX: usize = 32;
/// What references may add to a value: short ones to long texts would fill any memory.
const REFERRED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a value counts for, besides its text.
const VALUE_BYTES: usize = 64;

/// Why a value cannot be made out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// References that lead around.
    #[error("{at}: $from leads around in a circle: {}; have one of them say a value", in_turn(.chain))]
    Cycle {
        /// Where the last of them stands.
        at: KeyPath,
        /// The places that were passed, the first one again at the end.
        chain: Vec<KeyPath>,
    },
    /// A reference to a place at which nothing is.
    #[error("{at}: $from names {from}, and nothing is there; set it, or name another place")]
    Missing {
        /// The place that it names.
        from: KeyPath,
        /// Where the reference stands.
        at: KeyPath,
    },
    /// A reference whose text is no path.
    #[error("{at}: $from is no {error}")]
    Path {
        /// Where the reference stands.
        at: KeyPath,
        /// What is wrong with it.
        error: KeyPathError,
    },
    /// More than can be followed.
    #[error("{at}: $from leads on more than 32 times, or too deep; name the last place itself")]
    TooDeep {
        /// Where the reference stands that is one too many.
        at: KeyPath,
    },
    /// More than can be written out.
    #[error("{at}: $from makes more than 64 MiB of what is said; name less of it")]
    TooLarge {
        /// Where the reference stands that goes beyond it.
        at: KeyPath,
    },
}

fn in_turn(chain: &[KeyPath]) -> String {
    let places: Vec<String> = chain.iter().map(KeyPath::to_string).collect();
    places.join(" -> ")
}

/// A value, and where it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The value; none where nothing is.
    pub value: Result<Option<Value>, ResolveError>,
    /// The place that was asked for, and those that references in it lead to.
    pub reads: BTreeSet<KeyPath>,
}

/// The text of a reference; none where a value is none.
#[must_use]
pub fn reference(value: &Value) -> Option<&str> {
    match value {
        Value::Map(entries) => target(entries),
        _ => None,
    }
}

pub(super) fn target(entries: &BTreeMap<String, Value>) -> Option<&str> {
    match entries.first_key_value() {
        Some((key, Value::Text(text))) if entries.len() == 1 && key == FROM => Some(text),
        _ => None,
    }
}

/// How secrets are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Clear,
    Masked,
}

/// One reading of a place.
pub(super) struct Reader<'a> {
    trie: &'a Trie,
    view: View,
    reads: BTreeSet<KeyPath>,
    /// The places that are being read, each named by a reference in the one before it.
    chain: Vec<KeyPath>,
    bytes: usize,
    /// The children of maps that were read, but for those that are hidden.
    seen: BTreeMap<NodeId, Arc<[NodeId]>>,
}

type Read = Result<Option<Value>, ResolveError>;

impl<'a> Reader<'a> {
    pub(super) fn new(trie: &'a Trie, view: View) -> Self {
        Self {
            trie,
            view,
            reads: BTreeSet::new(),
            chain: Vec::new(),
            bytes: 0,
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn resolve(mut self, path: &KeyPath) -> Resolution {
        self.reads.insert(path.clone());
        let value = self.read(path, 0);
        // Without any document the tree is a map all the same.
        let value = value.map(|value| value.or_else(|| path.is_empty().then(Value::empty)));
        let reads = self.reads;
        Resolution { value, reads }
    }

    /// What is at `path`, which will stand `depth` deep.
    fn read(&mut self, path: &KeyPath, depth: usize) -> Read {
        let (mut id, mut floor) = (NodeId::ROOT, None);
        for (index, name) in path.segments().enumerate() {
            let node = self.trie.node(id);
            match node.stand(floor) {
                Stand::Absent => return Ok(None),
                Stand::Map(below) => floor = below,
                Stand::Leaves(_) => {
                    let leaf = node.leaves().last().map(|leaf| &leaf.value);
                    let Some(text) = leaf.and_then(reference) else {
                        return Ok(None);
                    };
                    let at = self.trie.path_of(id);
                    return self.follow(text, &path.0[index..], &at, depth);
                }
            }
            match node.child(name) {
                Some(child) => id = child,
                None => return Ok(None),
            }
        }
        self.write(id, floor, depth)
    }

    /// All that holds at a node and below it.
    fn write(&mut self, id: NodeId, floor: Option<&Weight>, depth: usize) -> Read {
        let node = self.trie.node(id);
        match node.stand(floor) {
            Stand::Absent => Ok(None),
            Stand::Leaves(first) => self.write_leaves(id, node, first, depth),
            Stand::Map(floor) => {
                self.count(0, depth, || self.trie.path_of(id))?;
                let mut entries = Vec::new();
                for child in self.seen(id, node, floor).iter() {
                    if let Some(value) = self.write(*child, floor, depth + 1)? {
                        entries.push((self.trie.node(*child).key().to_owned(), value));
                    }
                }
                Ok(Some(Value::Map(entries.into_iter().collect())))
            }
        }
    }

    /// The children of a map that are not hidden. What is hidden costs nothing in the count, so it is passed
    /// over once, however many references lead here.
    fn seen(&mut self, id: NodeId, node: &Node, floor: Option<&Weight>) -> Arc<[NodeId]> {
        let trie = self.trie;
        let children = node.children().map(|(_, child)| child);
        if self.chain.is_empty() {
            // No reference led here: it is passed by once.
            return children.collect();
        }
        let seen = self.seen.entry(id).or_insert_with(|| {
            children
                .filter(|child| !matches!(trie.node(*child).stand(floor), Stand::Absent))
                .collect()
        });
        Arc::clone(seen)
    }

    fn write_leaves(&mut self, id: NodeId, node: &Node, first: usize, depth: usize) -> Read {
        let leaves = &node.leaves()[first..];
        match leaves {
            [one] if is_plain(&one.value) => {
                let length = match &one.value {
                    Value::Text(text) => text.len(),
                    _ => 0,
                };
                self.count(length, depth, || self.trie.path_of(id))?;
                Ok(clear_or_masked(one, self.view))
            }
            [one] => self.expand(&one.value, &self.trie.path_of(id), depth),
            merged => {
                let list = merge(merged.iter().map(|leaf| &leaf.value));
                self.expand(&list, &self.trie.path_of(id), depth)
            }
        }
    }

    /// A value that was written at one place, with its references followed. Null is a value in a list;
    /// elsewhere a reference that leads to nothing is an error before it could be left out.
    fn expand(&mut self, value: &Value, at: &KeyPath, depth: usize) -> Read {
        let length = match value {
            Value::Text(text) => text.len(),
            _ => 0,
        };
        self.count(length, depth, || at.clone())?;
        if let Some(text) = reference(value) {
            return self.follow(text, &[], at, depth);
        }
        let expanded = match value {
            Value::List(values) => {
                let mut items = Vec::with_capacity(values.len());
                for value in values {
                    items.extend(self.expand(value, at, depth + 1)?);
                }
                Value::List(items)
            }
            Value::Map(entries) => {
                let mut expanded = BTreeMap::new();
                for (key, value) in entries {
                    if let Some(value) = self.expand(value, at, depth + 1)? {
                        expanded.insert(key.clone(), value);
                    }
                }
                Value::Map(expanded)
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
                value.clone()
            }
        };
        Ok(Some(expanded))
    }

    /// What is at the place that a reference at `at` names, and `rest` below that.
    fn follow(&mut self, text: &str, rest: &[String], at: &KeyPath, depth: usize) -> Read {
        let path = |error| ResolveError::Path {
            at: at.clone(),
            error,
        };
        let named = KeyPath::parse(text).map_err(path)?;
        let mut from = named.clone();
        from.0.extend_from_slice(rest);
        // A long text may name a short place, and a long place is kept for each way to it.
        let names: usize = rest.iter().map(String::len).sum();
        self.count(text.len().saturating_add(names), depth, || at.clone())?;
        self.reads.insert(from.clone());
        let again = self.chain.iter().position(|passed| *passed == from);
        // What a reference names at or below its own place is the reference again.
        if again.is_some() || named.starts_with(at) {
            let mut chain = match again {
                Some(first) => self.chain[first..].to_vec(),
                None => vec![at.clone()],
            };
            chain.push(from);
            let at = at.clone();
            return Err(ResolveError::Cycle { at, chain });
        }
        if self.chain.len() == CHAIN_MAX || from.0.len() > DEPTH_MAX {
            return Err(ResolveError::TooDeep { at: at.clone() });
        }
        self.chain.push(from.clone());
        let value = self.read(&from, depth)?;
        self.chain.pop();
        if value.is_none() && rest.is_empty() {
            let at = at.clone();
            return Err(ResolveError::Missing { from, at });
        }
        Ok(value)
    }

    /// Counts what references add.
    fn count(
        &mut self,
        length: usize,
        depth: usize,
        at: impl FnOnce() -> KeyPath,
    ) -> Result<(), ResolveError> {
        if self.chain.is_empty() {
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(VALUE_BYTES + length);
        if depth > DEPTH_MAX {
            return Err(ResolveError::TooDeep { at: at() });
        }
        if self.bytes > REFERRED_BYTES_MAX {
            return Err(ResolveError::TooLarge { at: at() });
        }
        Ok(())
    }
}

fn is_plain(value: &Value) -> bool {
    !matches!(value, Value::List(_) | Value::Map(_))
}

fn clear_or_masked(leaf: &Leaf, view: View) -> Option<Value> {
    match &leaf.value {
        Value::Null => None,
        _ if leaf.secret && view == View::Masked => Some(Value::Text(MASK.to_owned())),
        value => Some(value.clone()),
    }
}

/// Lists by rising weight, each followed by what the next has and it has not.
pub(super) fn merge<'a>(lists: impl Iterator<Item = &'a Value>) -> Value {
    let mut merged: Vec<Value> = Vec::new();
    // Made once for all: a long list below many short ones would be sorted for each of them.
    let mut held: BTreeSet<&Value> = BTreeSet::new();
    for list in lists {
        let Value::List(values) = list else { continue };
        let new = values.iter().filter(|value| !held.contains(value));
        merged.extend(new.cloned());
        held.extend(values);
    }
    Value::List(merged)
}
