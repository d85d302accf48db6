//! All that can happen to a reader, and all that it can ask for.

use std::collections::BTreeSet;

use crate::crypto::sign::PublicKey;
use crate::ident::NodeId;
use crate::ledger::cursor::check::Kept;
use crate::ledger::cursor::state::{Cause, StreamState};
use crate::ledger::entry::LedgerId;
use crate::ledger::spool::message::{Misbehaviour, PullMessage};
use crate::ledger::spool::position::Span;

/// Everything that can happen to a reader.
#[derive(Debug)]
pub enum CursorEvent {
    /// The driver: this stream may be read and stored; again when one of these changes.
    Open {
        /// The ledger.
        ledger: LedgerId,
        /// The device's keys, the newest first: an old backlog may be signed by an old key.
        keys: Vec<PublicKey>,
        /// Whether this manager pulls from the device; else it only takes copies.
        pulls: bool,
    },
    /// The driver: stop reading this stream; its state is kept.
    Close {
        /// The ledger.
        ledger: LedgerId,
    },
    /// The trust fold: the managers that may hold pulled ledgers, reachable or not.
    Holders(BTreeSet<NodeId>),
    /// The network: this device or manager can be spoken to.
    Reached {
        /// The peer.
        peer: NodeId,
    },
    /// The network: this peer is gone.
    Lost {
        /// The peer.
        peer: NodeId,
    },
    /// The network: a peer said something.
    Received {
        /// The peer.
        from: NodeId,
        /// What it said.
        message: Box<PullMessage>,
    },
    /// The store, to `Store`: it is durable.
    Stored {
        /// The ledger.
        ledger: LedgerId,
        /// As in the effect.
        token: u64,
    },
    /// The timer.
    Wake,
}

/// Everything that a reader can ask for, to be performed in order.
#[derive(Debug)]
pub enum CursorEffect {
    /// Store the items and the state in one durable write; answer with `Stored`.
    Store {
        /// The ledger.
        ledger: LedgerId,
        /// The generation in which these numbers stand: a part of their name in the store.
        generation: u32,
        /// To be given back.
        token: u64,
        /// What to store, under its numbers.
        items: Vec<Kept>,
        /// The new state of the stream.
        state: Box<StreamState>,
    },
    /// Put the stored items of these numbers into the message, as many as fit, and send it.
    Serve {
        /// To whom; where that is this manager, give it back as received from itself.
        to: NodeId,
        /// A copy without items.
        message: Box<PullMessage>,
        /// The generation.
        generation: u32,
        /// The numbers; the items may take [`crate::limits::TELEMETRY_BATCH_BYTES_MAX`] in sum,
        /// each at its [`crate::ledger::spool::message::Item::cost`].
        span: Span,
    },
    /// Send this.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Box<PullMessage>,
    },
    /// Tell people: the device lost what it had written; what was read of it is kept.
    Generation {
        /// The ledger.
        ledger: LedgerId,
        /// The new generation.
        generation: u32,
        /// Why.
        cause: Cause,
    },
    /// Tell people: the device says that other managers hold these numbers, and none of those
    /// that can be reached does.
    MissingElsewhere {
        /// The ledger.
        ledger: LedgerId,
        /// The first of these ranges.
        first: Span,
        /// How many numbers in all.
        numbers: u64,
    },
    /// Tell people: too many ranges are missing elsewhere; the stream is not read further.
    Saturated {
        /// The ledger.
        ledger: LedgerId,
    },
    /// A peer did what no honest one does; nothing of it was taken.
    Misbehaved {
        /// The peer.
        peer: NodeId,
        /// What.
        reason: Misbehaviour,
    },
}
