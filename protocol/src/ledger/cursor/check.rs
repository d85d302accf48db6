//! What a reader checks before it stores: author, signature, link and numbers of every item.

use crate::crypto::sign::{Context, PublicKey, Verify};
use crate::ident::{FleetId, Hash};
use crate::ledger::cursor::state::GapSpan;
use crate::ledger::entry::{Entry, LedgerId, Parcel};
use crate::ledger::spool::message::{Item, Misbehaviour};
use crate::ledger::spool::position::{Position, Span, Start};
use crate::ledger::spool::statement::{Statement, Word};
use crate::limits::TELEMETRY_BATCH_BYTES_MAX;

/// An item that was checked, with the numbers for which it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// One number, or those of a gap that the reader had not passed yet.
    pub span: Span,
    /// The item as received.
    pub item: Item,
}

/// Against what is checked.
pub(super) struct Checker<'a> {
    pub(super) ledger: LedgerId,
    pub(super) fleet: &'a FleetId,
    pub(super) keys: &'a [PublicKey],
    pub(super) verify: &'a dyn Verify,
}

/// Items in order, each following the one before it; those at or below the start were left out.
#[derive(Debug)]
pub(super) struct Walk {
    /// The position after the last item.
    pub(super) at: Position,
    /// Whether the hash in `at` is known.
    pub(super) linked: bool,
    /// What the first item names as previous.
    pub(super) first_previous: Option<Hash>,
    pub(super) starts: Vec<Start>,
    pub(super) held: u64,
    pub(super) gaps: Vec<GapSpan>,
    pub(super) items: Vec<Kept>,
}

impl Checker<'_> {
    /// Follows `items` from `at`, whose hash is known where `linked`, up to number `limit`.
    pub(super) fn walk(
        &self,
        at: Position,
        linked: bool,
        limit: u64,
        items: Vec<Item>,
    ) -> Result<Walk, Misbehaviour> {
        if items.iter().map(Item::cost).sum::<usize>() > TELEMETRY_BATCH_BYTES_MAX {
            return Err(Misbehaviour::Oversized);
        }
        let mut walk = Walk {
            at,
            linked,
            first_previous: None,
            starts: Vec::new(),
            held: 0,
            gaps: Vec::new(),
            items: Vec::new(),
        };
        for item in items {
            match item {
                Item::Entry(parcel) => self.entry(&mut walk, limit, parcel)?,
                Item::Gap(statement) => self.gap(&mut walk, limit, statement)?,
            }
        }
        Ok(walk)
    }

    fn entry(&self, walk: &mut Walk, limit: u64, parcel: Parcel) -> Result<(), Misbehaviour> {
        let entry = Entry::open(parcel).map_err(|_| Misbehaviour::Foreign)?;
        let header = &entry.header;
        if header.ledger != self.ledger {
            return Err(Misbehaviour::Foreign);
        }
        if header.number <= walk.at.number || header.number > limit {
            return Ok(());
        }
        walk.follow(header.number, header.previous)?;
        let signed = self.keys.iter().any(|key| {
            self.verify.verify(
                key,
                Context::Entry,
                self.fleet,
                &entry.parcel.header,
                &entry.parcel.signature,
            )
        });
        if !signed {
            return Err(Misbehaviour::Forged);
        }
        let span = Span {
            from: header.number,
            to: header.number,
        };
        let position = Position {
            incarnation: header.incarnation,
            number: header.number,
            hash: entry.hash,
        };
        walk.held += 1;
        walk.step(span, header.previous, position, Item::Entry(entry.parcel));
        Ok(())
    }

    fn gap(&self, walk: &mut Walk, limit: u64, statement: Statement) -> Result<(), Misbehaviour> {
        let gap = match statement.open(self.fleet, self.keys, self.verify) {
            Some(Word::Gap(gap)) if gap.ledger == self.ledger => gap,
            Some(_) => return Err(Misbehaviour::Foreign),
            None => return Err(Misbehaviour::Forged),
        };
        if gap.last.number <= walk.at.number || gap.from > limit {
            return Ok(());
        }
        // A reader may stand inside a gap that has grown since; then there is no link to check.
        if gap.from > walk.at.number {
            walk.follow(gap.from, gap.previous)?;
        }
        let span = Span {
            from: walk.at.number + 1,
            to: gap.last.number.min(limit),
        };
        walk.gaps.push(GapSpan {
            span,
            reason: gap.reason,
        });
        let whole = gap.last.number <= limit;
        let last = Position {
            number: span.to,
            ..gap.last
        };
        walk.step(span, gap.previous, last, Item::Gap(statement));
        walk.linked = whole;
        Ok(())
    }
}

impl Walk {
    fn follow(&self, number: u64, previous: Hash) -> Result<(), Misbehaviour> {
        if number != self.at.number + 1 {
            return Err(Misbehaviour::Skipped);
        }
        if self.linked && previous != self.at.hash {
            return Err(Misbehaviour::Unlinked);
        }
        Ok(())
    }

    fn step(&mut self, span: Span, previous: Hash, to: Position, item: Item) {
        if to.incarnation != self.at.incarnation {
            self.starts.push(Start {
                incarnation: to.incarnation,
                continues: self.at,
            });
        }
        self.first_previous.get_or_insert(previous);
        self.at = to;
        self.linked = true;
        self.items.push(Kept { span, item });
    }
}

/// The first number of an item, as far as it says one; nothing is checked.
pub(super) fn first_number(item: &Item) -> Option<u64> {
    match item {
        Item::Entry(parcel) => {
            let header: crate::ledger::entry::Header = crate::codec::decode(&parcel.header).ok()?;
            Some(header.number)
        }
        Item::Gap(statement) => match crate::codec::decode(&statement.bytes).ok()? {
            Word::Gap(gap) => Some(gap.from),
            Word::Standing(_) => None,
        },
    }
}
