//! Certificates that end while their holders are linked: what stays open, and until when.

use std::time::Duration;

use regatta_protocol::machine::Millis;
use regatta_protocol::trust::certificate::{Capability, Certificate, Issuer};
use regatta_simulations::live::LiveFleet;
use tokio::time::sleep;

const DAY: Duration = Duration::from_secs(24 * 3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// When a node's own certificate ends.
async fn end(fleet: &LiveFleet, place: usize) -> Millis {
    let end = fleet.look(place, |view| view.papers.certificate.window.to);
    end.await
}

/// Whether membership has a link.
async fn linked(fleet: &LiveFleet, place: usize, other: usize) -> bool {
    fleet.links(place).await.contains(&fleet.nodes[other].id)
}

/// Whether there is a link, whatever is open on it.
async fn met(fleet: &LiveFleet, place: usize, other: usize) -> bool {
    fleet.members(place).await.contains(&fleet.nodes[other].id)
}

async fn pass_to(fleet: &LiveFleet, moment: Millis) {
    sleep(Duration::from_millis(moment.since(fleet.wall()))).await;
}

/// Waits until the second manager hangs up on the device that it restricted.
async fn cut_off(fleet: &LiveFleet) {
    let cut = async |fleet: &LiveFleet| {
        assert!(!linked(fleet, 1, 2).await, "a member again");
        !met(fleet, 1, 2).await
    };
    let patience = 2 * MINUTE + MINUTE / 6;
    let took = fleet.within(patience, "the end of it", cut).await;
    println!("cut off {took:?} later");
}

/// The second manager may not renew anybody.
fn one_may_enrol(place: usize, certificate: &mut Certificate) {
    let grants = &mut certificate.grants;
    grants.retain(|it| place == 0 || it.capability != Capability::DeviceEnrol);
}

#[tokio::test(start_paused = true)]
async fn the_session_of_one_that_nobody_renews_ends_soon_after_its_certificate() {
    let mut fleet = LiveFleet::found_with(1, 2, one_may_enrol).await;
    fleet.join_many(1).await;
    fleet.ready(1, 2).await;
    let end = end(&fleet, 2).await;
    fleet.stop_all().await;
    fleet.pass_until(10 * MINUTE, end);
    fleet.start(1).await;
    fleet.start(2).await;
    fleet.ready(1, 2).await;
    pass_to(&fleet, end).await;
    assert!(linked(&fleet, 1, 2).await, "it is good to its last moment");
    let apart = async |fleet: &LiveFleet| !linked(fleet, 1, 2).await && !linked(fleet, 2, 1).await;
    let took = fleet.within(MINUTE, "a restricted device", apart).await;
    println!("restricted {took:?} after the end of its certificate");
    cut_off(&fleet).await;
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_lapses_in_a_session_is_no_home_any_more() {
    let mut fleet = LiveFleet::found(2, 1).await;
    fleet.join_many(1).await;
    fleet.ready(0, 1).await;
    let end = end(&fleet, 0).await;
    fleet.stop_all().await;
    fleet.pass_until(10 * MINUTE, end);
    fleet.start_all().await;
    fleet.ready(0, 1).await;
    pass_to(&fleet, end).await;
    assert!(linked(&fleet, 1, 0).await);
    let alone = async |fleet: &LiveFleet| {
        fleet.links(0).await.is_empty() && fleet.links(1).await.is_empty()
    };
    let took = fleet.within(MINUTE, "a lapsed manager", alone).await;
    println!("no home any more {took:?} after the certificate");
    // What the root says reaches both by the link that stays.
    sleep(5 * MINUTE).await;
    assert!(met(&fleet, 1, 0).await && met(&fleet, 0, 1).await);
    assert!(fleet.links(1).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lapsed_neighbour_is_none_until_it_is_renewed_on_the_same_link() {
    let mut fleet = LiveFleet::found(3, 1).await;
    fleet.join_many(1).await;
    fleet.ready(0, 1).await;
    let end = end(&fleet, 1).await;
    fleet.stop_all().await;
    fleet.pass(5 * DAY);
    fleet.start_all().await;
    let token = fleet.invite(0, 1).await;
    let second = fleet.join(&token, "amr-02").await.expect("let in");
    fleet.start(second).await;
    let meshed = async |fleet: &LiveFleet| {
        linked(fleet, 1, 2).await && linked(fleet, 2, 1).await && linked(fleet, 2, 0).await
    };
    fleet.until("neighbours", meshed).await;
    fleet.stop_all().await;
    fleet.pass_until(10 * MINUTE, end);
    fleet.start(1).await;
    fleet.start(2).await;
    let neighbours =
        async |fleet: &LiveFleet| linked(fleet, 1, 2).await && linked(fleet, 2, 1).await;
    fleet
        .until("neighbours without a manager", neighbours)
        .await;
    pass_to(&fleet, end).await;
    let apart = async |fleet: &LiveFleet| !linked(fleet, 1, 2).await && !linked(fleet, 2, 1).await;
    fleet.within(MINUTE, "a lapsed neighbour", apart).await;
    sleep(5 * MINUTE).await;
    assert!(met(&fleet, 1, 2).await && met(&fleet, 2, 1).await);
    fleet.start(0).await;
    let again = async |fleet: &LiveFleet| {
        assert!(met(fleet, 1, 2).await && met(fleet, 2, 1).await, "cut off");
        linked(fleet, 1, 2).await && linked(fleet, 2, 1).await && linked(fleet, 0, 1).await
    };
    let took = fleet.within(5 * MINUTE, "a renewed neighbour", again).await;
    println!("a full member again {took:?} after its manager came");
    fleet.ready(0, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_device_whose_issuer_is_stopped_goes_on_once_another_has_renewed_it() {
    let mut fleet = LiveFleet::found(4, 2).await;
    fleet.join_many(1).await;
    fleet.ready(1, 2).await;
    let both = async |fleet: &LiveFleet| linked(fleet, 1, 2).await && linked(fleet, 0, 2).await;
    fleet.until("two homes", both).await;
    fleet.root_stops(0, 1).await;
    let renewed = async |fleet: &LiveFleet| {
        assert!(met(fleet, 1, 2).await, "cut off");
        let issuer = fleet.look(2, |view| view.papers.certificate.issuer).await;
        let other = fleet.look(1, |view| view.papers.serial).await;
        issuer == Issuer::Certificate(other) && linked(fleet, 1, 2).await
    };
    let took = fleet.within(MINUTE, "another issuer", renewed).await;
    println!("renewed by another {took:?} after its issuer was stopped");
    for _ in 0..40 {
        sleep(MINUTE / 10).await;
        assert!(linked(&fleet, 1, 2).await, "cut off later");
    }
    assert!(!met(&fleet, 1, 0).await && !met(&fleet, 2, 0).await);
}

#[tokio::test(start_paused = true)]
async fn a_device_whose_issuer_is_stopped_and_whom_nobody_renews_is_cut_off() {
    let mut fleet = LiveFleet::found_with(5, 2, one_may_enrol).await;
    fleet.join_many(1).await;
    fleet.ready(1, 2).await;
    let both = async |fleet: &LiveFleet| linked(fleet, 1, 2).await && linked(fleet, 0, 2).await;
    fleet.until("two homes", both).await;
    fleet.root_stops(0, 1).await;
    let apart = async |fleet: &LiveFleet| !linked(fleet, 1, 2).await;
    let took = fleet.within(MINUTE, "a restricted device", apart).await;
    println!("restricted {took:?} after its issuer was stopped");
    cut_off(&fleet).await;
}
