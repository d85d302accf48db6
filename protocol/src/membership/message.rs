//! What membership says on the wire: the signed presence, and the messages between two nodes.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, Bytes, DecodeError, Wire};
use crate::crypto::sign::{Context, PublicKey, Sign, Signature, Verify};
use crate::ident::{FleetId, NodeId};
use crate::limits::{CONTROL_FRAME_BYTES_MAX, HOMES_MAX, PRESENCE_BYTES_MAX};
use crate::machine::Millis;

/// How freely a node may use its link. Append-only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Profile {
    /// Two homes, four neighbours, a keep-alive of half a minute.
    #[default]
    Normal,
    /// Every byte is paid for: one home, no neighbours, a keep-alive of a quarter of an hour.
    Metered,
}

/// What a node says of itself; signed once for each change, never in a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Who says so.
    pub node: NodeId,
    /// Random for each start of the node.
    pub boot: u64,
    /// Grows by one with each change within a boot.
    pub sequence: u64,
    /// When it was said, by the node's own wall clock.
    pub wall: Millis,
    /// Its homes, best first; at most [`HOMES_MAX`].
    pub homes: Vec<NodeId>,
    /// The home that is to pull from it.
    pub puller: Option<NodeId>,
    /// How often it promises to be heard.
    pub keep_alive_ms: u32,
    /// How freely its link may be used.
    pub profile: Profile,
}

impl Wire for Presence {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = PRESENCE_BYTES_MAX;
    const WHAT: &'static str = "presence";
}

/// A presence as it travels: the bytes as they were signed; never re-encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPresence {
    /// The encoded [`Presence`].
    pub bytes: Bytes,
    /// The node's signature over them.
    pub signature: Signature,
}

/// Why something is no presence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PresenceError {
    /// It does not decode.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// It names more homes than a node has.
    #[error("presence: {found} homes, at most 2 are kept")]
    Homes {
        /// Homes named.
        found: usize,
    },
    /// Its node did not sign it.
    #[error("presence: not signed by the node that it names")]
    Forged,
}

impl SignedPresence {
    /// Signs what a node says of itself.
    #[must_use]
    pub fn seal(presence: &Presence, fleet: &FleetId, signer: &dyn Sign) -> Self {
        let bytes = Bytes::from(codec::encode(presence));
        let signature = signer.sign(Context::Presence, fleet, &bytes);
        Self { bytes, signature }
    }

    /// What it claims, before anybody has checked the signature: for finding the key.
    ///
    /// # Errors
    /// When its form is broken.
    pub fn claim(&self) -> Result<Presence, PresenceError> {
        let presence: Presence = codec::decode(&self.bytes)?;
        if presence.homes.len() > HOMES_MAX {
            return Err(PresenceError::Homes {
                found: presence.homes.len(),
            });
        }
        Ok(presence)
    }

    /// Whether `key` signed these bytes for this fleet.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey, fleet: &FleetId, verify: &dyn Verify) -> bool {
        verify.verify(key, Context::Presence, fleet, &self.bytes, &self.signature)
    }
}

/// What one manager has seen of one node, as it tells others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The node seen.
    pub node: NodeId,
    /// The observer's version of this sighting.
    pub version: u64,
    /// Whether the node's link to the observer is up and its keep-alive kept.
    pub up: bool,
    /// How long ago the observer last heard the node.
    pub heard_ago_ms: u64,
    /// What the node says of itself, where the teller knows it.
    pub presence: Option<SignedPresence>,
}

/// How far one holds an observer's sightings, and how lately it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Whose sightings.
    pub observer: NodeId,
    /// Which start of the observer; its versions begin anew with each.
    pub boot: u64,
    /// Held up to this version.
    pub version: u64,
    /// How long ago anybody on the way here heard the observer itself.
    pub heard_ago_ms: u64,
}

/// Some of an observer's sightings: all that changed after one version and up to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Whose sightings.
    pub observer: NodeId,
    /// Which start of the observer.
    pub boot: u64,
    /// A reader must hold everything up to this version to take the batch.
    pub after: u64,
    /// With the batch a reader holds everything up to this one.
    pub upto: u64,
    /// The newest version that the sender holds; a reader asks on until it is there.
    pub latest: u64,
    /// What changed, by ascending version.
    pub sightings: Vec<Sighting>,
}

