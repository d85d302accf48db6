//! Pulled ledgers: events to spools and cursors, what they ask for, and what their stores answer.

use std::sync::Arc;

use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::cursor::{CursorEffect, CursorEvent};
use regatta_protocol::ledger::entry::LedgerKind;
use regatta_protocol::ledger::spool::message::PullMessage;
use regatta_protocol::ledger::spool::{Part, SpoolEffect, SpoolEvent};
use regatta_protocol::machine::Machine;
use regatta_protocol::membership::homes::RosterManager;

use crate::network::NodeIndex;
use crate::pulled::check::is_passed;
use crate::pulled::{KINDS, Pulled, PulledEvent, holders, ledger};
use crate::wire::Packet;
use crate::world::{Follow, Manner, NEVER, Pending, World};

/// How long a store may take to answer.
const STORE_MS_MAX: u64 = 30;

impl World {
    /// How this run is carried out.
    #[must_use]
    pub fn manner(&self) -> Manner {
        self.chance.manner
    }

    /// Hands an event to one of a node's machines of pulled ledgers, and performs what follows.
    pub fn tell_pulled(&mut self, index: NodeIndex, event: PulledEvent) {
        self.pulled(index, event);
        self.follow_up(index);
    }

    /// Sends what somebody made up about a pulled ledger, over a connection that is open.
    pub fn inject_pull(&mut self, from: NodeIndex, to: NodeIndex, message: PullMessage) {
        self.send(from, &[to], Packet::Pull(message));
    }

    pub(super) fn pulled(&mut self, index: NodeIndex, event: PulledEvent) {
        let now = self.now;
        let Some(pulled) = self.nodes[index as usize].pulled.as_mut() else {
            return;
        };
        match event {
            PulledEvent::Spool(kind, event) => {
                let Some(spool) = pulled.spools.get_mut(&kind) else {
                    return;
                };
                self.done.note_spool(now, index, &event);
                let mut effects = Vec::new();
                spool.handle(now, event, &mut effects);
                for effect in effects {
                    if !self.may_perform(index) {
                        break;
                    }
                    self.perform_spool(index, kind, effect);
                }
            }
            PulledEvent::Cursor(event) => {
                let Some(cursor) = pulled.cursor.as_mut() else {
                    return;
                };
                self.done.note_cursor(now, index, &event);
                if let CursorEvent::Stored { ledger, .. } = &event {
                    self.invariants.pulls.streams.store_answered(index, ledger);
                }
                let mut effects = Vec::new();
                cursor.handle(now, event, &mut effects);
                let wake_at = cursor.wake_at().unwrap_or(NEVER);
                self.plan_wake(index, wake_at);
                for effect in effects {
                    if !self.may_perform(index) {
                        break;
                    }
                    self.perform_cursor(index, effect);
                }
            }
        }
    }

    /// Builds a node's machines from its disk, and tells them what they need to know at first.
    pub(super) fn start_pulled(&mut self, index: NodeIndex) {
        if !self.chance.manner.pulled {
            return;
        }
        let mut prng = self.chance.prng.branch();
        self.chance.sessions += 1;
        let start = self.chance.sessions;
        self.invariants.pulls.streams.started(index);
        let node = &mut self.nodes[index as usize];
        let disk = &node.disk.pulled;
        let pulled = Pulled::restore(&node.identity, &self.root, disk, start, &mut prng);
        node.pulled = Some(pulled);
        if self.nodes[index as usize].is_manager() {
            for device in crate::pulled::agents(self) {
                let device = self.nodes[device as usize].identity.node;
                self.open_streams(index, device, false);
            }
        }
    }

    /// Opens a device's streams at a manager.
    pub(super) fn open_streams(&mut self, manager: NodeIndex, device: NodeId, pulls: bool) {
        let Some(place) = self.place_of(&device) else {
            return;
        };
        let key = self.nodes[place as usize].identity.signer.public();
        for kind in KINDS {
            let open = CursorEvent::Open {
                ledger: ledger(device, kind),
                keys: vec![key],
                pulls,
            };
            self.follow_cursor(manager, open);
        }
    }

