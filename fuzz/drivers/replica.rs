//! Any frames from a member leave a replica standing, and its answers within their frames.

use std::sync::Arc;

use regatta_protocol::clock::reference::ReferenceTime;
use regatta_protocol::codec::{self, Bytes, Name};
use regatta_protocol::crypto::sign::{Context, Ed25519, SecretKey, Sign};
use regatta_protocol::ident::{FleetId, Hash, NodeId, Serial};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::replica::author::Identity;
use regatta_protocol::ledger::replica::{Effect, Event, PeerInfo, Replica, Role, Settings};
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::certificate::KeySignature;
use regatta_protocol::trust::record::Record;
use regatta_protocol::trust::root::{KeySet, RootChain, RootDocument, SignedRoot};

/// Frames are cut at this byte: rare in real ones, easy for a fuzzer to place.
const BETWEEN: u8 = 0xa5;

pub fn run(bytes: &[u8]) {
    let mut replica = replica();
    let from = NodeId([2; 16]);
    let mut effects = Vec::new();
    let info = PeerInfo {
        node: from,
        role: Role::Manager,
        carries: true,
    };
    replica.handle(Millis(1), Event::PeerUp(info), &mut effects);
    for (number, frame) in bytes.split(|byte| *byte == BETWEEN).take(64).enumerate() {
        let now = Millis(1 + 700 * number as u64);
        let event = match codec::decode::<Message>(frame) {
            Ok(message) => Event::Received { from, message },
            Err(_) => Event::Malformed { from },
        };
        replica.handle(now, event, &mut effects);
        if replica.wake_at().is_some_and(|at| at <= now) {
            replica.handle(now, Event::Wake, &mut effects);
        }
        for effect in effects.drain(..) {
            assert!(!matches!(effect, Effect::Store(_)), "nobody signed that");
            if let Effect::Send { message, .. } = effect {
                assert!(codec::fits(&message));
            }
        }
    }
}

fn replica() -> Replica {
    let key = SecretKey::from_bytes(&[1; 32]);
    let document = RootDocument {
        number: 1,
        previous: Hash::ZERO,
        name: Name::new("fuzz").expect("a name"),
        created: Millis(0),
        keys: KeySet::single(key.public()),
        next: Hash::ZERO,
        keeps: Vec::new(),
    };
    let bytes = Bytes::from(codec::encode(&document));
    let signature = key.sign(Context::Root, &FleetId::ZERO, &bytes);
    let own = vec![KeySignature { key: 0, signature }];
    let first = SignedRoot {
        bytes,
        own,
        before: Vec::new(),
    };
    let fleet = RootChain::fleet_of(&first);
    let record = Record::begin(fleet, first, Arc::new(Ed25519)).expect("a sound root");
    let me = Identity {
        node: NodeId([1; 16]),
        role: Role::Manager,
        serial: Serial([1; 16]),
        signer: Arc::new(key),
        not_before: Millis(0),
        tells_time: false,
        carries: true,
    };
    let (settings, time) = (Settings::default(), ReferenceTime::default());
    Replica::new(
        me,
        settings,
        Holdings::new(record),
        time,
        Prng::from_number(1),
        true,
    )
}
