//! Who is whose neighbour, with and without managers.

use std::collections::BTreeSet;

use super::MembershipEvent;
use crate::ident::NodeId;
use crate::membership::harness::Fleet;
use crate::membership::message::Profile;
use crate::membership::tests::{MINUTE, largest_part};

#[test]
fn without_managers_the_neighbours_hang_together() {
    for seed in 0..5 {
        let mut fleet = Fleet::new(40 + seed, 5, 200, Profile::Normal);
        fleet.run_for(3 * MINUTE);
        for manager in fleet.managers.clone() {
            fleet.kill(manager, false);
        }
        fleet.run_for(2_000);
        let degrees: usize = fleet
            .agents
            .iter()
            .map(|a| fleet.machine(*a).neighbours().len())
            .sum();
        assert!(degrees >= 4 * 200 * 9 / 10, "mean degree {}", degrees / 200);
        assert!(largest_part(&fleet) >= 199, "at once");
        fleet.run_for(5 * MINUTE);
        assert_eq!(largest_part(&fleet), 200);
        for agent in &fleet.agents {
            let feeder = fleet.machine(*agent).feeder().expect("a neighbour feeds");
            assert!(fleet.machine(*agent).neighbours().contains(&feeder));
        }
    }
}

#[test]
fn nodes_on_one_lan_are_neighbours_first_and_sites_still_hang_together() {
    let mut fleet = Fleet::new(45, 3, 60, Profile::Normal);
    fleet.run_for(1_000);
    let sites: Vec<Vec<NodeId>> = fleet.agents.chunks(10).map(<[NodeId]>::to_vec).collect();
    for site in &sites {
        for (at, peer) in site
            .iter()
            .flat_map(|at| site.iter().map(move |peer| (*at, *peer)))
        {
            fleet.event(at, MembershipEvent::LanSeen { peer });
        }
    }
    fleet.run_for(5 * MINUTE);
    for manager in fleet.managers.clone() {
        fleet.kill(manager, false);
    }
    fleet.run_for(MINUTE);
    assert_eq!(largest_part(&fleet), 60);
    let mut near = 0;
    for site in &sites {
        for agent in site {
            let neighbours = fleet.machine(*agent).neighbours();
            near += neighbours.iter().filter(|peer| site.contains(peer)).count();
        }
    }
    assert!(
        near >= 60,
        "{near} ends of 240 stay on the LAN; by chance it would be 36"
    );
}

/// Found by the simulator: a node that had been cut off waited out five minutes of back-off although
/// its LAN was there again.
#[test]
fn a_neighbour_that_answers_on_the_lan_is_dialled_whatever_happened_before() {
    let mut fleet = Fleet::new(46, 1, 2, Profile::Normal);
    let (a, b) = (fleet.agents[0], fleet.agents[1]);
    let manager = fleet.managers[0];
    fleet.run_for(1_000);
    fleet.event(a, MembershipEvent::LanSeen { peer: b });
    fleet.event(b, MembershipEvent::LanSeen { peer: a });
    fleet.run_for(MINUTE);
    assert_eq!(fleet.machine(a).neighbours(), [b]);
    fleet.kill(manager, false);
    fleet.cut(a, b);
    fleet.close(a, b);
    fleet.run_for(40 * MINUTE);
    fleet.heal(a, b);
    fleet.event(a, MembershipEvent::LanSeen { peer: b });
    fleet.run_for(5_000);
    assert_eq!(fleet.machine(a).neighbours(), [b]);
}

#[test]
fn a_late_comer_finds_room_among_full_nodes() {
    let mut fleet = Fleet::new(50, 3, 60, Profile::Normal);
    let late: Vec<NodeId> = fleet.agents[..10].to_vec();
    for agent in &late {
        fleet.kill(*agent, false);
    }
    fleet.run_for(5 * MINUTE);
    for agent in &late {
        fleet.restart(*agent);
    }
    fleet.run_for(5 * MINUTE);
    for agent in &late {
        assert!(fleet.machine(*agent).neighbours().len() >= 2);
    }
    assert_eq!(largest_part(&fleet), 60);
}

#[test]
fn restarted_without_managers_a_node_finds_the_neighbours_that_it_remembers() {
    let mut fleet = Fleet::new(51, 3, 40, Profile::Normal);
    fleet.run_for(3 * MINUTE);
    for manager in fleet.managers.clone() {
        fleet.kill(manager, false);
    }
    fleet.run_for(MINUTE);
    for agent in fleet.agents.clone() {
        let before: BTreeSet<NodeId> = fleet.machine(agent).neighbours().into_iter().collect();
        fleet.kill(agent, false);
        fleet.run_for(3_000);
        fleet.restart(agent);
        fleet.run_for(30_000);
        let after: BTreeSet<NodeId> = fleet.machine(agent).neighbours().into_iter().collect();
        assert!(
            after.len() >= 2 && !after.is_disjoint(&before),
            "{before:?} {after:?}"
        );
    }
    assert_eq!(largest_part(&fleet), 40);
}

#[test]
fn the_whole_fleet_restarts_without_managers_and_hangs_together() {
    let mut fleet = Fleet::new(52, 3, 40, Profile::Normal);
    fleet.run_for(3 * MINUTE);
    for node in fleet
        .managers
        .clone()
        .into_iter()
        .chain(fleet.agents.clone())
    {
        fleet.kill(node, false);
    }
    fleet.run_for(1_000);
    for agent in fleet.agents.clone() {
        fleet.restart(agent);
    }
    fleet.run_for(MINUTE);
    assert_eq!(largest_part(&fleet), 40);
}
