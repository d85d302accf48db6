//! What replicas say to each other.

use serde::{Deserialize, Serialize};

use crate::clock::reference::AgedTime;
use crate::codec::{self, Wire};
use crate::ident::{Hash, NodeId};
use crate::ledger::chain::Head;
use crate::ledger::entry::{LedgerId, LedgerKind, Parcel};
use crate::limits::{ENTRIES_FRAME_BYTES_MAX, PARCEL_BYTES_MAX};

/// A set of ledgers that is compared by one hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Group {
    /// All trust ledgers: before any other.
    Trust,
    /// All fleet ledgers without a scope.
    Fleet,
    /// All managers ledgers.
    Managers,
    /// All fleet ledgers for one device.
    Scope(NodeId),
}

impl Group {
    /// The group that a ledger belongs to; none for a ledger that is pulled.
    #[must_use]
    pub fn of(ledger: &LedgerId) -> Option<Self> {
        match (ledger.kind, ledger.scope) {
            (LedgerKind::Trust, _) => Some(Self::Trust),
            (LedgerKind::Fleet, None) => Some(Self::Fleet),
            (LedgerKind::Fleet, Some(device)) => Some(Self::Scope(device)),
            (LedgerKind::Managers, _) => Some(Self::Managers),
            (LedgerKind::Report | LedgerKind::Telemetry(_), _) => None,
        }
    }
}

/// What a replica holds, in a few hashes. Below 1 KiB whatever the fleet's size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Over the heads of all trust ledgers.
    pub trust: Hash,
    /// Over the heads of all fleet ledgers without a scope.
    pub fleet: Hash,
    /// Between managers: over the heads of all managers ledgers.
    pub managers: Option<Hash>,
    /// Between managers: the root of the tree over all scopes.
    pub scopes: Option<Hash>,
    /// Of an agent: each scope that it holds.
    pub own_scopes: Vec<(NodeId, Hash)>,
    /// The latest signed times.
    pub times: Vec<AgedTime>,
    /// Whether the receiver should answer with its own.
    pub answer: bool,
}

/// The heads of one ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHeads {
    /// The ledger.
    pub ledger: LedgerId,
    /// The ends of its branches.
    pub heads: Vec<Head>,
}

/// Heads of a group, or of a part of it that begins and ends at a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsPage {
    /// The group.
    pub group: Group,
    /// Its ledgers, in order.
    pub ledgers: Vec<LedgerHeads>,
    /// Whether the receiver should answer with its own heads where it holds more.
    pub answer: bool,
}

/// One branch that somebody lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The ledger.
    pub ledger: LedgerId,
    /// The head that is wanted.
    pub wanted: Hash,
    /// Heads that are held already.
    pub have: Vec<Hash>,
}

/// What comes after one frame of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rest {
    /// Another frame, unasked.
    Follows,
    /// Nothing until it is asked for again.
    AskAgain,
    /// Nothing: all is here.
    Done,
}

/// What replicas say. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// First on every connection, then now and then: what the sender holds.
    Digest(Digest),
    /// After hashes that differ: the heads behind them.
    Heads(HeadsPage),
    /// After heads that are not held: what is wanted.
    Pull(Vec<Want>),
    /// To a pull: what was wanted, first things first.
    Entries {
        /// The head that was wanted.
        wanted: Hash,
        /// Entries up to it.
        parcels: Vec<Parcel>,
        /// What comes after this frame.
        rest: Rest,
    },
    /// In batches, to those who are not pushed to: new heads, and how far they came.
    Announce {
        /// Links from the author.
        hops: u8,
        /// New heads.
        heads: Vec<(LedgerId, Head)>,
    },
    /// To managers and to those who asked to be fed: new entries.
    Push {
        /// Links from the author.
        hops: u8,
        /// New entries.
        parcels: Vec<Parcel>,
    },
    /// To the one whom the sender names its feeder, or names no longer.
    Feed(bool),
    /// Between managers whose trees over scopes differ: the hash of each branch.
    Buckets(Vec<Hash>),
    /// Between managers, for a branch that differs: its scopes.
    Bucket {
        /// Which branch.
        bucket: u8,
        /// Its scopes with their hashes, in order.
        scopes: Vec<(NodeId, Hash)>,
        /// Whether the receiver should answer with its own.
        answer: bool,
    },
    /// From a manager to the one who pushed: these are stored.
    Stored(Vec<Hash>),
}

impl Wire for Message {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = ENTRIES_FRAME_BYTES_MAX;
    const WHAT: &'static str = "replica message";
}

/// Parcels in frames, each within its bound; one frame without any where there are none.
#[must_use]
pub fn frames(parcels: impl IntoIterator<Item = Parcel>) -> Vec<Vec<Parcel>> {
    let mut frames = Vec::new();
    let (mut frame, mut room) = (Vec::new(), PARCEL_BYTES_MAX);
    for parcel in parcels {
        let bytes = codec::encoded_len(&parcel);
        if bytes > room {
            frames.push(std::mem::take(&mut frame));
            room = PARCEL_BYTES_MAX;
        }
        room = room.saturating_sub(bytes);
        frame.push(parcel);
    }
    frames.push(frame);
    frames
}

#[cfg(test)]
mod tests {
    use super::{Digest, Message};
    use crate::clock::reference::{AgedTime, SignedTime, TimeClaim};
    use crate::codec;
    use crate::crypto::sign::Signature;
    use crate::ident::{Hash, NodeId, Serial};
    use crate::machine::Millis;

    #[test]
    fn a_digest_stays_below_a_kibibyte_with_times_and_scopes() {
        let claim = TimeClaim {
            by: NodeId([1; 16]),
            serial: Serial([2; 16]),
            at: Millis(1_800_000_000_000),
        };
        let time = SignedTime {
            claim,
            signature: Signature(Hash([3; 32]), Hash([4; 32])),
        };
        let digest = Digest {
            trust: Hash([1; 32]),
            fleet: Hash([2; 32]),
            managers: Some(Hash([3; 32])),
            scopes: Some(Hash([4; 32])),
            own_scopes: vec![(NodeId([5; 16]), Hash([6; 32])); 6],
            times: vec![AgedTime { time, age_ms: 7 }; 4],
            answer: true,
        };
        let length = codec::encode(&Message::Digest(digest)).len();
        assert!(length < 1024, "{length} bytes");
    }
}
