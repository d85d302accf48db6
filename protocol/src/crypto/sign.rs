//! Signatures with a context for each kind and the fleet id in each.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ident::{FleetId, Hash};
use crate::prng::Prng;

/// What a signature is for: one made for one kind of thing says nothing about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// An entry's header.
    Entry,
    /// A root document; the fleet id is that of its chain, zero for the first.
    Root,
    /// Something the root says: a manager's certificate, an order.
    Statement,
    /// A certificate that a manager signs.
    Certificate,
    /// What an operator wants done.
    Intent,
    /// A manager's word on the time.
    Time,
    /// A node's presence.
    Presence,
    /// The use of an invite, by its one-time key.
    Invite,
    /// A request for a body.
    BodyRequest,
    /// A device's word on its own pulled ledgers.
    Spool,
    /// Where a node says that it can be reached.
    Contact,
}

impl Context {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Entry => b"regatta/v1/entry",
            Self::Root => b"regatta/v1/root",
            Self::Statement => b"regatta/v1/statement",
            Self::Certificate => b"regatta/v1/certificate",
            Self::Intent => b"regatta/v1/intent",
            Self::Time => b"regatta/v1/time",
            Self::Presence => b"regatta/v1/presence",
            Self::Invite => b"regatta/v1/invite",
            Self::BodyRequest => b"regatta/v1/body-request",
            Self::Spool => b"regatta/v1/spool",
            Self::Contact => b"regatta/v1/contact",
        }
    }

    /// What is signed: label, its length, fleet and message, so that no two contexts collide.
    #[must_use]
    pub fn preimage(self, fleet: &FleetId, message: &[u8]) -> Vec<u8> {
        let label = self.label();
        let mut bytes = Vec::with_capacity(1 + label.len() + 32 + message.len());
        bytes.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(label);
        bytes.extend_from_slice(&fleet.0);
        bytes.extend_from_slice(message);
        bytes
    }
}

/// An Ed25519 public key, as bytes; it is checked where it is used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublicKey(pub Hash);

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PublicKey({:?})", self.0)
    }
}

/// A signature, as two halves so that it reads and writes as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signature(pub Hash, pub Hash);

impl Signature {
    /// From its 64 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let (mut first, mut second) = ([0; 32], [0; 32]);
        first.copy_from_slice(&bytes[..32]);
        second.copy_from_slice(&bytes[32..]);
        Self(Hash(first), Hash(second))
    }

    /// Its 64 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.0.0);
        bytes[32..].copy_from_slice(&self.1.0);
        bytes
    }
}

/// How signatures are checked. The fleet has one way, [`Ed25519`]; the simulator brings a cheap one.
pub trait Verify: fmt::Debug + Send + Sync {
    /// Whether `signature` is `key`'s over `message` in this context and fleet.
    fn verify(
        &self,
        key: &PublicKey,
        context: Context,
        fleet: &FleetId,
        message: &[u8],
        signature: &Signature,
    ) -> bool;
}

/// Someone who can sign.
pub trait Sign: fmt::Debug + Send + Sync {
    /// The key that checks what is signed here.
    fn public(&self) -> PublicKey;

    /// A signature over `message` in this context and fleet.
    fn sign(&self, context: Context, fleet: &FleetId, message: &[u8]) -> Signature;
}

/// Real signatures, checked strictly: no weak keys, no malleable signatures.
#[derive(Clone, Copy, Debug)]
pub struct Ed25519;

impl Verify for Ed25519 {
    fn verify(
        &self,
        key: &PublicKey,
        context: Context,
        fleet: &FleetId,
        message: &[u8],
        signature: &Signature,
    ) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&key.0.0) else {
            return false;
        };
        let signature = ed25519_dalek::Signature::from_bytes(&signature.to_bytes());
        key.verify_strict(&context.preimage(fleet, message), &signature)
            .is_ok()
    }
}

/// An Ed25519 secret key; wiped when dropped, never shown.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A new key.
    #[must_use]
    pub fn generate(prng: &mut Prng) -> Self {
        let seed = Zeroizing::new(prng.bytes::<32>());
        Self(SigningKey::from_bytes(&seed))
    }

    /// From its 32 bytes, as a key file holds them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// Its 32 bytes, for the key file.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SecretKey(of {:?})", self.public())
    }
}

impl Sign for SecretKey {
    fn public(&self) -> PublicKey {
        PublicKey(Hash(self.0.verifying_key().to_bytes()))
    }

    fn sign(&self, context: Context, fleet: &FleetId, message: &[u8]) -> Signature {
        Signature::from_bytes(&self.0.sign(&context.preimage(fleet, message)).to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{Context, Ed25519, SecretKey, Sign, Verify};
    use crate::ident::FleetId;
    use crate::prng::Prng;

    #[test]
    fn a_signature_counts_in_its_context_and_fleet_alone() {
        let key = SecretKey::generate(&mut Prng::from_number(1));
        let (ours, theirs) = (FleetId([1; 32]), FleetId([2; 32]));
        let signature = key.sign(Context::Entry, &ours, b"hoist");
        let public = key.public();
        assert!(Ed25519.verify(&public, Context::Entry, &ours, b"hoist", &signature));
        assert!(!Ed25519.verify(&public, Context::Intent, &ours, b"hoist", &signature));
        assert!(!Ed25519.verify(&public, Context::Entry, &theirs, b"hoist", &signature));
        assert!(!Ed25519.verify(&public, Context::Entry, &ours, b"lower", &signature));
    }

    #[test]
    fn a_key_of_small_order_is_refused() {
        use super::{PublicKey, Signature};
        use crate::ident::Hash;
        let weak = PublicKey(Hash::ZERO);
        let forged = Signature(Hash::ZERO, Hash::ZERO);
        assert!(!Ed25519.verify(&weak, Context::Entry, &FleetId::ZERO, b"", &forged));
    }
}
