//! Who is there, who is whose home, and what is known of everybody's presence.
//!
//! One machine for both roles. A node that is no manager keeps homes, neighbours and a feeder
//! ([`homes`], `neighbours`, `feeder`); a manager keeps links to all other managers and a table of
//! everybody ([`presence`]). Invariant: only a manager says that a node is unreachable, and only of
//! nodes whose homes it hears; everything else that it cannot vouch for is unknown.

mod agent;
pub mod event;
mod feeder;
pub mod homes;
mod link;
mod links;
mod manager;
mod mesh;
pub mod message;
mod neighbours;
mod own;
pub mod presence;
pub mod roster;
mod suggest;

use std::sync::Arc;

use crate::crypto::sign::{PublicKey, Sign, Verify};
use crate::ident::{FleetId, NodeId};
use crate::machine::{Machine, Millis};
use crate::membership::agent::Agent;
pub use crate::membership::event::{
    HangUpReason, MembershipEffect, MembershipEvent, MisbehaviourReason,
};
use crate::membership::link::{Admission, Link};
use crate::membership::links::Links;
use crate::membership::manager::Manager;
use crate::membership::message::{MembershipMessage, Profile};
use crate::membership::own::Own;
use crate::membership::presence::{PresenceState, PresenceView};
use crate::prng::Prng;

/// The keep-alive of a node whose settings name none.
pub const KEEP_ALIVE_MS: u32 = 20_000;
/// The same on a metered link.
pub const KEEP_ALIVE_METERED_MS: u32 = 900_000;

/// Who this node is; settings that stay for the life of the machine.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The fleet.
    pub fleet: FleetId,
    /// This node.
    pub node: NodeId,
    /// Whether its certificate makes it a manager.
    pub is_manager: bool,
    /// How freely its link may be used; a manager's always is.
    pub profile: Profile,
    /// How often its homes are to hear it; a manager has a rhythm of its own.
    pub keep_alive_ms: u32,
    /// Signs its presence.
    pub sign: Arc<dyn Sign>,
    /// Checks that of others.
    pub verify: Arc<dyn Verify>,
}

/// What was counted since the start, and what there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Links now.
    pub links: usize,
    /// Nodes whose presence is known now.
    pub known: usize,
    /// Presences dropped because no key was known for them.
    pub unverified: u64,
    /// Presences older than what was held: replays, or overtaken on the way.
    pub stale: u64,
    /// Presences that their node did not sign.
    pub forged: u64,
    /// Messages not read because their sender sent too many.
    pub refused: u64,
    /// Messages from peers without a link.
    pub strays: u64,
    /// Times that something was not kept because the table was full.
    pub table_full: u64,
}

/// How many nodes are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Heard.
    pub ready: usize,
    /// Known to be gone.
    pub unreachable: usize,
    /// Nobody can say.
    pub unknown: usize,
}

/// What a part needs of the whole while it handles one event.
struct Context<'a> {
    now: Millis,
    me: &'a Identity,
    wall: (Millis, Millis),
    links: &'a mut Links,
    prng: &'a mut Prng,
    counters: &'a mut Counts,
    out: &'a mut Vec<MembershipEffect>,
}

impl Context<'_> {
    fn send(&mut self, to: NodeId, message: MembershipMessage) {
        self.out.push(MembershipEffect::Send { to, message });
    }

    fn misbehaved(&mut self, peer: NodeId, reason: MisbehaviourReason) {
        self.out.push(MembershipEffect::Misbehaved { peer, reason });
    }

    fn wall(&self) -> Millis {
        let (shown, at) = self.wall;
        shown.plus(self.now.since(at))
    }
}

#[derive(Clone, Debug)]
enum Duty {
    Agent(Box<Agent>),
    Manager(Box<Manager>),
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Membership {
    me: Arc<Identity>,
    /// What the wall clock showed, and when.
    wall: (Millis, Millis),
    links: Links,
    prng: Prng,
    counters: Counts,
    duty: Duty,
    wake: Option<Millis>,
}

impl Membership {
    /// Membership of a node that has just started; it wants its first `Wake` at once.
    #[must_use]
    pub fn new(mut me: Identity, mut prng: Prng) -> Self {
        let boot = prng.next_u64();
        let duty = if me.is_manager {
            me.profile = Profile::Normal;
            me.keep_alive_ms = manager::PING_MS;
            let own = Own::new(boot, me.profile);
            Duty::Manager(Box::new(Manager::new(me.node, own)))
        } else {
            // Below a second a keep-alive would be a flood.
            me.keep_alive_ms = me.keep_alive_ms.max(1000);
            let own = Own::new(boot, me.profile);
            Duty::Agent(Box::new(Agent::new(me.node, own)))
        };
        Self {
            me: Arc::new(me),
            wall: (Millis(0), Millis(0)),
            links: Links::default(),
            prng,
            counters: Counts::default(),
            duty,
            wake: Some(Millis(0)),
        }
    }

