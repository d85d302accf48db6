//! All that can happen to a spool, and all that it can ask for.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clock::Stamp;
use crate::codec::Bytes;
use crate::crypto::sign::Sign;
use crate::ident::{Hash, NodeId, Serial};
use crate::ledger::entry::{Entry, EntryError, EntryKind};
use crate::ledger::spool::message::{Misbehaviour, PullMessage};
use crate::ledger::spool::position::{Position, Span};
use crate::ledger::spool::state::SpoolState;
use crate::ledger::spool::statement::{GapReason, Statement};

/// What is to be appended.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it says.
    pub kind: EntryKind,
    /// When, by the device's hybrid clock.
    pub stamp: Stamp,
    /// In the words of its kind.
    pub payload: Bytes,
    /// A chunk that is carried along.
    pub body: Option<Bytes>,
}

/// How far a spool may go to make room. The driver asks all spools at one level before the next,
/// so what only one manager holds goes before samples, and samples before the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Let go of what at least one manager holds.
    Release,
    /// Then drop the oldest, unless this is `report`.
    Drop,
    /// Then drop the oldest, even of `report`.
    DropReport,
}

/// One stored entry, as the driver finds it when it restores.
#[derive(Clone, Copy, Debug)]
pub struct Indexed {
    /// Its name.
    pub position: Position,
    /// The hash before it.
    pub previous: Hash,
    /// [`crate::ledger::spool::message::Item::cost`] of it.
    pub bytes: u32,
}

/// A part of a batch that the driver is to put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// These entries, from the store.
    Entries(Span),
    /// This statement.
    Gap(Statement),
}

/// Everything that can happen to a spool.
#[derive(Debug)]
pub enum SpoolEvent {
    /// The device: write this.
    Append(Box<Draft>),
    /// The network: a manager said something.
    Received {
        /// The manager.
        from: NodeId,
        /// What it said.
        message: Box<PullMessage>,
    },
    /// The trust fold: these managers exist and may hold pulled ledgers, reachable or not. Until the
    /// first of these, every manager is a stranger.
    Holders(BTreeSet<NodeId>),
    /// The store: so many bytes have to go. Answered by `Freed`.
    SpaceShort {
        /// How many.
        bytes: u64,
        /// How far to go.
        pressure: Pressure,
    },
    /// The store, to `Look`: the hash of that entry.
    Looked {
        /// The entry.
        number: u64,
        /// Its hash.
        hash: Hash,
    },
    /// The store: these entries cannot be read back.
    Corrupt {
        /// Which.
        span: Span,
        /// The hash of the entry before them.
        previous: Hash,
        /// The hash of the last of them: what the next entry names as previous, or the head's.
        last: Hash,
    },
    /// The driver: the batch for this manager was sent, or could not be.
    Served {
        /// The manager.
        to: NodeId,
    },
    /// The network: this manager is gone.
    Lost {
        /// The manager.
        peer: NodeId,
    },
    /// The device got another certificate or key; entries from now on name it.
    Renewed {
        /// The certificate.
        serial: Serial,
        /// The key.
        signer: Arc<dyn Sign>,
    },
}

/// Everything that a spool can ask for, to be performed in order.
#[derive(Debug)]
pub enum SpoolEffect {
    /// Store the entry, and the state where there is one, in one durable write.
    Append {
        /// The entry.
        entry: Box<Entry>,
        /// The state, where this entry opens an incarnation.
        state: Option<Box<SpoolState>>,
    },
    /// Store the state and remove these entries, in one durable write.
    Keep {
        /// The state.
        state: Box<SpoolState>,
        /// Entries that may go.
        removed: Vec<Span>,
    },
    /// Read the hash of this entry; answer with `Looked`, or with `Corrupt`.
    Look {
        /// The entry.
        number: u64,
    },
    /// Put these parts into the message and send it; answer with `Served`.
    Serve {
        /// To whom.
        to: NodeId,
        /// A batch without items.
        message: Box<PullMessage>,
        /// Its items; together at most [`crate::limits::TELEMETRY_BATCH_BYTES_MAX`].
        parts: Vec<Part>,
    },
    /// Send this.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Box<PullMessage>,
    },
    /// The answer to `SpaceShort`: so much went, perhaps less than was asked.
    Freed {
        /// Bytes.
        bytes: u64,
    },
    /// Tell people: these numbers were dropped and are listed as a gap.
    Dropped {
        /// Which; it may repeat and extend one told earlier.
        span: Span,
        /// Why.
        reason: GapReason,
    },
    /// Tell people: a manager knows this ledger beyond what is on this disk; it was wiped,
    /// restored from an image, or is cloned.
    KnownFurther {
        /// The manager.
        by: NodeId,
        /// How far.
        cursor: Position,
    },
    /// The draft is no entry; nothing was written.
    Refused(EntryError),
    /// A peer did what no honest one does; nothing of it was taken.
    Misbehaved {
        /// The peer.
        peer: NodeId,
        /// What.
        reason: Misbehaviour,
    },
}
