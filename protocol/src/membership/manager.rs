//! What a manager does beyond: knows who is there, tells the other managers, pulls, suggests.

mod exchange;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::crypto::sign::PublicKey;
use crate::ident::NodeId;
use crate::machine::Millis;
use crate::membership::homes::{RosterManager, mix};
use crate::membership::link::{Due, Guest};
use crate::membership::links::Links;
use crate::membership::mesh::Mesh;
use crate::membership::message::{MembershipMessage, Presence, Profile, SignedPresence};
use crate::membership::own::Own;
use crate::membership::presence::{
    KEEP_ALIVE_ASSUMED_MS, Moment, PresenceView, Table, Taken, lapse_ms,
};
use crate::membership::suggest::Suggester;
use crate::membership::{Context, HangUpReason, MembershipEffect, MisbehaviourReason};

/// Managers ping each other so often.
pub(super) const PING_MS: u32 = 1_500;
/// A manager that is silent for so long is cut off: the transport would notice after minutes.
const SILENT_MS: u64 = 4_500;
/// A guest that was asked whether it is there answers within this time.
const ANSWER_MS: u64 = 2_500;
/// Guests with longer keep-alives are not asked: it would wake their radios.
const ASKED_KEEP_ALIVE_MS_MAX: u32 = 60_000;
/// Changes are shared so often at most.
const SHARE_MS: u64 = 1_000;
/// No keep-alive is believed to be longer: a node's silence must show some day.
const KEEP_ALIVE_MS_MAX: u32 = 3_600_000;

/// The duties of a manager.
#[derive(Clone, Debug)]
pub(super) struct Manager {
    pub table: Table,
    pub mesh: Mesh,
    suggester: Suggester,
    own: Own,
    lapses: BTreeSet<(Millis, NodeId)>,
    /// Observers whose word counted at the last ping.
    vouching: BTreeSet<NodeId>,
    wanted: BTreeMap<NodeId, Millis>,
    /// By manager with a link: those that it cannot hear itself.
    lacking: BTreeMap<NodeId, Vec<NodeId>>,
    ping_at: Millis,
    share: Share,
}

/// How far our own sightings were pushed, and when they are next.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    upto: u64,
    last: Millis,
    at: Option<Millis>,
}

impl Manager {
    pub(super) fn new(me: NodeId, own: Own) -> Self {
        Self {
            table: Table::new(me, own.version().0),
            mesh: Mesh::default(),
            suggester: Suggester::default(),
            own,
            lapses: BTreeSet::new(),
            vouching: BTreeSet::new(),
            wanted: BTreeMap::new(),
            lacking: BTreeMap::new(),
            ping_at: Millis(0),
            share: Share::default(),
        }
    }

    pub(super) fn set_roster(
        &mut self,
        context: &mut Context<'_>,
        managers: &Arc<[RosterManager]>,
    ) {
        for gone in self.mesh.set(context.now, context.me.node, managers) {
            self.table.drop_observer(&gone);
            self.vouching.remove(&gone);
            context
                .out
                .push(MembershipEffect::PresencesChanged { by: gone });
        }
        self.plan(context);
    }

    fn plan(&mut self, context: &mut Context<'_>) {
        let (now, me) = (context.now, context.me.node);
        self.mesh
            .plan(now, me, context.links, context.prng, context.out);
    }

    /// Notes a key, and asks for the presence that could not be checked without it.
    pub(super) fn known(&mut self, context: &mut Context<'_>, node: NodeId, key: PublicKey) {
        if !self.table.set_key(node, key) {
            context.counters.table_full += 1;
            return;
        }
        let asked = match context.links.contains_key(&node) {
            true => self.table.presence(&node).is_none().then_some(node),
            false => self.table.presence_lacks(&node),
        };
        if let Some(to) = asked.filter(|to| context.links.contains_key(to)) {
            context.send(to, MembershipMessage::GetPresence { node });
        }
    }

    pub(super) fn forget(&mut self, node: &NodeId) {
        self.suggester.set(*node, false);
        self.table.forget(node);
    }

