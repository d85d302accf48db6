//! Clocks that are wrong: nobody is stuck, and nothing goes back.

use std::time::Duration;

use regatta_protocol::limits::DAY_MS;
use regatta_simulations::live::LiveFleet;
use tokio::time::sleep;

/// From the fleet's time back to 1970.
const TO_1970_MS: i64 = -1_795_132_800_000;

fn days(count: i64) -> i64 {
    count * i64::try_from(DAY_MS).expect("a day is short")
}

async fn labels_work(
    fleet: &LiveFleet,
    manager: usize,
    (place, device): (usize, &str),
    site: &str,
) {
    let saved = fleet.label(manager, device, ("site", site)).await;
    saved.expect("a manager may label");
    let label = format!("site={site}");
    let certified = async |fleet: &LiveFleet| fleet.certified(place).await == label;
    let took = fleet
        .within(Duration::from_secs(30), "the label", certified)
        .await;
    println!("by manager {manager} within {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_boots_in_1970_is_a_member_like_others() {
    let mut fleet = LiveFleet::found(1, 2).await;
    fleet.join_many(2).await;
    fleet.ready(0, 2).await;
    for (seed, off_ms) in [(1, TO_1970_MS), (2, days(-400)), (3, days(400)), (4, 0)] {
        fleet.cut_power(2, seed).await;
        fleet.nodes[2].set_clock(off_ms);
        fleet.start(2).await;
        fleet.ready(0, 2).await;
        labels_work(&fleet, 0, (2, "amr-01"), &format!("s{seed}")).await;
        fleet.nodes[2].set_clock(0);
        sleep(Duration::from_secs(30)).await;
        labels_work(&fleet, 1, (2, "amr-01"), &format!("t{seed}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_joins_in_1970() {
    let mut fleet = LiveFleet::found(2, 2).await;
    let token = fleet.invite(0, 1).await;
    fleet.skew_ms = TO_1970_MS;
    let place = fleet.join(&token, "amr-01").await.expect("let in");
    fleet.nodes[place].set_clock(TO_1970_MS);
    fleet.skew_ms = 0;
    fleet.start(place).await;
    fleet.ready(0, place).await;
    labels_work(&fleet, 1, (place, "amr-01"), "nara").await;
}

#[tokio::test(start_paused = true)]
async fn one_manager_a_day_off_among_three_holds_nobody_up() {
    for (seed, off_ms) in [(1, days(1)), (2, days(-1)), (3, days(400)), (4, TO_1970_MS)] {
        let mut fleet = LiveFleet::found(seed, 3).await;
        fleet.join_many(2).await;
        for manager in 0..3 {
            fleet.ready(manager, 3).await;
        }
        fleet.nodes[0].set_clock(off_ms);
        sleep(Duration::from_secs(60)).await;
        for round in 0..2 {
            for manager in 0..3 {
                let site = format!("s{round}{manager}");
                labels_work(&fleet, manager, (3, "amr-01"), &site).await;
            }
            // Once more with a manager that wakes with that clock.
            fleet.cut_power(0, seed).await;
            fleet.start(0).await;
            fleet.ready(0, 3).await;
        }
        fleet.nodes[0].set_clock(0);
        sleep(Duration::from_secs(60)).await;
        labels_work(&fleet, 0, (3, "amr-01"), "end").await;
        labels_work(&fleet, 1, (3, "amr-01"), "of").await;
        fleet.agreed(&[0, 1, 2, 3, 4]).await;
        let token = fleet.invite(0, 1).await;
        fleet.join(&token, "late").await.expect("let in");
    }
}
