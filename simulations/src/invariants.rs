//! What must hold: after each event for the node that handled it, and for the whole fleet once the
//! network has healed. The numbers I1, I2, I3 and I8 are those of RELIABILITY.md.

pub mod bodies;
pub mod config;
mod given;
pub mod pulls;

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::ident::{Hash, Incarnation, NodeId};
use regatta_protocol::ledger::entry::{Entry, LedgerKind};
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::replica::{Alarm, Effect};
use regatta_protocol::machine::Millis;
use regatta_protocol::trust::fold::is_held;

use crate::ids::{IdMap, IdSet};
use crate::invariants::bodies::{BodySeen, BodyWatch};
use crate::invariants::config::{ConfigSeen, ConfigWatch};
use crate::invariants::given::Given;
use crate::invariants::pulls::Pulls;
use crate::network::NodeIndex;
use crate::node::Node;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Millis,
    /// On which node.
    pub node: NodeIndex,
    /// Which invariant, and how it was broken.
    pub what: String,
}

/// What is known of an entry that was acknowledged to its writer.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// Who wrote it.
    pub author: NodeId,
    /// Who was said to hold it, and has not lost its disk since.
    pub holders: BTreeSet<NodeId>,
}

/// Everything that was seen, to hold the next event against.
#[derive(Debug, Default)]
pub struct Invariants {
    /// What was broken.
    pub violations: Vec<Violation>,
    /// Entries that were acknowledged as saved.
    pub acknowledged: BTreeMap<Hash, Acknowledged>,
    /// Authors whose key somebody else has, or who lost their disk: their forks are no bug.
    pub suspects: BTreeSet<NodeId>,
    /// Nodes that do what no member does: hanging up on them is right.
    pub hostile: BTreeSet<NodeId>,
    /// Who pulls from whom.
    pub pulls: Pulls,
    /// Everything that a key of the fleet ever signed.
    signed: IdSet<Hash>,
    claimed: Claimed,
    writing: bool,
    given: Given,
    seen: Seen,
}

/// What authors claimed with their entries.
#[derive(Debug, Default)]
struct Claimed {
    /// Numbers.
    issued: IdMap<(NodeId, Incarnation, u64), Hash>,
    /// Heads to go on from.
    continued: IdMap<(NodeId, LedgerKind, Option<NodeId>, Hash), Hash>,
}

/// What the report counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Entries written.
    pub written: u64,
    /// Alarms about forks.
    pub forks: u64,
    /// Alarms about restored authors.
    pub restored: u64,
    /// Connections hung up.
    pub hung_up: u64,
    /// Drafts refused.
    pub refused: u64,
    /// What became of bodies.
    pub bodies: BodySeen,
    /// What became of configuration.
    pub config: ConfigSeen,
}

