//! What a node that is no manager does: keeps homes, neighbours and a feeder, and says so.

use std::sync::Arc;

use crate::ident::NodeId;
use crate::machine::Millis;
use crate::membership::feeder::Feeder;
use crate::membership::homes::{Homes, RosterManager};
use crate::membership::link::Due;
use crate::membership::links::Links;
use crate::membership::message::{MembershipMessage, Profile};
use crate::membership::neighbours::{Neighbours, Surroundings};
use crate::membership::own::Own;
use crate::membership::{Context, HangUpReason, MembershipEffect, MisbehaviourReason};

/// How long a keep-alive may stay unanswered, twice, before its link counts as dead.
const ACK_MS: u64 = 5_000;
/// The same once a home has voiced a doubt.
const DOUBT_MS: u64 = 2_500;
/// Between neighbours the lower id asks once in so many keep-alives.
const NEIGHBOUR_KEEP_ALIVES: u32 = 6;

/// The duties of a node that is no manager.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    pub homes: Homes,
    pub neighbours: Neighbours,
    pub feeder: Feeder,
    pub own: Own,
    keep_alive_at: Millis,
    keep_alives: u32,
}

impl Agent {
    pub(super) fn new(me: NodeId, own: Own) -> Self {
        Self {
            homes: Homes::new(own.profile()),
            neighbours: Neighbours::new(me),
            feeder: Feeder::default(),
            own,
            keep_alive_at: Millis(0),
            keep_alives: 0,
        }
    }

    fn is_metered(&self) -> bool {
        self.own.profile() == Profile::Metered
    }

    pub(super) fn set_roster(&mut self, context: &mut Context<'_>, managers: Arc<[RosterManager]>) {
        self.homes.set_roster(&context.me.node, managers);
        self.settle(context);
    }

    pub(super) fn lan_seen(&mut self, context: &mut Context<'_>, peer: NodeId) {
        if !self.is_metered() && !self.homes.knows(&peer) {
            self.neighbours.lan_seen(&mut around(context), peer);
            self.settle(context);
        }
    }

    pub(super) fn remembered(&mut self, context: &mut Context<'_>, peers: &[NodeId]) {
        if !self.is_metered() {
            self.neighbours.remember(context.now, peers);
            self.settle(context);
        }
    }

    pub(super) fn connected(&mut self, context: &mut Context<'_>, peer: NodeId, is_manager: bool) {
        if is_manager {
            self.homes.connected(peer);
            let told = self.settle(context);
            // Whether home or on trial, a manager with a link is to know whom it has there.
            if let Some(signed) = self.own.signed().filter(|_| !told) {
                context.send(peer, MembershipMessage::Presence(signed));
            }
        } else {
            self.neighbours.connected(&mut around(context), peer);
            self.settle(context);
        }
    }

    /// A link that was up since then is gone; it is no longer in the table.
    pub(super) fn lost(
        &mut self,
        context: &mut Context<'_>,
        peer: NodeId,
        is_manager: bool,
        since: Millis,
    ) {
        if is_manager {
            self.homes.lost(context.now, peer, since, context.prng);
        } else {
            self.neighbours.lost(&mut around(context), peer);
        }
        self.settle(context);
    }

    pub(super) fn dial_failed(&mut self, context: &mut Context<'_>, peer: NodeId) {
        self.homes.dial_failed(context.now, peer, context.prng);
        self.neighbours.dial_failed(&mut around(context), peer);
        self.settle(context);
    }

    pub(super) fn news_hops(&mut self, context: &mut Context<'_>, peer: NodeId, hops: u8) {
        if context.links.contains_key(&peer) {
            self.feeder.set_hops(peer, hops);
            self.choose_feeder(context);
        }
    }

    pub(super) fn feeder_failed(&mut self, context: &mut Context<'_>, peer: NodeId) {
        self.feeder.failed(context.now, peer);
        self.choose_feeder(context);
    }

