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
/// How long nothing may come of what was asked for, where others have it too.
const SHARED_PART_MS: u64 = 2_000;
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
    /// `shared`: whether others can be asked for what this one is slow to give.
    pub fn new(peer: NodeId, direct: bool, whole: bool, shared: bool) -> Self {
        Self {
            peer,
            direct,
            share: (!whole).then(Share::default),
            given: Pieces::default(),
            in_flight: BTreeMap::new(),
            stalls: 0,
            patience_ms: if shared { SHARED_PART_MS } else { PART_MS },
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

    /// Whether what was asked of it is overdue: others are asked for it too.
    fn is_silent(&self) -> bool {
        self.stalls > 0
    }

    fn pieces_in_flight(&self) -> Pieces {
        let pieces = self.in_flight.keys().filter_map(|unit| match unit {
            Unit::Piece(index) => Some(*index),
            Unit::Outline | Unit::List(_) => None,
        });
        pieces.collect()
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
        let mut left = Left {
            lists: self.partial.missing_lists(self.layout).collect(),
            pieces: self.partial.missing_pieces(self.layout),
            elsewhere: Pieces::default(),
        };
        let Some(search) = self.search.as_mut() else {
            return Asks::new();
        };
        let open = search.asked.values().filter(|open| **open).count();
        let alone = used == 1 && (!shared || open <= 1 && search.later.is_empty());
        let owed = |way: &&Way| !shared || !way.is_silent();
        for way in search.ways.iter().filter(owed) {
            left.is_in_flight(way);
        }
        let ways = &mut search.ways[..used];
        for share in ways.iter().filter(|way| !way.is_silent()) {
            left.is_elsewhere(share);
        }
        if !alone && !left.lists.is_empty() {
            let turn = prng.below(left.lists.len() as u64);
            left.lists.rotate_left(usize::try_from(turn).unwrap_or(0));
        }
        let mut asks = Asks::new();
        // Those that have a share first: what they have nobody else is asked for.
        ways.sort_by_key(|way| way.share.is_none());
        for way in ways.iter_mut() {
            let units = match alone {
                true => left.first(way),
                false => left.drawn(way, prng),
            };
            ask(&mut asks, way, (units, alone && shared), now);
        }
        let idle = ways
            .iter()
            .all(|way| way.is_silent() || way.in_flight.is_empty());
        let mut sources = ways.iter_mut().filter(|way| way.share.is_none());
        let source = sources.find(|way| alone || !way.is_silent());
        match source.filter(|_| idle && !alone && !left.pieces.is_empty()) {
            Some(way) if std::mem::take(&mut search.starved) => {
                // Those who were given it are slow to hand it on, or not in reach.
                let count = BODY_WINDOW_PIECES / 2;
                let drawn = left.pieces.draw(count, &mut way.cursor, prng);
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

/// What is still to be asked for.
struct Left {
    lists: Vec<u16>,
    pieces: Pieces,
    /// Pieces that somebody has who does not have all.
    elsewhere: Pieces,
}

impl Left {
    fn is_in_flight(&mut self, way: &Way) {
        self.lists
            .retain(|index| !way.in_flight.contains_key(&Unit::List(*index)));
        self.pieces.leave_out(&way.pieces_in_flight());
    }

    fn is_elsewhere(&mut self, way: &Way) {
        if let Some(share) = &way.share {
            self.elsewhere.add(&share.pieces);
        }
    }

    /// Lists that a way has, as many as it has room for.
    fn some_lists(&mut self, way: &Way, room: usize) -> Vec<u16> {
        let mut taken = Vec::new();
        self.lists.retain(|index| {
            let new = !way.in_flight.contains_key(&Unit::List(*index));
            let takes = taken.len() < room && new && way.has_list(*index);
            if takes {
                taken.push(*index);
            }
            !takes
        });
        taken
    }

    fn take(&mut self, lists: Vec<u16>, pieces: Vec<u16>) -> Vec<Unit> {
        self.pieces.leave_out(&pieces.iter().copied().collect());
        let lists = lists.into_iter().map(Unit::List);
        lists.chain(pieces.into_iter().map(Unit::Piece)).collect()
    }

    /// What is asked of the only one there is, in order.
    fn first(&mut self, way: &Way) -> Vec<Unit> {
        let room = way.room();
        let lists = self.some_lists(way, room);
        let mut here = self.pieces.clone();
        here.leave_out(&way.pieces_in_flight());
        if let Some(share) = &way.share {
            here.keep_only(&share.pieces);
        }
        let pieces = here.iter().take(room - lists.len()).collect();
        self.take(lists, pieces)
    }

    /// What is asked of one of several.
    fn drawn(&mut self, way: &mut Way, prng: &mut Prng) -> Vec<Unit> {
        if way.is_silent() {
            return Vec::new();
        }
        let room = way.room();
        let lists = self.some_lists(way, room);
        let mut here = self.pieces.clone();
        match &way.share {
            Some(share) => here.keep_only(&share.pieces),
            None => {
                here.leave_out(&self.elsewhere);
                here.leave_out(&way.given);
            }
        }
        let pieces = here.draw(room - lists.len(), &mut way.cursor, prng);
        self.take(lists, pieces)
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
