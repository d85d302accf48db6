//! What managers give each other: every batch pulled is offered to the others, and what a device
//! released to others is fetched from them.

use std::collections::BTreeSet;

use crate::ident::{Hash, NodeId};
use crate::ledger::cursor::check::first_number;
use crate::ledger::cursor::schedule::{Key, Task};
use crate::ledger::cursor::{Cursor, CursorEffect, Outcome, Stream, pause_ms};
use crate::ledger::spool::message::{Item, Misbehaviour, PullMessage};
use crate::ledger::spool::position::{Position, Span};
use crate::ledger::spool::statement::Statement;
use crate::limits::{COPIES_PER_PEER_MAX, PULL_PAUSE_MS_MAX, PULL_TIMEOUT_MS};
use crate::machine::Millis;

/// How far one other manager is with one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Copying {
    /// Up to where it said that it holds everything.
    pub(super) copied: Option<Position>,
    /// When to try again.
    until: Option<Millis>,
    failures: u32,
    flying: bool,
}

impl Copying {
    /// Ends what was on its way; says whether something was.
    pub(super) fn land(&mut self) -> bool {
        self.until = None;
        std::mem::take(&mut self.flying)
    }
}

/// The search for what is missing elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetching {
    /// Whom it asked, from which number on.
    asked: Option<(NodeId, u64)>,
    until: Option<Millis>,
    /// Who has nothing of the range that is asked for.
    absent: BTreeSet<NodeId>,
    /// Which range it is at.
    range: usize,
    /// When it last asked somebody to be brought up to the present.
    caught_up: Option<Millis>,
    told: bool,
}

impl Cursor {
    pub(super) fn set_holders(&mut self, now: Millis, holders: BTreeSet<NodeId>) {
        self.copies.retain(|peer, _| holders.contains(peer));
        for (key, stream) in &mut self.streams {
            stream.peers.retain(|peer, _| holders.contains(peer));
            self.schedule.plan(*key, Task::Copy, now);
            self.schedule.plan(*key, Task::Fetch, now);
        }
        self.holders = holders;
    }

    fn land(&mut self, key: Key, peer: NodeId) {
        let landed = self
            .streams
            .get_mut(&key)
            .and_then(|stream| stream.peers.get_mut(&peer))
            .is_some_and(Copying::land);
        if landed && let Some(copies) = self.copies.get_mut(&peer) {
            *copies = copies.saturating_sub(1);
        }
    }

