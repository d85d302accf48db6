//! A node's signing key as libp2p's identity, and back.

use std::io;

use libp2p::PeerId;
use libp2p::identity::{self, Keypair, ed25519};
use regatta_protocol::crypto::sign::{PublicKey, SecretKey};
use regatta_protocol::ident::Hash;

use crate::network::NetworkError;

/// The key pair that connections are made with.
pub(super) fn keypair(key: &SecretKey) -> Result<Keypair, NetworkError> {
    let mut bytes = key.to_bytes();
    let secret = ed25519::SecretKey::try_from_bytes(bytes.as_mut_slice())
        .map_err(|error| NetworkError::Transport(io::Error::other(error)))?;
    Ok(ed25519::Keypair::from(secret).into())
}

/// Whom connections to this key's holder lead to; none where it is no key.
pub(super) fn peer_id(key: &PublicKey) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(&key.0.0).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

/// The key in a peer's name; none where it is another kind of key than ours.
pub(super) fn sign_key(peer: &PeerId) -> Option<PublicKey> {
    // A short key stands in the name as it is: multihash code 0, the identity.
    let hash: &libp2p::multihash::Multihash<64> = peer.as_ref();
    if hash.code() != 0 {
        return None;
    }
    let key = identity::PublicKey::try_decode_protobuf(hash.digest()).ok()?;
    let key = key.try_into_ed25519().ok()?;
    Some(PublicKey(Hash(key.to_bytes())))
}

#[cfg(test)]
mod tests {
    use super::{keypair, peer_id, sign_key};
    use regatta_protocol::crypto::sign::{SecretKey, Sign};
    use regatta_protocol::prng::Prng;

    #[test]
    fn a_peer_is_named_by_its_signing_key() {
        let key = SecretKey::generate(&mut Prng::from_number(1));
        let pair = keypair(&key).expect("a key");
        let peer = pair.public().to_peer_id();
        assert_eq!(peer_id(&key.public()), Some(peer));
        assert_eq!(sign_key(&peer), Some(key.public()));
    }
}
