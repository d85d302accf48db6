//! What a manager lacks and others hold: fetched range by range, or listed as missing elsewhere.

use std::collections::BTreeSet;

use crate::ident::{Hash, Incarnation, NodeId};
use crate::ledger::cursor::copies::{copy, serve};
use crate::ledger::cursor::schedule::{Key, Task};
use crate::ledger::cursor::{Cursor, CursorEffect, Stream};
use crate::ledger::spool::message::{Item, Misbehaviour, PullMessage};
use crate::ledger::spool::position::{Life, Position, Span};
use crate::limits::{PULL_PAUSE_MS_MAX, PULL_TIMEOUT_MS};
use crate::machine::Millis;

/// The search for what is missing elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetching {
    /// Whom it asked, from which number on.
    pub(super) asked: Option<(NodeId, u64)>,
    pub(super) until: Option<Millis>,
    /// Who has nothing of the range that is asked for.
    pub(super) absent: BTreeSet<NodeId>,
    /// Which range it is at.
    pub(super) range: usize,
    /// When it last asked somebody to be brought up to the present.
    pub(super) caught_up: Option<Millis>,
    /// Somebody who is further has not what follows the cursor.
    pub(super) refused: bool,
    /// When the device may be asked again to explain itself to another manager.
    inquired: Option<Millis>,
    pub(super) told: bool,
}

