//! Bodies on their way: near and far, by those who may not read them, lost, cut, forged, flooded.

use super::fleet::{Fleet, Member, TODAY};
use super::mesh::Mesh;
use crate::codec;
use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::message::{BodyClaim, BodyMessage, BodyRequest, Refusal};
use crate::ledger::bodies::tree::Unit;
use crate::ledger::bodies::{Event, Failure, Load, Misdeed};
use crate::limits::{BODY_ROUTES_MAX, BODY_ROUTES_UNKNOWN_MAX};
use crate::prng::Prng;

const MARKER: &[u8] = b"eyes of the selected alone";
const MINUTE_MS: u64 = 60_000;

/// A body that has the marker in each piece.
fn body(length: usize) -> Vec<u8> {
    let marked = MARKER.iter().copied().cycle();
    let numbered = marked.zip(0..length).map(|(byte, at)| {
        let piece = u8::try_from(at / (16 * 1024) % 251).unwrap_or(0);
        if at % (16 * 1024) < 26 * 600 {
            byte
        } else {
            piece
        }
    });
    numbered.collect()
}

/// Nodes of which the first and the last are in Osaka and the others in Kobe; the body, which the
/// last one holds, is for Osaka.
fn mesh(count: u8, length: usize, seed: u64) -> (Mesh, Hash) {
    let mut fleet = Fleet::new(seed);
    let site = |number| {
        if number == 0 || number == count - 1 {
            "osaka"
        } else {
            "kobe"
        }
    };
    let members: Vec<Member> = (0..count)
        .map(|number| fleet.device(number, site(number)))
        .collect();
    let bytes = body(length);
    let hash = fleet.publish(&bytes, "site=osaka", None);
    let mut mesh = Mesh::new(fleet, members, seed);
    mesh.hold(usize::from(count) - 1, &bytes);
    (mesh, hash)
}

fn is_request(message: &BodyMessage) -> bool {
    matches!(message, BodyMessage::Request { .. })
}

fn is_piece(message: &BodyMessage) -> bool {
    matches!(message, BodyMessage::Answer { unit, .. } if matches!(unit, Unit::Piece(_)))
}

#[test]
fn a_selected_node_four_links_away_gets_what_nobody_between_can_read() {
    let (mut mesh, hash) = mesh(5, 100_000, 1);
    mesh.line();
    mesh.want(0, hash, 100_000);
    assert!(mesh.run(MINUTE_MS, |mesh| mesh.has(0, &hash)));
    assert!(!mesh.leaks(MARKER), "the plaintext crossed a link");
    assert!((1..4).all(|between| mesh.nodes[between].parts.is_empty()));
    assert_eq!(mesh.unduly_held(), Vec::<usize>::new());
    assert!(mesh.run(MINUTE_MS, |mesh| {
        mesh.nodes
            .iter()
            .all(|node| node.bodies.load() == Load::default())
    }));
}

#[test]
fn the_search_for_plaintext_finds_it() {
    let (mut mesh, _) = mesh(5, 100, 1);
    mesh.wire.push((0, 1, body(100_000)));
    assert!(mesh.leaks(MARKER));
}

#[test]
fn five_links_are_too_far_and_end_in_a_clear_failure() {
    let (mut mesh, hash) = mesh(6, 1_000, 2);
    mesh.line();
    mesh.want(0, hash, 1_000);
    assert!(mesh.run(2 * MINUTE_MS, |mesh| !mesh.nodes[0].failed.is_empty()));
    assert_eq!(mesh.nodes[0].failed, [Failure::Refused(Refusal::Absent)]);
    assert_eq!(mesh.crossed(4, 5, is_request), 0);
    assert!(mesh.nodes.iter().all(|node| node.bodies.load().routes == 0));
}

#[test]
fn a_node_that_is_not_selected_never_gets_it() {
    let (mut mesh, hash) = mesh(4, 1_000, 3);
    mesh.line();
    mesh.want(2, hash, 1_000);
    assert!(mesh.run(2 * MINUTE_MS, |mesh| !mesh.nodes[2].failed.is_empty()));
    assert_eq!(
        mesh.nodes[2].failed,
        [Failure::Refused(Refusal::NotSelected)]
    );
    assert!(mesh.unduly_held().is_empty() && mesh.nodes[2].parts.is_empty());
}

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
fn a_wish_that_comes_by_two_ways_is_asked_on_once() {
    // 0 asks 1 and 2; both ask 3; the body lies behind it.
    let (mut mesh, hash) = mesh(5, 50_000, 4);
    for (left, right) in [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)] {
        mesh.link(left, right);
    }
    mesh.want(0, hash, 50_000);
    assert!(mesh.run(MINUTE_MS, |mesh| mesh.has(0, &hash)));
    assert_eq!(
        mesh.crossed(1, 3, is_request) + mesh.crossed(2, 3, is_request),
        2
    );
    assert_eq!(mesh.crossed(3, 4, is_request), 1);
    assert_eq!(
        mesh.crossed(3, 1, is_piece) + mesh.crossed(3, 2, is_piece),
        4
    );
}

