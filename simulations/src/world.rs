//! The world: virtual time, one queue of what will happen, the nodes and the network between them.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use regatta_protocol::codec;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::ledger::replica::{self, Effect, Event, PeerInfo, Role, Settings};
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::statement::Statement;

use crate::fleet::Root;
use crate::invariants::Invariants;
use crate::network::{Network, NodeIndex};
use crate::node::Node;

/// How soon the transport notices that a link is dead.
const NOTICED_AFTER_MS: u64 = 8_000;
/// How often a missing connection is dialled.
const REDIAL_MS: u64 = 2_000;

/// A message on its way.
#[derive(Clone, Debug)]
enum Frame {
    /// As bytes, decoded by whoever gets it.
    Bytes(Rc<[u8]>),
    /// Handed over as it is, for the largest runs; its bytes were counted.
    Counted(Rc<Message>),
}

/// What will happen.
#[derive(Clone, Debug)]
enum Pending {
    Deliver {
        to: NodeIndex,
        from: NodeIndex,
        session: u32,
        frame: Frame,
    },
    Wake(NodeIndex),
    Opened {
        dialler: NodeIndex,
        to: NodeIndex,
    },
    Closed {
        node: NodeIndex,
        peer: NodeIndex,
        session: u32,
    },
    Dial(NodeIndex),
    LookAtLinks,
}

/// How a run is carried out.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How replicas behave.
    pub settings: Settings,
    /// Whether messages are encoded and decoded, or handed over with their bytes counted.
    pub encoded: bool,
}

/// What was done, for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Events that machines handled.
    pub events: u64,
    /// A running digest over all of them, in order.
    pub trace: u64,
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
    index: HashMap<NodeId, NodeIndex>,
    queue: Queue,
    chance: Chance,
}

#[derive(Debug)]
struct Queue {
    by_time: BTreeMap<u64, Vec<Pending>>,
}

#[derive(Debug)]
struct Chance {
    manner: Manner,
    prng: Prng,
    sessions: u32,
    effects: Vec<Effect>,
}

