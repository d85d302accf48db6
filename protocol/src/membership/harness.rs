//! A small seeded network of membership machines: encodes every message, cuts links, kills nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::codec;
use crate::crypto::sign::{Context, PublicKey, Sign, Signature, Verify};
use crate::ident::{FleetId, Hash, NodeId};
use crate::machine::{Machine, Millis};
use crate::membership::homes::RosterManager;
use crate::membership::message::{MembershipMessage, Profile};
use crate::membership::{Identity, KEEP_ALIVE_METERED_MS, KEEP_ALIVE_MS};
use crate::membership::{Membership, MembershipEffect, MembershipEvent};
use crate::prng::Prng;

/// A signature that costs one hash: the public key signs, which is fine among friends.
#[derive(Debug)]
pub(super) struct Cheap(pub PublicKey);

impl Sign for Cheap {
    fn public(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, context: Context, fleet: &FleetId, message: &[u8]) -> Signature {
        let mut bytes = context.preimage(fleet, message);
        bytes.extend_from_slice(&self.0.0.0);
        Signature(Hash::of(&bytes), Hash::ZERO)
    }
}

impl Verify for Cheap {
    fn verify(
        &self,
        key: &PublicKey,
        context: Context,
        fleet: &FleetId,
        message: &[u8],
        signature: &Signature,
    ) -> bool {
        Cheap(*key).sign(context, fleet, message) == *signature
    }
}

pub(super) fn key_of(node: NodeId) -> PublicKey {
    PublicKey(Hash::of(&node.0))
}

pub(super) fn identity(node: NodeId, is_manager: bool, profile: Profile) -> Identity {
    Identity {
        fleet: FleetId([7; 32]),
        node,
        is_manager,
        profile,
        keep_alive_ms: match profile {
            Profile::Normal => KEEP_ALIVE_MS,
            Profile::Metered => KEEP_ALIVE_METERED_MS,
        },
        sign: Arc::new(Cheap(key_of(node))),
        verify: Arc::new(Cheap(key_of(node))),
    }
}

enum Happening {
    Wake,
    Event(MembershipEvent),
    /// A dial that was begun arrives.
    Dialled(NodeId),
    /// On the connection of this number.
    Frame(u64, NodeId, Vec<u8>),
    Closed(u64, NodeId),
}

struct Node {
    machine: Membership,
    alive: bool,
    wakes: Option<Millis>,
    is_manager: bool,
    profile: Profile,
    remembered: Vec<NodeId>,
}

/// The fleet.
pub(super) struct Fleet {
    pub now: Millis,
    nodes: BTreeMap<NodeId, Node>,
    pub managers: Vec<NodeId>,
    pub agents: Vec<NodeId>,
    queue: BTreeMap<(Millis, u64), (NodeId, Happening)>,
    wires: Wires,
    /// Every effect that is no message, with its time.
    pub log: Vec<(Millis, NodeId, MembershipEffect)>,
    pub bytes: BTreeMap<NodeId, u64>,
    pub events: u64,
    prng: Prng,
}

/// What lies between the nodes.
#[derive(Default)]
struct Wires {
    connections: BTreeMap<(NodeId, NodeId), u64>,
    cut: BTreeSet<(NodeId, NodeId)>,
    numbers: u64,
}

fn pair(a: NodeId, b: NodeId) -> (NodeId, NodeId) {
    (a.min(b), a.max(b))
}

impl Fleet {
    pub(super) fn new(seed: u64, managers: usize, agents: usize, profile: Profile) -> Self {
        let mut prng = Prng::from_number(seed);
        let mut ids = |count| -> Vec<NodeId> { (0..count).map(|_| NodeId(prng.bytes())).collect() };
        let (managers, agents) = (ids(managers), ids(agents));
        let mut fleet = Self {
            now: Millis(1000),
            nodes: BTreeMap::new(),
            managers: managers.clone(),
            agents: agents.clone(),
            queue: BTreeMap::new(),
            wires: Wires::default(),
            log: Vec::new(),
            bytes: BTreeMap::new(),
            events: 0,
            prng,
        };
        for id in &managers {
            fleet.start(*id, true, Profile::Normal, Vec::new());
        }
        for id in &agents {
            fleet.start(*id, false, profile, Vec::new());
        }
        fleet
    }

