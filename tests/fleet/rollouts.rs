//! Changes that go out in waves: one after the other, stopped where devices fail, carried on by whoever is
//! there.

use std::time::Duration;

use regatta_actors::acts::{self, config::keep_body};
use regatta_actors::config;
use regatta_actors::config::rollouts::draft_of;
use regatta_protocol::config::document::{ConfigDocument, RolloutSpec, Wave};
use regatta_protocol::config::rollout::{RolloutDocument, RolloutState};
use regatta_simulations::live::LiveFleet;

use super::config::{all_show, name, nav, put, shows, write};

fn in_waves(document: ConfigDocument, waves: &[Wave]) -> ConfigDocument {
    ConfigDocument {
        rollout: Some(RolloutSpec {
            waves: waves.to_vec(),
            success_percent: 100,
            pause_ms: 2_000,
            min_available: [].into(),
        }),
        ..document
    }
}

/// The rollout of what holds, as a manager knows it.
async fn rollout(fleet: &LiveFleet, manager: usize) -> Option<RolloutDocument> {
    let handles = fleet.nodes[manager].handles().await;
    let rollouts = config::rollouts(&handles.config);
    let rollouts = rollouts.await.expect("the actor runs");
    fleet
        .look(manager, move |view| {
            let holdings = view.replica.holdings();
            let mut documents = holdings.catalog().documents();
            let nav = documents.find(|(key, _)| key.name == name("nav"));
            let (_, heads) = nav?;
            rollouts.of(holdings, &heads.winner, &[]).ok()?
        })
        .await
}

async fn comes_to(fleet: &LiveFleet, manager: usize, state: fn(&RolloutState) -> bool) {
    let patience = Duration::from_secs(300);
    fleet
        .within(
            patience,
            "the rollout's state",
            async |fleet: &LiveFleet| {
                rollout(fleet, manager)
                    .await
                    .is_some_and(|it| state(&it.state))
            },
        )
        .await;
}

fn showing(fleet: &LiveFleet, places: &[usize], velocity: i64) -> usize {
    let shown = places
        .iter()
        .filter(|place| shows(fleet, **place) == Some(velocity));
    shown.count()
}

async fn fleet_of(seed: u64, managers: usize, devices: usize) -> (LiveFleet, Vec<usize>) {
    let mut fleet = LiveFleet::found(seed, managers).await;
    fleet.join_many(devices).await;
    let places: Vec<usize> = (managers..managers + devices).collect();
    for place in &places {
        for manager in 0..managers {
            fleet.ready(manager, *place).await;
        }
    }
    (fleet, places)
}

#[tokio::test(start_paused = true)]
async fn waves_open_one_after_the_other_and_never_more_than_they_may() {
    let (fleet, places) = fleet_of(61, 2, 4).await;
    write(&fleet, 0, put("", nav(1))).await;
    all_show(&fleet, &places, 1).await;
    let waves = [Wave::Count(1), Wave::Percent(50), Wave::Percent(100)];
    write(&fleet, 0, put("", in_waves(nav(2), &waves))).await;
    let mut most = [0, 0, 0];
    fleet
        .within(
            Duration::from_secs(300),
            "the end",
            async |fleet: &LiveFleet| {
                let before = rollout(fleet, 0).await;
                let open = showing(fleet, &places, 2);
                if let Some(before) = before {
                    // Counted before the next wave can have opened.
                    let wave = usize::from(before.wave);
                    let same = rollout(fleet, 0)
                        .await
                        .is_some_and(|it| it.wave == before.wave);
                    if same {
                        most[wave] = most[wave].max(open);
                    }
                }
                open == places.len()
            },
        )
        .await;
    assert!(most[0] <= 1 && most[1] <= 2, "{most:?}");
    comes_to(&fleet, 1, |state| *state == RolloutState::Complete).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_devices_refuse_stops_at_the_first_and_aborting_takes_it_back() {
    let (fleet, places) = fleet_of(62, 2, 3).await;
    write(&fleet, 0, put("", nav(1))).await;
    all_show(&fleet, &places, 1).await;
    let waves = [Wave::Count(1), Wave::Percent(100)];
    let mut bad = in_waves(nav(2), &waves);
    bad.files[0].path = "/etc/passwd".to_owned();
    write(&fleet, 1, put("", bad)).await;
    comes_to(&fleet, 0, |state| {
        matches!(state, RolloutState::Paused { by: None, .. })
    })
    .await;
    assert_eq!(showing(&fleet, &places, 1), 3, "nobody has it");

    // A good one goes half its way, and is aborted.
    write(&fleet, 0, put("", in_waves(nav(3), &waves))).await;
    fleet
        .until("the first device", async |fleet: &LiveFleet| {
            showing(fleet, &places, 3) == 1
        })
        .await;
    comes_to(&fleet, 0, |state| *state == RolloutState::Running).await;
    let running = rollout(&fleet, 0).await.expect("it began");
    let handles = fleet.nodes[0].handles().await;
    let rollouts = config::rollouts(&handles.config);
    let (rollouts, of) = (rollouts.await.expect("the actor runs"), running.clone());
    let aborted = fleet
        .look(0, move |view| {
            rollouts.aborted(view.replica.holdings(), &of, ("a test", &[]))
        })
        .await
        .expect("its manager has read all words")
        .expect("it is not over");
    let draft = draft_of(&running.of, &aborted);
    let kept = keep_body(&handles, draft.bytes.clone()).await;
    kept.expect("a manager keeps bodies");
    let written = acts::write(&handles, move |view| Ok((vec![draft.write(view)], ()))).await;
    written.expect("a manager may write");
    // Back to the last one that everybody had: the one between was refused.
    fleet
        .until("all are back", async |fleet: &LiveFleet| {
            showing(fleet, &places, 1) == 3
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn another_manager_carries_on_when_the_one_that_drives_is_gone() {
    for gone in 0..2 {
        let (mut fleet, places) = fleet_of(63 + gone as u64, 2, 3).await;
        write(&fleet, gone, put("", nav(1))).await;
        all_show(&fleet, &places, 1).await;
        fleet.agreed(&[0, 1]).await;
        let waves = [Wave::Count(1), Wave::Percent(100)];
        write(&fleet, gone, put("", in_waves(nav(2), &waves))).await;
        fleet
            .until("the first device", async |fleet: &LiveFleet| {
                showing(fleet, &places, 2) >= 1
            })
            .await;
        fleet.agreed(&[0, 1]).await;
        fleet.nodes[gone].stop().await;
        let patience = Duration::from_secs(300);
        fleet
            .within(patience, "all devices", async |fleet: &LiveFleet| {
                showing(fleet, &places, 2) == places.len()
            })
            .await;
        comes_to(&fleet, 1 - gone, |state| *state == RolloutState::Complete).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_was_off_follows_when_it_comes() {
    let (mut fleet, places) = fleet_of(65, 1, 3).await;
    write(&fleet, 0, put("", nav(1))).await;
    all_show(&fleet, &places, 1).await;
    fleet.nodes[places[2]].stop().await;
    let waves = [Wave::Count(1), Wave::Percent(100)];
    write(&fleet, 0, put("", in_waves(nav(2), &waves))).await;
    comes_to(&fleet, 0, |state| *state == RolloutState::Complete).await;
    fleet.start(places[2]).await;
    all_show(&fleet, &places, 2).await;
}
