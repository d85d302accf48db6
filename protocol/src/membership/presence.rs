//! What managers know of everybody: each manager's own sightings, told on by version.
//!
//! A sighting belongs to one observer and is up or down; only its changes are told. It stays true as
//! long as its observer is heard, so no refresh is needed: the observer's row in every `Ping` is the
//! refresh of all its sightings at once. Who misses a version asks for what comes after its own.

mod twins;
mod view;

use std::collections::BTreeMap;

use crate::crypto::sign::PublicKey;
use crate::ident::NodeId;
use crate::limits::{CONTROL_FRAME_BYTES_MAX, MANAGER_LINKS_MAX, PRESENCES_MAX};
use crate::machine::Millis;
use crate::membership::message::{Batch, Presence, Row, Sighting, SignedPresence};
pub use crate::membership::presence::twins::Twin;
use crate::membership::presence::twins::Twins;
pub use crate::membership::presence::view::{PresenceState, PresenceView};

/// An observer that nobody has heard for so long cannot vouch for anybody.
pub(super) const OBSERVER_FRESH_MS: u64 = 8_000;
/// Added to twice the keep-alive before a node counts as silent.
const SLACK_MS: u64 = 5_000;
/// Where a node has not said, its keep-alive is taken for this.
pub(super) const KEEP_ALIVE_ASSUMED_MS: u32 = 30_000;
/// Internal times begin here, so that "three days ago" is before the start of a fresh process.
const ORIGIN_MS: u64 = 1 << 44;
/// A sighting without its presence, in a batch: more than bincode's, with room for framing.
const SIGHTING_BYTES: usize = 48;
/// The same for its presence beyond the presence's own bytes.
const SIGNATURE_BYTES: usize = 80;

/// A time that can lie before the start of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    /// So long before `now`.
    pub(super) fn ago(now: Millis, age_ms: u64) -> Self {
        Self(now.0.saturating_add(ORIGIN_MS).saturating_sub(age_ms))
    }

    /// So much later.
    fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// So much earlier.
    fn minus(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis))
    }

    /// How long before `now` this was.
    pub(super) fn age(self, now: Millis) -> u64 {
        now.0.saturating_add(ORIGIN_MS).saturating_sub(self.0)
    }
}

#[derive(Clone, Debug)]
struct Held {
    signed: SignedPresence,
    said: Presence,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    observer: NodeId,
    version: u64,
    up: bool,
    heard: Moment,
}

#[derive(Clone, Debug, Default)]
struct Record {
    key: Option<PublicKey>,
    presence: Option<Box<Held>>,
    seen: Vec<Seen>,
    /// Kept when its observer is forgotten: who heard it last.
    last: Option<(Moment, NodeId)>,
}

impl Record {
    /// When a node was heard at the latest, if its observer was itself last heard then: as long as
    /// an observer says nothing else, the node keeps to its keep-alive.
    fn vouched(&self, seen: &Seen, observer_heard: Moment) -> Moment {
        let said = self.presence.as_ref().map(|held| held.said.keep_alive_ms);
        let keep_alive_ms = u64::from(said.unwrap_or(KEEP_ALIVE_ASSUMED_MS));
        match seen.up {
            true => seen
                .heard
                .max(observer_heard.minus(lapse_ms(keep_alive_ms))),
            false => seen.heard,
        }
    }
}

/// After so long a silence a node with this keep-alive does not count as ready.
pub(super) fn lapse_ms(keep_alive_ms: u64) -> u64 {
    keep_alive_ms.saturating_mul(2).saturating_add(SLACK_MS)
}

#[derive(Clone, Debug)]
struct Observer {
    boot: u64,
    version: u64,
    heard: Moment,
    /// Which node each version is about; versions that were overtaken are gone.
    log: BTreeMap<u64, NodeId>,
}

/// What became of a presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Newer than what was held.
    New,
    /// The one that is held.
    Same,
    /// Older: a replay, or it was overtaken on the way.
    Stale,
    /// There is no key to check it with, or no room.
    Dropped,
}

/// Everybody's presence, as one manager knows it.
#[derive(Clone, Debug)]
pub(super) struct Table {
    me: NodeId,
    records: BTreeMap<NodeId, Record>,
    observers: BTreeMap<NodeId, Observer>,
    twins: Twins,
}

impl Table {
    /// An empty one; `boot` tells this start from earlier ones.
    pub(super) fn new(me: NodeId, boot: u64) -> Self {
        let mut table = Self {
            me,
            records: BTreeMap::new(),
            observers: BTreeMap::new(),
            twins: Twins::default(),
        };
        table.meet(me, boot, Moment(0));
        table
    }

