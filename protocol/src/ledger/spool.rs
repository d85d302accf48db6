//! The writing side of a pulled ledger: a device's own results or samples, kept until managers hold
//! them.
//!
//! Nothing here decides who pulls, or which of a device's ledgers goes first: readers do, `report`
//! before `telemetry`, in bounded batches that interleave. So after thirty days offline the alarms
//! are through in the first seconds, while each ledger drains in its own order.

mod event;
#[cfg(test)]
mod golden;
pub mod message;
pub mod position;
mod room;
pub mod state;
pub mod statement;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::crypto::sign::Sign;
use crate::ident::{FleetId, Hash, Incarnation, NodeId, Serial};
use crate::ledger::entry::{
    BodyRef, CODEC_BINCODE, Entry, Header, LedgerId, SCHEME_ED25519, body_hash,
};
pub use crate::ledger::spool::event::{Draft, Indexed, Part, Pressure, SpoolEffect, SpoolEvent};
use crate::ledger::spool::message::{Item, Misbehaviour, PullMessage};
use crate::ledger::spool::position::{Life, Place, Position, Span};
use crate::ledger::spool::room::Room;
use crate::ledger::spool::state::{Sizes, SpoolState, Totals};
use crate::ledger::spool::statement::{GapReason, Standing, Statement, Word};
use crate::limits::{PULL_HOLDERS_MAX, PULL_TIMEOUT_MS, TELEMETRY_BATCH_BYTES_MAX};
use crate::machine::{Machine, Millis};
use crate::prng::Prng;

/// Managers whose acknowledgements are remembered.
const ACKNOWLEDGED_MAX: usize = 256;

/// What a spool is made with.
#[derive(Clone, Debug)]
pub struct SpoolArguments {
    /// The ledger: `report`, or one class of `telemetry`.
    pub ledger: LedgerId,
    /// The fleet.
    pub fleet: FleetId,
    /// The certificate whose key signs.
    pub serial: Serial,
    /// The device's key.
    pub signer: Arc<dyn Sign>,
}

#[derive(Clone, Debug, Default)]
struct Readers {
    /// Batches that are being put together, and until when that is believed.
    serving: BTreeMap<NodeId, Millis>,
    /// Who has read everything and wants to hear of more.
    waiting: BTreeSet<NodeId>,
}

/// The writing side of one pulled ledger.
#[derive(Debug)]
pub struct Spool {
    arguments: SpoolArguments,
    prng: Prng,
    state: SpoolState,
    sizes: Sizes,
    /// None until the first write after a start.
    incarnation: Option<Incarnation>,
    holders: BTreeSet<NodeId>,
    readers: Readers,
    room: Room,
}

impl Spool {
    /// A ledger in which nothing was ever written, as far as this disk knows.
    #[must_use]
    pub fn new(arguments: SpoolArguments, prng: Prng) -> Self {
        let state = SpoolState::new(arguments.ledger);
        Self::restore(arguments, state, [], prng)
    }

    /// From what was stored: the last state, and the entries that are there, by number. What is
    /// missing among them becomes a gap.
    #[must_use]
    pub fn restore(
        arguments: SpoolArguments,
        state: SpoolState,
        entries: impl IntoIterator<Item = Indexed>,
        prng: Prng,
    ) -> Self {
        let written = state.extent.head;
        let mut spool = Self {
            arguments,
            prng,
            state,
            sizes: Sizes::default(),
            incarnation: None,
            holders: BTreeSet::new(),
            readers: Readers::default(),
            room: Room::default(),
        };
        spool.state.extent.head = spool.state.extent.floor;
        spool.state.totals.produced = spool.state.extent.floor.number;
        for entry in entries {
            // Dropped, but the removal did not reach the disk.
            let dropped = spool.state.gap_at(entry.position.number);
            match dropped.map(|record| record.gap.last) {
                Some(last) => spool.fill_to(last.number + 1, last.hash),
                None => spool.fill_to(entry.position.number, entry.previous),
            }
            if entry.position.number == spool.state.extent.head.number + 1 {
                spool.sizes.push(entry.bytes.max(1));
                spool.state.extent.head = entry.position;
                spool.state.totals.produced += 1;
            }
        }
        spool.fill_to(written.number.saturating_add(1), written.hash);
        let head = spool.state.extent.head.number;
        spool.state.extent.starts = spool.state.extent.starts.up_to(head);
        for number in spool.state.acknowledged.values_mut() {
            *number = (*number).min(head);
        }
        spool.check_sum();
        spool
    }