    fn start(&mut self, id: NodeId, is_manager: bool, profile: Profile, remembered: Vec<NodeId>) {
        let me = identity(id, is_manager, profile);
        let node = Node {
            machine: Membership::new(me, self.prng.branch()),
            alive: true,
            wakes: None,
            is_manager,
            profile,
            remembered: remembered.clone(),
        };
        self.nodes.insert(id, node);
        let manager = |id: &NodeId| RosterManager {
            id: *id,
            home: true,
            hold: true,
            relay: true,
        };
        let managers: Arc<[RosterManager]> = self.managers.iter().map(manager).collect();
        let wall = Millis(1_700_000_000_000 + self.now.0);
        self.event(id, MembershipEvent::Clock { wall });
        self.event(id, MembershipEvent::Roster { managers });
        if !remembered.is_empty() {
            let neighbours = remembered;
            self.event(id, MembershipEvent::Remembered { neighbours });
        }
        if is_manager {
            for node in self
                .agents
                .iter()
                .chain(&self.managers)
                .copied()
                .collect::<Vec<_>>()
            {
                let key = key_of(node);
                self.event(id, MembershipEvent::Known { node, key });
            }
        }
    }

    pub(super) fn machine(&self, id: NodeId) -> &Membership {
        &self.nodes[&id].machine
    }

    fn after(&mut self, delay: u64, to: NodeId, what: Happening) {
        self.wires.numbers += 1;
        let key = (self.now.plus(delay), self.wires.numbers);
        self.queue.insert(key, (to, what));
    }

    pub(super) fn event(&mut self, to: NodeId, event: MembershipEvent) {
        self.after(0, to, Happening::Event(event));
    }

    /// Stops a node; those linked notice at once, unless it dies `silently`.
    pub(super) fn kill(&mut self, id: NodeId, silently: bool) {
        self.nodes.get_mut(&id).expect("a node").alive = false;
        let its = self.wires.connections.clone().into_iter();
        for (ends, number) in its.filter(|(ends, _)| ends.0 == id || ends.1 == id) {
            let other = if ends.0 == id { ends.1 } else { ends.0 };
            self.wires.connections.remove(&ends);
            if !silently {
                self.after(1, other, Happening::Closed(number, id));
            }
        }
    }

    pub(super) fn restart(&mut self, id: NodeId) {
        let node = &self.nodes[&id];
        let (is_manager, profile) = (node.is_manager, node.profile);
        let remembered = node.remembered.clone();
        self.start(id, is_manager, profile, remembered);
    }

    /// Nothing passes between two nodes any more; nobody is told.
    pub(super) fn cut(&mut self, a: NodeId, b: NodeId) {
        self.wires.cut.insert(pair(a, b));
    }

    pub(super) fn heal(&mut self, a: NodeId, b: NodeId) {
        self.wires.cut.remove(&pair(a, b));
    }

    /// Closes the connection of two nodes; both are told.
    pub(super) fn close(&mut self, a: NodeId, b: NodeId) {
        if let Some(number) = self.wires.connections.remove(&pair(a, b)) {
            self.after(1, a, Happening::Closed(number, b));
            self.after(1, b, Happening::Closed(number, a));
        }
    }

    pub(super) fn run_for(&mut self, millis: u64) {
        let until = self.now.plus(millis);
        while let Some(entry) = self
            .queue
            .first_entry()
            .filter(|entry| entry.key().0 <= until)
        {
            let ((at, _), (to, what)) = entry.remove_entry();
            assert!(at >= self.now, "time goes on");
            self.now = at;
            self.happen(to, what);
        }
        self.now = until;
    }

