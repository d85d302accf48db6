//! How fast entries are checked and appended, and what a comparison of replicas that agree costs.
//!
//! `cargo bench -p regatta-protocol --bench ledger`. Signatures are real Ed25519, checked strictly.

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use regatta_protocol::catalog::Revision;
use regatta_protocol::clock::Stamp;
use regatta_protocol::clock::reference::ReferenceTime;
use regatta_protocol::codec::{self, Bytes, Name};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::crypto::sign::{Context, Ed25519, SecretKey, Sign};
use regatta_protocol::ident::{FleetId, Hash, Incarnation, NodeId, Serial};
use regatta_protocol::ledger::entry::{
    CODEC_BINCODE, Entry, EntryKind, Header, LedgerId, LedgerKind, Parcel, SCHEME_ED25519,
};
use regatta_protocol::ledger::holdings::{Holdings, Offered};
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::replica::author::Identity;
use regatta_protocol::ledger::replica::{Effect, Event, PeerInfo, Replica, Role, Settings};
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::prng::Prng;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::certificate::{
    Capability, Certificate, Grant, Issuer, KeySignature, NodeKeys, Rank, SignedCertificate, Window,
};
use regatta_protocol::trust::record::Record;
use regatta_protocol::trust::root::{KeySet, RootChain, RootDocument, SignedRoot};
use regatta_protocol::trust::statement::Statement;

const NOW: Millis = Millis(1_795_132_800_000);
const ENTRIES: u64 = 1_000;

