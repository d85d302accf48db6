//! The nodes, their streams, and one queue of what will happen.

use std::collections::BTreeMap;

use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::channel::{Channel, Early, Effect, Event, Parties};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::prng::Prng;

use super::attacker::Tapes;
use super::member::{Fleet, Greeting, Node, Role};
use super::report::Counts;
use super::rules::{Answered, Item, Rules, Who};
use super::wire::{EndId, Pipe, next_frame};

/// What a side of a stream is.
#[derive(Debug)]
pub enum Side {
    /// An attacker, or nobody any more.
    Nobody,
    /// A node that waits for the first frame of whoever claims to be `peer`.
    Listening {
        /// The node.
        node: usize,
        /// Under which id it answers: its own, where it is honest.
        id: NodeId,
        /// The id that the dialler claims.
        peer: NodeId,
    },
    /// A channel.
    End(Box<End>),
}

/// One end of a session.
#[derive(Debug)]
pub struct End {
    /// Whose.
    pub node: usize,
    /// With whom, as it was told.
    pub peer: NodeId,
    /// The shipped machine.
    pub channel: Channel,
    /// Whether the peer's certificate was checked.
    pub trusted: bool,
    /// When it opened, by its node's clock.
    pub opened: Option<Millis>,
    /// When its node will hang up.
    pub retire_at: Option<Millis>,
    /// Whether renewal is due.
    pub renew: bool,
    /// Frames refused so far.
    pub rejected: u64,
}

/// Two sides, and a pipe to each.
#[derive(Debug)]
pub struct Stream {
    /// The dialler, and the one dialled.
    pub sides: [Side; 2],
    /// What leads to them.
    pub pipes: [Pipe; 2],
    /// What has arrived and is no whole frame yet, and since when.
    pub inboxes: [(Vec<u8>, Millis); 2],
}

/// What will happen.
#[derive(Clone, Copy, Debug)]
enum Pending {
    Arrive(EndId),
    Wake(EndId),
    Heard { node: usize, of: usize },
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    /// Simulated time.
    pub now: Millis,
    /// Members first, then those who are none.
    pub nodes: Vec<Node>,
    /// The members' fleet, and another.
    pub fleets: [Fleet; 2],
    /// Streams by number.
    pub streams: BTreeMap<u32, Stream>,
    /// What must hold.
    pub rules: Rules,
    /// What the attacker has recorded.
    pub tapes: Tapes,
    /// What was done.
    pub counts: Counts,
    /// The one source of chance.
    pub prng: Prng,
    /// Every key that a certificate ever bound to an id, by generation.
    pub bindings: BTreeMap<NodeId, Vec<BoxKey>>,
    queue: BTreeMap<Millis, Vec<Pending>>,
}

impl World {
    /// A world without streams.
    #[must_use]
    pub fn new(nodes: Vec<Node>, fleets: [Fleet; 2], rules: Rules, prng: Prng) -> Self {
        let members = nodes.iter().filter(|node| node.role.is_member());
        let bindings = members.map(|node| (node.id, vec![node.secret.public()]));
        Self {
            now: Millis(0),
            bindings: bindings.collect(),
            nodes,
            fleets,
            streams: BTreeMap::new(),
            rules,
            tapes: Tapes::default(),
            counts: Counts::default(),
            prng,
            queue: BTreeMap::new(),
        }
    }

    /// Lets everything happen that is due before `until`.
    pub fn run_until(&mut self, until: Millis) {
        while let Some(entry) = self.queue.first_entry() {
            if *entry.key() > until {
                break;
            }
            let (at, due) = entry.remove_entry();
            self.now = self.now.max(at);
            self.rules.now = self.now;
            for pending in due {
                match pending {
                    Pending::Arrive(end) => self.arrive(end),
                    Pending::Wake(end) => self.wake(end),
                    Pending::Heard { node, of } => self.heard(node, of),
                }
            }
        }
        self.now = until;
        self.rules.now = until;
    }

    /// The end, where there is one.
    #[must_use]
    pub fn end(&self, id: EndId) -> Option<&End> {
        end_of(&self.streams, id)
    }

    /// The end, where there is one.
    pub fn end_mut(&mut self, id: EndId) -> Option<&mut End> {
        match &mut self.streams.get_mut(&id.stream)?.sides[usize::from(id.side)] {
            Side::End(end) => Some(end),
            Side::Nobody | Side::Listening { .. } => None,
        }
    }

    /// All ends that `wanted` likes, oldest stream first.
    pub fn ends(&self, wanted: impl Fn(&End) -> bool) -> Vec<EndId> {
        let mut ids = Vec::new();
        for (number, stream) in &self.streams {
            for (side, place) in (0..).zip(&stream.sides) {
                if let Side::End(end) = place
                    && wanted(end)
                {
                    let stream = *number;
                    ids.push(EndId { stream, side });
                }
            }
        }
        ids
    }

    /// A new stream.
    pub fn connect(&mut self, sides: [Side; 2]) -> u32 {
        let number = self.streams.last_key_value().map_or(0, |(last, _)| *last);
        let number = number.max(self.counts.streams) + 1;
        self.counts.streams = number;
        let stream = Stream {
            sides,
            pipes: Default::default(),
            inboxes: Default::default(),
        };
        self.streams.insert(number, stream);
        number
    }

