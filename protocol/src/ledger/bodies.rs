//! Bodies by hash, and their way through neighbours.

use crate::ident::Hash;
use crate::limits::BODY_PIECE_BYTES_MAX;

/// The hashes of a body's pieces, in order.
#[must_use]
pub fn piece_hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.chunks(BODY_PIECE_BYTES_MAX).map(Hash::of).collect()
}

/// A body's name: the hash of its length and of its pieces' hashes, so that each piece can be
/// checked as it comes.
#[must_use]
pub fn root_of(bytes: &[u8]) -> Hash {
    root_of_pieces(bytes.len() as u64, &piece_hashes(bytes))
}

/// The same from the pieces' hashes alone.
#[must_use]
pub fn root_of_pieces(length: u64, pieces: &[Hash]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(b"regatta/v1/body")
        .update(&length.to_le_bytes());
    for piece in pieces {
        hasher.update(&piece.0);
    }
    Hash(*hasher.finalize().as_bytes())
}
