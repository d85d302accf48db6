//! `$from` in values: a place that takes what stands at another one.
//!
//! `{$from: net.host}` is a map with that one name. Here is seen whether one leads back to itself
//! within its document; the device finds the ones that go through several.

use std::collections::BTreeMap;

use regatta_protocol::config::value::{DEPTH_MAX, KeyPath};

use crate::manifest::field::Field;
use crate::manifest::yaml::Data;

/// The name that makes a map take what stands elsewhere.
const FROM: &str = "$from";

/// One of them.
pub(super) struct Ref<'a> {
    /// Where it stands in the tree; within a list, the list's place.
    place: KeyPath,
    /// What it takes.
    pub(super) target: KeyPath,
    /// Where it stands in the file.
    pub(super) field: Field<'a>,
    /// Whether places below it are those below its target: not within a list.
    leads_on: bool,
}

/// All of a document's.
#[derive(Default)]
pub(super) struct Refs<'a> {
    all: Vec<Ref<'a>>,
    by_place: BTreeMap<KeyPath, Vec<usize>>,
}

/// How far the search is with one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    No,
    Open,
    Done,
}

impl<'a> Refs<'a> {
    pub(super) fn of(values: &Field<'a>) -> Self {
        let mut refs = Self::default();
        refs.collect(values, &KeyPath::root(), true);
        for (index, one) in refs.all.iter().enumerate() {
            let place = refs.by_place.entry(one.place.clone()).or_default();
            place.push(index);
        }
        refs
    }

    pub(super) fn all(&self) -> &[Ref<'a>] {
        &self.all
    }

    fn collect(&mut self, field: &Field<'a>, place: &KeyPath, leads_on: bool) {
        if let Some(value) = field.node.get(FROM) {
            self.take(field, value.text(), place, leads_on);
            return;
        }
        match &field.node.data {
            Data::Scalar(_) => {}
            Data::List(_) => {
                for item in field.items("").unwrap_or_default() {
                    self.collect(&item, place, false);
                }
            }
            Data::Map(entries) => {
                for entry in entries {
                    let inner = field.inner(&entry.name, &entry.value);
                    // Within a list nothing has a place of its own.
                    if leads_on {
                        self.collect(&inner, &place.child(&entry.name), true);
                    } else {
                        self.collect(&inner, place, false);
                    }
                }
            }
        }
    }

    fn take(&mut self, field: &Field<'a>, text: Option<&str>, place: &KeyPath, leads_on: bool) {
        if field.node.entries().len() > 1 {
            field.wrong("\"$from\" stands alone in its map; what it takes replaces the map");
            return;
        }
        match text.map(KeyPath::parse) {
            Some(Ok(target)) => self.all.push(Ref {
                place: place.clone(),
                target,
                field: field.clone(),
                leads_on,
            }),
            Some(Err(error)) => field.wrong(error.to_string()),
            None => field.wrong("\"$from\" takes a place in the tree, such as net.host"),
        }
    }

    /// Whether something stands at a place because a place above it takes something.
    pub(super) fn reaches(&self, path: &KeyPath) -> bool {
        self.above(path, true).is_some()
    }

    /// The one that stands above a place, or at it.
    fn above(&self, path: &KeyPath, at: bool) -> Option<&Ref<'a>> {
        let depths = 0..path.0.len() + usize::from(at);
        depths.into_iter().find_map(|depth| {
            let above = KeyPath(path.0[..depth].to_vec());
            let found = self
                .by_place
                .get(&above)?
                .iter()
                .map(|&index| &self.all[index]);
            found.rev().find(|one| one.leads_on)
        })
    }

    /// Those that are read where a place is read as a whole.
    fn within(&self, path: &KeyPath) -> Option<Vec<usize>> {
        let mut path = path.clone();
        // A place below one that takes another stands, in truth, below that other.
        for _ in 0..=DEPTH_MAX {
            let Some(above) = self.above(&path, false) else {
                let from = self.by_place.range(path.clone()..);
                let below = from.take_while(|(place, _)| place.starts_with(&path));
                return Some(below.flat_map(|(_, found)| found.iter().copied()).collect());
            };
            let mut names = above.target.0.clone();
            names.extend_from_slice(&path.0[above.place.0.len()..]);
            path = KeyPath(names);
        }
        None
    }

    /// Tells each that leads back to itself, once for each circle.
    pub(super) fn refuse_cycles(&self) {
        let mut seen = vec![Seen::No; self.all.len()];
        for start in 0..self.all.len() {
            if seen[start] != Seen::No {
                continue;
            }
            let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
            let mut next = Some(start);
            loop {
                if let Some(index) = next.take() {
                    seen[index] = Seen::Open;
                    let inner = self.within(&self.all[index].target).unwrap_or_else(|| {
                        self.tell(&[index]);
                        Vec::new()
                    });
                    open.push((index, inner));
                }
                let Some((index, rest)) = open.last_mut() else {
                    break;
                };
                match rest.pop() {
                    None => {
                        seen[*index] = Seen::Done;
                        open.pop();
                    }
                    Some(inner) => match seen[inner] {
                        Seen::No => next = Some(inner),
                        Seen::Open => self.tell_circle(&open, inner),
                        Seen::Done => {}
                    },
                }
            }
        }
    }

    fn tell_circle(&self, open: &[(usize, Vec<usize>)], first: usize) {
        let on_the_way = open.iter().map(|(index, _)| *index);
        let circle: Vec<_> = on_the_way.skip_while(|index| *index != first).collect();
        self.tell(&circle);
    }

    fn tell(&self, circle: &[usize]) {
        const SHOWN: usize = 8;
        let Some(first) = circle.first().map(|&index| &self.all[index]) else {
            return;
        };
        let places = circle.iter().take(SHOWN).map(|&index| &self.all[index]);
        let way: Vec<_> = places.map(|one| one.target.to_string()).collect();
        first.field.wrong(format!(
            "\"$from\" leads back to itself: {} -> {}; say one of them outright",
            first.place,
            way.join(" -> ")
        ));
    }
}
