//! The neighbours through whom a body comes, and what is asked of which.
//!
//! A short body comes by one way. Of a long one every neighbour that hands it out itself gives a share,
//! those that still fetch it too; a holder of all of it is asked for what nobody else has or was given,
//! so that about one copy leaves it, however many want it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fetch, HUNGRY_MS, PART_MS};
use crate::ident::NodeId;
use crate::ledger::bodies::pieces::Pieces;
use crate::ledger::bodies::tree::Unit;
use crate::limits::BODY_WINDOW_PIECES;
use crate::machine::Millis;
use crate::prng::Prng;

/// Parts in flight by one way at first.
const WINDOW_AT_FIRST: usize = 8;
const WINDOW_MIN: usize = 4;
/// How long parts may wait for each other.
const WAIT_MS: u64 = 50;

/// What a neighbour has of a body that it fetches itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    pub lists: BTreeSet<u16>,
    pub pieces: Pieces,
}

/// A neighbour through whom the body comes, or could come.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub peer: NodeId,
    /// It hands the body out itself.
    pub direct: bool,
    /// What it has; none where that is all of it.
    pub share: Option<Share>,
    /// Pieces that it gave to others.
    pub given: Pieces,
    pub in_flight: BTreeMap<Unit, Flight>,
    pub stalls: u8,
    /// How long the next part may take: a way that is slow stays slow.
    pub patience_ms: u64,
    /// After a silence: the part that was asked for a second time. What was asked for before it and
    /// comes later was lost.
    pub probe: Option<Unit>,
    pace: Pace,
    /// Behind the piece that was asked for last.
    cursor: u16,
}

/// A part that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    asked: Millis,
    pub due: Millis,
}

/// How many parts are in flight at once: as many as keep the way busy, and no more than wait a moment for
/// each other; who waits long for what is queued hands it on late.
#[derive(Clone, Copy, Debug)]
struct Pace {
    window: usize,
    /// The shortest time from question to answer.
    base_ms: u64,
}

impl Pace {
    fn learn(&mut self, took_ms: u64) {
        self.base_ms = self.base_ms.min(took_ms);
        if took_ms <= 2 * self.base_ms + WAIT_MS {
            self.window = (self.window + 1).min(BODY_WINDOW_PIECES);
        } else if took_ms > 4 * (self.base_ms + WAIT_MS) {
            self.window = (self.window - 1).max(WINDOW_MIN);
        }
    }
}

impl Way {
    pub fn new(peer: NodeId, direct: bool, whole: bool) -> Self {
        Self {
            peer,
            direct,
            share: (!whole).then(Share::default),
            given: Pieces::default(),
            in_flight: BTreeMap::new(),
            stalls: 0,
            patience_ms: PART_MS,
            probe: None,
            pace: Pace {
                window: WINDOW_AT_FIRST,
                base_ms: PART_MS,
            },
            // Nowhere yet: each requester begins somewhere else.
            cursor: u16::MAX,
        }
    }

    /// How many parts may be asked for now: nothing before half of the window is free.
    fn room(&self) -> usize {
        match self.in_flight.len() {
            flying if flying > self.pace.window / 2 => 0,
            flying => self.pace.window - flying,
        }
    }

    /// A part came: its silence is over, and what was asked for before a probe was lost.
    pub fn landed(&mut self, now: Millis, unit: Unit) {
        if let Some(flight) = self.in_flight.remove(&unit) {
            self.pace.learn(now.since(flight.asked));
        }
        self.stalls = 0;
        if self.probe == Some(unit) {
            self.probe = None;
            self.in_flight.clear();
        }
        let due = now.plus(self.patience_ms);
        self.in_flight.values_mut().for_each(|it| it.due = due);
    }

    fn has_list(&self, index: u16) -> bool {
        let share = self.share.as_ref();
        share.is_none_or(|share| share.lists.contains(&index))
    }
}

/// What is asked of whom, and whether though others were given it.
type Asks = Vec<(NodeId, Vec<Unit>, bool)>;