    /// `node` dials `peer`, and reaches whoever is at the other side.
    pub fn dial(&mut self, node: usize, peer: NodeId, key: Option<BoxKey>, other: Side) -> EndId {
        let stream = self.connect([Side::Nobody, other]);
        let id = EndId { stream, side: 0 };
        let early = match key {
            Some(_) => self.nodes[node].early(peer, &mut self.prng),
            None => Vec::new(),
        };
        let careless = early.len() > 1 && self.prng.chance(30_000);
        let handed_in = if careless {
            vec![Early::Intent {
                run_id: 0,
                intent: Bytes::from(&b"again"[..]),
            }]
        } else {
            early.clone()
        };
        let local = self.nodes[node].id;
        self.begin(id, node, local, peer, early);
        let clock = self.nodes[node].clock(self.now);
        let mut out = Vec::new();
        let greeting = self.greeting(node, id);
        let mut prng = self.prng.branch();
        let parties = self.parties(node, local, peer, key);
        let begun = Channel::initiate(clock, &parties, greeting, handed_in, &mut prng, &mut out);
        let Ok(channel) = begun else {
            self.counts.note("refused to send early");
            self.streams.remove(&stream);
            return id;
        };
        self.counts.note(if key.is_some() {
            "IK begun"
        } else {
            "XX begun"
        });
        self.settle(id, node, peer, channel, out);
        id
    }

    fn begin(&mut self, end: EndId, node: usize, id: NodeId, peer: NodeId, early: Vec<Early>) {
        let at = &self.nodes[node];
        let who = Who {
            node: index(node),
            id,
            key: at.secret.public(),
            fleet: self.fleet_of(node).id,
            peer,
            begun: at.clock(self.now),
        };
        self.rules.began(end, who, early);
    }

    /// The fleet in which a node believes itself to be.
    pub(super) fn fleet_of(&self, node: usize) -> &Fleet {
        &self.fleets[usize::from(self.nodes[node].role == Role::Twin)]
    }

    fn greeting(&self, node: usize, end: EndId) -> Bytes {
        let certificate = self.nodes[node].certificate;
        Greeting { certificate, end }.write()
    }

