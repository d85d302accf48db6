//! The reading side of pulled ledgers: one manager, the streams of many devices, and the copies
//! that managers give each other.
//!
//! Entries and cursor are stored by one effect; nothing is acknowledged before the driver says that
//! it is durable. While a stream is being stored nothing else is taken for it: whatever else
//! arrives is dropped and asked for again, so the state in memory is always the state on disk.
//! Streams share a bounded number of batches, `report` before `telemetry`, so that a backlog of
//! thirty days holds up neither alarms nor other devices.

mod check;
mod copies;
mod event;
mod fetch;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hostile;
mod pull;
#[cfg(test)]
mod refusals;
mod schedule;
pub mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod torture;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::crypto::sign::{PublicKey, Verify};
use crate::ident::{FleetId, NodeId};
pub use crate::ledger::cursor::check::Kept;
use crate::ledger::cursor::check::{Checker, Walk};
use crate::ledger::cursor::copies::Copying;
pub use crate::ledger::cursor::event::{CursorEffect, CursorEvent};
use crate::ledger::cursor::fetch::Fetching;
use crate::ledger::cursor::pull::LIE_WEIGHT;
use crate::ledger::cursor::schedule::{Key, Schedule, Task};
use crate::ledger::cursor::state::StreamState;
use crate::ledger::entry::{LedgerId, LedgerKind};
use crate::ledger::spool::message::{Item, Misbehaviour, PullMessage};
use crate::ledger::spool::position::{Position, Span};
use crate::limits::PULL_HOLDERS_MAX;
use crate::machine::{Machine, Millis};
use crate::prng::Prng;

/// What a reader is made with.
#[derive(Clone, Debug)]
pub struct CursorArguments {
    /// This manager.
    pub me: NodeId,
    /// The fleet.
    pub fleet: FleetId,
    /// How signatures are checked.
    pub verify: Arc<dyn Verify>,
}

/// What is being stored.
#[derive(Debug)]
struct Storing {
    token: u64,
    state: Box<StreamState>,
    /// The manager that copied it to us; none where the device sent it.
    from: Option<NodeId>,
}

#[derive(Debug)]
struct Stream {
    /// As it is on disk.
    state: StreamState,
    /// None while it is closed.
    keys: Vec<PublicKey>,
    pulls: bool,
    /// A pull is on its way, or its batch is being stored.
    flying: bool,
    /// The furthest head that the device told of since the last batch.
    heard: u64,
    failures: u32,
    storing: Option<Storing>,
    peers: BTreeMap<NodeId, Copying>,
    fetching: Fetching,
}

impl Stream {
    fn new(state: StreamState) -> Self {
        Self {
            state,
            keys: Vec::new(),
            pulls: false,
            flying: false,
            heard: 0,
            failures: 0,
            storing: None,
            peers: BTreeMap::new(),
            fetching: Fetching::default(),
        }
    }

    fn cursor(&self) -> Position {
        self.state.timeline.cursor()
    }

    /// Other managers that hold everything up to `number`.
    fn holders_of(&self, number: u64) -> Vec<NodeId> {
        let copied = self.peers.iter().filter(|(_, copying)| {
            copying
                .copied
                .is_some_and(|position| position.number >= number)
        });
        copied
            .map(|(peer, _)| *peer)
            .take(PULL_HOLDERS_MAX)
            .collect()
    }
}

/// The reading side of all pulled ledgers, on one manager.
#[derive(Debug)]
pub struct Cursor {
    arguments: CursorArguments,
    prng: Prng,
    streams: BTreeMap<Key, Stream>,
    holders: BTreeSet<NodeId>,
    reached: BTreeSet<NodeId>,
    /// Copies on their way to each manager.
    copies: BTreeMap<NodeId, usize>,
    schedule: Schedule,
    token: u64,
}

/// What a message means for a stream, before it is stored.
enum Outcome {
    Store(Box<StreamState>, Vec<Kept>),
    Nothing,
}

impl Cursor {
    /// From what was stored; nothing for a new manager. Streams rest until they are opened.
    #[must_use]
    pub fn restore(
        arguments: CursorArguments,
        states: impl IntoIterator<Item = StreamState>,
        prng: Prng,
    ) -> Self {
        let streams = states
            .into_iter()
            .map(|state| (Key::of(&state.ledger), Stream::new(state)))
            .collect();
        Self {
            arguments,
            prng,
            streams,
            holders: BTreeSet::new(),
            reached: BTreeSet::new(),
            copies: BTreeMap::new(),
            schedule: Schedule::default(),
            token: 0,
        }
    }

