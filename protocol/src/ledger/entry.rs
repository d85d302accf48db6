//! The envelope of every entry: fixed now, because it cannot be added later.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::Stamp;
use crate::codec::{self, Bytes, DecodeError, Wire};
use crate::crypto::sign::{Context, Sign, Signature};
use crate::ident::{FleetId, Hash, Incarnation, NodeId, Serial};
use crate::limits::{BODY_CARRIED_BYTES_MAX, ENTRY_HEADER_BYTES_MAX, PARCEL_BYTES_MAX};
use crate::machine::Millis;

/// Which kind of ledger an entry stands in. Append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LedgerKind {
    /// Root documents, manager certificates, verdicts: held by every node.
    Trust,
    /// Headers of documents: held by every node, or, with a scope, by those near one device.
    Fleet,
    /// Devices enrolled, invites given and used: held by managers with `hold`.
    Managers,
    /// A node's own results, audit and alarms: pulled.
    Report,
    /// A node's own samples and log lines, one ledger for each class: pulled.
    Telemetry(u8),
}

impl LedgerKind {
    /// Whether entries of this kind travel among nodes by themselves; the others are pulled.
    #[must_use]
    pub fn is_gossiped(self) -> bool {
        matches!(self, Self::Trust | Self::Fleet | Self::Managers)
    }
}

/// One author's sequence of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LedgerId {
    /// Its kind.
    pub kind: LedgerKind,
    /// The device that it is for alone; none for the whole fleet.
    pub scope: Option<NodeId>,
    /// Who writes it.
    pub author: NodeId,
}

/// What an entry says, as a number: a reader stores and passes on one that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryKind {
    /// The number; those that this build knows are the constants below.
    pub code: u16,
    /// Whether a node that does not know the code must refuse privileged acts.
    pub critical: bool,
}

impl EntryKind {
    /// Something the root says, carried by a manager: `trust`.
    pub const STATEMENT: Self = Self {
        code: 1,
        critical: true,
    };
    /// A manager's verdict, order or testimony: `trust`.
    pub const VERDICT: Self = Self {
        code: 2,
        critical: true,
    };
    /// One revision of one document: `fleet`.
    pub const REVISION: Self = Self {
        code: 3,
        critical: false,
    };
    /// Revisions that count together or not at all: `fleet`.
    pub const SET: Self = Self {
        code: 4,
        critical: false,
    };
    /// A device's enrolment, with the use of its invite: `managers`.
    pub const ENROLMENT: Self = Self {
        code: 5,
        critical: false,
    };
    /// An invite given: `managers`.
    pub const INVITE: Self = Self {
        code: 6,
        critical: false,
    };
    /// Heads of devices' ledgers that a manager has seen: `managers`.
    pub const SIGHTING: Self = Self {
        code: 7,
        critical: false,
    };
    /// Reserved: stands for all before it.
    pub const CHECKPOINT: Self = Self {
        code: 8,
        critical: true,
    };
    /// Opaque content of a pulled ledger: `report`, `telemetry`.
    pub const RECORD: Self = Self {
        code: 9,
        critical: false,
    };
    /// Numbers that a device had to drop before anybody held them: `report`, `telemetry`.
    pub const GAP: Self = Self {
        code: 10,
        critical: false,
    };
    /// A data key sealed to one more device; a set that only grows: `fleet`.
    pub const WRAP: Self = Self {
        code: 11,
        critical: false,
    };
    /// A device's labels change: `managers`.
    pub const RELABEL: Self = Self {
        code: 12,
        critical: false,
    };
    /// A device is gone for good: `managers`.
    pub const FORGET: Self = Self {
        code: 13,
        critical: false,
    };
    const KNOWN_MAX: u16 = 13;

    /// Whether this build knows what such an entry says.
    #[must_use]
    pub fn is_known(self) -> bool {
        (1..=Self::KNOWN_MAX).contains(&self.code) && self.code != Self::CHECKPOINT.code
    }
}

/// A body that belongs to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BodyRef {
    /// Its hash: of the bytes themselves where it is carried, else of its pieces' hashes.
    pub hash: Hash,
    /// Its length.
    pub bytes: u64,
    /// Whether it goes wherever the entry goes; the entry does not count without it.
    pub carried: bool,
}

/// What is signed. At most [`ENTRY_HEADER_BYTES_MAX`] bytes, payload included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The ledger that it stands in.
    pub ledger: LedgerId,
    /// The certificate whose key signs; constant within an incarnation.
    pub signer: Serial,
    /// The author's start that wrote it.
    pub incarnation: Incarnation,
    /// One more than the number of `previous`; 1 at the beginning.
    pub number: u64,
    /// The entry before it: of the same incarnation, or the head that this incarnation continues.
    pub previous: Hash,
    /// When it was written, by the author's hybrid clock.
    pub stamp: Stamp,
    /// What it says.
    pub kind: EntryKind,
    /// When it stops meaning anything, by wall time.
    pub expires: Option<Millis>,
    /// How `payload` is written; 1 is this crate's codec.
    pub codec: u8,
    /// How it is signed; 1 is Ed25519.
    pub scheme: u8,
    /// Its body, if it has one.
    pub body: Option<BodyRef>,
    /// What it says, in the words of its kind.
    pub payload: Bytes,
}

impl Wire for Header {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = ENTRY_HEADER_BYTES_MAX;
    const WHAT: &'static str = "entry header";
}

/// This crate's codec, in [`Header::codec`].
pub const CODEC_BINCODE: u8 = 1;
/// Ed25519, in [`Header::scheme`].
pub const SCHEME_ED25519: u8 = 1;

