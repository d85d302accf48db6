//! What can happen to a channel, what it can ask for, and why it refuses.

use thiserror::Error;

use super::early::{Early, EarlyError};
use crate::codec::Bytes;
use crate::crypto::seal::BoxKey;

/// Everything that can happen to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer's next frame, in stream order.
    Frame(Vec<u8>),
    /// A message for the peer.
    Send(Bytes),
    /// The time that `wake_at` gave has come.
    Wake,
    /// It is not needed any more.
    Close,
}

/// Which way keys were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What this node sends.
    Sending,
    /// What it receives.
    Receiving,
}

/// Everything that a channel can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Give this frame to the peer, after all before it.
    Send(Vec<u8>),
    /// Requests from a member's first message; answers may be sent at once.
    Early {
        /// The member's key, which is the one its certificate binds.
        remote: BoxKey,
        /// What the peer said with its handshake.
        greeting: Bytes,
        /// The requests, checked.
        requests: Vec<Early>,
    },
    /// Requests were dropped unread: their sender's key is not the one that its certificate binds.
    EarlyRefused {
        /// The sender's key.
        remote: BoxKey,
        /// How many there were.
        count: usize,
    },
    /// The peer holds this key and the channel's; whose key it is, its certificate must say.
    Opened {
        /// The peer's static key.
        remote: BoxKey,
        /// Whether they met without knowing one another's key.
        first_contact: bool,
        /// What the peer said with its handshake.
        greeting: Bytes,
    },
    /// A message of the peer's.
    Message(Bytes),
    /// A direction has its next key.
    RekeyDone {
        /// Which.
        direction: Direction,
        /// The key's number, counted from 0 at the handshake.
        epoch: u64,
    },
    /// Open another channel and close this one.
    RenewalDue,
    /// What was to be sent was not.
    Refused(ChannelError),
    /// It is over; nothing comes after this.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// Why a channel is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// The handshake took too long.
    #[error("the handshake took longer than 10 s")]
    TimedOut,
    /// A handshake message that cannot be read: of another fleet, node or key, or changed.
    #[error("the handshake failed; the peer is of another fleet or has another key or id")]
    Handshake,
    /// The peer could not read ours.
    #[error("the peer refused the handshake; meet it as at a first contact")]
    Refused,
    /// This first message came before.
    #[error("the first message came a second time")]
    Replayed,
    /// Too many frames in a row do not open.
    #[error("frames were lost or changed; open the channel anew")]
    Unreadable,
    /// This side asked for it.
    #[error("closed by this node")]
    Asked,
}

/// Why something was not sent or not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChannelError {
    /// Not yet, or not any more.
    #[error("channel: it is not open")]
    NotOpen,
    /// Nothing to send.
    #[error("channel: an empty message")]
    Empty,
    /// More than a frame may carry.
    #[error("channel: a message of {length} bytes, at most {max} are allowed")]
    TooLong {
        /// Bytes found.
        length: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The greeting is too long.
    #[error("channel: a greeting of {length} bytes, at most 1024 are allowed")]
    Greeting {
        /// Bytes found.
        length: usize,
    },
    /// What may not be sent early.
    #[error(transparent)]
    Early(#[from] EarlyError),
    /// The peer's key is one for which everybody knows the shared secret.
    #[error("channel: the peer's key is no usable X25519 key")]
    WeakKey,
    /// A frame that does not open: changed, replayed, or after a lost one.
    #[error("channel: a frame does not open")]
    Rejected,
}
