//! What a spool stores beside its entries, the sum that must hold, and the sizes it keeps in memory.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::codec::Wire;
use crate::ident::NodeId;
use crate::ledger::entry::LedgerId;
use crate::ledger::spool::position::{Extent, Life, Position, Span};
use crate::ledger::spool::statement::{Gap, Statement};

/// What became of a ledger's numbers; those not listed are still in the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Numbers issued.
    pub produced: u64,
    /// Numbers that managers hold and the device has let go.
    pub delivered: u64,
    /// Those of `delivered` that only one manager held when space was short.
    pub one_copy: u64,
    /// Numbers dropped before anybody had acknowledged them.
    pub gaps: u64,
}

/// A gap that some manager has not heard of yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapRecord {
    /// What was dropped.
    pub gap: Gap,
    /// The same, signed.
    pub statement: Statement,
}

/// What a device stores beside the entries of one spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolState {
    /// The ledger.
    pub ledger: LedgerId,
    /// How often it was found to lack what somebody had read.
    pub life: Life,
    /// Released up to the floor, written up to the head as of this state.
    pub extent: Extent,
    /// What became of the numbers.
    pub totals: Totals,
    /// Gaps above the floor, by number.
    pub gaps: Vec<GapRecord>,
    /// Up to which number each manager is known to hold everything.
    pub acknowledged: BTreeMap<NodeId, u64>,
}

impl Wire for SpoolState {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 64 * 1024;
    const WHAT: &'static str = "spool state";
}

impl SpoolState {
    /// A ledger in which nothing was written.
    #[must_use]
    pub fn new(ledger: LedgerId) -> Self {
        Self {
            ledger,
            life: Life::default(),
            extent: Extent::default(),
            totals: Totals::default(),
            gaps: Vec::new(),
            acknowledged: BTreeMap::new(),
        }
    }

    /// The gap that covers `number`.
    #[must_use]
    pub fn gap_at(&self, number: u64) -> Option<&GapRecord> {
        let index = self
            .gaps
            .partition_point(|record| record.gap.last.number < number);
        self.gaps
            .get(index)
            .filter(|record| record.gap.from <= number)
    }

    /// The position of `number` where it is known without a look at the disk.
    #[must_use]
    pub fn position_of(&self, number: u64) -> Option<Position> {
        [self.extent.floor, self.extent.head]
            .into_iter()
            .find(|edge| edge.number == number)
            .or_else(|| {
                let record = self.gap_at(number)?;
                (record.gap.last.number == number).then_some(record.gap.last)
            })
    }

    /// The position of `number` with a hash that was read elsewhere.
    #[must_use]
    pub fn position_with(&self, number: u64, hash: crate::ident::Hash) -> Position {
        let starts = &self.extent.starts;
        Position {
            incarnation: starts.at(number).unwrap_or(self.extent.floor.incarnation),
            number,
            hash,
        }
    }
}

/// The sizes of the entries above the floor; four bytes an entry, zero for one in a gap.
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes {
    sizes: VecDeque<u32>,
    held: u64,
}

impl Sizes {
    pub(super) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Entries that are neither released nor dropped.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    pub(super) fn push(&mut self, bytes: u32) {
        self.held += u64::from(bytes > 0);
        self.sizes.push_back(bytes);
    }

    /// The size of the entry `offset` above the floor; 0 is the first.
    pub(super) fn get(&self, offset: u64) -> u32 {
        usize::try_from(offset)
            .ok()
            .and_then(|offset| self.sizes.get(offset))
            .copied()
            .unwrap_or(0)
    }

    /// Takes off the first `count`; gives back how many of them were held, and their bytes.
    pub(super) fn release(&mut self, count: u64) -> (u64, u64) {
        let (mut held, mut bytes) = (0, 0);
        for _ in 0..count {
            let size = self.sizes.pop_front().unwrap_or(0);
            held += u64::from(size > 0);
            bytes += u64::from(size);
        }
        self.held -= held;
        (held, bytes)
    }

    /// Marks those at `offsets` as dropped; gives back how many of them were held, and their bytes.
    pub(super) fn drop_at(&mut self, offsets: Span) -> (u64, u64) {
        let (mut held, mut bytes) = (0, 0);
        for offset in offsets.from..=offsets.to {
            let slot = usize::try_from(offset)
                .ok()
                .and_then(|offset| self.sizes.get_mut(offset));
            if let Some(size) = slot {
                held += u64::from(*size > 0);
                bytes += u64::from(*size);
                *size = 0;
            }
        }
        self.held -= held;
        (held, bytes)
    }

    /// How many from the front free `bytes`, all of `count` where they do not; none where nothing
    /// is held there.
    pub(super) fn freeing(&self, bytes: u64, count: u64) -> Option<u64> {
        let (mut freed, mut taken, mut last) = (0_u64, 0, None);
        for size in self
            .sizes
            .iter()
            .take(usize::try_from(count).unwrap_or(usize::MAX))
        {
            taken += 1;
            if *size > 0 {
                freed += u64::from(*size);
                last = Some(taken);
            }
            if freed >= bytes && last.is_some() {
                break;
            }
        }
        last
    }
}
