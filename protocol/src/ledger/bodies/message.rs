//! What nodes say to each other to get a body: a signed request, and sealed answers on its way back.

use serde::{Deserialize, Serialize};

use crate::codec::{self, Bytes, Wire};
use crate::crypto::seal::{BoxKey, BoxSecret, Purpose, SealContext, SealError, open, seal};
use crate::crypto::sign::{Context, Sign, Signature, Verify};
use crate::ident::{FleetId, Hash, NodeId, Serial};
use crate::ledger::bodies::tree::Unit;
use crate::limits::{BODY_PIECE_BYTES_MAX, BODY_REQUEST_BYTES_MAX, CONTROL_FRAME_BYTES_MAX};
use crate::machine::Millis;
use crate::prng::Prng;
use crate::trust::certificate::SignedCertificate;

/// A request's name: the first half of the hash of what was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub Serial);

/// What a requester signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyClaim {
    /// The body.
    pub hash: Hash,
    /// Its length, as the entry says that names it.
    pub bytes: u64,
    /// Who wants it.
    pub node: NodeId,
    /// By which of its certificates: labels and the key to seal to are read there.
    pub serial: Serial,
    /// Drawn anew for each request; every answer is bound to it.
    pub nonce: [u64; 2],
    /// When, in the requester's reference time; too old or too far ahead is refused.
    pub issued: Millis,
}

impl Wire for BodyClaim {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 128;
    const WHAT: &'static str = "claim to a body";
}

/// A request as it travels, unchanged, from the requester to the holder. Whoever records and sends
/// it again gains nothing: answers are sealed to the key in the requester's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyRequest {
    /// What is wanted, by whom, when.
    pub claim: BodyClaim,
    /// The requester's certificate, then its issuers' up to a manager.
    pub certificates: Vec<SignedCertificate>,
    /// The requester's, over the claim.
    pub signature: Signature,
}

impl Wire for BodyRequest {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = BODY_REQUEST_BYTES_MAX;
    const WHAT: &'static str = "request for a body";
}

impl BodyRequest {
    /// Signs a request.
    #[must_use]
    pub fn sign(
        claim: BodyClaim,
        certificates: Vec<SignedCertificate>,
        fleet: &FleetId,
        signer: &dyn Sign,
    ) -> Self {
        let signature = signer.sign(Context::BodyRequest, fleet, &codec::encode(&claim));
        Self {
            claim,
            certificates,
            signature,
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> RequestId {
        RequestId(Serial(Hash::of(&codec::encode(&self.claim)).half()))
    }

    /// Whether the key of its first certificate, as decoded, signed it.
    #[must_use]
    pub fn is_signed_by(
        &self,
        key: &crate::crypto::sign::PublicKey,
        fleet: &FleetId,
        verify: &dyn Verify,
    ) -> bool {
        let bytes = codec::encode(&self.claim);
        let first = self.certificates.first().map(SignedCertificate::serial);
        first == Some(self.claim.serial)
            && verify.verify(key, Context::BodyRequest, fleet, &bytes, &self.signature)
    }
}

/// Why somebody does not answer with the body. Append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refusal {
    /// It does not have it, and nobody whom it could ask has.
    Absent,
    /// It is being asked for already, by another way or a moment ago.
    Asked,
    /// No entry that counts gives it to this requester.
    NotSelected,
    /// The certificate, the signature or the time of the request does not hold here.
    Unproven,
    /// Too much under way.
    Busy,
    /// It had it, or had a way to it, and has not any more.
    Gone,
}

/// What is said about bodies. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyMessage {
    /// From the requester, and on from neighbours who lack the body.
    Request {
        /// How many more links the request may cross after this one.
        hops_left: u8,
        /// The request.
        request: Box<BodyRequest>,
    },
    /// From the holder, back along the way: first the outline, unasked; then what is asked for.
    Answer {
        /// Which request.
        id: RequestId,
        /// Links from the holder to the sender; zero says "I am the holder".
        hops: u8,
        /// Which part of the body.
        unit: Unit,
        /// The part, sealed to the requester.
        sealed: Bytes,
    },
    /// From the requester, along the way to the holder: credit for these parts.
    Ask {
        /// Which request.
        id: RequestId,
        /// Which parts.
        units: Vec<Unit>,
    },
    /// Back along the way: there will be no (further) answer.
    Refused {
        /// Which request.
        id: RequestId,
        /// Why.
        refusal: Refusal,
    },
    /// Along the way to the holder: no more answers are wanted.
    Done {
        /// Which request.
        id: RequestId,
    },
    /// From a neighbour that hands out the body itself, over its own connection with the requester, which
    /// nobody else reads: as [`Self::Answer`], unsealed.
    Part {
        /// Which request.
        id: RequestId,
        /// Whether it holds all of the body; else it is one that fetches it, and [`Self::Shares`] says what
        /// it has by now.
        whole: bool,
        /// Which part of the body.
        unit: Unit,
        /// The part.
        bytes: Bytes,
    },
    /// From the requester to such a neighbour, as [`Self::Ask`]: for these though others were given them, who
    /// did not hand them on.
    Insist {
        /// Which request.
        id: RequestId,
        /// Which parts.
        units: Vec<Unit>,
    },
    /// From the same: what came since it said so last.
    Shares {
        /// Which request.
        id: RequestId,
        /// Lists that it has.
        lists: Vec<u16>,
        /// Pieces that it has.
        pieces: Vec<u16>,
        /// Pieces that it has handed to others, who hand them on.
        given: Vec<u16>,
    },
}

impl BodyMessage {
    /// Credit for these parts; `again`: though others were given them.
    pub(super) fn ask(id: RequestId, units: Vec<Unit>, again: bool) -> Self {
        match again {
            true => Self::Insist { id, units },
            false => Self::Ask { id, units },
        }
    }
}

impl Wire for BodyMessage {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = CONTROL_FRAME_BYTES_MAX;
    const WHAT: &'static str = "body message";
}

/// What a sealed part is bound to: fleet, body, part and request.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The fleet.
    pub fleet: &'a FleetId,
    /// The body.
    pub hash: &'a Hash,
    /// The request's nonce.
    pub nonce: [u64; 2],
    /// The part.
    pub unit: Unit,
}

impl Binding<'_> {
    fn detail(&self) -> Vec<u8> {
        let mut detail = Vec::with_capacity(32 + 16 + 3);
        detail.extend_from_slice(&self.hash.0);
        for word in self.nonce {
            detail.extend_from_slice(&word.to_le_bytes());
        }
        detail.extend_from_slice(&self.unit.label());
        detail
    }

    /// Seals a part to the requester.
    ///
    /// # Errors
    /// When the requester's key is a weak one.
    pub fn seal(&self, to: &BoxKey, plain: &[u8], prng: &mut Prng) -> Result<Bytes, SealError> {
        let detail = self.detail();
        let context = SealContext {
            fleet: self.fleet,
            purpose: Purpose::Body,
            detail: &detail,
        };
        seal(to, &context, plain, prng).map(Bytes::from)
    }

    /// Opens a part that came.
    ///
    /// # Errors
    /// When it was sealed to somebody else or for something else, or changed on its way.
    pub fn open(&self, secret: &BoxSecret, sealed: &[u8]) -> Result<Bytes, SealError> {
        let detail = self.detail();
        let context = SealContext {
            fleet: self.fleet,
            purpose: Purpose::Body,
            detail: &detail,
        };
        let plain = open(secret, &context, sealed, BODY_PIECE_BYTES_MAX)?;
        Ok(Bytes::from(&plain[..]))
    }
}

#[cfg(test)]
mod tests;
