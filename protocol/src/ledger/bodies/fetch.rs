//! The requester's side: ask, check, keep, and ask elsewhere where something goes wrong.

mod arrival;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) use self::arrival::Answer;
use crate::codec;
use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::message::{BodyClaim, BodyMessage, BodyRequest, RequestId};
use crate::ledger::bodies::route::ONCE_MS;
use crate::ledger::bodies::sealing::OpenPart;
use crate::ledger::bodies::tree::{Layout, Partial, Unit};
use crate::ledger::bodies::{Bodies, Effect, Failure, Step};
use crate::limits::{
    BODY_FAN_OUT, BODY_FETCHES_MAX, BODY_HOPS_MAX, BODY_WANTS_MAX, BODY_WINDOW_PIECES,
};
use crate::machine::Millis;

/// How long neighbours may search.
const SEARCH_MS: u64 = 10_000;
/// How long nothing may come of what was asked for; twice as long after each silence.
const PART_MS: u64 = 5_000;
/// But no longer than this.
const PART_MS_MAX: u64 = 20_000;
/// Parts that may fail to come by one way, one after the other.
const STALLS_MAX: u8 = 3;
/// Searches without one new part before the body is given up.
const TRIES_MAX: u8 = 3;
/// Between two searches: neighbours do not ask on for the same wish sooner.
const REST_MS: u64 = ONCE_MS + 1_000;

/// A request that is out.
#[derive(Clone, Debug)]
struct Search {
    id: RequestId,
    request: Box<BodyRequest>,
    /// Of the certificate in the request: keys may rotate before the last answer comes.
    secret: Arc<dyn OpenPart>,
    /// Who was asked, and whether an answer may still come.
    asked: BTreeMap<NodeId, bool>,
    /// Neighbours through whom the body comes or could come; the first is in use.
    ways: Vec<NodeId>,
    stalls: u8,
    /// How long the next part may take: a way that is slow stays slow.
    patience_ms: u64,
    /// After a silence: the part that was asked for a second time. What was asked for before it and
    /// comes later was lost.
    probe: Option<Unit>,
    until: Millis,
}

/// A body that is wanted.
#[derive(Clone, Debug)]
struct Fetch {
    bytes: u64,
    layout: Layout,
    partial: Partial,
    search: Option<Search>,
    /// When the next search may begin.
    rest_until: Millis,
    tries: u8,
    last: Failure,
    in_flight: BTreeMap<Unit, Millis>,
    /// Neighbours through whom something wrong came: asked last.
    suspects: BTreeSet<NodeId>,
}

/// All bodies that are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetches(BTreeMap<Hash, Fetch>);

impl Fetches {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn contains(&self, hash: &Hash) -> bool {
        self.0.contains_key(hash)
    }

    fn active(&self) -> usize {
        let active = self.0.values().filter(|fetch| fetch.search.is_some());
        active.count()
    }

    fn by_id(&self, id: &RequestId) -> Option<Hash> {
        let mut fetches = self.0.iter();
        fetches
            .find(|(_, fetch)| fetch.search.as_ref().is_some_and(|search| search.id == *id))
            .map(|(hash, _)| *hash)
    }

    pub fn wake_at(&self, connected: bool) -> Option<Millis> {
        let room = connected && self.active() < BODY_FETCHES_MAX;
        let each = self.0.values().filter_map(|fetch| match &fetch.search {
            Some(search) if search.ways.is_empty() => Some(search.until),
            Some(_) => fetch.in_flight.values().min().copied(),
            None => room.then_some(fetch.rest_until),
        });
        each.min()
    }
}

impl Bodies {
    pub(super) fn on_want(
        &mut self,
        step: &mut Step<'_>,
        hash: Hash,
        bytes: u64,
        partial: Partial,
    ) {
        if self.fetches.contains(&hash) {
            return;
        }
        let failed = |failure| Effect::Failed { hash, failure };
        let Some(layout) = Layout::of(bytes) else {
            step.out.push(failed(Failure::TooLong));
            return;
        };
        if self.have.get(&hash) == Some(&bytes) || partial.is_complete(layout) {
            self.have.insert(hash, bytes);
            step.out.push(Effect::Complete(hash));
            return;
        }
        if self.fetches.len() >= BODY_WANTS_MAX {
            step.out.push(failed(Failure::TooMany));
            return;
        }
        let fetch = Fetch {
            bytes,
            layout,
            partial,
            search: None,
            rest_until: step.now,
            tries: 0,
            last: Failure::Silence,
            in_flight: BTreeMap::new(),
            suspects: BTreeSet::new(),
        };
        self.fetches.0.insert(hash, fetch);
        self.begin_searches(step);
    }

