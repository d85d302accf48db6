//! Comparing digests, then heads, then pulling what is missing: the truth of replication.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ident::{Hash, NodeId};
use crate::ledger::digest::{in_group, sorted_leaves};
use crate::ledger::entry::{Entry, LedgerId, Parcel};
use crate::ledger::message::{Digest, Group, HeadsPage, LedgerHeads, Message, Rest, Want};
use crate::ledger::replica::peer::Peer;
use crate::ledger::replica::{Effect, PeerInfo, Replica, Role};
use crate::machine::Millis;

/// Heads that are wanted from one peer at a time.
const FLIGHTS_MAX: u8 = 32;
/// Entries that one pull is answered with.
const PULLED_MAX: usize = 128;
/// Heads of what is held that a pull names.
const HAVE_MAX: usize = 8;
/// Ledgers on one page of heads: each has at most a few branches.
const PAGE_HEADS_MAX: usize = 256;
/// Scopes of its own that an agent names.
const OWN_SCOPES_MAX: usize = 6;
/// Signed times that a digest hands on.
const TIMES_MAX: usize = 4;

/// A head that was asked for.
#[derive(Clone, Copy, Debug)]
struct Flight {
    from: NodeId,
    ledger: LedgerId,
    deadline: Millis,
}

/// Pulls that are under way, and when digests are compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulls {
    flights: BTreeMap<Hash, Flight>,
    digests: BTreeSet<(Millis, NodeId)>,
    /// When what follows from the entries changes by time alone.
    pub settle_at: Option<Millis>,
}

impl Pulls {
    pub fn next_digest(&self) -> Option<Millis> {
        self.digests.first().map(|(at, _)| *at)
    }

    pub fn next_deadline(&self) -> Option<Millis> {
        self.flights.values().map(|flight| flight.deadline).min()
    }

    pub fn is_wanted(&self, head: &Hash) -> bool {
        self.flights.contains_key(head)
    }
}

