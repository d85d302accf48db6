//! The roll: names that stay apart, labels that change, boards that are replaced, invites that are out.

use regatta_protocol::codec;
use regatta_protocol::ledger::entry::{Entry, EntryKind};
use regatta_protocol::limits::LABELS_MAX;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::certificate::{Capability, Certificate, Issuer, Rank};
use regatta_protocol::trust::enrolment::change::{Forget, GivenInvite, Relabel};
use regatta_protocol::trust::invite::join::{JoinRefusal, SignedJoin};
use regatta_protocol::trust::invite::{InviteTerms, SignedInvite};
use regatta_protocol::trust::roll::Roll;
use regatta_protocol::trust::steward::{Done, Steward};
use regatta_protocol::trust::verdict::Subject;

use crate::enrolling::{
    enrols, enrols_for, enrols_under, forgets, labels_of, managers_invite, node, on_roll, relabels,
    terms_for,
};
use crate::fixture::{Fixture, Hand, day, deliver, good, name, stopped, verdict};
use crate::harbour::{asks, device_certificate, harbour, key, keys_of};
use crate::scenarios::fleet;
use crate::state::{after, all_orders_agree, timed};

/// A manager that may admit devices on these alone.
pub fn narrow(fixture: &Fixture, number: u8, select: &str) -> (Hand, Certificate, Entry) {
    use regatta_protocol::codec::Bytes;
    use regatta_protocol::crypto::sign::Context;
    use regatta_protocol::trust::certificate::SignedCertificate;
    use regatta_protocol::trust::statement::Statement;
    let (mut hand, statement) = fixture.manager(number, (0, 365));
    let Statement::Certify(signed) = statement else {
        panic!("a certificate");
    };
    let mut certificate = signed.decode().expect("sound");
    certificate
        .grants
        .retain(|grant| grant.capability == Capability::DeviceEnrol);
    certificate.grants[0].selector = Selector::parse(select).expect("a selector");
    let bytes = Bytes::from(codec::encode(&certificate));
    let keys = &fixture.root.keys;
    let signed = SignedCertificate {
        signatures: crate::fixture::signatures(keys, Context::Certificate, &fixture.fleet, &bytes),
        bytes,
    };
    hand.serial = signed.serial();
    let entry = hand.carry(&Statement::Certify(signed), day(0));
    (hand, certificate, entry)
}

#[test]
fn labels_follow_from_the_latest_word_on_each_key_in_any_order() {
    let (fixture, [mut m1, mut m2, ..], before) = fleet();
    let certificate = device_certificate(90, &m1, &[("site", "osaka"), ("dock", "3")]);
    let entries = [
        relabels(&mut m2, 90, &[("site", "nara")], &[], 1),
        enrols(&mut m1, 60, &certificate, 2),
        relabels(&mut m2, 90, &[("site", "kobe"), ("crane", "yes")], &[], 4),
        relabels(&mut m1, 90, &[("site", "tokyo")], &["dock"], 3),
        relabels(&mut m1, 90, &[("site", "future")], &[], 50),
    ];
    all_orders_agree(&fixture, &before, &entries, day(5));
    let mut all = before.clone();
    all.extend(entries);
    let holdings = after(&fixture, &all, day(5));
    assert_eq!(labels_of(&holdings, 90), "crane=yes,site=kobe");
    let said = on_roll(&holdings, 90).certificate.labels.to_string();
    assert_eq!(said, "dock=3,site=osaka", "as it was enrolled");
    let holdings = after(&fixture, &all, day(50));
    assert_eq!(labels_of(&holdings, 90), "crane=yes,site=future");
}

