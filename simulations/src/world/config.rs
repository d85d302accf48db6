//! Configuration: an agent's machine and what it asks for, a manager's rollouts, and what either writes.

mod adopt;
pub mod drive;
pub mod put;
mod watch;

use std::collections::BTreeSet;

use regatta_protocol::codec::{self, Bytes};
use regatta_protocol::config::adoption::{Choice, Event, Wanted};
use regatta_protocol::config::rollout::{RolloutDocument, Unread};
use regatta_protocol::config::selection::Selection;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::cursor::Kept;
use regatta_protocol::ledger::entry::{BodyRef, Entry, LedgerKind};
use regatta_protocol::ledger::spool::message::Item;
use regatta_protocol::machine::Millis;
use regatta_protocol::report::Record;

use crate::config::{GATHER_MS, Job, LOOK_MS, NodeConfig, absent, labels_of};
use crate::network::NodeIndex;
use crate::node::{NEVER, Node};
use crate::world::{Follow, World};

/// How long a manager gathers reports before it looks at what follows.
const GATHER_REPORTS_MS: u64 = 100;

/// A node's part in configuration, where it has one.
#[must_use]
pub fn of(node: &Node) -> Option<&NodeConfig> {
    node.place.config.as_deref()
}

impl World {
    /// Builds a node's part from its disk.
    pub(super) fn start_config(&mut self, index: NodeIndex) {
        if !self.chance.manner.config {
            return;
        }
        let prng = self.chance.prng.branch();
        self.chance.sessions += 1;
        let start = self.chance.sessions;
        let mut effects = Vec::new();
        let node = &mut self.nodes[index as usize];
        let disk = (!node.is_manager()).then_some(&node.disk.config);
        let mut config = NodeConfig::restore(disk, (self.now, start), prng, &mut effects);
        for stream in node.disk.pulled.streams.values() {
            if stream.state.ledger.kind == LedgerKind::Report {
                for ((generation, _), kept) in &stream.items {
                    each_entry(std::slice::from_ref(kept), |entry| {
                        config.known.reports.take(*generation, &entry);
                    });
                }
            }
        }
        let wake_at = config.wake_at();
        node.place.config = Some(Box::new(config));
        self.plan_wake(index, wake_at);
        self.take_adoption(index, effects);
        self.follow_up(index);
    }

    /// Entries or bodies came: what is wanted may have changed.
    pub(super) fn config_moved(&mut self, index: NodeIndex) {
        let soon = self.now.plus(GATHER_MS);
        self.look_at(index, soon);
    }

    fn look_at(&mut self, index: NodeIndex, at: Millis) {
        if let Some(config) = self.nodes[index as usize].place.config.as_mut()
            && at < config.alarms.look
        {
            config.alarms.look = at;
            self.plan_wake(index, at);
        }
    }

    pub(super) fn wake_config(&mut self, index: NodeIndex) {
        let now = self.now;
        let Some(config) = self.nodes[index as usize].place.config.as_mut() else {
            return;
        };
        let alarms = config.alarms;
        if alarms.look <= now {
            config.alarms.look = now.plus(LOOK_MS);
            self.look(index);
        }
        if alarms.drive <= now
            && let Some(config) = self.nodes[index as usize].place.config.as_mut()
        {
            config.alarms.drive = NEVER;
            self.drive(index);
        }
        if alarms.job <= now {
            self.job_done(index);
        }
        if alarms.machine <= now {
            self.tell_config(index, Event::Wake);
        }
        let config = of(&self.nodes[index as usize]);
        if let Some(wake_at) = config.map(NodeConfig::wake_at) {
            self.plan_wake(index, wake_at);
        }
    }

    /// Reads the words of rollouts that are here, and has those looked for that are not; whether any was
    /// read.
    fn learn(&mut self, index: NodeIndex, missing: Unread) -> bool {
        let node = &mut self.nodes[index as usize];
        let (Some(config), disk) = (node.place.config.as_mut(), &node.disk) else {
            return false;
        };
        let (mut learned, mut wanted) = (false, Vec::new());
        for (id, body) in missing {
            let bytes = disk.bodies.get(&body.hash);
            match bytes.map(|bytes| codec::decode::<RolloutDocument>(bytes)) {
                Some(Ok(document)) => {
                    config.known.rollouts.take(id, document);
                    learned = true;
                }
                Some(Err(_)) => {}
                None => wanted.push(body),
            }
        }
        self.want(index, &wanted);
        learned
    }

    /// Has bodies looked for that are not here.
    fn want(&mut self, index: NodeIndex, bodies: &[BodyRef]) {
        let now = self.now;
        let node = &mut self.nodes[index as usize];
        let absent = absent(&node.disk, bodies);
        let (Some(config), Some(bodies)) = (node.place.config.as_mut(), node.bodies.as_mut())
        else {
            return;
        };
        for body in absent {
            // What is looked for already is not asked for again.
            if config.known.wanted.insert(body.hash, body.bytes).is_none() {
                bodies.look_later(body.hash, body.bytes, now.plus(1));
            }
        }
        let wake_at = bodies.wake_at();
        self.plan_wake(index, wake_at);
    }

