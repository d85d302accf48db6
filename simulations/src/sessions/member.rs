//! Those who meet: managers, devices, a stranger, a thief of an old key, a twin in another fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::channel::{Early, EarlyWindow};
use regatta_protocol::crypto::seal::{BoxKey, BoxSecret};
use regatta_protocol::crypto::sign::{Context, Sign, Signature, Verify};
use regatta_protocol::ident::{FleetId, Hash, NodeId};
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;

use super::wire::EndId;
use crate::scheme::Scheme;

/// Stands in everything that nobody but the two ends may read.
pub const MARKER: &[u8; 16] = b"<in confidence/>";

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A member that may ask everybody.
    Manager,
    /// A member.
    Device,
    /// Has keys of its own and no certificate.
    Stranger,
    /// Has the id and the old key of a device whose key was rotated.
    Thief,
    /// Has the id and key of a member, in another fleet.
    Twin,
}

impl Role {
    /// Whether it keeps to the rules, and is held to them.
    #[must_use]
    pub fn is_member(self) -> bool {
        matches!(self, Self::Manager | Self::Device)
    }
}

/// What a fleet is here: its id, and the key that signs its certificates.
#[derive(Debug)]
pub struct Fleet {
    /// In every prologue.
    pub id: FleetId,
    key: Arc<dyn Sign>,
    verify: Arc<dyn Verify>,
}

impl Fleet {
    /// A new fleet.
    #[must_use]
    pub fn found(prng: &mut Prng) -> Self {
        Self {
            id: FleetId(prng.bytes()),
            key: Scheme::Cheap.key(prng),
            verify: Scheme::Cheap.verify(),
        }
    }

    /// The certificate that binds a node to its key; a higher generation ends the lower ones.
    #[must_use]
    pub fn certify(&self, node: NodeId, key: BoxKey, generation: u32) -> Certificate {
        let signature = self.key.sign(
            Context::Certificate,
            &self.id,
            &Certificate::preimage(node, key, generation),
        );
        Certificate {
            node,
            key,
            generation,
            signature,
        }
    }

    /// Whether this fleet's root signed it.
    #[must_use]
    pub fn signed(&self, certificate: &Certificate) -> bool {
        let message =
            Certificate::preimage(certificate.node, certificate.key, certificate.generation);
        self.verify.verify(
            &self.key.public(),
            Context::Certificate,
            &self.id,
            &message,
            &certificate.signature,
        )
    }
}

/// Binds a node to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whom.
    pub node: NodeId,
    /// To what.
    pub key: BoxKey,
    /// How often the key was rotated before.
    pub generation: u32,
    signature: Signature,
}

impl Certificate {
    fn preimage(node: NodeId, key: BoxKey, generation: u32) -> Vec<u8> {
        [&node.0[..], &key.0.0, &generation.to_le_bytes()].concat()
    }
}

/// What each end says with its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Who it says it is.
    pub certificate: Certificate,
    /// Which end it is: for the simulator's eyes.
    pub end: EndId,
}

impl Greeting {
    /// As it crosses, sealed.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let certificate = &self.certificate;
        let bytes = [
            &MARKER[..],
            &certificate.node.0,
            &certificate.key.0.0,
            &certificate.generation.to_le_bytes(),
            &certificate.signature.to_bytes(),
            &self.end.stream.to_le_bytes(),
            &[self.end.side],
        ];
        bytes.concat().into()
    }

    /// Reads one back.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (_, rest) = bytes.split_first_chunk::<16>()?;
        let (node, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (signature, rest) = rest.split_first_chunk()?;
        let (stream, rest) = rest.split_first_chunk()?;
        let [side] = *rest else { return None };
        Some(Self {
            certificate: Certificate {
                node: NodeId(*node),
                key: BoxKey(Hash(*key)),
                generation: u32::from_le_bytes(*generation),
                signature: Signature::from_bytes(signature),
            },
            end: EndId {
                stream: u32::from_le_bytes(*stream),
                side,
            },
        })
    }
}

/// What a member durably knows of another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contact {
    /// The key that its certificate binds, where it is known.
    pub known: Option<BoxKey>,
    /// The highest generation heard of: certificates below it are over.
    pub heard: u32,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub role: Role,
    /// The id under which it goes.
    pub id: NodeId,
    /// Its static key.
    pub secret: BoxSecret,
    /// What it shows.
    pub certificate: Certificate,
    /// First messages that it remembers; gone after a restart.
    pub window: EarlyWindow,
    /// Run ids that it has started, on disk.
    pub started: BTreeSet<u128>,
    /// Whom it knows, on disk.
    pub contacts: BTreeMap<NodeId, Contact>,
    /// Intents that it has asked for, to ask again.
    pub asked: Vec<(NodeId, u128)>,
    /// How far its clock is ahead of the simulator's.
    pub ahead_ms: u64,
}

impl Node {
    /// A node that knows nobody.
    #[must_use]
    pub fn new(role: Role, fleet: &Fleet, id: NodeId, secret: BoxSecret, window: usize) -> Self {
        Self {
            role,
            id,
            certificate: fleet.certify(id, secret.public(), 0),
            secret,
            window: EarlyWindow::new(window),
            started: BTreeSet::new(),
            contacts: BTreeMap::new(),
            asked: Vec::new(),
            ahead_ms: 0,
        }
    }

    /// What its clock shows.
    #[must_use]
    pub fn clock(&self, now: Millis) -> Millis {
        now.plus(self.ahead_ms)
    }

    /// What it knows of `peer`.
    #[must_use]
    pub fn contact(&self, peer: NodeId) -> Contact {
        self.contacts.get(&peer).copied().unwrap_or_default()
    }

    /// A few requests for a first message; some that it asked for before.
    pub fn early(&mut self, peer: NodeId, prng: &mut Prng) -> Vec<Early> {
        let count = prng.below(4);
        let mut requests = Vec::new();
        for _ in 0..count {
            let text = Bytes::from([&MARKER[..], &prng.bytes::<8>()].concat());
            if prng.chance(400_000) {
                requests.push(Early::Read(text));
            } else {
                let run_id = self.run_id(peer, prng);
                requests.push(Early::Intent {
                    run_id,
                    intent: text,
                });
            }
        }
        requests
    }

    /// A run id for `peer`: a new one, or one that may not have arrived.
    pub fn run_id(&mut self, peer: NodeId, prng: &mut Prng) -> u128 {
        const KEPT: usize = 32;
        let before = self.asked.iter().filter(|(asked, _)| *asked == peer);
        let before: Vec<u128> = before.map(|(_, run_id)| *run_id).collect();
        if !before.is_empty() && prng.chance(300_000) {
            let index = usize::try_from(prng.below(before.len() as u64)).unwrap_or(0);
            return before[index];
        }
        let run_id = u128::from_le_bytes(prng.bytes()) | 1;
        self.asked.push((peer, run_id));
        if self.asked.len() > KEPT {
            self.asked.remove(0);
        }
        run_id
    }
}
