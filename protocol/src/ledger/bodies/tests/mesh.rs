//! A small mesh in one process: links that delay, lose and are cut, stores, crashes, and a record of
//! every byte that crossed a link.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::fleet::{Fleet, Member, TODAY};
use crate::codec::{self, Bytes};
use crate::crypto::sign::Verify;
use crate::ident::{FleetId, Hash, NodeId};
use crate::ledger::bodies::library::{Library, Reading};
use crate::ledger::bodies::message::BodyMessage;
use crate::ledger::bodies::tree::{Layout, Partial, Unit, unit_of};
use crate::ledger::bodies::{Bodies, Effect, Event, Failure, Load, Misdeed};
use crate::machine::{Machine, Millis};
use crate::prng::Prng;
use crate::trust::authority::{Credentials, Denial};
use crate::trust::certificate::{Rank, SignedCertificate};

pub const LINK_MS: u64 = 20;

/// The ledgers' answers, or those of a node that hands out everything.
#[derive(Debug)]
pub struct View<'a> {
    reading: Reading<'a>,
    careless: bool,
}

impl Library for View<'_> {
    fn fleet(&self) -> FleetId {
        self.reading.fleet()
    }
    fn reference(&self) -> Millis {
        self.reading.reference()
    }
    fn verify(&self) -> &dyn Verify {
        self.reading.verify()
    }
    fn recognise(&self, presented: &[SignedCertificate]) -> Result<Credentials, Denial> {
        self.reading.recognise(presented)
    }
    fn stands(&self, who: &Credentials) -> bool {
        self.reading.stands(who)
    }
    fn is_named(&self, hash: &Hash, bytes: u64) -> bool {
        self.reading.is_named(hash, bytes)
    }
    fn may_read(&self, hash: &Hash, who: &Credentials) -> bool {
        self.careless || self.reading.may_read(hash, who)
    }
}

/// One node: its machine, and what its store keeps.
#[derive(Debug)]
pub struct Node {
    pub member: Member,
    pub bodies: Bodies,
    pub whole: BTreeMap<Hash, Vec<u8>>,
    pub parts: BTreeMap<Hash, BTreeMap<Unit, Bytes>>,
    wants: BTreeMap<Hash, u64>,
    pub failed: Vec<Failure>,
    pub blamed: Vec<(NodeId, Misdeed)>,
    /// Hands out what it should not.
    pub careless: bool,
    /// Gives pieces that are not the body's.
    pub lies: bool,
    pub load_max: Load,
}

/// What each direction of a link carries, and until when it is busy.
#[derive(Debug, Default)]
pub struct Slow {
    pub bytes_per_second: u64,
    /// Whether all links of a node share what it can send.
    pub uplink: bool,
    pub busy: BTreeMap<(usize, usize), Millis>,
}

/// Nodes by their index, and the links between them.
#[derive(Debug)]
pub struct Mesh {
    pub fleet: Fleet,
    pub nodes: Vec<Node>,
    pub links: BTreeSet<(usize, usize)>,
    pub now: Millis,
    pub loss_per_million: u32,
    /// Links that carry little, where they do.
    pub slow: Option<Slow>,
    /// Every frame: from, to, bytes.
    pub wire: Vec<(usize, usize, Vec<u8>)>,
    queue: BTreeMap<(Millis, u64), (usize, usize, Vec<u8>)>,
    sequence: u64,
    pub prng: Prng,
}

impl Mesh {
    pub fn new(fleet: Fleet, members: Vec<Member>, seed: u64) -> Self {
        let mut prng = Prng::from_number(seed);
        let node = |member: Member| Node {
            bodies: Bodies::new(member.requester(), prng.branch()),
            member,
            whole: BTreeMap::new(),
            parts: BTreeMap::new(),
            wants: BTreeMap::new(),
            failed: Vec::new(),
            blamed: Vec::new(),
            careless: false,
            lies: false,
            load_max: Load::default(),
        };
        let nodes = members.into_iter().map(node).collect();
        Self {
            fleet,
            nodes,
            links: BTreeSet::new(),
            now: Millis(0),
            loss_per_million: 0,
            slow: None,
            wire: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            prng,
        }
    }

    pub fn line(&mut self) {
        for right in 1..self.nodes.len() {
            self.link(right - 1, right);
        }
    }

    fn id(&self, node: usize) -> NodeId {
        self.nodes[node].member.certificate.node
    }

