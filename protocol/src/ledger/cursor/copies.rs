//! What managers give each other: every batch pulled is offered to the others, and what a device
//! released to others is fetched from them.

use std::collections::BTreeSet;

use crate::ident::NodeId;
use crate::ledger::cursor::check::first_number;
use crate::ledger::cursor::pull::pause_ms;
use crate::ledger::cursor::schedule::{Key, Task};
use crate::ledger::cursor::state::Verdict;
use crate::ledger::cursor::{Cursor, CursorEffect, Outcome, Stream};
use crate::ledger::spool::message::{Item, Misbehaviour, PullMessage};
use crate::ledger::spool::position::{Life, Position, Span};
use crate::ledger::spool::statement::Statement;
use crate::limits::{COPIES_PER_PEER_MAX, PULL_TIMEOUT_MS};
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
        if stream.keys.is_empty() || cursor.number == 0 && stream.state.life == Life::default() {
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
        let held = wanted.and_then(|wanted| stream.state.first_held(wanted));
        out.push(
            match held.filter(|(_, held)| Some(held.from) == wanted.map(|wanted| wanted.from)) {
                Some(held) => serve(stream, peer, held.1.from, held),
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
        (life, head): (Life, Position),
        standing: Option<Statement>,
        out: &mut Vec<CursorEffect>,
    ) -> Result<(), Misbehaviour> {
        let Some(stream) = self.streams.get(&key).filter(|it| it.storing.is_none()) else {
            return Ok(());
        };
        if life < stream.state.life {
            out.push(offer(stream, from));
            return Ok(());
        }
        if let Some(statement) = standing {
            let word = self
                .open_standing(stream, &statement)
                .ok_or(Misbehaviour::Forged)?;
            let verdict = match stream.state.judge(&word, &statement) {
                // What the other manager can send is better than a jump over it.
                Verdict::Behind(_) if !stream.fetching.refused => {
                    stream.state.rename(&word, &statement)
                }
                verdict => verdict,
            };
            self.turn(key, verdict, out);
        }
        let Some(stream) = self.streams.get_mut(&key).filter(|it| it.storing.is_none()) else {
            return Ok(());
        };
        if life > stream.state.life {
            // It named no word for that.
            return Ok(());
        }
        if stream.state.timeline.knows(&head) {
            stream.peers.entry(from).or_default().copied = Some(head);
            self.send_copied(key, from, out);
            self.schedule.plan(key, Task::Copy, now);
        } else {
            self.follow_on(now, key, from, head, out);
        }
        Ok(())
    }

    /// Another manager is ahead: it is asked for what follows; and where it had nothing that does,
    /// the device is asked what it thinks of where that one stands.
    fn follow_on(
        &mut self,
        now: Millis,
        key: Key,
        from: NodeId,
        head: Position,
        out: &mut Vec<CursorEffect>,
    ) {
        let refused = |stream: &Stream| stream.fetching.refused;
        if self.streams.get(&key).is_some_and(refused) {
            self.inquire(now, key, head, out);
        }
        self.catch_up(now, key, from, out);
    }

    /// A part of the stream from another manager: pushed, or fetched.
    pub(super) fn copy(
        &mut self,
        now: Millis,
        key: Key,
        from: NodeId,
        (life, asked): (Life, u64),
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
        if answers {
            let first = items.first().map(first_number);
            let Some(first) = first else {
                self.is_absent(now, key, from);
                return Ok(());
            };
            let first = first.ok_or(Misbehaviour::Foreign)?;
            if let Some(index) = stream.elsewhere_at(first) {
                return self.fill(now, key, from, (index, first), items, out);
            }
        }
        if from == self.arguments.me {
            // Its own disk was asked for what came from elsewhere meanwhile.
            if answers {
                self.is_absent(now, key, from);
            }
            return Ok(());
        }
        if life != stream.state.life {
            // It must not be filled with what the device has lost since.
            self.explain(key, from, life, out);
            return Ok(());
        }
        let Some(first) = items.first().map(first_number) else {
            if asked == stream.cursor().number + 1 {
                stream.fetching.refused = true;
            }
            return Ok(());
        };
        let first = first.ok_or(Misbehaviour::Foreign)?;
        let cursor = stream.cursor();
        if first > cursor.number + 1 {
            if asked > cursor.number + 1 {
                self.catch_up(now, key, from, out);
            } else {
                stream.fetching.refused = true;
            }
            return Ok(());
        }
        let followed = {
            let Some(stream) = self.streams.get(&key) else {
                return Ok(());
            };
            self.follow(stream, items)
        };
        match followed {
            Ok((Outcome::Store(state, items), _)) => {
                self.store(key, Some(from), state, items, out);
            }
            // All of it is held, or this one was read after a loss of which no word has come yet: no
            // lie of the manager that holds it. Either way it hears how far this one is.
            Ok((Outcome::Nothing, _)) | Err(Misbehaviour::Unlinked | Misbehaviour::Skipped) => {
                self.send_copied(key, from, out);
            }
            Err(reason) => return Err(reason),
        }
        Ok(())
    }

    /// Another manager speaks of another life: it hears the device's word for the later one, or is
    /// asked for it.
    pub(super) fn explain(&self, key: Key, to: NodeId, life: Life, out: &mut Vec<CursorEffect>) {
        if let Some(stream) = self.streams.get(&key).filter(|it| it.state.life != life) {
            out.push(offer(stream, to));
        }
    }

    pub(super) fn send_copied(&mut self, key: Key, to: NodeId, out: &mut Vec<CursorEffect>) {
        if let Some(stream) = self.streams.get(&key) {
            let message = PullMessage::Copied {
                ledger: stream.state.ledger,
                life: stream.state.life,
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
        (life, head): (Life, Position),
        out: &mut Vec<CursorEffect>,
    ) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        if life != stream.state.life {
            return self.explain(key, from, life, out);
        }
        if stream.state.timeline.knows(&head) {
            let copying = stream.peers.entry(from).or_default();
            let before = copying.copied.replace(head);
            if before.is_some_and(|before| before != head) {
                copying.failures = 0;
            }
            let stream_head = stream.cursor().number;
            self.land(key, from);
            self.acknowledge(key, Some(head), out);
            let behind = head.number < stream_head;
            if before == Some(head) && behind {
                // What was sent did not help; not at once again.
                self.back_off(now, key, from);
                self.inquire(now, key, head, out);
            } else {
                self.schedule.plan(key, Task::Copy, now);
            }
        } else if head.number > stream.cursor().number {
            self.follow_on(now, key, from, head, out);
        } else {
            self.land(key, from);
            self.back_off(now, key, from);
            self.inquire(now, key, head, out);
        }
    }

    fn back_off(&mut self, now: Millis, key: Key, peer: NodeId) {
        let stream = self.streams.get_mut(&key);
        if let Some(copying) = stream.and_then(|stream| stream.peers.get_mut(&peer)) {
            copying.failures = copying.failures.saturating_add(1);
            // Next time an offer, with what the device said, instead of the same copy.
            copying.copied = None;
            let until = now.plus(pause_ms(copying.failures, &mut self.prng));
            copying.until = Some(until);
            self.schedule.plan(key, Task::Copy, until);
        }
    }
}

pub(super) fn copy(stream: &Stream, from: u64) -> PullMessage {
    PullMessage::Copy {
        ledger: stream.state.ledger,
        life: stream.state.life,
        from,
        items: Vec::new(),
    }
}

pub(super) fn serve(stream: &Stream, to: NodeId, from: u64, held: (u32, Span)) -> CursorEffect {
    CursorEffect::Serve {
        to,
        message: Box::new(copy(stream, from)),
        generation: held.0,
        span: held.1,
    }
}

fn offer(stream: &Stream, to: NodeId) -> CursorEffect {
    CursorEffect::Send {
        to,
        message: Box::new(PullMessage::Offer {
            ledger: stream.state.ledger,
            life: stream.state.life,
            head: stream.cursor(),
            standing: stream.state.standing.clone(),
        }),
    }
}
