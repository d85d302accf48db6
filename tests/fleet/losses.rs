//! Power cuts and restarts: nothing that was acknowledged is lost, nothing is issued twice.

use std::collections::BTreeMap;
use std::time::Duration;

use regatta_actors::acts::{self, ActError, InviteAsk};
use regatta_actors::crew::Handles;
use regatta_actors::ledger::WriteError;
use regatta_actors::store::disk::simulated::SimulatedDisk;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::replica::author::Refusal;
use regatta_protocol::limits::DAY_MS;
use regatta_protocol::membership::presence::PresenceState;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::roll::Roll;
use regatta_simulations::live::LiveFleet;
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn agents_restart_with_every_manager_gone_and_know_all_that_they_knew() {
    for seed in 1..=5 {
        let mut fleet = LiveFleet::found(seed, 2).await;
        fleet.join_many(4).await;
        for place in 2..6 {
            fleet.ready(0, place).await;
        }
        fleet.revoke(1, "amr-04").await.expect("stopped");
        for agent in 2..5 {
            let meshed = async |fleet: &LiveFleet| !fleet.neighbours(agent).await.is_empty();
            fleet.until("a neighbour", meshed).await;
        }
        let known = fleet.agreed(&[0, 1, 2, 3, 4]).await;
        for manager in 0..2 {
            fleet.cut_power(manager, seed).await;
        }
        sleep(Duration::from_secs(600)).await;
        for agent in 2..5 {
            fleet.cut_power(agent, seed + 7).await;
            fleet.start(agent).await;
        }
        sleep(Duration::from_secs(600)).await;
        for agent in 2..5 {
            let held = fleet.held(agent).await;
            assert_eq!((held.state, &held.common), (known.state, &known.common));
            let managers = fleet.look(agent, |view| {
                view.replica.holdings().record().managers().len()
            });
            assert_eq!(managers.await, 2, "the roster of {agent}");
            assert!(
                !fleet.links(agent).await.is_empty(),
                "{agent} has no neighbours"
            );
        }
        for manager in 0..2 {
            fleet.start(manager).await;
        }
        for agent in 2..5 {
            fleet.ready(0, agent).await;
            fleet.ready(1, agent).await;
        }
        fleet
            .label(0, "amr-01", ("site", "kyoto"))
            .await
            .expect("a label");
        let certified = async |fleet: &LiveFleet| fleet.certified(2).await == "site=kyoto";
        fleet.until("the label", certified).await;
        fleet.agreed(&[0, 1, 2, 3, 4]).await;
    }
}

