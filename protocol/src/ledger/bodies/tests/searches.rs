//! Whom a node asks, in which order, how many at once, and what it does when keys or neighbours change.

use super::fleet::{Fleet, Member};
use super::mesh::Mesh;
use crate::codec::Bytes;
use crate::ident::Hash;
use crate::ledger::bodies::library::Reading;
use crate::ledger::bodies::message::BodyMessage;
use crate::ledger::bodies::tree::{Partial, Unit};
use crate::ledger::bodies::{Effect, Event, Failure};
use crate::limits::{BODY_FETCHES_MAX, BODY_WANTS_MAX, FILE_BYTES_MAX};
use crate::machine::{Machine, Millis};

const MINUTE_MS: u64 = 60_000;

fn is_request(message: &BodyMessage) -> bool {
    matches!(message, BodyMessage::Request { .. })
}

/// A node with `around` neighbours, none of which knows another; all are for Osaka.
fn star(around: u8, seed: u64) -> Mesh {
    let mut fleet = Fleet::new(seed);
    let members: Vec<Member> = (0..=around)
        .map(|number| fleet.device(number, "osaka"))
        .collect();
    Mesh::new(fleet, members, seed)
}

fn link_all(mesh: &mut Mesh) {
    for other in 1..mesh.nodes.len() {
        mesh.link(0, other);
    }
}

#[test]
fn the_last_of_many_neighbours_is_found_three_at_a_time() {
    let mut mesh = star(9, 1);
    let hash = mesh.fleet.publish(b"moor here", "site=osaka", None);
    link_all(&mut mesh);
    mesh.hold(7, b"moor here");
    mesh.want(0, hash, 9);
    let asked = mesh.wire.len();
    assert_eq!(asked, 3);
    assert!(mesh.run(MINUTE_MS, |mesh| mesh.has(0, &hash)));
}

#[test]
fn managers_are_asked_first() {
    let mut fleet = Fleet::new(2);
    let mut members: Vec<Member> = (0..8).map(|number| fleet.device(number, "osaka")).collect();
    members.push(fleet.manager.clone());
    let hash = fleet.publish(b"chart", "site=osaka", None);
    let mut mesh = Mesh::new(fleet, members, 2);
    link_all(&mut mesh);
    mesh.hold(8, b"chart");
    mesh.want(0, hash, 5);
    assert_eq!(mesh.crossed(0, 8, is_request), 1);
    assert!(mesh.run(1_000, |mesh| mesh.has(0, &hash)));
}

#[test]
fn what_is_wanted_before_anybody_is_there_comes_when_somebody_is() {
    let mut mesh = star(1, 3);
    let hash = mesh.fleet.publish(b"early", "site=osaka", None);
    mesh.want(0, hash, 5);
    mesh.run(10 * MINUTE_MS, |_| false);
    assert!(
        mesh.nodes[0].failed.is_empty(),
        "nobody was there to refuse"
    );
    mesh.hold(1, b"early");
    mesh.link(0, 1);
    assert!(mesh.run(1_000, |mesh| mesh.has(0, &hash)));
}

#[test]
fn many_bodies_come_a_few_at_a_time() {
    let mut mesh = star(1, 4);
    mesh.link(0, 1);
    let bodies: Vec<Vec<u8>> = (0..40).map(|number| vec![number; 20_000]).collect();
    let mut hashes = Vec::new();
    for body in &bodies {
        hashes.push(mesh.fleet.publish(body, "site=osaka", None));
        mesh.hold(1, body);
    }
    for hash in &hashes {
        mesh.want(0, *hash, 20_000);
    }
    assert_eq!(mesh.crossed(0, 1, is_request), BODY_FETCHES_MAX);
    assert!(mesh.run(MINUTE_MS, |mesh| {
        hashes.iter().all(|hash| mesh.has(0, hash))
    }));
    assert!(mesh.nodes[1].load_max.sessions <= BODY_FETCHES_MAX + 1);
    assert!(mesh.nodes[0].failed.is_empty());
}

#[test]
fn an_empty_body_comes_too() {
    let mut mesh = star(1, 5);
    mesh.link(0, 1);
    let hash = mesh.fleet.publish(b"", "", None);
    mesh.hold(1, b"");
    mesh.want(0, hash, 0);
    assert!(mesh.run(1_000, |mesh| mesh.has(0, &hash)));
}

