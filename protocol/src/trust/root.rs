//! The fleet's root: documents that name its keys, each bound to the next by a commitment.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, Bytes, DecodeError, Name, Wire};
use crate::crypto::sign::{Context, PublicKey, Verify};
use crate::ident::{FleetId, Hash};
use crate::machine::Millis;
use crate::trust::certificate::KeySignature;

/// Keys that a root may have.
pub const ROOT_KEYS_MAX: usize = 16;
/// Rotations that are followed.
pub const ROOTS_MAX: usize = 64;

/// A set of keys of which `threshold` must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// The keys.
    pub keys: Vec<PublicKey>,
    /// How many of them must sign.
    pub threshold: u8,
}

impl Wire for KeySet {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 1024;
    const WHAT: &'static str = "key set";
}

impl KeySet {
    /// One key, which signs alone.
    #[must_use]
    pub fn single(key: PublicKey) -> Self {
        Self {
            keys: vec![key],
            threshold: 1,
        }
    }

    /// What a root document commits to when it names the set that will follow.
    #[must_use]
    pub fn commitment(&self) -> Hash {
        Hash::of(&codec::encode(self))
    }

    fn is_sound(&self) -> bool {
        let distinct: std::collections::BTreeSet<_> = self.keys.iter().collect();
        (1..=ROOT_KEYS_MAX).contains(&self.keys.len())
            && distinct.len() == self.keys.len()
            && (1..=self.keys.len()).contains(&usize::from(self.threshold))
    }

    /// Whether enough different keys of the set signed `message`.
    #[must_use]
    pub fn signed(
        &self,
        verify: &dyn Verify,
        context: Context,
        fleet: &FleetId,
        message: &[u8],
        signatures: &[KeySignature],
    ) -> bool {
        let mut good: Vec<u8> = signatures
            .iter()
            .take(2 * ROOT_KEYS_MAX)
            .filter(|signed| {
                self.keys.get(usize::from(signed.key)).is_some_and(|key| {
                    verify.verify(key, context, fleet, message, &signed.signature)
                })
            })
            .map(|signed| signed.key)
            .collect();
        good.sort_unstable();
        good.dedup();
        good.len() >= usize::from(self.threshold)
    }
}

/// Which keys are the root's, and which will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootDocument {
    /// 1, 2, 3, …
    pub number: u32,
    /// The hash of the document before; zero in the first.
    pub previous: Hash,
    /// The fleet's name, for people.
    pub name: Name,
    /// When it was made, by the clock of whoever made it.
    pub created: Millis,
    /// The keys that speak for the root from here on.
    pub keys: KeySet,
    /// What the keys of the next document will be: a thief of today's keys cannot choose them.
    pub next: Hash,
    /// Certificates and orders of earlier roots that still count, by the first half of their hash.
    pub keeps: Vec<[u8; 16]>,
}

impl Wire for RootDocument {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 16 * 1024;
    const WHAT: &'static str = "root document";
}

/// A root document as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRoot {
    /// The document's bytes.
    pub bytes: Bytes,
    /// Signatures of the document's own keys.
    pub own: Vec<KeySignature>,
    /// Signatures of the keys before; none in the first.
    pub before: Vec<KeySignature>,
}

impl Wire for SignedRoot {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 24 * 1024;
    const WHAT: &'static str = "signed root document";
}

/// Why a root document is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RootError {
    /// It does not decode.
    #[error(transparent)]
    Document(#[from] DecodeError),
    /// Its keys or threshold make no sense.
    #[error("root document: 1 to 16 different keys, and a threshold between 1 and their number")]
    Keys,
    /// It does not follow the document that is held.
    #[error("root document {found}: it does not follow document {held} that is held here")]
    Order {
        /// Its number.
        found: u32,
        /// The number of the last document that is held.
        held: u32,
    },
    /// Its keys are not those that the document before committed to.
    #[error("root document {found}: its keys are not those that the document before committed to")]
    Commitment {
        /// Its number.
        found: u32,
    },
    /// Too few signatures.
    #[error("root document {found}: too few valid signatures of {whose} keys")]
    Signatures {
        /// Its number.
        found: u32,
        /// Whose are missing.
        whose: &'static str,
    },
    /// The first document is not the one that was pinned.
    #[error("root document: its hash is not the fleet id {pinned} that was pinned")]
    Pin {
        /// The fleet id expected.
        pinned: FleetId,
    },
}

/// The chain of root documents, from the pinned first to the current.
#[derive(Clone, Debug)]
pub struct RootChain {
    fleet: FleetId,
    /// Each document with its hash, first first.
    documents: Vec<(Hash, RootDocument)>,
    /// As they were signed, to hand on.
    signed: Vec<SignedRoot>,
}

