//! A manager's links to all other managers: the lower id dials first, both try until it holds.

use crate::ident::NodeId;
use crate::limits::MANAGER_LINKS_MAX;
use crate::machine::Millis;
use crate::membership::MembershipEffect;
use crate::membership::homes::{DIAL_LOST_MS, RosterManager, weight};
use crate::membership::links::Links;
use crate::prng::Prng;

/// Between two attempts, give or take a quarter: all managers are to agree 2 s after a heal.
const RETRY_MS: u64 = 1000;
/// After so many attempts, about a quarter of an hour, it is tried more rarely.
const PATIENT_ATTEMPTS: u32 = 1000;
/// The same then: agreement comes within 10 s of a heal.
const RETRY_PATIENT_MS: u64 = 6000;
/// The higher id waits so many times as long: mostly the lower has made the link by then.
const HIGHER_FACTOR: u64 = 2;

#[derive(Clone, Copy, Debug)]
struct Peer {
    id: NodeId,
    attempts: u32,
    dialling: Option<Millis>,
    next: Millis,
}

/// The other managers and the attempts to reach them.
#[derive(Clone, Debug, Default)]
pub(super) struct Mesh {
    /// By id.
    peers: Vec<Peer>,
    due: Option<Millis>,
}

impl Mesh {
    /// When [`Self::plan`] is wanted.
    pub(super) fn due(&self) -> Option<Millis> {
        self.due
    }

    /// Whether a manager is one that we keep a link to.
    pub(super) fn knows(&self, id: &NodeId) -> bool {
        self.find(id).is_some()
    }

    /// The managers that we keep links to.
    pub(super) fn peers(&self) -> impl Iterator<Item = NodeId> {
        self.peers.iter().map(|peer| peer.id)
    }

    fn find(&self, id: &NodeId) -> Option<usize> {
        self.peers.binary_search_by_key(id, |peer| peer.id).ok()
    }

    /// Takes the roster; gives those that are not on it any more.
    pub(super) fn set(
        &mut self,
        now: Millis,
        me: NodeId,
        managers: &[RosterManager],
    ) -> Vec<NodeId> {
        let mut ids: Vec<NodeId> = managers.iter().map(|manager| manager.id).collect();
        ids.retain(|id| *id != me);
        ids.sort_unstable_by_key(|id| std::cmp::Reverse(weight(&me, id)));
        ids.dedup();
        ids.truncate(MANAGER_LINKS_MAX);
        ids.sort_unstable();
        let gone = self.peers().filter(|id| ids.binary_search(id).is_err());
        let gone: Vec<NodeId> = gone.collect();
        let fresh = |id: NodeId| Peer {
            id,
            attempts: 0,
            dialling: None,
            next: match me < id {
                true => now,
                false => now.plus(HIGHER_FACTOR * RETRY_MS),
            },
        };
        self.peers = ids
            .into_iter()
            .map(|id| {
                self.find(&id)
                    .map_or_else(|| fresh(id), |at| self.peers[at])
            })
            .collect();
        gone
    }

    /// A link is there.
    pub(super) fn connected(&mut self, id: &NodeId) {
        if let Some(index) = self.find(id) {
            self.peers[index].dialling = None;
            self.peers[index].attempts = 0;
        }
    }

    /// A dial came to nothing, or a link is gone.
    pub(super) fn failed(&mut self, now: Millis, me: NodeId, id: &NodeId, prng: &mut Prng) {
        let Some(index) = self.find(id) else {
            return;
        };
        let peer = &mut self.peers[index];
        peer.dialling = None;
        peer.attempts = peer.attempts.saturating_add(1);
        let retry = match peer.attempts {
            0..PATIENT_ATTEMPTS => RETRY_MS,
            _ => RETRY_PATIENT_MS,
        };
        let wait = retry * 3 / 4 + prng.below(retry / 2);
        let factor = if me < peer.id { 1 } else { HIGHER_FACTOR };
        peer.next = now.plus(wait * factor);
    }

    /// Dials whom we lack.
    pub(super) fn plan(
        &mut self,
        now: Millis,
        me: NodeId,
        links: &Links,
        prng: &mut Prng,
        out: &mut Vec<MembershipEffect>,
    ) {
        let lost = |peer: &Peer| {
            peer.dialling
                .is_some_and(|since| now.since(since) >= DIAL_LOST_MS)
        };
        let lost: Vec<NodeId> = self
            .peers
            .iter()
            .filter(|p| lost(p))
            .map(|p| p.id)
            .collect();
        for id in lost {
            self.failed(now, me, &id, prng);
        }
        self.due = None;
        for peer in &mut self.peers {
            if links.contains_key(&peer.id) {
                continue;
            }
            if peer.dialling.is_none() && peer.next <= now {
                peer.dialling = Some(now);
                out.push(MembershipEffect::Dial { peer: peer.id });
            }
            let due = match peer.dialling {
                Some(since) => since.plus(DIAL_LOST_MS),
                None => peer.next,
            };
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
    }
}