    /// Nodes known.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.records.keys().copied()
    }

    /// The key of a node.
    pub(super) fn key(&self, node: &NodeId) -> Option<PublicKey> {
        self.records.get(node)?.key
    }

    /// Notes a node's key; false where the table is full.
    pub(super) fn set_key(&mut self, node: NodeId, key: PublicKey) -> bool {
        match self.record(node) {
            Some(record) => {
                record.key = Some(key);
                true
            }
            None => false,
        }
    }

    fn record(&mut self, node: NodeId) -> Option<&mut Record> {
        if self.records.len() >= PRESENCES_MAX && !self.records.contains_key(&node) {
            return None;
        }
        Some(self.records.entry(node).or_default())
    }

    /// Drops all that is known of a node that has left the fleet.
    pub(super) fn forget(&mut self, node: &NodeId) {
        self.twins.forget(node);
        for seen in self.records.remove(node).into_iter().flat_map(|r| r.seen) {
            if let Some(observer) = self.observers.get_mut(&seen.observer) {
                observer.log.remove(&seen.version);
            }
        }
    }

    /// The presence that is held.
    pub(super) fn presence(&self, node: &NodeId) -> Option<&Presence> {
        let held = self.records.get(node)?.presence.as_ref()?;
        Some(&held.said)
    }

    /// The same as its node signed it.
    pub(super) fn signed(&self, node: &NodeId) -> Option<&SignedPresence> {
        let held = self.records.get(node)?.presence.as_ref()?;
        Some(&held.signed)
    }

    /// Somebody up who vouches for a node whose presence we lack.
    pub(super) fn presence_lacks(&self, node: &NodeId) -> Option<NodeId> {
        let record = self.records.get(node)?;
        let up = record.seen.iter().find(|seen| seen.up)?;
        record.presence.is_none().then_some(up.observer)
    }

    /// Whether this presence would be news. `direct`: its node itself sent it on its own link.
    ///
    /// Within a boot the sequence decides. Boots are random: between two the node's own link does,
    /// else the node's clock; so an old boot cannot be replayed by others.
    pub(super) fn judge(&self, said: &Presence, direct: bool) -> Taken {
        let Some(record) = self.records.get(&said.node) else {
            return Taken::Dropped;
        };
        if record.key.is_none() {
            return Taken::Dropped;
        }
        let Some(held) = record.presence.as_ref().map(|held| &held.said) else {
            return Taken::New;
        };
        let newer = if said.boot == held.boot {
            said.sequence > held.sequence
        } else {
            direct || said.wall > held.wall
        };
        match (newer, said == held) {
            (true, _) => Taken::New,
            (false, true) => Taken::Same,
            (false, false) => Taken::Stale,
        }
    }

    /// Whether nobody else who has a link to a node heard it clearly later than this observer did:
    /// times are as exact as messages between managers are fast.
    pub(super) fn heard_last(&self, node: &NodeId, observer: &NodeId) -> bool {
        let seen = self
            .records
            .get(node)
            .map_or(&[][..], |record| &record.seen);
        let heard = seen
            .iter()
            .find(|seen| seen.observer == *observer)
            .map(|seen| seen.heard);
        let mut up = seen.iter().filter(|seen| seen.up);
        up.all(|seen| Some(seen.heard.minus(OBSERVER_FRESH_MS)) <= heard)
    }

    /// Keeps a presence that was judged new and whose signature holds.
    pub(super) fn keep(&mut self, signed: SignedPresence, said: Presence) {
        if let Some(record) = self.records.get_mut(&said.node) {
            record.presence = Some(Box::new(Held { signed, said }));
        }
    }

    /// Notes our own sighting of a node under a new version; false where the table is full.
    pub(super) fn sight(&mut self, node: NodeId, up: bool, heard: Moment) -> bool {
        let me = self.me;
        let version = self.version(&me) + 1;
        self.note(me, node, version, up, heard)
    }

    fn note(&mut self, by: NodeId, node: NodeId, version: u64, up: bool, heard: Moment) -> bool {
        let me = self.me;
        let Some(record) = self.record(node) else {
            return false;
        };
        if record.last.is_none_or(|(last, _)| last <= heard) {
            record.last = Some((heard, by));
        }
        let news = Seen {
            observer: by,
            version,
            up,
            heard,
        };
        let mut overtaken = None;
        match record.seen.iter_mut().find(|seen| seen.observer == by) {
            Some(seen) => overtaken = Some(std::mem::replace(seen, news)),
            None => {
                if record.seen.len() > MANAGER_LINKS_MAX {
                    let others = (0..record.seen.len()).filter(|i| record.seen[*i].observer != me);
                    let oldest = others.min_by_key(|i| record.seen[*i].heard);
                    overtaken = oldest.map(|index| record.seen.swap_remove(index));
                }
                record.seen.push(news);
            }
        }
        if let Some(old) = overtaken
            && let Some(observer) = self.observers.get_mut(&old.observer)
        {
            observer.log.remove(&old.version);
        }
        if let Some(observer) = self.observers.get_mut(&by) {
            observer.log.insert(version, node);
            observer.version = observer.version.max(version);
        }
        true
    }

    /// Our version of an observer's sightings; zero where it is unknown.
    pub(super) fn version(&self, observer: &NodeId) -> u64 {
        self.observers.get(observer).map_or(0, |o| o.version)
    }

    /// The start of an observer that we know.
    pub(super) fn boot(&self, observer: &NodeId) -> Option<u64> {
        Some(self.observers.get(observer)?.boot)
    }

    /// An observer was heard then; with another boot all that its earlier start saw is dropped.
    pub(super) fn meet(&mut self, id: NodeId, boot: u64, heard: Moment) {
        if let Some(known) = self.observers.get_mut(&id) {
            known.heard = known.heard.max(heard);
            if known.boot == boot {
                return;
            }
        }
        let heard = self.observers.get(&id).map_or(heard, |o| o.heard);
        self.drop_observer(&id);
        self.observers.insert(
            id,
            Observer {
                boot,
                version: 0,
                heard,
                log: BTreeMap::new(),
            },
        );
    }

    /// Forgets an observer and all that it saw.
    pub(super) fn drop_observer(&mut self, id: &NodeId) {
        let Some(gone) = self.observers.remove(id) else {
            return;
        };
        for node in gone.log.values() {
            if let Some(record) = self.records.get_mut(node) {
                for seen in record.seen.iter().filter(|seen| seen.observer == *id) {
                    let heard = record.vouched(seen, gone.heard);
                    if record.last.is_none_or(|(last, _)| last < heard) {
                        record.last = Some((heard, *id));
                    }
                }
                record.seen.retain(|seen| seen.observer != *id);
            }
        }
    }

    /// When an observer was last heard.
    pub(super) fn observer_heard(&self, id: &NodeId) -> Option<Moment> {
        Some(self.observers.get(id)?.heard)
    }

    /// Whether an observer can vouch for anybody now.
    pub(super) fn is_fresh(&self, id: &NodeId, now: Millis) -> bool {
        *id == self.me
            || self
                .observers
                .get(id)
                .is_some_and(|observer| observer.heard.age(now) <= OBSERVER_FRESH_MS)
    }

    /// How far we hold our own sightings, and those of `others` that were heard of late.
    pub(super) fn rows(&self, others: &[NodeId], now: Millis) -> Vec<Row> {
        let heard = others.iter().filter(|id| self.is_fresh(id, now));
        let heard = heard.filter(|id| **id != self.me);
        std::iter::once(&self.me)
            .chain(heard)
            .filter_map(|id| {
                let observer = self.observers.get(id)?;
                let ours = *id == self.me;
                Some(Row {
                    observer: *id,
                    boot: observer.boot,
                    version: observer.version,
                    heard_ago_ms: if ours { 0 } else { observer.heard.age(now) },
                })
            })
            .collect()
    }

    /// What changed in an observer's sightings after a version, as much as one frame carries.
    pub(super) fn batch(&self, id: NodeId, after: u64, now: Millis) -> Option<Batch> {
        let observer = self.observers.get(&id)?;
        let mut batch = Batch {
            observer: id,
            boot: observer.boot,
            after,
            upto: observer.version,
            latest: observer.version,
            sightings: Vec::new(),
        };
        let mut room = CONTROL_FRAME_BYTES_MAX - 128;
        for (version, node) in observer.log.range(after.saturating_add(1)..) {
            let Some(record) = self.records.get(node) else {
                continue;
            };
            let Some(seen) = record.seen.iter().find(|seen| seen.observer == id) else {
                continue;
            };
            let presence = record.presence.as_ref().map(|held| held.signed.clone());
            let said = presence.as_ref().map_or(0, |said| said.bytes.len());
            let bytes = SIGHTING_BYTES + SIGNATURE_BYTES + said;
            if bytes > room {
                batch.upto = batch
                    .sightings
                    .last()
                    .map_or(after, |s: &Sighting| s.version);
                break;
            }
            room -= bytes;
            batch.sightings.push(Sighting {
                node: *node,
                version: *version,
                up: seen.up,
                heard_ago_ms: seen.heard.age(now),
                presence,
            });
        }
        Some(batch)
    }

    /// Whether a batch keeps to the rules of its form.
    pub(super) fn is_sound(batch: &Batch) -> bool {
        let mut last = batch.after;
        batch.upto > batch.after
            && batch.latest >= batch.upto
            && batch.sightings.iter().all(|sighting| {
                let ascends = sighting.version > last && sighting.version <= batch.upto;
                last = sighting.version;
                ascends
            })
    }

    /// Takes one sighting of another observer; false where the table is full.
    pub(super) fn learn(&mut self, by: NodeId, sighting: &Sighting, now: Millis) -> bool {
        let heard = Moment::ago(now, sighting.heard_ago_ms);
        self.note(by, sighting.node, sighting.version, sighting.up, heard)
    }

    /// Everything up to this version of an observer is held now.
    pub(super) fn caught_up(&mut self, id: &NodeId, upto: u64) {
        if let Some(observer) = self.observers.get_mut(id) {
            observer.version = observer.version.max(upto);
        }
    }
}
