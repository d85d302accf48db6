//! The fast path: pushing to those who asked to be fed, announcing to the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::library::Reading;
use crate::ledger::chain::Head;
use crate::ledger::entry::{Entry, LedgerId, Parcel};
use crate::ledger::message::{Group, Message, frames};
use crate::ledger::replica::{Effect, Replica, Role};
use crate::machine::Millis;

/// Announced but absent after this: it is pulled.
const ABSENT_AFTER_MS: u64 = 1_000;
/// So many times, and another feeder is looked for.
const MISSES_MAX: u8 = 3;
/// Heads that are announced together.
const ANNOUNCED_MAX: usize = 128;
/// Announced heads that are waited for.
const ABSENT_MAX: usize = 1024;

/// An announced head that is not here yet.
#[derive(Clone, Copy, Debug)]
struct Absent {
    ledger: LedgerId,
    announcer: NodeId,
    due: Millis,
}

/// What is to be announced and what is waited for.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    feeder: Option<NodeId>,
    misses: u8,
    /// The latest head of each ledger that changed, with its hops and who surely has it.
    outbox: BTreeMap<LedgerId, (Head, u8)>,
    flush_at: Option<Millis>,
    absent: BTreeMap<Hash, Absent>,
}

impl News {
    pub fn wake_at(&self) -> Option<Millis> {
        self.absent
            .values()
            .map(|absent| absent.due)
            .chain(self.flush_at)
            .min()
    }

    pub fn drop_absent(&mut self, entry: &Hash) {
        self.absent.remove(entry);
    }
}

impl Replica {
    pub(super) fn greet_feeder(&self, peer: &NodeId, out: &mut Vec<Effect>) {
        if self.news.feeder == Some(*peer) && self.settings.push {
            out.push(Effect::Send {
                to: vec![*peer],
                message: Message::Feed(true),
            });
        }
    }

    pub(super) fn on_feeder(&mut self, now: Millis, feeder: Option<NodeId>, out: &mut Vec<Effect>) {
        if self.news.feeder == feeder {
            return;
        }
        let old = std::mem::replace(&mut self.news.feeder, feeder);
        self.news.misses = 0;
        if let Some(old) = old.filter(|old| self.peers.contains_key(old) && self.settings.push) {
            out.push(Effect::Send {
                to: vec![old],
                message: Message::Feed(false),
            });
        }
        let Some(new) = feeder.filter(|new| self.peers.contains_key(new)) else {
            return;
        };
        self.greet_feeder(&new, out);
        // What it had before it began to push has to be pulled.
        self.send_digest(now, new, true, out);
    }

    /// Hands new entries on: pushed to managers by their author, and to those who are fed; announced
    /// to all others, later and together.
    pub(super) fn spread(
        &mut self,
        now: Millis,
        fresh: &[Arc<Entry>],
        hops: u8,
        from: Option<NodeId>,
        out: &mut Vec<Effect>,
    ) {
        for entry in fresh {
            self.see_stamp(now, entry.header.stamp);
        }
        if !self.settings.push {
            let peers: Vec<NodeId> = self
                .peers
                .keys()
                .copied()
                .filter(|peer| Some(*peer) != from)
                .collect();
            for peer in peers {
                self.hasten_digest(now, peer, ABSENT_AFTER_MS);
            }
            return;
        }
        let mut batches: BTreeMap<(Vec<NodeId>, bool), Vec<&Arc<Entry>>> = BTreeMap::new();
        for entry in fresh {
            let Some(group) = Group::of(&entry.header.ledger) else {
                continue;
            };
            let pushed = self.pushed_to(entry, group, from);
            self.note_for_announcement(now, entry, hops);
            let (readers, others): (Vec<NodeId>, Vec<NodeId>) = pushed
                .into_iter()
                .partition(|peer| self.may_ride(now, entry, peer));
            for (to, rides) in [(readers, true), (others, false)] {
                if !to.is_empty() {
                    batches.entry((to, rides)).or_default().push(entry);
                }
            }
        }
        for ((to, rides), entries) in batches {
            for node in &to {
                let Some(peer) = self.peers.get_mut(node) else {
                    continue;
                };
                entries
                    .iter()
                    .for_each(|entry| peer.note_known(&entry.hash));
            }
            let parcel = |entry: &&Arc<Entry>| match rides {
                true => entry.parcel.clone(),
                false => entry.bare(),
            };
            for parcels in frames(entries.iter().map(parcel)) {
                out.push(Effect::Send {
                    to: to.clone(),
                    message: Message::Push { hops, parcels },
                });
            }
        }
    }

    /// Whether an entry's private body may go along with it to a peer.
    fn may_ride(&self, now: Millis, entry: &Entry, peer: &NodeId) -> bool {
        let credentials = self
            .peers
            .get(peer)
            .and_then(|peer| peer.credentials.as_ref());
        let reading = Reading {
            holdings: &self.holdings,
            shelf: self.holdings.shelf(),
            reference: self.reference(now),
        };
        entry.riding().is_some()
            && credentials.is_some_and(|credentials| reading.may_ride(entry, credentials))
    }

    fn pushed_to(&self, entry: &Entry, group: Group, from: Option<NodeId>) -> Vec<NodeId> {
        let own = entry.header.ledger.author == self.me.node;
        self.peers
            .values()
            .filter(|peer| peer.fed || (own && peer.info.role == Role::Manager))
            .filter(|peer| Some(peer.node()) != from && !peer.knows(&entry.hash))
            .map(|peer| peer.node())
            .filter(|peer| self.may_have(peer, group))
            .collect()
    }

