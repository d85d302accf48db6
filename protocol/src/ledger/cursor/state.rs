//! What a reader stores about one stream, together with the entries that it speaks of.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::codec::{self, Wire};
use crate::ident::{Hash, Incarnation};
use crate::ledger::cursor::check::Walk;
use crate::ledger::entry::LedgerId;
use crate::ledger::spool::position::{Extent, Place, Position, Span, Starts};
use crate::ledger::spool::statement::{GapReason, Standing, Statement, Word};
use crate::limits::SPOOL_STARTS_MAX;

/// Ranges that other managers hold and this one does not; beyond it, it reads no further.
const ELSEWHERE_MAX: usize = 64;
/// Gaps remembered by number; all are in the store, and counted.
const RECENT_GAPS_MAX: usize = 32;
/// Incarnations remembered as ended.
const RETIRED_MAX: usize = 4 * SPOOL_STARTS_MAX;
/// Earlier generations remembered with their totals.
const PAST_MAX: usize = 16;

/// Numbers dropped by the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapSpan {
    /// Which.
    pub span: Span,
    /// Why.
    pub reason: GapReason,
}

/// Numbers that the device released to other managers before this one read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Which.
    pub span: Span,
    /// The hash before them, where it is known.
    pub after: Option<Hash>,
    /// The hash of the last of them.
    pub until: Hash,
}

/// What became of a stream's numbers, as one reader knows it: delivered + gaps + elsewhere =
/// produced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTotals {
    /// Numbers passed by the cursor in this generation.
    pub produced: u64,
    /// Numbers stored here.
    pub delivered: u64,
    /// Numbers that the device dropped.
    pub gaps: u64,
    /// Numbers that other managers are said to hold, and that did not come from there yet.
    pub elsewhere: u64,
}

/// One unbroken reading of a ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// From where this generation reads (the floor) to the cursor (the head).
    pub extent: Extent,
    /// Numbers stored.
    pub delivered: u64,
    /// Numbers dropped by the device.
    pub gaps: u64,
    /// The latest of these.
    pub recent_gaps: Vec<GapSpan>,
    /// Missing elsewhere, by number.
    pub elsewhere: Vec<Elsewhere>,
}

/// An earlier reading, ended because the device lost what it had written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Its number.
    pub generation: u32,
    /// From where it read.
    pub base: Position,
    /// How far it came.
    pub cursor: Position,
    /// What became of its numbers.
    pub totals: StreamTotals,
    /// Those of them that were missing elsewhere when it ended; nobody is asked for them any more.
    pub elsewhere: Vec<Span>,
}

/// What a manager stores about one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamState {
    /// The ledger.
    pub ledger: LedgerId,
    /// How often the device lost its disk, or went back to an older one, as this reader knows.
    pub generation: u32,
    /// The present generation.
    pub timeline: Timeline,
    /// Earlier generations, the latest last.
    pub past: Vec<Past>,
    /// Incarnations that belong to earlier generations alone.
    pub retired: Vec<Incarnation>,
    /// The device's last word on where it stands: tells other managers about the generation.
    pub standing: Option<Statement>,
}

impl Wire for StreamState {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 64 * 1024;
    const WHAT: &'static str = "stream state";
}

/// Why the device's numbers do not go on where the cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing of the earlier ledger is left: an empty disk.
    Restarted,
    /// A part of it is left: an older image or backup.
    Restored,
}

impl Timeline {
    /// The last position that was passed.
    #[must_use]
    pub fn cursor(&self) -> Position {
        self.extent.head
    }

    /// What became of the numbers.
    ///
    /// # Panics
    /// When they do not add up: a bug of ours.
    #[must_use]
    pub fn totals(&self) -> StreamTotals {
        let totals = StreamTotals {
            produced: self.extent.head.number - self.extent.floor.number,
            delivered: self.delivered,
            gaps: self.gaps,
            elsewhere: self.elsewhere.iter().map(|range| range.span.count()).sum(),
        };
        assert_eq!(
            totals.delivered + totals.gaps + totals.elsewhere,
            totals.produced,
            "delivered + gaps + elsewhere = produced"
        );
        totals
    }

    /// Whether `position` was passed in this generation. Inside a gap the incarnations are not
    /// known; another reader may stand there, from before the gap grew.
    pub(super) fn knows(&self, position: &Position) -> bool {
        position.number <= self.extent.head.number
            && (self.extent.place(position) != Place::Unknown
                || self
                    .recent_gaps
                    .iter()
                    .any(|gap| gap.span.has(position.number) && gap.span.has(position.number + 1)))
    }

    pub(super) fn is_full(&self) -> bool {
        self.elsewhere.len() >= ELSEWHERE_MAX
    }

    /// Goes on by what was checked from the cursor on.
    pub(super) fn extend(&mut self, walk: &Walk) {
        for start in &walk.starts {
            self.extent.starts.note(start.incarnation, start.continues);
        }
        self.extent.head = walk.at;
        self.count(walk);
    }

