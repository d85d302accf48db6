//! A short private body rides along to those who may read it, and to nobody else.

use std::sync::Arc;

use regatta_protocol::catalog::Revision;
use regatta_protocol::clock::reference::ReferenceTime;
use regatta_protocol::codec::{self, Bytes};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::crypto::sign::Context;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::{EntryKind, LedgerKind, Parcel};
use regatta_protocol::ledger::message::{Digest, Message};
use regatta_protocol::ledger::replica::author::{Draft, Identity};
use regatta_protocol::ledger::replica::{Effect, Event, PeerInfo, Replica, Role, Settings};
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::prng::Prng;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::authority::{self, Credentials};
use regatta_protocol::trust::certificate::{
    Certificate, Issuer, NodeKeys, Rank, SignedCertificate, Window,
};

use crate::fixture::{Fixture, Hand, cheap, day, name, signatures};

fn manager(fixture: &Fixture) -> (Hand, Replica) {
    let (hand, statement) = fixture.manager(1, (0, 365));
    let mut holdings = fixture.holdings();
    holdings.take_statement(&statement);
    holdings.settle(day(1));
    let me = Identity {
        node: hand.node,
        role: Role::Manager,
        serial: hand.serial,
        signer: Arc::clone(&hand.key),
        not_before: day(0),
        tells_time: false,
        carries: false,
    };
    let (time, prng) = (ReferenceTime::default(), Prng::from_number(1));
    let mut replica = Replica::new(me, Settings::default(), holdings, time, prng, true);
    handle(&mut replica, Event::Clock { wall: day(1) });
    (hand, replica)
}

fn handle(replica: &mut Replica, event: Event) -> Vec<Effect> {
    let mut out = Vec::new();
    replica.handle(Millis(0), event, &mut out);
    out
}

/// A device of a site, as its certificate says.
fn credentials(replica: &Replica, by: &Hand, number: u8, site: &str) -> Arc<Credentials> {
    let labels = Labels::from_pairs([(name("site"), name(site))]);
    let certificate = Certificate {
        issuer: Issuer::Certificate(by.serial),
        node: NodeId([number; 16]),
        name: name(&format!("amr-{number}")),
        rank: Rank::Device,
        keys: NodeKeys {
            sign: cheap(number).public(),
            seal: BoxKey(Hash([number; 32])),
        },
        labels: labels.expect("one label"),
        grants: Vec::new(),
        window: Window {
            from: day(0),
            to: day(20),
        },
    };
    let bytes = Bytes::from(codec::encode(&certificate));
    let keys = [Arc::clone(&by.key)];
    let signed = SignedCertificate {
        signatures: signatures(&keys, Context::Certificate, &by.fleet, &bytes),
        bytes,
    };
    let credentials = authority::recognise(replica.holdings().record(), &[signed]);
    Arc::new(credentials.expect("a device of the fleet"))
}

/// Connects a device that is in step and asks to be fed.
fn connect(replica: &mut Replica, node: NodeId, credentials: Option<Arc<Credentials>>) {
    let info = PeerInfo {
        node,
        role: Role::Agent,
        carries: false,
    };
    let effects = handle(replica, Event::PeerUp(info));
    let ours = effects.into_iter().find_map(|effect| match effect {
        Effect::Send {
            message: Message::Digest(digest),
            ..
        } => Some(digest),
        _ => None,
    });
    let digest = Digest {
        times: Vec::new(),
        ..ours.expect("a digest comes first")
    };
    for message in [Message::Digest(digest), Message::Feed(true)] {
        handle(
            replica,
            Event::Received {
                from: node,
                message,
            },
        );
    }
    if let Some(credentials) = credentials {
        let peer = node;
        handle(replica, Event::Presented { peer, credentials });
    }
}

#[test]
fn a_private_body_rides_along_to_those_whom_the_document_selects() {
    let fixture = Fixture::new();
    let (hand, mut replica) = manager(&fixture);
    let sites = [(61, "osaka"), (62, "kyoto")];
    for (number, site) in sites {
        let credentials = credentials(&replica, &hand, number, site);
        connect(&mut replica, NodeId([number; 16]), Some(credentials));
    }
    // A member that has presented nothing gets nothing that is private.
    connect(&mut replica, NodeId([63; 16]), None);
    let revision = Revision {
        kind: 1,
        name: name("nav"),
        replaces: Vec::new(),
        select: Selector::parse("site=osaka").expect("a selector"),
        deletes: false,
        version: 1,
        staged: false,
        body: None,
    };
    let body = Bytes::from(b"max_velocity: 3".to_vec());
    let draft = Draft {
        riding: Some(body.clone()),
        ..Draft::new(
            1,
            LedgerKind::Fleet,
            EntryKind::REVISION,
            codec::encode(&revision),
        )
    };
    let effects = handle(&mut replica, Event::Write(draft));
    let pushed = |device: u8| -> Vec<Parcel> {
        let to_device = |effect: &Effect| match effect {
            Effect::Send {
                to,
                message: Message::Push { parcels, .. },
            } if to.contains(&NodeId([device; 16])) => parcels.clone(),
            _ => Vec::new(),
        };
        effects.iter().flat_map(to_device).collect()
    };
    for (device, wanted) in [(61, Some(&body)), (62, None), (63, None)] {
        let parcels = pushed(device);
        assert_eq!(parcels.len(), 1, "device {device} hears of it");
        assert_eq!(parcels[0].body.as_ref(), wanted, "device {device}");
    }
}
