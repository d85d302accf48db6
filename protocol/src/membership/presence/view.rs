//! What can honestly be said of a node: ready, unreachable or unknown, heard when and by whom.

use crate::ident::NodeId;
use crate::machine::Millis;
use crate::membership::presence::{Moment, Record, Seen, Table, Twin};

/// What can honestly be said of a node now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PresenceState {
    /// A manager that we hear has a link to it and heard it within its keep-alive.
    Ready,
    /// The managers that would have the link say that it is down.
    Unreachable,
    /// Nobody that we hear can say.
    Unknown,
}

/// A node's presence, for people and for decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceView {
    /// What can be said.
    pub state: PresenceState,
    /// How long ago it was last heard by anybody, as far as we know.
    pub heard_ago_ms: Option<u64>,
    /// Who heard it then.
    pub by: Option<NodeId>,
    /// Its homes by its own word, best first.
    pub homes: Vec<NodeId>,
    /// The home that pulls from it, by its own word.
    pub puller: Option<NodeId>,
    /// Whether two machines go by its key.
    pub twin: Option<Twin>,
}

impl PresenceView {
    pub(in crate::membership) fn unknown() -> Self {
        Self {
            state: PresenceState::Unknown,
            heard_ago_ms: None,
            by: None,
            homes: Vec::new(),
            puller: None,
            twin: None,
        }
    }
}

impl Table {
    /// Whether anybody, heard or not, last saw the node's link up.
    pub(in crate::membership) fn is_up(&self, node: &NodeId) -> bool {
        let record = self.records.get(node);
        record.is_some_and(|record| record.seen.iter().any(|seen| seen.up))
    }

    /// A node said so on its own link: true where it is to be said that there are two of it.
    pub(in crate::membership) fn heard_directly(
        &mut self,
        node: NodeId,
        boot: u64,
        now: Millis,
    ) -> bool {
        self.twins.heard(node, boot, self.me, now)
    }

    /// Another manager met this start of a node that has a link to us since `since`.
    pub(in crate::membership) fn met_elsewhere(
        &mut self,
        node: NodeId,
        start: (u64, NodeId),
        met: Moment,
        since: Moment,
    ) {
        self.twins.met_elsewhere(node, start, met, since);
    }

    /// That manager hears our start of the node.
    pub(in crate::membership) fn met_ours(&mut self, node: &NodeId, by: NodeId) {
        self.twins
            .keep_elsewhere(|it, its| (it, *its) != (node, by));
    }

    /// Of whom it is to be said now that there are two; `heard`: when each was last heard here.
    pub(in crate::membership) fn twins(
        &mut self,
        heard: impl Fn(&NodeId) -> Option<Moment>,
        now: Millis,
    ) -> Vec<NodeId> {
        let mut twins = std::mem::take(&mut self.twins);
        twins.keep_elsewhere(|node, by| {
            let seen = self.records.get(node).map(|record| &record.seen);
            let keeps = |seen: &Vec<Seen>| seen.iter().any(|it| it.observer == *by && it.up);
            self.is_fresh(by, now) && seen.is_some_and(keeps)
        });
        let say = twins.look(heard, now);
        self.twins = twins;
        say
    }

    /// What can be said of a node now.
    pub(in crate::membership) fn view(&self, node: &NodeId, now: Millis) -> PresenceView {
        let Some(record) = self.records.get(node) else {
            return PresenceView::unknown();
        };
        let said = record.presence.as_ref().map(|held| &held.said);
        let mut view = PresenceView {
            homes: said.map_or_else(Vec::new, |said| said.homes.clone()),
            puller: said.and_then(|said| said.puller),
            twin: self.twins.of(node),
            ..PresenceView::unknown()
        };
        view.state = self.state(record, now);
        if let Some((heard, by)) = record.last {
            (view.heard_ago_ms, view.by) = (Some(heard.age(now)), Some(by));
        }
        for seen in &record.seen {
            let observer = self.observers.get(&seen.observer);
            let observer_heard = match observer {
                Some(observer) if seen.observer != self.me => observer.heard,
                _ => seen.heard,
            };
            let age = record.vouched(seen, observer_heard).age(now);
            if view.heard_ago_ms.is_none_or(|known| age < known) {
                (view.heard_ago_ms, view.by) = (Some(age), Some(seen.observer));
            }
        }
        view
    }

    fn state(&self, record: &Record, now: Millis) -> PresenceState {
        let mut denied = false;
        let mut unheard = false;
        for seen in &record.seen {
            match (self.is_fresh(&seen.observer, now), seen.up) {
                (true, true) => return PresenceState::Ready,
                (true, false) => denied = true,
                (false, true) => unheard |= record.presence.is_none(),
                (false, false) => {}
            }
        }
        // A home that we cannot hear may well have the link.
        let homes = record.presence.iter().flat_map(|held| &held.said.homes);
        let mut silent = homes.filter(|home| !self.is_fresh(home, now));
        match denied && !unheard && silent.next().is_none() {
            true => PresenceState::Unreachable,
            false => PresenceState::Unknown,
        }
    }
}