    fn follow_cursor(&mut self, index: NodeIndex, event: CursorEvent) {
        if self.nodes[index as usize].pulled.is_some() {
            self.follow(Follow::Pulled(PulledEvent::Cursor(event)));
        }
    }

    fn follow_spools(&mut self, index: NodeIndex, event: impl Fn() -> SpoolEvent) {
        if self.nodes[index as usize].pulled.is_some() {
            for kind in KINDS {
                self.follow(Follow::Pulled(PulledEvent::Spool(kind, event())));
            }
        }
    }

    /// The trust fold names other managers.
    pub(super) fn holders_changed(&mut self, index: NodeIndex, managers: &Arc<[RosterManager]>) {
        if self.nodes[index as usize].pulled.is_none() {
            return;
        }
        let holders = holders(managers);
        if self.nodes[index as usize].is_manager() {
            self.follow_cursor(index, CursorEvent::Holders(holders));
        } else {
            self.follow_spools(index, || SpoolEvent::Holders(holders.clone()));
        }
    }

    /// A connection is there.
    pub(super) fn reached(&mut self, index: NodeIndex, peer: NodeId) {
        if self.nodes[index as usize].is_manager() {
            self.follow_cursor(index, CursorEvent::Reached { peer });
        }
    }

    /// A connection is gone.
    pub(super) fn lost(&mut self, index: NodeIndex, peer: NodeId) {
        if self.nodes[index as usize].is_manager() {
            self.follow_cursor(index, CursorEvent::Lost { peer });
        } else {
            self.follow_spools(index, || SpoolEvent::Lost { peer });
        }
    }

    /// Something about pulled ledgers arrives.
    pub(super) fn pull_message(&mut self, to: NodeIndex, from: NodeId, message: PullMessage) {
        let kind = message.ledger().kind;
        let message = Box::new(message);
        let event = if self.nodes[to as usize].is_manager() {
            PulledEvent::Cursor(CursorEvent::Received { from, message })
        } else {
            PulledEvent::Spool(kind, SpoolEvent::Received { from, message })
        };
        self.tell_pulled(to, event);
    }

    /// A store answers, if the node did not start anew meanwhile.
    pub(super) fn answered(&mut self, index: NodeIndex, start: u32, event: PulledEvent) {
        let pulled = self.nodes[index as usize].pulled.as_ref();
        if pulled.is_some_and(|pulled| pulled.start == start) {
            self.tell_pulled(index, event);
        }
    }

    fn answer_later(&mut self, index: NodeIndex, event: PulledEvent) {
        let pulled = self.nodes[index as usize].pulled.as_ref();
        let Some(start) = pulled.map(|pulled| pulled.start) else {
            return;
        };
        let at = self.now.plus(1 + self.chance.prng.below(STORE_MS_MAX));
        let event = Box::new(event);
        self.queue.push(
            at,
            Pending::Answered {
                node: index,
                start,
                event,
            },
        );
    }

    fn send_pull(&mut self, index: NodeIndex, to: &NodeId, message: PullMessage) {
        if let Some(to) = self.place_of(to) {
            self.send(index, &[to], Packet::Pull(message));
        }
    }

    fn perform_spool(&mut self, index: NodeIndex, kind: LedgerKind, effect: SpoolEffect) {
        let node = &mut self.nodes[index as usize];
        let device = ledger(node.identity.node, kind);
        let disk = &mut node.disk.pulled;
        let streams = &mut self.invariants.pulls.streams;
        let mut broken = None;
        match effect {
            SpoolEffect::Append { entry, state } => {
                broken = streams.appended(&entry);
                disk.append(&entry, state.as_deref());
                self.config_noted(&entry);
            }
            SpoolEffect::Keep { state, removed } => {
                broken = streams.released(disk.spools.get(&device), &state, &removed);
                disk.keep(&state, &removed);
            }
            SpoolEffect::Look { number } => {
                let found = disk
                    .spools
                    .get(&device)
                    .and_then(|it| it.entries.get(&number));
                match found.map(|(_, indexed)| indexed.position.hash) {
                    Some(hash) => {
                        let event = SpoolEvent::Looked { number, hash };
                        self.answer_later(index, PulledEvent::Spool(kind, event));
                    }
                    None => broken = Some(format!("I1: number {number} is not on the disk")),
                }
            }
            SpoolEffect::Serve { to, message, parts } => {
                for part in &parts {
                    if let Part::Gap(statement) = part {
                        streams.gap_signed(statement);
                    }
                }
                let items = disk.parts(&device, parts);
                self.send_pull(index, &to, message.with_items(items));
                self.answer_later(index, PulledEvent::Spool(kind, SpoolEvent::Served { to }));
            }
            SpoolEffect::Send { to, message } => self.send_pull(index, &to, *message),
            SpoolEffect::KnownFurther { .. } => streams.told.known_further += 1,
            SpoolEffect::Refused(error) => broken = Some(format!("I5: a draft refused: {error}")),
            SpoolEffect::Misbehaved { peer, reason } => broken = self.blamed(peer, reason),
            SpoolEffect::Freed { .. } | SpoolEffect::Dropped { .. } => {}
        }
        if let Some(what) = broken {
            self.invariants.broken(self.now, index, what);
        }
    }