    /// What can honestly be said of a node now.
    #[must_use]
    pub fn state_of(&self, node: NodeId, now: Millis) -> PresenceView {
        let mut view = match &self.duty {
            Duty::Manager(manager) => manager.view((&self.links, self.me.node), &node, now),
            Duty::Agent(_) => PresenceView::unknown(),
        };
        if let (Duty::Agent(_), Some(link)) = (&self.duty, self.links.get(&node)) {
            view.state = PresenceState::Ready;
            view.heard_ago_ms = Some(now.since(link.heard));
            view.by = Some(self.me.node);
        }
        if node == self.me.node {
            view.state = PresenceState::Ready;
            (view.heard_ago_ms, view.by) = (Some(0), Some(node));
            view.homes = self.homes().to_vec();
            view.puller = self.puller();
        }
        view
    }

    /// Every node that a manager knows something of, itself left out; empty on other nodes.
    pub fn known(&self) -> impl Iterator<Item = NodeId> {
        let manager = match &self.duty {
            Duty::Manager(manager) => Some(manager),
            Duty::Agent(_) => None,
        };
        let nodes = manager
            .into_iter()
            .flat_map(|manager| manager.table.nodes());
        nodes.filter(|node| *node != self.me.node)
    }

    /// The homes of this node, best first; none for a manager.
    #[must_use]
    pub fn homes(&self) -> &[NodeId] {
        match &self.duty {
            Duty::Agent(agent) => agent.homes.chosen(),
            Duty::Manager(_) => &[],
        }
    }

    /// The home that pulls from this node.
    #[must_use]
    pub fn puller(&self) -> Option<NodeId> {
        match &self.duty {
            Duty::Agent(agent) => agent.homes.puller(),
            Duty::Manager(_) => None,
        }
    }

    /// The neighbours of this node that both sides agreed on.
    #[must_use]
    pub fn neighbours(&self) -> Vec<NodeId> {
        match &self.duty {
            Duty::Agent(agent) => agent.neighbours.agreed().collect(),
            Duty::Manager(_) => Vec::new(),
        }
    }

    /// Who pushes news to this node.
    #[must_use]
    pub fn feeder(&self) -> Option<NodeId> {
        match &self.duty {
            Duty::Agent(agent) => agent.feeder.current(),
            Duty::Manager(_) => None,
        }
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            links: self.links.len(),
            known: self.known().count(),
            ..self.counters
        }
    }

    /// How many nodes are in each state now; looks at every one.
    #[must_use]
    pub fn tally(&self, now: Millis) -> Tally {
        let mut tally = Tally::default();
        for node in self.known() {
            match self.state_of(node, now).state {
                PresenceState::Ready => tally.ready += 1,
                PresenceState::Unreachable => tally.unreachable += 1,
                PresenceState::Unknown => tally.unknown += 1,
            }
        }
        tally
    }

