//! What must hold of sessions, whatever lies between the two ends.

use std::collections::{BTreeMap, VecDeque};

use regatta_protocol::crypto::channel::{Channel, Early, HANDSHAKE_MS_MAX, REKEY_MS, RENEW_MS};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::ident::{FleetId, Hash, NodeId};
use regatta_protocol::machine::Millis;

use super::member::{Greeting, MARKER};
use super::wire::EndId;
use crate::invariants::Violation;
use crate::network::NodeIndex;

/// What a wake-up may come late, and how often the simulator looks.
pub const SLACK_MS: u64 = 2_500;
/// How long a session may be used after its renewal is due.
pub const RENEW_GRACE_MS: u64 = 60_000;

/// What an end put into its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A message, by its hash.
    Message(Hash),
    /// Its next key, by number.
    Rekey(u64),
}

/// Who an end is, and whom it means to talk to.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    /// Its node.
    pub node: NodeIndex,
    /// Its node's id.
    pub id: NodeId,
    /// Its static key.
    pub key: BoxKey,
    /// Its fleet.
    pub fleet: FleetId,
    /// The id that it means to talk to.
    pub peer: NodeId,
    /// When it began, by its own clock.
    pub begun: Millis,
}

/// One end's history.
#[derive(Clone, Debug)]
struct History {
    who: Who,
    partner: Option<EndId>,
    opened: Option<Millis>,
    renewals: u32,
    early: Vec<Early>,
    early_taken: bool,
    sent: Vec<Item>,
    /// Keys changed, both ways: in `sent`, and in what was taken of the partner's.
    epochs: [u64; 2],
    taken: usize,
    /// First use of the key that it sends under now.
    first_used: Option<Millis>,
}

/// A first message that came, and what was made of it.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The frame.
    pub frame: &'a [u8],
    /// Whether the frame is one of `IK`, where the first message proves something.
    pub known_key: bool,
    /// Whether it was taken.
    pub taken: bool,
    /// Whether it counts as a member's: its key was the one that is bound.
    pub of_member: bool,
    /// First messages that the node remembers afterwards.
    pub remembered: usize,
}

/// Everything that was seen, to hold the next event against.
#[derive(Debug)]
pub struct Rules {
    /// What was broken.
    pub violations: Vec<Violation>,
    /// Simulated time.
    pub now: Millis,
    ends: BTreeMap<EndId, History>,
    /// Whose a first message is.
    firsts: BTreeMap<Hash, EndId>,
    windows: BTreeMap<NodeIndex, VecDeque<Hash>>,
    window_capacity: usize,
    started: BTreeMap<(NodeIndex, u128), u32>,
}

impl Rules {
    /// Nothing was seen yet; nodes remember `window_capacity` first messages.
    #[must_use]
    pub fn new(window_capacity: usize) -> Self {
        Self {
            violations: Vec::new(),
            now: Millis(0),
            ends: BTreeMap::new(),
            firsts: BTreeMap::new(),
            windows: BTreeMap::new(),
            window_capacity,
            started: BTreeMap::new(),
        }
    }

    /// Notes that something is broken.
    pub fn broken(&mut self, node: NodeIndex, what: String) {
        const KEPT: usize = 20;
        if self.violations.len() < KEPT {
            let at = self.now;
            self.violations.push(Violation { at, node, what });
        }
    }

    /// An end has begun.
    pub fn began(&mut self, end: EndId, who: Who, early: Vec<Early>) {
        let history = History {
            who,
            partner: None,
            opened: None,
            renewals: 0,
            early,
            early_taken: false,
            sent: Vec::new(),
            epochs: [0; 2],
            taken: 0,
            first_used: None,
        };
        self.ends.insert(end, history);
    }

    /// A frame crosses: nothing confidential may stand in it.
    pub fn crosses(&mut self, end: EndId, node: NodeIndex, first: bool, frame: &[u8]) {
        if frame.windows(MARKER.len()).any(|bytes| bytes == MARKER) {
            self.broken(node, format!("I3: {end:?} sent a message in the open"));
        }
        if first {
            self.firsts.insert(Hash::of(frame), end);
        }
    }

    /// How many first messages each node remembers.
    #[must_use]
    pub fn window_capacity(&self) -> usize {
        self.window_capacity
    }

