//! What a node shows to get a body, and the key that its parts are sealed to.

use std::sync::Arc;

use regatta_protocol::codec::{self, Bytes};
use regatta_protocol::crypto::seal::{BoxKey, BoxSecret, SealError, sealed_len};
use regatta_protocol::crypto::sign::{Context, PublicKey};
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::bodies::Requester;
use regatta_protocol::ledger::bodies::message::Binding;
use regatta_protocol::ledger::bodies::sealing::{OpenPart, SealPart};
use regatta_protocol::ledger::replica::author::Identity;
use regatta_protocol::limits::DEVICE_CERTIFICATE_MS_MAX;
use regatta_protocol::prng::Prng;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::authority::{self, Credentials};
use regatta_protocol::trust::certificate::{
    Certificate, Issuer, KeySignature, NodeKeys, Rank, SignedCertificate, Window,
};
use regatta_protocol::trust::statement::Statement;

use crate::fleet::{EPOCH, Root, name};
use crate::scheme::Scheme;

/// A node's certificate with the key in it, as others read it.
#[derive(Clone, Debug)]
pub struct Papers {
    signed: SignedCertificate,
    secret: Arc<dyn OpenPart>,
    /// What the certificate says, checked.
    pub credentials: Arc<Credentials>,
    /// Whether the node hands out bytes that are not the body's.
    pub lies: bool,
}

impl Papers {
    /// A manager's: what the root certified.
    #[must_use]
    pub fn of_manager(
        root: &Root,
        joined: &[Statement],
        me: &Identity,
        statement: &Statement,
    ) -> Option<Self> {
        match statement {
            Statement::Certify(signed) => Self::new(root, joined, me, signed.clone()),
            Statement::Rotate(_) | Statement::Order(_) => None,
        }
    }

    /// A device's, signed by a manager.
    #[must_use]
    pub fn of_device(
        root: &Root,
        joined: &[Statement],
        me: &Identity,
        by: &Identity,
        index: usize,
        site: u32,
    ) -> Option<Self> {
        let pair = (name("site"), name(&format!("site-{site}")));
        let certificate = Certificate {
            issuer: Issuer::Certificate(by.serial),
            node: me.node,
            name: name(&device_name(index)),
            rank: Rank::Device,
            keys: NodeKeys {
                sign: me.signer.public(),
                seal: root.scheme().seal_key(&me.signer.public()),
            },
            labels: Labels::from_pairs([pair]).ok()?,
            grants: Vec::new(),
            window: Window {
                from: EPOCH,
                to: EPOCH.plus(DEVICE_CERTIFICATE_MS_MAX),
            },
        };
        let bytes = Bytes::from(codec::encode(&certificate));
        let signature = by.signer.sign(Context::Certificate, &root.fleet, &bytes);
        let signatures = vec![KeySignature { key: 0, signature }];
        Self::new(root, joined, me, SignedCertificate { bytes, signatures })
    }

    fn new(
        root: &Root,
        joined: &[Statement],
        me: &Identity,
        signed: SignedCertificate,
    ) -> Option<Self> {
        let holdings = root.joined(joined);
        let presented = std::slice::from_ref(&signed);
        let credentials = authority::recognise(holdings.record(), presented).ok()?;
        Some(Self {
            signed,
            secret: root.scheme().secret(&me.signer.public()),
            credentials: Arc::new(credentials),
            lies: false,
        })
    }

    /// Who asks.
    #[must_use]
    pub fn requester(&self, me: &Identity) -> Requester {
        Requester {
            node: me.node,
            certificates: vec![self.signed.clone()],
            signer: Arc::clone(&me.signer),
            secret: Arc::clone(&self.secret),
        }
    }

    /// Whether a selector selects the node.
    #[must_use]
    pub fn is_selected(&self, select: &Selector) -> bool {
        let own = self.credentials.own();
        select.matches(&own.labels.with_name(&own.name))
    }
}

/// What people call a device.
#[must_use]
pub fn device_name(index: usize) -> String {
    format!("device-{index}")
}

impl Scheme {
    /// The key that parts are sealed to, for the holder of a signing key: the simulated root knows
    /// nothing else of a node when it certifies it.
    #[must_use]
    pub fn seal_key(self, key: &PublicKey) -> BoxKey {
        match self {
            Self::Real => real_secret(key).public(),
            Self::Cheap => BoxKey(Hash(key.0.0)),
        }
    }

    fn secret(self, key: &PublicKey) -> Arc<dyn OpenPart> {
        match self {
            Self::Real => Arc::new(real_secret(key)),
            Self::Cheap => Arc::new(CheapSecret(self.seal_key(key))),
        }
    }

    /// How parts are sealed.
    #[must_use]
    pub fn sealing(self) -> &'static dyn SealPart {
        match self {
            Self::Real => &regatta_protocol::ledger::bodies::sealing::Noise,
            Self::Cheap => &CheapSeal,
        }
    }
}

fn real_secret(key: &PublicKey) -> BoxSecret {
    BoxSecret::from_bytes(&Hash::of(&key.0.0).0)
}

/// Says whom it is sealed to, and what for; as long as a real one.
#[derive(Debug)]
struct CheapSeal;

#[derive(Debug)]
struct CheapSecret(BoxKey);

impl SealPart for CheapSeal {
    fn seal(
        &self,
        to: &BoxKey,
        binding: &Binding<'_>,
        plain: &[u8],
        _: &mut Prng,
    ) -> Result<Bytes, SealError> {
        let mut sealed = vec![0; sealed_len(0)];
        let head = head(to, binding);
        sealed[..head.len()].copy_from_slice(&head);
        sealed.extend_from_slice(plain);
        // What travels is not the plain bytes: whoever passes it on reads nothing.
        sealed[sealed_len(0)..]
            .iter_mut()
            .for_each(|byte| *byte ^= 0xa5);
        Ok(sealed.into())
    }
}

impl OpenPart for CheapSecret {
    fn open(&self, binding: &Binding<'_>, sealed: &[u8]) -> Result<Bytes, SealError> {
        let head = head(&self.0, binding);
        let plain = sealed.get(sealed_len(0)..).ok_or(SealError::Refused)?;
        if !sealed.starts_with(&head) {
            return Err(SealError::Refused);
        }
        let plain: Vec<u8> = plain.iter().map(|byte| byte ^ 0xa5).collect();
        Ok(plain.into())
    }
}

fn head(to: &BoxKey, binding: &Binding<'_>) -> [u8; 40] {
    let [low, middle, high] = binding.unit.label();
    let unit = u64::from_le_bytes([low, middle, high, 1, 0, 0, 0, 0]);
    let mut body = [0; 8];
    body.copy_from_slice(&binding.hash.0[..8]);
    let nonce = binding.nonce[0] ^ binding.nonce[1].rotate_left(17);
    let mixed = u64::from_le_bytes(body) ^ nonce ^ unit.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut head = [0; 40];
    head[..32].copy_from_slice(&to.0.0);
    head[32..].copy_from_slice(&mixed.to_le_bytes());
    head
}
