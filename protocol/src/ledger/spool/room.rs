//! How a spool makes room: release what managers hold, drop the oldest only when nobody has it.

use crate::ident::Hash;
use crate::ledger::entry::LedgerKind;
use crate::ledger::spool::position::{Position, Span};
use crate::ledger::spool::state::GapRecord;
use crate::ledger::spool::statement::{Gap, GapReason, Statement, Word};
use crate::ledger::spool::{Pressure, Spool, SpoolEffect};
use crate::limits::{SPOOL_ENTRIES_MAX, SPOOL_GAPS_MAX};

/// A request for space that is not fulfilled yet.
#[derive(Clone, Copy, Debug)]
struct Short {
    bytes: u64,
    freed: u64,
    may_drop: bool,
}

/// What is under way in making room, and what the next write of the state takes along.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    looking: Option<u64>,
    short: Option<Short>,
    removed: Vec<Span>,
    pub(super) changed: bool,
}

impl Spool {
    pub(super) fn space_short(&mut self, bytes: u64, pressure: Pressure) {
        let may_drop = match pressure {
            Pressure::Release => false,
            Pressure::Drop => self.arguments.ledger.kind != LedgerKind::Report,
            Pressure::DropReport => true,
        };
        let asked = self.room.short.unwrap_or(Short {
            bytes: 0,
            freed: 0,
            may_drop: false,
        });
        self.room.short = Some(Short {
            bytes: asked.bytes.max(bytes),
            freed: asked.freed,
            may_drop: asked.may_drop || may_drop,
        });
    }

    pub(super) fn looked(&mut self, number: u64, hash: Hash, out: &mut Vec<SpoolEffect>) {
        if self.room.looking == Some(number) {
            self.room.looking = None;
            if number > self.floor() {
                self.shrink_to(self.state.position_with(number, hash), out);
            }
        }
    }

    /// Releases and drops as far as it can without reading; asks for a look where it cannot.
    pub(super) fn make_room(&mut self, out: &mut Vec<SpoolEffect>) {
        let excess = self.sizes.len().saturating_sub(SPOOL_ENTRIES_MAX);
        let is_report = self.arguments.ledger.kind == LedgerKind::Report;
        if excess > 0 && !is_report && self.room.short.is_none() {
            self.space_short(1, Pressure::Drop);
        }
        while self.room.looking.is_none() {
            let Some(number) = self.goal() else { break };
            match self.state.position_of(number) {
                Some(position) => self.shrink_to(position, out),
                None => {
                    self.room.looking = Some(number);
                    out.push(SpoolEffect::Look { number });
                }
            }
        }
        if self.room.looking.is_none()
            && let Some(short) = self.room.short.take()
        {
            self.flush(out);
            out.push(SpoolEffect::Freed { bytes: short.freed });
        }
        self.flush(out);
    }

    /// Writes what changed, with what it removes, as one.
    pub(super) fn flush(&mut self, out: &mut Vec<SpoolEffect>) {
        if self.room.changed {
            self.room.changed = false;
            self.check_sum();
            out.push(SpoolEffect::Keep {
                state: Box::new(self.state.clone()),
                removed: std::mem::take(&mut self.room.removed),
            });
        }
    }

    pub(super) fn check_sum(&self) {
        let totals = &self.state.totals;
        assert_eq!(totals.produced, self.state.extent.head.number);
        assert_eq!(
            totals.delivered + totals.gaps + self.sizes.held(),
            totals.produced,
            "delivered + gaps + held = produced"
        );
        assert!(totals.one_copy <= totals.delivered);
    }

    fn floor(&self) -> u64 {
        self.state.extent.floor.number
    }

    /// Up to which number at least `copies` of the known holders hold everything; the end of an
    /// entry or of a whole gap.
    fn held_by(&self, copies: usize) -> u64 {
        let mut numbers: Vec<u64> = self
            .holders
            .iter()
            .filter_map(|holder| self.state.acknowledged.get(holder).copied())
            .collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        let number = copies
            .checked_sub(1)
            .and_then(|index| numbers.get(index))
            .copied()
            .unwrap_or(0);
        match self.state.gap_at(number) {
            Some(record) if record.gap.last.number > number => record.gap.from - 1,
            _ => number,
        }
    }

    /// Two copies where two managers could hold them, else one.
    fn held_enough(&self) -> u64 {
        self.held_by(self.holders.len().clamp(1, 2))
    }

    fn goal(&self) -> Option<u64> {
        let floor = self.floor();
        let enough = self.held_enough();
        if enough > floor {
            return Some(enough);
        }
        let short = self.room.short?;
        let missing = short.bytes.checked_sub(short.freed).filter(|m| *m > 0)?;
        let once = self.held_by(1);
        if once > floor {
            let count = self.sizes.freeing(missing, once - floor);
            return Some(count.map_or(once, |count| floor + count));
        }
        if !short.may_drop {
            return None;
        }
        let above = self.state.extent.head.number - floor;
        Some(floor + self.sizes.freeing(missing, above)?)
    }

    /// What `goal` aimed at, judged again: acknowledgements may have come or gone meanwhile.
    fn shrink_to(&mut self, position: Position, out: &mut Vec<SpoolEffect>) {
        let (once, number) = (self.held_by(1), position.number);
        if number <= self.held_enough() {
            self.release(position, false);
        } else if self.room.short.is_some() && number <= once {
            self.release(position, true);
        } else if self.room.short.is_some_and(|short| short.may_drop) && once <= self.floor() {
            let floor = self.state.extent.floor;
            self.drop_after(floor, position, GapReason::SpaceShort, out);
        }
    }

