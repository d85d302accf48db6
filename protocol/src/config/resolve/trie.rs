//! The places that documents speak of, and at each of them what each document says just there.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Weight;
use crate::config::value::{KeyPath, Value};

/// One of a trie's nodes, by its index. Indices of nodes that went are given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(u32);

impl NodeId {
    /// The node of the whole tree, which is its own parent.
    pub(super) const ROOT: Self = Self(0);

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a layer says at a place that is no map.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Whose it is.
    pub(super) weight: Arc<Weight>,
    pub(super) value: Value,
    /// A list that goes behind the list of less weight.
    pub(super) merges: bool,
    /// A text that is not shown.
    pub(super) secret: bool,
}

/// What a layer says at a place.
pub(super) enum Saying {
    Nothing,
    Map,
    Leaf(Leaf),
}

/// One place.
pub(super) struct Node {
    parent: NodeId,
    key: Arc<str>,
    children: BTreeMap<Arc<str>, NodeId>,
    /// The layers that have a map here, by rising weight.
    maps: Vec<Arc<Weight>>,
    /// The layers that have anything else here, by rising weight.
    leaves: Vec<Leaf>,
}

/// What comes of all that is said at a place above a floor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand<'a> {
    /// Nobody says anything.
    Absent,
    /// A map. Below it nothing counts up to this floor.
    Map(Option<&'a Weight>),
    /// The leaves from this index on: one, or as many as are merged with the last.
    Leaves(usize),
}

/// All places. The root is there always.
pub(super) struct Trie {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
}

impl Default for Trie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(NodeId::ROOT, Arc::from(""))],
            free: Vec::new(),
        }
    }
}

impl Node {
    fn new(parent: NodeId, key: Arc<str>) -> Self {
        Self {
            parent,
            key,
            children: BTreeMap::new(),
            maps: Vec::new(),
            leaves: Vec::new(),
        }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn children(&self) -> impl Iterator<Item = (&Arc<str>, NodeId)> {
        self.children.iter().map(|(key, child)| (key, *child))
    }

    pub(super) fn child(&self, name: &str) -> Option<NodeId> {
        self.children.get(name).copied()
    }

    pub(super) fn maps(&self) -> &[Arc<Weight>] {
        &self.maps
    }

    pub(super) fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// What holds here, where nothing counts up to `floor`.
    pub(super) fn stand<'a>(&'a self, floor: Option<&'a Weight>) -> Stand<'a> {
        let counts = |weight: &Weight| floor.is_none_or(|floor| weight > floor);
        let leaf = self.leaves.last().filter(|leaf| counts(&leaf.weight));
        let map = self.maps.last().filter(|weight| counts(weight));
        match (leaf, map) {
            (None, None) => Stand::Absent,
            (None, Some(_)) => Stand::Map(floor),
            (Some(leaf), Some(map)) if *map > leaf.weight => Stand::Map(Some(&leaf.weight)),
            (Some(_), _) => Stand::Leaves(self.merged_from(counts)),
        }
    }

    /// The first of the leaves that go together with the last.
    fn merged_from(&self, counts: impl Fn(&Weight) -> bool) -> usize {
        let mut first = self.leaves.len() - 1;
        while first > 0 && self.leaves[first].merges {
            let (upper, lower) = (&self.leaves[first], &self.leaves[first - 1]);
            // A map between them hides the lower list from the upper one.
            let maps = self.maps.partition_point(|map| *map < upper.weight);
            let hidden = maps > 0 && self.maps[maps - 1] > lower.weight;
            if hidden || !counts(&lower.weight) || !matches!(lower.value, Value::List(_)) {
                break;
            }
            first -= 1;
        }
        first
    }

    fn leaf_of(&self, weight: &Weight) -> Result<usize, usize> {
        // Documents are often laid in order, so the end is looked at first.
        match self.leaves.last().map(|last| (*last.weight).cmp(weight)) {
            None | Some(Ordering::Less) => Err(self.leaves.len()),
            Some(_) => self
                .leaves
                .binary_search_by(|leaf| (*leaf.weight).cmp(weight)),
        }
    }

    fn map_of(&self, weight: &Weight) -> Result<usize, usize> {
        match self.maps.last().map(|last| (**last).cmp(weight)) {
            None | Some(Ordering::Less) => Err(self.maps.len()),
            Some(_) => self.maps.binary_search_by(|map| (**map).cmp(weight)),
        }
    }

    pub(super) fn says_map(&self, weight: &Weight) -> bool {
        self.map_of(weight).is_ok()
    }

    pub(super) fn said_by(&self, weight: &Weight) -> Option<&Leaf> {
        self.leaf_of(weight).ok().map(|index| &self.leaves[index])
    }

    /// Whether what was said changed at all, and with it what holds here or below.
    fn put(&mut self, weight: &Arc<Weight>, saying: Saying, floor: Option<&Weight>) -> bool {
        let (map, leaf) = (self.map_of(weight), self.leaf_of(weight));
        let same = match &saying {
            Saying::Nothing => map.is_err() && leaf.is_err(),
            Saying::Map => map.is_ok(),
            Saying::Leaf(said) => leaf.is_ok_and(|index| self.leaves[index] == *said),
        };
        if same {
            return false;
        }
        let before = Summary::of(self, floor, leaf.ok());
        if let (Ok(index), false) = (map, matches!(saying, Saying::Map)) {
            self.maps.remove(index);
        }
        if let (Ok(index), false) = (leaf, matches!(saying, Saying::Leaf(_))) {
            self.leaves.remove(index);
        }
        let mut now = None;
        match (saying, map, leaf) {
            (Saying::Map, Err(index), _) => self.maps.insert(index, Arc::clone(weight)),
            (Saying::Leaf(said), _, Ok(index)) => {
                self.leaves[index] = said;
                now = Some(index);
            }
            (Saying::Leaf(said), _, Err(index)) => {
                if self.leaves.is_empty() {
                    // Most places are spoken of once: no room for four.
                    self.leaves.reserve_exact(1);
                }
                self.leaves.insert(index, said);
                now = Some(index);
            }
            (Saying::Map, Ok(_), _) | (Saying::Nothing, _, _) => {}
        }
        let after = Summary::of(self, floor, now);
        before != after || after == Summary::Heard
    }

    fn is_unused(&self) -> bool {
        self.maps.is_empty() && self.leaves.is_empty() && self.children.is_empty()
    }
}

impl Trie {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The node of that name below one, which is made if it is not there.
    pub(super) fn child_or_new(&mut self, parent: NodeId, name: String) -> NodeId {
        if let Some(child) = self.node(parent).child(&name) {
            return child;
        }
        let key: Arc<str> = name.into();
        let node = Node::new(parent, Arc::clone(&key));
        let child = match self.free.pop() {
            Some(id) => {
                self.nodes[id.index()] = node;
                id
            }
            None => {
                let index = u32::try_from(self.nodes.len()).expect("memory ends before indices do");
                self.nodes.push(node);
                NodeId(index)
            }
        };
        self.nodes[parent.index()].children.insert(key, child);
        child
    }

