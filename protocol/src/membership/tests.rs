//! Whole fleets in miniature: homes, takeover, partitions, flapping links, and bad times.

mod neighbours;

use std::collections::BTreeSet;

use super::harness::Fleet;
use super::homes::weight;
use super::message::Profile;
use super::presence::PresenceState;
use super::{HangUpReason, MembershipEffect, MembershipEvent};
use crate::ident::NodeId;
use crate::machine::Millis;

const MINUTE: u64 = 60_000;

fn ranked(fleet: &Fleet, agent: NodeId) -> Vec<NodeId> {
    let mut managers = fleet.managers.clone();
    managers.sort_by_key(|manager| std::cmp::Reverse(weight(&agent, manager)));
    managers
}

/// Nodes in the largest connected part of the neighbour graph; checks degree and symmetry.
fn largest_part(fleet: &Fleet) -> usize {
    let mut left: BTreeSet<NodeId> = fleet.agents.iter().copied().collect();
    for agent in &fleet.agents {
        let neighbours = fleet.machine(*agent).neighbours();
        assert!(neighbours.len() <= 4);
        for other in neighbours {
            assert!(fleet.machine(other).neighbours().contains(agent));
        }
    }
    let mut largest = 0;
    while let Some(first) = left.pop_first() {
        let (mut size, mut open) = (0, vec![first]);
        while let Some(node) = open.pop() {
            size += 1;
            for next in fleet.machine(node).neighbours() {
                if left.remove(&next) {
                    open.push(next);
                }
            }
        }
        largest = largest.max(size);
    }
    largest
}

fn states(fleet: &Fleet, manager: NodeId, wanted: PresenceState) -> usize {
    let state = |agent: &&NodeId| fleet.machine(manager).state_of(**agent, fleet.now).state;
    fleet.agents.iter().filter(|a| state(a) == wanted).count()
}

/// Which managers were told last to pull from a device.
fn pullers(fleet: &Fleet, device: NodeId) -> BTreeSet<NodeId> {
    let mut pullers = BTreeSet::new();
    for (_, at, effect) in &fleet.log {
        if *effect == (MembershipEffect::StartPulling { device }) {
            pullers.insert(*at);
        } else if *effect == (MembershipEffect::StopPulling { device }) {
            pullers.remove(at);
        }
    }
    pullers
}

fn dials(fleet: &Fleet, from: NodeId, since: Millis) -> usize {
    let is_dial = |effect: &MembershipEffect| matches!(effect, MembershipEffect::Dial { .. });
    let its = fleet
        .log
        .iter()
        .filter(|(at, id, _)| *at >= since && *id == from);
    its.filter(|(_, _, effect)| is_dial(effect)).count()
}

#[test]
fn a_fleet_finds_its_homes_and_every_manager_knows_everybody() {
    for seed in 0..3 {
        let mut fleet = Fleet::new(seed, 5, 100, Profile::Normal);
        fleet.run_for(10_000);
        for agent in fleet.agents.clone() {
            let best = ranked(&fleet, agent);
            assert_eq!(fleet.machine(agent).homes(), &best[..2]);
            assert_eq!(fleet.machine(agent).feeder(), fleet.machine(agent).puller());
            let puller = fleet.machine(agent).puller();
            assert_eq!(pullers(&fleet, agent), puller.into_iter().collect());
        }
        for manager in fleet.managers.clone() {
            let tally = fleet.machine(manager).tally(fleet.now);
            assert_eq!((tally.ready, tally.unreachable, tally.unknown), (104, 0, 0));
            let counts = fleet.machine(manager).counts();
            assert_eq!((counts.forged, counts.refused), (0, 0));
        }
    }
}

#[test]
fn when_the_puller_goes_the_next_home_pulls_within_five_seconds() {
    let mut fleet = Fleet::new(1, 5, 50, Profile::Normal);
    fleet.run_for(2 * MINUTE);
    let gone = fleet.managers[0];
    let its: Vec<NodeId> = fleet.agents.clone().into_iter().collect();
    let its: Vec<NodeId> = its
        .into_iter()
        .filter(|agent| fleet.machine(*agent).puller() == Some(gone))
        .collect();
    assert!(!its.is_empty());
    fleet.kill(gone, false);
    fleet.run_for(5_000);
    for agent in its {
        let next = fleet.machine(agent).puller().expect("a home");
        assert_eq!(next, ranked(&fleet, agent)[1]);
        assert!(pullers(&fleet, agent).contains(&next));
        assert_eq!(fleet.machine(agent).homes().len(), 2);
    }
}

