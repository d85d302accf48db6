//! The only file that names snow: randomness from our generator, weak keys refused, keys wiped.

use snow::Builder;
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
pub(crate) use snow::{HandshakeState, TransportState};
use zeroize::Zeroizing;

use crate::prng::Prng;

/// The tag that AES-GCM puts after what it seals.
pub(crate) const TAG_BYTES: usize = 16;
/// A Noise message at most, its tag included.
pub(crate) const MESSAGE_BYTES_MAX: usize = 65_535;

/// The patterns that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// One way, to a key that is known: sealing.
    N,
    /// The initiator knows the responder's key.
    IK,
    /// Nobody knows a key yet.
    XX,
}

impl Pattern {
    fn name(self) -> &'static str {
        match self {
            Self::N => "Noise_N_25519_AESGCM_SHA256",
            Self::IK => "Noise_IK_25519_AESGCM_SHA256",
            Self::XX => "Noise_XX_25519_AESGCM_SHA256",
        }
    }
}

/// snow refused: the bytes, or the order of things.
pub(crate) type NoiseError = Error;

/// What a handshake begins with.
pub(crate) struct Setup<'a> {
    pub(crate) pattern: Pattern,
    pub(crate) prologue: &'a [u8],
    /// Ours; the sender of a sealed value has none.
    pub(crate) secret: Option<&'a [u8; 32]>,
    /// Theirs, where the pattern wants it known.
    pub(crate) remote: Option<&'a [u8; 32]>,
}

impl Setup<'_> {
    pub(crate) fn initiator(&self, prng: &mut Prng) -> Result<HandshakeState, Error> {
        self.builder(prng)?.build_initiator()
    }

    pub(crate) fn responder(&self, prng: &mut Prng) -> Result<HandshakeState, Error> {
        self.builder(prng)?.build_responder()
    }

    fn builder(&self, prng: &mut Prng) -> Result<Builder<'_>, Error> {
        let resolver = Resolver {
            prng: prng.branch(),
        };
        let params = self.pattern.name().parse()?;
        let mut builder =
            Builder::with_resolver(params, Box::new(resolver)).prologue(self.prologue)?;
        if let Some(secret) = self.secret {
            builder = builder.local_private_key(secret)?;
        }
        if let Some(remote) = self.remote {
            builder = builder.remote_public_key(remote)?;
        }
        Ok(builder)
    }
}

/// The X25519 public key of `secret`.
pub(crate) fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    let mut public = [0; 32];
    if let Some(mut dh) = DefaultResolver.resolve_dh(&DHChoice::Curve25519) {
        dh.set(secret);
        public.copy_from_slice(dh.pubkey());
        dh.set(&[0; 32]);
    }
    assert!(public != [0; 32], "snow's default features have X25519");
    public
}

/// AES-256-GCM with this key, wiped when dropped.
pub(crate) fn cipher(key: &[u8; 32]) -> Box<dyn Cipher> {
    let mut cipher = WipedCipher(
        DefaultResolver
            .resolve_cipher(&CipherChoice::AESGCM)
            .expect("snow's default features have AES-GCM"),
    );
    cipher.set(key);
    Box::new(cipher)
}

/// snow's own primitives, except that randomness is ours: a handshake replays from a seed.
struct Resolver {
    prng: Prng,
}

impl CryptoResolver for Resolver {
    /// A builder asks once for each handshake, and each handshake has a resolver of its own.
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Seeded(self.prng.clone())))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        let dh = DefaultResolver.resolve_dh(choice)?;
        Some(Box::new(StrictDh(dh)))
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        let cipher = DefaultResolver.resolve_cipher(choice)?;
        Some(Box::new(WipedCipher(cipher)))
    }
}

struct Seeded(Prng);

impl Random for Seeded {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.fill(bytes);
        Ok(())
    }
}

/// X25519 that refuses keys of small order: their shared secret is zero, so everybody knows it.
struct StrictDh(Box<dyn Dh>);

impl Dh for StrictDh {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn pub_len(&self) -> usize {
        self.0.pub_len()
    }

    fn priv_len(&self) -> usize {
        self.0.priv_len()
    }

    fn set(&mut self, secret: &[u8]) {
        self.0.set(secret);
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let mut secret = Zeroizing::new([0; 32]);
        random.try_fill_bytes(secret.as_mut())?;
        self.0.set(secret.as_ref());
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.0.pubkey()
    }

    fn privkey(&self) -> &[u8] {
        self.0.privkey()
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        self.0.dh(public, out)?;
        let shared = out.get(..self.dh_len()).ok_or(Error::Dh)?;
        if shared.iter().all(|byte| *byte == 0) {
            return Err(Error::Dh);
        }
        Ok(())
    }
}

/// A cipher whose key is overwritten when it is dropped; snow leaves it in memory.
struct WipedCipher(Box<dyn Cipher>);

impl Drop for WipedCipher {
    fn drop(&mut self) {
        self.0.set(&[0; 32]);
    }
}

impl Cipher for WipedCipher {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0.set(key);
    }

    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        self.0.encrypt(nonce, authtext, plaintext, out)
    }

    fn decrypt(
        &self,
        nonce: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        self.0.decrypt(nonce, authtext, ciphertext, out)
    }

    fn rekey(&mut self) {
        self.0.rekey();
    }
}
