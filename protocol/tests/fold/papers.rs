//! Greetings: who is recognised, who only to be renewed, and what is learnt from them.

use regatta_protocol::crypto::channel::GREETING_BYTES_MAX;
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::ledger::replica::{Effect, Event, Role};
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::authority::Denial;
use regatta_protocol::trust::certificate::{Certificate, NodeKeys, SignedCertificate, Window};
use regatta_protocol::trust::papers::{
    Greeting, Member, Shown, Unrecognised, recognise_greeting, to_learn,
};
use regatta_protocol::trust::statement::Statement;

use crate::feeding::{handle, replica};
use crate::fixture::{Fixture, Hand, cheap, day, name, stopped};
use crate::harbour::device_certificate;
use crate::scenarios::fleet;
use crate::state::after;

pub fn signed(fixture: &Fixture, certificate: &Certificate, by: &Hand) -> SignedCertificate {
    SignedCertificate::sign(certificate, &fixture.fleet, &[(0, by.key.as_ref())])
}

fn shown(certificate: &Certificate) -> Shown {
    Shown {
        node: certificate.node,
        keys: certificate.keys,
    }
}

fn greeted(
    holdings: &Holdings,
    shown: &Shown,
    chain: Vec<SignedCertificate>,
    on: u64,
) -> Result<Member, Unrecognised> {
    let greeting = Greeting(chain).to_bytes().expect("short enough");
    assert!(greeting.len() <= GREETING_BYTES_MAX);
    recognise_greeting(holdings, shown, &greeting, day(on))
}

#[test]
fn a_device_is_recognised_by_its_id_and_both_its_keys() {
    let (fixture, [m1, ..], entries) = fleet();
    let holdings = after(&fixture, &entries, day(1));
    let certificate = device_certificate(90, &m1, &[("site", "osaka")]);
    let chain = vec![signed(&fixture, &certificate, &m1)];
    let right = shown(&certificate);
    let member = greeted(&holdings, &right, chain.clone(), 1).expect("a member");
    assert_eq!(member.credentials.own(), &certificate);
    assert!(!member.is_restricted());
    let other_node = Shown {
        node: NodeId([91; 16]),
        ..right
    };
    let other_sign = Shown {
        keys: NodeKeys {
            sign: cheap(91).public(),
            ..right.keys
        },
        ..right
    };
    let other_seal = Shown {
        keys: NodeKeys {
            seal: BoxKey(Hash([91; 32])),
            ..right.keys
        },
        ..right
    };
    let wrong = greeted(&holdings, &other_node, chain.clone(), 1);
    assert!(matches!(wrong, Err(Unrecognised::Node { .. })), "{wrong:?}");
    for shown in [other_sign, other_seal] {
        let wrong = greeted(&holdings, &shown, chain.clone(), 1);
        assert!(matches!(wrong, Err(Unrecognised::Keys { .. })), "{wrong:?}");
    }
    let nothing = greeted(&holdings, &right, Vec::new(), 1);
    let denied = Unrecognised::Denied(Denial::Depth { found: 0 });
    assert_eq!(nothing.err(), Some(denied));
    let garbage = recognise_greeting(&holdings, &right, b"hello", day(1));
    assert!(matches!(garbage, Err(Unrecognised::Malformed(_))));
}

#[test]
fn nobodys_signature_is_nobodys_word() {
    let (fixture, [m1, m2, ..], entries) = fleet();
    let holdings = after(&fixture, &entries, day(1));
    let certificate = device_certificate(90, &m1, &[]);
    let forged = vec![signed(&fixture, &certificate, &m2)];
    let wrong = greeted(&holdings, &shown(&certificate), forged, 1);
    assert!(
        matches!(wrong, Err(Unrecognised::Denied(Denial::Signature { .. }))),
        "{wrong:?}"
    );
}

#[test]
fn whoever_can_be_renewed_is_recognised_and_restricted() {
    let (fixture, [mut m1, mut m2, m3, _], mut entries) = fleet();
    let certificate = device_certificate(90, &m1, &[]);
    let chain = vec![signed(&fixture, &certificate, &m1)];
    let right = shown(&certificate);
    let holdings = after(&fixture, &entries, day(31));
    let lapsed = greeted(&holdings, &right, chain.clone(), 31).expect("to be renewed");
    assert!(matches!(lapsed.renewable, Some(Denial::Lapsed { .. })));
    let early = Certificate {
        window: Window {
            from: day(40),
            to: day(41),
        },
        ..certificate.clone()
    };
    let wrong = greeted(&holdings, &right, vec![signed(&fixture, &early, &m1)], 31);
    assert!(matches!(
        wrong,
        Err(Unrecognised::Denied(Denial::Early { .. }))
    ));
    let of_m3 = device_certificate(91, &m3, &[]);
    let shown_m3 = shown(&of_m3);
    let of_m3 = vec![signed(&fixture, &of_m3, &m3)];
    let order = fixture.order(&stopped(m3.subject(), Vec::new()));
    entries.push(m1.carry(&order, day(2)));
    entries.push(m2.judge(stopped(crate::fixture::device(90), Vec::new()), day(2)));
    let holdings = after(&fixture, &entries, day(3));
    let member = greeted(&holdings, &shown_m3, of_m3, 3).expect("to be renewed");
    assert!(matches!(
        member.renewable,
        Some(Denial::IssuerStopped { .. })
    ));
    let wrong = greeted(&holdings, &right, chain, 3);
    assert!(matches!(
        wrong,
        Err(Unrecognised::Denied(Denial::Stopped { .. }))
    ));
}