#[test]
fn a_home_that_dies_without_a_word_is_found_out_by_the_others_doubt() {
    let mut fleet = Fleet::new(2, 3, 30, Profile::Normal);
    fleet.run_for(2 * MINUTE);
    fleet.kill(fleet.managers[0], true);
    fleet.run_for(15_000);
    let gone = fleet.managers[0];
    for agent in fleet.agents.clone() {
        assert!(!fleet.machine(agent).homes().contains(&gone));
    }
    let other = fleet.managers[1];
    let view = fleet.machine(other).state_of(gone, fleet.now);
    assert_eq!(view.state, PresenceState::Unreachable);
    assert_eq!(states(&fleet, other, PresenceState::Ready), 30);
}

/// How many wrong things managers say: that somebody of the other side is ready, or, where `strictly`,
/// that somebody of their own is not.
fn misjudged(fleet: &Fleet, nodes: &[NodeId], managers: usize, strictly: bool) -> usize {
    let judged = |manager: usize| {
        let (asked, now) = (fleet.machine(nodes[manager]), fleet.now);
        (0..nodes.len())
            .filter(move |place| *place != manager)
            .filter(move |place| {
                let is_ready = asked.state_of(nodes[*place], now).state == PresenceState::Ready;
                let is_here = place % 2 == manager % 2;
                (is_ready && !is_here) || (strictly && !is_ready && is_here)
            })
    };
    (0..managers).flat_map(judged).count()
}

#[test]
fn ten_seconds_into_a_silent_partition_no_manager_calls_the_other_side_ready() {
    for seed in 0..10 {
        let mut fleet = Fleet::new(seed, 4, 16, Profile::Normal);
        fleet.run_for(2 * MINUTE);
        let nodes = [fleet.managers.clone(), fleet.agents.clone()].concat();
        let (here, there): (Vec<_>, Vec<_>) = (0..nodes.len()).partition(|place| place % 2 == 0);
        for (a, b) in here
            .iter()
            .flat_map(|a| there.iter().map(move |b| (*a, *b)))
        {
            fleet.cut(nodes[a], nodes[b]);
        }
        fleet.run_for(10_000);
        assert_eq!(misjudged(&fleet, &nodes, 4, false), 0, "seed {seed}");
        // Whose homes were all on the other side finds out by its own keep-alive, at the latest.
        fleet.run_for(20_000);
        assert_eq!(misjudged(&fleet, &nodes, 4, true), 0, "seed {seed}");
    }
}

#[test]
fn a_better_home_is_taken_back_gently() {
    let mut fleet = Fleet::new(3, 4, 20, Profile::Normal);
    fleet.run_for(MINUTE);
    let back = fleet.managers[0];
    fleet.kill(back, false);
    fleet.run_for(5 * MINUTE);
    let since = fleet.now;
    fleet.restart(back);
    for _ in 0..4000 {
        fleet.run_for(500);
        for agent in &fleet.agents {
            assert_eq!(
                fleet.machine(*agent).homes().len(),
                2,
                "never fewer than it had"
            );
        }
    }
    for agent in fleet.agents.clone() {
        assert_eq!(fleet.machine(agent).homes(), &ranked(&fleet, agent)[..2]);
    }
    let taken = fleet.log.iter().filter(|(at, _, effect)| {
        let reason = HangUpReason::BetterHome;
        *at >= since && matches!(effect, MembershipEffect::HangUp { reason: r, .. } if *r == reason)
    });
    assert!(taken.count() <= 20, "each moves once");
}

