//! What the root says: made where its key is, off line, and carried into the fleet by any manager.

use serde::{Deserialize, Serialize};

use crate::codec::{self, Bytes, DecodeError, Wire};
use crate::ident::{Hash, Serial};
use crate::limits::BODY_CARRIED_BYTES_MAX;
use crate::trust::certificate::{KeySignature, SignedCertificate};
use crate::trust::root::SignedRoot;
use crate::trust::verdict::{Verdict, VerdictId};

/// An order of the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOrder {
    /// The number of the root document whose keys sign.
    pub root: u32,
    /// The verdict's bytes.
    pub bytes: Bytes,
    /// The root's signatures over them.
    pub signatures: Vec<KeySignature>,
}

impl SignedOrder {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> VerdictId {
        VerdictId(Serial(Hash::of(&self.bytes).half()))
    }

    /// What it says.
    ///
    /// # Errors
    /// When the bytes are no verdict.
    pub fn decode(&self) -> Result<Verdict, DecodeError> {
        codec::decode(&self.bytes)
    }
}

/// One thing that the root says. It counts by its own signatures, whoever carries it and whatever
/// becomes of the carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statement {
    /// Its keys change.
    Rotate(SignedRoot),
    /// A manager is a manager.
    Certify(SignedCertificate),
    /// Somebody is judged.
    Order(SignedOrder),
}

impl Wire for Statement {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = BODY_CARRIED_BYTES_MAX;
    const WHAT: &'static str = "root statement";
}
