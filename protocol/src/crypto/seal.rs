//! Sealing a value for a set of devices, and opening it.
//!
//! [`seal`] and [`open`] carry bytes to one key (Noise N: the sender stays unnamed, so what it says
//! is signed elsewhere). [`SealedValue`] is sealed once under a random [`DataKey`]; a [`Wrap`] hands
//! that key to one node. Wraps are a set that only grows: to enrol a device never makes a revision.

mod value;

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

pub use self::value::{DataKey, SealedValue, Wrap, WrapPlace};
use crate::crypto::channel::noise::{self, MESSAGE_BYTES_MAX, Pattern, Setup, TAG_BYTES};
use crate::ident::{FleetId, Hash};
use crate::prng::Prng;

/// What is sealed: opened as another kind, in another fleet or with other details, it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A body on its way to the one who asked for it.
    Body,
    /// A secret value in a document.
    Value,
    /// The data key of a secret value.
    DataKey,
    /// What a joiner and a manager tell one another before there is a certificate.
    Join,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Body => b"regatta/v1/seal/body",
            Self::Value => b"regatta/v1/seal/value",
            Self::DataKey => b"regatta/v1/seal/data-key",
            Self::Join => b"regatta/v1/seal/join",
        }
    }
}

/// Where a sealed thing belongs; both ends must say the same.
#[derive(Clone, Copy, Debug)]
pub struct SealContext<'a> {
    /// Of this fleet.
    pub fleet: &'a FleetId,
    /// For this purpose.
    pub purpose: Purpose,
    /// And for this alone: a hash, an id, both; of a length that the purpose fixes.
    pub detail: &'a [u8],
}

impl SealContext<'_> {
    fn preimage(&self) -> Vec<u8> {
        let label = self.purpose.label();
        let mut bytes = Vec::with_capacity(1 + label.len() + 32 + self.detail.len());
        bytes.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(label);
        bytes.extend_from_slice(&self.fleet.0);
        bytes.extend_from_slice(self.detail);
        bytes
    }
}

/// An X25519 public key: to seal to, and a node's static key in its channels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BoxKey(pub Hash);

impl fmt::Debug for BoxKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BoxKey({:?})", self.0)
    }
}

/// An X25519 secret key; wiped when dropped, never shown.
pub struct BoxSecret {
    secret: Zeroizing<[u8; 32]>,
    public: BoxKey,
}

impl BoxSecret {
    /// A new key.
    #[must_use]
    pub fn generate(prng: &mut Prng) -> Self {
        Self::from_bytes(&Zeroizing::new(prng.bytes::<32>()))
    }

    /// From its 32 bytes, as a key file holds them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self {
            secret: Zeroizing::new(*bytes),
            public: BoxKey(Hash(noise::public_key(bytes))),
        }
    }

    /// Its 32 bytes, for the key file.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.secret.clone()
    }

    /// The key that others seal to.
    #[must_use]
    pub fn public(&self) -> BoxKey {
        self.public
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl fmt::Debug for BoxSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BoxSecret(of {:?})", self.public)
    }
}

/// Why something was not sealed or not opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// The key is one for which everybody knows the shared secret.
    #[error("sealing: {key:?} is no usable X25519 key; ask its owner for another")]
    WeakKey {
        /// The key.
        key: BoxKey,
    },
    /// More than the reader allows.
    #[error("sealed value: {length} bytes, at most {max} are allowed")]
    TooLarge {
        /// Bytes found.
        length: usize,
        /// Bytes allowed, sealing included.
        max: usize,
    },
    /// Not sealed to this key in this context, or changed on the way.
    #[error("sealed value: it does not open; it was sealed to another key or context, or changed")]
    Refused,
}

/// The total length stands first in what is sealed, so that no message can be cut off the end.
const LENGTH_BYTES: usize = 8;
const FIRST_OVERHEAD: usize = 32 + LENGTH_BYTES + TAG_BYTES;
const FIRST_MAX: usize = MESSAGE_BYTES_MAX - FIRST_OVERHEAD;
const REST_MAX: usize = MESSAGE_BYTES_MAX - TAG_BYTES;

