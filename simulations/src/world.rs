//! The world: virtual time, one queue of what will happen, the nodes and the network between them.
//!
//! Connections are in `links`, what machines ask for in `perform`. Effects are performed in order and
//! count for [`Node::crash_after`], of whatever machine they are; what one machine has to tell
//! another of the same node follows once all effects of the event are performed.

mod bodies;
pub mod config;
mod links;
mod perform;
mod places;
mod pulled;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use regatta_protocol::config::adoption;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::bodies::Event as BodyEvent;
use regatta_protocol::ledger::cursor::CursorEvent;
use regatta_protocol::ledger::entry::Entry;
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::ledger::replica::{Effect, Event, Settings};
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::membership::homes::RosterManager;
use regatta_protocol::membership::roster::roster;
use regatta_protocol::membership::{MembershipEffect, MembershipEvent};
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::statement::Statement;

use crate::fleet::Root;
use crate::ids::IdMap;
use crate::invariants::Invariants;
use crate::network::{Network, NodeIndex};
use crate::node::{NEVER, Node};
use crate::pulled::PulledEvent;
use crate::queue::Queue;
use crate::trace::Done;
use crate::wire::{Frame, Packet, Stream};
use crate::world::places::Places;

/// How soon the transport notices that a link is dead.
pub(crate) const NOTICED_AFTER_MS: u64 = 8_000;
/// How often a missing connection that no machine asked for is dialled.
const REDIAL_MS: u64 = 2_000;

/// What will happen.
#[derive(Debug)]
enum Pending {
    Deliver {
        to: NodeIndex,
        from: NodeIndex,
        session: u32,
        frame: Frame,
    },
    Wake(NodeIndex),
    /// The store of a node's pulled ledgers answers.
    Answered {
        node: NodeIndex,
        start: u32,
        event: Box<PulledEvent>,
    },
    /// A manager answers a node that asked whether it is there.
    ManagerHeard {
        node: NodeIndex,
        start: u32,
        manager: NodeIndex,
    },
    /// A dial arrives.
    Opened {
        dialler: NodeIndex,
        to: NodeIndex,
    },
    /// A dial came to nothing.
    NotOpened {
        dialler: NodeIndex,
        to: NodeIndex,
    },
    Closed {
        node: NodeIndex,
        peer: NodeIndex,
        session: u32,
    },
    /// A node dials whom it is told to by the run, not by membership.
    Dial(NodeIndex),
    /// A node is heard on its local network.
    Lan(NodeIndex),
    LookAtLinks,
}

/// What one machine of a node has to tell another.
#[derive(Debug)]
enum Follow {
    Replica(Event),
    Membership(MembershipEvent),
    Pulled(PulledEvent),
    Bodies(Box<BodyEvent>),
    Config(Box<adoption::Event>),
}

/// How a run is carried out.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How replicas behave.
    pub settings: Settings,
    /// Whether messages are encoded and decoded, or handed over with their bytes counted.
    pub encoded: bool,
    /// Whether agents write pulled ledgers, and managers read them.
    pub pulled: bool,
    /// Whether entries have bodies.
    pub bodies: bool,
    /// Whether agents adopt configuration; that needs pulled ledgers and bodies.
    pub config: bool,
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    /// Virtual time, monotonic.
    pub now: Millis,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The network between them.
    pub network: Network,
    /// The root.
    pub root: Root,
    /// What every node got when it joined.
    pub joined: Vec<Statement>,
    /// What must hold.
    pub invariants: Invariants,
    /// What was done.
    pub done: Done,
    places: Places,
    queue: Queue<Pending>,
    chance: Chance,
}

#[derive(Debug)]
struct Chance {
    manner: Manner,
    prng: Prng,
    sessions: u32,
    /// Sessions that lost something in a cut.
    doomed: BTreeSet<u32>,
    effects: Vec<Effect>,
    asked: Vec<MembershipEffect>,
    follow: VecDeque<Follow>,
    /// The last roster that a fold gave: most nodes draw the same one.
    roster: Arc<[RosterManager]>,
    /// Every entry once: the disks of a thousand nodes share what is the same on them.
    shared: IdMap<Hash, Arc<Entry>>,
}

impl World {
    /// A world in which nothing runs yet.
    #[must_use]
    pub fn new(
        root: Root,
        joined: Vec<Statement>,
        nodes: Vec<Node>,
        network: Network,
        manner: Manner,
        prng: Prng,
    ) -> Self {
        let mut places = Places::default();
        nodes
            .iter()
            .zip(0..)
            .for_each(|(node, index)| places.add(node, index));
        Self {
            now: Millis(0),
            nodes,
            network,
            root,
            joined,
            invariants: Invariants::default(),
            done: Done::default(),
            places,
            queue: Queue::default(),
            chance: Chance {
                manner,
                prng,
                sessions: 0,
                doomed: BTreeSet::new(),
                effects: Vec::new(),
                asked: Vec::new(),
                follow: VecDeque::new(),
                roster: Arc::from([]),
                shared: IdMap::default(),
            },
        }
    }

