//! One device and a few managers in virtual time, with links that lose, double and reorder, and
//! nodes that crash between any two effects. One seed replays everything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::codec;
use crate::ident::{Hash, NodeId};
use crate::ledger::cursor::fixture::{
    DEVICE, DeviceDisk, KEY, LEDGER, ManagerDisk, draft, manager, restore_cursor, restore_spool,
};
use crate::ledger::cursor::{Cursor, CursorEffect, CursorEvent};
use crate::ledger::entry::LedgerId;
use crate::ledger::spool::message::{Item, PullMessage};
use crate::ledger::spool::position::Span;
use crate::ledger::spool::state::SpoolState;
use crate::ledger::spool::{Part, Pressure, Spool, SpoolEffect, SpoolEvent};
use crate::limits::TELEMETRY_BATCH_BYTES_MAX;
use crate::machine::{Machine, Millis};
use crate::prng::Prng;

pub(super) struct Reader {
    pub(super) cursor: Cursor,
    pub(super) disk: ManagerDisk,
    pub(super) pulls: bool,
    boot: u64,
}

enum Happening {
    Deliver(NodeId, NodeId, Vec<u8>),
    ToDevice(u64, SpoolEvent),
    ToManager(usize, u64, CursorEvent),
}

/// How bad the links and nodes are, in chances of a million.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) loss: u32,
    pub(super) double: u32,
    pub(super) crash: u32,
    pub(super) delay_ms: u64,
    /// Managers claim what they do not hold.
    pub(super) lies: bool,
}

pub(super) struct World {
    pub(super) prng: Prng,
    pub(super) now: Millis,
    pub(super) faults: Faults,
    pub(super) cut: BTreeSet<(NodeId, NodeId)>,
    pub(super) spool: Spool,
    pub(super) device: DeviceDisk,
    pub(super) readers: Vec<Reader>,
    /// The entry that last stood at each number on the device's disk.
    pub(super) issued: BTreeMap<u64, Hash>,
    /// Effects that concern people, as text: alarms, misbehaviour, gaps.
    pub(super) told: Vec<String>,
    queue: Queue,
}

/// What will happen, in order.
#[derive(Default)]
struct Queue {
    happenings: BTreeMap<(Millis, u64), Happening>,
    order: u64,
    /// What was meant for an earlier start of the device is dropped.
    device_boot: u64,
}

impl World {
    pub(super) fn new(seed: u64, managers: usize) -> Self {
        let mut prng = Prng::from_number(seed);
        let device = DeviceDisk::default();
        let readers = (0..managers)
            .map(|index| Reader {
                cursor: restore_cursor(index, &ManagerDisk::default(), prng.branch()),
                disk: ManagerDisk::default(),
                pulls: index == 0,
                boot: 0,
            })
            .collect();
        let mut world = Self {
            spool: restore_spool(&device, LEDGER, prng.branch()),
            prng,
            now: Millis(1_000),
            faults: Faults {
                delay_ms: 20,
                ..Faults::default()
            },
            cut: BTreeSet::new(),
            device,
            readers,
            issued: BTreeMap::new(),
            told: Vec::new(),
            queue: Queue::default(),
        };
        world.start_device();
        (0..managers).for_each(|index| world.start_manager(index));
        world
    }

    fn holders(&self) -> BTreeSet<NodeId> {
        (0..self.readers.len()).map(manager).collect()
    }

    fn index_of(&self, node: NodeId) -> Option<usize> {
        (0..self.readers.len()).find(|index| manager(*index) == node)
    }

    pub(super) fn start_device(&mut self) {
        self.queue.device_boot += 1;
        let ledger = self.spool.state().ledger;
        self.spool = restore_spool(&self.device, ledger, self.prng.branch());
        self.tell_device(SpoolEvent::Holders(self.holders()));
    }

    pub(super) fn start_manager(&mut self, index: usize) {
        let prng = self.prng.branch();
        let reader = &mut self.readers[index];
        reader.boot += 1;
        reader.cursor = restore_cursor(index, &reader.disk, prng);
        self.tell_manager(index, CursorEvent::Holders(self.holders()));
        self.open(index);
        let me = manager(index);
        for peer in self.holders().into_iter().chain([DEVICE]) {
            if peer == me {
                continue;
            }
            self.tell_manager(index, CursorEvent::Reached { peer });
            if let Some(other) = self.index_of(peer) {
                self.tell_manager(other, CursorEvent::Lost { peer: me });
                self.tell_manager(other, CursorEvent::Reached { peer: me });
            }
        }
    }