/// How long `length` bytes are when they are sealed.
#[must_use]
pub fn sealed_len(length: usize) -> usize {
    let messages = length.saturating_sub(FIRST_MAX).div_ceil(REST_MAX);
    length
        .saturating_add(FIRST_OVERHEAD)
        .saturating_add(messages.saturating_mul(TAG_BYTES))
}

/// Seals `plaintext` so that only the holder of `to` opens it, in this context alone.
///
/// # Errors
/// When the key is a weak one.
///
/// # Panics
/// When snow refuses what its documentation allows.
pub fn seal(
    to: &BoxKey,
    context: &SealContext<'_>,
    plaintext: &[u8],
    prng: &mut Prng,
) -> Result<Vec<u8>, SealError> {
    let weak = |_| SealError::WeakKey { key: *to };
    let setup = Setup {
        pattern: Pattern::N,
        prologue: &context.preimage(),
        secret: None,
        remote: Some(&to.0.0),
    };
    let mut handshake = setup.initiator(prng).map_err(weak)?;
    let (first, rest) = plaintext.split_at(plaintext.len().min(FIRST_MAX));
    let mut head = Zeroizing::new(Vec::with_capacity(LENGTH_BYTES + first.len()));
    head.extend_from_slice(&(plaintext.len() as u64).to_le_bytes());
    head.extend_from_slice(first);

    let mut sealed = vec![0; sealed_len(plaintext.len())];
    let mut filled = handshake.write_message(&head, &mut sealed).map_err(weak)?;
    let mut transport = handshake.into_transport_mode().map_err(weak)?;
    for chunk in rest.chunks(REST_MAX) {
        let written = transport.write_message(chunk, &mut sealed[filled..]);
        filled += written.expect("a chunk fits into a Noise message");
    }
    assert!(filled == sealed.len(), "sealed_len counts what seal writes");
    Ok(sealed)
}

/// Opens what was sealed to `secret` in this context; at most `max` bytes of it.
///
/// # Errors
/// When it is too large, cut, changed, or was sealed to another key or context.
pub fn open(
    secret: &BoxSecret,
    context: &SealContext<'_>,
    sealed: &[u8],
    max: usize,
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let length_max = sealed_len(max);
    if sealed.len() > length_max {
        return Err(SealError::TooLarge {
            length: sealed.len(),
            max: length_max,
        });
    }
    let setup = Setup {
        pattern: Pattern::N,
        prologue: &context.preimage(),
        secret: Some(secret.expose()),
        remote: None,
    };
    // The opening side of N draws nothing.
    let handshake = setup.responder(&mut Prng::from_number(0));
    let mut handshake = handshake.map_err(|_| SealError::Refused)?;
    let (first, rest) = sealed.split_at(sealed.len().min(MESSAGE_BYTES_MAX));
    let mut plain = Zeroizing::new(vec![0; sealed.len()]);
    let mut filled = handshake
        .read_message(first, &mut plain)
        .map_err(|_| SealError::Refused)?;
    let mut transport = handshake
        .into_transport_mode()
        .map_err(|_| SealError::Refused)?;
    for message in rest.chunks(MESSAGE_BYTES_MAX) {
        filled += transport
            .read_message(message, &mut plain[filled..])
            .map_err(|_| SealError::Refused)?;
    }
    let stated = plain.first_chunk::<LENGTH_BYTES>().copied();
    let stated = u64::from_le_bytes(stated.ok_or(SealError::Refused)?);
    if filled < LENGTH_BYTES || stated != (filled - LENGTH_BYTES) as u64 {
        return Err(SealError::Refused);
    }
    plain.truncate(filled);
    plain.drain(..LENGTH_BYTES);
    Ok(plain)
}

#[cfg(test)]
mod tests;
