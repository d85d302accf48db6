//! The fleet's root: documents that name its keys, each bound to the next by a commitment.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, Bytes, DecodeError, Name, Wire};
use crate::crypto::sign::{Context, PublicKey, Verify};
use crate::ident::{FleetId, Hash};
use crate::machine::Millis;
use crate::trust::certificate::KeySignature;

/// Keys that a root may have.
pub const ROOT_KEYS_MAX: usize = 16;
/// Root documents that are kept; each but the first took the keys of the one before it.
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
        let distinct: BTreeSet<_> = self.keys.iter().collect();
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

/// The root documents that are known, and the chain of them that speaks: from the pinned first, of
/// two that follow the same one (the root itself would have to sign both) the lower hash.
#[derive(Clone, Debug)]
pub struct RootChain {
    fleet: FleetId,
    known: BTreeMap<Hash, KnownRoot>,
    /// Hashes of the documents that speak, first first.
    chain: Vec<Hash>,
}

#[derive(Clone, Debug)]
struct KnownRoot {
    document: RootDocument,
    signed: SignedRoot,
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
        let known = KnownRoot {
            document,
            signed: first,
        };
        Ok(Self {
            fleet: pinned,
            known: BTreeMap::from([(hash, known)]),
            chain: vec![hash],
        })
    }

    /// Takes a document that follows a known one; true where it was not known.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn advance(&mut self, next: SignedRoot, verify: &dyn Verify) -> Result<bool, RootError> {
        let hash = Hash::of(&next.bytes);
        if self.known.contains_key(&hash) {
            return Ok(false);
        }
        let document: RootDocument = codec::decode(&next.bytes)?;
        let found = document.number;
        let held = self.current().number;
        let before = match self.known.get(&document.previous) {
            Some(before)
                if before.document.number.checked_add(1) == Some(found)
                    && self.known.len() < ROOTS_MAX =>
            {
                &before.document
            }
            _ => return Err(RootError::Order { found, held }),
        };
        if !document.keys.is_sound() {
            return Err(RootError::Keys);
        }
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
        let signed = next;
        self.known.insert(hash, KnownRoot { document, signed });
        self.chain = self.speaking();
        Ok(true)
    }

    /// From the first on, the lowest hash of those that follow.
    fn speaking(&self) -> Vec<Hash> {
        let mut chain: Vec<Hash> = self.chain.first().copied().into_iter().collect();
        while let Some(next) = self
            .known
            .iter()
            .find(|(_, root)| Some(&root.document.previous) == chain.last())
        {
            chain.push(*next.0);
        }
        chain
    }

    fn documents(&self) -> impl DoubleEndedIterator<Item = &KnownRoot> {
        self.chain.iter().filter_map(|hash| self.known.get(hash))
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
        let last = self.chain.len().checked_sub(1);
        assert!(last.is_some(), "a root chain has lost its first document");
        &self.known[&self.chain[last.unwrap_or_default()]].document
    }

    /// The documents that speak, as signed, first first.
    pub fn signed(&self) -> impl Iterator<Item = &SignedRoot> {
        self.documents().map(|root| &root.signed)
    }

    /// Every document of this number whose keys signed a message, speaking or not.
    #[must_use]
    pub fn signers_of(
        &self,
        number: u32,
        verify: &dyn Verify,
        context: Context,
        message: &[u8],
        signatures: &[KeySignature],
    ) -> BTreeSet<Hash> {
        self.known
            .iter()
            .filter(|(_, root)| root.document.number == number)
            .filter(|(_, root)| {
                let keys = &root.document.keys;
                keys.signed(verify, context, &self.fleet, message, signatures)
            })
            .map(|(hash, _)| *hash)
            .collect()
    }

    /// Whether something that one of `signers` signed counts today: it speaks, and every later
    /// document keeps it. `name` is the first half of the thing's hash.
    #[must_use]
    pub fn speaks(&self, signers: &BTreeSet<Hash>, name: &[u8; 16]) -> bool {
        let place = self.chain.iter().position(|hash| signers.contains(hash));
        place.is_some_and(|place| {
            self.documents()
                .skip(place + 1)
                .all(|later| later.document.keeps.contains(name))
        })
    }
}
