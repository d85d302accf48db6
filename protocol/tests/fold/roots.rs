//! The root: rotations, thresholds, what is kept, and what nobody signed.

use std::sync::Arc;

use regatta_protocol::codec::{self, Bytes};
use regatta_protocol::crypto::sign::{Context, Ed25519, SecretKey, Sign};
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::entry::Entry;
use regatta_protocol::ledger::holdings::{Holdings, Offered};
use regatta_protocol::trust::root::{RootDocument, RootError, SignedRoot};
use regatta_protocol::trust::statement::Statement;

use crate::fixture::{
    Cheap, Fixture, cheap, day, deliver, device, every_grant, name, revision, set, signatures,
    stopped,
};
use crate::scenarios::{counts, fleet, winner};
use crate::state::{after, all_orders_agree};

fn rotation(statement: &Statement) -> SignedRoot {
    match statement {
        Statement::Rotate(signed) => signed.clone(),
        _ => panic!("a rotation"),
    }
}

/// What a document that follows the first one comes to.
fn advance(fixture: &Fixture, signed: SignedRoot) -> Result<bool, RootError> {
    let first = fixture.first.clone();
    let verify = fixture.verify.as_ref();
    let mut roots = regatta_protocol::trust::root::RootChain::begin(fixture.fleet, first, verify)?;
    roots.advance(signed, verify)
}

#[test]
fn a_rotation_needs_both_sets_and_the_keys_that_were_committed_to() {
    let fixture = Fixture::with(
        Arc::new(Cheap),
        vec![cheap(200), cheap(201), cheap(202)],
        2,
        vec![cheap(210), cheap(211), cheap(212)],
    );
    let good = rotation(&fixture.clone().rotate(vec![cheap(220)], &[]));
    assert_eq!(advance(&fixture, good.clone()), Ok(true));
    let with = |change: &dyn Fn(&mut SignedRoot)| {
        let mut changed = good.clone();
        change(&mut changed);
        advance(&fixture, changed)
    };
    // Two of three are enough, one is not, and one twice is one.
    assert_eq!(with(&|root| root.before.truncate(2)), Ok(true));
    assert_eq!(with(&|root| root.own.truncate(2)), Ok(true));
    let too_few = |whose| Err(RootError::Signatures { found: 2, whose });
    assert_eq!(
        with(&|root| root.before.truncate(1)),
        too_few("the earlier root's")
    );
    assert_eq!(
        with(&|root| root.own = vec![root.own[0]; 3]),
        too_few("its own")
    );
    assert_eq!(with(&|root| root.own.clear()), too_few("its own"));
}

#[test]
fn a_thief_of_todays_root_key_cannot_take_the_fleet_along() {
    let fixture = Fixture::new();
    let mut thief = fixture.clone();
    thief.root.next = vec![cheap(66)];
    let stolen = rotation(&thief.rotate(vec![cheap(67)], &[]));
    let refused = advance(&fixture, stolen);
    assert_eq!(refused, Err(RootError::Commitment { found: 2 }));
}

#[test]
fn rotations_count_in_whatever_order_they_come() {
    let (mut fixture, [mut m1, mut m2, mut m3, m4], before) = fleet();
    let genesis = fixture.clone();
    let kept: Vec<Statement> = [1, 2, 3]
        .map(|number| {
            let last = if number == 3 { 12 } else { 365 };
            fixture.manager(number, (0, last)).1
        })
        .to_vec();
    let keeps: Vec<&Statement> = kept.iter().collect();
    let second = fixture.rotate(vec![cheap(202)], &keeps);
    let third = fixture.rotate(vec![cheap(203)], &keeps);
    let (mut fifth, certified) = fixture.manager(5, (0, 365));
    let mut dropped = m4;
    let document = dropped.revise("hull", &[], day(1));
    let story = vec![
        m1.carry(&second, day(1)),
        m2.carry(&third, day(1)),
        m3.carry(&certified, day(1)),
        fifth.revise("sails", &[], day(2)),
        document.clone(),
    ];
    all_orders_agree(&genesis, &before, &story, day(5));
    let holdings = after(&genesis, &[before, story].concat(), day(5));
    assert_eq!(holdings.record().roots().current().number, 3);
    assert_eq!(winner(&holdings, "sails"), Some((day(2), 0)));
    // The fourth manager was not kept: what it wrote is held, as everywhere, and does not count.
    assert!(!counts(&holdings, &document));
    assert_eq!(winner(&holdings, "hull"), None);
    assert!(holdings.chains().contains_key(&document.header.ledger));
}

#[test]
fn of_two_rotations_that_follow_one_root_every_node_keeps_the_same() {
    let (mut fixture, [mut m1, mut m2, ..], before) = fleet();
    let genesis = fixture.clone();
    let kept: Vec<Statement> = [1, 2]
        .map(|number| fixture.manager(number, (0, 365)).1)
        .to_vec();
    let keeps: Vec<&Statement> = kept.iter().collect();
    let mut other = fixture.clone();
    let (left, right) = (
        fixture.rotate(vec![cheap(202)], &keeps),
        other.rotate(vec![cheap(203)], &[]),
    );
    let (after_left, after_right) = (fixture.rotate(vec![], &keeps), other.rotate(vec![], &[]));
    let (_, by_left) = fixture.manager(5, (0, 365));
    let story = vec![
        m1.carry(&left, day(1)),
        m2.carry(&right, day(1)),
        m1.carry(&after_left, day(1)),
        m2.carry(&after_right, day(1)),
        m2.carry(&by_left, day(1)),
    ];
    all_orders_agree(&genesis, &before, &story, day(5));
    let hash_of = |statement: &Statement| Hash::of(&rotation(statement).bytes);
    let lower = hash_of(&left).min(hash_of(&right));
    let holdings = after(&genesis, &[before, story].concat(), day(5));
    assert_eq!(holdings.record().roots().current().previous, lower);
}

