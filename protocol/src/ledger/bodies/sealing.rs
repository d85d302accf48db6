//! Who seals and opens the parts of bodies: X25519, or what a simulator puts in its place.
//!
//! A sealed part costs a hundred times what any other event does; a simulator that has to play
//! millions of events seals with something that costs nothing, as it does with signatures.

use std::fmt;

use crate::codec::Bytes;
use crate::crypto::seal::{BoxKey, BoxSecret, SealError};
use crate::ledger::bodies::message::Binding;
use crate::prng::Prng;

/// Seals a part to a requester.
pub trait SealPart: fmt::Debug + Send + Sync {
    /// Seals so that only the holder of `to` opens it, and only as this part of this answer.
    ///
    /// # Errors
    /// When the requester's key is a weak one.
    fn seal(
        &self,
        to: &BoxKey,
        binding: &Binding<'_>,
        plain: &[u8],
        prng: &mut Prng,
    ) -> Result<Bytes, SealError>;
}

/// Opens a part that came: the requester's half of a key.
pub trait OpenPart: fmt::Debug + Send + Sync {
    /// Opens what was sealed to this key, for this part of this answer.
    ///
    /// # Errors
    /// When it was sealed to somebody else or for something else, or changed on its way.
    fn open(&self, binding: &Binding<'_>, sealed: &[u8]) -> Result<Bytes, SealError>;
}

/// What ships: Noise to an X25519 key.
#[derive(Clone, Copy, Debug)]
pub struct Noise;

impl SealPart for Noise {
    fn seal(
        &self,
        to: &BoxKey,
        binding: &Binding<'_>,
        plain: &[u8],
        prng: &mut Prng,
    ) -> Result<Bytes, SealError> {
        binding.seal(to, plain, prng)
    }
}

impl OpenPart for BoxSecret {
    fn open(&self, binding: &Binding<'_>, sealed: &[u8]) -> Result<Bytes, SealError> {
        binding.open(self, sealed)
    }
}