impl Invariants {
    /// What was counted.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen {
            bodies: self.given.bodies.seen,
            config: self.given.config.seen,
            ..self.seen
        }
    }

    /// What is known of bodies.
    #[must_use]
    pub fn bodies(&self) -> &BodyWatch {
        &self.given.bodies
    }

    /// The same, to add to it.
    pub fn bodies_mut(&mut self) -> &mut BodyWatch {
        &mut self.given.bodies
    }

    /// What is known of configuration.
    #[must_use]
    pub fn config(&self) -> &ConfigWatch {
        &self.given.config
    }

    /// The same, to add to it.
    pub fn config_mut(&mut self) -> &mut ConfigWatch {
        &mut self.given.config
    }

    /// A node started from its disk.
    pub fn started(&mut self, index: NodeIndex, node: &Node) {
        self.given.started(node);
        let held = node
            .replica
            .as_ref()
            .map_or(0, |replica| replica.holdings().entries());
        if held != node.disk.entries().len() {
            let what = format!(
                "I1: {} entries on disk, {held} held after the start",
                node.disk.entries().len()
            );
            self.broken(Millis(0), index, what);
        }
    }

    /// A node's disk is gone, or an older one is there: what it held and does not hold now is no
    /// copy any more.
    pub fn disk_lost(&mut self, index: NodeIndex, node: &Node) {
        let id = node.identity.node;
        self.suspects.insert(id);
        if node.is_manager() {
            self.pulls.streams.disk_lost(index, &node.disk.pulled);
        } else {
            self.pulls.streams.device_lost(id);
            self.given.config.disk_lost(index);
        }
        for (hash, known) in &mut self.acknowledged {
            if !node.disk.has(hash) {
                known.holders.remove(&id);
            }
        }
    }

    /// Whether the node is handling its own write.
    pub fn set_writing(&mut self, writing: bool) {
        self.writing = writing;
    }

    /// Somebody with a key of the fleet signed this, honest or not.
    pub fn signed(&mut self, hash: Hash) {
        self.signed.insert(hash);
    }

    /// Notes that something is broken.
    pub fn broken(&mut self, at: Millis, node: NodeIndex, what: String) {
        const KEPT: usize = 20;
        if self.violations.len() < KEPT {
            self.violations.push(Violation { at, node, what });
        }
    }

    /// Looks at an effect before it is performed.
    pub fn effect(&mut self, index: NodeIndex, node: &Node, now: Millis, effect: &Effect) {
        let sent = match effect {
            Effect::Send { message, .. } => entries_of(message),
            _ => Vec::new(),
        };
        if let Some(what) = self.given.effect(node, effect, &sent) {
            self.broken(now, index, what);
        }
        let broken = match effect {
            Effect::Store(entry) => self
                .goes_back(node, now, entry)
                .or_else(|| self.stored(node, entry)),
            Effect::Send { message, .. } => promised(node, message, &sent),
            Effect::Written { entry, .. } => {
                self.seen.written += 1;
                let author = node.identity.node;
                let holders = BTreeSet::from([author]);
                self.acknowledged
                    .insert(*entry, Acknowledged { author, holders });
                (!node.disk.has(entry)).then(|| "I1: acknowledged before it was stored".to_owned())
            }
            Effect::Replicated { entry, by, .. } => {
                if let Some(known) = self.acknowledged.get_mut(entry) {
                    known.holders.insert(*by);
                }
                None
            }
            Effect::Alarm(alarm) => self.alarmed(*alarm),
            Effect::HangUp { peer, reason } => {
                self.seen.hung_up += 1;
                (!self.hostile.contains(peer))
                    .then(|| format!("I7: hung up on an honest member for {reason:?}"))
            }
            Effect::Refused { .. } => {
                self.seen.refused += 1;
                None
            }
            _ => None,
        };
        if let Some(what) = broken {
            self.broken(now, index, what);
        }
    }

    fn stored(&mut self, node: &Node, entry: &Entry) -> Option<String> {
        if self.writing && entry.header.ledger.author == node.identity.node {
            self.signed.insert(entry.hash);
            if let Some(what) = self.issue(entry) {
                return Some(what);
            }
        }
        if !self.signed.contains(&entry.hash) {
            return Some(format!("I3: stored {:?}, which nobody signed", entry.hash));
        }
        if node.disk.has(&entry.hash) {
            return Some(format!("I6: stored {:?} twice", entry.hash));
        }
        let before = entry.header.previous;
        if before != Hash::ZERO && !node.disk.has(&before) {
            return Some(format!(
                "I1: stored {:?} without what stands before it",
                entry.hash
            ));
        }
        self.may_hold(node, entry)
    }

    /// Stamps of one incarnation rise, unless the clock that was ahead was set back.
    fn goes_back(&self, node: &Node, now: Millis, entry: &Entry) -> Option<String> {
        let header = &entry.header;
        if !self.writing || header.ledger.author != node.identity.node {
            return None;
        }
        let reference = node.replica.as_ref()?.reference(now);
        let own = node.disk.entries().iter().rev().find(|older| {
            older.header.incarnation == header.incarnation
                && older.header.ledger.author == header.ledger.author
        })?;
        let before = own.header.stamp;
        let goes_back = header.stamp <= before && !is_held(before.wall, reference);
        goes_back.then(|| format!("I8: stamped {:?} after {before:?}", header.stamp))
    }

    fn may_hold(&self, node: &Node, entry: &Entry) -> Option<String> {
        let ledger = entry.header.ledger;
        if node.is_manager() {
            return None;
        }
        if ledger.kind == LedgerKind::Managers {
            return Some("I3: an agent stored what is for managers".to_owned());
        }
        let device = ledger.scope?;
        let near = device == node.identity.node
            || node.identity.carries
            || node.place.neighbours.contains(&device);
        (!near).then(|| "I3: stored what is for a device that is no neighbour".to_owned())
    }

    /// No number is issued twice, no head continued twice, by an author who has only one life.
    fn issue(&mut self, entry: &Entry) -> Option<String> {
        let header = &entry.header;
        let place = (header.ledger.author, header.incarnation, header.number);
        let scoped = header.ledger.scope.is_some() || header.ledger.kind != LedgerKind::Fleet;
        if !scoped && let Some(other) = self.claimed.issued.insert(place, entry.hash) {
            return Some(format!(
                "I8: number {} issued twice, also for {other:?}",
                header.number
            ));
        }
        let ledger = header.ledger;
        let continued = (ledger.author, ledger.kind, ledger.scope, header.previous);
        let rival = self.claimed.continued.insert(continued, entry.hash)?;
        (!self.suspects.contains(&ledger.author)).then(|| {
            format!(
                "I8: the head {:?} continued twice, also by {rival:?}",
                header.previous
            )
        })
    }

    fn alarmed(&mut self, alarm: Alarm) -> Option<String> {
        match alarm {
            Alarm::Forked(ledger) => {
                self.seen.forks += 1;
                (!self.suspects.contains(&ledger.author))
                    .then(|| "I8: an honest author forked its ledger".to_owned())
            }
            Alarm::Restored(ledger) => {
                self.seen.restored += 1;
                (!self.suspects.contains(&ledger.author))
                    .then(|| "I8: an honest author continued an old head".to_owned())
            }
            Alarm::Cloned(ledger) => (!self.suspects.contains(&ledger.author))
                .then(|| "I8: an honest author met its own running incarnation".to_owned()),
        }
    }
}

/// The hashes of the entries that a message carries.
fn entries_of(message: &Message) -> Vec<Hash> {
    match message {
        Message::Push { parcels, .. } | Message::Entries { parcels, .. } => {
            let headers = parcels.iter().map(|parcel| &parcel.header);
            headers.map(|header| Hash::of(header)).collect()
        }
        _ => Vec::new(),
    }
}

/// What is sent on, or said to be stored, is on the disk.
fn promised(node: &Node, message: &Message, sent: &[Hash]) -> Option<String> {
    let missing = match message {
        Message::Stored(entries) => entries.iter().find(|hash| !node.disk.has(hash)).copied(),
        Message::Push { .. } | Message::Entries { .. } => {
            sent.iter().find(|hash| !node.disk.has(hash)).copied()
        }
        Message::Announce { heads, .. } => heads
            .iter()
            .map(|(_, head)| head.hash)
            .find(|hash| !node.disk.has(hash)),
        _ => None,
    };
    missing.map(|hash| format!("I1: promised {hash:?} before it was stored"))
}