    /// The state of a stream, as it is on disk.
    #[must_use]
    pub fn stream(&self, ledger: &LedgerId) -> Option<&StreamState> {
        self.streams
            .get(&Key::of(ledger))
            .map(|stream| &stream.state)
    }

    fn open(&mut self, now: Millis, ledger: LedgerId, keys: Vec<PublicKey>, pulls: bool) {
        if ledger.kind.is_gossiped() || ledger.scope.is_some() {
            return;
        }
        let key = Key::of(&ledger);
        let stream = self
            .streams
            .entry(key)
            .or_insert_with(|| Stream::new(StreamState::new(ledger)));
        stream.keys = keys;
        stream.pulls = pulls;
        stream.failures = 0;
        if !stream.flying {
            self.schedule.plan(key, Task::Pull, now);
        }
        self.schedule.plan(key, Task::Copy, now);
        self.schedule.plan(key, Task::Fetch, now);
    }

    fn reach(&mut self, now: Millis, peer: NodeId) {
        self.reached.insert(peer);
        let (first, last) = (LedgerKind::Trust, LedgerKind::Telemetry(u8::MAX));
        let own = Key {
            device: peer,
            kind: first,
        }..=Key {
            device: peer,
            kind: last,
        };
        for (key, stream) in self.streams.range_mut(own) {
            stream.failures = 0;
            if !stream.flying {
                self.schedule.plan(*key, Task::Pull, now);
            }
        }
        if self.holders.contains(&peer) {
            for (key, stream) in &mut self.streams {
                let left = stream.peers.remove(&peer);
                if left.is_some_and(|mut copying| copying.land())
                    && let Some(copies) = self.copies.get_mut(&peer)
                {
                    *copies = copies.saturating_sub(1);
                }
                stream.fetching = Fetching::default();
                self.schedule.plan(*key, Task::Copy, now);
                self.schedule.plan(*key, Task::Fetch, now);
            }
        }
    }

    fn lose(&mut self, peer: NodeId) {
        self.reached.remove(&peer);
        self.copies.remove(&peer);
        for (key, stream) in &mut self.streams {
            if let Some(copying) = stream.peers.get_mut(&peer) {
                copying.land();
            }
            if key.device == peer && stream.flying && stream.storing.is_none() {
                stream.flying = false;
                self.schedule.give_back(*key);
                self.schedule.cancel(*key, Task::Pull);
            }
        }
    }

    fn received(
        &mut self,
        now: Millis,
        from: NodeId,
        message: PullMessage,
        out: &mut Vec<CursorEffect>,
    ) {
        let key = Key::of(&message.ledger());
        let known = self.streams.get(&key).is_some_and(|stream| {
            stream.state.ledger == message.ledger() && !stream.keys.is_empty()
        });
        if !known {
            // A stream that is not open here (yet): whoever it is asks again.
            return;
        }
        let is_device = from == key.device;
        let is_holder = self.holders.contains(&from);
        let done = match message {
            PullMessage::Batch {
                after, head, items, ..
            } if is_device => self.batch(now, key, (after, head), items, out),
            PullMessage::Standing { statement, .. } if is_device => {
                self.standing(now, key, &statement, out)
            }
            PullMessage::News { head, .. } if is_device => {
                self.news(now, key, head);
                Ok(())
            }
            PullMessage::Offer {
                life,
                head,
                standing,
                ..
            } if is_holder => self.offered(now, key, from, (life, head), standing, out),
            PullMessage::Fetch {
                life,
                anchor,
                from: first,
                to,
                ..
            } if is_holder => {
                let wanted = Span { from: first, to };
                self.fetched(now, key, from, (life, anchor), wanted, out);
                Ok(())
            }
            PullMessage::Copy {
                life,
                from: first,
                items,
                ..
            } if is_holder || from == self.arguments.me => {
                self.copy(now, key, from, (life, first), items, out)
            }
            PullMessage::Copied { life, head, .. } if is_holder => {
                self.copied(now, key, from, (life, head), out);
                Ok(())
            }
            _ if is_device || is_holder => Err(Misbehaviour::Role),
            _ => Err(Misbehaviour::Stranger),
        };
        if let Err(reason) = done {
            out.push(CursorEffect::Misbehaved { peer: from, reason });
            if is_device {
                self.pull_failed(now, key, LIE_WEIGHT);
            }
        }
    }

    fn checker<'a>(&'a self, stream: &'a Stream) -> Checker<'a> {
        Checker {
            ledger: stream.state.ledger,
            fleet: &self.arguments.fleet,
            keys: &stream.keys,
            verify: self.arguments.verify.as_ref(),
        }
    }

