//! The machine that keeps ledgers equal. Digests and pull are the truth, push is the fast path:
//! everything converges with push switched off.
//!
//! What a node says to another is in [`crate::ledger::message`]. Comparing and pulling is in
//! [`compare`] and [`pull`], scopes in [`scopes`], pushing and announcing in [`news`], writing in [`author`].

pub mod author;
mod compare;
pub mod event;
mod news;
mod peer;
mod pull;
mod scopes;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::RevisionId;
use crate::clock::reference::{AgedTime, ReferenceTime, SignedTime, TimeClaim};
use crate::crypto::sign::Context;
use crate::ident::{Hash, NodeId};
use crate::ledger::entry::{BodyRef, Entry, LedgerId, Parcel};
use crate::ledger::holdings::{Holdings, Offered};
use crate::ledger::message::{Group, Message, Rest, frames};
use crate::ledger::replica::author::{Author, Identity};
use crate::ledger::replica::news::News;
use crate::ledger::replica::peer::Peer;
use crate::ledger::replica::pull::Pulls;
use crate::machine::{Machine, Millis};
use crate::prng::Prng;
use crate::trust::certificate::{Capability, Certificate};
use crate::trust::fold;

pub use crate::ledger::replica::event::{
    Alarm, Counters, Effect, Event, Misdeed, PeerInfo, Role, Settings,
};

/// Signed times that one digest may bring.
const TIMES_TAKEN_MAX: usize = 8;

/// A node's copy of the ledgers.
#[derive(Clone, Debug)]
pub struct Replica {
    me: Identity,
    settings: Settings,
    holdings: Holdings,
    time: ReferenceTime,
    author: Author,
    peers: BTreeMap<NodeId, Peer>,
    pulls: Pulls,
    news: News,
    prng: Prng,
    counters: Counters,
}

impl Replica {
    /// A replica over what was stored; `fresh` says that this node has never written anything, so
    /// that an empty store is no loss.
    #[must_use]
    pub fn new(
        me: Identity,
        settings: Settings,
        holdings: Holdings,
        time: ReferenceTime,
        prng: Prng,
        fresh: bool,
    ) -> Self {
        let author = Author::new(fresh || !holdings.chains().is_empty());
        let mut time = time;
        time.set_tellers(fold::tellers(holdings.record(), holdings.judgement()));
        Self {
            me,
            settings,
            holdings,
            time,
            author,
            peers: BTreeMap::new(),
            pulls: Pulls::default(),
            news: News::default(),
            prng,
            counters: Counters::default(),
        }
    }

    /// Whether what this node wrote before is gone, so that it writes nothing until a peer has given it
    /// back.
    #[must_use]
    pub fn is_rebuilding(&self) -> bool {
        !self.author.is_whole()
    }

    /// What is held.
    #[must_use]
    pub fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// Whoever may read a revision's body may read these files of it too.
    pub fn name_files(&mut self, id: RevisionId, files: &[BodyRef]) {
        self.holdings.take_files(id, files);
    }

    /// What time it is.
    #[must_use]
    pub fn reference(&self, now: Millis) -> Millis {
        self.time.read(now).max(self.me.not_before)
    }

    /// Reference time and where it comes from.
    #[must_use]
    pub fn time(&self) -> &ReferenceTime {
        &self.time
    }

