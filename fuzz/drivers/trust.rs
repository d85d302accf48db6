//! Any bytes are a signed thing or an error; a statement that nobody signed changes nothing.

use std::sync::Arc;

use regatta_protocol::codec::{self, Bytes, Name, Wire};
use regatta_protocol::crypto::sign::{Context, Ed25519, SecretKey, Sign};
use regatta_protocol::ident::{FleetId, Hash};
use regatta_protocol::machine::Millis;
use regatta_protocol::trust::certificate::{Certificate, KeySignature, SignedCertificate};
use regatta_protocol::trust::enrolment::Enrolment;
use regatta_protocol::trust::enrolment::change::{Forget, GivenInvite, Relabel};
use regatta_protocol::trust::invite::join::SignedJoin;
use regatta_protocol::trust::papers::{Greeting, PapersMessage};
use regatta_protocol::trust::record::Record;
use regatta_protocol::trust::root::{KeySet, RootChain, RootDocument, SignedRoot};
use regatta_protocol::trust::statement::Statement;
use regatta_protocol::trust::verdict::{Verdict, Verdicts};

pub fn run(bytes: &[u8]) {
    reads_back::<Certificate>(bytes);
    reads_back::<SignedCertificate>(bytes);
    reads_back::<RootDocument>(bytes);
    reads_back::<SignedRoot>(bytes);
    reads_back::<Verdict>(bytes);
    reads_back::<Verdicts>(bytes);
    reads_back::<Enrolment>(bytes);
    reads_back::<Relabel>(bytes);
    reads_back::<Forget>(bytes);
    reads_back::<GivenInvite>(bytes);
    reads_back::<Greeting>(bytes);
    reads_back::<PapersMessage>(bytes);
    reads_back::<SignedJoin>(bytes);
    if let Ok(statement) = codec::decode::<Statement>(bytes) {
        assert_eq!(codec::encode(&statement), bytes);
        let mut record = record();
        assert!(!record.take_statement(&statement), "nobody signed this");
        assert!(record.managers().is_empty() && record.orders().is_empty());
    }
}

fn record() -> Record {
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
    Record::begin(RootChain::fleet_of(&first), first, Arc::new(Ed25519)).expect("a sound root")
}

fn reads_back<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = codec::decode::<T>(bytes) {
        assert_eq!(codec::encode(&value), bytes);
    }
}
