//! Members that steal, lie, forge and flood: what they gain, what they cost, and who is blamed for it.

use super::fleet::Member;
use super::transfers::{MARKER, MINUTE_MS, ask, body, is_piece, mesh, request};
use crate::codec;
use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::message::{BodyMessage, BodyRequest, Refusal};
use crate::ledger::bodies::tree::Unit;
use crate::ledger::bodies::{Event, Failure, Load, Misdeed};
use crate::limits::{BODY_ROUTES_MAX, BODY_ROUTES_UNKNOWN_MAX};
use crate::prng::Prng;

#[test]
fn a_holder_that_serves_the_wrong_node_is_caught() {
    let (mut mesh, hash) = mesh(4, 1_000, 3);
    mesh.line();
    mesh.nodes[3].careless = true;
    mesh.want(2, hash, 1_000);
    assert!(mesh.run(MINUTE_MS, |mesh| mesh.has(2, &hash)));
    assert_eq!(mesh.unduly_held(), [2]);
}

#[test]
fn a_recorded_request_gives_a_thief_nothing() {
    // 2 lies next to the holder, is not selected, and sends what 0 once sent.
    let (mut mesh, hash) = mesh(4, 1_000, 6);
    mesh.link(2, 3);
    let victim = mesh.nodes[0].member.clone();
    let recorded = request(&mut mesh, &victim, hash, 1_000);
    ask(&mut mesh, 2, 3, recorded.clone());
    mesh.run(1_000, |_| false);
    let outline = mesh.crossed(3, 2, |message| {
        matches!(message, BodyMessage::Answer { .. })
    });
    assert_eq!(outline, 1, "it is served, to the victim's key");
    assert!(!mesh.leaks(MARKER) && mesh.nodes[2].parts.is_empty());
    // A thief's own certificate under the victim's claim, and a claim that is too old.
    let mut forged = recorded.clone();
    forged.certificates = vec![mesh.nodes[2].member.signed.clone()];
    forged.claim.nonce = [0, 1];
    ask(&mut mesh, 2, 3, forged);
    mesh.run(1_000, |_| false);
    let thief = NodeId([2; 16]);
    assert_eq!(mesh.nodes[3].blamed, [(thief, Misdeed::Forgery)]);
    mesh.cut(2, 3);
    mesh.link(2, 3);
    mesh.now = mesh.now.plus(20 * MINUTE_MS);
    mesh.wire.clear();
    ask(&mut mesh, 2, 3, recorded);
    mesh.run(1_000, |_| false);
    let unproven = |message: &BodyMessage| {
        matches!(
            message,
            BodyMessage::Refused {
                refusal: Refusal::Unproven,
                ..
            }
        )
    };
    assert_eq!(mesh.crossed(3, 2, unproven), 1);
}

#[test]
fn a_lying_holder_is_refused_and_blamed_and_another_is_asked() {
    let (mut mesh, hash) = mesh(4, 100_000, 7);
    mesh.hold(1, &body(100_000));
    mesh.nodes[1].lies = true;
    mesh.link(0, 1);
    mesh.want(0, hash, 100_000);
    mesh.run(1_000, |_| false);
    assert_eq!(
        mesh.nodes[0].blamed,
        [(NodeId([1; 16]), Misdeed::WrongBytes)]
    );
    assert_eq!(mesh.nodes[0].bodies.counters().wrong, 1);
    mesh.link(0, 2);
    mesh.link(2, 3);
    assert!(mesh.run(MINUTE_MS, |mesh| mesh.has(0, &hash)));
}

#[test]
fn a_lying_holder_far_away_does_not_make_its_neighbours_guilty() {
    let (mut mesh, hash) = mesh(4, 100_000, 8);
    mesh.line();
    mesh.nodes[3].lies = true;
    mesh.want(0, hash, 100_000);
    assert!(mesh.run(5 * MINUTE_MS, |mesh| !mesh.nodes[0].failed.is_empty()));
    assert_eq!(mesh.nodes[0].failed, [Failure::WrongBytes]);
    assert!(mesh.nodes.iter().all(|node| node.blamed.is_empty()));
}

#[test]
fn a_flood_of_requests_for_unknown_hashes_leaves_memory_bounded_and_others_served() {
    let (mut mesh, hash) = mesh(5, 1_000, 11);
    mesh.line();
    // 2 floods its neighbour 1.
    let member = mesh.nodes[2].member.clone();
    for number in 0..3_000_u64 {
        let unknown = Hash::of(&number.to_le_bytes());
        let request = request(&mut mesh, &member, unknown, 1_000);
        ask(&mut mesh, 2, 1, request);
        if number % 100 == 0 {
            mesh.run(100, |_| false);
        }
    }
    mesh.run(1_000, |_| false);
    let load = mesh.nodes[1].load_max;
    assert!(load.routes <= BODY_ROUTES_UNKNOWN_MAX, "{load:?}");
    assert!(load.remembered <= 2 * BODY_ROUTES_MAX, "{load:?}");
    assert_eq!(mesh.nodes[1].blamed, [(NodeId([2; 16]), Misdeed::Flood)]);
    // Behind it nobody is blamed for what it passed on, and what is known still passes.
    assert!(mesh.nodes[0].blamed.is_empty());
    mesh.cut(1, 2);
    mesh.link(1, 3);
    mesh.want(0, hash, 1_000);
    assert!(mesh.run(MINUTE_MS, |mesh| mesh.has(0, &hash)));
}

