//! `$from` in values: a place that takes what stands at another one.
//!
//! `{$from: net.host}` is a map with that one name. Here is seen whether one leads back to itself
//! within its document; the device finds the ones that go through several.

use std::collections::BTreeMap;

use regatta_protocol::config::value::{DEPTH_MAX, KeyPath};

use crate::manifest::field::Field;
use crate::manifest::problem::PROBLEMS_MAX;
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

/// The way of a search, and the targets that it has seen.
#[derive(Default)]
struct Search {
    open: Vec<Step>,
    /// True where the target is on the way now.
    seen: BTreeMap<KeyPath, bool>,
    told: usize,
}

struct Step {
    /// What led here.
    by: usize,
    target: KeyPath,
    /// What is taken within the target, and is still to be looked at.
    rest: Vec<usize>,
}

impl Search {
    fn enter(&mut self, refs: &Refs<'_>, by: usize) {
        let Some(target) = refs.true_place(&refs.all[by].target) else {
            refs.tell(&[by]);
            self.told += 1;
            return;
        };
        match self.seen.get(&target) {
            Some(false) => {}
            Some(true) => {
                let on_the_way = self.open.iter().skip_while(|step| step.target != target);
                let after = on_the_way.skip(1).map(|step| step.by);
                refs.tell(&std::iter::once(by).chain(after).collect::<Vec<_>>());
                self.told += 1;
                if self.told >= PROBLEMS_MAX {
                    self.open.clear();
                }
            }
            None => {
                self.seen.insert(target.clone(), true);
                let rest = refs.within(&target);
                self.open.push(Step { by, target, rest });
            }
        }
    }

    fn leave(&mut self) {
        if let Some(step) = self.open.pop() {
            self.seen.insert(step.target, false);
        }
    }
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

    /// Where a place's values stand in truth: below one that takes another they stand below that
    /// other. None where that never ends.
    fn true_place(&self, path: &KeyPath) -> Option<KeyPath> {
        let mut path = path.clone();
        for _ in 0..=DEPTH_MAX {
            let Some(above) = self.above(&path, false) else {
                return Some(path);
            };
            let mut names = above.target.0.clone();
            names.extend_from_slice(&path.0[above.place.0.len()..]);
            path = KeyPath(names);
        }
        None
    }

    /// Those that are read where a place is read as a whole.
    fn within(&self, path: &KeyPath) -> Vec<usize> {
        let from = self.by_place.range(path.clone()..);
        let below = from.take_while(|(place, _)| place.starts_with(path));
        below.flat_map(|(_, found)| found.iter().copied()).collect()
    }

    /// Tells those that lead back to themselves, each circle once.
    ///
    /// The search goes from target to target: each is looked at once, however many take it.
    pub(super) fn refuse_cycles(&self) {
        let mut search = Search::default();
        for start in 0..self.all.len() {
            search.enter(self, start);
            while let Some(step) = search.open.last_mut() {
                match step.rest.pop() {
                    Some(inner) => search.enter(self, inner),
                    None => search.leave(),
                }
            }
            if search.told >= PROBLEMS_MAX {
                return;
            }
        }
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