    fn index(&self, id: NodeId) -> usize {
        let found = self
            .nodes
            .iter()
            .position(|node| node.member.certificate.node == id);
        found.expect("only nodes of the mesh are spoken of")
    }

    pub fn link(&mut self, left: usize, right: usize) {
        self.links.insert((left.min(right), left.max(right)));
        for (at, other) in [(left, right), (right, left)] {
            let node = self.id(other);
            let manager = self.nodes[other].member.certificate.rank == Rank::Manager;
            self.tell(at, Event::PeerUp { node, manager });
        }
    }

    pub fn cut(&mut self, left: usize, right: usize) {
        self.links.remove(&(left.min(right), left.max(right)));
        self.queue.retain(|_, (from, to, _)| {
            (left.min(right), left.max(right)) != ((*from).min(*to), (*from).max(*to))
        });
        for (at, other) in [(left, right), (right, left)] {
            let node = self.id(other);
            self.tell(at, Event::PeerDown(node));
        }
    }

    /// The process dies and starts again from what it stored.
    pub fn crash(&mut self, at: usize) {
        let around: Vec<usize> = (0..self.nodes.len())
            .filter(|other| self.links.contains(&(at.min(*other), at.max(*other))))
            .collect();
        for other in &around {
            self.cut(at, *other);
        }
        let seed = self.prng.branch();
        let node = &mut self.nodes[at];
        node.bodies = Bodies::new(node.member.requester(), seed);
        for (hash, bytes) in self.nodes[at].whole.clone() {
            self.tell(
                at,
                Event::Have {
                    hash,
                    bytes: bytes.len() as u64,
                },
            );
        }
        for (hash, bytes) in self.nodes[at].wants.clone() {
            self.want(at, hash, bytes);
        }
        for other in around {
            self.link(at, other);
        }
    }

    pub fn hold(&mut self, at: usize, body: &[u8]) {
        let hash = crate::ledger::bodies::root_of(body);
        self.nodes[at].whole.insert(hash, body.to_vec());
        self.tell(
            at,
            Event::Have {
                hash,
                bytes: body.len() as u64,
            },
        );
    }

    pub fn want(&mut self, at: usize, hash: Hash, bytes: u64) {
        self.nodes[at].wants.insert(hash, bytes);
        let layout = Layout::of(bytes).expect("tests want what may be");
        let mut partial = Partial::default();
        for (unit, part) in self.nodes[at].parts.get(&hash).into_iter().flatten() {
            assert!(
                partial.take(&hash, layout, *unit, part),
                "the store keeps good parts"
            );
        }
        self.tell(
            at,
            Event::Want {
                hash,
                bytes,
                partial,
            },
        );
    }