#[test]
fn a_flapping_link_costs_few_dials_and_no_home() {
    let mut fleet = Fleet::new(4, 4, 1, Profile::Normal);
    let agent = fleet.agents[0];
    let flapping = ranked(&fleet, agent)[0];
    fleet.run_for(MINUTE);
    let start = fleet.now;
    for minute in 0..30 {
        let since = fleet.now;
        for _ in 0..12 {
            fleet.run_for(2_000);
            fleet.cut(agent, flapping);
            fleet.close(agent, flapping);
            fleet.run_for(3_000);
            fleet.heal(agent, flapping);
            assert!(!fleet.machine(agent).homes().is_empty());
        }
        let count = dials(&fleet, agent, since);
        assert!(count <= 6, "{count} dials in minute {minute}");
    }
    assert!(dials(&fleet, agent, start) <= 60);
    let changes = fleet.log.iter().filter(|(at, _, effect)| {
        *at >= start && matches!(effect, MembershipEffect::StartPulling { .. })
    });
    assert!(changes.count() <= 3, "the puller does not flap");
}

#[test]
fn a_node_whose_whole_uplink_flaps_dials_within_bounds() {
    let mut fleet = Fleet::new(5, 4, 1, Profile::Normal);
    let agent = fleet.agents[0];
    let managers = fleet.managers.clone();
    for _ in 0..20 {
        let since = fleet.now;
        for _ in 0..12 {
            fleet.run_for(2_000);
            for manager in &managers {
                fleet.cut(agent, *manager);
                fleet.close(agent, *manager);
            }
            fleet.run_for(3_000);
            for manager in &managers {
                fleet.heal(agent, *manager);
            }
        }
        assert!(dials(&fleet, agent, since) <= 40);
    }
    fleet.run_for(2 * MINUTE);
    assert_eq!(fleet.machine(agent).homes().len(), 2);
}

/// Found by the simulator: after a partition of some minutes a node waited a minute for its homes.
#[test]
fn ten_seconds_after_a_partition_of_minutes_a_node_has_its_homes() {
    for seed in 0..5 {
        let mut fleet = Fleet::new(60 + seed, 3, 1, Profile::Normal);
        let agent = fleet.agents[0];
        let managers = fleet.managers.clone();
        fleet.run_for(MINUTE);
        for manager in &managers {
            fleet.cut(agent, *manager);
            fleet.close(agent, *manager);
        }
        fleet.run_for(8 * MINUTE);
        for manager in &managers {
            fleet.heal(agent, *manager);
        }
        fleet.run_for(10_000);
        assert_eq!(fleet.machine(agent).homes().len(), 2);
    }
}

/// Cuts the managers apart at `at`; nodes keep their links to both sides.
fn partition(fleet: &mut Fleet, at: usize, cut: bool) {
    let (left, right) = fleet.managers.split_at(at);
    for (a, b) in left
        .iter()
        .flat_map(|a| right.iter().map(move |b| (*a, *b)))
        .collect::<Vec<_>>()
    {
        if cut {
            fleet.cut(a, b);
        } else {
            fleet.heal(a, b);
        }
    }
}

#[test]
fn behind_a_partition_nodes_are_unknown_and_two_seconds_after_healing_all_agree() {
    for seed in 0..5 {
        let mut fleet = Fleet::new(10 + seed, 5, 100, Profile::Normal);
        fleet.run_for(MINUTE);
        partition(&mut fleet, 2, true);
        fleet.run_for(10_000);
        let (left, right) = (fleet.managers[..2].to_vec(), fleet.managers[2..].to_vec());
        for (ours, theirs) in [(&left, &right), (&right, &left)] {
            for manager in ours {
                for agent in &fleet.agents {
                    let homes = fleet.machine(*agent).homes();
                    let apart = homes.iter().all(|home| theirs.contains(home));
                    let expected = match apart {
                        true => PresenceState::Unknown,
                        false => PresenceState::Ready,
                    };
                    let view = fleet.machine(*manager).state_of(*agent, fleet.now);
                    assert_eq!(view.state, expected);
                    assert!(view.heard_ago_ms < Some(90_000));
                }
                for other in theirs {
                    let view = fleet.machine(*manager).state_of(*other, fleet.now);
                    assert_eq!(view.state, PresenceState::Unreachable);
                }
            }
        }
        fleet.run_for(seed * 7 * MINUTE);
        partition(&mut fleet, 2, false);
        fleet.run_for(2_000 + if seed == 4 { 8_000 } else { 0 });
        for manager in fleet.managers.clone() {
            assert_eq!(states(&fleet, manager, PresenceState::Ready), 100);
            let tally = fleet.machine(manager).tally(fleet.now);
            assert_eq!(tally.ready, 104);
        }
    }
}

