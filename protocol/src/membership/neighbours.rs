//! A node's few neighbours: whom to ask, whom to let in, and whom to remember for bad times.
//!
//! The graph stays close to one where everybody has four neighbours drawn at random. A newcomer that
//! meets only full nodes is let in by one that parts from a neighbour and sends it to the newcomer:
//! an edge is split, and all others keep their number.

mod edges;

use crate::ident::NodeId;
use crate::limits::{NEIGHBOURS_MAX, SUGGESTIONS_MAX};
use crate::machine::Millis;
use crate::membership::homes::{DIAL_LOST_MS, back_off, fold, mix};
use crate::membership::link::Link;
use crate::membership::links::Links;
use crate::membership::message::MembershipMessage;
use crate::membership::{HangUpReason, MembershipEffect};
use crate::prng::Prng;

/// Candidates that are kept, of all origins.
const CANDIDATES_MAX: usize = 12;
/// Of those seen on the LAN: the ones that a mix of both names prefers, so a big LAN mixes well.
const LAN_CANDIDATES_MAX: usize = 4;
/// Neighbours that are remembered over a restart, the present ones first.
const REMEMBERED_MAX: usize = 8;
/// Places that the LAN fills at once; the others wait for suggestions, so that sites hang together.
const LAN_FIRST_MAX: usize = 2;
/// After so many questions that brought nobody the LAN may fill all places.
const LAN_ALONE_ROUND: u32 = 2;
/// Somebody with at most so many neighbours may split an edge.
const SPLIT_HAVE_MAX: u8 = 2;
/// A node lets one of its edges be split so often.
const SPLIT_MS: u64 = 5_000;
/// An ask that nobody answers is over.
const ASK_MS: u64 = 10_000;
/// The first question waits one to two of these.
const FIRST_SEEK_MS: u64 = 2_000;
const SEEK_MS: u64 = 4_000;
const SEEK_MS_MAX: u64 = 600_000;
const RETRY_MS: u64 = 2_000;
const RETRY_MS_MAX: u64 = 300_000;
/// A candidate that failed so often and can be suggested again is dropped.
const FAILURES_MAX: u8 = 2;

/// Where we know a candidate from; the better origin comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    /// A neighbour that made room for it sent us there.
    Handed,
    Lan,
    Remembered,
    Suggested,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    peer: NodeId,
    origin: Origin,
    failures: u8,
    next: Millis,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    peer: NodeId,
    /// Whether both sides agreed; before that it holds the place since `since`.
    agreed: bool,
    lan: bool,
    since: Millis,
}

/// What the neighbours need of the rest of the node.
pub(super) struct Surroundings<'a> {
    pub now: Millis,
    pub links: &'a mut Links,
    pub prng: &'a mut Prng,
    pub out: &'a mut Vec<MembershipEffect>,
}

impl Surroundings<'_> {
    fn send(&mut self, to: NodeId, message: MembershipMessage) {
        self.out.push(MembershipEffect::Send { to, message });
    }

    fn hang_up(&mut self, peer: NodeId, reason: HangUpReason) {
        if self.links.remove(&peer).is_some() {
            self.out.push(MembershipEffect::HangUp { peer, reason });
        }
    }
}

/// The neighbours of one node.
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    me: NodeId,
    slots: Vec<Slot>,
    candidates: Vec<Candidate>,
    remembered: Vec<NodeId>,
    dialling: Option<(NodeId, Millis)>,
    round: u32,
    seek_at: Millis,
    split_at: Millis,
    due: Option<Millis>,
}

impl Neighbours {
    /// None yet.
    pub(super) fn new(me: NodeId) -> Self {
        Self {
            me,
            slots: Vec::new(),
            candidates: Vec::new(),
            remembered: Vec::new(),
            dialling: None,
            round: 0,
            seek_at: Millis(0),
            split_at: Millis(0),
            due: None,
        }
    }

    /// Those that both sides agreed on.
    pub(super) fn agreed(&self) -> impl Iterator<Item = NodeId> {
        self.slots.iter().filter(|s| s.agreed).map(|s| s.peer)
    }

    /// When [`Self::plan`] is wanted.
    pub(super) fn due(&self) -> Option<Millis> {
        self.due
    }

