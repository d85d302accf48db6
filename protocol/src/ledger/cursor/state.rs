//! What a reader stores about one stream, together with the entries that it speaks of.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::codec::Wire;
use crate::ident::{Hash, Incarnation};
use crate::ledger::cursor::check::Walk;
use crate::ledger::entry::LedgerId;
use crate::ledger::spool::position::{Extent, Life, Place, Position, Span};
use crate::ledger::spool::statement::{GapReason, Standing, Statement};

/// Ranges that other managers hold and this one does not; beyond it, it reads no further.
const ELSEWHERE_MAX: usize = 64;
/// Gaps remembered by number; all are in the store, and counted.
const RECENT_GAPS_MAX: usize = 32;
/// Earlier generations remembered with their totals.
const PAST_MAX: usize = 8;

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
    /// From where it read, and how far it came.
    pub extent: Extent,
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
    /// The life of the ledger that was heard of last.
    pub life: Life,
    /// How often this reader had to begin anew, because what it had read was lost on the device.
    pub generation: u32,
    /// The present generation.
    pub timeline: Timeline,
    /// Earlier generations, the latest last.
    pub past: Vec<Past>,
    /// The word of the device that this follows: tells other managers of the life, and of a jump.
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

    /// What is missing elsewhere, in pieces of one incarnation each; zero where that is forgotten.
    pub(super) fn missing(&self) -> Vec<(Incarnation, Span)> {
        let starts = &self.extent.starts;
        let mut pieces = Vec::new();
        for range in &self.elsewhere {
            let mut from = range.span.from;
            while from <= range.span.to {
                let incarnation = starts.at(from).unwrap_or(Incarnation::ZERO);
                let next = starts.list().iter().map(|start| start.continues.number);
                let end = next.filter(|number| *number >= from).min();
                let to = end.map_or(range.span.to, |end| end.min(range.span.to));
                pieces.push((incarnation, Span { from, to }));
                from = to + 1;
            }
        }
        pieces
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
    /// Nothing: it is known, or an old word.
    Nothing,
    /// Another life, and nothing that was read is lost.
    Renamed(Box<StreamState>),
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
            life: Life::default(),
            generation: 0,
            timeline: Timeline::default(),
            past: Vec::new(),
            standing: None,
        }
    }

    /// The first numbers stored here among those asked for, and in which generation they stand.
    /// What an earlier generation shares with the present one is not stored again in that.
    pub(super) fn first_held(&self, wanted: Span) -> Option<(u32, Span)> {
        let mut found = None;
        let mut upper = u64::MAX;
        for (generation, extent, lacking) in self.readings() {
            let region = Span {
                from: wanted.from.max(extent.floor.number + 1),
                to: wanted.to.min(extent.head.number).min(upper),
            };
            if let Some(span) = first_outside(region, lacking) {
                found = Some((generation, span));
            }
            upper = upper.min(extent.floor.number);
        }
        found
    }

    /// The first numbers stored here that `incarnation` issued, among those asked for: whatever
    /// became of the ledger since, an incarnation issues a number once.
    pub(super) fn first_of(&self, incarnation: Incarnation, wanted: Span) -> Option<(u32, Span)> {
        let mut found: Option<(u32, Span)> = None;
        for (generation, extent, lacking) in self.readings() {
            let Some((after, last)) = extent.issued_by(incarnation) else {
                continue;
            };
            let region = Span {
                from: wanted.from.max(after + 1).max(extent.floor.number + 1),
                to: wanted.to.min(last),
            };
            let Some(span) = first_outside(region, lacking) else {
                continue;
            };
            if found.is_none_or(|(_, found)| span.from < found.from) {
                found = Some((generation, span));
            }
        }
        found
    }

    /// The present reading and the earlier ones, the latest first: what they span, and lack.
    fn readings(&self) -> impl Iterator<Item = (u32, &Extent, Vec<Span>)> {
        let present = &self.timeline;
        let lacking = present.elsewhere.iter().map(|range| range.span).collect();
        let newest = (self.generation, &present.extent, lacking);
        let past = self.past.iter().rev();
        let past = past.map(|it| (it.generation, &it.extent, it.elsewhere.clone()));
        std::iter::once(newest).chain(past)
    }

    /// What follows from where the device stands.
    pub(super) fn judge(&self, standing: &Standing, statement: &Statement) -> Verdict {
        let device = &standing.extent;
        let place = device.place(&self.timeline.cursor());
        if standing.life < self.life || standing.life == self.life && place != Place::Behind {
            return Verdict::Nothing;
        }
        let mut next = Box::new(self.clone());
        next.life = standing.life;
        next.standing = Some(statement.clone());
        match place {
            Place::Within => Verdict::Renamed(next),
            Place::Behind => {
                next.timeline.jump(device);
                Verdict::Behind(next)
            }
            Place::Unknown => {
                let cause = next.begin_anew(device);
                Verdict::Lost(next, cause)
            }
        }
    }

    /// Follows the device's word into another life, and goes no further.
    pub(super) fn rename(&self, standing: &Standing, statement: &Statement) -> Verdict {
        if standing.life <= self.life {
            return Verdict::Nothing;
        }
        let mut next = Box::new(self.clone());
        next.life = standing.life;
        next.standing = Some(statement.clone());
        Verdict::Renamed(next)
    }

    fn begin_anew(&mut self, device: &Extent) -> Cause {
        let before = &self.timeline;
        let base = before.extent.common(device);
        let cause = if base.number == 0 {
            Cause::Restarted
        } else {
            Cause::Restored
        };
        self.past.push(Past {
            generation: self.generation,
            extent: before.extent.clone(),
            totals: before.totals(),
            elsewhere: before.elsewhere.iter().map(|range| range.span).collect(),
        });
        let excess = self.past.len().saturating_sub(PAST_MAX);
        self.past.drain(..excess);
        self.generation = self.generation.saturating_add(1);
        self.timeline = Timeline {
            extent: Extent {
                floor: base,
                head: base,
                starts: device.starts.up_to(base.number),
            },
            ..Timeline::default()
        };
        if device.floor.number > base.number {
            self.timeline.jump(device);
        }
        cause
    }
}
