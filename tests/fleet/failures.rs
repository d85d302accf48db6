//! Actors that panic, hang or end: the crew is back and linked again, or the node ends.

use std::time::Duration;

use regatta_actors::acts;
use regatta_actors::crew::Handles;
use regatta_actors::ledger::LedgerMessage;
use regatta_actors::membership::MembershipMessage;
use regatta_actors::supervisor::Ended;
use regatta_simulations::live::LiveFleet;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// A way to fail.
type Fail = fn(&Handles);

const PANICS: [(&str, Fail); 5] = [
    ("ledger", |it| {
        let panics = LedgerMessage::Look(Box::new(|_| panic!("as a bug does")));
        it.ledger.cast(panics).expect("it runs");
    }),
    ("membership", |it| {
        let panics = MembershipMessage::Look(Box::new(|_| panic!("as a bug does")));
        it.membership.cast(panics).expect("it runs");
    }),
    ("store", |it| it.store.actor().kill()),
    ("network", |it| it.network.kill()),
    ("ledger, ended unasked", |it| it.ledger.stop(None)),
];

const HANGS: [(&str, Fail); 2] = [
    ("ledger", |it| {
        it.ledger.cast(LedgerMessage::Hang).expect("it runs")
    }),
    ("membership", |it| {
        it.membership
            .cast(MembershipMessage::Hang)
            .expect("it runs")
    }),
];

/// Two managers and a device, all linked.
async fn fleet(seed: u64) -> LiveFleet {
    let mut fleet = LiveFleet::found(seed, 2).await;
    fleet.join_many(1).await;
    fleet.ready(0, 2).await;
    fleet.ready(1, 2).await;
    fleet
}

/// Waits until a node's actors are others than these.
async fn other_actors(fleet: &LiveFleet, place: usize, before: &Handles) -> Duration {
    let began = Instant::now();
    let other = async |fleet: &LiveFleet| {
        let now = fleet.nodes[place].handles().await;
        now.ledger.get_id() != before.ledger.get_id() && acts::look(&now, |_| ()).await.is_ok()
    };
    fleet.within(60 * SECOND, "other actors", other).await;
    began.elapsed()
}

async fn is_whole(fleet: &LiveFleet, place: usize, round: u64) {
    for other in (0..3).filter(|other| *other != place) {
        let (here, there) = (fleet.nodes[place].id, fleet.nodes[other].id);
        let linked = async |fleet: &LiveFleet| {
            fleet.links(place).await.contains(&there) && fleet.links(other).await.contains(&here)
        };
        fleet.within(60 * SECOND, "its links", linked).await;
    }
    fleet.ready(0, 2).await;
    let site = format!("s{round}");
    let saved = fleet.label(0, "amr-01", ("site", &site)).await;
    assert_eq!(saved.expect("it writes").copies, 2);
    let label = format!("site={site}");
    let certified = async |fleet: &LiveFleet| fleet.certified(2).await == label;
    fleet.until("the label", certified).await;
}

#[tokio::test(start_paused = true)]
async fn whichever_actor_fails_the_node_is_back_within_a_second() {
    let fleet = fleet(1).await;
    let mut round = 0;
    for (what, fail) in PANICS {
        for place in [0, 2] {
            round += 1;
            let before = fleet.nodes[place].handles().await;
            fail(&before);
            let took = other_actors(&fleet, place, &before).await;
            assert!(took <= SECOND, "{what} at {place}: {took:?}");
            is_whole(&fleet, place, round).await;
            sleep(61 * SECOND).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_hangs_is_replaced_within_15_s() {
    let fleet = fleet(2).await;
    let mut round = 0;
    for (what, fail) in HANGS {
        for place in [0, 2] {
            round += 1;
            let before = fleet.nodes[place].handles().await;
            fail(&before);
            let took = other_actors(&fleet, place, &before).await;
            assert!(took <= 15 * SECOND, "{what} at {place}: {took:?}");
            is_whole(&fleet, place, round).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_sixth_failure_within_a_minute_ends_the_node_and_a_start_brings_it_back() {
    let mut fleet = fleet(3).await;
    for round in 0..6 {
        let before = fleet.nodes[0].handles().await;
        (PANICS[0].1)(&before);
        if round < 5 {
            other_actors(&fleet, 0, &before).await;
        }
    }
    let ended = fleet.nodes[0].ended().await;
    assert!(matches!(ended, Ended::Exhausted { .. }), "{ended:?}");
    fleet.cut_power(0, 1).await;
    fleet.start(0).await;
    is_whole(&fleet, 0, 7).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_holds_the_old_actors_keeps_no_new_ones_from_the_disk() {
    let fleet = fleet(4).await;
    let mut held = Vec::new();
    for round in 0..4 {
        let before = fleet.nodes[0].handles().await;
        (PANICS[1].1)(&before);
        other_actors(&fleet, 0, &before).await;
        assert!(
            acts::look(&before, |_| ()).await.is_err(),
            "{round}: the old ones answer"
        );
        held.push(before);
    }
    is_whole(&fleet, 0, 1).await;
}
