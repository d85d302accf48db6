//! Which managers are a node's homes: rendezvous hashing, dialling, and a gentle way back.

use std::sync::Arc;

use crate::ident::NodeId;
use crate::limits::HOMES_MAX;
use crate::machine::Millis;
use crate::membership::links::Links;
use crate::membership::message::Profile;
use crate::membership::{HangUpReason, MembershipEffect};
use crate::prng::Prng;

/// A manager as the trust ledger names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterManager {
    /// Which.
    pub id: NodeId,
    /// Whether it serves nodes as a home.
    pub home: bool,
    /// Whether it holds the managers' ledgers.
    pub hold: bool,
    /// Whether it relays.
    pub relay: bool,
}

/// A link that did not last so long counts as a failure; a better home is taken after one to two.
const STEADY_MS: u64 = 30_000;
/// After a loss, while another home serves: dial within this, so that a herd spreads out.
const SPREAD_MS: u64 = 1500;
/// The same where no home is left.
const SPREAD_ALONE_MS: u64 = 300;
/// First back-off after a failure; it doubles.
const BACK_OFF_MS: u64 = 1000;
/// Back-off at most where a home is missing: ten seconds after a heal it is to be there.
const BACK_OFF_MS_MAX: u64 = 10_000;
/// After so many failures in a row, about ten minutes, it is tried more rarely.
const PATIENT_FAILURES: u8 = 100;
/// Back-off at most then.
const BACK_OFF_PATIENT_MS_MAX: u64 = 60_000;
/// The same on a metered link.
const BACK_OFF_METERED_MS_MAX: u64 = 600_000;
/// A better manager is tried once in one to two of these, then more rarely.
const PROBE_MS: u64 = 60_000;
/// The same on a metered link, where a handshake costs more than a day of keep-alives.
const PROBE_METERED_MS: u64 = 1_800_000;
/// A dial that nobody answers for is over.
pub(super) const DIAL_LOST_MS: u64 = 30_000;

/// One round of a cheap mixing function (the finaliser of splitmix64).
pub(super) fn mix(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A node's name as one number, mixed.
pub(super) fn fold(node: &NodeId) -> u64 {
    let mut mixed = 0;
    for bytes in node.0.chunks_exact(8) {
        let mut eight = [0; 8];
        eight.copy_from_slice(bytes);
        mixed = mix(mixed ^ u64::from_le_bytes(eight));
    }
    mixed
}

/// How much `node` prefers `manager`: the highest weight is its first home.
///
/// Ids are random and a node that picked its own would only move itself, so a cheap mix will do.
#[must_use]
pub fn weight(node: &NodeId, manager: &NodeId) -> u64 {
    mix(fold(node) ^ fold(manager).rotate_left(32))
}

/// Jittered exponential back-off after so many failures in a row: half fixed, half drawn.
pub(super) fn back_off(failures: u8, base_ms: u64, max_ms: u64, prng: &mut Prng) -> u64 {
    let whole = base_ms
        .saturating_mul(1 << u32::from(failures.min(20)))
        .min(max_ms);
    whole / 2 + prng.below(whole / 2 + 1)
}

/// What is remembered of attempts to reach one manager.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    manager: NodeId,
    failures: u8,
    /// Dialled at this time and not answered.
    dialling: Option<Millis>,
    /// Not again before.
    next: Millis,
}

/// A node's homes.
#[derive(Clone, Debug)]
pub(super) struct Homes {
    managers: Arc<[RosterManager]>,
    /// Indices of those that serve as homes, best first.
    ranked: Box<[u16]>,
    profile: Profile,
    /// In order of rank.
    chosen: Vec<NodeId>,
    puller: Option<NodeId>,
    attempts: Vec<Attempt>,
    hold_until: Millis,
    probe_at: Millis,
    due: Option<Millis>,
    /// The links as they were at the last plan; none where something else has changed since.
    planned: Option<u64>,
}

