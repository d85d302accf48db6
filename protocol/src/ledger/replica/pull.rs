//! Pulling what is missing, from one peer at a time, until it is here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ident::{Hash, NodeId};
use crate::ledger::chain::Chain;
use crate::ledger::entry::{Entry, LedgerId, Parcel};
use crate::ledger::message::{Group, HeadsPage, Message, Rest, Want};
use crate::ledger::replica::{Effect, Replica};
use crate::machine::Millis;

/// Heads that are wanted from one peer at a time.
const FLIGHTS_MAX: u8 = 32;
/// Entries that one pull is answered with.
const PULLED_MAX: usize = 128;
/// Heads of what is held that a pull names.
const HAVE_MAX: usize = 8;

/// A head that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub from: NodeId,
    ledger: LedgerId,
    deadline: Millis,
}

/// Pulls that are under way, and when digests are compared.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulls {
    pub flights: BTreeMap<Hash, Flight>,
    pub digests: BTreeSet<(Millis, NodeId)>,
    /// When what follows from the entries changes by time alone.
    pub settle_at: Option<Millis>,
    /// Nothing but trust can be kept: the rest is neither asked for nor taken.
    pub cramped: bool,
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
            .filter(|(ledger, hash)| self.has_room_for(group) && !self.holds(ledger, hash))
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
        if self.pulls.flights.remove(wanted).is_some()
            && let Some(peer) = self.peers.get_mut(&from)
        {
            peer.flights = peer.flights.saturating_sub(1);
        }
    }

    /// All that was asked of a peer is here: go on with what its digest says, or ask anew.
    fn after_pulls(&mut self, now: Millis, from: NodeId, out: &mut Vec<Effect>) {
        self.settle(now, out);
        let Some(peer) = self.peers.get(&from) else {
            return;
        };
        if !peer.agreed {
            // All heads of trust that the peer named are held now.
            self.agree(now, from, true, out);
        } else if self.is_in_step(&from) {
            self.author.agreed_with_a_peer();
        } else {
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

fn have(chain: Option<&Chain>) -> Vec<Hash> {
    have_of(chain).take(HAVE_MAX).collect()
}

fn have_of(chain: Option<&Chain>) -> impl Iterator<Item = Hash> + '_ {
    let mut leaves: Vec<_> = chain.into_iter().flat_map(|chain| chain.leaves()).collect();
    leaves.sort_unstable();
    leaves.into_iter().rev().map(|head| head.hash)
}