    pub(super) fn connected(
        &mut self,
        context: &mut Context<'_>,
        peer: NodeId,
        key: PublicKey,
        is_manager: bool,
    ) {
        if !self.table.set_key(peer, key) {
            context.counters.table_full += 1;
        }
        if is_manager {
            self.mesh.connected(&peer);
            let wall = context.wall();
            let news = self.own.update(context.me, wall, &[], None);
            if let Some(signed) = news.or_else(|| self.own.signed()) {
                context.send(peer, MembershipMessage::Presence(signed));
            }
            // It may lack anybody: the first ping names all whom we hear.
            let everybody: Vec<NodeId> = self.mesh.peers().collect();
            self.lacking.insert(peer, everybody);
            self.send_ping(context, peer);
            self.plan(context);
        } else {
            self.watch(context, peer, KEEP_ALIVE_ASSUMED_MS);
        }
        self.raise(context, peer);
    }

    /// Looks at a node's silence when its keep-alive would have lapsed.
    fn watch(&mut self, context: &mut Context<'_>, peer: NodeId, keep_alive_ms: u32) {
        if let Some(link) = context.links.get_mut(&peer) {
            self.lapses.remove(&(link.guest.lapse_at, peer));
            link.guest.keep_alive_ms = keep_alive_ms;
            link.guest.lapse_at = link.heard.plus(lapse_ms(u64::from(keep_alive_ms)));
            self.lapses.insert((link.guest.lapse_at, peer));
        }
    }

    /// Our own sighting of a peer is up, or its presence is another.
    fn raise(&mut self, context: &mut Context<'_>, peer: NodeId) {
        if let Some(link) = context.links.get_mut(&peer) {
            link.guest.up = true;
        }
        self.sight(context, peer, true, Moment::ago(context.now, 0));
    }

    fn sight(&mut self, context: &mut Context<'_>, node: NodeId, up: bool, heard: Moment) {
        if !self.table.sight(node, up, heard) {
            context.counters.table_full += 1;
            return;
        }
        let earliest = self.share.last.plus(SHARE_MS);
        self.share.at.get_or_insert(earliest.max(context.now));
        self.changed(context, node);
    }

    fn changed(&mut self, context: &mut Context<'_>, node: NodeId) {
        let said = self.table.presence(&node);
        let can = said.is_some_and(|said| said.profile == Profile::Normal);
        let ready = can && !self.mesh.knows(&node) && self.table.is_up(&node);
        self.suggester.set(node, ready);
        context.out.push(MembershipEffect::PresenceChanged { node });
    }

    /// A link is gone; it is no longer in the table of links.
    pub(super) fn lost(
        &mut self,
        context: &mut Context<'_>,
        peer: NodeId,
        heard: Millis,
        guest: Guest,
    ) {
        self.lapses.remove(&(guest.lapse_at, peer));
        self.lacking.remove(&peer);
        if guest.pulled {
            context
                .out
                .push(MembershipEffect::StopPulling { device: peer });
        }
        if guest.up {
            let age = context.now.since(heard);
            self.sight(context, peer, false, Moment::ago(context.now, age));
        }
        self.dial_failed(context, peer);
    }

    pub(super) fn dial_failed(&mut self, context: &mut Context<'_>, peer: NodeId) {
        let (now, me) = (context.now, context.me.node);
        if self.mesh.knows(&peer) {
            self.mesh.failed(now, me, &peer, context.prng);
            self.plan(context);
        }
    }

    pub(super) fn received(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        from_manager: bool,
        message: MembershipMessage,
    ) {
        match (message, from_manager) {
            (MembershipMessage::KeepAlive { boot, sequence }, false) => {
                self.kept_alive(context, from, said(boot, sequence));
            }
            (MembershipMessage::Presence(signed), _) => {
                self.presence(context, from, from_manager, signed);
            }
            (MembershipMessage::Seek { round }, false) => {
                let peers = self.suggester.suggest(from, round);
                context.send(from, MembershipMessage::Suggest { peers });
            }
            (MembershipMessage::NeighbourAsk { .. }, false) => {
                context.send(from, MembershipMessage::NeighbourAnswer { accepted: false });
            }
            (MembershipMessage::Ping { rows, lacks }, true) => {
                self.pinged(context, from, &rows, lacks);
            }
            (MembershipMessage::Batch(batch), true) => self.batch(context, from, &batch),
            (
                MembershipMessage::Want {
                    observer,
                    boot,
                    after,
                },
                true,
            ) => {
                let known = self.table.boot(&observer) == Some(boot);
                if known
                    && self.table.version(&observer) > after
                    && let Some(batch) = self.table.batch(observer, after, context.now)
                {
                    context.send(from, MembershipMessage::Batch(batch));
                }
            }
            (MembershipMessage::GetPresence { node }, true) => {
                if let Some(signed) = self.table.signed(&node) {
                    let signed = signed.clone();
                    context.send(from, MembershipMessage::Presence(signed));
                }
            }
            (_, _) => context.misbehaved(from, MisbehaviourReason::NotItsPart),
        }
    }