    /// Begins as many searches as may go on at once.
    fn begin_searches(&mut self, step: &mut Step<'_>) {
        if self.peers.values().all(|peer| peer.condemned) {
            return;
        }
        let room = BODY_FETCHES_MAX.saturating_sub(self.fetches.active());
        let mut ready: Vec<(Millis, Hash)> = self
            .fetches
            .0
            .iter()
            .filter(|(_, fetch)| fetch.search.is_none() && fetch.rest_until <= step.now)
            .map(|(hash, fetch)| (fetch.rest_until, *hash))
            .collect();
        ready.sort_unstable();
        for (_, hash) in ready.into_iter().take(room) {
            self.begin_search(step, hash);
        }
    }

    fn begin_search(&mut self, step: &mut Step<'_>, hash: Hash) {
        let Some(fetch) = self.fetches.0.get_mut(&hash) else {
            return;
        };
        let serial = self.me.certificates.first().map(|own| own.serial());
        let claim = serial.map(|serial| BodyClaim {
            hash,
            bytes: fetch.bytes,
            node: self.me.node,
            serial,
            nonce: [self.prng.next_u64(), self.prng.next_u64()],
            issued: step.library.reference(),
        });
        let fleet = step.library.fleet();
        let request = claim.map(|claim| {
            let certificates = self.me.certificates.clone();
            BodyRequest::sign(claim, certificates, &fleet, self.me.signer.as_ref())
        });
        let Some(request) = request.filter(codec::fits) else {
            self.fetches.0.remove(&hash);
            let failure = Failure::Unpresentable;
            step.out.push(Effect::Failed { hash, failure });
            return;
        };
        fetch.search = Some(Search {
            id: request.id(),
            request: Box::new(request),
            secret: Arc::clone(&self.me.secret),
            asked: BTreeMap::new(),
            ways: Vec::new(),
            stalls: 0,
            patience_ms: PART_MS,
            probe: None,
            until: step.now.plus(SEARCH_MS),
        });
        self.ask_more(step, hash);
    }

