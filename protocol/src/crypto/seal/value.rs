//! A secret value: encrypted once, its key handed to each node that may read it.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{BoxKey, BoxSecret, Purpose, SealContext, SealError, open, seal};
use crate::codec::Bytes;
use crate::crypto::channel::noise::{self, TAG_BYTES};
use crate::ident::{FleetId, Hash, NodeId};
use crate::prng::Prng;

/// The key of one sealed value; wiped when dropped, never shown.
pub struct DataKey(pub(super) Zeroizing<[u8; 32]>);

impl fmt::Debug for DataKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("DataKey(hidden)")
    }
}

impl DataKey {
    /// What names it without saying anything about it. AES-GCM alone could be opened with two keys to two
    /// values; this binds it to one.
    #[must_use]
    pub fn commitment(&self) -> Hash {
        Hash(blake3::derive_key(
            "regatta v1 data key commitment",
            self.0.as_ref(),
        ))
    }

    /// Seals this key to one node: for this revision, and to this node alone.
    ///
    /// # Errors
    /// When the node's key is a weak one.
    pub fn wrap_for(
        &self,
        to: &BoxKey,
        place: &WrapPlace<'_>,
        prng: &mut Prng,
    ) -> Result<Wrap, SealError> {
        let detail = place.detail();
        let sealed = seal(to, &place.context(&detail), self.0.as_ref(), prng)?;
        Ok(Wrap(Bytes::from(sealed)))
    }
}

/// Where a wrap belongs.
#[derive(Clone, Copy, Debug)]
pub struct WrapPlace<'a> {
    /// The fleet.
    pub fleet: &'a FleetId,
    /// The revision whose value the key opens.
    pub revision: &'a Hash,
    /// The node that may open it.
    pub node: &'a NodeId,
}

impl WrapPlace<'_> {
    fn detail(&self) -> [u8; 48] {
        let mut detail = [0; 48];
        detail[..32].copy_from_slice(&self.revision.0);
        detail[32..].copy_from_slice(&self.node.0);
        detail
    }

    fn context<'a>(&'a self, detail: &'a [u8]) -> SealContext<'a> {
        SealContext {
            fleet: self.fleet,
            purpose: Purpose::DataKey,
            detail,
        }
    }
}

/// A data key sealed to one node, bound to a revision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wrap(Bytes);

impl Wrap {
    /// The data key, for the node that it was wrapped for.
    ///
    /// # Errors
    /// When it was wrapped for another node, revision, fleet or key, or changed.
    pub fn unwrap_key(
        &self,
        secret: &BoxSecret,
        place: &WrapPlace<'_>,
    ) -> Result<DataKey, SealError> {
        let detail = place.detail();
        let plain = open(secret, &place.context(&detail), &self.0, 32)?;
        let key: &[u8; 32] = plain
            .as_slice()
            .try_into()
            .map_err(|_| SealError::Refused)?;
        Ok(DataKey(Zeroizing::new(*key)))
    }
}

/// A value under a key of its own: the same bytes for all who may read it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SealedValue {
    pub(super) commitment: Hash,
    pub(super) ciphertext: Bytes,
}

impl SealedValue {
    /// Encrypts `value` under a new key; `detail` says which document's which field it is.
    #[must_use]
    pub fn seal(fleet: &FleetId, detail: &[u8], value: &[u8], prng: &mut Prng) -> (Self, DataKey) {
        let key = DataKey(Zeroizing::new(prng.bytes()));
        let mut ciphertext = vec![0; value.len() + TAG_BYTES];
        // A key seals one value, so the nonce may be zero.
        noise::cipher(&key.0).encrypt(0, &authenticated(fleet, detail), value, &mut ciphertext);
        let sealed = Self {
            commitment: key.commitment(),
            ciphertext: Bytes::from(ciphertext),
        };
        (sealed, key)
    }

    /// The value; at most `max` bytes of it.
    ///
    /// # Errors
    /// When it is too large, changed, of another place, or the key is another's.
    pub fn open(
        &self,
        fleet: &FleetId,
        detail: &[u8],
        key: &DataKey,
        max: usize,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let length = self.ciphertext.len();
        let length_max = max.saturating_add(TAG_BYTES);
        if length > length_max {
            return Err(SealError::TooLarge {
                length,
                max: length_max,
            });
        }
        if length < TAG_BYTES || key.commitment() != self.commitment {
            return Err(SealError::Refused);
        }
        let mut value = Zeroizing::new(vec![0; length - TAG_BYTES]);
        noise::cipher(&key.0)
            .decrypt(
                0,
                &authenticated(fleet, detail),
                &self.ciphertext,
                &mut value,
            )
            .map_err(|_| SealError::Refused)?;
        Ok(value)
    }

    /// Which key opens it, without saying anything about the key.
    #[must_use]
    pub fn commitment(&self) -> Hash {
        self.commitment
    }
}

fn authenticated(fleet: &FleetId, detail: &[u8]) -> Vec<u8> {
    let purpose = Purpose::Value;
    SealContext {
        fleet,
        purpose,
        detail,
    }
    .preimage()
}
