//! Everything that the network can be told and asked: one closed list.

use std::time::Duration;

use ractor::RpcReplyPort;
use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::channel::Early;
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::crypto::sign::PublicKey;
use regatta_protocol::ident::NodeId;
use tokio::sync::oneshot;

use crate::network::{Address, BulkError, BulkStream, JoinError, Path};

/// A member, as its certificate shows it, and where it may be.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Its id.
    pub peer: NodeId,
    /// The key that it must hold when a connection is made.
    pub sign_key: PublicKey,
    /// The key that its channel is made to, where it is known: saves a round trip.
    pub seal_key: Option<BoxKey>,
    /// Where it may be; a relay's circuit where it is behind one. The first sixteen are tried.
    pub addresses: Vec<Address>,
    /// What to ask in the first message, where the channel's key is known. It may get lost or come
    /// twice: what is not answered soon after `Up` is to be asked again.
    pub early: Vec<Early>,
}

/// One link, for operators to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// With whom.
    pub peer: NodeId,
    /// How.
    pub path: Path,
    /// The handshake's round trip.
    pub rtt: Duration,
}

/// Everything that the network can be told.
#[derive(Debug)]
pub enum NetworkMessage {
    /// From whoever wants a link: `Up` or `DialFailed` answers. Nothing happens where there is one
    /// already, except that a relayed link is moved to a direct connection if one can be made.
    Dial(Contact),
    /// From whoever wants a link no more: `Down` answers, where there was one.
    HangUp {
        /// With whom.
        peer: NodeId,
    },
    /// From every part of the node that has something to say to a peer. In order; lost where there
    /// is no link. A peer that does not take what is sent to it is hung up on.
    Send {
        /// To whom.
        to: NodeId,
        /// For which part of the peer.
        tag: u8,
        /// The message, at most [`MESSAGE_BYTES_MAX`](crate::network::MESSAGE_BYTES_MAX).
        bytes: Vec<u8>,
    },
    /// From whoever has more to move than messages.
    OpenBulk {
        /// To whom.
        peer: NodeId,
        /// What for: 1 to 32 bytes that the peer is told.
        protocol: String,
        /// The stream.
        answer: oneshot::Sender<Result<BulkStream, BulkError>>,
    },
    /// From the settings, at the start and when they change: `Listening` or `ListenFailed` answers.
    Listen {
        /// Where.
        address: Address,
    },
    /// From `status`: where this node can be dialled.
    GetAddresses {
        /// All of them, relays' circuits too.
        answer: oneshot::Sender<Vec<Address>>,
    },
    /// From `status` and `path`.
    GetLinks {
        /// All that are up.
        answer: oneshot::Sender<Vec<LinkStatus>>,
    },
    /// From `ping`: measures the way there and back. Dropped where there is no link.
    Ping {
        /// To whom.
        peer: NodeId,
        /// How long it took.
        answer: oneshot::Sender<Duration>,
    },
    /// From a node that cannot be dialled: be reachable through this member, to which there is a
    /// link that this node dialled. `Reserved` answers, `ReservationLost` when it is gone; it is
    /// asked for again until the relay is hung up on.
    ReserveRelay {
        /// Through whom.
        via: NodeId,
    },
    /// From whoever renews this node's certificate: what it says of itself from the next handshake on.
    SetGreeting {
        /// At most 1 KiB.
        greeting: Bytes,
    },
    /// From a node that is not a member yet: hands in a request at the first address that answers.
    Join {
        /// Where members may be.
        addresses: Vec<Address>,
        /// At most [`JOIN_BYTES_MAX`](crate::network::JOIN_BYTES_MAX); sealed, for nobody's key is
        /// checked here.
        bytes: Bytes,
        /// What the member says.
        answer: oneshot::Sender<Result<Bytes, JoinError>>,
    },
    /// From the watchdog; the engine answers.
    Alive(RpcReplyPort<()>),
    /// From this actor to itself: the engine has ended.
    EngineEnded {
        /// Whether it panicked.
        bug: bool,
    },
}