    /// What follows the cursor, checked.
    fn follow(&self, stream: &Stream, items: Vec<Item>) -> Result<(Outcome, Walk), Misbehaviour> {
        let walk = self
            .checker(stream)
            .walk(stream.cursor(), true, u64::MAX, items)?;
        if walk.items.is_empty() {
            return Ok((Outcome::Nothing, walk));
        }
        let mut state = Box::new(stream.state.clone());
        state.timeline.extend(&walk);
        let items = walk.items.clone();
        Ok((Outcome::Store(state, items), walk))
    }

    fn store(
        &mut self,
        key: Key,
        from: Option<NodeId>,
        state: Box<StreamState>,
        items: Vec<Kept>,
        out: &mut Vec<CursorEffect>,
    ) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        assert!(stream.storing.is_none(), "one write of a stream at a time");
        self.token += 1;
        out.push(CursorEffect::Store {
            ledger: state.ledger,
            generation: state.generation,
            token: self.token,
            items,
            state: state.clone(),
        });
        stream.storing = Some(Storing {
            token: self.token,
            state,
            from,
        });
    }

    fn stored(&mut self, now: Millis, key: Key, token: u64, out: &mut Vec<CursorEffect>) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        let Some(storing) = stream.storing.take_if(|storing| storing.token == token) else {
            return;
        };
        if storing.state.life != stream.state.life {
            // What others hold of an earlier life says nothing about this one.
            for (peer, mut copying) in std::mem::take(&mut stream.peers) {
                if copying.land()
                    && let Some(copies) = self.copies.get_mut(&peer)
                {
                    *copies = copies.saturating_sub(1);
                }
            }
            stream.fetching = Fetching::default();
        }
        stream.state = *storing.state;
        stream.failures = 0;
        stream.fetching.refused = false;
        self.rest(key, now);
        self.acknowledge(key, None, out);
        if let Some(from) = storing.from {
            self.send_copied(key, from, out);
        }
        self.schedule.plan(key, Task::Copy, now);
        self.schedule.plan(key, Task::Fetch, now);
    }

    /// Tells the device up to where this manager, and which others, hold everything.
    fn acknowledge(&self, key: Key, upto: Option<Position>, out: &mut Vec<CursorEffect>) {
        let Some(stream) = self.streams.get(&key) else {
            return;
        };
        let head = upto.unwrap_or(stream.cursor());
        if head.number > 0 && self.reached.contains(&key.device) {
            let message = PullMessage::Acknowledge {
                ledger: stream.state.ledger,
                life: stream.state.life,
                head,
                holders: stream.holders_of(head.number),
            };
            out.push(CursorEffect::Send {
                to: key.device,
                message: Box::new(message),
            });
        }
    }

    fn due(&mut self, now: Millis, key: Key, task: Task, out: &mut Vec<CursorEffect>) {
        match task {
            Task::Pull => {
                let Some(stream) = self.streams.get(&key) else {
                    return;
                };
                if stream.flying {
                    self.pull_failed(now, key, 1);
                } else if self.may_pull(key) {
                    self.schedule.want(key);
                }
            }
            Task::Copy => self.copy_out(now, key, out),
            Task::Fetch => self.fetch_missing(now, key, out),
        }
    }
}

impl Machine for Cursor {
    type Event = CursorEvent;
    type Effect = CursorEffect;

    fn handle(&mut self, now: Millis, event: CursorEvent, out: &mut Vec<CursorEffect>) {
        match event {
            CursorEvent::Open {
                ledger,
                keys,
                pulls,
            } => self.open(now, ledger, keys, pulls),
            CursorEvent::Close { ledger } => {
                if let Some(stream) = self.streams.get_mut(&Key::of(&ledger)) {
                    stream.keys.clear();
                    stream.pulls = false;
                }
            }
            CursorEvent::Holders(mut holders) => {
                holders.remove(&self.arguments.me);
                self.set_holders(now, holders);
            }
            CursorEvent::Reached { peer } => self.reach(now, peer),
            CursorEvent::Lost { peer } => self.lose(peer),
            CursorEvent::Received { from, message } => self.received(now, from, *message, out),
            CursorEvent::Stored { ledger, token } => {
                self.stored(now, Key::of(&ledger), token, out);
            }
            CursorEvent::Wake => {}
        }
        while let Some((key, task)) = self.schedule.next_due(now) {
            self.due(now, key, task, out);
        }
        self.launch(now, out);
    }

    fn wake_at(&self) -> Option<Millis> {
        self.schedule.wake_at()
    }
}