    fn happen(&mut self, to: NodeId, what: Happening) {
        if !self.nodes[&to].alive {
            return;
        }
        match what {
            Happening::Wake => {
                let node = self.nodes.get_mut(&to).expect("a node");
                if node.wakes != Some(self.now) {
                    return;
                }
                node.wakes = None;
                if node.machine.wake_at().is_some_and(|at| at <= self.now) {
                    self.handle(to, MembershipEvent::Wake);
                } else {
                    self.plan_wake(to);
                }
            }
            Happening::Event(event) => self.handle(to, event),
            Happening::Dialled(from) => self.dialled(from, to),
            Happening::Frame(number, from, bytes) => {
                let ends = pair(from, to);
                if self.wires.connections.get(&ends) == Some(&number)
                    && !self.wires.cut.contains(&ends)
                {
                    *self.bytes.entry(to).or_default() += bytes.len() as u64;
                    let message = codec::decode(&bytes).expect("what we encoded");
                    self.handle(to, MembershipEvent::Received { from, message });
                }
            }
            Happening::Closed(number, from) => {
                let present = self.wires.connections.get(&pair(from, to));
                if present.is_none_or(|present| *present == number) {
                    self.handle(to, MembershipEvent::Disconnected { peer: from });
                }
            }
        }
    }

    fn dialled(&mut self, from: NodeId, to: NodeId) {
        let ends = pair(from, to);
        self.wires.numbers += 1;
        let number = *self
            .wires
            .connections
            .entry(ends)
            .or_insert(self.wires.numbers);
        for (at, peer) in [(from, to), (to, from)] {
            let event = MembershipEvent::Connected {
                peer,
                is_manager: self.nodes[&peer].is_manager,
                key: key_of(peer),
                lan: false,
            };
            if self.wires.connections.get(&ends) == Some(&number) {
                self.handle(at, event);
            }
        }
    }

    fn plan_wake(&mut self, id: NodeId) {
        let now = self.now;
        let node = self.nodes.get_mut(&id).expect("a node");
        let wakes = node.machine.wake_at().map(|at| at.max(now));
        if let Some(at) = wakes.filter(|_| wakes != node.wakes) {
            node.wakes = wakes;
            self.after(at.since(now), id, Happening::Wake);
        }
    }

    fn handle(&mut self, id: NodeId, event: MembershipEvent) {
        let now = self.now;
        let mut out = Vec::new();
        let node = self.nodes.get_mut(&id).expect("a node");
        self.events += 1;
        node.machine.handle(now, event, &mut out);
        self.plan_wake(id);
        for effect in out {
            self.perform(id, effect);
        }
    }

    fn perform(&mut self, id: NodeId, effect: MembershipEffect) {
        match &effect {
            MembershipEffect::Send { to, message } => return self.send(id, *to, message),
            MembershipEffect::Dial { peer } => {
                let blocked = self.wires.cut.contains(&pair(id, *peer)) || !self.nodes[peer].alive;
                let delay = 10 + self.prng.below(40);
                if blocked {
                    let event = MembershipEvent::DialFailed { peer: *peer };
                    self.after(delay, id, Happening::Event(event));
                } else {
                    self.after(delay, *peer, Happening::Dialled(id));
                }
            }
            MembershipEffect::HangUp { peer, .. } => {
                if let Some(number) = self.wires.connections.remove(&pair(id, *peer))
                    && !self.wires.cut.contains(&pair(id, *peer))
                {
                    self.after(20, *peer, Happening::Closed(number, id));
                }
            }
            MembershipEffect::Remember { neighbours } => {
                let node = self.nodes.get_mut(&id).expect("a node");
                node.remembered.clone_from(neighbours);
            }
            MembershipEffect::PresenceChanged { .. } => return,
            _ => {}
        }
        self.log.push((self.now, id, effect));
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: &MembershipMessage) {
        let bytes = codec::encode(message);
        *self.bytes.entry(from).or_default() += bytes.len() as u64;
        if let Some(number) = self.wires.connections.get(&pair(from, to)) {
            let number = *number;
            self.after(20, to, Happening::Frame(number, from, bytes));
        }
    }
}