#[test]
fn a_new_manager_is_learnt_from_what_it_shows() {
    let fixture = Fixture::new();
    let mut replica = replica(&fixture, Role::Agent);
    let (hand, statement) = fixture.manager(2, (0, 365));
    let Statement::Certify(of_manager) = &statement else {
        panic!("a certificate");
    };
    let certificate = of_manager.decode().expect("sound");
    let (right, chain) = (shown(&certificate), vec![of_manager.clone()]);
    let unknown = greeted(replica.holdings(), &right, chain.clone(), 1);
    assert!(
        matches!(
            unknown,
            Err(Unrecognised::Denied(Denial::UnknownIssuer { .. }))
        ),
        "{unknown:?}"
    );
    // A device that it signed may bring it along.
    let device = device_certificate(90, &hand, &[]);
    let of_device = signed(&fixture, &device, &hand);
    let both = [of_device.clone(), of_manager.clone()];
    assert_eq!(to_learn(replica.holdings(), &both), Some(statement.clone()));
    let learnt = to_learn(replica.holdings(), &chain).expect("news");
    let effects = handle(&mut replica, Event::Learned(learnt));
    assert!(matches!(effects[..], [Effect::Judged]), "{effects:?}");
    greeted(replica.holdings(), &right, chain.clone(), 1).expect("a member");
    greeted(replica.holdings(), &shown(&device), vec![of_device], 1).expect("a member");
    assert_eq!(to_learn(replica.holdings(), &chain), None, "known");
    let effects = handle(&mut replica, Event::Learned(statement));
    assert!(effects.is_empty(), "{effects:?}");
}

#[test]
fn a_manager_that_the_root_did_not_sign_is_not_learnt() {
    let fixture = Fixture::new();
    let thief = Fixture::with(fixture.verify.clone(), vec![cheap(66)], 1, vec![cheap(67)]);
    let mut replica = replica(&fixture, Role::Agent);
    let managers = replica.holdings().record().managers().len();
    let (_, of_thief) = thief.manager(2, (0, 365));
    let (_, genuine) = fixture.manager(2, (0, 365));
    let (Statement::Certify(mut forged), Statement::Certify(stolen)) = (of_thief, genuine) else {
        panic!("certificates");
    };
    for _ in 0..2 {
        assert_eq!(to_learn(replica.holdings(), &[forged.clone()]), None);
        let effects = handle(
            &mut replica,
            Event::Learned(Statement::Certify(forged.clone())),
        );
        assert!(effects.is_empty(), "{effects:?}");
        assert_eq!(replica.holdings().record().managers().len(), managers);
        // Nor is it with the root's signature over something else.
        let mut certificate = stolen.decode().expect("sound");
        certificate.name = name("m3");
        forged.bytes = regatta_protocol::codec::encode(&certificate).into();
        forged.signatures = stolen.signatures.clone();
    }
}

#[test]
fn what_is_presentable_fits_a_greeting_to_the_last_byte() {
    let (fixture, [m1, ..], _) = fleet();
    let mut certificate = device_certificate(90, &m1, &[]);
    let mut lengths = Vec::new();
    for total in 0..900_usize {
        let labels = (0..=total / 64).map(|index| {
            let value = if index < total / 64 {
                64
            } else {
                1 + total % 64
            };
            (name(&format!("k{index:02}")), name(&"v".repeat(value)))
        });
        certificate.labels = Labels::from_pairs(labels).expect("labels");
        let greeting = Greeting(vec![signed(&fixture, &certificate, &m1)]);
        let fits = greeting.to_bytes();
        assert_eq!(fits.is_ok(), certificate.is_presentable(), "{total}");
        lengths.extend(fits.map(|bytes| bytes.len()));
    }
    assert_eq!(lengths.iter().max(), Some(&GREETING_BYTES_MAX));
}