    /// The world's randomness, for plans.
    pub fn prng(&mut self) -> &mut Prng {
        &mut self.chance.prng
    }

    /// The place of a node.
    #[must_use]
    pub fn place_of(&self, node: &NodeId) -> Option<NodeIndex> {
        self.places.of_node.get(node).copied()
    }

    /// The managers' places.
    #[must_use]
    pub fn managers(&self) -> Vec<NodeIndex> {
        self.places.managers.clone()
    }

    /// Adds a node that came later.
    pub fn add_node(&mut self, node: Node) -> NodeIndex {
        let index = self.nodes.len() as NodeIndex;
        self.places.add(&node, index);
        self.nodes.push(node);
        self.network.add_node();
        index
    }

    /// Starts a node from its disk.
    pub fn start(&mut self, index: NodeIndex) {
        let prng = self.chance.prng.branch();
        let settings = self.chance.manner.settings;
        let node = &mut self.nodes[index as usize];
        if node.is_up() {
            return;
        }
        node.start(&self.root, &self.joined, settings, prng);
        let clock = node.clock_event(self.now);
        let wall = node.wall(self.now);
        let neighbours = node.disk.remembered().to_vec();
        let is_manager = node.is_manager();
        self.invariants.started(index, &self.nodes[index as usize]);
        self.start_pulled(index);
        self.start_bodies(index);
        self.start_config(index);
        self.handle(index, clock);
        self.tell(index, MembershipEvent::Clock { wall });
        self.tell_roster(index);
        if !neighbours.is_empty() {
            self.tell(index, MembershipEvent::Remembered { neighbours });
        }
        if is_manager {
            self.tell_keys(index);
        }
        let after = self.chance.prng.below(100);
        if !self.nodes[index as usize].place.dials.is_empty() {
            self.queue.push(self.now.plus(after), Pending::Dial(index));
        }
        if self.nodes[index as usize].place.site.is_some() {
            self.queue.push(self.now.plus(after), Pending::Lan(index));
        }
    }

    /// Stops a node at once: what is not on its disk is gone.
    pub fn crash(&mut self, index: NodeIndex) {
        self.tear_config(index);
        let node = &mut self.nodes[index as usize];
        node.stop();
        node.disk.bodies.crash(&mut self.chance.prng);
        self.invariants.stopped(node.identity.node);
        let links = std::mem::take(&mut node.links);
        for (peer, session) in links {
            // The other side gets a reset, or notices later.
            let soon = self.chance.prng.chance(500_000);
            let at = self.now.plus(if soon { 5 } else { NOTICED_AFTER_MS });
            self.queue.push(
                at,
                Pending::Closed {
                    node: peer,
                    peer: index,
                    session,
                },
            );
        }
    }

    /// Sets a node's clock.
    pub fn set_clock(&mut self, index: NodeIndex, off_ms: i64) {
        self.nodes[index as usize].clock_off_ms = off_ms;
        let clock = self.nodes[index as usize].clock_event(self.now);
        let wall = self.nodes[index as usize].wall(self.now);
        self.handle(index, clock);
        self.tell(index, MembershipEvent::Clock { wall });
    }

    /// Has a node write.
    pub fn write(&mut self, index: NodeIndex, draft: Draft) {
        self.invariants.set_writing(true);
        self.handle(index, Event::Write(draft));
        self.invariants.set_writing(false);
    }

    /// Sends what somebody made up, over a connection that is open.
    pub fn inject(&mut self, from: NodeIndex, to: NodeIndex, message: &Message) {
        self.send(from, &[to], Packet::Replica(message.clone()));
    }

    /// Lets everything happen until `until`.
    pub fn run_until(&mut self, until: Millis) {
        let mut batch = Vec::new();
        while let Some(at) = self.queue.take(until, &mut batch) {
            self.now = at;
            for pending in batch.drain(..) {
                self.happen(pending);
            }
        }
        self.now = self.now.max(until);
    }

    fn happen(&mut self, pending: Pending) {
        match pending {
            Pending::Deliver {
                to,
                from,
                session,
                frame,
            } => {
                self.deliver(to, from, session, frame);
            }
            Pending::Wake(node) => self.wake(node),
            Pending::Answered { node, start, event } => self.answered(node, start, *event),
            Pending::ManagerHeard {
                node,
                start,
                manager,
            } => self.manager_heard(node, start, manager),
            Pending::Opened { dialler, to } => self.open(dialler, to),
            Pending::NotOpened { dialler, to } => {
                let peer = self.nodes[to as usize].identity.node;
                self.tell(dialler, MembershipEvent::DialFailed { peer });
            }
            Pending::Closed {
                node,
                peer,
                session,
            } => self.closed(node, peer, session),
            Pending::Dial(node) => self.dial_told(node),
            Pending::Lan(node) => self.heard_on_lan(node),
            Pending::LookAtLinks => self.look_at_links(),
        }
    }