impl RootChain {
    /// The fleet id that a first document gives its fleet.
    #[must_use]
    pub fn fleet_of(first: &SignedRoot) -> FleetId {
        FleetId(Hash::of(&first.bytes).0)
    }

    /// Starts from the pinned first document.
    ///
    /// # Errors
    /// When it is not the one that was pinned, or is not sound.
    pub fn begin(
        pinned: FleetId,
        first: SignedRoot,
        verify: &dyn Verify,
    ) -> Result<Self, RootError> {
        if Self::fleet_of(&first) != pinned {
            return Err(RootError::Pin { pinned });
        }
        let document: RootDocument = codec::decode(&first.bytes)?;
        if document.number != 1 || document.previous != Hash::ZERO {
            return Err(RootError::Order {
                found: document.number,
                held: 0,
            });
        }
        if !document.keys.is_sound() {
            return Err(RootError::Keys);
        }
        // The fleet id is this document's own hash, so it cannot be inside the signature.
        let own = &document.keys;
        if !own.signed(
            verify,
            Context::Root,
            &FleetId::ZERO,
            &first.bytes,
            &first.own,
        ) {
            return Err(RootError::Signatures {
                found: 1,
                whose: "its own",
            });
        }
        let hash = Hash::of(&first.bytes);
        Ok(Self {
            fleet: pinned,
            documents: vec![(hash, document)],
            signed: vec![first],
        })
    }

    /// Takes the next document. Of two that both follow the same one (the root itself would have to
    /// sign both) every node keeps the one with the lower hash; what followed the other is dropped.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn advance(&mut self, next: SignedRoot, verify: &dyn Verify) -> Result<bool, RootError> {
        let document: RootDocument = codec::decode(&next.bytes)?;
        let hash = Hash::of(&next.bytes);
        let place = usize::try_from(document.number)
            .unwrap_or(usize::MAX)
            .saturating_sub(1);
        let held = self.current().number;
        if place == 0 || place > self.documents.len() || place >= ROOTS_MAX {
            return Err(RootError::Order {
                found: document.number,
                held,
            });
        }
        if self
            .documents
            .get(place)
            .is_some_and(|(known, _)| *known <= hash)
        {
            return Ok(false);
        }
        let (before_hash, before) = &self.documents[place - 1];
        if document.previous != *before_hash {
            return Err(RootError::Order {
                found: document.number,
                held,
            });
        }
        if !document.keys.is_sound() {
            return Err(RootError::Keys);
        }
        let found = document.number;
        if document.keys.commitment() != before.next {
            return Err(RootError::Commitment { found });
        }
        let signed = |keys: &KeySet, signatures| {
            keys.signed(verify, Context::Root, &self.fleet, &next.bytes, signatures)
        };
        if !signed(&before.keys, &next.before) {
            return Err(RootError::Signatures {
                found,
                whose: "the earlier root's",
            });
        }
        if !signed(&document.keys, &next.own) {
            return Err(RootError::Signatures {
                found,
                whose: "its own",
            });
        }
        self.documents.truncate(place);
        self.signed.truncate(place);
        self.documents.push((hash, document));
        self.signed.push(next);
        Ok(true)
    }

    /// The fleet that this is the root of.
    #[must_use]
    pub fn fleet(&self) -> FleetId {
        self.fleet
    }

    /// The document that speaks now.
    ///
    /// # Panics
    /// Never: a chain begins with a document and never loses it.
    #[must_use]
    pub fn current(&self) -> &RootDocument {
        assert!(
            !self.documents.is_empty(),
            "a root chain has lost its first document"
        );
        &self.documents[self.documents.len() - 1].1
    }

    /// All documents as signed, first first.
    #[must_use]
    pub fn signed(&self) -> &[SignedRoot] {
        &self.signed
    }

    /// Whether something that root `number` signed counts today: it is the current root, or every
    /// later one keeps it. `name` is the first half of the thing's hash.
    #[must_use]
    pub fn speaks(
        &self,
        number: u32,
        name: &[u8; 16],
        verify: &dyn Verify,
        message: &[u8],
        signatures: &[KeySignature],
        context: Context,
    ) -> bool {
        let place = usize::try_from(number)
            .unwrap_or(usize::MAX)
            .wrapping_sub(1);
        let Some((_, document)) = self.documents.get(place) else {
            return false;
        };
        let kept = self.documents[place + 1..]
            .iter()
            .all(|(_, later)| later.keeps.contains(name));
        kept && document
            .keys
            .signed(verify, context, &self.fleet, message, signatures)
    }
}
