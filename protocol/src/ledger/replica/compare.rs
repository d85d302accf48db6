//! Comparing what two replicas hold: digests first, heads where they differ, trust before all else.

use crate::clock::reference::AgedTime;
use crate::ident::{Hash, NodeId};
use crate::ledger::digest::{in_group, sorted_leaves};
use crate::ledger::message::{Digest, Group, HeadsPage, LedgerHeads, Message};
use crate::ledger::replica::peer::Peer;
use crate::ledger::replica::{Effect, PeerInfo, Replica, Role};
use crate::machine::Millis;

/// Heads on one page: each ledger has at most a few branches.
const PAGE_HEADS_MAX: usize = 256;
/// Scopes of its own that an agent names.
const OWN_SCOPES_MAX: usize = 6;
/// Signed times that a digest hands on.
const TIMES_MAX: usize = 4;

impl Replica {
    pub(super) fn on_peer_up(&mut self, now: Millis, info: PeerInfo, out: &mut Vec<Effect>) {
        self.on_peer_down(&info.node);
        self.peers.insert(info.node, Peer::new(info, now));
        self.send_digest(now, info.node, false, out);
        self.greet_feeder(&info.node, out);
    }

    /// Digests say other things to who may have more now, or less.
    pub(super) fn on_peer_changed(&mut self, now: Millis, info: PeerInfo, out: &mut Vec<Effect>) {
        let Some(peer) = self.peers.get_mut(&info.node) else {
            return;
        };
        if std::mem::replace(&mut peer.info, info) != info {
            self.send_digest(now, info.node, true, out);
        }
    }

    pub(super) fn on_peer_down(&mut self, node: &NodeId) {
        if let Some(peer) = self.peers.remove(node) {
            self.pulls.digests.remove(&(peer.digest_at, *node));
            self.pulls.flights.retain(|_, flight| flight.from != *node);
        }
    }

    /// Says what is held; `answer` asks for the same.
    pub(super) fn send_digest(
        &mut self,
        now: Millis,
        to: NodeId,
        answer: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(peer) = self.peers.get(&to) else {
            return;
        };
        let between_managers = self.me.role == Role::Manager && peer.info.role == Role::Manager;
        let digest = Digest {
            trust: self.holdings.digest(Group::Trust),
            fleet: self.holdings.digest(Group::Fleet),
            managers: between_managers.then(|| self.holdings.digest(Group::Managers)),
            scopes: between_managers.then(|| {
                let (digests, chains) = self.holdings.scopes();
                digests.scopes(chains)
            }),
            own_scopes: self.own_scopes(&to),
            times: self.times(now),
            answer,
        };
        out.push(Effect::Send {
            to: vec![to],
            message: Message::Digest(digest),
        });
        self.put_off_digest(now, to);
    }

    fn times(&mut self, now: Millis) -> Vec<AgedTime> {
        if let Some(time) = self.sign_time(now) {
            self.time.take(now, AgedTime { time, age_ms: 0 });
        }
        self.time.latest(now, TIMES_MAX)
    }

    /// The scopes that an agent and this peer both may hold.
    fn own_scopes(&mut self, peer: &NodeId) -> Vec<(NodeId, Hash)> {
        if self.me.role == Role::Manager {
            return Vec::new();
        }
        let mut scopes = vec![self.me.node];
        scopes.extend(
            self.peers
                .keys()
                .filter(|device| self.holds_scope(device))
                .copied(),
        );
        scopes.retain(|device| self.may_have_scope(peer, *device));
        scopes.truncate(OWN_SCOPES_MAX);
        scopes
            .into_iter()
            .map(|device| (device, self.holdings.digest(Group::Scope(device))))
            .collect()
    }

    fn holds_scope(&self, device: &NodeId) -> bool {
        in_group(Group::Scope(*device), self.holdings.chains())
            .next()
            .is_some()
    }

    fn may_have_scope(&self, peer: &NodeId, device: NodeId) -> bool {
        self.peers.get(peer).is_some_and(|peer| {
            peer.info.role == Role::Manager
                || peer.info.carries
                || peer.info.node == device
                || self.me.node == device
        })
    }

    /// Digests with this peer are compared again after the usual time; agents ask, managers ask
    /// only each other, so that a manager has no timer for each of its agents.
    fn put_off_digest(&mut self, now: Millis, node: NodeId) {
        let asks = self.me.role == Role::Agent
            || self
                .peers
                .get(&node)
                .is_some_and(|peer| peer.info.role == Role::Manager);
        if asks {
            let every = self.settings.digest_every_ms;
            let jitter = self.prng.below(every / 4 + 1);
            self.schedule_digest(node, now.plus(every - every / 8 + jitter));
        }
    }

