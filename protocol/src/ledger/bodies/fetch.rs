//! The requester's side: ask, check, keep, and ask elsewhere where something goes wrong.

mod around;
mod arrival;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) use self::arrival::{Answer, News, Part};
use self::ways::Way;
use crate::codec;
use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::message::{BodyClaim, BodyMessage, BodyRequest, RequestId};
use crate::ledger::bodies::route::ONCE_MS;
use crate::ledger::bodies::sealing::OpenPart;
use crate::ledger::bodies::tree::{Layout, Partial, Unit};
use crate::ledger::bodies::{Bodies, Effect, Failure, Step};
use crate::limits::{
    BODY_FAN_OUT, BODY_FETCHES_MAX, BODY_HOPS_MAX, BODY_SHARED_PIECES_MIN, BODY_WANTS_MAX,
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
/// How long nothing may be in flight, and nobody say that he has more, before what others were given is
/// asked for at the source.
const HUNGRY_MS: u64 = 1_500;
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
    /// Who fetches it too, and answers once it has something of it.
    later: BTreeSet<NodeId>,
    /// Neighbours through whom the body comes or could come; those that hand it out themselves first.
    ways: Vec<Way>,
    /// When a holder of all of it is asked for what others were given, if nothing is in flight by then.
    hungry_at: Option<Millis>,
    /// That time has come.
    starved: bool,
    /// When it is over, if nothing is in flight by then.
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
    /// Neighbours through whom something wrong came: asked last.
    suspects: BTreeSet<NodeId>,
}

impl Fetch {
    /// Whether it is long enough to be had from several neighbours at once.
    fn is_shared(&self) -> bool {
        is_shared(self.layout)
    }
}

impl Search {
    fn way(&mut self, peer: &NodeId) -> Option<&mut Way> {
        self.ways.iter_mut().find(|way| way.peer == *peer)
    }

    fn dues(&self) -> impl Iterator<Item = Millis> + '_ {
        let ways = self.ways.iter();
        ways.flat_map(|way| way.in_flight.values().map(|it| it.due))
    }
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

    pub fn layout(&self, hash: &Hash) -> Option<Layout> {
        self.0.get(hash).map(|fetch| fetch.layout)
    }

    /// What there is of a body that is being fetched.
    pub fn partial(&self, hash: &Hash) -> Option<&Partial> {
        self.0.get(hash).map(|fetch| &fetch.partial)
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
            Some(search) => {
                let next = search.dues().min().unwrap_or(search.until);
                Some(search.hungry_at.map_or(next, |at| at.min(next)))
            }
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
            later: BTreeSet::new(),
            ways: Vec::new(),
            hungry_at: None,
            starved: false,
            until: step.now.plus(SEARCH_MS),
        });
        self.ask_more(step, hash);
    }

    /// Asks further neighbours while nobody answers; where none is left, the search is over.
    fn ask_more(&mut self, step: &mut Step<'_>, hash: Hash) {
        let fetch = self.fetches.0.get(&hash);
        let Some((fetch, search)) = fetch.and_then(|it| Some((it, it.search.as_ref()?))) else {
            return;
        };
        if !search.ways.is_empty() {
            if fetch.is_shared() {
                self.ask_around(step, hash);
            }
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
        if fetch.is_shared() {
            self.ask_around(step, hash);
        }
        let fetch = self.fetches.0.get(&hash);
        let Some(search) = fetch.and_then(|fetch| fetch.search.as_ref()) else {
            return;
        };
        if search.later.is_empty() && !search.asked.values().any(|open| *open) {
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
        fetch.tries += 1;
        fetch.rest_until = step.now.plus(REST_MS);
        if fetch.tries >= TRIES_MAX {
            let failure = fetch.last;
            self.fetches.0.remove(&hash);
            self.end_shares(step, &hash);
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
        if !self.have.contains_key(hash) {
            self.end_shares(step, hash);
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
        search.ways.retain(|way| way.peer != *peer);
        if search.dues().next().is_none() {
            search.until = step.now.plus(SEARCH_MS);
        }
        if search.ways.is_empty() {
            self.ask_more(step, hash);
        } else {
            self.ask_parts(step, hash);
        }
    }

    /// Keeps the windows full.
    fn ask_parts(&mut self, step: &mut Step<'_>, hash: Hash) {
        let Some(fetch) = self.fetches.0.get_mut(&hash) else {
            return;
        };
        let asks = fetch.share_out(step.now, &mut self.prng);
        let Some(search) = fetch.search.as_mut() else {
            return;
        };
        let id = search.id;
        for (peer, units, again) in asks {
            step.send(peer, BodyMessage::ask(id, units, again));
            // Whoever is asked for something is not searched for any more.
            search.until = step.now.plus(SEARCH_MS);
        }
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
        if search.dues().next().is_none() && search.until <= now {
            // Nobody answered, or those who fetch it too got nothing of it.
            search.ways.clear();
            tell_done(step, search);
            search.asked.values_mut().for_each(|open| *open = false);
            search.later.clear();
            self.ask_more(step, hash);
            return;
        }
        if search.hungry_at.take_if(|at| *at <= now).is_some() {
            search.starved = true;
        }
        let (mut lost, mut probes) = (Vec::new(), Vec::new());
        for way in &mut search.ways {
            if !way.in_flight.values().any(|it| it.due <= now) {
                continue;
            }
            way.stalls += 1;
            way.patience_ms = (2 * way.patience_ms).min(PART_MS_MAX);
            if way.stalls >= STALLS_MAX {
                lost.push(way.peer);
                continue;
            }
            // Nobody knows whether they are lost or on a slow link, which must not carry all of them a
            // second time: the last one is asked for again, and says which.
            let due = now.plus(way.patience_ms);
            way.in_flight.values_mut().for_each(|it| it.due = due);
            way.probe = way.in_flight.keys().next_back().copied();
            let units: Vec<Unit> = way.probe.into_iter().collect();
            let direct = way.direct;
            probes.push((way.peer, units, direct));
        }
        let id = search.id;
        for (peer, units, direct) in probes {
            step.send(peer, BodyMessage::ask(id, units, direct));
        }
        if fetch.is_shared() {
            fetch.suspects.extend(&lost);
        }
        for peer in lost {
            step.done(peer, id);
            self.lose_way(step, hash, &peer);
        }
        // What a silent one owes, or what others were given and did not hand on.
        self.ask_parts(step, hash);
    }
}

fn tell_done(step: &mut Step<'_>, search: &Search) {
    let open = search.asked.iter().filter(|(_, open)| **open);
    for node in open.map(|(node, _)| node).chain(&search.later) {
        step.done(*node, search.id);
    }
}

/// Whether a body is long enough that those who fetch it hand on what they have.
pub(super) fn is_shared(layout: Layout) -> bool {
    layout.pieces() >= BODY_SHARED_PIECES_MIN
}