    /// The hot path: one look-up, unless the node had been given up.
    fn kept_alive(&mut self, context: &mut Context<'_>, from: NodeId, said: u64) {
        let Some(link) = context.links.get(&from) else {
            return;
        };
        let (have, up) = (link.guest.said == said, link.guest.up);
        context.send(from, MembershipMessage::KeepAliveAck { have });
        if !up {
            self.raise(context, from);
        }
    }

    fn presence(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        from_manager: bool,
        signed: SignedPresence,
    ) {
        let claimed = match signed.claim() {
            Ok(claimed) if from_manager || claimed.node == from => claimed,
            Ok(_) => return context.misbehaved(from, MisbehaviourReason::ForgedPresence),
            Err(_) => return context.misbehaved(from, MisbehaviourReason::Malformed),
        };
        let node = claimed.node;
        let taken = self.take(context, from, signed, &claimed, node == from);
        if node != from {
            if taken == Some(Taken::New) {
                self.changed(context, node);
            }
            return;
        }
        if matches!(taken, Some(Taken::New | Taken::Same))
            && self.table.heard_directly(node, claimed.boot, context.now)
        {
            context.out.push(MembershipEffect::Cloned { node });
        }
        if matches!(taken, Some(Taken::New | Taken::Same)) && !from_manager {
            self.attend(context, &claimed, taken == Some(Taken::New));
        } else if taken == Some(Taken::New) {
            self.raise(context, node);
        }
    }

    /// Checks a presence and keeps it when it is news; none where the signature is not its node's.
    /// `direct`: it comes from the node's own link, ours or that of who heard it last.
    fn take(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        signed: SignedPresence,
        claimed: &Presence,
        direct: bool,
    ) -> Option<Taken> {
        let mut taken = self.table.judge(claimed, direct);
        // Whom we hear ourselves nobody else need tell us of.
        let link = context.links.get(&claimed.node);
        let heard = claimed.node != from && link.is_some_and(|link| link.guest.said != 0);
        if heard && taken == Taken::New {
            taken = Taken::Stale;
        }
        match taken {
            Taken::New => {
                let key = self.table.key(&claimed.node)?;
                if !signed.is_signed_by(&key, &context.me.fleet, &*context.me.verify) {
                    context.counters.forged += 1;
                    context.misbehaved(from, MisbehaviourReason::ForgedPresence);
                    return None;
                }
                self.table.keep(signed, claimed.clone());
            }
            Taken::Same => {}
            Taken::Stale => context.counters.stale += 1,
            Taken::Dropped => context.counters.unverified += 1,
        }
        Some(taken)
    }

    /// What a node said on its own link: its keep-alive counts, and whether we pull from it.
    fn attend(&mut self, context: &mut Context<'_>, claimed: &Presence, is_news: bool) {
        let device = claimed.node;
        let mine = claimed.puller == Some(context.me.node);
        let Some(link) = context.links.get_mut(&device) else {
            return;
        };
        link.guest.said = said(claimed.boot, claimed.sequence);
        let up = link.guest.up;
        let pulled = std::mem::replace(&mut link.guest.pulled, mine);
        let keep_alive_ms = claimed.keep_alive_ms.min(KEEP_ALIVE_MS_MAX);
        self.watch(context, device, keep_alive_ms);
        match (pulled, mine) {
            (false, true) => context.out.push(MembershipEffect::StartPulling { device }),
            (true, false) => context.out.push(MembershipEffect::StopPulling { device }),
            (true, true) | (false, false) => {}
        }
        if is_news || !up {
            self.raise(context, device);
        }
    }