#[test]
fn too_many_labels_and_too_long_ones_are_left_out() {
    let (fixture, [mut m1, ..], mut entries) = fleet();
    let certificate = device_certificate(90, &m1, &[]);
    entries.push(enrols(&mut m1, 60, &certificate, 1));
    let many: Vec<String> = (0..40).map(|number| format!("k{number:02}")).collect();
    let set: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "v")).collect();
    entries.push(relabels(&mut m1, 90, &set[..20], &[], 2));
    entries.push(relabels(&mut m1, 90, &set[20..], &[], 3));
    let holdings = after(&fixture, &entries, day(4));
    assert_eq!(on_roll(&holdings, 90).labels.len(), LABELS_MAX);
    let long = "v".repeat(64);
    let set: Vec<(&str, &str)> = set.iter().map(|(key, _)| (*key, long.as_str())).collect();
    entries.push(relabels(&mut m1, 90, &set[..20], &[], 5));
    let holdings = after(&fixture, &entries, day(6));
    let enrolled = on_roll(&holdings, 90);
    let shown = enrolled.certificate.with_labels(&enrolled.labels);
    assert!(
        shown.is_presentable(),
        "what cannot be shown opens no channel"
    );
    assert_eq!(enrolled.labels.len(), LABELS_MAX);
}

#[test]
fn a_label_is_no_way_to_the_devices_of_others() {
    let (fixture, [mut m1, ..], mut entries) = fleet();
    let (mut m8, _, carried) = narrow(&fixture, 8, "site=osaka");
    entries.push(carried);
    let kobe = device_certificate(90, &m1, &[("site", "kobe")]);
    let osaka = device_certificate(91, &m8, &[("site", "osaka")]);
    entries.push(enrols(&mut m1, 60, &kobe, 1));
    entries.push(enrols(&mut m8, 61, &osaka, 1));
    entries.push(relabels(&mut m8, 90, &[("site", "osaka")], &[], 2));
    entries.push(relabels(&mut m8, 91, &[("dock", "3")], &[], 2));
    entries.push(relabels(&mut m8, 91, &[("site", "kobe")], &[], 3));
    entries.push(forgets(&mut m8, 90, 3));
    // Nor does it take a device's place, by its id or by an invite.
    let theft = Certificate {
        keys: osaka.keys,
        ..kobe.clone()
    };
    entries.push(enrols(&mut m8, 62, &theft, 3));
    let other = device_certificate(92, &m8, &[("site", "osaka")]);
    entries.push(enrols_for(&mut m8, 63, &other, Some(90), 3));
    let holdings = after(&fixture, &entries, day(4));
    assert_eq!(labels_of(&holdings, 90), "site=kobe");
    assert_eq!(labels_of(&holdings, 91), "dock=3,site=osaka");
    assert!(on_roll(&holdings, 90).is_live());
    assert_eq!(on_roll(&holdings, 90).certificate, kobe);
}

#[test]
fn a_forgotten_device_leaves_its_name_and_a_new_enrolment_brings_it_back() {
    let (fixture, [mut m1, mut m2, ..], before) = fleet();
    let certificate = device_certificate(90, &m1, &[]);
    let entries = [
        enrols(&mut m1, 60, &certificate, 1),
        forgets(&mut m2, 90, 2),
        enrols(&mut m1, 61, &certificate, 4),
    ];
    all_orders_agree(&fixture, &before, &entries, day(3));
    let mut all = before.clone();
    all.extend(entries);
    let holdings = after(&fixture, &all[..all.len() - 1], day(3));
    assert!(on_roll(&holdings, 90).forgotten);
    assert_eq!(Roll::of(&holdings).named("buoy"), []);
    let holdings = after(&fixture, &all, day(5));
    assert!(!on_roll(&holdings, 90).forgotten);
    assert_eq!(Roll::of(&holdings).named("buoy"), [node(90)]);
}

#[test]
fn names_are_borne_by_the_living_and_by_managers() {
    let (fixture, [mut m1, mut m2, ..], mut entries) = fleet();
    for (number, invite) in [(90, 60), (91, 61)] {
        let certificate = device_certificate(number, &m1, &[]);
        entries.push(enrols(&mut m1, invite, &certificate, 1));
    }
    let holdings = after(&fixture, &entries, day(2));
    assert_eq!(Roll::of(&holdings).named("buoy"), [node(90), node(91)]);
    assert_eq!(Roll::of(&holdings).named("m2"), [m2.node]);
    assert_eq!(Roll::of(&holdings).named("nobody"), []);
    assert_eq!(Roll::of(&holdings).named("no name"), []);
    entries.push(m2.judge(stopped(crate::fixture::device(91), Vec::new()), day(2)));
    let holdings = after(&fixture, &entries, day(3));
    assert!(on_roll(&holdings, 91).stopped);
    assert_eq!(Roll::of(&holdings).named("buoy"), [node(90)]);
}