impl Homes {
    /// Without a roster there are none.
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            managers: Arc::from([]),
            ranked: Box::from([]),
            profile,
            chosen: Vec::new(),
            puller: None,
            attempts: Vec::new(),
            hold_until: Millis(0),
            probe_at: Millis(0),
            due: None,
            planned: None,
        }
    }

    /// Those that serve now, best first.
    pub(super) fn chosen(&self) -> &[NodeId] {
        &self.chosen
    }

    /// The home that is to pull.
    pub(super) fn puller(&self) -> Option<NodeId> {
        self.puller
    }

    /// When [`Self::plan`] is wanted.
    pub(super) fn due(&self) -> Option<Millis> {
        self.due
    }

    fn wanted(&self) -> usize {
        match self.profile {
            Profile::Normal => HOMES_MAX,
            Profile::Metered => 1,
        }
    }

    fn probe_ms(&self) -> u64 {
        match self.profile {
            Profile::Normal => PROBE_MS,
            Profile::Metered => PROBE_METERED_MS,
        }
    }

    fn at(&self, rank: usize) -> NodeId {
        self.managers[usize::from(self.ranked[rank])].id
    }

    fn rank_of(&self, manager: &NodeId) -> Option<usize> {
        (0..self.ranked.len()).find(|rank| self.at(*rank) == *manager)
    }

    /// Whether a manager is on the roster at all.
    pub(super) fn knows(&self, manager: &NodeId) -> bool {
        self.managers.iter().any(|known| known.id == *manager)
    }

    /// Takes the fleet's managers as they are now; at most 65,536 of them.
    pub(super) fn set_roster(&mut self, node: &NodeId, managers: Arc<[RosterManager]>) {
        let mut ranked: Vec<(u64, u16)> = managers
            .iter()
            .zip(0..=u16::MAX)
            .filter(|(manager, _)| manager.home && manager.id != *node)
            .map(|(manager, index)| (weight(node, &manager.id), index))
            .collect();
        ranked.sort_unstable_by(|left, right| right.cmp(left));
        self.ranked = ranked.into_iter().map(|(_, index)| index).collect();
        self.managers = managers;
        let mut attempts = std::mem::take(&mut self.attempts);
        attempts.retain(|attempt| self.rank_of(&attempt.manager).is_some());
        self.attempts = attempts;
        self.planned = None;
    }

    fn attempt(&mut self, manager: NodeId) -> &mut Attempt {
        let found = self.attempts.iter().position(|a| a.manager == manager);
        let index = found.unwrap_or_else(|| {
            self.attempts.push(Attempt {
                manager,
                failures: 0,
                dialling: None,
                next: Millis(0),
            });
            self.attempts.len() - 1
        });
        &mut self.attempts[index]
    }

    fn failed(&mut self, now: Millis, manager: NodeId, steady: bool, prng: &mut Prng) {
        self.planned = None;
        let profile = self.profile;
        let attempt = self.attempt(manager);
        attempt.dialling = None;
        attempt.failures = if steady {
            0
        } else {
            attempt.failures.saturating_add(1)
        };
        let max_ms = match profile {
            Profile::Normal if attempt.failures < PATIENT_FAILURES => BACK_OFF_MS_MAX,
            Profile::Normal => BACK_OFF_PATIENT_MS_MAX,
            Profile::Metered => BACK_OFF_METERED_MS_MAX,
        };
        attempt.next = now.plus(back_off(attempt.failures, BACK_OFF_MS, max_ms, prng));
    }

    /// A link to a manager is there.
    pub(super) fn connected(&mut self, manager: NodeId) {
        self.planned = None;
        if let Some(attempt) = self.attempts.iter_mut().find(|a| a.manager == manager) {
            attempt.dialling = None;
        }
        // Mostly nothing is left to remember, and most nodes are idle.
        self.attempts
            .retain(|attempt| attempt.failures > 0 || attempt.dialling.is_some());
        self.attempts.shrink_to_fit();
    }

    /// A dial came to nothing.
    pub(super) fn dial_failed(&mut self, now: Millis, manager: NodeId, prng: &mut Prng) {
        if self.rank_of(&manager).is_some() {
            self.failed(now, manager, false, prng);
        }
    }

    /// A link that had been up since `since` is gone.
    pub(super) fn lost(&mut self, now: Millis, manager: NodeId, since: Millis, prng: &mut Prng) {
        if self.rank_of(&manager).is_none() {
            return;
        }
        self.failed(now, manager, now.since(since) >= STEADY_MS, prng);
        if self.chosen.contains(&manager) {
            self.chosen.retain(|home| *home != manager);
            let spread = if self.chosen.is_empty() {
                SPREAD_ALONE_MS
            } else {
                SPREAD_MS
            };
            self.hold_until = now.plus(prng.below(spread));
        }
    }

    /// Chooses homes among those connected and dials what is missing.
    pub(super) fn plan(
        &mut self,
        now: Millis,
        links: &mut Links,
        prng: &mut Prng,
        out: &mut Vec<MembershipEffect>,
    ) {
        // Most events leave all of this as it was.
        let is_due = self.due.is_some_and(|due| due <= now);
        if self.planned == Some(links.changes()) && !is_due {
            return;
        }
        let before = self.chosen.len();
        self.adopt(now, links, out);
        if before < self.wanted() && self.chosen.len() == self.wanted() {
            let wait = self.probe_ms();
            self.probe_at = now.plus(wait + prng.below(wait));
        }
        self.name_puller(now, links);
        self.give_up_dials(now, prng);
        self.dial(now, links, prng, out);
        self.due = self.next_due(now, links);
        self.planned = Some(links.changes());
    }

    /// Fills free places at once, and lets a better manager in when its link has proved steady.
    fn adopt(&mut self, now: Millis, links: &mut Links, out: &mut Vec<MembershipEffect>) {
        let mut chosen = std::mem::take(&mut self.chosen);
        chosen.retain(|home| links.contains_key(home) && self.rank_of(home).is_some());
        for rank in 0..self.ranked.len() {
            let manager = self.at(rank);
            let Some(link) = links.get(&manager) else {
                continue;
            };
            if chosen.contains(&manager) {
                continue;
            }
            if chosen.len() < self.wanted() {
                chosen.push(manager);
            } else if now.since(link.since) >= STEADY_MS {
                let worst = chosen.iter().copied().max_by_key(|home| self.rank_of(home));
                let worse = worst.filter(|home| self.rank_of(home) > Some(rank));
                let (leaving, reason) = match worse {
                    Some(home) => (home, HangUpReason::BetterHome),
                    None => (manager, HangUpReason::SurplusHome),
                };
                if worse.is_some() {
                    chosen.retain(|home| *home != leaving);
                    chosen.push(manager);
                }
                links.remove(&leaving);
                out.push(MembershipEffect::HangUp {
                    peer: leaving,
                    reason,
                });
            }
        }
        chosen.sort_by_key(|home| self.rank_of(home));
        chosen.shrink_to_fit();
        self.chosen = chosen;
    }

    /// The first home by rank; a better one than the present puller only once it is steady.
    fn name_puller(&mut self, now: Millis, links: &Links) {
        let present = self.puller.filter(|puller| self.chosen.contains(puller));
        self.puller = match present {
            None => self.chosen.first().copied(),
            Some(puller) => self
                .chosen
                .iter()
                .copied()
                .find(|home| *home == puller || is_steady(now, links, home))
                .or(Some(puller)),
        };
    }

    fn give_up_dials(&mut self, now: Millis, prng: &mut Prng) {
        while let Some(lost) = self.attempts.iter().find(|attempt| {
            attempt
                .dialling
                .is_some_and(|since| now.since(since) >= DIAL_LOST_MS)
        }) {
            let manager = lost.manager;
            self.failed(now, manager, false, prng);
        }
    }

    fn dialling(&self) -> usize {
        self.attempts
            .iter()
            .filter(|attempt| attempt.dialling.is_some())
            .count()
    }

    /// Ranks that could be dialled, and from when on.
    fn candidates(&self, links: &Links) -> impl Iterator<Item = (usize, Millis)> {
        (0..self.ranked.len()).filter_map(|rank| {
            let manager = self.at(rank);
            if links.contains_key(&manager) {
                return None;
            }
            match self.attempts.iter().find(|a| a.manager == manager) {
                Some(attempt) if attempt.dialling.is_some() => None,
                Some(attempt) => Some((rank, attempt.next)),
                None => Some((rank, Millis(0))),
            }
        })
    }

    /// Whether a manager of this rank would be better than what we have.
    fn is_better(&self, rank: usize) -> bool {
        let worst = self.chosen.iter().filter_map(|home| self.rank_of(home));
        worst.max().is_some_and(|worst| rank < worst)
    }

    fn dial(
        &mut self,
        now: Millis,
        links: &Links,
        prng: &mut Prng,
        out: &mut Vec<MembershipEffect>,
    ) {
        let busy = self.chosen.len() + self.dialling();
        let mut picked = [None; HOMES_MAX];
        if now >= self.hold_until && busy < self.wanted() {
            let ready = self.candidates(links).filter(|(_, next)| *next <= now);
            for (place, (rank, _)) in picked.iter_mut().zip(ready.take(self.wanted() - busy)) {
                *place = Some(self.at(rank));
            }
        } else if self.chosen.len() == self.wanted()
            && busy == self.wanted()
            && now >= self.probe_at
        {
            let better = self
                .candidates(links)
                .find(|(rank, next)| *next <= now && self.is_better(*rank));
            if let Some((rank, _)) = better {
                let manager = self.at(rank);
                picked[0] = Some(manager);
                let failures = self.attempt(manager).failures.min(3);
                let wait = self.probe_ms() << failures;
                self.probe_at = now.plus(wait + prng.below(wait));
            }
        }
        for manager in picked.into_iter().flatten() {
            self.attempt(manager).dialling = Some(now);
            out.push(MembershipEffect::Dial { peer: manager });
        }
    }

    fn next_due(&self, now: Millis, links: &Links) -> Option<Millis> {
        let lost = self
            .attempts
            .iter()
            .filter_map(|attempt| attempt.dialling.map(|since| since.plus(DIAL_LOST_MS)));
        let free = self.chosen.len() + self.dialling() < self.wanted();
        let full = self.chosen.len() == self.wanted() && self.dialling() == 0;
        let dials = self.candidates(links).filter_map(|(rank, next)| {
            match (free, full && self.is_better(rank)) {
                (true, _) => Some(next.max(self.hold_until)),
                (false, true) => Some(next.max(self.probe_at)),
                (false, false) => None,
            }
        });
        // Links that are on trial, or whose home would pull if only it were steady.
        let trials = (0..self.ranked.len()).filter_map(|rank| {
            let manager = self.at(rank);
            let link = links.get(&manager)?;
            let steady_at = link.since.plus(STEADY_MS);
            let settled = self.puller == Some(manager)
                || (self.chosen.contains(&manager) && steady_at <= now);
            (!settled).then_some(steady_at)
        });
        lost.chain(dials).chain(trials).min()
    }
}