    /// Puts another ledger in the place of the device's; the readers keep to theirs.
    pub(super) fn make_ledger(&mut self, ledger: LedgerId) {
        self.spool = restore_spool(&self.device, ledger, self.prng.branch());
        self.tell_device(SpoolEvent::Holders(self.holders()));
    }

    pub(super) fn open(&mut self, index: usize) {
        let event = CursorEvent::Open {
            ledger: LEDGER,
            keys: vec![KEY],
            pulls: self.readers[index].pulls,
        };
        self.tell_manager(index, event);
    }

    pub(super) fn append(&mut self, bytes: usize) {
        self.tell_device(SpoolEvent::Append(Box::new(draft(self.now, bytes))));
    }

    pub(super) fn space_short(&mut self, bytes: u64) {
        for pressure in [Pressure::Release, Pressure::Drop] {
            self.tell_device(SpoolEvent::SpaceShort { bytes, pressure });
        }
    }

    pub(super) fn cut_off(&mut self, node: NodeId) {
        for other in self.holders().into_iter().chain([DEVICE]) {
            self.cut.insert((node, other));
            self.cut.insert((other, node));
        }
    }

    fn later(&mut self, delay: u64, happening: Happening) {
        self.queue.order += 1;
        self.queue
            .happenings
            .insert((self.now.plus(delay), self.queue.order), happening);
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: &PullMessage) {
        let copies = 1 + u32::from(self.prng.chance(self.faults.double));
        for _ in 0..copies {
            if self.cut.contains(&(from, to)) || self.prng.chance(self.faults.loss) {
                continue;
            }
            let delay = 1 + self.prng.below(self.faults.delay_ms);
            let bytes = codec::encode(message);
            self.later(delay, Happening::Deliver(from, to, bytes));
        }
    }

