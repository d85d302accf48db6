//! What can happen to a replica, what it can ask for, and what it counts.

use std::sync::Arc;

use crate::clock::reference::Floor;
use crate::ident::{Hash, NodeId};
use crate::ledger::entry::{Entry, LedgerId};
use crate::ledger::message::Message;
use crate::ledger::replica::author::{Draft, Refusal};
use crate::machine::Millis;
use crate::trust::authority::Credentials;
use crate::trust::statement::Statement;

/// What a node is in the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Holds a certificate to write.
    Manager,
    /// Everybody else.
    Agent,
}

/// How a replica behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether new entries are pushed and announced; without, digests alone carry them.
    pub push: bool,
    /// How often a connection compares digests when nothing happens.
    pub digest_every_ms: u64,
    /// How long announcements are gathered.
    pub announce_after_ms: u64,
    /// How long an answer may take.
    pub answer_within_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            push: true,
            digest_every_ms: 120_000,
            announce_after_ms: 200,
            answer_within_ms: 5_000,
        }
    }
}

/// A member at the other end of a connection, as its certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its id.
    pub node: NodeId,
    /// Its role.
    pub role: Role,
    /// Whether it was granted to carry what is scoped to others.
    pub carries: bool,
}

/// Everything that can happen to a replica.
#[derive(Clone, Debug)]
pub enum Event {
    /// A member is connected. From the network, after the handshake.
    PeerUp(PeerInfo),
    /// A member that is connected may do more or less than before. From whoever looks at
    /// certificates; what is as it was does no harm.
    PeerChanged(PeerInfo),
    /// A peer's certificates were checked: what it may read can ride along to it. From the network.
    Presented {
        /// Whose.
        peer: NodeId,
        /// What they say.
        credentials: Arc<Credentials>,
    },
    /// A connection is gone. From the network.
    PeerDown(NodeId),
    /// A message came. From the network, decoded.
    Received {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// A frame came that is no message. From the network.
    Malformed {
        /// Who sent it.
        from: NodeId,
    },
    /// Something that the root said and no ledger brought here yet, shown by whom it is on. From the
    /// network, as [`crate::trust::papers::to_learn`] found it. It is not stored: a manager writes
    /// it down, or it is shown again.
    Learned(Statement),
    /// This node writes an entry. From whoever has something to say.
    Write(Draft),
    /// Who pushes to this node. From membership.
    Feeder(Option<NodeId>),
    /// What the own clock says: at the start, and whenever it was set.
    Clock {
        /// Wall time.
        wall: Millis,
    },
    /// Whether there is room for more than trust. From whoever stores.
    Room(bool),
    /// The time that [`Machine::wake_at`] named has come.
    Wake,
}

/// Everything a replica can ask for. Performed in order; `Store` is durable before what follows.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Keep an entry; a body that rides along with it goes where bodies are kept.
    Store(Arc<Entry>),
    /// Keep a floor of reference time.
    StoreFloor(Floor),
    /// Send one message to some.
    Send {
        /// To whom.
        to: Vec<NodeId>,
        /// What.
        message: Message,
    },
    /// Read entries from the store and send them, as [`crate::ledger::replica::answer`] packs them.
    SendStored {
        /// To whom.
        to: NodeId,
        /// The head that was wanted.
        wanted: Hash,
        /// The entries, first things first.
        entries: Vec<Hash>,
        /// Whether more are to be asked for.
        more: bool,
    },
    /// Close a connection: its member does what no member does.
    HangUp {
        /// Whom.
        peer: NodeId,
        /// Why.
        reason: Misdeed,
    },
    /// Trust is in step with this peer: other streams may open.
    Agreed(NodeId),
    /// Who is stopped, lapsed or certified has changed: look at the open sessions.
    Judged,
    /// How far news had come that this peer told of. For membership.
    NewsHops {
        /// Who told.
        peer: NodeId,
        /// Links from the author.
        hops: u8,
    },
    /// The feeder failed to push what others had. For membership.
    FeederFailed(NodeId),
    /// An own entry is written.
    Written {
        /// The draft's number, as its writer gave it.
        draft: u64,
        /// The entry's hash.
        entry: Hash,
    },
    /// An own entry was refused, and why.
    Refused {
        /// The draft's number, as its writer gave it.
        draft: u64,
        /// Why.
        refusal: Refusal,
    },
    /// One more manager holds an own entry.
    Replicated {
        /// The entry's hash.
        entry: Hash,
        /// Which.
        by: NodeId,
        /// How many managers hold it, this one included.
        copies: usize,
    },
    /// Something that an operator should see.
    Alarm(Alarm),
}

/// What ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misdeed {
    /// More messages than any member needs.
    Flood,
    /// Frames that are no messages, or entries that nobody signed.
    Forgery,
}

/// What an operator should see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// One hand signed two entries for one place.
    Forked(LedgerId),
    /// An author went on from below a head that is known: restored from a backup, or cloned.
    Restored(LedgerId),
    /// Somebody else writes with this node's key.
    Cloned(LedgerId),
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Entries taken.
    pub taken: u64,
    /// Entries that were held already when they came.
    pub duplicates: u64,
    /// Entries that nobody signed.
    pub forged: u64,
    /// Messages out of place, and frames that were none.
    pub misplaced: u64,
    /// Bytes that one copy of each entry taken has, as pushed or pulled.
    pub entry_bytes: u64,
}