    fn count(&mut self, walk: &Walk) {
        self.delivered += walk.held;
        for gap in &walk.gaps {
            self.gaps += gap.span.count();
            self.recent_gaps.push(*gap);
        }
        let excess = self.recent_gaps.len().saturating_sub(RECENT_GAPS_MAX);
        self.recent_gaps.drain(..excess);
        let _ = self.totals();
    }

    /// Puts what was checked into the range `index`, of which a part before may stay open.
    pub(super) fn fill(&mut self, index: usize, first: u64, walk: &Walk) {
        let range = self.elsewhere.remove(index);
        let mut rest = Vec::with_capacity(2);
        if first > range.span.from {
            rest.push(Elsewhere {
                span: Span {
                    from: range.span.from,
                    to: first - 1,
                },
                until: walk.first_previous.unwrap_or(range.until),
                ..range
            });
        }
        if walk.at.number < range.span.to {
            rest.push(Elsewhere {
                span: Span {
                    from: walk.at.number + 1,
                    to: range.span.to,
                },
                after: walk.linked.then_some(walk.at.hash),
                until: range.until,
            });
        }
        self.elsewhere.splice(index..index, rest);
        self.count(walk);
    }

    /// Goes on to the device's floor; what lies between is elsewhere.
    fn jump(&mut self, device: &Extent) {
        let cursor = self.cursor();
        for start in device.starts.up_to(device.floor.number).list() {
            if start.continues.number >= cursor.number {
                self.extent.starts.note(start.incarnation, start.continues);
            }
        }
        self.extent.starts.note(device.floor.incarnation, cursor);
        self.elsewhere.push(Elsewhere {
            span: Span {
                from: cursor.number + 1,
                to: device.floor.number,
            },
            after: Some(cursor.hash),
            until: device.floor.hash,
        });
        self.extent.head = device.floor;
        let _ = self.totals();
    }
}

fn first_outside(mut region: Span, lacking: Vec<Span>) -> Option<Span> {
    for range in lacking {
        if range.has(region.from) {
            region.from = range.to + 1;
        } else if range.from > region.from {
            region.to = region.to.min(range.from - 1);
            break;
        }
    }
    (region.from <= region.to).then_some(region)
}

/// What a device's standing means for a reader.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing: it can be served; or nothing was written since the loss, so there is nothing to
    /// read, and no other manager could tell such a word from one of long ago.
    Nothing,
    /// What had ended with an earlier generation is the present again.
    Back(Box<StreamState>),
    /// It goes on after what others hold.
    Behind(Box<StreamState>),
    /// It opens a generation.
    Lost(Box<StreamState>, Cause),
}

impl StreamState {
    /// A stream of which nothing was read.
    #[must_use]
    pub fn new(ledger: LedgerId) -> Self {
        Self {
            ledger,
            generation: 0,
            timeline: Timeline::default(),
            past: Vec::new(),
            retired: Vec::new(),
            standing: None,
        }
    }

    /// The first numbers stored here among those asked for, and in which generation they stand.
    /// What an earlier generation shares with the present one is not stored again in that.
    pub(super) fn first_held(&self, wanted: Span) -> Option<(u32, Span)> {
        let present = &self.timeline;
        let mut found = None;
        let mut upper = u64::MAX;
        let lacking = present.elsewhere.iter().map(|range| range.span).collect();
        let newest = (
            self.generation,
            present.extent.floor,
            present.cursor(),
            lacking,
        );
        let past = self.past.iter().rev();
        let past = past.map(|it| (it.generation, it.base, it.cursor, it.elsewhere.clone()));
        for (generation, base, cursor, lacking) in std::iter::once(newest).chain(past) {
            let region = Span {
                from: wanted.from.max(base.number + 1),
                to: wanted.to.min(cursor.number).min(upper),
            };
            if let Some(span) = first_outside(region, lacking) {
                found = Some((generation, span));
            }
            upper = upper.min(base.number);
        }
        let shared = self.first_shared(wanted);
        let earlier = |shared: &(u32, Span)| found.is_none_or(|(_, it)| shared.1.from < it.from);
        shared.filter(earlier).or(found)
    }

    /// The same for what an earlier generation has and the present one lists as elsewhere: an image
    /// that came back after a wipe goes on with incarnations that were read before the wipe.
    fn first_shared(&self, wanted: Span) -> Option<(u32, Span)> {
        let present = &self.timeline.extent;
        let past = self.past.iter();
        past.filter(|past| present.starts.has(past.cursor.incarnation))
            .filter_map(|past| {
                let end = present.end_of(past.cursor.incarnation);
                let region = Span {
                    from: wanted.from.max(past.base.number + 1),
                    to: wanted.to.min(past.cursor.number).min(end.number),
                };
                let span = first_outside(region, past.elsewhere.clone())?;
                Some((past.generation, span))
            })
            .min_by_key(|(_, span)| span.from)
    }

    /// Ends what the device named in its last word, once something is read that it did not know then.
    pub(super) fn overtake(&mut self) {
        let (word, read) = (self.standing.clone(), self.timeline.extent.starts.clone());
        self.end_unread(word.as_ref(), &read);
    }