    pub(super) fn schedule_digest(&mut self, node: NodeId, at: Millis) {
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        self.pulls.digests.remove(&(peer.digest_at, node));
        peer.digest_at = at;
        self.pulls.digests.insert((at, node));
    }

    /// Compares soon: something suggests that the two differ.
    pub(super) fn hasten_digest(&mut self, now: Millis, node: NodeId, after_ms: u64) {
        let soon = now.plus(after_ms);
        let later = self.peers.get(&node).is_some_and(|peer| {
            peer.digest_at > soon || !self.pulls.digests.contains(&(peer.digest_at, node))
        });
        if later {
            self.schedule_digest(node, soon);
        }
    }

    pub(super) fn wake_digests(&mut self, now: Millis, out: &mut Vec<Effect>) {
        while let Some((at, node)) = self.pulls.digests.first().copied() {
            if at > now {
                break;
            }
            self.pulls.digests.remove(&(at, node));
            self.send_digest(now, node, true, out);
        }
    }

    pub(super) fn on_digest(
        &mut self,
        now: Millis,
        from: NodeId,
        digest: &Digest,
        out: &mut Vec<Effect>,
    ) {
        self.take_times(now, from, &digest.times, out);
        self.settle(now, out);
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.theirs = Some(Digest {
                times: Vec::new(),
                ..digest.clone()
            });
        }
        if digest.answer {
            self.send_digest(now, from, false, out);
        } else {
            self.put_off_digest(now, from);
        }
        self.compare(now, from, out);
    }

    /// Compares what both hold, trust before all else; sends heads where hashes differ.
    pub(super) fn compare(&mut self, now: Millis, from: NodeId, out: &mut Vec<Effect>) {
        let Some(theirs) = self.peers.get(&from).and_then(|peer| peer.theirs.clone()) else {
            return;
        };
        if theirs.trust != self.holdings.digest(Group::Trust) {
            self.send_heads(from, Group::Trust, false, out);
            return;
        }
        self.agree(now, from, false, out);
        let mut same = true;
        if theirs.fleet != self.holdings.digest(Group::Fleet) {
            same = false;
            self.send_heads(from, Group::Fleet, false, out);
        }
        let managers = theirs.managers.filter(|_| self.me.role == Role::Manager);
        if managers.is_some_and(|hash| hash != self.holdings.digest(Group::Managers)) {
            same = false;
            self.send_heads(from, Group::Managers, false, out);
        }
        same &= self.compare_scopes(from, &theirs, out);
        if same {
            self.author.agreed_with_a_peer();
        }
    }

    /// Whether this node holds exactly what a peer last said that it holds.
    pub(super) fn is_in_step(&mut self, peer: &NodeId) -> bool {
        let theirs = self.peers.get(peer).and_then(|peer| peer.theirs.clone());
        let Some(theirs) = theirs else { return false };
        let of_managers = theirs
            .managers
            .filter(|_| self.me.role == Role::Manager)
            .is_none_or(|hash| hash == self.holdings.digest(Group::Managers));
        let of_scopes = theirs
            .scopes
            .filter(|_| self.me.role == Role::Manager)
            .is_none_or(|hash| {
                let (digests, chains) = self.holdings.scopes();
                hash == digests.scopes(chains)
            });
        of_managers
            && of_scopes
            && theirs.trust == self.holdings.digest(Group::Trust)
            && theirs.fleet == self.holdings.digest(Group::Fleet)
    }

    /// Trust is in step with a peer: whatever waited for it may go on.
    pub(super) fn agree(
        &mut self,
        now: Millis,
        from: NodeId,
        compare: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if std::mem::replace(&mut peer.agreed, true) {
            return;
        }
        out.push(Effect::Agreed(from));
        if compare {
            self.send_digest(now, from, true, out);
        }
    }

    /// Sends the heads of a group, in pages that each fit a frame.
    pub(super) fn send_heads(
        &mut self,
        to: NodeId,
        group: Group,
        answer: bool,
        out: &mut Vec<Effect>,
    ) {
        let mut pages: Vec<Vec<LedgerHeads>> = vec![Vec::new()];
        let mut room = PAGE_HEADS_MAX;
        for (ledger, chain) in in_group(group, self.holdings.chains()) {
            let heads = sorted_leaves(chain);
            if heads.len() > room {
                pages.push(Vec::new());
                room = PAGE_HEADS_MAX;
            }
            room = room.saturating_sub(heads.len());
            if let Some(page) = pages.last_mut() {
                page.push(LedgerHeads {
                    ledger: *ledger,
                    heads,
                });
            }
        }
        for ledgers in pages {
            let message = Message::Heads(HeadsPage {
                group,
                ledgers,
                answer,
            });
            out.push(Effect::Send {
                to: vec![to],
                message,
            });
        }
    }
}