    fn slot(&mut self, peer: NodeId) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.peer == peer)
    }

    fn have(&self) -> u8 {
        u8::try_from(self.slots.iter().filter(|slot| slot.agreed).count()).unwrap_or(u8::MAX)
    }

    /// Those remembered from before a restart.
    pub(super) fn remember(&mut self, now: Millis, peers: &[NodeId]) {
        for peer in peers.iter().take(REMEMBERED_MAX) {
            self.add(now, *peer, Origin::Remembered);
            if !self.remembered.contains(peer) && self.remembered.len() < REMEMBERED_MAX {
                self.remembered.push(*peer);
            }
        }
    }

    /// Somebody on our LAN.
    pub(super) fn lan_seen(&mut self, around: &mut Surroundings<'_>, peer: NodeId) {
        let jitter = around.prng.below(RETRY_MS);
        let affinity = |other: &NodeId| mix(fold(&self.me) ^ fold(other));
        let on_lan = self.candidates.iter().filter(|c| c.origin == Origin::Lan);
        if on_lan.clone().count() >= LAN_CANDIDATES_MAX {
            let worst = on_lan.map(|c| c.peer).min_by_key(affinity);
            match worst.filter(|worst| affinity(worst) < affinity(&peer)) {
                Some(worst) => self.candidates.retain(|c| c.peer != worst),
                None => return,
            }
        }
        self.add(around.now.plus(jitter), peer, Origin::Lan);
    }

    /// Somebody whom a manager or a neighbour named.
    pub(super) fn suggested(&mut self, now: Millis, peers: &[NodeId]) {
        for peer in peers.iter().take(SUGGESTIONS_MAX) {
            self.add(now, *peer, Origin::Suggested);
        }
    }

    fn add(&mut self, next: Millis, peer: NodeId, origin: Origin) {
        if peer == self.me || self.slots.iter().any(|slot| slot.peer == peer) {
            return;
        }
        if let Some(known) = self.candidates.iter_mut().find(|c| c.peer == peer) {
            known.origin = known.origin.min(origin);
            if origin == Origin::Lan {
                // It answers now, whatever came of earlier dials.
                known.next = known.next.min(next);
            }
            return;
        }
        if self.candidates.len() >= CANDIDATES_MAX {
            let Some(worst) = (0..self.candidates.len()).max_by_key(|index| {
                let candidate = &self.candidates[*index];
                (candidate.origin, candidate.failures)
            }) else {
                return;
            };
            if self.candidates[worst].origin < origin {
                return;
            }
            self.candidates.swap_remove(worst);
        }
        self.candidates.push(Candidate {
            peer,
            origin,
            failures: 0,
            next,
        });
    }

    /// A link to a node is there; the dialling side asks.
    pub(super) fn connected(&mut self, around: &mut Surroundings<'_>, peer: NodeId) {
        if self.dialling.is_some_and(|(dialled, _)| dialled == peer) {
            self.dialling = None;
            self.ask(around, peer);
        }
    }

    fn ask(&mut self, around: &mut Surroundings<'_>, peer: NodeId) {
        let lan = self.is_lan(peer);
        if self.slots.len() >= NEIGHBOURS_MAX && !(lan && self.swaps_for_lan(around.now)) {
            around.hang_up(peer, HangUpReason::NeighboursFull);
        } else if self.slot(peer).is_none() {
            let have = self.have();
            self.slots.push(Slot {
                peer,
                agreed: false,
                lan,
                since: around.now,
            });
            around.send(peer, MembershipMessage::NeighbourAsk { have });
        }
    }

    fn is_lan(&self, peer: NodeId) -> bool {
        self.candidates
            .iter()
            .any(|c| c.peer == peer && c.origin == Origin::Lan)
    }

    /// A peer asks to be our neighbour.
    pub(super) fn asked(&mut self, around: &mut Surroundings<'_>, peer: NodeId, have: u8) {
        if let Some(slot) = self.slot(peer) {
            // Both asked: each takes the other's question for its answer.
            slot.agreed = true;
        } else {
            let lan = self.is_lan(peer);
            let splits = (lan && self.swaps_for_lan(around.now))
                || (have <= SPLIT_HAVE_MAX && around.now >= self.split_at);
            if self.slots.len() >= NEIGHBOURS_MAX && !(splits && self.split(around, peer, have)) {
                around.send(peer, MembershipMessage::NeighbourAnswer { accepted: false });
                return;
            }
            self.slots.push(Slot {
                peer,
                agreed: true,
                lan,
                since: around.now,
            });
        }
        around.send(peer, MembershipMessage::NeighbourAnswer { accepted: true });
        self.agree(around, peer);
    }

    /// A peer answered our ask.
    pub(super) fn answered(&mut self, around: &mut Surroundings<'_>, peer: NodeId, accepted: bool) {
        match (self.slot(peer), accepted) {
            (Some(slot), true) => {
                slot.agreed = true;
                self.agree(around, peer);
            }
            (Some(slot), false) if !slot.agreed => {
                self.slots.retain(|slot| slot.peer != peer);
                self.fail(around, peer);
                around.hang_up(peer, HangUpReason::NeighboursFull);
            }
            (None, true) => {
                // We had given up asking.
                around.send(peer, MembershipMessage::NeighbourLeave { instead: None });
            }
            (Some(_) | None, false) => {}
        }
    }

    /// A neighbour goes, and may have named somebody who has room for us.
    pub(super) fn left(
        &mut self,
        around: &mut Surroundings<'_>,
        peer: NodeId,
        instead: Option<NodeId>,
    ) {
        if self.slot(peer).is_none() {
            return;
        }
        self.slots.retain(|slot| slot.peer != peer);
        around.hang_up(peer, HangUpReason::NeighbourLeft);
        if let Some(instead) = instead {
            self.candidates.retain(|c| c.peer != instead);
            self.add(around.now, instead, Origin::Handed);
        }
    }

    fn agree(&mut self, around: &mut Surroundings<'_>, peer: NodeId) {
        if usize::from(self.have()) > NEIGHBOURS_MAX {
            // It is on our LAN and was asked while all places were taken.
            let others = self.slots.iter().filter(|s| s.agreed && s.peer != peer);
            if let Some(leaving) = others.min_by_key(|slot| slot.lan).map(|slot| slot.peer) {
                self.part(around, leaving, None);
            }
        }
        self.candidates.retain(|c| c.peer != peer);
        self.round = 0;
        let mut peers: Vec<NodeId> = self.agreed().collect();
        let older = self.remembered.iter().filter(|old| !peers.contains(old));
        let older: Vec<NodeId> = older.copied().collect();
        peers.extend(older);
        peers.truncate(REMEMBERED_MAX);
        peers.shrink_to_fit();
        let is_news = !self.remembered.contains(&peer);
        self.remembered = peers;
        if is_news {
            around.out.push(MembershipEffect::Remember {
                neighbours: self.remembered.clone(),
            });
        }
    }

    /// A link is gone; it may come back.
    pub(super) fn lost(&mut self, around: &mut Surroundings<'_>, peer: NodeId) {
        if let Some(slot) = self.slot(peer) {
            let origin = if slot.lan {
                Origin::Lan
            } else {
                Origin::Remembered
            };
            self.slots.retain(|slot| slot.peer != peer);
            let jitter = around.prng.below(RETRY_MS);
            self.add(around.now.plus(jitter), peer, origin);
        }
        self.dial_failed(around, peer);
    }

    /// A dial came to nothing.
    pub(super) fn dial_failed(&mut self, around: &mut Surroundings<'_>, peer: NodeId) {
        if self.dialling.is_some_and(|(dialled, _)| dialled == peer) {
            self.dialling = None;
            self.fail(around, peer);
        }
    }

    fn fail(&mut self, around: &mut Surroundings<'_>, peer: NodeId) {
        if let Some(candidate) = self.candidates.iter_mut().find(|c| c.peer == peer) {
            candidate.failures = candidate.failures.saturating_add(1);
            let wait = back_off(candidate.failures, RETRY_MS, RETRY_MS_MAX, around.prng);
            candidate.next = around.now.plus(wait);
        }
        self.candidates.retain(|c| {
            c.failures < FAILURES_MAX || matches!(c.origin, Origin::Lan | Origin::Remembered)
        });
    }

    /// Whom to name to a neighbour that is short of them.
    pub(super) fn named_to(&self, seeker: NodeId) -> Vec<NodeId> {
        let known = self.agreed().chain(self.remembered.iter().copied());
        let mut named = Vec::with_capacity(SUGGESTIONS_MAX);
        for peer in known {
            if peer != seeker && !named.contains(&peer) && named.len() < SUGGESTIONS_MAX {
                named.push(peer);
            }
        }
        named
    }

    /// Dials, asks and seeks while places are free.
    pub(super) fn plan(&mut self, around: &mut Surroundings<'_>, homes: &[NodeId]) {
        let now = around.now;
        let unanswered = |slot: &&Slot| !slot.agreed && now.since(slot.since) >= ASK_MS;
        while let Some(peer) = self.slots.iter().find(unanswered).map(|slot| slot.peer) {
            self.slots.retain(|slot| slot.peer != peer);
            self.fail(around, peer);
            around.hang_up(peer, HangUpReason::Silent);
        }
        if let Some((peer, since)) = self.dialling
            && now.since(since) >= DIAL_LOST_MS
        {
            self.dial_failed(around, peer);
        }
        if homes.is_empty() && self.slots.len() < NEIGHBOURS_MAX {
            for peer in self.remembered.clone() {
                self.add(now, peer, Origin::Remembered);
            }
        }
        while self.dialling.is_none() {
            let full = self.slots.len() >= NEIGHBOURS_MAX;
            if full && !self.swaps_for_lan(now) {
                break;
            }
            let Some(peer) = self.next_candidate(now, full) else {
                if !full {
                    self.seek(around, homes);
                }
                break;
            };
            match around.links.get(&peer) {
                Some(Link {
                    is_manager: false, ..
                }) => self.ask(around, peer),
                Some(_) => self.candidates.retain(|c| c.peer != peer),
                None => {
                    self.dialling = Some((peer, now));
                    around.out.push(MembershipEffect::Dial { peer });
                }
            }
        }
        self.due = self.next_due(!homes.is_empty() || self.have() > 0);
    }

    /// Whether the LAN may fill another place.
    fn lan_may(&self) -> bool {
        self.round > LAN_ALONE_ROUND
            || self.slots.iter().filter(|slot| slot.lan).count() < LAN_FIRST_MAX
    }

    fn eligible(&self) -> impl Iterator<Item = &Candidate> {
        let lan_may = self.lan_may();
        self.candidates.iter().filter(move |candidate| {
            (candidate.origin != Origin::Lan || lan_may)
                && self.slots.iter().all(|slot| slot.peer != candidate.peer)
        })
    }

    fn next_candidate(&self, now: Millis, lan_alone: bool) -> Option<NodeId> {
        self.eligible()
            .filter(|candidate| candidate.next <= now)
            .filter(|candidate| !lan_alone || candidate.origin == Origin::Lan)
            .min_by_key(|candidate| (candidate.origin, candidate.failures))
            .map(|candidate| candidate.peer)
    }

    /// Asks a home whom to try, without one any neighbour.
    fn seek(&mut self, around: &mut Surroundings<'_>, homes: &[NodeId]) {
        if around.now < self.seek_at {
            return;
        }
        if self.seek_at == Millis(0) && !homes.is_empty() {
            // In a fleet that has just started a home knows nobody but its own nodes yet.
            self.seek_at = around
                .now
                .plus(FIRST_SEEK_MS + around.prng.below(FIRST_SEEK_MS));
            return;
        }
        let index = around.prng.below(u64::from(self.have()));
        // The homes in turn: each is asked by nodes that share no other home.
        let turn = index_of(u64::from(self.round)) % homes.len().max(1);
        let home = homes.get(turn).copied();
        let Some(asked) = home.or_else(|| self.agreed().nth(index_of(index))) else {
            return;
        };
        let round = self.round;
        around.send(asked, MembershipMessage::Seek { round });
        self.round = round.saturating_add(1);
        let failures = u8::try_from(round).unwrap_or(u8::MAX);
        let wait = back_off(failures, SEEK_MS, SEEK_MS_MAX, around.prng);
        self.seek_at = around.now.plus(wait);
    }

    fn next_due(&self, can_seek: bool) -> Option<Millis> {
        let asks = self.slots.iter().filter(|slot| !slot.agreed);
        let asks = asks.map(|slot| slot.since.plus(ASK_MS)).min();
        if let Some((_, since)) = self.dialling {
            let lost = since.plus(DIAL_LOST_MS);
            return Some(asks.map_or(lost, |ask| ask.min(lost)));
        }
        if self.slots.len() >= NEIGHBOURS_MAX {
            let near = self.eligible().filter(|c| c.origin == Origin::Lan);
            let swap = near.map(|c| c.next.max(self.split_at)).min();
            let swaps = self.swaps_for_lan(self.split_at);
            return asks.into_iter().chain(swap.filter(|_| swaps)).min();
        }
        let tries = self.eligible().map(|candidate| candidate.next).min();
        let seek = can_seek.then_some(self.seek_at);
        [asks, tries, seek].into_iter().flatten().min()
    }
}

fn index_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(0)
}