#[test]
fn a_device_that_is_stopped_in_the_middle_gets_no_further_part() {
    let (mut mesh, hash) = mesh(2, 2_000_000, 12);
    mesh.line();
    mesh.want(0, hash, 2_000_000);
    assert!(mesh.run(MINUTE_MS, |mesh| {
        mesh.nodes[0]
            .parts
            .get(&hash)
            .is_some_and(|parts| parts.len() > 20)
    }));
    // Its certificate lapses for the holder, which is how a stop looks to the library as well.
    mesh.now = mesh.now.plus(21 * crate::limits::DAY_MS);
    let before = mesh.crossed(1, 0, is_piece);
    mesh.run(MINUTE_MS, |_| false);
    assert!(mesh.crossed(1, 0, is_piece) <= before + 8);
    assert!(!mesh.has(0, &hash));
}

#[test]
fn answers_that_nobody_asked_for_are_not_passed_on() {
    let (mut mesh, hash) = mesh(3, 1_000_000, 13);
    mesh.line();
    let member = mesh.nodes[0].member.clone();
    let request = request(&mut mesh, &member, hash, 1_000_000);
    let id = request.id();
    ask(&mut mesh, 0, 1, request);
    mesh.run(1_000, |_| false);
    let sealed = codec::Bytes::from(vec![0; 100]);
    for index in 0..50 {
        let unit = Unit::Piece(index);
        let sealed = sealed.clone();
        mesh.send(
            2,
            1,
            &BodyMessage::Answer {
                id,
                hops: 0,
                unit,
                sealed,
            },
        );
    }
    mesh.run(1_000, |_| false);
    assert_eq!(mesh.crossed(1, 0, is_piece), 0);
    assert_eq!(mesh.nodes[1].bodies.counters().stray, 50);
}

#[test]
fn whatever_a_member_sends_nothing_breaks() {
    let (mut mesh, hash) = mesh(3, 100_000, 14);
    mesh.line();
    mesh.want(0, hash, 100_000);
    let mut prng = Prng::from_number(14);
    for _ in 0..3_000 {
        let (_, _, mut bytes) = mesh.wire[prng.below(mesh.wire.len() as u64) as usize].clone();
        for _ in 0..prng.below(3) {
            let at = prng.below(bytes.len() as u64) as usize;
            bytes[at] = prng.bytes::<1>()[0];
        }
        let (from, to) = if prng.chance(500_000) { (1, 0) } else { (0, 1) };
        let from = mesh.nodes[from].member.certificate.node;
        let event = match codec::decode(&bytes) {
            Ok(message) => Event::Received { from, message },
            Err(_) => Event::Malformed { from },
        };
        mesh.tell(to, event);
        mesh.run(10, |_| false);
        mesh.wire.truncate(200);
    }
    assert!(mesh.unduly_held().is_empty());
}

#[test]
fn a_claim_that_its_requester_did_not_sign_is_forgery() {
    let spoil: [fn(&mut BodyRequest, &Member); 3] = [
        |request, _| request.claim.nonce = [0, 1],
        |request, _| request.claim.bytes += 1,
        |request, thief| {
            request.certificates = vec![thief.signed.clone()];
            request.claim.serial = thief.signed.serial();
        },
    ];
    for (case, spoil) in spoil.into_iter().enumerate() {
        let (mut mesh, hash) = mesh(3, 1_000, 17);
        mesh.line();
        let victim = mesh.nodes[0].member.clone();
        let mut request = request(&mut mesh, &victim, hash, 1_000);
        spoil(&mut request, &mesh.nodes[1].member);
        ask(&mut mesh, 1, 2, request);
        mesh.run(1_000, |_| false);
        let blamed = [(NodeId([1; 16]), Misdeed::Forgery)];
        assert_eq!(mesh.nodes[2].blamed, blamed, "case {case}");
        assert!(
            mesh.nodes[2].bodies.load() == Load::default(),
            "case {case}"
        );
    }
}

#[test]
fn requests_that_nobody_answers_fill_no_table() {
    let (mut mesh, hash) = mesh(4, 1_000, 18);
    mesh.line();
    mesh.loss_per_million = 1_000_000;
    let member = mesh.nodes[2].member.clone();
    for number in 0..400_u64 {
        let unknown = Hash::of(&number.to_le_bytes());
        let request = Box::new(request(&mut mesh, &member, unknown, 1_000));
        let from = mesh.nodes[2].member.certificate.node;
        let message = BodyMessage::Request {
            hops_left: 3,
            request,
        };
        mesh.tell(1, Event::Received { from, message });
        mesh.run(50, |_| false);
    }
    let load = mesh.nodes[1].load_max;
    assert!(load.routes <= BODY_ROUTES_UNKNOWN_MAX / 4, "{load:?}");
    // What an entry names still passes, and in the end nothing is left.
    mesh.loss_per_million = 0;
    mesh.want(0, hash, 1_000);
    assert!(mesh.run(MINUTE_MS, |mesh| mesh.has(0, &hash)));
    mesh.run(MINUTE_MS, |_| false);
    assert!(mesh.nodes[1].bodies.load() == Load::default());
}
