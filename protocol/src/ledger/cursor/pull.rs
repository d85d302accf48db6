//! Reading from devices: one pull at a time for a stream, and what its answers mean.

use crate::ledger::cursor::schedule::{Key, Task};
use crate::ledger::cursor::state::Verdict;
use crate::ledger::cursor::{Cursor, CursorEffect, Outcome, Stream};
use crate::ledger::spool::message::{Item, Misbehaviour, PullMessage};
use crate::ledger::spool::position::Position;
use crate::ledger::spool::statement::{Standing, Statement, Word};
use crate::limits::{PULL_PAUSE_MS_MAX, PULL_TIMEOUT_MS};
use crate::machine::Millis;
use crate::prng::Prng;

/// As how many time-outs a lie counts; for so long a device is asked, not listened to.
pub(super) const LIE_WEIGHT: u32 = 4;

impl Cursor {
    pub(super) fn batch(
        &mut self,
        now: Millis,
        key: Key,
        (after, head): (Position, Position),
        items: Vec<Item>,
        out: &mut Vec<CursorEffect>,
    ) -> Result<(), Misbehaviour> {
        let Some(stream) = self.streams.get(&key) else {
            return Ok(());
        };
        // What answers another cursor is a late duplicate, or was overtaken by a copy.
        if stream.storing.is_some() || after != stream.cursor() {
            return Ok(());
        }
        match self.follow(stream, items)?.0 {
            Outcome::Store(state, items) => self.store(key, None, state, items, out),
            Outcome::Nothing => {
                // All is read; news may have overtaken this. A head that the device names without
                // sending what leads to it counts nothing.
                let heard = self.streams.get_mut(&key).map(|stream| &mut stream.heard);
                let pause = if heard.map_or(0, std::mem::take) > after.number {
                    0
                } else if head == after {
                    PULL_PAUSE_MS_MAX
                } else {
                    PULL_TIMEOUT_MS
                };
                self.rest(key, now.plus(pause));
            }
        }
        Ok(())
    }

    pub(super) fn open_standing(&self, stream: &Stream, statement: &Statement) -> Option<Standing> {
        let verify = self.arguments.verify.as_ref();
        match statement.open(&self.arguments.fleet, &stream.keys, verify)? {
            Word::Standing(standing) if standing.ledger == stream.state.ledger => Some(standing),
            _ => None,
        }
    }

    pub(super) fn standing(
        &mut self,
        now: Millis,
        key: Key,
        statement: &Statement,
        out: &mut Vec<CursorEffect>,
    ) -> Result<(), Misbehaviour> {
        let Some(stream) = self.streams.get(&key) else {
            return Ok(());
        };
        let standing = self
            .open_standing(stream, statement)
            .ok_or(Misbehaviour::Forged)?;
        if stream.storing.is_some() {
            return Ok(());
        }
        let verdict = stream.state.judge(&standing, statement);
        if matches!(verdict, Verdict::Nothing) {
            self.rest(key, now.plus(PULL_PAUSE_MS_MAX));
        }
        self.turn(key, verdict, out);
        Ok(())
    }

    /// Stores what follows from where a device stands.
    pub(super) fn turn(&mut self, key: Key, verdict: Verdict, out: &mut Vec<CursorEffect>) {
        match verdict {
            Verdict::Nothing => {}
            Verdict::Renamed(state) => self.store(key, None, state, Vec::new(), out),
            Verdict::Behind(state) => {
                let full = self
                    .streams
                    .get(&key)
                    .is_some_and(|stream| stream.state.timeline.is_full());
                if full {
                    let ledger = state.ledger;
                    return out.push(CursorEffect::Saturated { ledger });
                }
                self.store(key, None, state, Vec::new(), out);
            }
            Verdict::Lost(state, cause) => {
                let (ledger, generation) = (state.ledger, state.generation);
                self.store(key, None, state, Vec::new(), out);
                out.push(CursorEffect::Generation {
                    ledger,
                    generation,
                    cause,
                });
            }
        }
    }

    pub(super) fn news(&mut self, now: Millis, key: Key, head: Position) {
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.heard = head.number;
            if !stream.flying && stream.failures < LIE_WEIGHT {
                self.schedule.plan(key, Task::Pull, now);
            }
        }
    }

    /// Ends a pull, if one is on its way, and plans the next.
    pub(super) fn rest(&mut self, key: Key, next: Millis) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        if std::mem::take(&mut stream.flying) {
            self.schedule.give_back(key);
        }
        self.schedule.plan(key, Task::Pull, next);
    }

    pub(super) fn pull_failed(&mut self, now: Millis, key: Key, weight: u32) {
        let Some(stream) = self.streams.get_mut(&key) else {
            return;
        };
        if stream.storing.is_some() {
            return;
        }
        stream.failures = stream.failures.saturating_add(weight);
        let pause = pause_ms(stream.failures, &mut self.prng);
        self.rest(key, now.plus(pause));
    }

    pub(super) fn may_pull(&self, key: Key) -> bool {
        self.reached.contains(&key.device)
            && self
                .streams
                .get(&key)
                .is_some_and(|stream| stream.pulls && !stream.keys.is_empty())
    }

    pub(super) fn launch(&mut self, now: Millis, out: &mut Vec<CursorEffect>) {
        while let Some(key) = self.schedule.next_pull() {
            if !self.may_pull(key) {
                self.schedule.give_back(key);
                continue;
            }
            let Some(stream) = self.streams.get_mut(&key) else {
                continue;
            };
            if stream.flying || stream.storing.is_some() {
                // It is planned again when that is stored.
                self.schedule.give_back(key);
                continue;
            }
            stream.flying = true;
            let cursor = stream.cursor();
            let message = PullMessage::Pull {
                ledger: stream.state.ledger,
                life: stream.state.life,
                cursor,
                holders: stream.holders_of(cursor.number),
            };
            out.push(CursorEffect::Send {
                to: key.device,
                message: Box::new(message),
            });
            self.schedule
                .plan(key, Task::Pull, now.plus(PULL_TIMEOUT_MS));
        }
    }
}

/// A pause that doubles with each failure, half of it by chance.
pub(super) fn pause_ms(failures: u32, prng: &mut Prng) -> u64 {
    let pause = (1000_u64 << failures.min(16)).min(PULL_PAUSE_MS_MAX);
    pause / 2 + prng.below(pause / 2 + 1)
}
