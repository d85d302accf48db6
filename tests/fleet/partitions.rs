//! Partitions: both sides go on, and are one fleet again when they can talk.

use std::time::Duration;

use regatta_protocol::trust::roll::Roll;
use regatta_simulations::live::LiveFleet;

const HEALED: Duration = Duration::from_secs(10);

/// Four managers and four devices that every manager has heard of.
async fn fleet(seed: u64) -> LiveFleet {
    let mut fleet = LiveFleet::found(seed, 4).await;
    fleet.join_many(4).await;
    for place in 4..8 {
        fleet.ready(0, place).await;
    }
    fleet.agreed(&[0, 1, 2, 3, 4, 5, 6, 7]).await;
    fleet
}

#[tokio::test(start_paused = true)]
async fn what_both_sides_of_a_partition_wrote_is_everywhere_after_it() {
    // Some links outlive the first, none the last.
    for (seed, seconds) in [(1, 3), (2, 20), (3, 90), (4, 600), (5, 3600)] {
        let mut fleet = fleet(seed).await;
        fleet.cut(&[0, 1, 4, 5], &[2, 3, 6, 7]);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        for (manager, device, site) in [(0, "amr-03", "kyoto"), (1, "amr-01", "nara")] {
            let saved = fleet.label(manager, device, ("site", site)).await;
            saved.expect("a label on one side");
        }
        for (manager, device) in [(2, "amr-03"), (3, "amr-01")] {
            let saved = fleet.label(manager, device, ("role", "dock")).await;
            saved.expect("a label on the other side");
        }
        fleet
            .revoke(0, "amr-02")
            .await
            .expect("stopped on one side");
        fleet.revoke(3, "amr-04").await.expect("and on the other");
        let tokens = [fleet.invite(1, 1).await, fleet.invite(2, 1).await];
        fleet.net.heal_all();
        let standing = [0, 1, 2, 3, 4, 6];
        let took = fleet
            .within(HEALED, "one fleet", async |fleet: &LiveFleet| {
                fleet.agree(&standing).await
            })
            .await;
        println!("after {seconds} s apart one fleet within {took:?}");
        let gone = [fleet.nodes[5].id, fleet.nodes[7].id];
        for manager in 0..4 {
            assert_eq!(
                fleet.assigned(manager, "amr-01").await,
                "role=dock,site=nara"
            );
            assert_eq!(
                fleet.assigned(manager, "amr-03").await,
                "role=dock,site=kyoto"
            );
        }
        for (place, node) in standing.iter().flat_map(|it| gone.map(|node| (*it, node))) {
            assert!(fleet.knows_stopped(place, node).await, "at {place}");
        }
        for (manager, token) in [3, 0].into_iter().zip(&tokens) {
            let listed = fleet.look(manager, |view| {
                Roll::of(view.replica.holdings()).invites().len()
            });
            assert_eq!(listed.await, 3, "invites at {manager}");
            let joined = fleet.join(token, &format!("late-{manager}")).await;
            joined.expect("an invite of the other side lets in");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_invite_for_one_used_on_both_sides_suspends_both_within_10_s_of_healing() {
    for (seed, seconds) in [(11, 1), (12, 70), (13, 900)] {
        let mut fleet = fleet(seed).await;
        let token = fleet.invite(0, 1).await;
        fleet.agreed(&[0, 1, 2, 3]).await;
        fleet.cut(&[0, 1, 4, 5], &[2, 3, 6, 7]);
        let mut places = Vec::new();
        for (name, host, unreachable) in [("left", 0, [2, 3]), ("right", 2, [0, 1])] {
            let place = fleet.nodes.len();
            fleet.cut(&[place], &unreachable);
            let mut token = token.clone();
            token.addresses = vec![fleet.nodes[host].address().to_string()];
            places.push(fleet.join(&token, name).await.expect("let in"));
            fleet.start(place).await;
        }
        let (one, other) = (places[0], places[1]);
        fleet.ready(0, one).await;
        fleet.ready(2, other).await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        fleet.net.heal_all();
        let ids = [fleet.nodes[one].id, fleet.nodes[other].id];
        let took = fleet
            .within(HEALED, "both suspended", async |fleet: &LiveFleet| {
                for (manager, id) in (0..4).flat_map(|it| ids.map(|id| (it, id))) {
                    if !fleet.knows_stopped(manager, id).await {
                        return false;
                    }
                }
                fleet.links(one).await.is_empty() && fleet.links(other).await.is_empty()
            })
            .await;
        println!("after {seconds} s apart both suspended within {took:?}");
    }
}