    fn parties(&self, node: usize, id: NodeId, peer: NodeId, key: Option<BoxKey>) -> Parties<'_> {
        let secret = &self.nodes[node].secret;
        Parties::control(self.fleet_of(node).id, id, peer, secret, key)
    }

    /// Puts a new channel in its place and does what it asks for.
    fn settle(&mut self, id: EndId, node: usize, peer: NodeId, channel: Channel, out: Vec<Effect>) {
        let end = End {
            node,
            peer,
            channel,
            trusted: false,
            opened: None,
            retire_at: None,
            renew: false,
            rejected: 0,
        };
        if let Some(stream) = self.streams.get_mut(&id.stream) {
            stream.sides[usize::from(id.side)] = Side::End(Box::new(end));
        }
        self.perform(id, out, true);
        self.after(id);
    }

    /// Bytes leave for the end `to`.
    pub fn put(&mut self, to: EndId, bytes: Vec<u8>) {
        let delay = 5 + self.prng.below(if self.counts.calm { 40 } else { 400 });
        let at = self
            .streams
            .get_mut(&to.stream)
            .and_then(|stream| stream.pipes[usize::from(to.side)].push(self.now, delay, bytes));
        self.due(at, Pending::Arrive(to));
    }

    /// The stream towards `to` ends after what is in flight.
    pub fn put_end(&mut self, to: EndId) {
        let delay = 5 + self.prng.below(100);
        let at = self
            .streams
            .get_mut(&to.stream)
            .and_then(|stream| stream.pipes[usize::from(to.side)].end(self.now, delay));
        self.due(at, Pending::Arrive(to));
    }

    fn due(&mut self, at: Option<Millis>, pending: Pending) {
        if let Some(at) = at {
            self.queue.entry(at).or_default().push(pending);
        }
    }

    /// `node` will hear that `of` has another key.
    pub fn will_hear(&mut self, node: usize, of: usize, after_ms: u64) {
        self.due(Some(self.now.plus(after_ms)), Pending::Heard { node, of });
    }

    fn arrive(&mut self, id: EndId) {
        let side = usize::from(id.side);
        let Some(stream) = self.streams.get_mut(&id.stream) else {
            return;
        };
        let Some(parcel) = stream.pipes[side].pop(self.now) else {
            return;
        };
        if matches!(stream.sides[side], Side::Nobody) {
            return;
        }
        if stream.inboxes[side].0.is_empty() {
            stream.inboxes[side].1 = self.now;
        }
        stream.inboxes[side].0.extend(&parcel.bytes);
        loop {
            let Some(stream) = self.streams.get_mut(&id.stream) else {
                return;
            };
            if matches!(stream.sides[side], Side::Nobody) {
                return;
            }
            match next_frame(&mut stream.inboxes[side].0) {
                Ok(Some(frame)) => self.frame(id, frame),
                Ok(None) => break,
                Err(_) => return self.hang_up(id),
            }
        }
        if parcel.last {
            self.counts.note("streams ended");
            self.hang_up(id);
        }
    }

    fn frame(&mut self, id: EndId, frame: Vec<u8>) {
        let side = usize::from(id.side);
        let Some(stream) = self.streams.get(&id.stream) else {
            return;
        };
        match stream.sides[side] {
            Side::Nobody => {}
            Side::Listening {
                node,
                id: local,
                peer,
            } => self.answer(id, node, local, peer, &frame),
            Side::End(_) => self.event(id, Event::Frame(frame)),
        }
    }

    fn answer(&mut self, id: EndId, node: usize, local: NodeId, peer: NodeId, frame: &[u8]) {
        self.begin(id, node, local, peer, Vec::new());
        let greeting = self.greeting(node, id);
        let clock = self.nodes[node].clock(self.now);
        let key = self.nodes[node].contact(peer).known;
        let mut window = self.nodes[node].window.clone();
        let mut prng = self.prng.branch();
        let mut out = Vec::new();
        let parties = self.parties(node, local, peer, key);
        let channel = Channel::respond(
            clock,
            &parties,
            greeting,
            frame,
            &mut window,
            &mut prng,
            &mut out,
        );
        if self.nodes[node].role.is_member() {
            let remote = channel.remote_key();
            self.rules.answered(
                id,
                &Answered {
                    frame,
                    known_key: frame.first() == Some(&1),
                    taken: !channel.is_closed(),
                    of_member: remote.is_some() && remote == key,
                    remembered: window.len(),
                },
            );
        }
        self.nodes[node].window = window;
        self.settle(id, node, peer, channel, out);
    }

    /// Wakes an end whose time has come.
    pub fn wake(&mut self, id: EndId) {
        let now = self.now;
        let due = self.end(id).and_then(|end| {
            let wake_at = end.channel.wake_at()?;
            Some(self.nodes[end.node].clock(now) >= wake_at)
        });
        if due == Some(true) {
            self.event(id, Event::Wake);
        }
    }

    /// Hands the machine an event and does what it asks for.
    pub fn event(&mut self, id: EndId, event: Event) {
        let now = self.now;
        let Some(end) = self.end(id) else { return };
        let clock = self.nodes[end.node].clock(now);
        let message = match &event {
            Event::Send(bytes) => Some(Hash::of(bytes)),
            _ => None,
        };
        let mut out = Vec::new();
        if let Some(end) = self.end_mut(id) {
            end.channel.handle(clock, event, &mut out);
        }
        let refused = out
            .iter()
            .any(|effect| matches!(effect, Effect::Refused(_)));
        self.perform(id, out, false);
        if let Some(hash) = message.filter(|_| !refused) {
            self.rules.sent(id, clock, Item::Message(hash));
        }
        self.after(id);
    }

    /// Looks at an end once an event is over, and plans its next one.
    fn after(&mut self, id: EndId) {
        let Some(stream) = self.streams.get(&id.stream) else {
            return;
        };
        let touched = stream.pipes.iter().any(|pipe| pipe.tampered);
        let Some(end) = end_of(&self.streams, id) else {
            return;
        };
        let node = &self.nodes[end.node];
        let clock = node.clock(self.now);
        let wake_at = end.channel.wake_at();
        let rejected = end.channel.rejected();
        let (member, before, number) = (node.role.is_member(), end.rejected, index(end.node));
        if member {
            self.rules.look(id, clock, &end.channel);
            if rejected > before && !touched {
                let what = format!("I3: {id:?} refused a frame that nobody had touched");
                self.rules.broken(number, what);
            }
        }
        if let Some(end) = self.end_mut(id) {
            end.rejected = rejected;
        }
        if let Some(wake_at) = wake_at {
            let wait = wake_at.since(clock).max(100);
            self.due(Some(self.now.plus(wait)), Pending::Wake(id));
        }
    }

    /// The node closes its channel.
    pub fn event_close(&mut self, id: EndId) {
        self.event(id, Event::Close);
        self.hang_up(id);
    }

    /// An end is gone; the other end hears of it.
    pub fn hang_up(&mut self, id: EndId) {
        let Some(stream) = self.streams.get_mut(&id.stream) else {
            return;
        };
        stream.sides[usize::from(id.side)] = Side::Nobody;
        stream.inboxes[usize::from(id.side)].0.clear();
        if stream.sides.iter().all(|side| matches!(side, Side::Nobody)) {
            self.streams.remove(&id.stream);
        } else {
            self.put_end(id.other());
        }
    }
}

/// A node's number, for the report.
#[must_use]
pub fn index(node: usize) -> u32 {
    u32::try_from(node).unwrap_or(u32::MAX)
}

/// The end among these streams, where there is one.
pub(super) fn end_of(streams: &BTreeMap<u32, Stream>, id: EndId) -> Option<&End> {
    match &streams.get(&id.stream)?.sides[usize::from(id.side)] {
        Side::End(end) => Some(end),
        Side::Nobody | Side::Listening { .. } => None,
    }
}