/// An entry as it travels: the header's bytes as they were signed, and what goes with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// The header, as signed; never re-encoded.
    pub header: Bytes,
    /// The author's signature over it.
    pub signature: Signature,
    /// The carried body, or a body that rides along to one who may read it.
    pub body: Option<Bytes>,
}

impl Wire for Parcel {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = PARCEL_BYTES_MAX;
    const WHAT: &'static str = "entry";
}

/// An entry whose form is sound. Whether its signature is, [`crate::ledger::holdings`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The decoded header.
    pub header: Header,
    /// The hash of the header's bytes: the entry's name.
    pub hash: Hash,
    /// The bytes as received.
    pub parcel: Parcel,
}

/// Why something is no entry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EntryError {
    /// The header does not decode.
    #[error(transparent)]
    Header(#[from] DecodeError),
    /// Numbers begin at 1.
    #[error("entry header: number 0; numbers begin at 1")]
    Number,
    /// The first has nothing before it, and nothing else has nothing before it.
    #[error(
        "entry header: number {number} with previous hash {previous}; number 1, and only it, has the zero hash before it"
    )]
    Previous {
        /// The number found.
        number: u64,
        /// The previous hash found.
        previous: Hash,
    },
    /// A tag that this build does not know.
    #[error("entry header: {what} tag {found}, this build knows 1")]
    Tag {
        /// Which tag.
        what: &'static str,
        /// The value found.
        found: u8,
    },
    /// A scope where none may be.
    #[error("entry header: only fleet ledgers are scoped to a device")]
    Scope,
    /// A body that is too long for its way.
    #[error("entry header: a carried body of {bytes} bytes; at most 32768 are carried")]
    BodyLength {
        /// The length claimed.
        bytes: u64,
    },
    /// A carried body is missing or is another.
    #[error("entry: its carried body is missing or not the one that its header names")]
    Body,
}

impl Entry {
    /// Signs a header and makes the entry.
    ///
    /// # Errors
    /// When the header breaks a rule that every reader checks.
    pub fn write(
        header: &Header,
        body: Option<Bytes>,
        fleet: &FleetId,
        signer: &dyn Sign,
    ) -> Result<Self, EntryError> {
        if !codec::fits(header) {
            return Err(EntryError::Header(DecodeError::TooLong {
                what: Header::WHAT,
                length: codec::encoded_len(header),
                cap: Header::BYTES_MAX,
            }));
        }
        let bytes = Bytes::from(codec::encode(header));
        let signature = signer.sign(Context::Entry, fleet, &bytes);
        Self::open(Parcel {
            header: bytes,
            signature,
            body,
        })
    }

    /// Checks the form of what arrived. A body that only rode along and does not fit is dropped.
    ///
    /// # Errors
    /// When it is no entry, with the rule that it breaks.
    pub fn open(mut parcel: Parcel) -> Result<Self, EntryError> {
        let header: Header = codec::decode(&parcel.header)?;
        check(&header)?;
        let hash = Hash::of(&parcel.header);
        let body_matches = match (&header.body, &parcel.body) {
            (Some(wanted), Some(body)) => {
                wanted.bytes == body.len() as u64 && wanted.hash == body_hash(body, wanted.carried)
            }
            (None, None) => true,
            _ => false,
        };
        if !body_matches {
            if header.body.is_some_and(|body| body.carried) {
                return Err(EntryError::Body);
            }
            parcel.body = None;
        }
        Ok(Self {
            header,
            hash,
            parcel,
        })
    }

    /// A body that rides along: private, and here only because its holder may read it.
    #[must_use]
    pub fn riding(&self) -> Option<&Bytes> {
        match self.header.body {
            Some(body) if !body.carried => self.parcel.body.as_ref(),
            _ => None,
        }
    }

    /// The parcel as anybody may have it: without a body that rides along.
    #[must_use]
    pub fn bare(&self) -> Parcel {
        let body = self.carried().cloned();
        Parcel {
            body,
            ..self.parcel.clone()
        }
    }

    /// The carried body, where there is one.
    #[must_use]
    pub fn carried(&self) -> Option<&Bytes> {
        match self.header.body {
            Some(body) if body.carried => self.parcel.body.as_ref(),
            _ => None,
        }
    }
}

/// The hash by which a body of these bytes is named.
#[must_use]
pub fn body_hash(bytes: &[u8], carried: bool) -> Hash {
    if carried {
        Hash::of(bytes)
    } else {
        crate::ledger::bodies::root_of(bytes)
    }
}

fn check(header: &Header) -> Result<(), EntryError> {
    if header.number == 0 {
        return Err(EntryError::Number);
    }
    if (header.number == 1) != (header.previous == Hash::ZERO) {
        return Err(EntryError::Previous {
            number: header.number,
            previous: header.previous,
        });
    }
    if header.codec != CODEC_BINCODE {
        return Err(EntryError::Tag {
            what: "codec",
            found: header.codec,
        });
    }
    if header.scheme != SCHEME_ED25519 {
        return Err(EntryError::Tag {
            what: "signature",
            found: header.scheme,
        });
    }
    if header.ledger.scope.is_some() && header.ledger.kind != LedgerKind::Fleet {
        return Err(EntryError::Scope);
    }
    match header.body {
        Some(body) if body.carried && body.bytes > BODY_CARRIED_BYTES_MAX as u64 => {
            Err(EntryError::BodyLength { bytes: body.bytes })
        }
        _ => Ok(()),
    }
}