#[test]
fn what_a_later_root_does_not_keep_stops_counting() {
    let (mut fixture, [mut m1, ..], mut entries) = fleet();
    let genesis = fixture.clone();
    let (_, own) = fixture.manager(1, (0, 365));
    let order = fixture.order(&stopped(device(50), Vec::new()));
    entries.push(m1.carry(&order, day(1)));
    let mut dropped = entries.clone();
    entries.push(m1.carry(
        &fixture.clone().rotate(vec![cheap(9)], &[&own, &order]),
        day(2),
    ));
    dropped.push(
        m1.clone()
            .carry(&fixture.rotate(vec![cheap(9)], &[&own]), day(2)),
    );
    let stands = |entries: &[Entry]| {
        after(&genesis, entries, day(5))
            .judgement()
            .stopped_nodes
            .len()
    };
    assert_eq!((stands(&entries), stands(&dropped)), (1, 0));
}

#[test]
fn forged_statements_are_refused_and_take_no_memory() {
    let (fixture, [mut m1, mut m2, ..], entries) = fleet();
    let mut holdings = after(&fixture, &entries, day(1));
    let taken = |holdings: &Holdings| holdings.record().statements().count();
    let known = taken(&holdings);
    let mut thief = fixture.clone();
    thief.root.keys = vec![cheap(66)];
    for number in 0..1000 {
        thief.root.number = 1 + number % 3;
        let (mut stranger, certificate) =
            thief.manager((number % 250) as u8, (0, u64::from(number)));
        holdings.take_statement(&certificate);
        let carried = stranger.carry(&certificate, day(1));
        assert_eq!(holdings.offer(&carried), Offered::UnknownSigner);
        holdings.take_statement(&thief.order(&stopped(device(number as u8), Vec::new())));
    }
    assert_eq!(taken(&holdings), known);
    // A signature beside those of the root makes no second statement of one.
    let order = fixture.order(&stopped(device(50), Vec::new()));
    holdings.take_statement(&order);
    assert_eq!(taken(&holdings), known + 1);
    let Statement::Order(mut padded) = order else {
        panic!("an order");
    };
    let garbage = padded.signatures[0];
    padded.signatures.push(garbage);
    holdings.take_statement(&Statement::Order(padded));
    assert_eq!(taken(&holdings), known + 1);
    // Of what a manager carries and nobody can check yet, so much waits and no more; others' waits.
    let mut later = fixture.clone();
    let (_, own) = fixture.manager(1, (0, 365));
    let (_, second) = fixture.manager(2, (0, 365));
    let rotation = later.rotate(vec![cheap(9)], &[&own, &second]);
    thief.root.number = 2;
    for number in 0..1000 {
        let (_, certificate) = thief.manager(7, (0, number));
        holdings.offer(&m1.carry(&certificate, day(1)));
    }
    let (_, genuine) = later.manager(5, (0, 365));
    holdings.offer(&m2.carry(&genuine, day(1)));
    holdings.offer(&m1.carry(&rotation, day(2)));
    holdings.settle(day(3));
    assert!(
        holdings
            .record()
            .managers()
            .values()
            .any(|known| known.name.as_str() == "m5")
    );
    assert_eq!(
        taken(&holdings),
        known + 3,
        "the order, the rotation and the fifth manager"
    );
}

#[test]
fn real_signatures_hold_and_forged_ones_do_not() {
    let key = |number: u8| -> Arc<dyn Sign> { Arc::new(SecretKey::from_bytes(&[number; 32])) };
    let fixture = Fixture::with(Arc::new(Ed25519), vec![key(200)], 1, vec![key(201)]);
    let (mut m1, certificate) = fixture.manager_with(1, key(1), (0, 365), every_grant());
    let mut holdings = fixture.holdings();
    let carried = m1.carry(&certificate, day(0));
    deliver(&mut holdings, [&carried]);
    let mut thief = m1.clone();
    let document = m1.revise("hull", &[], day(1));
    thief.key = key(2);
    let forged = thief.revise("hull", &[revision(&document)], day(2));
    assert_eq!(holdings.offer(&forged), Offered::Forged);
    assert!(matches!(holdings.offer(&document), Offered::Added { .. }));
    holdings.settle(day(3));
    assert_eq!(winner(&holdings, "hull"), Some((day(1), 0)));
}

#[test]
fn a_root_without_sense_is_refused() {
    let fixture = Fixture::new();
    let with = |keys: Vec<Arc<dyn Sign>>, threshold| {
        let document = RootDocument {
            number: 2,
            previous: fixture.root.hash,
            name: name("regatta"),
            created: day(0),
            keys: set(&keys, threshold),
            next: Hash::ZERO,
            keeps: Vec::new(),
        };
        let bytes = Bytes::from(codec::encode(&document));
        let own = signatures(&keys, Context::Root, &fixture.fleet, &bytes);
        let before = own.clone();
        advance(&fixture, SignedRoot { bytes, own, before })
    };
    assert_eq!(with(vec![cheap(1), cheap(1)], 1), Err(RootError::Keys));
    assert_eq!(with(vec![cheap(1)], 2), Err(RootError::Keys));
    assert_eq!(with(vec![cheap(1)], 0), Err(RootError::Keys));
    assert_eq!(with(Vec::new(), 0), Err(RootError::Keys));
}