    /// Runs until `for_ms` have passed.
    pub(super) fn run(&mut self, for_ms: u64) {
        let end = self.now.plus(for_ms);
        loop {
            let wake = self
                .readers
                .iter()
                .enumerate()
                .filter_map(|(index, reader)| Some((reader.cursor.wake_at()?, index)))
                .min();
            let next = self
                .queue
                .happenings
                .first_key_value()
                .map(|((at, _), _)| *at);
            match (next, wake) {
                (Some(at), wake) if at <= end && wake.is_none_or(|(wake, _)| at <= wake) => {
                    self.now = self.now.max(at);
                    if let Some((_, happening)) = self.queue.happenings.pop_first() {
                        self.happen(happening);
                    }
                }
                (_, Some((at, index))) if at <= end => {
                    self.now = self.now.max(at);
                    self.tell_manager(index, CursorEvent::Wake);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver(from, to, bytes) => {
                let message = Box::new(codec::decode(&bytes).expect("a message of ours"));
                match self.index_of(to) {
                    Some(index) => {
                        self.tell_manager(index, CursorEvent::Received { from, message });
                    }
                    None => self.tell_device(SpoolEvent::Received { from, message }),
                }
            }
            Happening::ToDevice(boot, event) if boot == self.queue.device_boot => {
                self.tell_device(event)
            }
            Happening::ToManager(index, boot, event) if boot == self.readers[index].boot => {
                self.tell_manager(index, event);
            }
            Happening::ToDevice(..) | Happening::ToManager(..) => {}
        }
    }

    pub(super) fn tell_device(&mut self, event: SpoolEvent) {
        let mut out = Vec::new();
        self.spool.handle(self.now, event, &mut out);
        for effect in out {
            if self.prng.chance(self.faults.crash) {
                return self.start_device();
            }
            self.perform_on_device(effect);
        }
    }

    fn perform_on_device(&mut self, effect: SpoolEffect) {
        let boot = self.queue.device_boot;
        match effect {
            SpoolEffect::Append { entry, state } => {
                let number = entry.header.number;
                self.device.entries.insert(number, entry.parcel);
                self.issued.insert(number, entry.hash);
                if let Some(state) = state {
                    self.device.state = Some(codec::encode(state.as_ref()));
                }
            }
            SpoolEffect::Keep { state, removed } => {
                self.check_release(&state, &removed);
                for span in removed {
                    self.device.entries.retain(|number, _| !span.has(*number));
                }
                self.device.state = Some(codec::encode(state.as_ref()));
            }
            SpoolEffect::Look { number } => {
                let hash = Hash::of(&self.device.entries[&number].header);
                let event = SpoolEvent::Looked { number, hash };
                self.later(3, Happening::ToDevice(boot, event));
            }
            SpoolEffect::Serve { to, message, parts } => {
                let mut items = Vec::new();
                for part in parts {
                    match part {
                        Part::Gap(statement) => items.push(Item::Gap(statement)),
                        Part::Entries(span) => items.extend(
                            (span.from..=span.to)
                                .map(|n| Item::Entry(self.device.entries[&n].clone())),
                        ),
                    }
                }
                let cost: usize = items.iter().map(Item::cost).sum();
                assert!(cost <= TELEMETRY_BATCH_BYTES_MAX);
                self.send(DEVICE, to, &message.with_items(items));
                self.later(2, Happening::ToDevice(boot, SpoolEvent::Served { to }));
            }
            SpoolEffect::Send { to, message } => self.send(DEVICE, to, &message),
            told => self.told.push(format!("{told:?}")),
        }
    }

    /// Nothing leaves the device that is neither on some manager's disk nor listed as a gap. (An old
    /// image may bring back what managers have listed as a gap: that stays one.)
    fn check_release(&self, state: &SpoolState, removed: &[Span]) {
        if self.faults.lies {
            return;
        }
        for number in removed.iter().flat_map(|span| span.from..=span.to) {
            if self.device.entries.contains_key(&number) && state.gap_at(number).is_none() {
                let listed = self.readers.iter().any(|it| it.disk.has_gap(number));
                let kept = listed || self.is_held(number);
                assert!(kept, "{number} was released and nobody holds it");
            }
        }
    }

    /// Whether some manager's disk has the entry that stands at this number.
    pub(super) fn is_held(&self, number: u64) -> bool {
        let hash = self.issued[&number];
        let mut readers = self.readers.iter();
        readers.any(|reader| reader.disk.holds(number, hash))
    }

    pub(super) fn tell_manager(&mut self, index: usize, event: CursorEvent) {
        let mut out = Vec::new();
        self.readers[index].cursor.handle(self.now, event, &mut out);
        for effect in VecDeque::from(out) {
            if self.prng.chance(self.faults.crash) {
                return self.start_manager(index);
            }
            self.perform_on_manager(index, effect);
        }
    }

    fn perform_on_manager(&mut self, index: usize, effect: CursorEffect) {
        let me = manager(index);
        let reader = &mut self.readers[index];
        match effect {
            CursorEffect::Store {
                ledger,
                generation,
                token,
                items,
                state,
            } => {
                for kept in items {
                    let before = reader.disk.items.insert((generation, kept.span.from), kept);
                    assert!(before.is_none(), "a number was stored twice");
                }
                reader.disk.state = Some(codec::encode(state.as_ref()));
                let event = CursorEvent::Stored { ledger, token };
                let boot = reader.boot;
                self.later(2, Happening::ToManager(index, boot, event));
            }
            CursorEffect::Serve {
                to,
                message,
                generation,
                span,
            } => {
                let items = reader.disk.read(generation, span);
                let message = message.with_items(items);
                if to == me {
                    let event = CursorEvent::Received {
                        from: me,
                        message: Box::new(message),
                    };
                    let boot = reader.boot;
                    return self.later(2, Happening::ToManager(index, boot, event));
                }
                self.send(me, to, &message);
            }
            CursorEffect::Send { to, message } => {
                if let PullMessage::Acknowledge { head, .. } = message.as_ref() {
                    let stored = reader.disk.passed();
                    assert!(stored >= head.number, "acknowledged, not stored");
                }
                self.send(me, to, &message);
            }
            told => self.told.push(format!("{told:?}")),
        }
    }

    pub(super) fn has_told(&self, what: &str) -> bool {
        self.told.iter().any(|told| told.contains(what))
    }
}