fn main() {
    divan::main();
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn signed(key: &SecretKey, context: Context, fleet: &FleetId, bytes: &[u8]) -> Vec<KeySignature> {
    let signature = key.sign(context, fleet, bytes);
    vec![KeySignature { key: 0, signature }]
}

struct Fleet {
    id: FleetId,
    first: SignedRoot,
    managers: Vec<(NodeId, Serial, Arc<SecretKey>, Statement)>,
}

/// A fleet of so many managers, each with a real key and certificate.
fn fleet(managers: usize) -> Fleet {
    let mut prng = Prng::from_number(1);
    let root = SecretKey::generate(&mut prng);
    let document = RootDocument {
        number: 1,
        previous: Hash::ZERO,
        name: name("bench"),
        created: NOW,
        keys: KeySet::single(root.public()),
        next: Hash::ZERO,
        keeps: Vec::new(),
    };
    let bytes = Bytes::from(codec::encode(&document));
    let own = signed(&root, Context::Root, &FleetId::ZERO, &bytes);
    let first = SignedRoot {
        bytes,
        own,
        before: Vec::new(),
    };
    let id = RootChain::fleet_of(&first);
    let managers = (0..managers)
        .map(|index| {
            let (node, key) = (NodeId(prng.bytes()), SecretKey::generate(&mut prng));
            let certificate = Certificate {
                issuer: Issuer::Root(1),
                node,
                name: name(&format!("m{index}")),
                rank: Rank::Manager,
                keys: NodeKeys {
                    sign: key.public(),
                    seal: BoxKey(Hash(key.public().0.0)),
                },
                labels: Labels::none(),
                grants: vec![Grant::everywhere(Capability::ConfigWrite)],
                window: Window {
                    from: NOW,
                    to: NOW.plus(1_000_000_000),
                },
            };
            let bytes = Bytes::from(codec::encode(&certificate));
            let signatures = signed(&root, Context::Certificate, &id, &bytes);
            let certificate = SignedCertificate { bytes, signatures };
            let serial = certificate.serial();
            (node, serial, Arc::new(key), Statement::Certify(certificate))
        })
        .collect();
    Fleet {
        id,
        first,
        managers,
    }
}

fn holdings(fleet: &Fleet) -> Holdings {
    let record = Record::begin(fleet.id, fleet.first.clone(), Arc::new(Ed25519));
    let mut holdings = Holdings::new(record.expect("a sound root"));
    for (_, _, _, statement) in &fleet.managers {
        holdings.take_statement(statement);
    }
    holdings.settle(NOW);
    holdings
}

/// A chain of revisions by one manager, each of a name of its own among a hundred.
fn written(fleet: &Fleet, manager: usize, count: u64) -> Vec<Parcel> {
    let (node, signer, key, _) = &fleet.managers[manager];
    let mut previous = Hash::ZERO;
    (1..=count)
        .map(|number| {
            let revision = Revision {
                kind: 1,
                name: name(&format!("document-{}", number % 100)),
                replaces: Vec::new(),
                select: Selector::everything(),
                deletes: false,
                version: 1,
                staged: false,
                body: None,
            };
            let header = Header {
                ledger: LedgerId {
                    kind: LedgerKind::Fleet,
                    scope: None,
                    author: *node,
                },
                signer: *signer,
                incarnation: Incarnation([1; 8]),
                number,
                previous,
                stamp: Stamp::at(NOW.plus(number)),
                kind: EntryKind::REVISION,
                expires: None,
                codec: CODEC_BINCODE,
                scheme: SCHEME_ED25519,
                body: None,
                payload: codec::encode(&revision).into(),
            };
            let entry = Entry::write(&header, None, &fleet.id, key.as_ref()).expect("an entry");
            previous = entry.hash;
            entry.parcel
        })
        .collect()
}

/// Decode, hash, verify strictly, append, fold: what a replica does with each entry.
#[divan::bench(sample_count = 20)]
fn check_and_append(bencher: Bencher) {
    let fleet = fleet(1);
    let parcels = written(&fleet, 0, ENTRIES);
    bencher
        .counter(ItemsCount::new(ENTRIES))
        .with_inputs(|| (holdings(&fleet), parcels.clone()))
        .bench_local_values(|(mut holdings, parcels)| {
            for parcel in parcels {
                let entry = Entry::open(parcel).expect("an entry");
                assert!(matches!(holdings.offer(&entry), Offered::Added { .. }));
            }
            holdings
        });
}

/// The same without the signature, as after a restart: what is left when Ed25519 is taken away.
#[divan::bench(sample_count = 20)]
fn restore(bencher: Bencher) {
    let fleet = fleet(1);
    let parcels = written(&fleet, 0, ENTRIES);
    bencher
        .counter(ItemsCount::new(ENTRIES))
        .with_inputs(|| (holdings(&fleet), parcels.clone()))
        .bench_local_values(|(mut holdings, parcels)| {
            for parcel in parcels {
                let entry = Entry::open(parcel).expect("an entry");
                assert!(matches!(holdings.restore(&entry), Offered::Added { .. }));
            }
            holdings
        });
}

fn replica(fleet: &Fleet, index: usize) -> Replica {
    let mut held = holdings(fleet);
    for manager in 0..fleet.managers.len() {
        for parcel in written(fleet, manager, 5) {
            held.restore(&Entry::open(parcel).expect("an entry"));
        }
    }
    held.settle(NOW.plus(1_000));
    let (node, serial, key, _) = &fleet.managers[index];
    let me = Identity {
        node: *node,
        role: Role::Manager,
        serial: *serial,
        signer: Arc::clone(key) as Arc<dyn Sign>,
        not_before: NOW,
        tells_time: true,
        carries: false,
    };
    let prng = Prng::from_number(index as u64);
    let time = ReferenceTime::default();
    let mut replica = Replica::new(me, Settings::default(), held, time, prng, false);
    let mut out = Vec::new();
    replica.handle(
        Millis(0),
        Event::Clock {
            wall: NOW.plus(1_000),
        },
        &mut out,
    );
    replica
}

/// What a replica says when it meets a peer.
fn greeting(replica: &mut Replica, peer: NodeId) -> Vec<Message> {
    let mut out = Vec::new();
    let info = PeerInfo {
        node: peer,
        role: Role::Manager,
        carries: false,
    };
    replica.handle(Millis(1), Event::PeerUp(info), &mut out);
    sent(out)
}

fn sent(out: Vec<Effect>) -> Vec<Message> {
    let messages = out.into_iter().filter_map(|effect| match effect {
        Effect::Send { message, .. } => Some(message),
        _ => None,
    });
    messages.collect()
}

/// Two managers of twenty that hold the same meet: one message each way, and nothing after it.
#[divan::bench(sample_count = 50)]
fn agreeing_digest_of_twenty_managers(bencher: Bencher) {
    let fleet = fleet(20);
    let mut ours = replica(&fleet, 0);
    let mut theirs = replica(&fleet, 1);
    let (us, them) = (fleet.managers[0].0, fleet.managers[1].0);
    let said = greeting(&mut theirs, us);
    assert_eq!(said.len(), 1, "one message each way");
    let bytes = codec::encode(&said[0]).len();
    assert!(bytes < 1024, "{bytes} bytes");
    bencher.bench_local(|| {
        let greeted = greeting(&mut ours, them);
        assert_eq!(greeted.len(), 1, "one message each way");
        let message = said[0].clone();
        let mut out = Vec::new();
        ours.handle(
            Millis(2),
            Event::Received {
                from: them,
                message,
            },
            &mut out,
        );
        assert!(
            sent(black_box(out)).is_empty(),
            "nothing after one message each way"
        );
    });
}
