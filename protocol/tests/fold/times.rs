//! What time it is: by whose word, never below what was stored, and not by a stopped signer.

use std::collections::BTreeSet;
use std::sync::Arc;

use regatta_protocol::clock::reference::{AgedTime, Floor, ReferenceTime, SignedTime, TimeClaim};
use regatta_protocol::crypto::sign::{Context, Signature};
use regatta_protocol::ident::{Hash, NodeId, Serial};
use regatta_protocol::ledger::entry::Entry;
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::ledger::message::{Digest, Message};
use regatta_protocol::ledger::replica::author::Identity;
use regatta_protocol::ledger::replica::{Effect, Event, PeerInfo, Replica, Role, Settings};
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::prng::Prng;

use crate::fixture::{Fixture, Hand, cheap, day, stopped};
use crate::scenarios::fleet;
use crate::state::after;

fn said(by: u8, at: Millis) -> AgedTime {
    let claim = TimeClaim {
        by: NodeId([by; 16]),
        serial: Serial([by; 16]),
        at,
    };
    let signature = Signature(Hash::ZERO, Hash::ZERO);
    let time = SignedTime { claim, signature };
    AgedTime { time, age_ms: 0 }
}

#[test]
fn reference_time_is_the_lower_median_and_moves_on_by_itself() {
    let mut time = ReferenceTime::default();
    let now = Millis(1_000);
    time.set_own(now, day(500));
    assert_eq!(
        (time.read(now.plus(5)), time.is_signed(now)),
        (day(500).plus(5), false)
    );
    time.take(now, said(1, day(3)));
    assert_eq!(time.read(now.plus(7)), day(3).plus(7));
    time.take(now, said(2, day(9)));
    assert_eq!(time.read(now), day(3), "of two the lower");
    time.take(now, said(3, day(5)));
    assert_eq!(time.read(now), day(5));
    // Two liars of five do not move it past the third.
    for liar in [4, 5] {
        time.take(now, said(liar, day(3000)));
    }
    assert_eq!(time.read(now), day(9));
    assert_eq!(
        time.take(now, said(1, day(2))),
        None,
        "an older word of the same is passed over"
    );
    assert_eq!(time.latest(now, 2).len(), 2);
}

#[test]
fn a_word_is_as_old_as_a_manager_says_it_is() {
    let mut time = ReferenceTime::default();
    let old = AgedTime {
        age_ms: 60_000,
        ..said(1, day(3))
    };
    time.take(Millis(0), old);
    assert_eq!(time.read(Millis(5)), day(3).plus(60_005));
    assert_eq!(time.latest(Millis(5), 1)[0].age_ms, 60_005);
    // However old it is said to be, it moves nothing by more than it may speak.
    let ancient = AgedTime {
        age_ms: u32::MAX,
        ..said(2, day(4))
    };
    time.take(Millis(5), ancient);
    assert!(time.read(Millis(5)) <= day(4).plus(15 * 60_000));
}

#[test]
fn a_stored_floor_outlives_a_restart_and_falls_with_its_signer() {
    let mut time = ReferenceTime::default();
    time.set_tellers(3);
    let floor = time.take(Millis(0), said(1, day(3)));
    let stored = Floor {
        by: NodeId([1; 16]),
        at: day(3),
        firm: false,
    };
    assert_eq!(floor, Some(stored));
    let mut woken = ReferenceTime::restore([stored]);
    woken.set_tellers(3);
    woken.set_own(Millis(0), Millis(77));
    assert_eq!(woken.read(Millis(5)), day(3), "a device that wakes in 1970");
    woken.take(Millis(5), said(2, day(1)));
    assert_eq!(woken.read(Millis(5)), day(3));
    woken.discard(&NodeId([1; 16]));
    assert_eq!(woken.read(Millis(5)), day(1));
    // Once its word is old it speaks no more; its floor does.
    let aged = Millis(5).plus(16 * 60_000);
    assert_eq!((woken.read(aged), woken.is_signed(aged)), (day(1), false));
}

#[test]
fn a_majority_outweighs_the_floor_that_one_left_and_nobody_outweighs_a_majoritys() {
    let mut time = ReferenceTime::default();
    time.set_tellers(3);
    time.take(Millis(0), said(1, day(300)));
    assert_eq!(time.read(Millis(0)), day(300), "the only one in reach");
    time.take(Millis(0), said(2, day(3)));
    assert_eq!(time.read(Millis(0)), day(3), "two of three say otherwise");
    // What they overruled does not come back once nobody is heard.
    let later = Millis(20 * 60_000);
    assert_eq!(time.read(later), day(3));
    // And no majority brings time below what a majority said before.
    time.take(later, said(2, day(2)));
    time.take(later, said(3, day(2)));
    assert_eq!(time.read(later), day(3));
}

fn device(holdings: Holdings) -> Replica {
    let me = Identity {
        node: NodeId([70; 16]),
        role: Role::Agent,
        serial: Serial([70; 16]),
        signer: cheap(70),
        not_before: Millis(0),
        tells_time: false,
        carries: false,
    };
    let time = ReferenceTime::default();
    let prng = Prng::from_number(1);
    let mut replica = Replica::new(me, Settings::default(), holdings, time, prng, true);
    let mut out = Vec::new();
    replica.handle(Millis(0), Event::Clock { wall: day(5) }, &mut out);
    replica
}