    pub fn tell(&mut self, at: usize, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut out = Vec::new();
            let node = &mut self.nodes[at];
            let view = View {
                reading: Reading {
                    holdings: &self.fleet.holdings,
                    shelf: &self.fleet.shelf,
                    reference: TODAY.plus(self.now.0),
                },
                careless: node.careless,
            };
            node.bodies.with(&view).handle(self.now, event, &mut out);
            let load = node.bodies.load();
            node.load_max.routes = node.load_max.routes.max(load.routes);
            node.load_max.sessions = node.load_max.sessions.max(load.sessions);
            node.load_max.remembered = node.load_max.remembered.max(load.remembered);
            for effect in out {
                events.extend(self.perform(at, effect));
            }
        }
    }

    fn perform(&mut self, at: usize, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Send { to, message } => self.send(at, self.index(to), &message),
            Effect::Store { hash, unit, bytes } => {
                let parts = self.nodes[at].parts.entry(hash).or_default();
                assert!(parts.insert(unit, bytes).is_none(), "{unit:?} came twice");
            }
            Effect::Read { hash, unit, id } => {
                let node = &self.nodes[at];
                let bytes = match node.whole.get(&hash) {
                    Some(body) => unit_of(body, unit),
                    None => node
                        .parts
                        .get(&hash)
                        .and_then(|parts| parts.get(&unit))
                        .cloned(),
                };
                let spoilt = |bytes: Bytes| Bytes::from(vec![0x5a; bytes.len()]);
                let bytes = if node.lies && unit != Unit::Outline {
                    bytes.map(spoilt)
                } else {
                    bytes
                };
                return Some(Event::Read { id, unit, bytes });
            }
            Effect::Complete(hash) => {
                let pieces = self.nodes[at].parts.get(&hash).into_iter().flatten();
                let pieces = pieces.filter(|(unit, _)| matches!(unit, Unit::Piece(_)));
                let body: Vec<u8> = pieces.flat_map(|(_, bytes)| bytes.to_vec()).collect();
                assert_eq!(
                    crate::ledger::bodies::root_of(&body),
                    hash,
                    "what came is whole"
                );
                self.nodes[at].whole.insert(hash, body);
                self.nodes[at].wants.remove(&hash);
            }
            Effect::Failed { hash, failure } => {
                self.nodes[at].wants.remove(&hash);
                self.nodes[at].failed.push(failure);
            }
            Effect::Misbehaved { peer, misdeed } => self.nodes[at].blamed.push((peer, misdeed)),
        }
        None
    }

    /// Puts a frame on a link.
    pub fn send(&mut self, from: usize, to: usize, message: &BodyMessage) {
        let bytes = codec::encode(message);
        self.wire.push((from, to, bytes.clone()));
        let linked = self.links.contains(&(from.min(to), from.max(to)));
        if linked && !self.prng.chance(self.loss_per_million) {
            self.sequence += 1;
            let mut sent = self.now;
            if let Some(slow) = self.slow.as_mut() {
                let link = if slow.uplink { from } else { to };
                let busy = slow.busy.entry((from, link)).or_default();
                sent = sent
                    .max(*busy)
                    .plus(bytes.len() as u64 * 1_000 / slow.bytes_per_second);
                *busy = sent;
            }
            let at = sent.plus(LINK_MS);
            self.queue.insert((at, self.sequence), (from, to, bytes));
        }
    }

    /// Lets time pass until `until` says so, or a limit is reached; returns whether it said so.
    pub fn run(&mut self, limit_ms: u64, until: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.plus(limit_ms);
        let mut idle = 0;
        while !until(self) {
            let frame = self.queue.first_key_value().map(|((at, _), _)| *at);
            let wakes = self.nodes.iter().enumerate();
            let wake = wakes
                .filter_map(|(index, node)| node.bodies.wake_at().map(|at| (at, index)))
                .min();
            let Some(next) = frame.into_iter().chain(wake.map(|(at, _)| at)).min() else {
                return until(self);
            };
            if next > end {
                self.now = end;
                return until(self);
            }
            idle = if next > self.now { 0 } else { idle + 1 };
            assert!(idle < 100_000, "a machine wakes for ever at {:?}", self.now);
            self.now = next.max(self.now);
            if frame == Some(next) {
                if let Some((_, (from, to, bytes))) = self.queue.pop_first() {
                    let message = codec::decode(&bytes).expect("what is sent can be read");
                    let from = self.id(from);
                    self.tell(to, Event::Received { from, message });
                }
            } else if let Some((_, index)) = wake {
                self.tell(index, Event::Wake);
            }
        }
        true
    }

    pub fn has(&self, at: usize, hash: &Hash) -> bool {
        self.nodes[at].whole.contains_key(hash)
    }

    /// Frames of a kind that crossed a link in one direction.
    pub fn crossed(&self, from: usize, to: usize, kind: fn(&BodyMessage) -> bool) -> usize {
        let frames = self.wire.iter().filter(|(f, t, _)| (*f, *t) == (from, to));
        frames
            .filter(|(_, _, bytes)| codec::decode(bytes).is_ok_and(|message| kind(&message)))
            .count()
    }

    /// Whether a marker occurs in any frame.
    pub fn leaks(&self, marker: &[u8]) -> bool {
        let mut frames = self.wire.iter();
        frames.any(|(_, _, bytes)| bytes.windows(marker.len()).any(|window| window == marker))
    }

    /// The rule that no fault may break: whoever holds a body that it did not begin with, may read it.
    pub fn unduly_held(&self) -> Vec<usize> {
        let reading = Reading {
            holdings: &self.fleet.holdings,
            shelf: &self.fleet.shelf,
            reference: TODAY.plus(self.now.0),
        };
        let unduly = |node: &Node| {
            let who = self.fleet.credentials(&node.member);
            node.parts.keys().any(|hash| !reading.may_read(hash, &who))
        };
        let nodes = self.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| unduly(node))
            .map(|(index, _)| index)
            .collect()
    }
}