    /// Ends incarnations that a word of the device named and that were never read, once `known` has
    /// one that this word did not know: else that word would be news again, from a manager that kept
    /// it.
    fn end_unread(&mut self, word: Option<&Statement>, known: &Starts) {
        let word = word.map(|word| codec::decode(&word.bytes));
        let Some(Ok(Word::Standing(word))) = word else {
            return;
        };
        let said = &word.extent.starts;
        if known.list().iter().all(|start| said.has(start.incarnation)) {
            return;
        }
        for start in said.list() {
            if !known.has(start.incarnation) && !self.retired.contains(&start.incarnation) {
                self.retired.push(start.incarnation);
            }
        }
        let excess = self.retired.len().saturating_sub(RETIRED_MAX);
        self.retired.drain(..excess);
    }

    /// What follows from where the device stands.
    pub(super) fn judge(&self, standing: &Standing, statement: &Statement) -> Verdict {
        let device = &standing.extent;
        match device.place(&self.timeline.cursor()) {
            Place::Within | Place::Behind if self.is_back(device) => {
                let mut next = self.clone();
                next.retired.retain(|i| !device.starts.has(*i));
                next.end_unread(self.standing.as_ref(), &device.starts);
                next.standing = Some(statement.clone());
                Verdict::Back(Box::new(next))
            }
            Place::Within => Verdict::Nothing,
            Place::Behind => {
                let mut next = self.clone();
                next.timeline.jump(device);
                next.retired.retain(|i| !device.starts.has(*i));
                next.end_unread(self.standing.as_ref(), &device.starts);
                next.standing = Some(statement.clone());
                Verdict::Behind(Box::new(next))
            }
            Place::Unknown if !self.is_due(standing) => Verdict::Nothing,
            Place::Unknown => {
                let (next, cause) = self.turn(device, statement);
                Verdict::Lost(Box::new(next), cause)
            }
        }
    }

    /// Whether a word that denies the cursor opens a generation. Other managers pass on words of
    /// long ago; but one that names the cursor itself was signed after that entry was written, and
    /// one with an incarnation never seen here is newer as well.
    fn is_due(&self, standing: &Standing) -> bool {
        let latest = standing.extent.starts.list().last();
        let names_cursor = standing.asked == self.timeline.cursor();
        latest.is_some_and(|latest| {
            !self.timeline.extent.starts.has(latest.incarnation)
                && (names_cursor || !self.retired.contains(&latest.incarnation))
        })
    }

    /// Whether an old disk is back: incarnations that had ended are followed by a new one.
    fn is_back(&self, device: &Extent) -> bool {
        self.is_news(device) && self.retired.iter().any(|i| device.starts.has(*i))
    }

    /// Whether a word is newer than what this reader knows: it names an incarnation that was never
    /// seen here.
    pub(super) fn is_news(&self, device: &Extent) -> bool {
        device.starts.list().last().is_some_and(|latest| {
            !self.timeline.extent.starts.has(latest.incarnation)
                && !self.retired.contains(&latest.incarnation)
        })
    }

    /// Whether the present generation has entries of an incarnation that ended with an earlier one, or
    /// that comes back after another: a gap of an earlier life may span the place where both parted.
    pub(super) fn is_mixed(&self) -> bool {
        let starts = &self.timeline.extent.starts;
        let mut seen = BTreeSet::new();
        let mut list = starts.list().iter();
        list.any(|start| !seen.insert(start.incarnation))
            || self.retired.iter().any(|retired| starts.has(*retired))
    }

    fn turn(&self, device: &Extent, statement: &Statement) -> (Self, Cause) {
        let before = &self.timeline;
        let base = before.extent.common(device);
        let cause = if base.number == 0 {
            Cause::Restarted
        } else {
            Cause::Restored
        };
        let mut next = self.clone();
        next.past.push(Past {
            generation: self.generation,
            base: before.extent.floor,
            cursor: before.cursor(),
            totals: before.totals(),
            elsewhere: before.elsewhere.iter().map(|range| range.span).collect(),
        });
        let excess = next.past.len().saturating_sub(PAST_MAX);
        next.past.drain(..excess);
        let starts = device.starts.up_to(base.number);
        let ended = before.extent.starts.list().iter().map(|s| s.incarnation);
        next.retired.extend(ended);
        next.end_unread(self.standing.as_ref(), &device.starts);
        // An old disk may be back: then what it has is the present again.
        next.retired.retain(|i| !device.starts.has(*i));
        let excess = next.retired.len().saturating_sub(RETIRED_MAX);
        next.retired.drain(..excess);
        next.generation = self.generation.saturating_add(1);
        next.standing = Some(statement.clone());
        next.timeline = Timeline {
            extent: Extent {
                floor: base,
                head: base,
                starts,
            },
            ..Timeline::default()
        };
        if device.floor.number > base.number {
            next.timeline.jump(device);
        }
        (next, cause)
    }
}