    /// The duty, and what it needs of the rest.
    fn split<'a>(
        &'a mut self,
        now: Millis,
        out: &'a mut Vec<MembershipEffect>,
    ) -> (&'a mut Duty, Context<'a>) {
        let context = Context {
            now,
            me: &self.me,
            wall: self.wall,
            links: &mut self.links,
            prng: &mut self.prng,
            counters: &mut self.counters,
            out,
        };
        (&mut self.duty, context)
    }

    fn due(&self) -> Option<Millis> {
        match &self.duty {
            Duty::Agent(agent) => agent.due(&self.links),
            Duty::Manager(manager) => manager.due(),
        }
    }

    fn connected(
        &mut self,
        now: Millis,
        peer: NodeId,
        key: PublicKey,
        is_manager: bool,
        out: &mut Vec<MembershipEffect>,
    ) {
        if peer == self.me.node || self.links.contains_key(&peer) {
            return;
        }
        self.links.insert(peer, Link::new(now, is_manager));
        let (duty, mut context) = self.split(now, out);
        match duty {
            Duty::Agent(agent) => agent.connected(&mut context, peer, is_manager),
            Duty::Manager(manager) => manager.connected(&mut context, peer, key, is_manager),
        }
    }

    fn disconnected(&mut self, now: Millis, peer: NodeId, out: &mut Vec<MembershipEffect>) {
        let Some(link) = self.links.remove(&peer) else {
            return;
        };
        let (duty, mut context) = self.split(now, out);
        match duty {
            Duty::Agent(agent) => agent.lost(&mut context, peer, link.is_manager, link.since),
            Duty::Manager(manager) => manager.lost(&mut context, peer, link.heard, link.guest),
        }
    }

    fn received(
        &mut self,
        now: Millis,
        from: NodeId,
        message: Option<MembershipMessage>,
        out: &mut Vec<MembershipEffect>,
    ) {
        let (duty, mut context) = self.split(now, out);
        let Some(link) = context.links.get_mut(&from) else {
            context.counters.strays += 1;
            return;
        };
        link.heard = now;
        let is_manager = link.is_manager;
        let admission = link.admit(now);
        if admission != Admission::Read {
            context.counters.refused += 1;
        }
        match (admission, duty) {
            (Admission::Read, duty) => match (message, duty) {
                (Some(message), Duty::Agent(agent)) => {
                    agent.received(&mut context, from, is_manager, message);
                }
                (Some(message), Duty::Manager(manager)) => {
                    manager.received(&mut context, from, is_manager, message);
                }
                (None, _) => context.misbehaved(from, MisbehaviourReason::Malformed),
            },
            (Admission::Refuse, _) => context.misbehaved(from, MisbehaviourReason::Flood),
            (Admission::RefuseAgain, _) => {}
            (Admission::Cut, Duty::Agent(agent)) => {
                agent.cut(&mut context, from, HangUpReason::Flood);
            }
            (Admission::Cut, Duty::Manager(manager)) => {
                manager.cut(&mut context, from, HangUpReason::Flood);
            }
        }
    }

    fn other(&mut self, now: Millis, event: MembershipEvent, out: &mut Vec<MembershipEffect>) {
        let (duty, mut context) = self.split(now, out);
        let context = &mut context;
        match (event, duty) {
            (MembershipEvent::Roster { managers }, Duty::Agent(agent)) => {
                agent.set_roster(context, managers);
            }
            (MembershipEvent::Roster { managers }, Duty::Manager(manager)) => {
                manager.set_roster(context, &managers);
            }
            (MembershipEvent::Remembered { neighbours }, Duty::Agent(agent)) => {
                agent.remembered(context, &neighbours);
            }
            (MembershipEvent::LanSeen { peer }, Duty::Agent(agent)) => {
                agent.lan_seen(context, peer);
            }
            (MembershipEvent::DialFailed { peer }, Duty::Agent(agent)) => {
                agent.dial_failed(context, peer);
            }
            (MembershipEvent::DialFailed { peer }, Duty::Manager(manager)) => {
                manager.dial_failed(context, peer);
            }
            (MembershipEvent::Known { node, key }, Duty::Manager(manager)) => {
                manager.known(context, node, key);
            }
            (MembershipEvent::Forget { node }, Duty::Manager(manager)) => {
                manager.forget(&node);
            }
            (MembershipEvent::NewsHops { peer, hops }, Duty::Agent(agent)) => {
                agent.news_hops(context, peer, hops);
            }
            (MembershipEvent::FeederFailed { peer }, Duty::Agent(agent)) => {
                agent.feeder_failed(context, peer);
            }
            // Each role is spared the events of the other.
            (_, _) => {}
        }
    }
}

impl Machine for Membership {
    type Event = MembershipEvent;
    type Effect = MembershipEffect;

    fn handle(&mut self, now: Millis, event: Self::Event, out: &mut Vec<Self::Effect>) {
        match event {
            MembershipEvent::Wake => {}
            MembershipEvent::Clock { wall } => self.wall = (wall, now),
            MembershipEvent::Connected {
                peer,
                is_manager,
                key,
                lan,
            } => {
                if lan && !is_manager {
                    self.other(now, MembershipEvent::LanSeen { peer }, out);
                }
                self.connected(now, peer, key, is_manager, out);
            }
            MembershipEvent::Disconnected { peer } => self.disconnected(now, peer, out),
            MembershipEvent::Received { from, message } => {
                self.received(now, from, Some(message), out);
            }
            MembershipEvent::Malformed { from } => self.received(now, from, None, out),
            other => self.other(now, other, out),
        }
        self.wake = self.due();
        if self.wake.is_some_and(|wake| wake <= now) {
            let (duty, mut context) = self.split(now, out);
            match duty {
                Duty::Agent(agent) => agent.tick(&mut context),
                Duty::Manager(manager) => manager.tick(&mut context),
            }
            self.wake = self.due();
        }
    }

    fn wake_at(&self) -> Option<Millis> {
        self.wake
    }
}

#[cfg(test)]
mod harness;
#[cfg(test)]
mod lies;
#[cfg(test)]
mod tests;