impl Fetch {
    /// How many of the ways, from the first on, are in use.
    fn used(&self) -> usize {
        let ways = self.search.as_ref().map_or(&[][..], |search| &search.ways);
        let direct = ways.iter().take_while(|way| way.direct).count();
        match self.is_shared() {
            true => direct.max(1).min(ways.len()),
            false => ways.len().min(1),
        }
    }

    /// Keeps the windows full: says what is to be asked of whom now.
    pub(super) fn share_out(&mut self, now: Millis, prng: &mut Prng) -> Asks {
        let (used, shared) = (self.used(), self.is_shared());
        let mut lists: Vec<u16> = self.partial.missing_lists(self.layout).collect();
        let mut pieces = self.partial.missing_pieces(self.layout);
        let Some(search) = self.search.as_mut() else {
            return Asks::new();
        };
        let flying = search.ways.iter().flat_map(|way| way.in_flight.keys());
        let flying: Vec<Unit> = flying.copied().collect();
        lists.retain(|index| !flying.contains(&Unit::List(*index)));
        let pieces_flying = flying.iter().filter_map(|unit| match unit {
            Unit::Piece(index) => Some(*index),
            _ => None,
        });
        pieces.leave_out(&pieces_flying.collect());
        let open = search.asked.values().filter(|open| **open).count();
        let alone = used == 1 && (!shared || open <= 1 && search.later.is_empty());
        let ways = &mut search.ways[..used];
        if !alone && !lists.is_empty() {
            let turn = prng.below(lists.len() as u64);
            lists.rotate_left(usize::try_from(turn).unwrap_or(0));
        }
        let mut elsewhere = Pieces::default();
        let shares = ways.iter().filter_map(|way| way.share.as_ref());
        shares.for_each(|share| elsewhere.add(&share.pieces));
        let mut asks = Asks::new();
        // Those that have a share first: what they have nobody else is asked for.
        ways.sort_by_key(|way| way.share.is_none());
        for way in ways.iter_mut() {
            let mut room = way.room();
            let mut units = Vec::new();
            let (mine, others): (Vec<u16>, Vec<u16>) = lists
                .into_iter()
                .partition(|index| room > 0 && way.has_list(*index));
            let taken = mine.len().min(room);
            lists = [&mine[taken..], &others[..]].concat();
            units.extend(mine[..taken].iter().map(|index| Unit::List(*index)));
            room -= taken;
            let mut here = pieces.clone();
            match &way.share {
                Some(share) => here.keep_only(&share.pieces),
                None if alone => {}
                None => {
                    here.leave_out(&elsewhere);
                    here.leave_out(&way.given);
                }
            }
            let drawn = match alone {
                true => here.iter().take(room).collect(),
                false => here.draw(room, &mut way.cursor, prng),
            };
            pieces.leave_out(&drawn.iter().copied().collect());
            units.extend(drawn.into_iter().map(Unit::Piece));
            ask(&mut asks, way, (units, alone && shared), now);
        }
        let idle = ways.iter().all(|way| way.in_flight.is_empty());
        let source = ways.iter_mut().find(|way| way.share.is_none());
        match source.filter(|_| idle && !pieces.is_empty()) {
            Some(way) if std::mem::take(&mut search.starved) => {
                // Those who were given it are slow to hand it on, or not in reach.
                let drawn = pieces.draw(BODY_WINDOW_PIECES / 2, &mut way.cursor, prng);
                let units = drawn.into_iter().map(Unit::Piece).collect();
                ask(&mut asks, way, (units, true), now);
                search.hungry_at = None;
            }
            Some(_) => search.hungry_at = search.hungry_at.or(Some(now.plus(HUNGRY_MS))),
            None => search.hungry_at = None,
        }
        asks
    }
}

fn ask(asks: &mut Asks, way: &mut Way, (units, again): (Vec<Unit>, bool), now: Millis) {
    if !units.is_empty() {
        let due = now.plus(way.patience_ms);
        let flight = Flight { asked: now, due };
        way.in_flight
            .extend(units.iter().map(|unit| (*unit, flight)));
        asks.push((way.peer, units, again));
    }
}