/// Gives invites until the node ends, and tells which entries were acknowledged.
async fn write(handles: Handles, told: tokio::sync::mpsc::UnboundedSender<Vec<Hash>>) {
    loop {
        let ask = InviteAsk {
            uses: 1,
            ttl_ms: DAY_MS,
            ..InviteAsk::default()
        };
        let Ok(saved) = acts::invite(&handles, ask).await else {
            return;
        };
        // The test reads until it ends.
        let _ = told.send(saved.entries);
        // Where no peer is waited for, a write takes no virtual time.
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_manager_acknowledged_outlives_its_power_cuts() {
    let mut acknowledged = 0;
    for seed in 1..=20 {
        let mut prng = Prng::from_number(seed);
        let mut fleet = LiveFleet::found(seed, 3).await;
        for round in 0..5 {
            let victim = usize::try_from(prng.below(3)).unwrap_or(0);
            fleet.listens(victim).await;
            let handles = fleet.nodes[victim].handles().await;
            let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
            let writers: Vec<_> = (0..4)
                .map(|_| tokio::spawn(write(handles.clone(), tell.clone())))
                .collect();
            drop(tell);
            if prng.chance(500_000) {
                fleet.nodes[victim].disk.cut_power_after(prng.below(60));
            }
            sleep(Duration::from_millis(prng.below(2_000))).await;
            fleet.cut_power(victim, prng.next_u64()).await;
            for writer in writers {
                writer.await.expect("a writer ends with its node");
            }
            let mut promised = Vec::new();
            while let Some(entries) = told.recv().await {
                promised.extend(entries);
            }
            // Alone, so that nobody gives it back what it lost.
            fleet.cut(&[victim], &[0, 1, 2]);
            fleet.start(victim).await;
            let missing = fleet.missing(victim, &promised).await;
            assert_eq!(
                missing,
                [],
                "seed {seed}, round {round}: of {}",
                promised.len()
            );
            acknowledged += promised.len();
            fleet.net.heal_all();
            fleet.agreed(&[0, 1, 2]).await;
            let (_, twice) = fleet.numbers(victim).await;
            assert!(
                !twice,
                "seed {seed}, round {round}: a number was issued twice"
            );
        }
    }
    println!("{acknowledged} entries acknowledged, none lost");
    assert!(acknowledged > 500, "{acknowledged}");
}

#[tokio::test(start_paused = true)]
async fn a_manager_restarted_a_hundred_times_loses_nothing_and_issues_no_number_twice() {
    let mut fleet = LiveFleet::found(1, 2).await;
    let mut last = BTreeMap::new();
    for round in 0_u64..100 {
        match round % 3 {
            0 => fleet.nodes[0].stop().await,
            _ => fleet.cut_power(0, round).await,
        }
        fleet.start(0).await;
        let token = fleet.try_invite(0, 1, DAY_MS).await;
        token.unwrap_or_else(|error| panic!("round {round}: {error}"));
        let (numbers, twice) = fleet.numbers(0).await;
        assert!(!twice, "round {round}");
        for (ledger, number) in &last {
            assert!(
                numbers.get(ledger) >= Some(number),
                "round {round}: {ledger:?}"
            );
        }
        last = numbers;
    }
    fleet.agreed(&[0, 1]).await;
    let invites = fleet.look(1, |view| Roll::of(view.replica.holdings()).invites().len());
    assert_eq!(invites.await, 100);
    let troubles = fleet.look(1, |view| view.troubles.to_vec()).await;
    assert_eq!(troubles, [], "a restart is no fork");
}

#[tokio::test(start_paused = true)]
async fn a_lone_manager_that_restarts_before_it_wrote_anything_writes() {
    let mut fleet = LiveFleet::found(1, 1).await;
    for _ in 0..3 {
        fleet.nodes[0].stop().await;
        fleet.start(0).await;
    }
    let given = fleet.try_invite(0, 1, DAY_MS).await;
    given.expect("nothing was lost");
}

#[tokio::test(start_paused = true)]
async fn a_manager_killed_is_missed_by_nobody_but_its_devices_and_comes_back() {
    let mut fleet = LiveFleet::found(5, 3).await;
    fleet.join_many(3).await;
    for place in 3..6 {
        fleet.ready(1, place).await;
    }
    fleet.cut_power(0, 3).await;
    let saved = fleet.label(1, "amr-02", ("site", "nara")).await;
    assert_eq!(saved.expect("another writes").copies, 2);
    let certified = async |fleet: &LiveFleet| fleet.certified(4).await == "site=nara";
    fleet
        .within(Duration::from_secs(60), "the label", certified)
        .await;
    fleet.start(0).await;
    let back = async |fleet: &LiveFleet| fleet.agree(&[0, 1, 2, 3, 4, 5]).await;
    let took = fleet
        .within(Duration::from_secs(10), "it knows all", back)
        .await;
    println!("back within {took:?}");
    for place in 3..6 {
        fleet.ready(0, place).await;
    }
    assert_eq!(fleet.state(1, 0).await, PresenceState::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_manager_whose_disk_was_wiped_writes_once_a_peer_has_given_its_ledgers_back() {
    let mut fleet = LiveFleet::found(6, 2).await;
    fleet.invite(0, 1).await;
    fleet.agreed(&[0, 1]).await;
    fleet.nodes[0].stop().await;
    fleet.nodes[0].disk = SimulatedDisk::new();
    fleet.cut(&[0], &[1]);
    // A further restart does not make it forget that something is missing.
    for _ in 0..2 {
        fleet.start(0).await;
        let given = fleet.try_invite(0, 1, DAY_MS).await;
        let refused = ActError::Write(WriteError::Refused(Refusal::Rebuilding));
        assert_eq!(given.map(|_| ()), Err(refused));
        fleet.nodes[0].stop().await;
    }
    fleet.net.heal_all();
    fleet.start(0).await;
    let writes = async |fleet: &LiveFleet| fleet.try_invite(0, 1, DAY_MS).await.is_ok();
    fleet.until("it writes again", writes).await;
    fleet.agreed(&[0, 1]).await;
    let troubles = fleet.look(1, |view| view.troubles.to_vec()).await;
    assert_eq!(troubles, [], "it went on where it had been");
}
