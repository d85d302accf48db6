//! Signatures for simulations: real ones, or cheap ones that cost nanoseconds.
//!
//! A cheap signature is a keyed mix of what is signed. Whoever knows the public key could make it;
//! the simulator's forgers do not.

use std::fmt;
use std::sync::Arc;

use regatta_protocol::crypto::sign::{
    Context, Ed25519, PublicKey, SecretKey, Sign, Signature, Verify,
};
use regatta_protocol::ident::{FleetId, Hash};
use regatta_protocol::prng::Prng;

/// Which signatures a run uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Ed25519, as shipped.
    Real,
    /// A keyed mix.
    Cheap,
}

impl Scheme {
    /// Checks signatures of this scheme.
    #[must_use]
    pub fn verify(self) -> Arc<dyn Verify> {
        match self {
            Self::Real => Arc::new(Ed25519),
            Self::Cheap => Arc::new(Cheap),
        }
    }

    /// A new key.
    #[must_use]
    pub fn key(self, prng: &mut Prng) -> Arc<dyn Sign> {
        match self {
            Self::Real => Arc::new(SecretKey::generate(prng)),
            Self::Cheap => Arc::new(CheapKey(PublicKey(Hash(prng.bytes())))),
        }
    }
}

#[derive(Debug)]
struct Cheap;

struct CheapKey(PublicKey);

impl fmt::Debug for CheapKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "CheapKey({:?})", self.0)
    }
}

impl Verify for Cheap {
    fn verify(
        &self,
        key: &PublicKey,
        context: Context,
        fleet: &FleetId,
        message: &[u8],
        signature: &Signature,
    ) -> bool {
        mixed(key, context, fleet, message) == *signature
    }
}

impl Sign for CheapKey {
    fn public(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, context: Context, fleet: &FleetId, message: &[u8]) -> Signature {
        mixed(&self.0, context, fleet, message)
    }
}

fn mixed(key: &PublicKey, context: Context, fleet: &FleetId, message: &[u8]) -> Signature {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = ODD ^ context as u64;
    let mut add = |bytes: &[u8]| {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        for word in words.iter().chain((!rest.is_empty()).then_some(&last)) {
            state = (state ^ u64::from_le_bytes(*word))
                .wrapping_mul(ODD)
                .rotate_left(29);
        }
        state = (state ^ bytes.len() as u64).wrapping_mul(ODD);
    };
    add(&key.0.0);
    add(&fleet.0);
    add(message);
    let mut bytes = [0; 64];
    for (index, word) in bytes.chunks_exact_mut(8).enumerate() {
        let lane = (state ^ index as u64).wrapping_mul(ODD);
        word.copy_from_slice(&lane.to_le_bytes());
    }
    Signature::from_bytes(&bytes)
}
