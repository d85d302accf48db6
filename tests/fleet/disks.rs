//! Disks that are full, or keep nothing.

use std::time::Duration;

use regatta_actors::acts::ActError;
use regatta_actors::ledger::WriteError;
use regatta_actors::supervisor::Ended;
use regatta_protocol::limits::DAY_MS;
use regatta_protocol::prng::Prng;
use regatta_simulations::live::LiveFleet;
use tokio::time::sleep;

const MIB: u64 = 1024 * 1024;

async fn fleet(seed: u64) -> LiveFleet {
    let mut fleet = LiveFleet::found(seed, 2).await;
    fleet.join_many(3).await;
    for place in 2..5 {
        fleet.ready(0, place).await;
        fleet.ready(1, place).await;
    }
    fleet.agreed(&[0, 1, 2, 3, 4]).await;
    fleet
}

#[tokio::test(start_paused = true)]
async fn a_manager_whose_disk_is_full_still_revokes_and_has_everything_once_there_is_room() {
    for (seed, free, hours) in [(1, 12 * MIB, 0), (2, MIB, 1), (3, 300 * 1024, 2)] {
        let mut fleet = fleet(seed).await;
        let disk = fleet.nodes[0].disk.clone();
        disk.set_capacity(disk.used() + free);
        sleep(Duration::from_secs(6)).await;
        // Neither then nor after a restart does it take what it could not keep.
        for round in 0..2 {
            let refused = fleet.label(0, "amr-01", ("site", "nara")).await;
            let full = Err(ActError::Write(WriteError::Full));
            assert_eq!(refused.map(|_| ()), full, "seed {seed}, round {round}");
            sleep(Duration::from_secs(hours * 3_600)).await;
            fleet.nodes[0].stop().await;
            fleet.start(0).await;
            sleep(Duration::from_secs(30)).await;
        }
        for (device, site) in [("amr-02", "kyoto"), ("amr-03", "osaka")] {
            let saved = fleet.label(1, device, ("site", site)).await;
            saved.expect("another manager has room");
        }
        let gone = fleet.nodes[2].id;
        fleet
            .revoke(0, "amr-01")
            .await
            .expect("revocation has room");
        let known = async |fleet: &LiveFleet| {
            fleet.knows_stopped(1, gone).await && fleet.knows_stopped(3, gone).await
        };
        fleet
            .within(Duration::from_secs(15), "the verdict", known)
            .await;
        let certified = async |fleet: &LiveFleet| fleet.certified(3).await == "site=kyoto";
        fleet
            .within(Duration::from_secs(60), "the label", certified)
            .await;
        disk.heal();
        let whole = async |fleet: &LiveFleet| fleet.agree(&[0, 1, 3, 4]).await;
        let took = fleet
            .within(Duration::from_secs(10), "all is there", whole)
            .await;
        println!("seed {seed}: whole {took:?} after there was room");
        fleet.cut_power(0, seed).await;
        fleet.start(0).await;
        assert_eq!(fleet.assigned(0, "amr-03").await, "site=osaka");
        fleet
            .label(0, "amr-02", ("role", "dock"))
            .await
            .expect("it writes again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_whose_disk_is_full_still_hears_who_is_revoked() {
    let mut fleet = fleet(4).await;
    let disk = fleet.nodes[2].disk.clone();
    disk.set_capacity(disk.used() + MIB);
    sleep(Duration::from_secs(3_600)).await;
    fleet.revoke(1, "amr-03").await.expect("a manager may");
    let gone = fleet.nodes[4].id;
    let known = async |fleet: &LiveFleet| fleet.knows_stopped(2, gone).await;
    fleet
        .within(Duration::from_secs(15), "the verdict", known)
        .await;
    // What it knows goes to its disk, into the space kept for that, and nobody was promised it before.
    sleep(Duration::from_secs(1)).await;
    fleet.cut(&[2], &[0, 1, 3]);
    fleet.cut_power(2, 1).await;
    fleet.start(2).await;
    assert!(fleet.knows_stopped(2, gone).await, "it forgot the verdict");
}

#[tokio::test(start_paused = true)]
async fn a_disk_whose_sync_fails_ends_the_node_and_nothing_is_promised() {
    for seed in 1..=20 {
        let mut prng = Prng::from_number(seed);
        let mut fleet = LiveFleet::found(seed, 2).await;
        fleet.listens(0).await;
        fleet.nodes[0].disk.fail_sync_after(prng.below(12));
        let mut promised = Vec::new();
        for _ in 0..40 {
            let handles = fleet.nodes[0].running();
            let Some(handles) = handles else { break };
            match fleet.give(&handles, 1, DAY_MS).await {
                Ok(saved) => promised.extend(saved.entries),
                Err(_) => break,
            }
        }
        let ended = fleet.nodes[0].ended().await;
        assert!(
            matches!(ended, Ended::Fatal { .. }),
            "seed {seed}: {ended:?}"
        );
        fleet.nodes[0].disk.heal();
        fleet.cut_power(0, seed).await;
        fleet.cut(&[0], &[1]);
        fleet.start(0).await;
        assert_eq!(fleet.missing(0, &promised).await, [], "seed {seed}");
        fleet.net.heal_all();
        fleet.agreed(&[0, 1]).await;
        fleet.invite(0, 1).await;
    }
}