#[test]
fn a_manager_that_sees_both_sides_passes_sightings_on() {
    let mut fleet = Fleet::new(20, 3, 60, Profile::Normal);
    let (a, b) = (fleet.managers[0], fleet.managers[1]);
    fleet.run_for(MINUTE);
    fleet.cut(a, b);
    for _ in 0..300 {
        fleet.run_for(100);
        assert_eq!(states(&fleet, a, PresenceState::Ready), 60, "no flicker");
        assert_eq!(states(&fleet, b, PresenceState::Ready), 60, "no flicker");
    }
    // What changes while they are cut off comes round as well.
    let agent = fleet.agents[0];
    fleet.kill(agent, false);
    fleet.run_for(6_000);
    for manager in fleet.managers.clone() {
        let view = fleet.machine(manager).state_of(agent, fleet.now);
        assert_eq!(view.state, PresenceState::Unreachable);
    }
}

#[test]
fn a_silent_node_is_unreachable_after_twice_its_keep_alive() {
    let mut fleet = Fleet::new(21, 3, 5, Profile::Normal);
    fleet.run_for(MINUTE);
    let agent = fleet.agents[0];
    fleet.kill(agent, true);
    fleet.run_for(70_000);
    for manager in fleet.managers.clone() {
        let view = fleet.machine(manager).state_of(agent, fleet.now);
        assert_eq!(view.state, PresenceState::Unreachable);
        assert!((64_000..=100_000).contains(&view.heard_ago_ms.expect("it was heard")));
        assert_eq!(states(&fleet, manager, PresenceState::Ready), 4);
    }
}

#[test]
fn after_days_of_quiet_the_last_word_of_a_lost_manager_is_not_days_old() {
    let mut fleet = Fleet::new(22, 3, 10, Profile::Normal);
    fleet.run_for(24 * 60 * MINUTE);
    let (gone, other) = (fleet.managers[0], fleet.managers[1]);
    for agent in &fleet.agents {
        let view = fleet.machine(other).state_of(*agent, fleet.now);
        assert!(view.heard_ago_ms < Some(70_000), "{view:?}");
    }
    partition(&mut fleet, 1, true);
    fleet.run_for(10_000);
    assert!(fleet.managers[0] == gone);
    for agent in &fleet.agents {
        let view = fleet.machine(other).state_of(*agent, fleet.now);
        assert!(view.heard_ago_ms < Some(90_000), "{view:?}");
    }
}

/// Found by the simulator: managers without a link to the node kept what its earlier start had said.
#[test]
fn a_node_whose_clock_went_back_over_a_restart_is_believed_by_all_managers() {
    let mut fleet = Fleet::new(23, 5, 5, Profile::Normal);
    fleet.run_for(MINUTE);
    let agent = fleet.agents[0];
    let wall = Millis(1_700_000_000_000 + 24 * 60 * MINUTE);
    fleet.event(agent, MembershipEvent::Clock { wall });
    let home = fleet.machine(agent).homes()[1];
    fleet.cut(agent, home);
    fleet.close(agent, home);
    fleet.run_for(5_000);
    fleet.heal(agent, home);
    fleet.kill(agent, false);
    fleet.run_for(3_000);
    fleet.restart(agent);
    fleet.run_for(10_000);
    for manager in fleet.managers.clone() {
        let view = fleet.machine(manager).state_of(agent, fleet.now);
        assert_eq!(view.homes, fleet.machine(agent).homes());
    }
}

#[test]
fn a_metered_node_spends_little_and_has_one_home() {
    let mut fleet = Fleet::new(30, 3, 1, Profile::Metered);
    let agent = fleet.agents[0];
    fleet.run_for(24 * 60 * MINUTE);
    assert_eq!(fleet.machine(agent).homes().len(), 1);
    let bytes = fleet.bytes[&agent];
    assert!(bytes < 10_000, "{bytes} bytes in a day");
    for manager in fleet.managers.clone() {
        assert_eq!(states(&fleet, manager, PresenceState::Ready), 1);
    }
}
