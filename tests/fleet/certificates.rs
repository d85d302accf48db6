//! Certificates over months: renewed in time, after a lapse, and with the labels of today. Nodes are
//! off while the months pass.

use std::time::Duration;

use regatta_protocol::ident::Serial;
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::machine::Millis;
use regatta_simulations::live::LiveFleet;
use tokio::time::sleep;

const DAY: Duration = Duration::from_secs(24 * 3_600);
const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

async fn fleet(seed: u64) -> LiveFleet {
    let mut fleet = LiveFleet::found(seed, 1).await;
    fleet.join_many(1).await;
    fleet.ready(0, 1).await;
    fleet
}

/// Which certificate a device uses, and until when it is good.
async fn used(fleet: &LiveFleet, place: usize) -> (Serial, Millis) {
    let papers = fleet.look(place, |view| {
        (view.papers.serial, view.papers.certificate.window.to)
    });
    papers.await
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_renewed_at_a_third_of_its_life_and_used_after_a_restart() {
    let mut fleet = fleet(1).await;
    let (first, end) = used(&fleet, 1).await;
    fleet.stop_all().await;
    fleet.pass_until(20 * DAY + HOUR, end);
    fleet.start_all().await;
    fleet.ready(0, 1).await;
    sleep(HOUR / 2).await;
    assert_eq!(used(&fleet, 1).await, (first, end), "too early");
    sleep(HOUR).await;
    let (second, later) = used(&fleet, 1).await;
    assert!(second != first && later > end, "it was not renewed");
    fleet.stop_all().await;
    fleet.pass(4 * DAY);
    fleet.start_all().await;
    for restart in 0..3 {
        match restart {
            0 => fleet.nodes[1].stop().await,
            _ => fleet.cut_power(1, restart).await,
        }
        fleet.start(1).await;
        assert_eq!(used(&fleet, 1).await, (second, later));
        let shown = async |fleet: &LiveFleet| {
            let node = fleet.nodes[1].id;
            let shown = fleet.look(0, move |view| {
                view.members.get(&node).map(|member| member.own().window.to)
            });
            shown.await == Some(later)
        };
        fleet.until("the renewed one is shown", shown).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_was_off_while_its_certificate_lapsed_is_renewed_with_its_new_labels() {
    let mut fleet = fleet(2).await;
    let (_, end) = used(&fleet, 1).await;
    for (seed, days) in [(1, 5), (2, 40), (3, 100)] {
        fleet.cut_power(1, seed).await;
        sleep(MINUTE).await;
        let site = format!("s{days}");
        let saved = fleet.label(0, "amr-01", ("site", &site)).await;
        saved.expect("a label while it is off");
        fleet.stop_all().await;
        fleet.pass(days * DAY);
        fleet.start(0).await;
        sleep(MINUTE * 7 / 3).await;
        fleet.start(1).await;
        let label = format!("site={site}");
        let certified = async |fleet: &LiveFleet| fleet.certified(1).await == label;
        let took = fleet
            .within(Duration::from_secs(30), "the label", certified)
            .await;
        println!("renewed {took:?} after {days} days off");
        let (_, later) = used(&fleet, 1).await;
        assert!(later > end && later > fleet.wall(), "it is good today");
        fleet.ready(0, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_heard_of_nobody_signs_as_of_today() {
    let mut fleet = fleet(4).await;
    fleet.cut_power(1, 1).await;
    let saved = fleet.label(0, "amr-01", ("site", "nara")).await;
    saved.expect("a label while it is off");
    sleep(6 * HOUR).await;
    fleet.start(1).await;
    let certified = async |fleet: &LiveFleet| fleet.certified(1).await == "site=nara";
    fleet.until("the label", certified).await;
    let from = fleet.look(1, |view| view.papers.certificate.window.from);
    let ago = Duration::from_millis(fleet.wall().since(from.await));
    assert!(ago < 10 * MINUTE, "signed as of {ago:?} ago");
}

#[tokio::test(start_paused = true)]
async fn a_device_off_over_the_life_of_its_managers_certificate_comes_back() {
    let mut fleet = LiveFleet::found(3, 2).await;
    fleet.join_many(1).await;
    fleet.ready(0, 2).await;
    fleet.ready(1, 2).await;
    fleet.cut_power(2, 1).await;
    // The managers meet once in a while, and renew each other's certificates.
    for days in [340, 20, 20] {
        fleet.stop_all().await;
        fleet.pass(days * DAY);
        fleet.start(0).await;
        fleet.start(1).await;
        fleet.ready(0, 1).await;
        sleep(5 * MINUTE).await;
    }
    let ends = fleet.look(0, |view| ends(view.replica.holdings())).await;
    assert!(
        ends.iter().all(|end| *end > fleet.wall()),
        "a manager lapsed: {ends:?}"
    );
    fleet.start(2).await;
    fleet.ready(0, 2).await;
    fleet
        .label(1, "amr-01", ("site", "nara"))
        .await
        .expect("a label");
    let certified = async |fleet: &LiveFleet| fleet.certified(2).await == "site=nara";
    fleet.until("the label", certified).await;
}

fn ends(holdings: &Holdings) -> Vec<Millis> {
    let managers = holdings.record().managers().iter();
    managers
        .map(|(serial, it)| holdings.judgement().end_of(serial, it))
        .collect()
}