    /// Brings the head to just before `number`: over known gaps, and over what is missing.
    fn fill_to(&mut self, number: u64, previous: Hash) {
        while self.state.extent.head.number + 1 < number {
            let next = self.state.extent.head.number + 1;
            let known = self.state.gap_at(next).map(|record| record.gap.last);
            let last = known.unwrap_or_else(|| {
                let index = self
                    .state
                    .gaps
                    .partition_point(|record| record.gap.from < next);
                let (before, hash) = self
                    .state
                    .gaps
                    .get(index)
                    .map(|record| (record.gap.from, record.gap.previous))
                    .filter(|(from, _)| *from < number)
                    .unwrap_or((number, previous));
                self.state.position_with(before - 1, hash)
            });
            let head = std::mem::replace(&mut self.state.extent.head, last);
            for _ in next..=last.number {
                // In a gap that was counted before, a slot is empty; else it is dropped right away.
                self.sizes.push(u32::from(known.is_none()));
                self.state.totals.produced += 1;
            }
            if known.is_none() {
                self.drop_after(head, last, GapReason::Corrupt, &mut Vec::new());
            }
        }
    }

    /// What became of the ledger's numbers.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.state.totals
    }

    /// What would be stored now.
    #[must_use]
    pub fn state(&self) -> &SpoolState {
        &self.state
    }

    /// Entries that are neither released nor dropped.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.sizes.held()
    }

    fn append(&mut self, draft: Draft, out: &mut Vec<SpoolEffect>) {
        let head = self.state.extent.head;
        let incarnation = self
            .incarnation
            .unwrap_or_else(|| Incarnation(self.prng.bytes()));
        let header = Header {
            ledger: self.arguments.ledger,
            signer: self.arguments.serial,
            incarnation,
            number: head.number + 1,
            previous: head.hash,
            stamp: draft.stamp,
            kind: draft.kind,
            expires: None,
            codec: CODEC_BINCODE,
            scheme: SCHEME_ED25519,
            body: draft.body.as_ref().map(|body| BodyRef {
                hash: body_hash(body, true),
                bytes: body.len() as u64,
                carried: true,
            }),
            payload: draft.payload,
        };
        let signer = self.arguments.signer.as_ref();
        let entry = match Entry::write(&header, draft.body, &self.arguments.fleet, signer) {
            Ok(entry) => entry,
            Err(error) => return out.push(SpoolEffect::Refused(error)),
        };
        let opens = self.incarnation.replace(incarnation).is_none();
        let cost = Item::Entry(entry.parcel.clone()).cost();
        self.sizes.push(u32::try_from(cost).unwrap_or(u32::MAX));
        self.state.extent.starts.note(incarnation, head);
        self.state.extent.head = Position {
            incarnation,
            number: header.number,
            hash: entry.hash,
        };
        self.state.totals.produced += 1;
        out.push(SpoolEffect::Append {
            entry: Box::new(entry),
            state: opens.then(|| Box::new(self.state.clone())),
        });
        for to in std::mem::take(&mut self.readers.waiting) {
            let message = PullMessage::News {
                ledger: self.arguments.ledger,
                head: self.state.extent.head,
            };
            out.push(SpoolEffect::Send {
                to,
                message: Box::new(message),
            });
        }
    }

    fn received(
        &mut self,
        now: Millis,
        from: NodeId,
        message: PullMessage,
        out: &mut Vec<SpoolEffect>,
    ) {
        let refusal = if message.ledger() != self.arguments.ledger {
            Err(Misbehaviour::Foreign)
        } else if !self.holders.contains(&from) {
            Err(Misbehaviour::Stranger)
        } else {
            match message {
                PullMessage::Pull {
                    life,
                    cursor,
                    holders,
                    ..
                } => self.pulled(now, from, (life, cursor), &holders, out),
                PullMessage::Acknowledge {
                    life,
                    head,
                    holders,
                    ..
                } => self.acknowledged(from, (life, head), &holders, out),
                PullMessage::Inquire { life, cursor, .. } => self
                    .meet(from, life, cursor, out)
                    .map(|_| self.send_standing(from, cursor, out)),
                _ => Err(Misbehaviour::Role),
            }
        };
        if let Err(reason) = refusal {
            out.push(SpoolEffect::Misbehaved { peer: from, reason });
        }
    }

    fn pulled(
        &mut self,
        now: Millis,
        from: NodeId,
        (life, cursor): (Life, Position),
        holders: &[NodeId],
        out: &mut Vec<SpoolEffect>,
    ) -> Result<(), Misbehaviour> {
        if holders.len() > PULL_HOLDERS_MAX {
            return Err(Misbehaviour::Holders);
        }
        if self.meet(from, life, cursor, out)? != Place::Within || life != self.state.life {
            self.send_standing(from, cursor, out);
            return Ok(());
        }
        // The newest word of a reader on itself counts, even when it is less than it once said: it
        // may have been restored from a backup, and what it lost is perhaps still here.
        if let Some(known) = self.state.acknowledged.get_mut(&from)
            && *known > cursor.number
        {
            *known = cursor.number;
            self.room.changed = true;
        }
        self.count(holders.iter().chain([&from]), cursor.number);
        let serving = self.readers.serving.get(&from);
        if serving.is_some_and(|until| *until > now) {
            return Ok(());
        }
        let parts = self.parts(cursor.number);
        if parts.is_empty() {
            self.readers.waiting.insert(from);
        } else {
            self.readers.waiting.remove(&from);
        }
        self.readers
            .serving
            .insert(from, now.plus(PULL_TIMEOUT_MS / 2));
        out.push(SpoolEffect::Serve {
            to: from,
            message: Box::new(PullMessage::Batch {
                ledger: self.arguments.ledger,
                after: cursor,
                head: self.state.extent.head,
                items: Vec::new(),
            }),
            parts,
        });
        Ok(())
    }

    /// Where a reader's cursor lies. A reader that knows of a later life, or has read in this one
    /// what is not here, begins the next: the loss is on disk before anybody hears of it.
    fn meet(
        &mut self,
        by: NodeId,
        life: Life,
        cursor: Position,
        out: &mut Vec<SpoolEffect>,
    ) -> Result<Place, Misbehaviour> {
        let place = self.state.extent.place(&cursor);
        let ours = self.state.life;
        if !ours.can_become(life) {
            return Err(Misbehaviour::Future);
        }
        if life > ours || life == ours && place == Place::Unknown {
            self.state.life = ours.after(life);
            if self.incarnation == Some(cursor.incarnation) {
                // A machine image was resumed with its memory: those numbers are never issued again.
                self.incarnation = None;
            }
            out.push(SpoolEffect::Keep {
                state: Box::new(self.state.clone()),
                removed: Vec::new(),
            });
            out.push(SpoolEffect::KnownFurther { by, cursor });
        }
        Ok(place)
    }

    fn send_standing(&self, to: NodeId, asked: Position, out: &mut Vec<SpoolEffect>) {
        let word = Word::Standing(Standing {
            ledger: self.arguments.ledger,
            asked,
            life: self.state.life,
            extent: self.state.extent.clone(),
        });
        let signer = self.arguments.signer.as_ref();
        let message = PullMessage::Standing {
            ledger: self.arguments.ledger,
            statement: Statement::write(&word, &self.arguments.fleet, signer),
        };
        out.push(SpoolEffect::Send {
            to,
            message: Box::new(message),
        });
    }

    fn acknowledged(
        &mut self,
        from: NodeId,
        (life, head): (Life, Position),
        holders: &[NodeId],
        out: &mut Vec<SpoolEffect>,
    ) -> Result<(), Misbehaviour> {
        if holders.len() > PULL_HOLDERS_MAX {
            return Err(Misbehaviour::Holders);
        }
        let extent = &self.state.extent;
        if life == self.state.life && extent.place(&head) == Place::Unknown {
            // A lie where this start issued the numbers itself or still has the entry; else an
            // honest manager may remember what this disk has lost.
            if extent.has(head.number, head.incarnation) {
                return Err(Misbehaviour::Unknown);
            }
            if self.incarnation == Some(head.incarnation) && head.number > extent.head.number {
                return Err(Misbehaviour::Future);
            }
        }
        let place = self.meet(from, life, head, out)?;
        // What was read in another life was perhaps another entry of that number.
        if place == Place::Within && life == self.state.life {
            self.count(holders.iter().chain([&from]), head.number);
        }
        Ok(())
    }

    /// Distinct managers that the trust fold knows; a name that it does not know counts nothing.
    fn count<'a>(&mut self, managers: impl Iterator<Item = &'a NodeId>, number: u64) {
        for manager in managers.filter(|manager| self.holders.contains(manager)) {
            let acknowledged = &self.state.acknowledged;
            if acknowledged.len() >= ACKNOWLEDGED_MAX && !acknowledged.contains_key(manager) {
                continue;
            }
            let known = self.state.acknowledged.entry(*manager).or_insert(0);
            if number > *known {
                *known = number;
                self.room.changed = true;
            }
        }
    }

    /// What follows `after`, as much as fits into a batch.
    fn parts(&self, after: u64) -> Vec<Part> {
        let floor = self.state.extent.floor.number;
        let (mut parts, mut room) = (Vec::new(), TELEMETRY_BATCH_BYTES_MAX);
        let mut number = after + 1;
        while number <= self.state.extent.head.number {
            let gap = self.state.gap_at(number);
            let cost = match gap {
                Some(record) => Item::Gap(record.statement.clone()).cost(),
                None => self.sizes.get(number - floor - 1) as usize,
            };
            if cost > room {
                break;
            }
            room -= cost;
            match (gap, parts.last_mut()) {
                (Some(record), _) => {
                    parts.push(Part::Gap(record.statement.clone()));
                    number = record.gap.last.number;
                }
                (None, Some(Part::Entries(span))) => span.to = number,
                (None, _) => parts.push(Part::Entries(Span {
                    from: number,
                    to: number,
                })),
            }
            number += 1;
        }
        parts
    }
}

