//! Long bodies that many want at once: each hands on what it has.

use super::fleet::{Fleet, Member};
use super::mesh::{Mesh, Slow};
use super::transfers::{MINUTE_MS, body, is_piece};
use crate::ident::Hash;

/// What a node sends in a second.
const UPLINK: u64 = 4_000_000;
const LONG: usize = 12_000_000;

/// A manager that holds a long body, and so many devices that may read it.
fn crowd(devices: u8, seed: u64) -> (Mesh, Hash) {
    let mut fleet = Fleet::new(seed);
    let mut members: Vec<Member> = vec![fleet.manager.clone()];
    members.extend((1..=devices).map(|number| fleet.device(number, "osaka")));
    let bytes = body(LONG);
    let hash = fleet.publish(&bytes, "site=osaka", None);
    let mut mesh = Mesh::new(fleet, members, seed);
    mesh.slow = Some(Slow {
        bytes_per_second: UPLINK,
        uplink: true,
        ..Slow::default()
    });
    mesh.hold(0, &bytes);
    (mesh, hash)
}

fn all_linked(mesh: &mut Mesh) {
    for left in 0..mesh.nodes.len() {
        for right in left + 1..mesh.nodes.len() {
            mesh.link(left, right);
        }
    }
}

fn all_have(mesh: &Mesh, hash: &Hash) -> bool {
    (0..mesh.nodes.len()).all(|node| mesh.has(node, hash))
}

/// How many times a body's pieces left a node.
fn copies_from(mesh: &Mesh, node: usize) -> f64 {
    let others = (0..mesh.nodes.len()).filter(|other| *other != node);
    let pieces: usize = others
        .map(|other| mesh.crossed(node, other, is_piece))
        .sum();
    pieces as f64 / LONG.div_ceil(16 * 1024) as f64
}

/// Times what one uplink takes for one copy.
fn times_the_bound(mesh: &Mesh) -> f64 {
    mesh.now.0 as f64 / (LONG as f64 / UPLINK as f64 * 1e3)
}

#[test]
fn many_who_want_a_long_body_take_about_one_copy_from_its_holder() {
    for seed in 0..3 {
        let (mut mesh, hash) = crowd(8, seed);
        all_linked(&mut mesh);
        for device in 1..=8 {
            mesh.want(device, hash, LONG as u64);
        }
        assert!(mesh.run(5 * MINUTE_MS, |mesh| all_have(mesh, &hash)));
        let (copies, times) = (copies_from(&mesh, 0), times_the_bound(&mesh));
        assert!(copies <= 1.2, "seed {seed}: {copies} copies");
        assert!(times <= 1.5, "seed {seed}: {times} times the bound");
        assert!(mesh.nodes.iter().all(|node| node.blamed.is_empty()));
    }
}

#[test]
fn along_a_line_each_hands_on_what_it_has_before_it_has_all() {
    let (mut mesh, hash) = crowd(4, 1);
    mesh.line();
    for device in 1..=4 {
        mesh.want(device, hash, LONG as u64);
    }
    assert!(mesh.run(5 * MINUTE_MS, |mesh| all_have(mesh, &hash)));
    let (copies, times) = (copies_from(&mesh, 0), times_the_bound(&mesh));
    assert!(copies <= 1.1, "{copies} copies");
    assert!(times <= 1.5, "{times} times the bound");
}

#[test]
fn those_who_come_later_are_served_by_those_who_have_it() {
    let (mut mesh, hash) = crowd(6, 2);
    all_linked(&mut mesh);
    for device in 1..=6 {
        mesh.want(device, hash, LONG as u64);
        mesh.run(1_000, |_| false);
    }
    assert!(mesh.run(5 * MINUTE_MS, |mesh| all_have(mesh, &hash)));
    let copies = copies_from(&mesh, 0);
    assert!(copies <= 2.0, "{copies} copies");
}

#[test]
fn a_crowd_without_a_holder_gets_it_once_one_comes() {
    let (mut mesh, hash) = crowd(4, 3);
    for left in 1..=4 {
        for right in left + 1..=4 {
            mesh.link(left, right);
        }
    }
    for device in 1..=4 {
        mesh.want(device, hash, LONG as u64);
    }
    mesh.run(8_000, |_| false);
    mesh.link(0, 2);
    // Only one of them has the holder for a neighbour, and they wait for each other.
    assert!(mesh.run(5 * MINUTE_MS, |mesh| all_have(mesh, &hash)));
    assert!(copies_from(&mesh, 0) <= 1.1);
}

#[test]
fn whatever_is_lost_cut_and_crashed_all_of_a_crowd_have_it_in_the_end() {
    for seed in 0..8 {
        let (mut mesh, hash) = crowd(5, 40 + seed);
        all_linked(&mut mesh);
        mesh.loss_per_million = 20_000;
        for device in 1..=5 {
            mesh.want(device, hash, LONG as u64);
        }
        for _ in 0..8 {
            mesh.run(800, |_| false);
            let at = 1 + mesh.prng.below(5) as usize;
            let other = mesh.prng.below(at as u64) as usize;
            if mesh.prng.chance(500_000) {
                mesh.crash(at);
            } else {
                mesh.cut(other, at);
                mesh.run(500, |_| false);
                mesh.link(other, at);
            }
        }
        mesh.loss_per_million = 0;
        for _ in 0..3 {
            mesh.run(2 * MINUTE_MS, |mesh| all_have(mesh, &hash));
            for device in 1..=5 {
                if !mesh.has(device, &hash) {
                    // It gave up under the faults: it is wanted again, as its owner would.
                    mesh.want(device, hash, LONG as u64);
                }
            }
        }
        assert!(all_have(&mesh, &hash), "seed {seed}");
        assert!(
            mesh.nodes.iter().all(|node| node.blamed.is_empty()),
            "seed {seed}"
        );
        assert!(mesh.unduly_held().is_empty(), "seed {seed}");
    }
}