impl Queue {
    fn push(&mut self, at: Millis, pending: Pending) {
        self.by_time.entry(at.0).or_default().push(pending);
    }
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
        let numbered = nodes.iter().zip(0..);
        let index = numbered
            .map(|(node, index)| (node.identity.node, index))
            .collect();
        Self {
            now: Millis(0),
            nodes,
            network,
            root,
            joined,
            invariants: Invariants::default(),
            done: Done::default(),
            index,
            queue: Queue {
                by_time: BTreeMap::new(),
            },
            chance: Chance {
                manner,
                prng,
                sessions: 0,
                effects: Vec::new(),
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
        self.index.get(node).copied()
    }

    /// Adds a node that came later.
    pub fn add_node(&mut self, node: Node) -> NodeIndex {
        let index = self.nodes.len() as NodeIndex;
        self.index.entry(node.identity.node).or_insert(index);
        self.nodes.push(node);
        self.network.add_node();
        index
    }

    /// Starts a node from its disk.
    pub fn start(&mut self, index: NodeIndex) {
        let prng = self.chance.prng.branch();
        let settings = self.chance.manner.settings;
        let (root, joined) = (self.root.clone(), std::mem::take(&mut self.joined));
        let node = &mut self.nodes[index as usize];
        if !node.is_up() {
            node.start(&root, &joined, settings, prng);
            node.wake_at = Millis(u64::MAX);
            let clock = node.clock_event(self.now);
            self.joined = joined;
            self.invariants.started(index, &self.nodes[index as usize]);
            self.handle(index, clock);
            let after = self.chance.prng.below(100);
            self.queue.push(self.now.plus(after), Pending::Dial(index));
        } else {
            self.joined = joined;
        }
    }

    /// Stops a node at once: what is not on its disk is gone.
    pub fn crash(&mut self, index: NodeIndex) {
        let node = &mut self.nodes[index as usize];
        node.replica = None;
        node.crash_after = None;
        let links = std::mem::take(&mut node.links);
        for (peer, session) in links {
            // The other side gets a reset, or notices later.
            let at = self.now.plus(if self.chance.prng.chance(500_000) {
                5
            } else {
                NOTICED_AFTER_MS
            });
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

    /// After cuts and heals: links that carry nothing are noticed, missing ones are dialled.
    pub fn links_changed(&mut self) {
        self.queue
            .push(self.now.plus(NOTICED_AFTER_MS), Pending::LookAtLinks);
    }

    /// Sets a node's clock.
    pub fn set_clock(&mut self, index: NodeIndex, off_ms: i64) {
        self.nodes[index as usize].clock_off_ms = off_ms;
        let clock = self.nodes[index as usize].clock_event(self.now);
        self.handle(index, clock);
    }

    /// Has a node write.
    pub fn write(&mut self, index: NodeIndex, draft: Draft) {
        self.invariants.set_writing(true);
        self.handle(index, Event::Write(draft));
        self.invariants.set_writing(false);
    }

    /// Sends what somebody made up, over a connection that is open.
    pub fn inject(&mut self, from: NodeIndex, to: NodeIndex, message: &Message) {
        self.send(from, &[to], message);
    }

    /// Opens a connection at once, for those who do not dial by themselves.
    pub fn connect(&mut self, dialler: NodeIndex, to: NodeIndex) {
        self.open(dialler, to);
    }

    /// Lets everything happen until `until`.
    pub fn run_until(&mut self, until: Millis) {
        while let Some(mut first) = self.queue.by_time.first_entry() {
            if *first.key() > until.0 {
                break;
            }
            self.now = Millis(*first.key());
            let batch = std::mem::take(first.get_mut());
            if batch.is_empty() {
                first.remove();
                continue;
            }
            for pending in batch {
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
                self.deliver(to, from, session, &frame);
            }
            Pending::Wake(node) => {
                let woken = &mut self.nodes[node as usize];
                if woken.wake_at <= self.now {
                    woken.wake_at = Millis(u64::MAX);
                    self.handle(node, Event::Wake);
                }
            }
            Pending::Opened { dialler, to } => self.open(dialler, to),
            Pending::Closed {
                node,
                peer,
                session,
            } => {
                if self.nodes[node as usize].links.get(&peer) == Some(&session) {
                    self.nodes[node as usize].links.remove(&peer);
                    let peer = self.nodes[peer as usize].identity.node;
                    self.handle(node, Event::PeerDown(peer));
                    self.queue
                        .push(self.now.plus(REDIAL_MS), Pending::Dial(node));
                }
            }
            Pending::Dial(node) => self.dial(node),
            Pending::LookAtLinks => self.look_at_links(),
        }
    }

    fn dial(&mut self, index: NodeIndex) {
        let node = &self.nodes[index as usize];
        if !node.is_up() {
            return;
        }
        let missing: Vec<NodeIndex> = node
            .dials
            .iter()
            .copied()
            .filter(|peer| !node.links.contains_key(peer))
            .collect();
        if missing.is_empty() {
            return;
        }
        for peer in missing {
            let delay = 1 + self.chance.prng.below(10);
            self.queue.push(
                self.now.plus(delay),
                Pending::Opened {
                    dialler: index,
                    to: peer,
                },
            );
        }
        self.queue
            .push(self.now.plus(REDIAL_MS), Pending::Dial(index));
    }

    fn open(&mut self, dialler: NodeIndex, to: NodeIndex) {
        let reachable = self.network.carries(dialler, to) && self.network.carries(to, dialler);
        let both_up = self.nodes[dialler as usize].is_up() && self.nodes[to as usize].is_up();
        let linked = self.nodes[dialler as usize].links.contains_key(&to);
        if !reachable || !both_up || linked || dialler == to {
            return;
        }
        self.chance.sessions += 1;
        let session = self.chance.sessions;
        for (node, peer) in [(dialler, to), (to, dialler)] {
            let info = self.info(peer);
            self.nodes[node as usize].links.insert(peer, session);
            self.nodes[node as usize].neighbours.insert(info.node);
            self.handle(node, Event::PeerUp(info));
        }
    }

    fn info(&self, peer: NodeIndex) -> PeerInfo {
        let identity = &self.nodes[peer as usize].identity;
        PeerInfo {
            node: identity.node,
            role: identity.role,
            carries: identity.carries,
        }
    }

    fn look_at_links(&mut self) {
        for index in 0..self.nodes.len() as NodeIndex {
            let dead: Vec<(NodeIndex, u32)> = self.nodes[index as usize]
                .links
                .iter()
                .filter(|(peer, _)| {
                    !self.network.carries(index, **peer) || !self.network.carries(**peer, index)
                })
                .map(|(peer, session)| (*peer, *session))
                .collect();
            for (peer, session) in dead {
                let at = self.now.plus(self.chance.prng.below(500));
                self.queue.push(
                    at,
                    Pending::Closed {
                        node: index,
                        peer,
                        session,
                    },
                );
            }
            if self.nodes[index as usize].is_up() {
                let at = self.now.plus(1 + self.chance.prng.below(REDIAL_MS));
                self.queue.push(at, Pending::Dial(index));
            }
        }
    }

    fn deliver(&mut self, to: NodeIndex, from: NodeIndex, session: u32, frame: &Frame) {
        if self.nodes[to as usize].links.get(&from) != Some(&session) {
            return;
        }
        let from_id = self.nodes[from as usize].identity.node;
        let event = match frame {
            Frame::Counted(message) => Event::Received {
                from: from_id,
                message: message.as_ref().clone(),
            },
            Frame::Bytes(bytes) => match codec::decode::<Message>(bytes) {
                Ok(message) => Event::Received {
                    from: from_id,
                    message,
                },
                Err(_) => Event::Malformed { from: from_id },
            },
        };
        self.handle(to, event);
    }

    /// Hands an event to a node's machine and performs what it asks for.
    pub fn handle(&mut self, index: NodeIndex, event: Event) {
        let now = self.now;
        let node = &mut self.nodes[index as usize];
        let Some(replica) = node.replica.as_mut() else {
            return;
        };
        let mut effects = std::mem::take(&mut self.chance.effects);
        self.done.note(now, index, &event);
        replica.handle(now, event, &mut effects);
        let wake_at = replica
            .wake_at()
            .unwrap_or(Millis(u64::MAX))
            .max(now.plus(1));
        if wake_at < node.wake_at {
            node.wake_at = wake_at;
            self.queue.push(wake_at, Pending::Wake(index));
        }
        for effect in effects.drain(..) {
            if !self.perform(index, effect) {
                self.crash(index);
                break;
            }
        }
        self.chance.effects = effects;
    }

    /// Performs one effect; false where the node crashes instead.
    fn perform(&mut self, index: NodeIndex, effect: Effect) -> bool {
        let node = &mut self.nodes[index as usize];
        if let Some(left) = node.crash_after.as_mut() {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => return false,
            }
        }
        self.invariants.effect(index, node, self.now, &effect);
        match effect {
            Effect::Store(entry) => node.disk.store(&entry),
            Effect::StoreFloor(floor) => node.disk.store_floor(floor),
            Effect::Send { to, message } => {
                let to: Vec<NodeIndex> = to.iter().filter_map(|node| self.place_of(node)).collect();
                self.send(index, &to, &message);
            }
            Effect::SendStored {
                to,
                wanted,
                entries,
                more,
            } => {
                let parcels: Vec<_> = entries
                    .iter()
                    .filter_map(|hash| node.disk.parcel(hash))
                    .collect();
                let Some(to) = self.place_of(&to) else {
                    return true;
                };
                for message in replica::answer(wanted, parcels, more) {
                    self.send(index, &[to], &message);
                }
            }
            Effect::HangUp { peer, .. } => {
                if let Some(peer) = self.place_of(&peer) {
                    self.hang_up(index, peer);
                }
            }
            Effect::Agreed(_)
            | Effect::Judged
            | Effect::NewsHops { .. }
            | Effect::FeederFailed(_)
            | Effect::Written { .. }
            | Effect::Refused { .. }
            | Effect::Replicated { .. }
            | Effect::Alarm(_) => {}
        }
        true
    }

    fn hang_up(&mut self, index: NodeIndex, peer: NodeIndex) {
        if let Some(session) = self.nodes[index as usize].links.get(&peer).copied() {
            let soon = self.now.plus(1);
            self.queue.push(
                soon,
                Pending::Closed {
                    node: index,
                    peer,
                    session,
                },
            );
            self.queue.push(
                soon,
                Pending::Closed {
                    node: peer,
                    peer: index,
                    session,
                },
            );
        }
    }

    fn send(&mut self, from: NodeIndex, to: &[NodeIndex], message: &Message) {
        let (frame, bytes) = if self.chance.manner.encoded {
            let bytes = codec::encode(message);
            let length = bytes.len();
            (Frame::Bytes(bytes.into()), length)
        } else {
            (
                Frame::Counted(Rc::new(message.clone())),
                codec::encoded_len(message),
            )
        };
        for to in to {
            let Some(session) = self.nodes[from as usize].links.get(to).copied() else {
                continue;
            };
            let delays = self.network.delays(from, *to, bytes, &mut self.chance.prng);
            for delay in delays.into_iter().flatten() {
                let frame = frame.clone();
                let pending = Pending::Deliver {
                    to: *to,
                    from,
                    session,
                    frame,
                };
                self.queue.push(self.now.plus(delay), pending);
            }
        }
    }

    /// The managers' places.
    #[must_use]
    pub fn managers(&self) -> Vec<NodeIndex> {
        let of_role = |node: &Node| node.identity.role == Role::Manager;
        let numbered = self.nodes.iter().zip(0..);
        numbered
            .filter(|(node, _)| of_role(node))
            .map(|(_, index)| index)
            .collect()
    }
}

impl Done {
    fn note(&mut self, now: Millis, node: NodeIndex, event: &Event) {
        let kind = match event {
            Event::PeerUp(_) => 1,
            Event::PeerDown(_) => 2,
            Event::Received { message, .. } => 16 + discriminant(message),
            Event::Malformed { .. } => 3,
            Event::Write(_) => 4,
            Event::Feeder(_) => 5,
            Event::Clock { .. } => 6,
            Event::Wake => 7,
            Event::Presented { .. } => 8,
        };
        self.events += 1;
        let word = now.0 << 24 ^ u64::from(node) << 8 ^ kind;
        self.trace = (self.trace ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31);
    }
}

fn discriminant(message: &Message) -> u64 {
    match message {
        Message::Digest(_) => 0,
        Message::Heads(_) => 1,
        Message::Pull(_) => 2,
        Message::Entries { .. } => 3,
        Message::Announce { .. } => 4,
        Message::Push { .. } => 5,
        Message::Feed(_) => 6,
        Message::Buckets(_) => 7,
        Message::Bucket { .. } => 8,
        Message::Stored(_) => 9,
    }
}
