//! Who says what about a place, and all that holds by the document that says it.

use super::references::merge;
use super::trie::{Leaf, Node, NodeId, Stand, Trie};
use super::{MASK, Weight};
use crate::codec::Name;
use crate::config::value::{KeyPath, Value};

/// What one layer has to do with a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The layer.
    pub weight: Weight,
    /// Where it says it: the place, or one above it at which it says something other than a map.
    pub at: KeyPath,
    /// What it says there, a secret masked.
    pub value: Value,
    /// What comes of it.
    pub standing: Standing,
}

/// What comes of what a layer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds. That of a place above, other than a reference, says that nothing is here.
    Holds,
    /// It is part of what holds: entries of a map, items of a list.
    Merged,
    /// It stands above the place, and hides what layers of less weight say here.
    Hides,
    /// Nothing: a layer of more weight hides it.
    Hidden,
}

/// A place at which something holds that has nothing below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveLeaf {
    /// The place.
    pub path: KeyPath,
    /// What is there, a secret masked.
    pub value: Value,
    /// The document of most weight that says it.
    pub document: Name,
    /// Whether it is a secret; whether that changed, its value does not tell.
    pub secret: bool,
}

fn masked(leaf: &Leaf) -> Value {
    if leaf.secret {
        Value::Text(MASK.to_owned())
    } else {
        leaf.value.clone()
    }
}

pub(super) fn explain(trie: &Trie, path: &KeyPath) -> Vec<Said> {
    let mut said = Vec::new();
    let (mut id, mut floor) = (NodeId::ROOT, None);
    for (index, name) in path.segments().enumerate() {
        let node = trie.node(id);
        let at = KeyPath(path.0[..index].to_vec());
        let above = node.leaves().iter().map(|leaf| Said {
            weight: leaf.weight.as_ref().clone(),
            at: at.clone(),
            value: masked(leaf),
            standing: standing_above(leaf, node, floor),
        });
        said.extend(above);
        let leaf = node.leaves().last().map(|leaf| leaf.weight.as_ref());
        floor = floor.max(leaf);
        match node.child(name) {
            Some(child) => id = child,
            None => return sorted(said),
        }
    }
    say_here(trie, id, path, floor, &mut said);
    sorted(said)
}

fn sorted(mut said: Vec<Said>) -> Vec<Said> {
    said.sort_by(|one, other| other.weight.cmp(&one.weight));
    if let Some(first) = said
        .first_mut()
        .filter(|first| first.standing == Standing::Hides)
    {
        // Nothing of more weight says anything here, so this is all that there is to it.
        first.standing = Standing::Holds;
    }
    said
}

/// Of a leaf above the place: only the last at its place hides more than others do.
fn standing_above(leaf: &Leaf, node: &Node, floor: Option<&Weight>) -> Standing {
    let last = node.leaves().last().map(|last| &last.weight);
    let hidden = floor.is_some_and(|floor| *leaf.weight < *floor) || last != Some(&leaf.weight);
    if hidden {
        Standing::Hidden
    } else {
        Standing::Hides
    }
}

fn say_here(trie: &Trie, id: NodeId, path: &KeyPath, floor: Option<&Weight>, said: &mut Vec<Said>) {
    let node = trie.node(id);
    let stand = node.stand(floor);
    for (index, leaf) in node.leaves().iter().enumerate() {
        let standing = match stand {
            Stand::Leaves(_) if index + 1 == node.leaves().len() => Standing::Holds,
            Stand::Leaves(first) if index >= first => Standing::Merged,
            _ => Standing::Hidden,
        };
        said.push(Said {
            weight: leaf.weight.as_ref().clone(),
            at: path.clone(),
            value: masked(leaf),
            standing,
        });
    }
    for (index, weight) in node.maps().iter().enumerate() {
        let standing = match stand {
            Stand::Map(_) if index + 1 == node.maps().len() => Standing::Holds,
            Stand::Map(floor) if floor.is_none_or(|floor| **weight > *floor) => Standing::Merged,
            _ => Standing::Hidden,
        };
        said.push(Said {
            weight: weight.as_ref().clone(),
            at: path.clone(),
            value: said_by(trie, id, weight),
            standing,
        });
    }
}

/// All that one layer says at a node and below it.
fn said_by(trie: &Trie, id: NodeId, weight: &Weight) -> Value {
    let node = trie.node(id);
    if let Some(leaf) = node.said_by(weight) {
        return masked(leaf);
    }
    let speaks = |child: NodeId| {
        let child = trie.node(child);
        child.says_map(weight) || child.said_by(weight).is_some()
    };
    let entries = node.children().filter(|(_, child)| speaks(*child));
    let entries = entries.map(|(key, child)| {
        let value = said_by(trie, child, weight);
        (key.as_ref().to_owned(), value)
    });
    Value::Map(entries.collect())
}

pub(super) fn leaves(trie: &Trie) -> Vec<EffectiveLeaf> {
    let mut found = Vec::new();
    gather(trie, NodeId::ROOT, None, &mut Vec::new(), &mut found);
    found
}

/// Adds what holds at a node and below it.
fn gather(
    trie: &Trie,
    id: NodeId,
    floor: Option<&Weight>,
    names: &mut Vec<String>,
    found: &mut Vec<EffectiveLeaf>,
) {
    let node = trie.node(id);
    match node.stand(floor) {
        Stand::Absent => {}
        Stand::Leaves(first) => {
            let leaves = &node.leaves()[first..];
            let Some(top) = leaves.last().filter(|leaf| leaf.value != Value::Null) else {
                return;
            };
            let value = match leaves {
                [one] => masked(one),
                merged => merge(merged.iter().map(|leaf| &leaf.value)),
            };
            found.push(EffectiveLeaf {
                path: KeyPath(names.clone()),
                value,
                document: top.weight.name.clone(),
                secret: top.secret,
            });
        }
        Stand::Map(floor) => {
            let before = found.len();
            for (key, child) in node.children() {
                names.push(key.as_ref().to_owned());
                gather(trie, child, floor, names, found);
                names.pop();
            }
            if let Some(top) = node.maps().last().filter(|_| found.len() == before) {
                found.push(EffectiveLeaf {
                    path: KeyPath(names.clone()),
                    value: Value::empty(),
                    document: top.name.clone(),
                    secret: false,
                });
            }
        }
    }
}