    /// Does what is due by now.
    pub(super) fn tick(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        while let Some((at, peer)) = self.lapses.first().copied().filter(|(at, _)| *at <= now) {
            self.lapses.remove(&(at, peer));
            let Some(link) = context.links.get_mut(&peer) else {
                continue;
            };
            let due = link.due.map_or(Millis(u64::MAX), |due| due.until);
            let lapse = link
                .heard
                .plus(lapse_ms(u64::from(link.guest.keep_alive_ms)));
            let lapse_at = if due > now {
                lapse.min(due)
            } else {
                link.due = None;
                let asked = Millis(due.0.saturating_sub(ANSWER_MS));
                if link.heard <= asked { now } else { lapse }
            };
            link.guest.lapse_at = lapse_at;
            if lapse_at > now {
                self.lapses.insert((lapse_at, peer));
            } else {
                self.cut(context, peer, HangUpReason::Silent);
            }
        }
        if now >= self.ping_at {
            self.ping_at = now.plus(u64::from(PING_MS));
            self.ping(context);
            self.look_for_twins(context);
        }
        if self.share.at.is_some_and(|at| at <= now) {
            self.push(context);
        }
        if self.mesh.due().is_some_and(|due| due <= now) {
            self.plan(context);
        }
    }

    /// Hangs up and goes on at once as if the link were gone.
    pub(super) fn cut(&mut self, context: &mut Context<'_>, peer: NodeId, reason: HangUpReason) {
        if let Some(link) = context.links.remove(&peer) {
            context.out.push(MembershipEffect::HangUp { peer, reason });
            self.lost(context, peer, link.heard, link.guest);
        }
    }

    fn ping(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        let silent = |id: &NodeId| {
            let link = context.links.get(id);
            link.is_some_and(|link| now.since(link.heard) >= SILENT_MS)
        };
        let silent: Vec<NodeId> = self.mesh.peers().filter(silent).collect();
        for manager in silent {
            self.cut(context, manager, HangUpReason::Silent);
            self.doubt(context, manager);
        }
        let mut stale = self.vouching.clone();
        stale.retain(|observer| !self.table.is_fresh(observer, now));
        for by in stale {
            self.vouching.remove(&by);
            context.out.push(MembershipEffect::PresencesChanged { by });
        }
        for to in self.linked(context) {
            self.send_ping(context, to);
        }
    }

    fn linked(&self, context: &Context<'_>) -> Vec<NodeId> {
        let linked = self
            .mesh
            .peers()
            .filter(|id| context.links.contains_key(id));
        linked.collect()
    }

    /// Tells our guests of a silent manager: those that share it with us ask it themselves, and none of
    /// them waits for its keep-alive. Each says that it lives, for the silence may be that of a whole
    /// part of the network.
    fn doubt(&mut self, context: &mut Context<'_>, manager: NodeId) {
        let until = context.now.plus(ANSWER_MS);
        let guests = context.links.iter().filter(|(_, link)| {
            !link.is_manager && link.guest.keep_alive_ms <= ASKED_KEEP_ALIVE_MS_MAX
        });
        let guests: Vec<NodeId> = guests.map(|(node, _)| *node).collect();
        for node in guests {
            if let Some(link) = context.links.get_mut(&node) {
                let again = false;
                link.due.get_or_insert(Due { until, again });
                self.lapses.remove(&(link.guest.lapse_at, node));
                link.guest.lapse_at = link.guest.lapse_at.min(until);
                self.lapses.insert((link.guest.lapse_at, node));
            }
            context.send(node, MembershipMessage::Doubt { manager });
        }
    }

    /// When [`Self::tick`] is wanted.
    pub(super) fn due(&self) -> Option<Millis> {
        let alone = self.mesh.peers().next().is_none();
        let lapse = self.lapses.first().map(|(at, _)| *at);
        let ping = (!alone).then_some(self.ping_at);
        [lapse, ping, self.share.at, self.mesh.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What can be said of a node; keep-alives are noted on the link alone.
    pub(super) fn view(
        &self,
        context: (&Links, NodeId),
        node: &NodeId,
        now: Millis,
    ) -> PresenceView {
        let mut view = self.table.view(node, now);
        if let Some(link) = context.0.get(node) {
            let age = now.since(link.heard);
            if view.heard_ago_ms.is_none_or(|known| age <= known) {
                (view.heard_ago_ms, view.by) = (Some(age), Some(context.1));
            }
        }
        view
    }
}

/// Which presence, as one number.
fn said(boot: u64, sequence: u64) -> u64 {
    mix(boot ^ mix(sequence))
}
