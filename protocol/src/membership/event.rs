//! All that can happen to membership, and all that it can ask for: two closed lists.

use std::sync::Arc;

use crate::crypto::sign::PublicKey;
use crate::ident::NodeId;
use crate::machine::Millis;
use crate::membership::homes::RosterManager;
use crate::membership::message::MembershipMessage;

/// Everything that can happen to membership.
#[derive(Clone, Debug)]
pub enum MembershipEvent {
    /// The time that `wake_at` named has come.
    Wake,
    /// What the wall clock shows now: at the start and when it was set.
    Clock {
        /// Since 1970.
        wall: Millis,
    },
    /// The managers of the fleet, from the trust fold; whenever they change.
    Roster {
        /// All of them, this node too where it is one.
        managers: Arc<[RosterManager]>,
    },
    /// Once after a restart: the neighbours that a `Remember` effect stored.
    Remembered {
        /// Whom.
        neighbours: Vec<NodeId>,
    },
    /// A member answers on our LAN.
    LanSeen {
        /// Which.
        peer: NodeId,
    },
    /// A member's key, from its certificate or its enrolment.
    Known {
        /// Whose.
        node: NodeId,
        /// The key that signs its presence.
        key: PublicKey,
    },
    /// A device is no longer of the fleet.
    Forget {
        /// Which.
        node: NodeId,
    },
    /// There is a link to a member. Again for one that has a link already: nothing new.
    Connected {
        /// To whom.
        peer: NodeId,
        /// Whether its certificate makes it a manager.
        is_manager: bool,
        /// The key of its certificate.
        key: PublicKey,
        /// Whether the link stays within our LAN.
        lan: bool,
    },
    /// The last link to a member is gone.
    Disconnected {
        /// To whom.
        peer: NodeId,
    },
    /// What a `Dial` effect asked for did not come about.
    DialFailed {
        /// To whom.
        peer: NodeId,
    },
    /// A message came.
    Received {
        /// From whom, as the channel says.
        from: NodeId,
        /// The message.
        message: MembershipMessage,
    },
    /// Something came that is no message, or more than a member has to say elsewhere.
    Malformed {
        /// From whom, as the channel says.
        from: NodeId,
    },
    /// The replica knows how far from the news a peer is.
    NewsHops {
        /// Which.
        peer: NodeId,
        /// Zero where the news is made.
        hops: u8,
    },
    /// The replica's feeder announced three times and never pushed.
    FeederFailed {
        /// Which.
        peer: NodeId,
    },
}

/// Why a link is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangUpReason {
    /// Nothing was heard for too long.
    Silent,
    /// A better home has proved steady.
    BetterHome,
    /// A manager that is no home of ours.
    SurplusHome,
    /// One side has no place for another neighbour.
    NeighboursFull,
    /// The peer went to another neighbour.
    NeighbourLeft,
    /// It sends too much.
    Flood,
}

/// What a peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MisbehaviourReason {
    /// It sends more messages than its role needs; the excess is not read.
    Flood,
    /// It passed a presence that its node did not sign, or that of another as its own.
    ForgedPresence,
    /// What it sent breaks the rules of its form.
    Malformed,
    /// It sent what only another role may send.
    NotItsPart,
}

/// Everything that membership can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipEffect {
    /// Make a link; `Connected` or `DialFailed` answers.
    Dial {
        /// To whom.
        peer: NodeId,
    },
    /// Close all links to a peer. Membership counts it as gone already.
    HangUp {
        /// To whom.
        peer: NodeId,
        /// Why.
        reason: HangUpReason,
    },
    /// Send a message on a link that is there.
    Send {
        /// To whom.
        to: NodeId,
        /// The message.
        message: MembershipMessage,
    },
    /// The replica is to name this peer its feeder.
    SetFeeder(Option<NodeId>),
    /// This manager is now the one that pulls from a device.
    StartPulling {
        /// Which.
        device: NodeId,
    },
    /// It is not any more.
    StopPulling {
        /// Which.
        device: NodeId,
    },
    /// What `state_of` says of a node may have changed.
    PresenceChanged {
        /// Which.
        node: NodeId,
    },
    /// The same of all nodes that this manager has seen.
    PresencesChanged {
        /// Whose word counts again, or no more.
        by: NodeId,
    },
    /// Store these for a restart.
    Remember {
        /// The present neighbours first; at most eight.
        neighbours: Vec<NodeId>,
    },
    /// Two machines go by this node's key; `state_of` says more.
    Cloned {
        /// Which.
        node: NodeId,
    },
    /// For the log, and for whoever judges peers.
    Misbehaved {
        /// Who.
        peer: NodeId,
        /// How.
        reason: MisbehaviourReason,
    },
}
