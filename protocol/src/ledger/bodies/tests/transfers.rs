//! Bodies on their way: near and far, by those who may not read them, lost, cut and taken up again.

use super::fleet::{Fleet, Member, TODAY};
use super::mesh::{Mesh, Slow};
use crate::ident::Hash;
use crate::ledger::bodies::message::{BodyClaim, BodyMessage, BodyRequest, Refusal};
use crate::ledger::bodies::tree::Unit;
use crate::ledger::bodies::{Failure, Load};

pub const MARKER: &[u8] = b"eyes of the selected alone";
pub const MINUTE_MS: u64 = 60_000;

/// A body that has the marker in each piece.
pub fn body(length: usize) -> Vec<u8> {
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
pub fn mesh(count: u8, length: usize, seed: u64) -> (Mesh, Hash) {
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

pub fn is_request(message: &BodyMessage) -> bool {
    matches!(message, BodyMessage::Request { .. })
}

pub fn is_piece(message: &BodyMessage) -> bool {
    let (BodyMessage::Answer { unit, .. } | BodyMessage::Part { unit, .. }) = message else {
        return false;
    };
    matches!(unit, Unit::Piece(_))
}

/// A request of `member`, signed anew.
pub fn request(mesh: &mut Mesh, member: &Member, hash: Hash, bytes: u64) -> BodyRequest {
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

pub fn ask(mesh: &mut Mesh, from: usize, to: usize, request: BodyRequest) {
    let message = BodyMessage::Request {
        hops_left: 3,
        request: Box::new(request),
    };
    mesh.send(from, to, &message);
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
fn a_way_that_reaches_further_takes_over_from_one_that_came_first() {
    // By 1 the request may cross one more link behind 3, by 2 three: the body is two links behind.
    let (mut mesh, hash) = mesh(6, 1_000, 16);
    for (left, right) in [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (4, 5)] {
        mesh.link(left, right);
    }
    let member = mesh.nodes[0].member.clone();
    let request = request(&mut mesh, &member, hash, 1_000);
    for (by, hops_left) in [(1, 1), (2, 3)] {
        let request = Box::new(request.clone());
        mesh.send(by, 3, &BodyMessage::Request { hops_left, request });
    }
    mesh.run(1_000, |_| false);
    assert_eq!(mesh.crossed(4, 5, is_request), 1);
    let answers = |message: &BodyMessage| matches!(message, BodyMessage::Answer { .. });
    assert_eq!(
        (mesh.crossed(3, 2, answers), mesh.crossed(3, 1, answers)),
        (1, 0)
    );
}

#[test]
fn a_slow_link_carries_each_part_about_once() {
    for rate in [12_000, 3_000, 1_000] {
        let (mut mesh, hash) = mesh(2, 200_000, 21);
        mesh.line();
        mesh.slow = Some(Slow {
            bytes_per_second: rate,
            ..Slow::default()
        });
        mesh.want(0, hash, 200_000);
        let there = mesh.run(60 * MINUTE_MS, |mesh| mesh.has(0, &hash));
        assert!(there, "at {rate} bytes a second");
        // 13 pieces, and what is on its way when the holder takes the silence for an end.
        let pieces = mesh.crossed(1, 0, is_piece);
        assert!(pieces <= 26, "{pieces} at {rate} bytes a second");
    }
}