    /// Who this is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.me
    }

    /// The certificate was renewed, or the key rotated.
    pub fn set_identity(&mut self, me: Identity) {
        self.author.begin_again();
        self.me = me;
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The hash over a group's heads.
    pub fn digest(&mut self, group: Group) -> Hash {
        self.holdings.digest(group)
    }

    /// Whether this node may hold a group at all.
    fn wants(&self, group: Group) -> bool {
        match group {
            Group::Trust | Group::Fleet => true,
            Group::Managers => self.me.role == Role::Manager,
            Group::Scope(device) => {
                self.me.role == Role::Manager
                    || device == self.me.node
                    || self.me.carries
                    || self.peers.contains_key(&device)
            }
        }
    }

    /// Whether what comes of a group can be kept now; where not it is asked for once it can.
    fn has_room_for(&self, group: Group) -> bool {
        group == Group::Trust || !self.pulls.cramped
    }

    fn on_room(&mut self, now: Millis, room: bool) {
        let before = std::mem::replace(&mut self.pulls.cramped, !room);
        if before && room {
            let peers: Vec<NodeId> = self.peers.keys().copied().collect();
            for peer in peers {
                self.hasten_digest(now, peer, 0);
            }
        }
    }

    /// Whether a peer may be given a group: what is for one device is not for everybody.
    fn may_have(&self, peer: &NodeId, group: Group) -> bool {
        let Some(peer) = self.peers.get(peer) else {
            return false;
        };
        match group {
            Group::Trust => true,
            Group::Fleet => peer.agreed,
            Group::Managers => peer.agreed && peer.info.role == Role::Manager,
            Group::Scope(device) => {
                peer.agreed
                    && (peer.info.role == Role::Manager
                        || peer.info.carries
                        || peer.info.node == device
                        || self.me.node == device)
            }
        }
    }

    /// Takes parcels that came; gives the entries that are new here.
    fn take(
        &mut self,
        from: NodeId,
        parcels: Vec<Parcel>,
        out: &mut Vec<Effect>,
    ) -> (Vec<Arc<Entry>>, Troubles) {
        let mut fresh = Vec::with_capacity(parcels.len());
        let mut troubles = Troubles::default();
        for parcel in parcels {
            let bytes = (parcel.header.len() + parcel.body.as_ref().map_or(0, |b| b.len())) as u64;
            let Ok(entry) = Entry::open(parcel) else {
                troubles.forged += 1;
                continue;
            };
            let group = Group::of(&entry.header.ledger);
            if !group.is_some_and(|group| self.wants(group)) {
                self.counters.misplaced += 1;
                continue;
            }
            if !group.is_some_and(|group| self.has_room_for(group)) {
                continue;
            }
            match self.holdings.offer(&entry) {
                Offered::Added { forked, restored } => {
                    self.counters.taken += 1;
                    self.counters.entry_bytes += bytes;
                    let entry = Arc::new(entry);
                    self.added(&entry, forked, restored, out);
                    fresh.push(entry);
                }
                Offered::Duplicate => self.counters.duplicates += 1,
                Offered::Orphan => troubles.orphans.push((entry.header.ledger, entry.hash)),
                Offered::UnknownSigner => troubles.unknown_signer = true,
                Offered::Forged => troubles.forged += 1,
                Offered::Saturated => {}
            }
        }
        self.counters.forged += u64::from(troubles.forged);
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.spend_forged(troubles.forged);
        }
        (fresh, troubles)
    }

    fn added(&mut self, entry: &Arc<Entry>, forked: bool, restored: bool, out: &mut Vec<Effect>) {
        let ledger = entry.header.ledger;
        out.push(Effect::Store(Arc::clone(entry)));
        if forked {
            out.push(Effect::Alarm(Alarm::Forked(ledger)));
        }
        if restored {
            out.push(Effect::Alarm(Alarm::Restored(ledger)));
        }
        if ledger.author == self.me.node && self.author.is_current(entry.header.incarnation) {
            out.push(Effect::Alarm(Alarm::Cloned(ledger)));
        }
        self.news.drop_absent(&entry.hash);
    }

    /// After entries came: what follows from them.
    fn settle(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let reference = self.reference(now);
        let changed = self.holdings.settle(reference);
        let stale_at = self.holdings.stale_at();
        // Only what waits for a time can change when words on the time age.
        let aged = stale_at.and_then(|_| self.time.ages_at(now));
        self.pulls.settle_at = stale_at
            .map(|at| now.plus(at.since(reference)))
            .into_iter()
            .chain(aged)
            .min();
        if !changed {
            return;
        }
        let stopped: Vec<NodeId> = {
            let record = self.holdings.record();
            let stopped = &self.holdings.judgement().stopped_keys;
            let is_stopped = |node: &&NodeId| {
                let mut certificates = record
                    .managers()
                    .values()
                    .filter(|certificate| certificate.node == **node);
                certificates.all(|certificate| stopped.contains(&certificate.keys.sign))
            };
            self.time.signers().filter(is_stopped).copied().collect()
        };
        for signer in stopped {
            self.time.discard(&signer);
        }
        let tellers = fold::tellers(self.holdings.record(), self.holdings.judgement());
        self.time.set_tellers(tellers);
        out.push(Effect::Judged);
    }

    fn take_times(&mut self, now: Millis, from: NodeId, times: &[AgedTime], out: &mut Vec<Effect>) {
        let of_manager = self
            .peers
            .get(&from)
            .is_some_and(|peer| peer.info.role == Role::Manager);
        for aged in times.iter().take(TIMES_TAKEN_MAX) {
            if !self.time.would_take(now, &aged.time.claim) || !self.may_tell(&aged.time) {
                continue;
            }
            let age_ms = if of_manager { aged.age_ms } else { 0 };
            let aged = AgedTime { age_ms, ..*aged };
            if let Some(floor) = self.time.take(now, aged) {
                out.push(Effect::StoreFloor(floor));
            }
        }
    }

    /// Whether a signed time is the word of a manager who may say what time it is.
    fn may_tell(&self, time: &SignedTime) -> bool {
        let record = self.holdings.record();
        self.teller(&time.claim).is_some_and(|certificate| {
            record.verify().verify(
                &certificate.keys.sign,
                Context::Time,
                &record.fleet(),
                &crate::codec::encode(&time.claim),
                &time.signature,
            )
        })
    }

    /// The certificate under which a manager may say so: it covers that very time.
    fn teller(&self, claim: &TimeClaim) -> Option<&Certificate> {
        let judgement = self.holdings.judgement();
        let certificate = self.holdings.record().managers().get(&claim.serial)?;
        let may = certificate.node == claim.by
            && certificate.window.from <= claim.at
            && claim.at <= judgement.end_of(&claim.serial, certificate)
            && !judgement.stopped_keys.contains(&certificate.keys.sign)
            && certificate
                .grants
                .iter()
                .any(|grant| grant.capability == Capability::Time);
        may.then_some(certificate)
    }

    fn receive(
        &mut self,
        now: Millis,
        from: NodeId,
        message: Message,
        out: &mut Vec<Effect>,
    ) -> Vec<Arc<Entry>> {
        match message {
            Message::Digest(digest) => self.on_digest(now, from, &digest, out),
            Message::Heads(page) => self.on_heads(now, from, &page, out),
            Message::Pull(wants) => self.on_pull(from, &wants, out),
            Message::Entries {
                wanted,
                parcels,
                rest,
            } => {
                return self.on_entries(now, from, wanted, parcels, rest, out);
            }
            Message::Announce { hops, heads } => self.on_announce(now, from, hops, &heads, out),
            Message::Push { hops, parcels } => {
                return self.on_push(now, from, hops, parcels, out);
            }
            Message::Feed(on) => {
                if let Some(peer) = self.peers.get_mut(&from) {
                    peer.fed = on;
                }
            }
            Message::Buckets(buckets) => self.on_buckets(from, &buckets, out),
            Message::Bucket {
                bucket,
                scopes,
                answer,
            } => {
                self.on_bucket(from, bucket, &scopes, answer, out);
            }
            Message::Stored(entries) => self.on_stored(from, &entries, out),
        }
        Vec::new()
    }

    fn on_received(&mut self, now: Millis, from: NodeId, message: Message, out: &mut Vec<Effect>) {
        let Some(peer) = self.peers.get_mut(&from) else {
            self.counters.misplaced += 1;
            return;
        };
        if let Err(reason) = peer.spend(now) {
            if !std::mem::replace(&mut peer.condemned, true) {
                out.push(Effect::HangUp { peer: from, reason });
            }
            return;
        }
        let hops = match &message {
            Message::Push { hops, .. } => hops.saturating_add(1),
            _ => 1,
        };
        let fresh = self.receive(now, from, message, out);
        if !fresh.is_empty() {
            if let Some(peer) = self.peers.get_mut(&from) {
                peer.refund();
            }
            self.settle(now, out);
            self.spread(now, &fresh, hops, Some(from), out);
        }
    }
}