    fn note_for_announcement(&mut self, now: Millis, entry: &Entry, hops: u8) {
        let head = Head {
            number: entry.header.number,
            incarnation: entry.header.incarnation,
            hash: entry.hash,
        };
        let room = self.news.outbox.len() < ANNOUNCED_MAX;
        if room || self.news.outbox.contains_key(&entry.header.ledger) {
            self.news.outbox.insert(entry.header.ledger, (head, hops));
        }
        let flush_at = now.plus(self.settings.announce_after_ms);
        self.news.flush_at.get_or_insert(flush_at);
    }

    pub(super) fn wake_news(&mut self, now: Millis, out: &mut Vec<Effect>) {
        if self.news.flush_at.is_some_and(|at| at <= now) {
            self.news.flush_at = None;
            self.announce(out);
        }
        if self.news.absent.values().any(|absent| absent.due <= now) {
            self.pull_absent(now, out);
        }
    }

    fn announce(&mut self, out: &mut Vec<Effect>) {
        let outbox = std::mem::take(&mut self.news.outbox);
        let hops = outbox.values().map(|(_, hops)| *hops).min().unwrap_or(0);
        let mut batches: BTreeMap<Vec<(LedgerId, Head)>, Vec<NodeId>> = BTreeMap::new();
        for peer in self.peers.values().filter(|peer| !peer.fed && peer.agreed) {
            let node = peer.node();
            let heads: Vec<(LedgerId, Head)> = outbox
                .iter()
                .filter(|(_, (head, _))| !peer.knows(&head.hash))
                .filter(|(ledger, _)| {
                    Group::of(ledger).is_some_and(|group| self.may_have(&node, group))
                })
                .map(|(ledger, (head, _))| (*ledger, *head))
                .collect();
            if !heads.is_empty() && self.news.feeder != Some(node) {
                batches.entry(heads).or_default().push(node);
            }
        }
        for (heads, to) in batches {
            out.push(Effect::Send {
                to,
                message: Message::Announce { hops, heads },
            });
        }
    }

    pub(super) fn on_announce(
        &mut self,
        now: Millis,
        from: NodeId,
        hops: u8,
        heads: &[(LedgerId, Head)],
        out: &mut Vec<Effect>,
    ) {
        if self.me.role == Role::Agent {
            out.push(Effect::NewsHops { peer: from, hops });
        }
        for (ledger, head) in heads.iter().take(ANNOUNCED_MAX) {
            if let Some(peer) = self.peers.get_mut(&from) {
                peer.note_known(&head.hash);
            }
            let wanted = Group::of(ledger)
                .is_some_and(|group| self.wants(group) && self.has_room_for(group));
            if !wanted || self.holds(ledger, &head.hash) || self.pulls.is_wanted(&head.hash) {
                continue;
            }
            if self.news.absent.len() < ABSENT_MAX {
                let due = now.plus(ABSENT_AFTER_MS);
                let absent = Absent {
                    ledger: *ledger,
                    announcer: from,
                    due,
                };
                self.news.absent.entry(head.hash).or_insert(absent);
            }
        }
    }

    /// What was announced a second ago and has not come is pulled from who announced it.
    fn pull_absent(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let due: Vec<(Hash, Absent)> = self
            .news
            .absent
            .iter()
            .filter(|(_, absent)| absent.due <= now)
            .map(|(hash, absent)| (*hash, *absent))
            .collect();
        let mut missed = false;
        for (hash, absent) in due {
            self.news.absent.remove(&hash);
            if self.holds(&absent.ledger, &hash) {
                continue;
            }
            missed |= self
                .news
                .feeder
                .is_some_and(|feeder| feeder != absent.announcer);
            self.pull(now, absent.announcer, &[(absent.ledger, hash)], out);
        }
        if !missed {
            return;
        }
        self.news.misses = self.news.misses.saturating_add(1);
        if self.news.misses >= MISSES_MAX
            && let Some(feeder) = self.news.feeder
        {
            self.news.misses = 0;
            out.push(Effect::FeederFailed(feeder));
        }
    }

    pub(super) fn on_push(
        &mut self,
        now: Millis,
        from: NodeId,
        hops: u8,
        parcels: Vec<Parcel>,
        out: &mut Vec<Effect>,
    ) -> Vec<Arc<Entry>> {
        let (fresh, troubles) = self.take(from, parcels, out);
        if let Some(peer) = self.peers.get_mut(&from) {
            fresh.iter().for_each(|entry| peer.note_known(&entry.hash));
        }
        if !fresh.is_empty() {
            if self.news.feeder == Some(from) {
                self.news.misses = 0;
            }
            if self.me.role == Role::Agent {
                out.push(Effect::NewsHops { peer: from, hops });
            }
            self.acknowledge(from, &fresh, out);
        } else if self.me.role == Role::Agent && self.news.feeder != Some(from) {
            // It feeds on although another does: the word to end it was overtaken, or lost.
            out.push(Effect::Send {
                to: vec![from],
                message: Message::Feed(false),
            });
        }
        if troubles.unknown_signer {
            self.hasten_digest(now, from, 0);
        }
        let orphans: BTreeSet<(LedgerId, Hash)> = troubles.orphans.into_iter().collect();
        let orphans: Vec<(LedgerId, Hash)> = orphans.into_iter().collect();
        self.pull(now, from, &orphans, out);
        fresh
    }
}