    /// A node has started anew: it remembers no first message.
    pub fn restarted(&mut self, node: NodeIndex) {
        self.windows.remove(&node);
    }

    /// An end has answered a first message, or not.
    pub fn answered(&mut self, end: EndId, answered: &Answered<'_>) {
        if !answered.known_key {
            return;
        }
        let Some(here) = self.ends.get(&end).map(|history| history.who) else {
            return;
        };
        let hash = Hash::of(answered.frame);
        let window = self.windows.entry(here.node).or_default();
        let again = window.contains(&hash);
        if answered.taken && answered.of_member && !again {
            window.push_back(hash);
            if window.len() > self.window_capacity {
                window.pop_front();
            }
        }
        let remembered = window.len();
        let capacity = self.window_capacity;
        let sender = self.firsts.get(&hash).and_then(|from| self.ends.get(from));
        let sender = sender.map(|history| history.who);
        if answered.taken {
            if again {
                self.broken(
                    here.node,
                    format!("I4: {end:?} took a remembered first message again"),
                );
            }
            let meant = sender.is_some_and(|from| {
                from.fleet == here.fleet && from.id == here.peer && from.peer == here.id
            });
            if !meant {
                let what = format!("I3: {end:?} took a first message meant for others: {sender:?}");
                self.broken(here.node, what);
            }
        }
        if answered.remembered != remembered || remembered > capacity {
            let found = answered.remembered;
            let what = format!("I6: {found} first messages are remembered, {remembered} should be");
            self.broken(here.node, what);
        }
    }

    /// Early requests are handed on; `bound`: their key is one that a certificate in force binds.
    pub fn early(&mut self, end: EndId, greeting: &[u8], requests: &[Early], bound: bool) {
        let Some(here) = self.ends.get_mut(&end) else {
            return;
        };
        let node = here.who.node;
        let me = here.who;
        if std::mem::replace(&mut here.early_taken, true) {
            self.broken(node, format!("I4: {end:?} handed on early requests twice"));
        }
        if !bound {
            let what =
                format!("I3: {end:?} handed on early requests under a key that is not bound");
            self.broken(node, what);
        }
        let allowed = requests.len() <= 8
            && requests.iter().all(|request| match request {
                Early::Read(bytes) => !bytes.is_empty(),
                Early::Intent { run_id, intent } => *run_id != 0 && !intent.is_empty(),
            });
        if !allowed {
            self.broken(node, format!("I4: {end:?} handed on {requests:?} early"));
        }
        let from = Greeting::read(greeting).map(|greeting| greeting.end);
        let from = from.and_then(|from| self.ends.get(&from));
        let said = from.is_some_and(|from| {
            let fits = from.who.peer == me.id && from.who.id == me.peer;
            fits && from.who.fleet == me.fleet && from.early == requests
        });
        if !said {
            self.broken(
                node,
                format!("I3: {end:?} handed on what nobody asked it early"),
            );
        }
    }

    /// A run has been started, after its id was stored.
    pub fn started(&mut self, node: NodeIndex, run_id: u128) {
        let times = self.started.entry((node, run_id)).or_default();
        *times += 1;
        let times = *times;
        if times > 1 {
            self.broken(
                node,
                format!("I4: run {run_id:032x} was started {times} times"),
            );
        }
    }

    /// An end says that it is open.
    pub fn opened(&mut self, end: EndId, clock: Millis, remote: BoxKey, greeting: &[u8]) {
        let Some(here) = self.ends.get_mut(&end) else {
            return;
        };
        let again = here.opened.replace(clock).is_some();
        let node = here.who.node;
        let me = here.who;
        let named = Greeting::read(greeting).map(|greeting| greeting.end);
        here.partner = named;
        if again {
            self.broken(node, format!("I3: {end:?} opened twice"));
        }
        let there = named.and_then(|named| Some((named, self.ends.get(&named)?)));
        let Some((named, there)) = there else {
            let what = format!("I3: {end:?} opened with an end that never was");
            return self.broken(node, what);
        };
        let them = there.who;
        let meant = them.id == me.peer && them.peer == me.id;
        let wrong = if !meant || them.fleet != me.fleet || named.side == end.side {
            "an end that did not mean it"
        } else if them.key != remote {
            "an end of another key"
        } else if there.partner.is_some_and(|partner| partner != end) {
            "an end that is open with another"
        } else if end.side == 1 && there.opened.is_none() {
            "an end that never confirmed"
        } else {
            return;
        };
        self.broken(node, format!("I3: {end:?} opened with {named:?}: {wrong}"));
    }

