//! One identity on two machines is noticed; a node that starts again and again is not taken for two.

use std::time::Duration;

use regatta_actors::acts;
use regatta_node::desk::Desk;
use regatta_protocol::ident::NodeId;
use regatta_simulations::live::LiveFleet;
use tokio::time::sleep;

/// Whether a manager says that there are two of a node, and from how many addresses they came.
async fn twins(fleet: &LiveFleet, manager: usize, node: NodeId) -> Option<usize> {
    let handles = fleet.nodes[manager].handles().await;
    let seen = acts::look_around(&handles, move |view| {
        let twin = view.machine.state_of(node, view.now).twin;
        twin.map(|_| view.twins.get(&node).map_or(0, Vec::len))
    });
    seen.await.expect("membership runs")
}

async fn fleet(seed: u64) -> LiveFleet {
    let mut fleet = LiveFleet::found(seed, 2).await;
    fleet.join_many(3).await;
    for place in 2..5 {
        fleet.ready(0, place).await;
        fleet.ready(1, place).await;
    }
    fleet
}

#[tokio::test(start_paused = true)]
async fn an_identity_copied_to_a_second_machine_is_noticed_with_both_addresses() {
    for seed in 1..=3 {
        let mut fleet = fleet(seed).await;
        let identity = fleet.nodes[2].identity().clone();
        let node = fleet.nodes[2].id;
        let copy = fleet.bring(identity);
        fleet.start(copy).await;
        let noticed = async |fleet: &LiveFleet| {
            twins(fleet, 0, node).await.or(twins(fleet, 1, node).await) >= Some(2)
        };
        let took = fleet
            .within(Duration::from_secs(120), "the copy", noticed)
            .await;
        println!("noticed within {took:?}");
        assert_eq!(twins(&fleet, 0, fleet.nodes[3].id).await, None);
        operators_are_told(&fleet, node).await;
    }
}

/// What operators see of it at the manager that noticed, until the device is revoked.
async fn operators_are_told(fleet: &LiveFleet, node: NodeId) {
    let manager = usize::from(twins(fleet, 0, node).await < Some(2));
    let desk = Desk::of(fleet.nodes[manager].handles().await);
    let status = desk.status().await.expect("it runs");
    let told = |line: &&String| line.starts_with("amr-01: two machines go by its key, from ");
    assert!(status.warnings.iter().any(|line| told(&line)), "{status:?}");
    let detail = desk.device("amr-01").await.expect("it is on the roll");
    let copied = detail.device.copied.expect("there are two");
    assert!(copied.came_from.len() >= 2, "{copied:?}");
    let conflict = &detail.conflicts[0];
    for address in &copied.came_from {
        assert!(conflict.contains(address), "{conflict}");
    }
    assert!(conflict.contains("`regatta revoke amr-01`"), "{conflict}");
    for device in desk.devices(None).await.expect("a manager") {
        assert_eq!(
            device.copied.is_some(),
            device.name == "amr-01",
            "{device:?}"
        );
    }
    fleet
        .revoke(manager, "amr-01")
        .await
        .expect("a manager may");
    let status = desk.status().await.expect("it runs");
    assert!(
        !status.warnings.iter().any(|line| told(&line)),
        "{status:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn two_with_one_identity_at_two_managers_are_noticed() {
    let mut fleet = fleet(4).await;
    let (identity, node) = (fleet.nodes[2].identity().clone(), fleet.nodes[2].id);
    // Each machine reaches one manager only, and nobody else.
    fleet.cut(&[2], &[1, 3, 4]);
    sleep(Duration::from_secs(120)).await;
    let copy = fleet.nodes.len();
    fleet.cut(&[copy], &[0, 2, 3, 4]);
    assert_eq!(fleet.bring(identity), copy);
    fleet.start(copy).await;
    let noticed = async |fleet: &LiveFleet| {
        twins(fleet, 0, node).await.is_some() || twins(fleet, 1, node).await.is_some()
    };
    let took = fleet
        .within(Duration::from_secs(180), "the copy", noticed)
        .await;
    println!("noticed within {took:?}");
    let manager = usize::from(twins(&fleet, 0, node).await.is_none());
    let desk = Desk::of(fleet.nodes[manager].handles().await);
    let detail = desk.device("amr-01").await.expect("it is on the roll");
    let copied = detail.device.copied.expect("there are two");
    assert_eq!(
        (copied.came_from.len(), copied.says.is_empty()),
        (1, false),
        "{copied:?}"
    );
    assert_eq!(
        copied.heard_by,
        format!("m{}", 2 - manager),
        "the other manager"
    );
}

#[tokio::test(start_paused = true)]
async fn restarts_moves_and_partitions_make_no_twins() {
    let mut fleet = fleet(5).await;
    for round in 0..12 {
        for place in [2, 1] {
            match round % 3 {
                0 => fleet.nodes[place].stop().await,
                _ => fleet.cut_power(place, round).await,
            }
            if round % 4 == 1 {
                fleet.cut(&[2], &[usize::from(round % 8 == 1)]);
                fleet.cut(&[0], &[1]);
            }
            sleep(Duration::from_secs(round * 7)).await;
            fleet.start(place).await;
            sleep(Duration::from_secs(round * 11)).await;
            fleet.net.heal_all();
            sleep(Duration::from_secs(round * 3)).await;
        }
        for (manager, place) in [(0, 1), (0, 2), (1, 2), (1, 0), (0, 3)] {
            let node = fleet.nodes[place].id;
            assert_eq!(
                twins(&fleet, manager, node).await,
                None,
                "round {round}: {place}"
            );
        }
    }
}