    /// What a body's length is, where configuration wants it.
    pub(super) fn config_wants(&self, index: NodeIndex, hash: &Hash) -> Option<u64> {
        let config = of(&self.nodes[index as usize])?;
        config.known.wanted.get(hash).copied()
    }

    /// Looks at what the ledgers say by now.
    fn look(&mut self, index: NodeIndex) {
        if self.nodes[index as usize].is_manager() {
            self.want_all(index);
            return self.drive_soon(index);
        }
        loop {
            let node = &self.nodes[index as usize];
            let (Some(config), Some(replica), Some(papers)) =
                (of(node), node.replica.as_ref(), &node.place.papers)
            else {
                return;
            };
            let labels = labels_of(papers);
            let me = (&node.identity.node, &labels);
            let (selection, unread) = config.known.rollouts.select(replica.holdings(), me);
            if !self.learn(index, unread) {
                return self.take_selection(index, &selection);
            }
        }
    }

    fn take_selection(&mut self, index: NodeIndex, selection: &Selection) {
        let node = &mut self.nodes[index as usize];
        let (Some(config), Some(replica)) = (node.place.config.as_mut(), node.replica.as_ref())
        else {
            return;
        };
        let (mut ready, mut waiting) = (Choice::new(), BTreeSet::new());
        let mut missing = Vec::new();
        for selected in &selection.take {
            let id = &selected.chosen.revision;
            if config.known.loaded(replica, &node.disk, id).is_some() {
                ready.insert(selected.name.clone(), selected.chosen);
            } else {
                waiting.insert(selected.chosen.entry);
                missing.push(selected.body);
            }
        }
        let choice = selection.with_what_holds(&config.known.last, (&ready, &waiting));
        config.known.last.clone_from(&choice);
        let ended = selection.ended.iter();
        let ended = ended.filter(|(_, by)| !waiting.contains(*by));
        let ended = ended.map(|(name, by)| (name.clone(), *by)).collect();
        self.want(index, &missing);
        if let Ok(wanted) = Wanted::new(choice, ended) {
            self.tell_config(index, Event::Wanted(wanted));
        }
    }

    /// A manager wants the words of every revision.
    fn want_all(&mut self, index: NodeIndex) {
        let node = &self.nodes[index as usize];
        let Some(replica) = node.replica.as_ref() else {
            return;
        };
        let catalog = replica.holdings().catalog();
        let held = catalog.ids().filter_map(|id| catalog.revision(id)?.body);
        let bodies: Vec<BodyRef> = held.filter(|body| !body.carried).collect();
        self.want(index, &bodies);
    }

    fn drive_soon(&mut self, index: NodeIndex) {
        self.drive_after(index, GATHER_REPORTS_MS);
    }

    fn drive_after(&mut self, index: NodeIndex, after_ms: u64) {
        let at = self.now.plus(after_ms);
        if let Some(config) = self.nodes[index as usize].place.config.as_mut() {
            config.alarms.drive = at;
            self.plan_wake(index, at);
        }
    }

    /// An entry of the node's own report rests on its disk.
    pub(super) fn config_noted(&mut self, entry: &Entry) {
        if !self.chance.manner.config || entry.header.ledger.kind != LedgerKind::Report {
            return;
        }
        if let Some(Record::Config(outcome)) = record(entry) {
            let event = Event::Reported(outcome.number);
            self.follow(Follow::Config(Box::new(event)));
        }
    }

    /// A manager stores what it read of a stream.
    pub(super) fn config_reported(&mut self, index: NodeIndex, generation: u32, items: &[Kept]) {
        let Some(config) = self.nodes[index as usize].place.config.as_mut() else {
            return;
        };
        let mut found = false;
        each_entry(items, |entry| {
            if entry.header.ledger.kind == LedgerKind::Report {
                config.known.reports.take(generation, &entry);
                found = true;
            }
        });
        if found {
            self.drive_soon(index);
        }
    }

    /// The power fails while the device works.
    pub(super) fn tear_config(&mut self, index: NodeIndex) {
        let node = &mut self.nodes[index as usize];
        if let Some(mut config) = node.place.config.take()
            && config.tear(&mut node.disk.config.device)
        {
            self.invariants.config_mut().seen.torn += 1;
        }
    }

    /// Puts a job behind the others.
    fn give(&mut self, index: NodeIndex, job: Job) {
        if let Some(config) = self.nodes[index as usize].place.config.as_mut() {
            config.jobs.push_back(job);
            if config.jobs.len() == 1 {
                self.begin_job(index);
            }
        }
    }
}

fn each_entry(items: &[Kept], mut take: impl FnMut(Entry)) {
    for kept in items {
        if let Item::Entry(parcel) = &kept.item
            && let Ok(entry) = Entry::open(parcel.clone())
        {
            take(entry);
        }
    }
}

fn record(entry: &Entry) -> Option<Record> {
    let content: Option<&Bytes> = match entry.header.body {
        Some(_) => entry.parcel.body.as_ref(),
        None => Some(&entry.header.payload),
    };
    codec::decode(content?).ok()
}