    /// Puts everything in order after the links or the roster have changed; tells whether all
    /// managers with a link were sent a new presence.
    pub(super) fn settle(&mut self, context: &mut Context<'_>) -> bool {
        self.homes
            .plan(context.now, context.links, context.prng, context.out);
        let (homes, puller) = (self.homes.chosen(), self.homes.puller());
        let wall = context.wall();
        let news = self.own.update(context.me, wall, homes, puller);
        if let Some(signed) = &news {
            for manager in managers(context) {
                context.send(manager, MembershipMessage::Presence(signed.clone()));
            }
        }
        if !self.is_metered() {
            let homes = self.homes.chosen();
            self.neighbours.plan(&mut around(context), homes);
        }
        self.choose_feeder(context);
        news.is_some()
    }

    fn choose_feeder(&mut self, context: &mut Context<'_>) {
        let neighbours: Vec<NodeId> = self.neighbours.agreed().collect();
        let (homes, puller) = (self.homes.chosen(), self.homes.puller());
        if self.feeder.choose(context.now, puller, homes, &neighbours) {
            let feeder = self.feeder.current();
            context.out.push(MembershipEffect::SetFeeder(feeder));
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
            (MembershipMessage::KeepAliveAck { have }, _) => {
                if let Some(link) = context.links.get_mut(&from) {
                    link.due = None;
                }
                if let Some(signed) = self.own.signed().filter(|_| from_manager && !have) {
                    context.send(from, MembershipMessage::Presence(signed));
                }
            }
            (MembershipMessage::GetPresence { node }, true) if node == context.me.node => {
                if let Some(signed) = self.own.signed() {
                    context.send(from, MembershipMessage::Presence(signed));
                }
            }
            (MembershipMessage::Doubt { manager }, true) => {
                self.send_keep_alive(context, from);
                self.doubt(context, manager);
                // A neighbour whose homes are all on the silent side hears of it from nobody else.
                let neighbours: Vec<NodeId> = self.neighbours.agreed().collect();
                for to in neighbours {
                    context.send(to, MembershipMessage::Doubt { manager });
                }
            }
            (MembershipMessage::Doubt { manager }, false) => self.doubt(context, manager),
            (MembershipMessage::KeepAlive { .. }, false) => {
                context.send(from, MembershipMessage::KeepAliveAck { have: true });
            }
            (MembershipMessage::Seek { .. }, false) => {
                let peers = self.neighbours.named_to(from);
                context.send(from, MembershipMessage::Suggest { peers });
            }
            (MembershipMessage::NeighbourAsk { .. }, false) if self.is_metered() => {
                context.send(from, MembershipMessage::NeighbourAnswer { accepted: false });
            }
            (MembershipMessage::Suggest { peers }, _) => {
                if !self.is_metered() {
                    self.neighbours.suggested(context.now, &peers);
                    self.settle(context);
                }
            }
            (MembershipMessage::NeighbourAsk { have }, false) => {
                self.neighbours.asked(&mut around(context), from, have);
                self.settle(context);
            }
            (MembershipMessage::NeighbourAnswer { accepted }, false) => {
                let around = &mut around(context);
                self.neighbours.answered(around, from, accepted);
                self.settle(context);
            }
            (MembershipMessage::NeighbourLeave { instead }, false) => {
                self.neighbours.left(&mut around(context), from, instead);
                self.settle(context);
            }
            (_, _) => context.misbehaved(from, MisbehaviourReason::NotItsPart),
        }
    }

    /// Somebody cannot hear this home: ask it ourselves, and briefly.
    fn doubt(&mut self, context: &mut Context<'_>, manager: NodeId) {
        let until = context.now.plus(DOUBT_MS);
        if let Some(link) = context.links.get_mut(&manager)
            && link.is_manager
            && link.due.is_none()
        {
            link.due = Some(Due {
                until,
                again: false,
            });
            self.send_keep_alive(context, manager);
        }
    }