    fn release(&mut self, position: Position, one_copy: bool) {
        let floor = self.floor();
        let (held, bytes) = self.sizes.release(position.number - floor);
        self.state.totals.delivered += held;
        self.state.totals.one_copy += if one_copy { held } else { 0 };
        self.state
            .gaps
            .retain(|record| record.gap.last.number > position.number);
        self.state.extent.floor = position;
        self.removed(
            Span {
                from: floor + 1,
                to: position.number,
            },
            bytes,
        );
    }

    fn removed(&mut self, span: Span, bytes: u64) {
        self.room.changed = true;
        self.room.removed.push(span);
        if let Some(short) = &mut self.room.short {
            short.freed += bytes;
        }
    }

    /// Numbers that cannot be read, between two entries that can; or up to the head.
    pub(super) fn corrupt(&mut self, span: Span, edges: (Hash, Hash), out: &mut Vec<SpoolEffect>) {
        assert!(
            span.from <= span.to && span.to <= self.state.extent.head.number,
            "only what was written can be unreadable"
        );
        let last = self.state.position_with(span.to, edges.1);
        let mut before = self
            .state
            .position_with(span.from.saturating_sub(1), edges.0);
        if before.number < self.floor() {
            before = self.state.extent.floor;
        }
        if last.number > before.number {
            self.drop_after(before, last, GapReason::Corrupt, out);
        }
    }

    /// Turns what is still held after `before`, up to `last`, into gaps.
    pub(super) fn drop_after(
        &mut self,
        mut before: Position,
        last: Position,
        reason: GapReason,
        out: &mut Vec<SpoolEffect>,
    ) {
        let known: Vec<Gap> = self
            .state
            .gaps
            .iter()
            .map(|record| record.gap.clone())
            .filter(|gap| gap.last.number > before.number && gap.from <= last.number)
            .collect();
        for gap in known {
            if gap.from > before.number + 1 {
                let end = self.state.position_with(gap.from - 1, gap.previous);
                self.record_gap(before, end, reason, out);
            }
            before = gap.last;
        }
        if before.number < last.number {
            self.record_gap(before, last, reason, out);
        }
        while self.state.gaps.len() > SPOOL_GAPS_MAX {
            self.join_nearest(out);
        }
    }

    fn record_gap(
        &mut self,
        before: Position,
        last: Position,
        reason: GapReason,
        out: &mut Vec<SpoolEffect>,
    ) {
        let floor = self.floor();
        let offsets = Span {
            from: before.number - floor,
            to: last.number - floor - 1,
        };
        let (held, bytes) = self.sizes.drop_at(offsets);
        self.state.totals.gaps += held;
        let mut gap = Gap {
            ledger: self.arguments.ledger,
            from: before.number + 1,
            previous: before.hash,
            last,
            reason,
        };
        self.removed(gap.span(), bytes);
        // One that ends or begins right here for the same reason becomes a part of this one.
        self.state.gaps.retain(|record| {
            let other = &record.gap;
            if other.reason != reason {
                return true;
            }
            if other.last.number + 1 == gap.from {
                gap.from = other.from;
                gap.previous = other.previous;
                return false;
            }
            if other.from == gap.last.number + 1 {
                gap.last = other.last;
                return false;
            }
            true
        });
        self.insert_gap(gap, out);
    }

    fn insert_gap(&mut self, gap: Gap, out: &mut Vec<SpoolEffect>) {
        let statement = Statement::write(
            &Word::Gap(gap.clone()),
            &self.arguments.fleet,
            self.arguments.signer.as_ref(),
        );
        let index = self
            .state
            .gaps
            .partition_point(|record| record.gap.from < gap.from);
        out.push(SpoolEffect::Dropped {
            span: gap.span(),
            reason: gap.reason,
        });
        self.state.gaps.insert(index, GapRecord { gap, statement });
        self.room.changed = true;
    }

    /// The list is bounded: the two gaps with the fewest entries between them become one, and
    /// these entries are given up, listed like the rest.
    fn join_nearest(&mut self, out: &mut Vec<SpoolEffect>) {
        let between = |pair: &[GapRecord]| match pair {
            [a, b] => b.gap.from - a.gap.last.number,
            _ => u64::MAX,
        };
        let nearest = self
            .state
            .gaps
            .windows(2)
            .enumerate()
            .min_by_key(|(_, pair)| between(pair))
            .map(|(index, _)| index);
        let Some(index) = nearest else { return };
        let first = self.state.gaps.remove(index).gap;
        let second = self.state.gaps.remove(index).gap;
        let floor = self.floor();
        if second.from > first.last.number + 1 {
            let lost = Span {
                from: first.last.number + 1,
                to: second.from - 1,
            };
            let (held, bytes) = self.sizes.drop_at(Span {
                from: lost.from - floor - 1,
                to: lost.to - floor - 1,
            });
            self.state.totals.gaps += held;
            self.removed(lost, bytes);
        }
        let joined = Gap {
            from: first.from,
            previous: first.previous,
            ..second
        };
        self.insert_gap(joined, out);
    }
}
