//! Whose turn it is: timers, and a bounded number of batches on their way, `report` first.

use std::collections::{BTreeMap, BTreeSet};

use crate::ident::NodeId;
use crate::ledger::entry::{LedgerId, LedgerKind};
use crate::limits::{PULLS_MAX, PULLS_PER_DEVICE_MAX};
use crate::machine::Millis;

/// A stream: the device first, so that all of one device's stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) device: NodeId,
    pub(super) kind: LedgerKind,
}

impl Key {
    pub(super) fn of(ledger: &LedgerId) -> Self {
        Self {
            device: ledger.author,
            kind: ledger.kind,
        }
    }

    fn priority(self) -> u16 {
        match self.kind {
            LedgerKind::Telemetry(class) => 1 + u16::from(class),
            _ => 0,
        }
    }
}

/// What a timer of a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    Pull,
    Copy,
    Fetch,
}

/// Priority, then turn: streams of one priority go round.
type Turn = (u16, u64, Key);

#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    due: BTreeSet<(Millis, Key, Task)>,
    planned: BTreeMap<(Key, Task), Millis>,
    turns: u64,
    queued: BTreeSet<Key>,
    ready: BTreeSet<Turn>,
    /// Ready, but their device has as many on their way as it may.
    waiting: BTreeMap<NodeId, BTreeSet<Turn>>,
    flights: BTreeMap<NodeId, usize>,
    flying: usize,
}

impl Schedule {
    /// Sets the stream's timer for `task`, instead of an earlier one.
    pub(super) fn plan(&mut self, key: Key, task: Task, at: Millis) {
        if let Some(before) = self.planned.insert((key, task), at) {
            self.due.remove(&(before, key, task));
        }
        self.due.insert((at, key, task));
    }

    pub(super) fn cancel(&mut self, key: Key, task: Task) {
        if let Some(at) = self.planned.remove(&(key, task)) {
            self.due.remove(&(at, key, task));
        }
    }

    /// The next timer that has run out.
    pub(super) fn next_due(&mut self, now: Millis) -> Option<(Key, Task)> {
        let (_, key, task) = *self.due.first().filter(|(at, _, _)| *at <= now)?;
        self.cancel(key, task);
        Some((key, task))
    }

    pub(super) fn wake_at(&self) -> Option<Millis> {
        self.due.first().map(|(at, _, _)| *at)
    }

    /// Puts a stream into the queue for a pull.
    pub(super) fn want(&mut self, key: Key) {
        if self.queued.insert(key) {
            self.turns += 1;
            self.ready.insert((key.priority(), self.turns, key));
        }
    }

    /// The stream that may pull now; its slot is taken until [`Self::give_back`].
    pub(super) fn next_pull(&mut self) -> Option<Key> {
        while self.flying < PULLS_MAX {
            let turn = self.ready.pop_first()?;
            let key = turn.2;
            let flights = self.flights.entry(key.device).or_default();
            if *flights >= PULLS_PER_DEVICE_MAX {
                self.waiting.entry(key.device).or_default().insert(turn);
                continue;
            }
            *flights += 1;
            self.flying += 1;
            self.queued.remove(&key);
            return Some(key);
        }
        None
    }

    pub(super) fn give_back(&mut self, key: Key) {
        let flights = self.flights.entry(key.device).or_default();
        assert!(*flights > 0 && self.flying > 0, "a slot is given back once");
        *flights -= 1;
        if *flights == 0 {
            self.flights.remove(&key.device);
        }
        self.flying -= 1;
        if let Some(turns) = self.waiting.remove(&key.device) {
            self.ready.extend(turns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Schedule};
    use crate::ident::NodeId;
    use crate::ledger::entry::LedgerKind;
    use crate::limits::{PULLS_MAX, PULLS_PER_DEVICE_MAX};

    fn key(device: u8, kind: LedgerKind) -> Key {
        Key {
            device: NodeId([device; 16]),
            kind,
        }
    }

    #[test]
    fn reports_go_first_and_a_device_has_few_on_their_way() {
        let mut schedule = Schedule::default();
        for class in 0..4 {
            schedule.want(key(1, LedgerKind::Telemetry(class)));
        }
        schedule.want(key(1, LedgerKind::Report));
        schedule.want(key(2, LedgerKind::Telemetry(0)));
        let pulls: Vec<Key> = std::iter::from_fn(|| schedule.next_pull()).collect();
        let first = key(1, LedgerKind::Report);
        assert_eq!(pulls.first(), Some(&first));
        assert_eq!(pulls.len(), PULLS_PER_DEVICE_MAX + 1);
        schedule.give_back(first);
        assert_eq!(schedule.next_pull(), Some(key(1, LedgerKind::Telemetry(1))));
    }

    #[test]
    fn all_devices_together_have_a_bound() {
        let mut schedule = Schedule::default();
        for device in 0..=255 {
            schedule.want(key(device, LedgerKind::Report));
            schedule.want(key(device, LedgerKind::Telemetry(0)));
        }
        let pulls = std::iter::from_fn(|| schedule.next_pull()).count();
        assert_eq!(pulls, PULLS_MAX);
    }
}
