//! What must hold of pulled ledgers after each event: nothing is stored that its device did not sign,
//! nothing acknowledged that is not on disk, nothing released that nobody holds.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::ident::{Hash, Incarnation, NodeId};
use regatta_protocol::ledger::cursor::Kept;
use regatta_protocol::ledger::cursor::state::StreamState;
use regatta_protocol::ledger::entry::{Entry, LedgerId, Parcel};
use regatta_protocol::ledger::spool::message::{Item, PullMessage};
use regatta_protocol::ledger::spool::position::{Position, Span};
use regatta_protocol::ledger::spool::state::SpoolState;
use regatta_protocol::ledger::spool::statement::Statement;

use crate::ids::{IdMap, IdSet};
use crate::network::NodeIndex;
use crate::pulled::store::{PulledDisk, SpoolDisk, StreamDisk, entry_hash};

/// Everything that was seen of pulled ledgers, to hold the next event against.
#[derive(Debug, Default)]
pub struct Streams {
    /// Every entry that a device wrote, by its name.
    signed: IdMap<(LedgerId, Incarnation, u64), Hash>,
    /// The same by its hash: its author and number, and its bytes.
    written: IdMap<Hash, Written>,
    /// Every gap that a device signed.
    gaps: IdSet<Hash>,
    /// The numbers of these.
    gapped: BTreeMap<LedgerId, BTreeSet<(u64, u64)>>,
    /// Which managers hold an entry, a bit each.
    copies: IdMap<Hash, Copies>,
    /// Devices whose disk was lost, or went back to an older image.
    unsteady: BTreeSet<NodeId>,
    /// Where a manager's stream stood before the write that its store has not answered yet.
    unanswered: BTreeMap<(NodeIndex, LedgerId), Position>,
    /// What was told to people.
    pub told: Told,
}

/// An entry as its device wrote it.
#[derive(Debug)]
struct Written {
    device: NodeId,
    number: u64,
    parcel: Parcel,
}

/// Which managers hold an entry, by their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Whose disk has it.
    pub now: u64,
    /// Whose disk had it once.
    pub ever: u64,
}

/// What was told to people about pulled ledgers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Generations begun, as managers saw it.
    pub generations: u64,
    /// Searches for what is missing elsewhere that found nobody.
    pub missing: u64,
    /// Streams not read further.
    pub saturated: u64,
    /// Words of managers that know more than the device's disk.
    pub known_further: u64,
    /// Entries that a manager read again after a device's disk was wiped and an image came back.
    pub again: u64,
    /// What somebody did that no honest member does.
    pub misbehaved: u64,
}

fn bit(manager: NodeIndex) -> u64 {
    assert!(manager < 64, "managers have the first places");
    1 << manager
}

impl Streams {
    /// Who holds an entry.
    #[must_use]
    pub fn copies(&self, hash: &Hash) -> Copies {
        self.copies.get(hash).copied().unwrap_or_default()
    }

    /// Whether a device ever listed this number as a gap.
    #[must_use]
    pub fn is_gap(&self, ledger: &LedgerId, number: u64) -> bool {
        self.gapped.get(ledger).is_some_and(|spans| {
            spans
                .iter()
                .any(|(from, to)| (*from..=*to).contains(&number))
        })
    }