fn is_steady(now: Millis, links: &Links, home: &NodeId) -> bool {
    links
        .get(home)
        .is_some_and(|link| now.since(link.since) >= STEADY_MS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::weight;
    use crate::ident::NodeId;
    use crate::prng::Prng;

    fn ids(seed: u64, count: usize) -> Vec<NodeId> {
        let mut prng = Prng::from_number(seed);
        (0..count).map(|_| NodeId(prng.bytes())).collect()
    }

    fn first(node: &NodeId, managers: &[NodeId]) -> NodeId {
        *managers
            .iter()
            .max_by_key(|manager| weight(node, manager))
            .expect("there are managers")
    }

    #[test]
    fn ten_thousand_nodes_spread_evenly_over_five_managers() {
        for seed in 0..5 {
            let managers = ids(seed, 5);
            let mut load: BTreeMap<NodeId, i32> = BTreeMap::new();
            for node in ids(100 + seed, 10_000) {
                *load.entry(first(&node, &managers)).or_default() += 1;
            }
            assert!(
                load.len() == 5 && load.values().all(|n| (1600..=2400).contains(n)),
                "{load:?}"
            );
        }
    }

    #[test]
    fn when_a_manager_goes_its_own_nodes_alone_move_and_spread() {
        let managers = ids(1, 5);
        let mut moved: BTreeMap<NodeId, i32> = BTreeMap::new();
        for node in ids(2, 10_000) {
            let before = first(&node, &managers);
            let after = first(&node, &managers[1..]);
            if before == managers[0] {
                *moved.entry(after).or_default() += 1;
            } else {
                assert_eq!(before, after);
            }
        }
        assert!(
            moved.len() == 4 && moved.values().all(|n| (350..=650).contains(n)),
            "{moved:?}"
        );
    }
}