    /// An end has put something into its stream.
    pub fn sent(&mut self, end: EndId, clock: Millis, item: Item) {
        let Some(here) = self.ends.get_mut(&end) else {
            return;
        };
        here.sent.push(item);
        let node = here.who.node;
        match item {
            Item::Rekey(epoch) => {
                here.first_used = None;
                here.epochs[0] += 1;
                if here.epochs[0] != epoch {
                    self.broken(node, format!("I3: {end:?} skipped to key {epoch}"));
                }
            }
            Item::Message(_) => {
                let used = clock.since(*here.first_used.get_or_insert(clock));
                let age = here.opened.map_or(u64::MAX, |opened| clock.since(opened));
                if used > REKEY_MS + SLACK_MS {
                    self.broken(node, format!("I7: {end:?} uses a key for {used} ms"));
                }
                if age > RENEW_MS + RENEW_GRACE_MS + SLACK_MS {
                    self.broken(node, format!("I7: {end:?} uses a handshake {age} ms old"));
                }
            }
        }
    }

    /// An end has taken something out of its stream.
    pub fn took(&mut self, end: EndId, item: Item, bound: bool) {
        let Some(here) = self.ends.get_mut(&end) else {
            return;
        };
        let node = here.who.node;
        let place = here.taken;
        here.taken += 1;
        here.epochs[1] += u64::from(matches!(item, Item::Rekey(_)));
        let partner = here.partner;
        let sent = partner.and_then(|partner| self.ends.get(&partner)?.sent.get(place).copied());
        if sent != Some(item) {
            let what = format!("I3: {end:?} took {item:?} as number {place}, {sent:?} was sent");
            self.broken(node, what);
        }
        if !bound {
            self.broken(
                node,
                format!("I3: {end:?} delivered under a key that is not bound"),
            );
        }
    }

    /// A new handshake is due.
    pub fn renewal_due(&mut self, end: EndId) {
        if let Some(here) = self.ends.get_mut(&end) {
            here.renewals += 1;
        }
    }

    /// Looks at an end after an event.
    pub fn look(&mut self, end: EndId, clock: Millis, channel: &Channel) {
        let Some(here) = self.ends.get(&end) else {
            return;
        };
        let node = here.who.node;
        let shaking = clock.since(here.who.begun);
        let mut wrong = Vec::new();
        if !channel.is_open() && !channel.is_closed() && shaking > HANDSHAKE_MS_MAX + SLACK_MS {
            wrong.push(format!("I7: {end:?} shakes hands since {shaking} ms"));
        }
        if let Some(opened) = here.opened.filter(|_| channel.is_open()) {
            let used = here.first_used.map_or(0, |used| clock.since(used));
            if used > REKEY_MS + SLACK_MS {
                wrong.push(format!("I7: {end:?} keeps a key for {used} ms"));
            }
            let due = clock.since(opened) > RENEW_MS + SLACK_MS;
            if here.renewals > 1 || (due && here.renewals == 0) {
                wrong.push(format!(
                    "I7: {end:?} asked {} times for renewal",
                    here.renewals
                ));
            }
            let sending = channel.sending(clock).map(|key| key.epoch);
            if sending != Some(here.epochs[0]) {
                wrong.push(format!("I3: {end:?} sends under key {sending:?}"));
            }
            let receiving = channel.receiving(clock).map(|key| key.epoch);
            if receiving != Some(here.epochs[1]) {
                wrong.push(format!("I3: {end:?} receives under key {receiving:?}"));
            }
        }
        wrong.into_iter().for_each(|what| self.broken(node, what));
    }

    /// Whether two ends are open with one another.
    #[must_use]
    pub fn are_paired(&self, end: EndId, other: EndId) -> bool {
        let partner = |end: EndId| self.ends.get(&end).and_then(|history| history.partner);
        partner(end) == Some(other) && partner(other) == Some(end)
    }

    /// How many items of its partner's an end has taken, and how many were sent.
    #[must_use]
    pub fn progress(&self, end: EndId) -> Option<(usize, usize)> {
        let here = self.ends.get(&end)?;
        let partner = self.ends.get(&here.partner?)?;
        Some((here.taken, partner.sent.len()))
    }
}