    /// Asks further neighbours while nobody answers; where none is left, the search is over.
    fn ask_more(&mut self, step: &mut Step<'_>, hash: Hash) {
        let Some(search) = self.fetches.0.get(&hash).and_then(|f| f.search.as_ref()) else {
            return;
        };
        if !search.ways.is_empty() {
            return;
        }
        let asked: BTreeSet<NodeId> = search.asked.keys().copied().collect();
        let open = search.asked.values().filter(|open| **open).count();
        let candidates = self.candidates(&asked);
        let Some(fetch) = self.fetches.0.get_mut(&hash) else {
            return;
        };
        let Some(search) = fetch.search.as_mut() else {
            return;
        };
        let (last, first): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|node| fetch.suspects.contains(node));
        let room = BODY_FAN_OUT.saturating_sub(open);
        for node in first.into_iter().chain(last).take(room) {
            let message = BodyMessage::Request {
                hops_left: BODY_HOPS_MAX - 1,
                request: search.request.clone(),
            };
            step.send(node, message);
            search.asked.insert(node, true);
            search.until = step.now.plus(SEARCH_MS);
        }
        if !search.asked.values().any(|open| *open) {
            self.end_search(step, hash);
        }
    }

    /// Nobody gives it now: rest, or give up.
    fn end_search(&mut self, step: &mut Step<'_>, hash: Hash) {
        let Some(fetch) = self.fetches.0.get_mut(&hash) else {
            return;
        };
        if let Some(search) = fetch.search.take() {
            tell_done(step, &search);
        }
        fetch.in_flight.clear();
        fetch.tries += 1;
        fetch.rest_until = step.now.plus(REST_MS);
        if fetch.tries >= TRIES_MAX {
            let failure = fetch.last;
            self.fetches.0.remove(&hash);
            step.out.push(Effect::Failed { hash, failure });
        }
        self.begin_searches(step);
    }

    /// It is not wanted any more, or it is there.
    pub(super) fn drop_fetch(&mut self, step: &mut Step<'_>, hash: &Hash) {
        let fetch = self.fetches.0.remove(hash);
        if let Some(search) = fetch.and_then(|fetch| fetch.search) {
            tell_done(step, &search);
        }
        self.begin_searches(step);
    }

    /// A neighbour gives no (further) part: another way, another neighbour, or a new search.
    fn lose_way(&mut self, step: &mut Step<'_>, hash: Hash, peer: &NodeId) {
        let Some(fetch) = self.fetches.0.get_mut(&hash) else {
            return;
        };
        let Some(search) = fetch.search.as_mut() else {
            return;
        };
        if let Some(open) = search.asked.get_mut(peer) {
            *open = false;
        }
        let in_use = search.ways.first() == Some(peer);
        search.ways.retain(|way| way != peer);
        if in_use {
            fetch.in_flight.clear();
            search.stalls = 0;
            search.patience_ms = PART_MS;
            search.probe = None;
            search.until = step.now.plus(SEARCH_MS);
        }
        if search.ways.is_empty() {
            self.ask_more(step, hash);
        } else {
            self.ask_parts(step, hash);
        }
    }

    /// Keeps the window full.
    fn ask_parts(&mut self, step: &mut Step<'_>, hash: Hash) {
        let Some(fetch) = self.fetches.0.get_mut(&hash) else {
            return;
        };
        let Some(search) = fetch.search.as_ref() else {
            return;
        };
        let Some(way) = search.ways.first() else {
            return;
        };
        if fetch.in_flight.len() > BODY_WINDOW_PIECES / 2 {
            return;
        }
        let missing = fetch.partial.missing(fetch.layout);
        let units: Vec<Unit> = missing
            .filter(|unit| !fetch.in_flight.contains_key(unit))
            .take(BODY_WINDOW_PIECES - fetch.in_flight.len())
            .collect();
        if units.is_empty() {
            return;
        }
        let due = step.now.plus(search.patience_ms);
        fetch
            .in_flight
            .extend(units.iter().map(|unit| (*unit, due)));
        step.send(
            *way,
            BodyMessage::Ask {
                id: search.id,
                units,
            },
        );
    }

    pub(super) fn drop_ways_of(&mut self, step: &mut Step<'_>, peer: &NodeId) {
        let hashes: Vec<Hash> = self.fetches.0.keys().copied().collect();
        for hash in hashes {
            let fetch = self.fetches.0.get(&hash);
            let search = fetch.and_then(|fetch| fetch.search.as_ref());
            if search.is_some_and(|search| search.asked.get(peer) == Some(&true)) {
                self.lose_way(step, hash, peer);
            }
        }
    }

    /// A new neighbour may have what others lack.
    pub(super) fn ask_newcomer(&mut self, step: &mut Step<'_>) {
        let searching: Vec<Hash> = self
            .fetches
            .0
            .iter()
            .filter(|(_, fetch)| fetch.search.is_some())
            .map(|(hash, _)| *hash)
            .collect();
        for hash in searching {
            self.ask_more(step, hash);
        }
        self.begin_searches(step);
    }

    pub(super) fn wake_fetches(&mut self, step: &mut Step<'_>) {
        let hashes: Vec<Hash> = self.fetches.0.keys().copied().collect();
        for hash in hashes {
            self.wake_fetch(step, hash);
        }
        self.begin_searches(step);
    }

    fn wake_fetch(&mut self, step: &mut Step<'_>, hash: Hash) {
        let now = step.now;
        let Some(fetch) = self.fetches.0.get_mut(&hash) else {
            return;
        };
        let Some(search) = fetch.search.as_mut() else {
            return;
        };
        let Some(way) = search.ways.first().copied() else {
            if search.until <= now {
                let open = search.asked.iter_mut().filter(|(_, open)| **open);
                for (node, open) in open {
                    *open = false;
                    step.done(*node, search.id);
                }
                self.ask_more(step, hash);
            }
            return;
        };
        if !fetch.in_flight.values().any(|due| *due <= now) {
            return;
        }
        search.stalls += 1;
        search.patience_ms = (2 * search.patience_ms).min(PART_MS_MAX);
        if search.stalls >= STALLS_MAX {
            step.done(way, search.id);
            self.lose_way(step, hash, &way);
            return;
        }
        // Nobody knows whether they are lost or on a slow link, which must not carry all of them a
        // second time: the last one is asked for again, and says which.
        let due = now.plus(search.patience_ms);
        fetch.in_flight.values_mut().for_each(|at| *at = due);
        search.probe = fetch.in_flight.keys().next_back().copied();
        let (id, units) = (search.id, search.probe.into_iter().collect());
        step.send(way, BodyMessage::Ask { id, units });
    }
}

fn tell_done(step: &mut Step<'_>, search: &Search) {
    let open = search.asked.iter().filter(|(_, open)| **open);
    for (node, _) in open {
        step.done(*node, search.id);
    }
}
