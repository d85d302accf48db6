//! Invites: what a manager, or the root for a manager, signs so that somebody new may join.

pub mod answer;
pub mod join;
pub mod token;

use serde::{Deserialize, Serialize};

use crate::codec::{self, Bytes, DecodeError, Name, Wire};
use crate::crypto::sign::{Context, PublicKey, Sign, Signature, Verify};
use crate::ident::{FleetId, Hash, NodeId, Serial};
use crate::machine::Millis;
use crate::selector::Labels;
use crate::trust::certificate::{Grant, Issuer, KeySignature, Rank};
use crate::trust::record::Record;
use crate::trust::verdict::InviteId;

/// What an invite allows: a short certificate for a one-time key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteTerms {
    /// The fleet that is joined: the hash of its first root document, which the joiner pins.
    pub fleet: FleetId,
    /// Checks that whoever uses the invite holds its one-time secret.
    pub key: PublicKey,
    /// What the joiner becomes: a device, or a manager where the root signs.
    pub rank: Rank,
    /// The labels that it gets.
    pub labels: Labels,
    /// What it may do; within what the issuer may.
    pub grants: Vec<Grant>,
    /// How many different devices may use it.
    pub uses: u32,
    /// The last millisecond in which it may be used, by reference time.
    pub not_after: Millis,
    /// Who signs it.
    pub issuer: Issuer,
    /// What the joiner is called; else what it asks for.
    pub name: Option<Name>,
    /// The device whose place the joiner takes: a new board of it.
    pub replaces: Option<NodeId>,
}

impl Wire for InviteTerms {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 1024;
    const WHAT: &'static str = "invite";
}

/// An invite as it travels: its bytes as they were signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedInvite {
    /// The terms' bytes.
    pub bytes: Bytes,
    /// One signature of a manager, or as many as its threshold of a root.
    pub signatures: Vec<KeySignature>,
}

/// Terms and uses are signed under one context; the first byte tells them apart.
const SIGNED_TERMS: u8 = 1;
const SIGNED_USE: u8 = 2;

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(1 + bytes.len());
    message.push(tag);
    message.extend_from_slice(bytes);
    message
}

impl SignedInvite {
    /// Signs terms with a manager's key, or with the keys of a root in their order.
    #[must_use]
    pub fn sign(terms: &InviteTerms, signers: &[(u8, &dyn Sign)]) -> Self {
        let bytes = Bytes::from(codec::encode(terms));
        let message = tagged(SIGNED_TERMS, &bytes);
        let signatures = signers
            .iter()
            .map(|(key, signer)| KeySignature {
                key: *key,
                signature: signer.sign(Context::Invite, &terms.fleet, &message),
            })
            .collect();
        Self { bytes, signatures }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> InviteId {
        InviteId(Serial(Hash::of(&self.bytes).half()))
    }

    /// What it says; its signatures are checked by whoever admits or joins.
    ///
    /// # Errors
    /// When the bytes are no invite.
    pub fn decode(&self) -> Result<InviteTerms, DecodeError> {
        codec::decode(&self.bytes)
    }

    /// Whether a manager's key signed it.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey, fleet: &FleetId, verify: &dyn Verify) -> bool {
        let message = tagged(SIGNED_TERMS, &self.bytes);
        let signatures: &[KeySignature] = &self.signatures;
        signatures
            .iter()
            .take(1)
            .any(|signed| verify.verify(key, Context::Invite, fleet, &message, &signed.signature))
    }
}

impl SignedInvite {
    /// Whether a root of this number signed it whose word still counts.
    #[must_use]
    pub fn is_signed_by_root(&self, record: &Record, number: u32) -> bool {
        let message = tagged(SIGNED_TERMS, &self.bytes);
        let (roots, verify) = (record.roots(), record.verify());
        let signers = roots.signers_of(number, verify, Context::Invite, &message, &self.signatures);
        roots.speaks(&signers, &self.id().0.0)
    }
}

fn sign_use(signer: &dyn Sign, fleet: &FleetId, bytes: &[u8]) -> Signature {
    signer.sign(Context::Invite, fleet, &tagged(SIGNED_USE, bytes))
}

fn is_use_signed(
    verify: &dyn Verify,
    key: &PublicKey,
    fleet: &FleetId,
    bytes: &[u8],
    signature: &Signature,
) -> bool {
    let message = tagged(SIGNED_USE, bytes);
    verify.verify(key, Context::Invite, fleet, &message, signature)
}