#[test]
fn a_request_for_a_manager_waits_for_the_root_and_is_no_device() {
    let (fixture, [mut m1, m2, ..], mut entries) = fleet();
    let request = |number: u8, by: &Hand| Certificate {
        rank: Rank::Manager,
        issuer: Issuer::Root(1),
        ..device_certificate(number, by, &[])
    };
    let (invite, given) = managers_invite(&fixture, &mut m1);
    let unasked = request(93, &m2);
    entries.push(enrols(&mut m1, 64, &unasked, 1));
    entries.push(given);
    entries.push(enrols_under(&mut m1, &invite, &request(90, &m2), 1));
    // A device keeps its place against whatever is said of its id.
    let device = device_certificate(91, &m1, &[]);
    entries.push(enrols(&mut m1, 61, &device, 1));
    entries.push(enrols_under(&mut m1, &invite, &request(91, &m2), 2));
    let of_manager = Certificate {
        node: m2.node,
        ..device_certificate(92, &m1, &[])
    };
    entries.push(enrols(&mut m1, 63, &of_manager, 2));
    let holdings = after(&fixture, &entries, day(3));
    let waiting = on_roll(&holdings, 90);
    assert_eq!((waiting.rank(), waiting.certified), (Rank::Manager, false));
    assert_eq!(on_roll(&holdings, 91).rank(), Rank::Device);
    assert_eq!(Roll::of(&holdings).device(&m2.node), None);
    let nobody = Roll::of(&holdings).device(&unasked.node);
    assert_eq!(nobody, None, "the root invited nobody so");
}

#[test]
fn a_certified_manager_is_on_the_roll_as_such() {
    let (fixture, [mut m1, ..], mut entries) = fleet();
    let (hand, statement) = fixture.manager(9, (0, 365));
    entries.push(m1.carry(&statement, day(1)));
    let holdings = after(&fixture, &entries, day(1));
    let certificate = holdings.record().managers()[&hand.serial].clone();
    entries.push(enrols(&mut m1, 60, &certificate, 1));
    entries.push(forgets(&mut m1, 9, 2));
    let holdings = after(&fixture, &entries, day(3));
    let enrolled = on_roll(&holdings, 9);
    assert!(enrolled.certified && enrolled.is_live());
    assert_eq!(Roll::of(&holdings).named("m9"), [hand.node]);
}

#[test]
fn a_new_board_takes_the_old_ones_place_and_the_steward_stops_that() {
    let (fixture, [mut m1, mut m2, ..], mut entries) = fleet();
    let steward = Steward {
        node: m2.node,
        serial: m2.serial,
    };
    let old = device_certificate(90, &m1, &[]);
    let new = device_certificate(91, &m1, &[]);
    entries.push(enrols(&mut m1, 60, &old, 1));
    entries.push(enrols_for(&mut m1, 61, &new, Some(90), 2));
    let mut holdings = after(&fixture, &entries, day(3));
    assert_eq!(on_roll(&holdings, 90).replaced_by, Some(node(91)));
    assert_eq!(Roll::of(&holdings).named("buoy"), [node(91)]);
    let mut done = Done::default();
    let duties = steward.duties(&holdings, &mut done);
    let written: Vec<Entry> = duties
        .drafts
        .iter()
        .map(|draft| m2.draft(draft, day(3)))
        .collect();
    deliver(&mut holdings, &written);
    holdings.settle(day(3));
    assert!(holdings.judgement().stopped_nodes.contains(&node(90)));
    let reasons = holdings
        .record()
        .spoken()
        .iter()
        .map(|spoken| &spoken.verdict.reason);
    assert!(
        reasons
            .into_iter()
            .any(|reason| reason == "replaced by buoy")
    );
    assert_eq!(steward.duties(&holdings, &mut done).drafts, [], "said once");
    // An operator decides otherwise: both stay.
    let subject = Subject::Holder {
        serial: on_roll(&holdings, 90).serial,
        node: node(90),
    };
    let order = holdings.judgement().in_force.iter();
    let order = order.filter(|(_, of)| **of == subject).map(|(id, _)| *id);
    let mut pardon = good(subject, Vec::new());
    pardon.replaces = order.collect();
    let pardon = m1.judge(pardon, day(3));
    deliver(&mut holdings, [&pardon]);
    holdings.settle(day(3));
    assert!(
        holdings
            .judgement()
            .in_force
            .contains_key(&verdict(&pardon))
    );
    assert!(on_roll(&holdings, 90).is_live());
    assert_eq!(steward.duties(&holdings, &mut done).drafts, []);
}