/// A request of `member`, signed anew.
fn request(mesh: &mut Mesh, member: &Member, hash: Hash, bytes: u64) -> BodyRequest {
    let claim = BodyClaim {
        hash,
        bytes,
        node: member.certificate.node,
        serial: member.signed.serial(),
        nonce: [mesh.prng.next_u64(), mesh.prng.next_u64()],
        issued: TODAY.plus(mesh.now.0),
    };
    let certificates = vec![member.signed.clone()];
    BodyRequest::sign(claim, certificates, &mesh.fleet.id, member.key.as_ref())
}

fn ask(mesh: &mut Mesh, from: usize, to: usize, request: BodyRequest) {
    let message = BodyMessage::Request {
        hops_left: 3,
        request: Box::new(request),
    };
    mesh.send(from, to, &message);
}

#[test]
fn two_requests_for_one_wish_go_once_through_a_neighbour() {
    let (mut mesh, hash) = mesh(3, 1_000, 5);
    mesh.line();
    let member = mesh.nodes[0].member.clone();
    for _ in 0..2 {
        let request = request(&mut mesh, &member, hash, 1_000);
        ask(&mut mesh, 0, 1, request);
    }
    mesh.run(1_000, |_| false);
    assert_eq!(mesh.crossed(1, 2, is_request), 1);
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
fn a_cut_transfer_goes_on_from_what_is_held() {
    let (mut mesh, hash) = mesh(4, 2_000_000, 9);
    mesh.line();
    mesh.want(0, hash, 2_000_000);
    let half = |mesh: &Mesh| mesh.nodes[0].parts.get(&hash).is_some_and(|p| p.len() > 60);
    assert!(mesh.run(MINUTE_MS, half));
    mesh.cut(1, 2);
    mesh.run(10_000, |_| false);
    let before = mesh.crossed(3, 2, is_piece);
    mesh.link(1, 2);
    assert!(mesh.run(5 * MINUTE_MS, |mesh| mesh.has(0, &hash)));
    let after = mesh.crossed(3, 2, is_piece) - before;
    assert!(
        before + after <= 123 + 8,
        "{before} + {after} pieces for 123"
    );
}

#[test]
fn a_crashed_requester_goes_on_from_its_store() {
    let (mut mesh, hash) = mesh(4, 9_000_000, 10);
    mesh.line();
    mesh.want(0, hash, 9_000_000);
    let some = |mesh: &Mesh| {
        mesh.nodes[0]
            .parts
            .get(&hash)
            .is_some_and(|p| p.len() > 300)
    };
    assert!(mesh.run(MINUTE_MS, some));
    mesh.crash(0);
    assert!(mesh.run(5 * MINUTE_MS, |mesh| mesh.has(0, &hash)));
    // `Mesh` itself asserts that no part is stored twice.
    assert!(mesh.crossed(3, 2, is_piece) <= 550 + 16);
}

#[test]
fn whatever_is_lost_and_cut_the_body_arrives_in_the_end_and_nowhere_else() {
    for seed in 0..20 {
        let count = 6 + (seed % 5) as u8;
        let (mut mesh, hash) = mesh(count, 150_000, 100 + seed);
        let count = usize::from(count);
        // A ring whose last node is at most four links away, with a chord or two.
        mesh.line();
        mesh.link(0, count / 2);
        mesh.link(count / 2, count - 2);
        mesh.loss_per_million = 100_000;
        mesh.want(0, hash, 150_000);
        for _ in 0..6 {
            mesh.run(3_000, |_| false);
            let at = mesh.prng.below(count as u64 - 1) as usize;
            if mesh.prng.chance(500_000) {
                mesh.crash(at);
            } else if mesh.links.contains(&(at, at + 1)) {
                mesh.cut(at, at + 1);
                mesh.run(1_000, |_| false);
                mesh.link(at, at + 1);
            }
        }
        mesh.loss_per_million = 0;
        mesh.run(2 * MINUTE_MS, |mesh| mesh.has(0, &hash));
        if !mesh.has(0, &hash) {
            // It gave up under the faults: it is wanted again, as its owner would.
            mesh.want(0, hash, 150_000);
            mesh.run(2 * MINUTE_MS, |mesh| mesh.has(0, &hash));
        }
        assert!(mesh.has(0, &hash), "seed {seed} did not get it");
        assert!(
            mesh.unduly_held().is_empty() && !mesh.leaks(MARKER),
            "seed {seed}"
        );
        assert!(
            mesh.nodes.iter().all(|node| node.blamed.is_empty()),
            "seed {seed}"
        );
    }
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
