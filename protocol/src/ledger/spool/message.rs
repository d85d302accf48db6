//! What managers and devices say to each other about pulled ledgers.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, Wire};
use crate::ident::NodeId;
use crate::ledger::entry::{LedgerId, Parcel};
use crate::ledger::spool::position::{Life, Position};
use crate::ledger::spool::statement::Statement;
use crate::limits::{PULL_MESSAGE_BYTES_MAX, TELEMETRY_BATCH_BYTES_MAX};

/// One thing in the order of a pulled ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// An entry with its body.
    Entry(Parcel),
    /// A signed [`crate::ledger::spool::statement::Gap`] in the place of entries that are no more.
    Gap(Statement),
}

impl Wire for Item {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = TELEMETRY_BATCH_BYTES_MAX;
    const WHAT: &'static str = "item of a pulled ledger";
}

/// What an entry or a statement adds to a batch beside its own bytes.
const ITEM_OVERHEAD_BYTES: usize = 16;

impl Item {
    /// What it takes of a batch.
    #[must_use]
    pub fn cost(&self) -> usize {
        let bytes = match self {
            Self::Entry(parcel) => codec::encoded_len(parcel),
            Self::Gap(statement) => statement.bytes.len() + 64,
        };
        bytes + ITEM_OVERHEAD_BYTES
    }
}

/// Everything that is said about pulled ledgers, between whom and when. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullMessage {
    /// Reader to device: what follows this cursor? It also says that the reader, and those it
    /// names, hold everything up to there.
    Pull {
        /// The ledger.
        ledger: LedgerId,
        /// The life in which that is.
        life: Life,
        /// The last position stored.
        cursor: Position,
        /// Other managers that hold as much.
        holders: Vec<NodeId>,
    },
    /// Device to reader: what follows, as much as fits; nothing where the cursor is the head.
    Batch {
        /// The ledger.
        ledger: LedgerId,
        /// The cursor that it answers.
        after: Position,
        /// The device's head.
        head: Position,
        /// In the order of the ledger.
        items: Vec<Item>,
    },
    /// Device to reader: that cursor cannot be served, and this is where the ledger stands.
    Standing {
        /// The ledger.
        ledger: LedgerId,
        /// The signed [`crate::ledger::spool::statement::Standing`].
        statement: Statement,
    },
    /// Reader to device, once stored: these managers hold everything up to here.
    Acknowledge {
        /// The ledger.
        ledger: LedgerId,
        /// The life in which that is.
        life: Life,
        /// The last position held.
        head: Position,
        /// Managers beside the sender.
        holders: Vec<NodeId>,
    },
    /// Device to a reader that had read everything: there is more.
    News {
        /// The ledger.
        ledger: LedgerId,
        /// The new head.
        head: Position,
    },
    /// Manager to manager: I hold this much.
    Offer {
        /// The ledger.
        ledger: LedgerId,
        /// The sender's life of it.
        life: Life,
        /// The last position stored.
        head: Position,
        /// What the device signed when it last could not serve the sender: explains the life, and a
        /// jump.
        standing: Option<Statement>,
    },
    /// Manager to manager: send me these numbers, or what you have of them.
    Fetch {
        /// The ledger.
        ledger: LedgerId,
        /// The asker's life of it.
        life: Life,
        /// A position of the ledger that is meant, so that generations are not mixed; its hash is
        /// zero where the asker does not have it.
        anchor: Position,
        /// The first number wanted.
        from: u64,
        /// The last number wanted.
        to: u64,
    },
    /// Manager to manager: a part of the ledger, to be stored; nothing where nothing was held.
    Copy {
        /// The ledger.
        ledger: LedgerId,
        /// The sender's life of it.
        life: Life,
        /// The first number asked for or pushed.
        from: u64,
        /// In the order of the ledger.
        items: Vec<Item>,
    },
    /// Manager to manager, once stored: I hold everything up to here.
    Copied {
        /// The ledger.
        ledger: LedgerId,
        /// The sender's life of it.
        life: Life,
        /// The last position held.
        head: Position,
    },
    /// Reader to device: say under your signature where you stand, for another manager whose
    /// cursor this is. It acknowledges nothing.
    Inquire {
        /// The ledger.
        ledger: LedgerId,
        /// The other manager's life of it.
        life: Life,
        /// The other manager's last position.
        cursor: Position,
    },
}

impl Wire for PullMessage {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = PULL_MESSAGE_BYTES_MAX;
    const WHAT: &'static str = "pull message";
}

impl PullMessage {
    /// The ledger that it is about.
    #[must_use]
    pub fn ledger(&self) -> LedgerId {
        match self {
            Self::Pull { ledger, .. }
            | Self::Batch { ledger, .. }
            | Self::Standing { ledger, .. }
            | Self::Acknowledge { ledger, .. }
            | Self::News { ledger, .. }
            | Self::Offer { ledger, .. }
            | Self::Fetch { ledger, .. }
            | Self::Copy { ledger, .. }
            | Self::Copied { ledger, .. }
            | Self::Inquire { ledger, .. } => *ledger,
        }
    }

    /// The same with `items` in it; for drivers that complete a `Serve`.
    #[must_use]
    pub fn with_items(mut self, filled: Vec<Item>) -> Self {
        if let Self::Batch { items, .. } | Self::Copy { items, .. } = &mut self {
            *items = filled;
        }
        self
    }
}

/// What a peer did that no honest one does. Append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Error)]
pub enum Misbehaviour {
    /// An entry or a statement is malformed, or is about another ledger.
    #[error("sent an entry of another ledger or form")]
    Foreign,
    /// None of the device's keys made the signature.
    #[error("sent an entry or a statement that the device did not sign")]
    Forged,
    /// Numbers are missing in between.
    #[error("left out numbers without a gap")]
    Skipped,
    /// An entry or gap does not link on to the one before it.
    #[error("sent an entry that does not follow the one before it")]
    Unlinked,
    /// More bytes than a batch may have.
    #[error("sent more than a batch may hold")]
    Oversized,
    /// Numbers acknowledged that do not exist, or a life that no lost disk explains.
    #[error("claims numbers that were never issued")]
    Future,
    /// An acknowledgement of entries that this ledger never had.
    #[error("acknowledged an entry that this ledger never had")]
    Unknown,
    /// More holders named than an acknowledgement may.
    #[error("named too many holders")]
    Holders,
    /// Whoever it is, it is no manager that holds pulled ledgers.
    #[error("is no manager that may pull")]
    Stranger,
    /// A message that the sender's role never sends here.
    #[error("sent a message that is not its to send")]
    Role,
}