#[test]
fn keys_that_rotate_in_the_middle_blame_nobody() {
    let mut mesh = star(1, 6);
    mesh.link(0, 1);
    let body = vec![7; 1_000_000];
    let hash = mesh.fleet.publish(&body, "site=osaka", None);
    mesh.hold(1, &body);
    mesh.want(0, hash, 1_000_000);
    assert!(mesh.run(MINUTE_MS, |mesh| {
        mesh.nodes[0]
            .parts
            .get(&hash)
            .is_some_and(|parts| parts.len() > 10)
    }));
    let renewed = mesh.fleet.device(0, "osaka");
    mesh.nodes[0].bodies.set_requester(renewed.requester());
    assert!(mesh.run(MINUTE_MS, |mesh| mesh.has(0, &hash)));
    assert!(mesh.nodes[0].blamed.is_empty());
}

#[test]
fn a_holder_that_loses_the_body_says_so_and_another_gives_the_rest() {
    let mut mesh = star(2, 7);
    let body = vec![7; 1_000_000];
    let hash = mesh.fleet.publish(&body, "site=osaka", None);
    mesh.hold(1, &body);
    mesh.hold(2, &body);
    mesh.link(0, 1);
    mesh.want(0, hash, 1_000_000);
    assert!(mesh.run(MINUTE_MS, |mesh| {
        mesh.nodes[0]
            .parts
            .get(&hash)
            .is_some_and(|parts| parts.len() > 10)
    }));
    mesh.link(0, 2);
    mesh.nodes[1].whole.clear();
    mesh.tell(1, Event::Lost(hash));
    assert!(mesh.run(MINUTE_MS, |mesh| mesh.has(0, &hash)));
    let again = |message: &BodyMessage| {
        matches!(
            message,
            BodyMessage::Answer {
                unit: Unit::Piece(0),
                ..
            }
        )
    };
    assert_eq!(
        mesh.crossed(2, 0, again),
        0,
        "what was held was not asked for again"
    );
}

#[test]
fn what_is_forgotten_is_not_asked_for_any_more() {
    let mut mesh = star(1, 8);
    mesh.link(0, 1);
    let body = vec![7; 1_000_000];
    let hash = mesh.fleet.publish(&body, "site=osaka", None);
    mesh.hold(1, &body);
    mesh.want(0, hash, 1_000_000);
    mesh.run(100, |_| false);
    mesh.tell(0, Event::Forget(hash));
    mesh.run(1_000, |_| false);
    assert!(!mesh.has(0, &hash));
    assert_eq!(mesh.nodes[1].bodies.load().sessions, 0);
}

#[test]
fn wants_have_their_limits() {
    let mut mesh = star(1, 9);
    let reading = Reading {
        holdings: &mesh.fleet.holdings,
        shelf: &mesh.fleet.shelf,
        reference: Millis(0),
    };
    let bodies = &mut mesh.nodes[0].bodies;
    let mut want = |number: u64, bytes| {
        let mut out = Vec::new();
        let event = Event::Want {
            hash: Hash::of(&number.to_le_bytes()),
            bytes,
            partial: Partial::default(),
        };
        bodies.with(&reading).handle(Millis(0), event, &mut out);
        out.into_iter().find_map(|effect| match effect {
            Effect::Failed { failure, .. } => Some(failure),
            _ => None,
        })
    };
    assert_eq!(want(0, FILE_BYTES_MAX + 1), Some(Failure::TooLong));
    for number in 0..BODY_WANTS_MAX as u64 {
        assert_eq!(want(number, 1), None);
    }
    assert_eq!(want(u64::MAX, 1), Some(Failure::TooMany));
}

#[test]
fn certificates_that_fill_a_frame_are_not_sent() {
    let mut mesh = star(1, 10);
    mesh.link(0, 1);
    let hash = mesh.fleet.publish(b"body", "", None);
    let mut requester = mesh.nodes[0].member.requester();
    let mut certificate = requester.certificates[0].clone();
    certificate.bytes = Bytes::from(vec![0; 9_000]);
    requester.certificates = vec![certificate];
    mesh.nodes[0].bodies.set_requester(requester);
    mesh.want(0, hash, 4);
    assert_eq!(mesh.nodes[0].failed, [Failure::Unpresentable]);
}