#[test]
fn a_taken_name_gets_the_first_free_number() {
    let mut harbour = harbour();
    let mut holdings = harbour.holdings(day(1));
    let token = harbour.token(9);
    let mut names = Vec::new();
    for joiner in 90..93 {
        let request = asks(&token, joiner);
        let (admission, _) = harbour.enrol_with(0, &mut holdings, &request, joiner, day(1));
        names.push(admission.certificate.name.to_string());
    }
    assert_eq!(names, ["buoy", "buoy-2", "buoy-3"]);
    let repeated = harbour
        .admit(1, &holdings, &asks(&token, 91), 99)
        .expect("again");
    assert_eq!(repeated.certificate.name, name("buoy-2"));
    assert_eq!(repeated.certificate.node, node(91));
    // A free number is taken again; a manager's name is taken too; a long name stays short enough.
    let content = codec::encode(&Forget { node: node(91) });
    // Later than the enrolment, which bears the same stamp else.
    let later = day(1).plus(1);
    harbour.say(0, &mut holdings, EntryKind::FORGET, content, later);
    let refused = harbour.admit(0, &holdings, &asks(&token, 91), 99);
    assert_eq!(refused, Err(JoinRefusal::Forgotten));
    let mut called = |wanted: &str, joiner: u8| {
        let own = key(joiner);
        let request = SignedJoin::ask(&token, name(wanted), keys_of(joiner), own.as_ref());
        let request = request.expect("terms");
        let (admission, _) = harbour.enrol_with(1, &mut holdings, &request, joiner, day(1));
        admission.certificate.name.to_string()
    };
    assert_eq!(called("buoy", 93), "buoy-2");
    assert_eq!(called("m2", 94), "m2-2");
    assert_eq!(called(&"x".repeat(64), 95), "x".repeat(64));
    assert_eq!(called(&"x".repeat(64), 96), format!("{}-2", "x".repeat(62)));
}

#[test]
fn an_invite_may_name_the_joiner_and_a_replacement_keeps_its_name() {
    let mut harbour = harbour();
    let mut holdings = harbour.holdings(day(1));
    let named = |harbour: &crate::harbour::Harbour, replaces: Option<u8>| {
        let terms = InviteTerms {
            name: Some(name("crane")),
            replaces: replaces.map(node),
            uses: 2,
            ..harbour.terms(Rank::Device, 1)
        };
        harbour.token_of(&terms)
    };
    let request = asks(&named(&harbour, None), 90);
    let (first, _) = harbour.enrol_with(0, &mut holdings, &request, 90, day(1));
    assert_eq!(first.certificate.name, name("crane"));
    let request = asks(&named(&harbour, None), 91);
    let (second, _) = harbour.enrol_with(0, &mut holdings, &request, 91, day(1));
    assert_eq!(second.certificate.name, name("crane-2"));
    let request = asks(&named(&harbour, Some(91)), 92);
    let (third, _) = harbour.enrol_with(0, &mut holdings, &request, 92, day(2));
    assert_eq!(third.certificate.name, name("crane"));
    assert_eq!(
        third.enrolment.and_then(|said| said.replaces),
        Some(node(91))
    );
    assert_eq!(on_roll(&holdings, 91).replaced_by, Some(node(92)));
}

#[test]
fn a_managers_request_is_repeated_byte_for_byte() {
    let mut harbour = harbour();
    let mut holdings = harbour.holdings(day(1));
    let terms = InviteTerms {
        issuer: Issuer::Root(1),
        ..harbour.terms(Rank::Manager, 1)
    };
    let request = asks(&harbour.token_of(&terms), 90);
    let (first, _) = harbour.enrol_with(0, &mut holdings, &request, 90, day(1));
    holdings.settle(day(3));
    let again = harbour.admit(1, &holdings, &request, 99).expect("again");
    assert_eq!(again.certificate, first.certificate);
    assert_eq!(again.enrolment, None);
}

