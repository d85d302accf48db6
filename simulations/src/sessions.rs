//! Noise sessions between members, over streams that break and that an attacker reads and changes.
//!
//! The shipped [`Channel`](regatta_protocol::crypto::channel::Channel) with its early requests, its
//! rekeys and its renewals; what a member does around it (checking certificates, storing run ids,
//! dialling again) is played here. First a storm, then calm in which every pair has to be open.

pub mod attacker;
pub mod calm;
mod deeds;
pub mod member;
pub mod report;
pub mod rules;
pub mod storm;
pub mod watch;
pub mod wire;
pub mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use regatta_protocol::crypto::seal::BoxSecret;
use regatta_protocol::ident::NodeId;
use regatta_protocol::prng::Prng;

use self::member::{Fleet, Node, Role};
pub use self::report::Outcome;
use self::rules::Rules;
use self::world::World;
use crate::invariants::Violation;

/// Simulates sessions from `seed`: a storm of so many minutes, then calm of a little over an hour.
#[must_use]
pub fn run(seed: u64, minutes: u64) -> Outcome {
    let mut world = found(seed);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        world.storm(minutes);
        world.calm();
    }));
    let mut violations = world.rules.violations;
    if ran.is_err() {
        let what = "I7: something panicked; the message stands above".to_owned();
        violations.push(Violation {
            at: world.now,
            node: 0,
            what,
        });
    }
    Outcome {
        seed,
        events: world.counts.events,
        happened: world.counts.happened,
        violations,
        trace: world.counts.trace,
    }
}

/// Four to eight members, some of whom know one another; a stranger, a thief and a twin.
fn found(seed: u64) -> World {
    const WINDOWS: [usize; 3] = [2, 16, 256];
    let mut prng = Prng::from_number(seed);
    let fleets = [Fleet::found(&mut prng), Fleet::found(&mut prng)];
    let window = WINDOWS[usize::try_from(prng.below(3)).unwrap_or(0)];
    let members = 4 + prng.below(5);
    let mut nodes = Vec::new();
    for place in 0..members {
        let role = if place < 2 {
            Role::Manager
        } else {
            Role::Device
        };
        let id = NodeId(prng.bytes());
        let secret = BoxSecret::generate(&mut prng);
        nodes.push(Node::new(role, &fleets[0], id, secret, window));
    }
    let cards: Vec<_> = nodes.iter().map(|node| node.certificate).collect();
    for node in &mut nodes {
        node.ahead_ms = prng.below(1_000_000_000);
        for card in &cards {
            let contact = node.contacts.entry(card.node).or_default();
            contact.known = prng.chance(800_000).then_some(card.key);
        }
    }
    // Nobody's fleet: what the stranger shows is signed by the stranger.
    let own = Fleet::found(&mut prng);
    let (id, secret) = (NodeId(prng.bytes()), BoxSecret::generate(&mut prng));
    nodes.push(Node::new(Role::Stranger, &own, id, secret, window));
    let robbed = &nodes[nodes.len() - 2];
    let (id, secret) = (robbed.id, BoxSecret::from_bytes(&robbed.secret.to_bytes()));
    nodes.push(Node::new(Role::Thief, &fleets[0], id, secret, window));
    let (id, secret) = (
        nodes[0].id,
        BoxSecret::from_bytes(&nodes[0].secret.to_bytes()),
    );
    nodes.push(Node::new(Role::Twin, &fleets[1], id, secret, window));
    World::new(nodes, fleets, Rules::new(window), prng)
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn forty_seeds_hold() {
        for seed in 1..=40 {
            let outcome = run(seed, 2);
            assert!(outcome.is_good(), "{outcome}");
        }
    }

    #[test]
    fn a_seed_replays_everything() {
        assert_eq!(run(7, 2), run(7, 2));
        assert_ne!(run(7, 2).trace, run(8, 2).trace);
    }

    #[test]
    fn what_is_to_be_tried_happens() {
        let outcomes: Vec<_> = (41..=60).map(|seed| run(seed, 2)).collect();
        for what in [
            "IK opened",
            "XX opened",
            "attack: answered for another",
            "attack: bits flipped",
            "attack: dials misdirected",
            "attack: frames cut short",
            "attack: frames reordered",
            "attack: frames repeated",
            "attack: frames spliced",
            "attack: intruders dialled",
            "attack: streams replayed",
            "attack: streams swapped",
            "certificates refused",
            "clocks jumped",
            "closed: refused",
            "closed: replayed",
            "closed: timed out",
            "closed: unreadable",
            "early requests",
            "early requests refused",
            "keys changed",
            "keys rotated",
            "nodes restarted",
            "refused to send early",
            "renewals due",
            "runs asked for again",
            "streams broken",
        ] {
            let times = outcomes
                .iter()
                .filter_map(|outcome| outcome.happened.get(what));
            assert!(times.sum::<u64>() > 0, "never seen: {what}");
        }
    }
}