impl Replica {
    pub(super) fn on_peer_up(&mut self, now: Millis, info: PeerInfo, out: &mut Vec<Effect>) {
        self.on_peer_down(&info.node);
        self.peers.insert(info.node, Peer::new(info, now));
        self.send_digest(now, info.node, false, out);
        self.greet_feeder(&info.node, out);
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

    fn times(&mut self, now: Millis) -> Vec<crate::clock::reference::SignedTime> {
        if let Some(time) = self.sign_time(now) {
            self.time.take(now, time);
        }
        self.time.latest(TIMES_MAX)
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
        self.take_times(now, &digest.times, out);
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

    /// Trust is in step with a peer: whatever waited for it may go on.
    fn agree(&mut self, now: Millis, from: NodeId, compare: bool, out: &mut Vec<Effect>) {
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

    pub(super) fn on_heads(
        &mut self,
        now: Millis,
        from: NodeId,
        page: &HeadsPage,
        out: &mut Vec<Effect>,
    ) {
        let group = page.group;
        let agreed = self.peers.get(&from).is_some_and(|peer| peer.agreed);
        let in_place = page
            .ledgers
            .iter()
            .all(|heads| Group::of(&heads.ledger) == Some(group));
        if !self.wants(group) || !in_place || (group != Group::Trust && !agreed) {
            self.counters.misplaced += 1;
            return;
        }
        let missing: Vec<(LedgerId, Hash)> = page
            .ledgers
            .iter()
            .flat_map(|heads| heads.heads.iter().map(|head| (heads.ledger, head.hash)))
            .filter(|(ledger, hash)| !self.holds(ledger, hash))
            .collect();
        if missing.is_empty() && group == Group::Trust {
            // Everything that the peer has is held here; it will pull what it lacks.
            self.agree(now, from, true, out);
        }
        self.pull(now, from, &missing, out);
        if page.answer {
            self.send_heads(from, group, false, out);
        }
    }

    pub(super) fn holds(&self, ledger: &LedgerId, hash: &Hash) -> bool {
        self.holdings
            .chains()
            .get(ledger)
            .is_some_and(|chain| chain.find(hash).is_some())
    }

    /// Asks a peer for heads that nobody else was asked for.
    pub(super) fn pull(
        &mut self,
        now: Millis,
        from: NodeId,
        heads: &[(LedgerId, Hash)],
        out: &mut Vec<Effect>,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        let deadline = now.plus(self.settings.answer_within_ms);
        let mut wants = Vec::new();
        for (ledger, wanted) in heads {
            let saturated = self
                .holdings
                .chains()
                .get(ledger)
                .is_some_and(|chain| chain.is_saturated());
            if peer.flights >= FLIGHTS_MAX || self.pulls.is_wanted(wanted) || saturated {
                continue;
            }
            peer.flights += 1;
            let flight = Flight {
                from,
                ledger: *ledger,
                deadline,
            };
            self.pulls.flights.insert(*wanted, flight);
            let have = have(self.holdings.chains().get(ledger));
            wants.push(Want {
                ledger: *ledger,
                wanted: *wanted,
                have,
            });
        }
        if !wants.is_empty() {
            out.push(Effect::Send {
                to: vec![from],
                message: Message::Pull(wants),
            });
        }
    }

    pub(super) fn on_pull(&mut self, from: NodeId, wants: &[Want], out: &mut Vec<Effect>) {
        for want in wants.iter().take(usize::from(FLIGHTS_MAX)) {
            let group = Group::of(&want.ledger);
            let chain = self.holdings.chains().get(&want.ledger);
            let (Some(group), Some(chain)) = (group, chain) else {
                continue;
            };
            // What one lacks for agreeing on trust is given before agreement; the rest after.
            if !self.may_have(&from, group) {
                self.counters.misplaced += 1;
                continue;
            }
            let have = &want.have[..want.have.len().min(HAVE_MAX)];
            let mut entries = chain.missing(&want.wanted, have, PULLED_MAX + 1);
            let more = entries.len() > PULLED_MAX;
            entries.truncate(PULLED_MAX);
            out.push(Effect::SendStored {
                to: from,
                wanted: want.wanted,
                entries,
                more,
            });
        }
    }

    pub(super) fn on_entries(
        &mut self,
        now: Millis,
        from: NodeId,
        wanted: Hash,
        parcels: Vec<Parcel>,
        rest: Rest,
        out: &mut Vec<Effect>,
    ) -> Vec<Arc<Entry>> {
        let Some(flight) = self.pulls.flights.get(&wanted).copied() else {
            self.counters.misplaced += 1;
            return Vec::new();
        };
        if flight.from != from {
            self.counters.misplaced += 1;
            return Vec::new();
        }
        let (fresh, troubles) = self.take(from, parcels, out);
        for entry in &fresh {
            if let Some(peer) = self.peers.get_mut(&from) {
                peer.note_known(&entry.hash);
            }
        }
        let arrived = self.holds(&flight.ledger, &wanted);
        let goes_on = !arrived && !fresh.is_empty() && rest != Rest::Done;
        if goes_on {
            if let Some(flight) = self.pulls.flights.get_mut(&wanted) {
                flight.deadline = now.plus(self.settings.answer_within_ms);
            }
            if rest == Rest::AskAgain {
                self.ask_on(
                    from,
                    flight.ledger,
                    wanted,
                    fresh.last().map(|e| e.hash),
                    out,
                );
            }
            return fresh;
        }
        self.land(from, &wanted);
        if troubles.unknown_signer {
            self.hasten_digest(now, from, 1_000);
        }
        let idle = self.peers.get(&from).is_some_and(|peer| peer.flights == 0);
        if idle && arrived {
            self.after_pulls(now, from, out);
        }
        fresh
    }

    /// Asks for what an answer stopped short of.
    fn ask_on(
        &mut self,
        from: NodeId,
        ledger: LedgerId,
        wanted: Hash,
        last: Option<Hash>,
        out: &mut Vec<Effect>,
    ) {
        let Some(last) = last else { return };
        let mut have = vec![last];
        have.extend(have_of(self.holdings.chains().get(&ledger)).filter(|hash| *hash != last));
        have.truncate(HAVE_MAX);
        let want = Want {
            ledger,
            wanted,
            have,
        };
        out.push(Effect::Send {
            to: vec![from],
            message: Message::Pull(vec![want]),
        });
    }

    fn land(&mut self, from: NodeId, wanted: &Hash) {
        if self.pulls.flights.remove(wanted).is_some() {
            if let Some(peer) = self.peers.get_mut(&from) {
                peer.flights = peer.flights.saturating_sub(1);
            }
        }
    }

    /// All that was asked of a peer is here: go on with what its digest says, or ask anew.
    fn after_pulls(&mut self, now: Millis, from: NodeId, out: &mut Vec<Effect>) {
        self.settle(now, out);
        let Some(peer) = self.peers.get(&from) else {
            return;
        };
        let (agreed, theirs) = (peer.agreed, peer.theirs.clone());
        let trust = self.holdings.digest(Group::Trust);
        if !agreed {
            // All heads of trust that the peer named are held now.
            self.agree(now, from, true, out);
        } else if theirs.is_some_and(|theirs| {
            theirs.trust != trust || theirs.fleet != self.holdings.digest(Group::Fleet)
        }) {
            self.hasten_digest(now, from, 200);
        }
    }

    pub(super) fn wake_pulls(&mut self, now: Millis) {
        if self
            .pulls
            .next_deadline()
            .is_none_or(|deadline| deadline > now)
        {
            return;
        }
        let late: Vec<(Hash, NodeId)> = self
            .pulls
            .flights
            .iter()
            .filter(|(_, flight)| flight.deadline <= now)
            .map(|(hash, flight)| (*hash, flight.from))
            .collect();
        for (hash, from) in late {
            self.land(from, &hash);
            self.hasten_digest(now, from, 1_000);
        }
    }
}

fn have(chain: Option<&crate::ledger::chain::Chain>) -> Vec<Hash> {
    have_of(chain).take(HAVE_MAX).collect()
}

fn have_of(chain: Option<&crate::ledger::chain::Chain>) -> impl Iterator<Item = Hash> + '_ {
    let mut leaves: Vec<_> = chain.into_iter().flat_map(|chain| chain.leaves()).collect();
    leaves.sort_unstable();
    leaves.into_iter().rev().map(|head| head.hash)
}