    fn send_keep_alive(&self, context: &mut Context<'_>, to: NodeId) {
        let (boot, sequence) = self.own.version();
        context.send(to, MembershipMessage::KeepAlive { boot, sequence });
    }

    /// Does what is due by now.
    pub(super) fn tick(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        if now >= self.keep_alive_at {
            self.keep_alive(context);
        }
        while let Some((peer, again)) = first_overdue(context) {
            if again {
                let until = now.plus(ACK_MS);
                if let Some(link) = context.links.get_mut(&peer) {
                    link.due = Some(Due {
                        until,
                        again: false,
                    });
                }
                self.send_keep_alive(context, peer);
            } else {
                self.cut(context, peer, HangUpReason::Silent);
            }
        }
        self.settle(context);
    }

    /// Hangs up and goes on at once as if the link were gone.
    pub(super) fn cut(&mut self, context: &mut Context<'_>, peer: NodeId, reason: HangUpReason) {
        if let Some(link) = context.links.remove(&peer) {
            context.out.push(MembershipEffect::HangUp { peer, reason });
            self.lost(context, peer, link.is_manager, link.since);
        }
    }

    /// One moment for all homes and neighbours, so that a radio wakes once.
    fn keep_alive(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        let interval = u64::from(context.me.keep_alive_ms);
        // A first one at a random moment keeps a fleet that started together apart.
        let first = self.keep_alive_at == Millis(0);
        let wait = if first {
            interval / 2 + context.prng.below(interval / 2 + 1)
        } else {
            interval
        };
        self.keep_alive_at = now.plus(wait);
        if first {
            return;
        }
        self.keep_alives = self.keep_alives.wrapping_add(1);
        let mut asked = managers(context);
        if self.keep_alives.is_multiple_of(NEIGHBOUR_KEEP_ALIVES) {
            let me = context.me.node;
            asked.extend(self.neighbours.agreed().filter(|peer| me < *peer));
            let silent_ms = 3 * interval * u64::from(NEIGHBOUR_KEEP_ALIVES);
            let heard = |peer: &NodeId| context.links.get(peer).map(|link| link.heard);
            let silent: Vec<NodeId> = self
                .neighbours
                .agreed()
                .filter(|peer| heard(peer).is_some_and(|heard| now.since(heard) > silent_ms))
                .collect();
            for peer in silent {
                self.cut(context, peer, HangUpReason::Silent);
            }
        }
        let until = now.plus(ACK_MS);
        for peer in asked {
            if let Some(link) = context.links.get_mut(&peer)
                && link.due.is_none()
            {
                link.due = Some(Due { until, again: true });
                self.send_keep_alive(context, peer);
            }
        }
    }

    /// When [`Self::tick`] is wanted.
    pub(super) fn due(&self, links: &Links) -> Option<Millis> {
        let answers = links.iter();
        let answers = answers.filter_map(|(_, link)| link.due.map(|due| due.until));
        [
            Some(self.keep_alive_at),
            self.homes.due(),
            self.neighbours.due(),
            self.feeder.due(),
        ]
        .into_iter()
        .flatten()
        .chain(answers)
        .min()
    }
}

/// A link whose answer is overdue, and whether to ask once more.
fn first_overdue(context: &Context<'_>) -> Option<(NodeId, bool)> {
    let mut due = context.links.iter().filter_map(|(peer, link)| {
        let due = link.due.filter(|due| due.until <= context.now)?;
        Some((*peer, due.again))
    });
    due.next()
}

fn managers(context: &Context<'_>) -> Vec<NodeId> {
    let managers = context.links.iter().filter(|(_, link)| link.is_manager);
    managers.map(|(id, _)| *id).collect()
}

fn around<'a>(context: &'a mut Context<'_>) -> Surroundings<'a> {
    Surroundings {
        now: context.now,
        links: context.links,
        prng: context.prng,
        out: context.out,
    }
}