fn tell(replica: &mut Replica, by: &Hand, at: Millis) -> Millis {
    let claim = TimeClaim {
        by: by.node,
        serial: by.serial,
        at,
    };
    let time = SignedTime::sign(claim, &by.fleet, by.key.as_ref());
    let digest = Digest {
        trust: Hash::ZERO,
        fleet: Hash::ZERO,
        managers: None,
        scopes: None,
        own_scopes: Vec::new(),
        times: vec![AgedTime { time, age_ms: 0 }],
        answer: false,
    };
    hear(replica, by, Message::Digest(digest))
}

fn push(replica: &mut Replica, by: &Hand, entry: &Entry) -> Millis {
    let parcels = vec![entry.parcel.clone()];
    hear(replica, by, Message::Push { hops: 0, parcels })
}

fn hear(replica: &mut Replica, by: &Hand, message: Message) -> Millis {
    let mut out = Vec::new();
    let peer = PeerInfo {
        node: by.node,
        role: Role::Manager,
        carries: false,
    };
    replica.handle(Millis(0), Event::PeerUp(peer), &mut out);
    let from = by.node;
    replica.handle(Millis(0), Event::Received { from, message }, &mut out);
    replica.reference(Millis(0))
}

#[test]
fn the_only_manager_in_reach_cannot_sign_past_its_certificate_and_falls_by_an_order() {
    let (fixture, [mut m1, _, m3, m4], entries) = fleet();
    let mut replica = device(after(&fixture, &entries, day(5)));
    let year_2036 = day(3600);
    assert_eq!(
        tell(&mut replica, &m4, year_2036),
        day(5),
        "its certificate ends long before"
    );
    assert_eq!(tell(&mut replica, &m3, day(13)), day(5));
    // Within its certificate nobody else in reach can tell that it lies.
    assert_eq!(tell(&mut replica, &m4, day(365)), day(365));
    let order = fixture.order(&stopped(m4.subject(), Vec::new()));
    let judged = push(&mut replica, &m1, &m1.clone().carry(&order, day(5)));
    assert_eq!(judged, day(5));
    let signers: BTreeSet<_> = replica.time().signers().collect();
    assert!(signers.is_empty());
    assert_eq!(
        tell(&mut replica, &m4, day(360)),
        day(5),
        "a stopped signer is not heard"
    );
    assert_eq!(tell(&mut replica, &m1, day(6)), day(6));
    m1.restart(1);
}

#[test]
fn a_time_that_somebody_else_signed_moves_nothing() {
    let (fixture, [m1, ..], entries) = fleet();
    let mut replica = device(after(&fixture, &entries, day(5)));
    let mut thief = m1.clone();
    thief.key = cheap(66);
    assert_eq!(tell(&mut replica, &thief, day(9)), day(5));
    let claim = said(1, day(9)).time.claim;
    let bytes = regatta_protocol::codec::encode(&claim);
    // A word of another kind is none on the time.
    let other = m1.key.sign(Context::Presence, &m1.fleet, &bytes);
    let time = SignedTime {
        claim,
        signature: other,
    };
    assert!(!fixture.verify.verify(
        &m1.key.public(),
        Context::Time,
        &m1.fleet,
        &bytes,
        &time.signature
    ));
}

/// A manager whose own clock shows `wall`, and whether it gives anybody its word on that.
fn manager(fixture: &Fixture, hand: &Hand, entries: &[Entry], wall: Millis) -> (Replica, bool) {
    let me = Identity {
        node: hand.node,
        role: Role::Manager,
        serial: hand.serial,
        signer: Arc::clone(&hand.key),
        not_before: Millis(0),
        tells_time: true,
        carries: true,
    };
    let (time, prng) = (ReferenceTime::default(), Prng::from_number(1));
    let holdings = after(fixture, entries, wall);
    let mut replica = Replica::new(me, Settings::default(), holdings, time, prng, true);
    let mut out = Vec::new();
    replica.handle(Millis(0), Event::Clock { wall }, &mut out);
    let peer = PeerInfo {
        node: NodeId([77; 16]),
        role: Role::Agent,
        carries: false,
    };
    replica.handle(Millis(0), Event::PeerUp(peer), &mut out);
    let mut digests = out.iter().filter_map(|effect| match effect {
        Effect::Send {
            message: Message::Digest(digest),
            ..
        } => Some(digest),
        _ => None,
    });
    let speaks = digests.any(|digest| !digest.times.is_empty());
    assert_eq!(replica.reference(Millis(0)), wall, "nobody else was heard");
    (replica, speaks)
}

#[test]
fn a_clock_outside_its_managers_certificate_binds_not_even_that_manager() {
    let (fixture, [m1, m2, ..], entries) = fleet();
    for wall in [day(765), Millis(3)] {
        let (mut replica, speaks) = manager(&fixture, &m1, &entries, wall);
        assert!(!speaks, "who would believe it?");
        assert_eq!(tell(&mut replica, &m2, day(5)), day(5), "from {wall:?}");
    }
    let (_, speaks) = manager(&fixture, &m1, &entries, day(5));
    assert!(speaks);
}

#[test]
fn a_clock_behind_the_ends_of_all_other_certificates_is_no_majority() {
    let (fixture, [m1, m2, ..], mut entries) = fleet();
    let (late, statement) = fixture.manager(5, (0, 700));
    entries.push(m1.clone().carry(&statement, day(0)));
    let (mut replica, speaks) = manager(&fixture, &late, &entries, day(500));
    assert!(speaks, "its own certificate still holds then");
    assert_eq!(tell(&mut replica, &m1, day(5)), day(5));
    assert_eq!(tell(&mut replica, &m2, day(5)), day(5));
}