/// Everything that two nodes say to each other about membership. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MembershipMessage {
    /// A node to its homes when it changed; a manager to one that asked.
    Presence(SignedPresence),
    /// A node to its homes at its keep-alive, a neighbour to a neighbour: nothing has changed.
    KeepAlive {
        /// The boot of the presence that still holds.
        boot: u64,
        /// Its sequence.
        sequence: u64,
    },
    /// The answer.
    KeepAliveAck {
        /// Whether that presence is held here; if not it is sent again.
        have: bool,
    },
    /// A manager to each other manager every two seconds: alive, and how far it knows whom.
    Ping {
        /// The sender's own row, and those of managers that the receiver cannot hear.
        rows: Vec<Row>,
        /// Managers that the sender has not heard itself of late.
        lacks: Vec<NodeId>,
    },
    /// A manager to a manager: sightings, pushed or asked for.
    Batch(Batch),
    /// A manager to a manager: send an observer's sightings from here on.
    Want {
        /// Whose.
        observer: NodeId,
        /// Of which start.
        boot: u64,
        /// Held up to this version.
        after: u64,
    },
    /// A manager to whoever knows: the presence of a node whose key came late.
    GetPresence {
        /// Which node.
        node: NodeId,
    },
    /// A node that is short of neighbours to a home or, without any, to a neighbour.
    Seek {
        /// Grows with each question, so that answers differ.
        round: u32,
    },
    /// The answer; at most `SUGGESTIONS_MAX` are looked at.
    Suggest {
        /// Nodes to try.
        peers: Vec<NodeId>,
    },
    /// The dialling side: be my neighbour.
    NeighbourAsk {
        /// How many neighbours the sender has.
        have: u8,
    },
    /// The answer.
    NeighbourAnswer {
        /// Whether the sender made room.
        accepted: bool,
    },
    /// An accepted neighbour goes: the receiver hangs up.
    NeighbourLeave {
        /// Who has room for the receiver instead.
        instead: Option<NodeId>,
    },
    /// A manager to its guests: this one has gone silent for me. Whose home it is sees for itself; each
    /// says to me that it lives, and hands the doubt on to its neighbours.
    Doubt {
        /// The silent one.
        manager: NodeId,
    },
}

impl Wire for MembershipMessage {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = CONTROL_FRAME_BYTES_MAX;
    const WHAT: &'static str = "membership message";
}

#[cfg(test)]
mod tests {
    use super::{MembershipMessage, Presence, Profile, Row, SignedPresence};
    use crate::codec;
    use crate::crypto::sign::{Ed25519, SecretKey, Sign};
    use crate::ident::{FleetId, Hash, NodeId};
    use crate::machine::Millis;

    fn presence() -> Presence {
        Presence {
            node: NodeId([1; 16]),
            boot: 2,
            sequence: 3,
            wall: Millis(4),
            homes: vec![NodeId([5; 16]), NodeId([6; 16])],
            puller: Some(NodeId([5; 16])),
            keep_alive_ms: 30_000,
            profile: Profile::Normal,
        }
    }

    /// Changed bytes are a changed wire: then a new version, never another hash here.
    #[test]
    fn golden_bytes() {
        let hash = |bytes: &[u8]| Hash::of(bytes).to_string()[..16].to_owned();
        let node = NodeId([7; 16]);
        let said = codec::encode(&presence());
        let signed = SignedPresence::seal(
            &presence(),
            &FleetId([9; 32]),
            &SecretKey::from_bytes(&[8; 32]),
        );
        let row = Row {
            observer: node,
            boot: 1,
            version: 2,
            heard_ago_ms: 3,
        };
        let messages = [
            MembershipMessage::Presence(signed.clone()),
            MembershipMessage::KeepAlive {
                boot: 1,
                sequence: 2,
            },
            MembershipMessage::KeepAliveAck { have: true },
            MembershipMessage::Ping {
                rows: vec![row],
                lacks: vec![node],
            },
            MembershipMessage::Batch(super::Batch {
                observer: node,
                boot: 1,
                after: 2,
                upto: 3,
                latest: 4,
                sightings: vec![super::Sighting {
                    node,
                    version: 3,
                    up: true,
                    heard_ago_ms: 5,
                    presence: Some(signed),
                }],
            }),
            MembershipMessage::Want {
                observer: node,
                boot: 1,
                after: 2,
            },
            MembershipMessage::GetPresence { node },
            MembershipMessage::Seek { round: 1 },
            MembershipMessage::Suggest { peers: vec![node] },
            MembershipMessage::NeighbourAsk { have: 1 },
            MembershipMessage::NeighbourAnswer { accepted: true },
            MembershipMessage::NeighbourLeave {
                instead: Some(node),
            },
            MembershipMessage::Doubt { manager: node },
        ];
        let mut all = Vec::new();
        for message in &messages {
            let bytes = codec::encode(message);
            assert_eq!(codec::decode(&bytes).as_ref(), Ok(message));
            all.extend_from_slice(&bytes);
        }
        let keep_alive = codec::encode(&messages[1]);
        let mut expected = vec![1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        expected.extend_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(keep_alive, expected);
        assert_eq!(
            (said.len(), hash(&said)),
            (106, "4daadc8442e38f3b".to_owned())
        );
        assert_eq!(
            (all.len(), hash(&all)),
            (711, "e494ce9362d4e56c".to_owned())
        );
    }

    #[test]
    fn a_presence_counts_under_its_own_key_and_fleet_alone() {
        let (ours, theirs) = (
            SecretKey::from_bytes(&[1; 32]),
            SecretKey::from_bytes(&[2; 32]),
        );
        let fleet = FleetId([3; 32]);
        let signed = SignedPresence::seal(&presence(), &fleet, &ours);
        assert!(signed.is_signed_by(&ours.public(), &fleet, &Ed25519));
        assert!(!signed.is_signed_by(&theirs.public(), &fleet, &Ed25519));
        assert!(!signed.is_signed_by(&ours.public(), &FleetId([4; 32]), &Ed25519));
    }

    #[test]
    fn a_presence_with_three_homes_is_refused() {
        let mut many = presence();
        many.homes.push(NodeId([7; 16]));
        let signed = SignedPresence::seal(&many, &FleetId::ZERO, &SecretKey::from_bytes(&[1; 32]));
        assert_eq!(
            signed.claim().map_err(|error| error.to_string()),
            Err("presence: 3 homes, at most 2 are kept".to_owned())
        );
    }
}