    /// Has a layer say this at a node; whether that changes what holds there or below it.
    pub(super) fn say(
        &mut self,
        id: NodeId,
        weight: &Arc<Weight>,
        saying: Saying,
        floor: Option<&Weight>,
    ) -> bool {
        self.nodes[id.index()].put(weight, saying, floor)
    }

    /// Below a node nothing counts up to this floor, when nothing counts at it up to `floor`.
    pub(super) fn floor_below(
        &self,
        id: NodeId,
        floor: Option<Arc<Weight>>,
    ) -> Option<Arc<Weight>> {
        let leaf = self.node(id).leaves.last().map(|leaf| &leaf.weight);
        match (leaf, floor) {
            (Some(leaf), floor) if floor.as_ref().is_none_or(|floor| leaf > floor) => {
                Some(Arc::clone(leaf))
            }
            (_, floor) => floor,
        }
    }

    /// At a node nothing counts up to this floor.
    pub(super) fn floor_of(&self, id: NodeId) -> Option<Arc<Weight>> {
        let mut floor = None;
        for above in self.ancestors(id) {
            floor = self.floor_below(above, floor);
        }
        floor
    }

    /// The nodes above one, in no order that matters.
    fn ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let parent = |id: NodeId| (id != NodeId::ROOT).then(|| self.node(id).parent);
        std::iter::successors(parent(id), move |id| parent(*id))
    }

    pub(super) fn parent(&self, id: NodeId) -> NodeId {
        self.node(id).parent
    }

    pub(super) fn depth(&self, id: NodeId) -> usize {
        self.ancestors(id).count()
    }

    pub(super) fn path_of(&self, id: NodeId) -> KeyPath {
        let mut names = Vec::new();
        let mut id = id;
        while id != NodeId::ROOT {
            names.push(self.node(id).key.as_ref().to_owned());
            id = self.node(id).parent;
        }
        names.reverse();
        KeyPath(names)
    }

    /// Takes away a node of which nobody says anything, and those above it that were there for it.
    pub(super) fn prune(&mut self, id: NodeId) {
        let mut id = id;
        while id != NodeId::ROOT && self.node(id).is_unused() {
            let (parent, key) = (self.node(id).parent, Arc::clone(&self.node(id).key));
            // One that was pruned before, on the way up from another, is known there no more.
            if self.node(parent).children.get(&key) != Some(&id) {
                return;
            }
            self.nodes[parent.index()].children.remove(&key);
            self.nodes[id.index()] = Node::new(NodeId::ROOT, Arc::from(""));
            self.free.push(id);
            id = parent;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }
}

/// What holds at a node, in so far as another can see a change of it.
#[derive(PartialEq, Eq)]
enum Summary {
    Absent,
    Map(Option<Weight>),
    /// So many leaves, and what the layer in question says is none of them.
    Others(usize),
    /// Leaves, and what the layer in question says is among them.
    Heard,
}

impl Summary {
    fn of(node: &Node, floor: Option<&Weight>, said: Option<usize>) -> Self {
        match node.stand(floor) {
            Stand::Absent => Self::Absent,
            Stand::Map(below) => Self::Map(below.cloned()),
            Stand::Leaves(first) if said.is_some_and(|said| said >= first) => Self::Heard,
            Stand::Leaves(first) => Self::Others(node.leaves.len() - first),
        }
    }
}