    /// Sends each reachable manager what it lacks of this stream, or asks how far it is.
    pub(super) fn copy_out(&mut self, now: Millis, key: Key, out: &mut Vec<CursorEffect>) {
        let peers: Vec<NodeId> = self.holders.intersection(&self.reached).copied().collect();
        let mut next: Option<Millis> = None;
        for peer in peers {
            if let Some(at) = self.copy_to(now, key, peer, out) {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        if let Some(at) = next {
            self.schedule.plan(key, Task::Copy, at);
        }
    }

    /// Gives back when to come again.
    fn copy_to(
        &mut self,
        now: Millis,
        key: Key,
        peer: NodeId,
        out: &mut Vec<CursorEffect>,
    ) -> Option<Millis> {
        let streams = self.streams.len();
        let stream = self.streams.get_mut(&key)?;
        let cursor = stream.cursor();
        if stream.keys.is_empty() || cursor.number == 0 && stream.state.generation == 0 {
            return None;
        }
        let copying = stream.peers.entry(peer).or_default();
        if copying.copied.is_some_and(|it| it.number >= cursor.number) {
            return None;
        }
        if let Some(until) = copying.until.filter(|until| *until > now) {
            return Some(until);
        }
        let copies = self.copies.entry(peer).or_default();
        if copying.land() {
            copying.failures = copying.failures.saturating_add(1);
            *copies = copies.saturating_sub(1);
        }
        if *copies >= COPIES_PER_PEER_MAX {
            // Spread, so that very many streams do not all look again at once.
            let spread = self.prng.below(streams as u64);
            return Some(now.plus(PULL_TIMEOUT_MS / 50 + spread));
        }
        *copies += 1;
        copying.flying = true;
        let pause = PULL_TIMEOUT_MS / 4 + pause_ms(copying.failures, &mut self.prng);
        let until = now.plus(pause);
        copying.until = Some(until);
        let wanted = copying.copied.map(|copied| Span {
            from: copied.number + 1,
            to: cursor.number,
        });
        let held = wanted.and_then(|wanted| stream.state.timeline.first_held(wanted));
        out.push(
            match held.filter(|held| Some(held.from) == wanted.map(|wanted| wanted.from)) {
                Some(span) => serve(stream, peer, span.from, span),
                None => offer(stream, peer),
            },
        );
        Some(until)
    }

    /// Another manager says how far it is.
    pub(super) fn offered(
        &mut self,
        now: Millis,
        key: Key,
        from: NodeId,
        (head, standing): (Position, Option<Statement>),
        out: &mut Vec<CursorEffect>,
    ) -> Result<(), Misbehaviour> {
        let Some(stream) = self.streams.get_mut(&key) else {
            return Ok(());
        };
        if stream.storing.is_some() {
            return Ok(());
        }
        if stream.state.timeline.knows(&head) {
            stream.peers.entry(from).or_default().copied = Some(head);
            self.send_copied(key, from, out);
            self.schedule.plan(key, Task::Copy, now);
            return Ok(());
        }
        let Some(stream) = self.streams.get(&key) else {
            return Ok(());
        };
        if let Some(statement) = standing {
            let word = self
                .open_standing(stream, &statement)
                .ok_or(Misbehaviour::Forged)?;
            if stream.state.is_news(&word.extent) {
                let verdict = stream.state.judge(&word.extent, &statement);
                self.turn(key, verdict, out);
            }
        }
        self.catch_up(now, key, from, out);
        Ok(())
    }

    /// Asks another manager for what follows the cursor; not again while that may be on its way.
    fn catch_up(&mut self, now: Millis, key: Key, from: NodeId, out: &mut Vec<CursorEffect>) {
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
                anchor: cursor,
                from: cursor.number + 1,
                to: u64::MAX,
            }),
        });
    }

    /// Another manager asks for a part of the stream.
    pub(super) fn fetched(
        &mut self,
        key: Key,
        from: NodeId,
        anchor: Position,
        wanted: Span,
        out: &mut Vec<CursorEffect>,
    ) {
        let Some(stream) = self.streams.get(&key) else {
            return;
        };
        let timeline = &stream.state.timeline;
        let ours = if anchor.hash == Hash::ZERO {
            timeline.extent.has(anchor.number, anchor.incarnation)
        } else {
            timeline.knows(&anchor)
        };
        let held = timeline.first_held(wanted).filter(|_| ours);
        out.push(match held {
            Some(span) => serve(stream, from, wanted.from, span),
            None => CursorEffect::Send {
                to: from,
                message: Box::new(copy(stream, wanted.from)),
            },
        });
    }

    /// A part of the stream from another manager: pushed, or fetched.
    pub(super) fn copy(
        &mut self,
        now: Millis,
        key: Key,
        from: NodeId,
        (asked, head): (u64, Position),
        items: Vec<Item>,
        out: &mut Vec<CursorEffect>,
    ) -> Result<(), Misbehaviour> {
        let Some(stream) = self.streams.get_mut(&key) else {
            return Ok(());
        };
        if stream.storing.is_some() {
            return Ok(());
        }
        let answers = stream.fetching.asked == Some((from, asked));
        let Some(first) = items.first().map(first_number) else {
            if answers {
                stream.fetching.absent.insert(from);
                stream.fetching.asked = None;
                self.schedule.plan(key, Task::Fetch, now);
            }
            return Ok(());
        };
        let first = first.ok_or(Misbehaviour::Foreign)?;
        let cursor = stream.cursor();
        if first > cursor.number + 1 {
            if asked > cursor.number + 1 {
                self.catch_up(now, key, from, out);
            }
            return Ok(());
        }
        if let Some(index) = stream.elsewhere_at(first).filter(|_| answers) {
            return self.fill(key, from, (index, first), items, out);
        }
        let followed = {
            let Some(stream) = self.streams.get(&key) else {
                return Ok(());
            };
            self.follow(stream, items)
        };
        match followed {
            // A generation that has begun anew must not be filled with the one before it.
            Ok((Outcome::Store(state, _), _)) if state.is_mixed() => {
                self.answer_known(key, from, head, out);
            }
            Ok((Outcome::Store(state, items), _)) => {
                self.store(key, Some(from), state, items, out);
            }
            // All of it is held: say so, and store nothing.
            Ok((Outcome::Nothing, _)) => self.answer_known(key, from, head, out),
            // Another generation of the same ledger is no lie of the manager that holds it.
            Err(Misbehaviour::Unlinked | Misbehaviour::Skipped) => {
                self.answer_known(key, from, head, out);
            }
            Err(reason) => return Err(reason),
        }
        Ok(())
    }

    fn answer_known(
        &mut self,
        key: Key,
        from: NodeId,
        head: Position,
        out: &mut Vec<CursorEffect>,
    ) {
        let Some(stream) = self.streams.get(&key) else {
            return;
        };
        if stream.state.timeline.knows(&head) || head.number > stream.cursor().number {
            self.send_copied(key, from, out);
        } else if stream.state.generation > 0 {
            out.push(offer(stream, from));
        }
    }

    fn fill(
        &mut self,
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
        let walk = self
            .checker(stream)
            .walk(at, after.is_some(), range.span.to, items)?;
        let whole = walk.at.number == range.span.to && walk.linked;
        if whole && walk.at.hash != range.until {
            return Err(Misbehaviour::Unlinked);
        }
        if walk.items.is_empty() {
            return Ok(());
        }
        let mut state = Box::new(stream.state.clone());
        state.timeline.fill(index, start, &walk);
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.fetching.asked = None;
            stream.fetching.absent.clear();
            stream.fetching.until = None;
        }
        self.store(key, Some(from), state, walk.items, out);
        Ok(())
    }

    pub(super) fn send_copied(&mut self, key: Key, to: NodeId, out: &mut Vec<CursorEffect>) {
        if let Some(stream) = self.streams.get(&key) {
            let message = PullMessage::Copied {
                ledger: stream.state.ledger,
                head: stream.cursor(),
            };
            out.push(CursorEffect::Send {
                to,
                message: Box::new(message),
            });
        }
    }

    /// Another manager holds everything up to `head`.
    pub(super) fn copied(
        &mut self,
        now: Millis,
        key: Key,
        from: NodeId,
        head: Position,
        out: &mut Vec<CursorEffect>,
    ) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        if stream.state.timeline.knows(&head) {
            let copying = stream.peers.entry(from).or_default();
            copying.copied = Some(head);
            copying.failures = 0;
            self.land(key, from);
            self.acknowledge(key, Some(head), out);
            self.schedule.plan(key, Task::Copy, now);
        } else if head.number > stream.cursor().number {
            self.catch_up(now, key, from, out);
        }
    }

    /// Asks one manager after the other for one range after the other.
    pub(super) fn fetch_missing(&mut self, now: Millis, key: Key, out: &mut Vec<CursorEffect>) {
        let peers: Vec<NodeId> = self.holders.intersection(&self.reached).copied().collect();
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        let ranges = &stream.state.timeline.elsewhere;
        let fetching = &mut stream.fetching;
        let Some(first) = ranges.first() else {
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
        let found = loop {
            let Some(range) = ranges.get(fetching.range) else {
                break None;
            };
            let peer = peers.iter().find(|peer| !fetching.absent.contains(peer));
            if let Some(peer) = peer {
                break Some((*peer, range.span));
            }
            fetching.range += 1;
            fetching.absent.clear();
            if peers.is_empty() {
                break None;
            }
        };
        let Some((peer, span)) = found else {
            fetching.range = 0;
            fetching.absent.clear();
            if !std::mem::replace(&mut fetching.told, true) {
                out.push(CursorEffect::MissingElsewhere {
                    ledger: stream.state.ledger,
                    first: first.span,
                    numbers: ranges.iter().map(|range| range.span.count()).sum(),
                });
            }
            let next = now.plus(PULL_PAUSE_MS_MAX);
            return self.schedule.plan(key, Task::Fetch, next);
        };
        let until = now.plus(PULL_TIMEOUT_MS);
        fetching.asked = Some((peer, span.from));
        fetching.until = Some(until);
        let starts = &stream.state.timeline.extent.starts;
        let anchor = Position {
            incarnation: starts.at(span.from).unwrap_or(Position::START.incarnation),
            number: span.from,
            hash: Hash::ZERO,
        };
        out.push(CursorEffect::Send {
            to: peer,
            message: Box::new(PullMessage::Fetch {
                ledger: stream.state.ledger,
                anchor,
                from: span.from,
                to: span.to,
            }),
        });
        self.schedule.plan(key, Task::Fetch, until);
    }
}

impl Stream {
    fn elsewhere_at(&self, number: u64) -> Option<usize> {
        let ranges = &self.state.timeline.elsewhere;
        let asked = self.fetching.asked.map(|(_, from)| from);
        ranges.iter().position(|range| {
            range.span.has(number) || number < range.span.from && asked == Some(range.span.from)
        })
    }
}

fn copy(stream: &Stream, from: u64) -> PullMessage {
    PullMessage::Copy {
        ledger: stream.state.ledger,
        from,
        head: stream.cursor(),
        items: Vec::new(),
    }
}

fn serve(stream: &Stream, to: NodeId, from: u64, span: Span) -> CursorEffect {
    CursorEffect::Serve {
        to,
        message: Box::new(copy(stream, from)),
        generation: stream.state.generation,
        span,
    }
}

fn offer(stream: &Stream, to: NodeId) -> CursorEffect {
    CursorEffect::Send {
        to,
        message: Box::new(PullMessage::Offer {
            ledger: stream.state.ledger,
            head: stream.cursor(),
            standing: stream.state.standing.clone(),
        }),
    }
}