#[test]
fn a_repeated_device_gets_its_labels_of_today() {
    let mut harbour = harbour();
    let mut holdings = harbour.holdings(day(1));
    harbour.enrol(0, &mut holdings, 90, day(1));
    let relabel = Relabel {
        node: node(90),
        set: vec![(name("site"), name("kobe"))],
        remove: Vec::new(),
    };
    let content = codec::encode(&relabel);
    harbour.say(1, &mut holdings, EntryKind::RELABEL, content, day(2));
    let request = asks(&harbour.token(1), 90);
    let again = harbour.admit(1, &holdings, &request, 99).expect("again");
    assert_eq!(again.certificate.labels.to_string(), "site=kobe");
    assert_eq!(
        again.certificate.issuer,
        Issuer::Certificate(harbour.hands[1].serial)
    );
    assert!(again.certificate.window.to > day(31));
}

#[test]
fn a_certificate_that_cannot_be_shown_is_not_given() {
    let harbour = harbour();
    let holdings = harbour.holdings(day(1));
    let long = "v".repeat(64);
    let labels = (0..10).map(|number| (name(&format!("label-{number}")), name(&long)));
    let terms = InviteTerms {
        labels: Labels::from_pairs(labels).expect("labels"),
        ..harbour.terms(Rank::Device, 1)
    };
    let request = asks(&harbour.token_of(&terms), 90);
    let refused = harbour.admit(0, &holdings, &request, 90);
    assert_eq!(refused, Err(JoinRefusal::Long));
}

#[test]
fn invites_that_are_out_are_listed_with_their_uses() {
    let mut harbour = harbour();
    let mut holdings = harbour.holdings(day(1));
    let token = harbour.token(2);
    let give = |token: &regatta_protocol::trust::invite::token::Token| {
        codec::encode(&GivenInvite {
            invite: token.invite.clone(),
        })
    };
    harbour.say(1, &mut holdings, EntryKind::INVITE, give(&token), day(1));
    let mut forged = harbour.token(3);
    forged.invite.signatures[0] = token.invite.signatures[0];
    harbour.say(1, &mut holdings, EntryKind::INVITE, give(&forged), day(1));
    harbour.enrol_with(0, &mut holdings, &asks(&token, 90), 90, day(1));
    let [invite] = <[_; 1]>::try_from(Roll::of(&holdings).invites()).expect("the genuine one");
    assert_eq!(invite.id, token.invite.id());
    assert_eq!((invite.used_by, invite.uses_left), (vec![name("buoy")], 1));
    assert_eq!(
        (invite.author, invite.given_at),
        (harbour.hands[1].node, day(1))
    );
    assert!(!invite.expired && !invite.stopped);
    let order = stopped(Subject::Invite(invite.id), Vec::new());
    let order = harbour.hands[0].judge(order, day(2));
    deliver(&mut holdings, [&order]);
    holdings.settle(day(11));
    let invites = Roll::of(&holdings).invites();
    assert!(invites[0].expired && invites[0].stopped);
}

#[test]
fn a_roll_of_twenty_thousand_is_read_at_once() {
    let (fixture, [mut m1, ..], mut entries) = fleet();
    let certificate = device_certificate(90, &m1, &[("site", "osaka")]);
    let terms = InviteTerms {
        uses: 10_000,
        ..terms_for(&m1, 60, &certificate, None)
    };
    let invite = SignedInvite::sign(&terms, &[(0, m1.key.as_ref())]);
    for number in 0_u32..20_000 {
        let mut certificate = certificate.clone();
        certificate.node.0[..4].copy_from_slice(&number.to_le_bytes());
        certificate.keys.sign.0.0[..4].copy_from_slice(&number.to_le_bytes());
        entries.push(enrols_under(&mut m1, &invite, &certificate, 1));
    }
    let holdings = after(&fixture, &entries, day(2));
    let (devices, took) = timed(|| Roll::of(&holdings).devices());
    let contested = devices.iter().filter(|device| device.contested).count();
    assert_eq!((devices.len(), contested), (20_000, 10_001));
    assert!(took.as_secs() < 5, "{took:?}");
}