    fn perform_cursor(&mut self, index: NodeIndex, effect: CursorEffect) {
        if let CursorEffect::Store {
            items, generation, ..
        } = &effect
        {
            self.config_reported(index, *generation, items);
        }
        let disk = &mut self.nodes[index as usize].disk.pulled;
        let streams = &mut self.invariants.pulls.streams;
        let mut broken = None;
        match effect {
            CursorEffect::Store {
                ledger,
                generation,
                token,
                items,
                state,
            } => {
                broken = streams.stored(index, disk, &items, &state);
                streams.store_begun(index, disk, ledger);
                disk.store(generation, items, *state);
                let event = CursorEvent::Stored { ledger, token };
                self.answer_later(index, PulledEvent::Cursor(event));
            }
            CursorEffect::Serve {
                to,
                message,
                generation,
                span,
            } => {
                let items = disk.read(&message.ledger(), generation, span);
                let message = message.with_items(items);
                let me = self.nodes[index as usize].identity.node;
                if to == me {
                    let message = Box::new(message);
                    let event = CursorEvent::Received { from: me, message };
                    self.answer_later(index, PulledEvent::Cursor(event));
                } else {
                    self.send_pull(index, &to, message);
                }
            }
            CursorEffect::Send { to, message } => {
                broken = streams.sent(index, disk, &message);
                broken = broken.or_else(|| self.named_falsely(&message));
                self.send_pull(index, &to, *message);
            }
            CursorEffect::Generation { .. } => streams.told.generations += 1,
            CursorEffect::MissingElsewhere { .. } => streams.told.missing += 1,
            CursorEffect::Saturated { .. } => streams.told.saturated += 1,
            CursorEffect::Misbehaved { peer, reason } => broken = self.blamed(peer, reason),
        }
        if let Some(what) = broken {
            self.invariants.broken(self.now, index, what);
        }
    }

    /// Whoever a manager names as holding everything does; who lost its disk since did.
    fn named_falsely(&self, message: &PullMessage) -> Option<String> {
        let (ledger, head, holders) = match message {
            PullMessage::Acknowledge {
                ledger,
                head,
                holders,
                ..
            } => (ledger, head, holders),
            PullMessage::Pull {
                ledger,
                cursor,
                holders,
                ..
            } => (ledger, cursor, holders),
            _ => return None,
        };
        let lacks = |holder: &&NodeId| {
            let place = self.place_of(holder);
            let disk = place.map(|place| &self.nodes[place as usize].disk.pulled);
            let stream = disk.and_then(|disk| disk.streams.get(ledger));
            !self.invariants.suspects.contains(holder)
                && !stream.is_some_and(|stream| is_passed(stream, head))
        };
        let holder = holders.iter().filter(|_| head.number > 0).find(lacks)?;
        let number = head.number;
        Some(format!(
            "I5: {holder:?} named as a holder of {ledger:?} up to {number}, and it is not"
        ))
    }

    fn blamed(&mut self, peer: NodeId, reason: impl std::fmt::Debug) -> Option<String> {
        self.invariants.pulls.streams.told.misbehaved += 1;
        (!self.invariants.hostile.contains(&peer))
            .then(|| format!("I7: an honest member is blamed in a pull for {reason:?}"))
    }
}