    /// Every entry that was ever written, each once.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.signed.len() as u64
    }

    /// Entries that are on a manager's disk, and all their copies.
    #[must_use]
    pub fn held(&self) -> (u64, u64) {
        let held = self.copies.values().filter(|copies| copies.now != 0);
        held.fold((0, 0), |(entries, all), copies| {
            (entries + 1, all + u64::from(copies.now.count_ones()))
        })
    }

    /// A device writes an entry.
    pub fn appended(&mut self, entry: &Entry) -> Option<String> {
        let header = &entry.header;
        let name = (header.ledger, header.incarnation, header.number);
        let written = Written {
            device: header.ledger.author,
            number: header.number,
            parcel: entry.parcel.clone(),
        };
        self.written.insert(entry.hash, written);
        let before = self.signed.insert(name, entry.hash)?;
        Some(format!(
            "I8: number {} of a spool issued twice, also for {before:?}",
            header.number
        ))
    }

    /// A device says that it dropped something.
    pub fn gap_signed(&mut self, statement: &Statement) {
        self.gaps.insert(Hash::of(&statement.bytes));
    }

    /// A device stores a spool's state and lets go of entries: of those that managers hold, or that it
    /// lists as gaps.
    pub fn released(
        &mut self,
        disk: Option<&SpoolDisk>,
        state: &SpoolState,
        removed: &[Span],
    ) -> Option<String> {
        for record in &state.gaps {
            self.gap_signed(&record.statement);
            let spans = self.gapped.entry(state.ledger).or_default();
            spans.insert((record.gap.from, record.gap.last.number));
        }
        let disk = disk?;
        for span in removed {
            for (number, (_, indexed)) in disk.entries.range(span.from..=span.to) {
                let never = self.copies(&indexed.position.hash).ever == 0;
                if never && !self.is_gap(&state.ledger, *number) {
                    return Some(format!(
                        "I5: number {number} was released and nobody ever held it"
                    ));
                }
            }
        }
        None
    }

    /// A manager stores what it read.
    pub fn stored(
        &mut self,
        manager: NodeIndex,
        disk: &PulledDisk,
        items: &[Kept],
        state: &StreamState,
    ) -> Option<String> {
        let ledger = state.ledger;
        let disk = disk.streams.get(&ledger);
        let mut count = 0;
        for kept in items {
            let number = kept.span.from;
            let has = |disk: &StreamDisk| disk.items.contains_key(&(state.generation, number));
            if disk.is_some_and(has) {
                return Some(format!(
                    "I5: number {number} of {ledger:?} stored twice in one generation"
                ));
            }
            match &kept.item {
                Item::Gap(statement) if !self.gaps.contains(&Hash::of(&statement.bytes)) => {
                    return Some(format!(
                        "I3: stored a gap of {ledger:?} that the device did not sign"
                    ));
                }
                Item::Gap(_) => {}
                Item::Entry(parcel) => {
                    if let Some(what) = self.entry_stored(manager, disk, parcel, kept.span) {
                        return Some(what);
                    }
                    count += 1;
                }
            }
        }
        let before = disk.and_then(|disk| disk.counts.get(&state.generation));
        let stored = before.copied().unwrap_or(0) + count;
        let told = state.timeline.totals().delivered;
        (stored != told)
            .then(|| format!("I5: {stored} entries of {ledger:?} stored, {told} counted"))
    }

    fn entry_stored(
        &mut self,
        manager: NodeIndex,
        disk: Option<&StreamDisk>,
        parcel: &Parcel,
        span: Span,
    ) -> Option<String> {
        let number = span.from;
        let hash = Hash::of(&parcel.header);
        let known = self.written.get(&hash).filter(|written| {
            written.number == number
                && span.to == number
                && written.parcel.header == parcel.header
                && written.parcel.body == parcel.body
        });
        let Some(known) = known else {
            return Some(format!(
                "I3: stored number {number}, which its device did not sign"
            ));
        };
        if disk.is_some_and(|disk| disk.entries.contains(&hash)) {
            // What a wipe ended and an image brought back is read again, in a generation of its own.
            if !self.unsteady.contains(&known.device) {
                return Some(format!("I5: number {number} stored twice on one disk"));
            }
            self.told.again += 1;
        }
        let copies = self.copies.entry(hash).or_default();
        copies.now |= bit(manager);
        copies.ever |= bit(manager);
        None
    }

    /// A manager's store begins to write; until it answers nothing of it is durable.
    pub fn store_begun(&mut self, manager: NodeIndex, disk: &PulledDisk, ledger: LedgerId) {
        let stream = disk.streams.get(&ledger);
        let at = stream.map_or(Position::START, |disk| disk.state.timeline.cursor());
        self.unanswered.entry((manager, ledger)).or_insert(at);
    }

    /// The store has answered.
    pub fn store_answered(&mut self, manager: NodeIndex, ledger: &LedgerId) {
        self.unanswered.remove(&(manager, *ledger));
    }

    /// A manager started anew: what its store did not answer it reads from its disk.
    pub fn started(&mut self, manager: NodeIndex) {
        self.unanswered.retain(|(other, _), _| *other != manager);
    }

    /// A manager says something: what it acknowledges is on its disk, and its store has said so.
    pub fn sent(
        &self,
        manager: NodeIndex,
        disk: &PulledDisk,
        message: &PullMessage,
    ) -> Option<String> {
        let (ledger, head) = match message {
            PullMessage::Acknowledge { ledger, head, .. }
            | PullMessage::Copied { ledger, head, .. } => (ledger, head),
            PullMessage::Pull { ledger, cursor, .. } => (ledger, cursor),
            _ => return None,
        };
        let durable = self.unanswered.get(&(manager, *ledger));
        if durable.is_some_and(|durable| durable.number < head.number) {
            let number = head.number;
            return Some(format!(
                "I1: number {number} of {ledger:?} acknowledged before it was durable"
            ));
        }
        let holds = head.number == 0
            || disk
                .streams
                .get(ledger)
                .is_some_and(|disk| is_passed(disk, head));
        (!holds).then(|| {
            let number = head.number;
            format!("I1: number {number} of {ledger:?} acknowledged and not stored")
        })
    }

    /// A device's disk is gone, or an older one is there.
    pub fn device_lost(&mut self, device: NodeId) {
        self.unsteady.insert(device);
    }

    /// A manager's disk is gone, or an older one is there.
    pub fn disk_lost(&mut self, manager: NodeIndex, disk: &PulledDisk) {
        let has: IdSet<Hash> = disk
            .streams
            .values()
            .flat_map(|stream| stream.entries.iter().copied())
            .collect();
        for (hash, copies) in &mut self.copies {
            if !has.contains(hash) {
                copies.now &= !bit(manager);
            }
        }
    }
}

/// Whether a stream was read up to a position in its present generation: it is stored, listed as a gap
/// or as held elsewhere, or the generation begins there.
#[must_use]
pub fn is_passed(disk: &StreamDisk, head: &Position) -> bool {
    let timeline = &disk.state.timeline;
    let stored = || {
        let generations = 0..=disk.state.generation;
        generations.rev().any(|generation| {
            let upto = disk
                .items
                .range((generation, 0)..=(generation, head.number));
            upto.last()
                .is_some_and(|(_, kept)| match entry_hash(&kept.item) {
                    Some(hash) => hash == head.hash,
                    None => kept.span.has(head.number),
                })
        })
    };
    // A generation may begin while what was read of the one before is being answered.
    let past = disk.state.past.iter();
    let mut past = past.map(|past| (past.extent.head, past.elsewhere.as_slice()));
    let in_past = past.any(|(cursor, elsewhere)| {
        cursor == *head || elsewhere.iter().any(|span| span.has(head.number))
    });
    let in_present = timeline.cursor().number >= head.number
        && (timeline.cursor() == *head
            || timeline.extent.floor == *head
            || timeline
                .elsewhere
                .iter()
                .any(|range| range.span.has(head.number)));
    // What is on the disk is hashed: that comes last.
    in_present || in_past || stored()
}