/// What went wrong with parcels that came.
#[derive(Debug, Default)]
struct Troubles {
    forged: u32,
    orphans: Vec<(LedgerId, Hash)>,
    unknown_signer: bool,
}

impl Machine for Replica {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Millis, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::PeerUp(info) => self.on_peer_up(now, info, out),
            Event::PeerChanged(info) => self.on_peer_changed(now, info, out),
            Event::Presented { peer, credentials } => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.credentials = Some(credentials);
                }
            }
            Event::PeerDown(node) => self.on_peer_down(&node),
            Event::Received { from, message } => self.on_received(now, from, message, out),
            Event::Malformed { from } => {
                self.counters.misplaced += 1;
                let condemned = self.peers.get_mut(&from).and_then(|peer| {
                    peer.spend_forged(1);
                    let reason = peer.spend(now).err()?;
                    (!std::mem::replace(&mut peer.condemned, true)).then_some(reason)
                });
                if let Some(reason) = condemned {
                    out.push(Effect::HangUp { peer: from, reason });
                }
            }
            Event::Learned(statement) => {
                self.holdings.take_statement(&statement);
                self.settle(now, out);
            }
            Event::Write(draft) => self.on_write(now, draft, out),
            Event::Room(room) => self.on_room(now, room),
            Event::Feeder(feeder) => self.on_feeder(now, feeder, out),
            Event::Clock { wall } => {
                self.time.set_own(now, wall);
                self.settle(now, out);
            }
            Event::Wake => {
                self.settle(now, out);
                self.wake_pulls(now);
                self.wake_news(now, out);
                self.wake_digests(now, out);
            }
        }
    }

    fn wake_at(&self) -> Option<Millis> {
        let digests = self.pulls.next_digest();
        let stale = self.pulls.settle_at;
        [
            digests,
            self.pulls.next_deadline(),
            self.news.wake_at(),
            stale,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// Packs entries that were read from the store into answers, each within its frame.
#[must_use]
pub fn answer(wanted: Hash, parcels: impl IntoIterator<Item = Parcel>, more: bool) -> Vec<Message> {
    let frames = frames(parcels);
    let last = frames.len() - 1;
    let at_end = if more { Rest::AskAgain } else { Rest::Done };
    let message = |(index, parcels)| {
        let rest = if index < last { Rest::Follows } else { at_end };
        Message::Entries {
            wanted,
            parcels,
            rest,
        }
    };
    frames.into_iter().enumerate().map(message).collect()
}