impl Cursor {
    /// Asks another manager for what follows the cursor; not again while that may be on its way.
    pub(super) fn catch_up(
        &mut self,
        now: Millis,
        key: Key,
        from: NodeId,
        out: &mut Vec<CursorEffect>,
    ) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        let asked = stream.fetching.caught_up;
        if stream.storing.is_some() || asked.is_some_and(|at| now < at) {
            return;
        }
        stream.fetching.caught_up = Some(now.plus(PULL_TIMEOUT_MS / 4));
        let cursor = stream.cursor();
        out.push(CursorEffect::Send {
            to: from,
            message: Box::new(PullMessage::Fetch {
                ledger: stream.state.ledger,
                life: stream.state.life,
                anchor: cursor,
                from: cursor.number + 1,
                to: u64::MAX,
            }),
        });
    }

    /// Another manager asks for a part of the stream.
    pub(super) fn fetched(
        &mut self,
        now: Millis,
        key: Key,
        from: NodeId,
        (life, anchor): (Life, Position),
        wanted: Span,
        out: &mut Vec<CursorEffect>,
    ) {
        let Some(stream) = self.streams.get(&key) else {
            return;
        };
        // Without a hash it is a range in the middle; whoever asks checks that it fits in there.
        let is_middle = anchor.hash == Hash::ZERO && anchor.number > 0;
        if life != stream.state.life && !is_middle {
            return self.explain(key, from, life, out);
        }
        let ours = is_middle || stream.state.timeline.knows(&anchor);
        let held = match (is_middle, anchor.incarnation) {
            (true, Incarnation::ZERO) | (false, _) => stream.state.first_held(wanted),
            (true, incarnation) => stream.state.first_of(incarnation, wanted),
        };
        let held = held.filter(|_| ours);
        out.push(match held {
            Some(held) => serve(stream, from, wanted.from, held),
            None => CursorEffect::Send {
                to: from,
                message: Box::new(copy(stream, wanted.from)),
            },
        });
        if !ours {
            self.inquire(now, key, anchor, out);
        }
    }

    pub(super) fn fill(
        &mut self,
        now: Millis,
        key: Key,
        from: NodeId,
        (index, first): (usize, u64),
        items: Vec<Item>,
        out: &mut Vec<CursorEffect>,
    ) -> Result<(), Misbehaviour> {
        let Some(stream) = self.streams.get(&key) else {
            return Ok(());
        };
        let Some(range) = stream.state.timeline.elsewhere.get(index) else {
            return Ok(());
        };
        // A gap may begin before the range; the link is known at the range's own edge alone.
        let start = first.max(range.span.from);
        let after = range.after.filter(|_| first == range.span.from);
        let at = Position {
            number: start - 1,
            hash: after.unwrap_or(Hash::ZERO),
            ..Position::START
        };
        let walked = self
            .checker(stream)
            .walk(at, after.is_some(), range.span.to, items);
        // The device's own word said who issued these numbers. What does not fit is of another
        // generation, and no lie of the manager that holds it.
        let extent = &stream.state.timeline.extent;
        let fits = |at: &Position| {
            extent.has(at.number, at.incarnation)
                && (at.number < range.span.to || at.hash == range.until)
        };
        let walk = match walked {
            Ok(walk) if !walk.items.is_empty() && (!walk.linked || fits(&walk.at)) => walk,
            Ok(_) | Err(Misbehaviour::Unlinked | Misbehaviour::Skipped) => {
                self.is_absent(now, key, from);
                return Ok(());
            }
            Err(reason) => return Err(reason),
        };
        let mut state = Box::new(stream.state.clone());
        state.timeline.fill(index, start, &walk);
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.fetching.asked = None;
            stream.fetching.absent.clear();
            stream.fetching.until = None;
        }
        let giver = Some(from).filter(|from| *from != self.arguments.me);
        self.store(key, giver, state, walk.items, out);
        Ok(())
    }

    /// Another manager stands where this ledger never was, as far as is known here: the device's
    /// own word will tell it.
    pub(super) fn inquire(
        &mut self,
        now: Millis,
        key: Key,
        cursor: Position,
        out: &mut Vec<CursorEffect>,
    ) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        let life = stream.state.life;
        let fetching = &mut stream.fetching;
        if fetching.inquired.is_some_and(|until| now < until) {
            return;
        }
        fetching.inquired = Some(now.plus(PULL_TIMEOUT_MS));
        if self.reached.contains(&key.device) {
            let ledger = stream.state.ledger;
            out.push(CursorEffect::Send {
                to: key.device,
                message: Box::new(PullMessage::Inquire {
                    ledger,
                    life,
                    cursor,
                }),
            });
        }
    }

    /// That manager has nothing of the range that it was asked for.
    pub(super) fn is_absent(&mut self, now: Millis, key: Key, from: NodeId) {
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.fetching.absent.insert(from);
            stream.fetching.asked = None;
            self.schedule.plan(key, Task::Fetch, now);
        }
    }

    /// Asks one manager after the other for one range after the other; first its own disk, where an
    /// earlier generation may have it.
    pub(super) fn fetch_missing(&mut self, now: Millis, key: Key, out: &mut Vec<CursorEffect>) {
        let me = self.arguments.me;
        let reached = self.holders.intersection(&self.reached).copied();
        let peers: Vec<NodeId> = std::iter::once(me).chain(reached).collect();
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        let pieces = stream.state.timeline.missing();
        let fetching = &mut stream.fetching;
        let Some((_, first)) = pieces.first() else {
            fetching.told = false;
            return;
        };
        if let Some(until) = fetching.until.filter(|until| *until > now)
            && fetching.asked.is_some()
        {
            return self.schedule.plan(key, Task::Fetch, until);
        }
        if let Some((silent, _)) = fetching.asked.take() {
            fetching.absent.insert(silent);
        }
        let mut found = None;
        while let Some((incarnation, span)) = pieces.get(fetching.range).copied() {
            let peer = peers.iter().find(|peer| !fetching.absent.contains(peer));
            let Some(peer) = peer.copied() else {
                fetching.range += 1;
                fetching.absent.clear();
                continue;
            };
            let held = stream.state.first_of(incarnation, span);
            if peer == me && held.is_none() {
                fetching.absent.insert(me);
                continue;
            }
            found = Some((peer, incarnation, span, held));
            break;
        }
        let Some((peer, incarnation, span, held)) = found else {
            fetching.range = 0;
            fetching.absent.clear();
            if !std::mem::replace(&mut fetching.told, true) {
                out.push(CursorEffect::MissingElsewhere {
                    ledger: stream.state.ledger,
                    first: *first,
                    numbers: pieces.iter().map(|(_, span)| span.count()).sum(),
                });
            }
            let next = now.plus(PULL_PAUSE_MS_MAX);
            return self.schedule.plan(key, Task::Fetch, next);
        };
        let until = now.plus(PULL_TIMEOUT_MS);
        fetching.asked = Some((peer, span.from));
        fetching.until = Some(until);
        let anchor = Position {
            incarnation,
            number: span.from,
            hash: Hash::ZERO,
        };
        out.push(match held.filter(|_| peer == me) {
            Some(held) => serve(stream, me, span.from, held),
            None => CursorEffect::Send {
                to: peer,
                message: Box::new(PullMessage::Fetch {
                    ledger: stream.state.ledger,
                    life: stream.state.life,
                    anchor,
                    from: span.from,
                    to: span.to,
                }),
            },
        });
        self.schedule.plan(key, Task::Fetch, until);
    }
}

impl Stream {
    pub(super) fn elsewhere_at(&self, number: u64) -> Option<usize> {
        let ranges = &self.state.timeline.elsewhere;
        let asked = self.fetching.asked.map(|(_, from)| from);
        ranges.iter().position(|range| {
            range.span.has(number) || number < range.span.from && asked == Some(range.span.from)
        })
    }
}
