//! What a device says about its own pulled ledgers, under its signature: gaps, and where it stands.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, Bytes, Wire};
use crate::crypto::sign::{Context, PublicKey, Sign, Signature, Verify};
use crate::ident::{FleetId, Hash};
use crate::ledger::entry::LedgerId;
use crate::ledger::spool::position::{Extent, Life, Position, Span};

/// Why numbers were dropped before anybody held them. Append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Error)]
pub enum GapReason {
    /// The device had no room left.
    #[error("no space left on the device")]
    SpaceShort,
    /// What the device had stored could not be read back.
    #[error("unreadable on the device")]
    Corrupt,
}

/// Numbers that exist and that nobody will ever read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The ledger.
    pub ledger: LedgerId,
    /// The first number dropped.
    pub from: u64,
    /// The hash of the entry before it, so that the gap links on.
    pub previous: Hash,
    /// The last entry dropped, so that the next one can be checked to link on.
    pub last: Position,
    /// Why.
    pub reason: GapReason,
}

impl Gap {
    /// The numbers dropped.
    #[must_use]
    pub fn span(&self) -> Span {
        Span {
            from: self.from,
            to: self.last.number,
        }
    }
}

/// Where a device stands when it cannot serve what follows a reader's cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The ledger.
    pub ledger: LedgerId,
    /// The cursor that it answers.
    pub asked: Position,
    /// The ledger's life: the word of a later one overrules that of an earlier one.
    pub life: Life,
    /// Released up to the floor, written up to the head.
    pub extent: Extent,
}

/// All that a device signs in [`Context::Spool`], so that no two of them can be confused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// Numbers were dropped.
    Gap(Gap),
    /// A cursor cannot be served.
    Standing(Standing),
}

impl Wire for Word {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 8 * 1024;
    const WHAT: &'static str = "spool statement";
}

/// A word as it travels: the bytes as they were signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The encoded [`Word`]; never re-encoded.
    pub bytes: Bytes,
    /// The device's signature over it.
    pub signature: Signature,
}

impl Statement {
    /// Signs a word.
    #[must_use]
    pub fn write(word: &Word, fleet: &FleetId, signer: &dyn Sign) -> Self {
        let bytes = Bytes::from(codec::encode(word));
        let signature = signer.sign(Context::Spool, fleet, &bytes);
        Self { bytes, signature }
    }

    /// The word, where one of the device's keys signed it for this fleet and its form is sound.
    #[must_use]
    pub fn open(&self, fleet: &FleetId, keys: &[PublicKey], verify: &dyn Verify) -> Option<Word> {
        let signed = keys
            .iter()
            .any(|key| verify.verify(key, Context::Spool, fleet, &self.bytes, &self.signature));
        let word = signed.then(|| codec::decode::<Word>(&self.bytes).ok())??;
        let sound = match &word {
            Word::Gap(gap) => {
                (1..=gap.last.number).contains(&gap.from) && gap.last.number < u64::MAX / 2
            }
            Word::Standing(standing) => standing.extent.is_sound(),
        };
        sound.then_some(word)
    }
}
