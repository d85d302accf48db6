//! What thieves, liars and copied disks do: entries made outside any replica.

use regatta_protocol::clock::Stamp;
use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::sign::Sign;
use regatta_protocol::ident::{FleetId, Hash, Incarnation, Serial};
use regatta_protocol::ledger::chain::Head;
use regatta_protocol::ledger::entry::{
    BodyRef, CODEC_BINCODE, Entry, EntryKind, Header, LedgerId, SCHEME_ED25519,
};

/// Where a forged entry is put, and when it claims to be written.
#[derive(Clone, Copy, Debug)]
pub struct Forged {
    /// The ledger.
    pub ledger: LedgerId,
    /// The certificate that it claims.
    pub signer: Serial,
    /// The incarnation that it claims.
    pub incarnation: Incarnation,
    /// What it claims to follow.
    pub before: Option<Head>,
    /// When it claims to be written.
    pub stamp: Stamp,
}

/// Signs an entry with a key that the forger has.
///
/// # Panics
/// When the entry breaks a rule of form: a forger knows those.
#[must_use]
pub fn entry(
    forged: &Forged,
    kind: EntryKind,
    content: Vec<u8>,
    fleet: &FleetId,
    key: &dyn Sign,
) -> Entry {
    let fits = content.len() <= 640;
    let (payload, carried) = if fits {
        (Bytes::from(content), None)
    } else {
        (Bytes::default(), Some(Bytes::from(content)))
    };
    let header = Header {
        ledger: forged.ledger,
        signer: forged.signer,
        incarnation: forged.incarnation,
        number: forged.before.map_or(1, |head| head.number + 1),
        previous: forged.before.map_or(Hash::ZERO, |head| head.hash),
        stamp: forged.stamp,
        kind,
        expires: None,
        codec: CODEC_BINCODE,
        scheme: SCHEME_ED25519,
        body: carried.as_ref().map(|bytes| BodyRef {
            hash: Hash::of(bytes),
            bytes: bytes.len() as u64,
            carried: true,
        }),
        payload,
    };
    match Entry::write(&header, carried, fleet, key) {
        Ok(entry) => entry,
        Err(error) => panic!("a forged entry of bad form: {error}"),
    }
}

/// The head that an entry makes.
#[must_use]
pub fn head_of(entry: &Entry) -> Head {
    Head {
        number: entry.header.number,
        incarnation: entry.header.incarnation,
        hash: entry.hash,
    }
}