impl Machine for Spool {
    type Event = SpoolEvent;
    type Effect = SpoolEffect;

    fn handle(&mut self, now: Millis, event: SpoolEvent, out: &mut Vec<SpoolEffect>) {
        match event {
            SpoolEvent::Append(draft) => self.append(*draft, out),
            SpoolEvent::Received { from, message } => self.received(now, from, *message, out),
            SpoolEvent::Holders(holders) => {
                if self.state.acknowledged.len() >= ACKNOWLEDGED_MAX {
                    self.state
                        .acknowledged
                        .retain(|manager, _| holders.contains(manager));
                }
                self.readers.waiting.retain(|to| holders.contains(to));
                self.holders = holders;
            }
            SpoolEvent::SpaceShort { bytes, pressure } => self.space_short(bytes, pressure),
            SpoolEvent::Looked { number, hash } => self.looked(number, hash, out),
            SpoolEvent::Corrupt {
                span,
                previous,
                last,
            } => self.corrupt(span, (previous, last), out),
            SpoolEvent::Served { to } => {
                self.readers.serving.remove(&to);
            }
            SpoolEvent::Lost { peer } => {
                self.readers.serving.remove(&peer);
                self.readers.waiting.remove(&peer);
            }
            SpoolEvent::Renewed { serial, signer } => {
                self.arguments.serial = serial;
                self.arguments.signer = signer;
                self.incarnation = None;
            }
        }
        self.make_room(out);
    }

    /// A spool only ever answers.
    fn wake_at(&self) -> Option<Millis> {
        None
    }
}
