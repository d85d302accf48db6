//! Everything that the network tells its owner: one closed list, and why things end.

use std::time::Duration;

use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::channel::{CloseReason, Direction, Early};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::crypto::sign::PublicKey;
use regatta_protocol::ident::NodeId;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::network::{Address, BulkStream};

/// How a peer is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Where it is, as seen from here; a relay's circuit where it is relayed.
    pub address: Address,
    /// Whether it leads through a relay.
    pub relayed: bool,
    /// Whether this node dialled.
    pub dialled: bool,
}

/// What the owner says to somebody's greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is the member that it says it is.
    Admit,
    /// It is not, or it has no business here. An answer that is dropped says the same.
    Refuse,
}

/// Somebody showed keys and a greeting; whose they are, the greeting's certificate must say.
#[derive(Debug)]
pub struct Greeted {
    /// Who it says it is; the handshake binds the id, the certificate must bind it to the keys.
    pub peer: NodeId,
    /// The key that it proved to hold when the connection was made.
    pub sign_key: PublicKey,
    /// The key that it proved to hold in the handshake.
    pub seal_key: BoxKey,
    /// What it says: its certificate.
    pub greeting: Bytes,
    /// How it was reached.
    pub path: Path,
    /// Whether a session with it stands already, which this one is to follow.
    pub renewal: bool,
    /// Within ten seconds of the connection; nothing else crosses before.
    pub answer: oneshot::Sender<Admission>,
}

/// Everything that the network tells.
#[derive(Debug)]
pub enum NetworkEvent {
    /// When a listener is ready: once for each address, and again when one is added.
    Listening {
        /// Where others can dial.
        address: Address,
    },
    /// When an address cannot be listened on, or no more.
    ListenFailed {
        /// Which.
        address: Address,
        /// What the system says.
        error: String,
    },
    /// When somebody has completed a handshake. The owner checks and answers.
    Greeted(Box<Greeted>),
    /// When the first message of a peer carried requests, before its `Greeted`. It is sealed with
    /// the key with which this peer was admitted before; the peer is told nothing until it is up.
    Early {
        /// From whom.
        peer: NodeId,
        /// Reads, and intents that bear a run id.
        requests: Vec<Early>,
    },
    /// When both sides have admitted each other: from now on frames cross.
    Up {
        /// With whom.
        peer: NodeId,
        /// How.
        path: Path,
        /// The handshake's round trip.
        rtt: Duration,
    },
    /// When a link is over. What was sent and not answered may not have arrived.
    Down {
        /// With whom.
        peer: NodeId,
        /// Why.
        reason: DownReason,
    },
    /// When a message came, in the order in which the peer sent it.
    Frame {
        /// From whom.
        peer: NodeId,
        /// For which part of the node.
        tag: u8,
        /// The message.
        bytes: Vec<u8>,
    },
    /// When a member opened a plain stream.
    Bulk {
        /// Who.
        peer: NodeId,
        /// For what, in its words.
        protocol: String,
        /// The stream; dropped where it is not wanted.
        stream: BulkStream,
    },
    /// When somebody sent what nobody may send; it was hung up on.
    Malformed {
        /// Whose connection it was.
        sign_key: PublicKey,
        /// Who it was, where it had been admitted.
        peer: Option<NodeId>,
        /// What it did.
        what: &'static str,
    },
    /// When a `Dial` came to nothing.
    DialFailed {
        /// To whom.
        peer: NodeId,
        /// Why.
        reason: DialError,
    },
    /// When somebody answers on the LAN; again whenever its addresses change.
    LanSeen {
        /// Its key.
        sign_key: PublicKey,
        /// Where it says that it is.
        addresses: Vec<Address>,
    },
    /// When a link goes on over another connection. No message is lost.
    PathChanged {
        /// With whom.
        peer: NodeId,
        /// How from now on.
        path: Path,
    },
    /// When a link has another key.
    KeyEpoch {
        /// With whom.
        peer: NodeId,
        /// Of which direction.
        direction: Direction,
        /// Rekeys since the handshake; 0 after a new one.
        epoch: u64,
    },
    /// When a stranger asks to join. What it is told crosses no other way.
    JoinAsked {
        /// What it hands in.
        bytes: Bytes,
        /// What it is told; dropped where it is told nothing.
        answer: oneshot::Sender<Bytes>,
    },
    /// When a relay has made a reservation for us, or renewed it at another address.
    Reserved {
        /// Which relay.
        via: NodeId,
        /// Where others can dial us through it.
        address: Address,
    },
    /// When a reservation is gone, or was refused. It is asked for again, after pauses that grow to a
    /// minute, until the relay is hung up on.
    ReservationLost {
        /// Which relay.
        via: NodeId,
    },
}

/// Why a link is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DownReason {
    /// The owner hung up.
    #[error("hung up by this node")]
    HungUp,
    /// The peer hung up.
    #[error("hung up by the peer")]
    PeerHungUp,
    /// The connection broke.
    #[error("the connection was lost")]
    Lost,
    /// Nothing was heard for too long.
    #[error("the peer fell silent")]
    Silent,
    /// The peer does not take what is sent to it.
    #[error("the peer does not take what is sent to it; its queue is full")]
    NotDraining,
    /// The peer sent what nobody may send.
    #[error("the peer sent what nobody may send")]
    Malformed,
    /// The peer came again without this link: it restarted, or lost the link first.
    #[error("the peer came again without this link")]
    Replaced,
    /// The peer, or this node, does not admit the other any more.
    #[error("a renewal was refused")]
    Refused,
    /// The session ended by its own rules.
    #[error(transparent)]
    Session(CloseReason),
}

/// Why a dial came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DialError {
    /// Nobody answers there, or somebody with another key.
    #[error("{0}")]
    Unreachable(String),
    /// The peer does not speak our fleet's protocol.
    #[error("the peer does not offer this fleet's protocol; it may be of another fleet")]
    OtherFleet,
    /// The handshake failed.
    #[error(transparent)]
    Handshake(CloseReason),
    /// This node's owner refused the peer's greeting.
    #[error("this node refused the peer's certificate")]
    RefusedHere,
    /// The peer refused ours.
    #[error("the peer refused this node's certificate")]
    RefusedThere,
    /// The peer broke off, or took too long.
    #[error("the peer broke off during the handshake")]
    BrokenOff,
    /// No address to dial.
    #[error("no address of it is known")]
    NoAddress,
    /// The owner hung up meanwhile.
    #[error("hung up by this node")]
    HungUp,
}

/// Why a bulk stream could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BulkError {
    /// There is no link to the peer.
    #[error("there is no link to this node")]
    NotUp,
    /// The protocol's name is empty or too long.
    #[error("a bulk protocol's name has 1 to 32 bytes")]
    Name,
    /// The peer, or the connection, did not take it.
    #[error("the stream was not opened: {0}")]
    Refused(String),
}

/// Why a join came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JoinError {
    /// Nobody answers at any of the addresses.
    #[error("no node answers there: {0}")]
    Unreachable(String),
    /// Somebody answers who lets nobody into this fleet.
    #[error("the node that answers is of another fleet, or takes no joiners now")]
    NotOffered,
    /// It closed the stream without an answer.
    #[error("the node did not answer; it may be busy, or not know the invite")]
    NoAnswer,
    /// What is handed in is too long.
    #[error("a join of {length} bytes, at most 16384 are allowed")]
    TooLong {
        /// Bytes found.
        length: usize,
    },
}