    fn wake(&mut self, index: NodeIndex) {
        let node = &mut self.nodes[index as usize];
        if node.place.wake_at > self.now {
            return;
        }
        let [replica, membership, cursor, bodies, config] = node.wakes();
        node.place.wake_at = NEVER;
        if replica <= self.now {
            self.handle(index, Event::Wake);
        }
        if membership <= self.now {
            self.tell(index, MembershipEvent::Wake);
        }
        if cursor <= self.now {
            self.tell_pulled(index, PulledEvent::Cursor(CursorEvent::Wake));
        }
        if bodies <= self.now {
            self.wake_bodies(index);
        }
        if config <= self.now {
            self.wake_config(index);
        }
        let next = self.nodes[index as usize]
            .wakes()
            .into_iter()
            .min()
            .unwrap_or(NEVER);
        self.plan_wake(index, next);
    }

    fn plan_wake(&mut self, index: NodeIndex, at: Millis) {
        let node = &mut self.nodes[index as usize];
        let at = at.max(self.now.plus(1));
        if at < node.place.wake_at && at != NEVER {
            node.place.wake_at = at;
            self.queue.push(at, Pending::Wake(index));
        }
    }

    fn deliver(&mut self, to: NodeIndex, from: NodeIndex, session: u32, frame: Frame) {
        if self.nodes[to as usize].links.get(&from) != Some(&session) {
            return;
        }
        let from = self.nodes[from as usize].identity.node;
        match frame.open() {
            Ok(Packet::Replica(message)) => self.handle(to, Event::Received { from, message }),
            Ok(Packet::Membership(message)) => {
                self.tell(to, MembershipEvent::Received { from, message });
            }
            Ok(Packet::Pull(message)) => self.pull_message(to, from, message),
            Ok(Packet::Body(message)) => self.body_message(to, from, message),
            Err(Stream::Replica) => self.handle(to, Event::Malformed { from }),
            Err(Stream::Body) => self.tell_bodies(to, BodyEvent::Malformed { from }),
            Err(Stream::Membership | Stream::Pull) => {}
        }
    }

    /// Hands an event to a node's replica, performs what it asks for, and what follows from that.
    pub fn handle(&mut self, index: NodeIndex, event: Event) {
        self.replica(index, event);
        self.follow_up(index);
    }

    /// Hands an event to a node's membership, performs what it asks for, and what follows from that.
    pub fn tell(&mut self, index: NodeIndex, event: MembershipEvent) {
        self.membership(index, event);
        self.follow_up(index);
    }

    fn follow_up(&mut self, index: NodeIndex) {
        while let Some(follow) = self.chance.follow.pop_front() {
            match follow {
                Follow::Replica(event) => self.replica(index, event),
                Follow::Membership(event) => self.membership(index, event),
                Follow::Pulled(event) => self.pulled(index, event),
                Follow::Bodies(event) => self.bodies(index, *event),
                Follow::Config(event) => self.config(index, *event),
            }
        }
    }

    fn replica(&mut self, index: NodeIndex, event: Event) {
        let now = self.now;
        let node = &mut self.nodes[index as usize];
        let Some(replica) = node.replica.as_mut() else {
            return;
        };
        let mut effects = std::mem::take(&mut self.chance.effects);
        self.done.note_replica(now, index, &event);
        replica.handle(now, event, &mut effects);
        let wake_at = replica.wake_at().unwrap_or(NEVER);
        self.plan_wake(index, wake_at);
        for effect in effects.drain(..) {
            if !self.may_perform(index) || !self.perform(index, effect) {
                break;
            }
        }
        self.chance.effects = effects;
    }

    fn membership(&mut self, index: NodeIndex, event: MembershipEvent) {
        let now = self.now;
        let node = &mut self.nodes[index as usize];
        let Some(membership) = node.membership.as_mut() else {
            return;
        };
        let mut asked = std::mem::take(&mut self.chance.asked);
        self.done.note_membership(now, index, &event);
        membership.handle(now, event, &mut asked);
        let wake_at = membership.wake_at().unwrap_or(NEVER);
        self.plan_wake(index, wake_at);
        for effect in asked.drain(..) {
            if !self.may_perform(index) {
                break;
            }
            self.perform_membership(index, effect);
        }
        self.chance.asked = asked;
    }

    /// Counts an effect; false where the node crashes instead, and all that would follow is lost.
    fn may_perform(&mut self, index: NodeIndex) -> bool {
        let node = &mut self.nodes[index as usize];
        let Some(left) = node.crash_after.as_mut() else {
            return true;
        };
        if let Some(fewer) = left.checked_sub(1) {
            *left = fewer;
            return true;
        }
        self.crash(index);
        self.chance.follow.clear();
        false
    }

    /// Hands membership the managers as the node's own trust fold names them.
    fn tell_roster(&mut self, index: NodeIndex) {
        let Some(replica) = self.nodes[index as usize].replica.as_ref() else {
            return;
        };
        let roster = roster(replica.holdings());
        if *self.chance.roster != *roster {
            self.chance.roster = roster.into();
        }
        let managers = Arc::clone(&self.chance.roster);
        self.holders_changed(index, &managers);
        self.tell(index, MembershipEvent::Roster { managers });
    }
}
