//! A fleet forms: managers find each other, devices join, labels and revocations arrive.

use std::collections::BTreeMap;

use regatta_actors::acts;
use regatta_protocol::membership::presence::PresenceState;
use regatta_protocol::trust::roll::Roll;
use regatta_simulations::live::LiveFleet;

#[tokio::test(start_paused = true)]
async fn devices_join_and_every_manager_knows_them() {
    let mut fleet = LiveFleet::found(1, 2).await;
    fleet.join_many(3).await;
    for place in 2..5 {
        fleet.ready(0, place).await;
        fleet.ready(1, place).await;
    }
    fleet.agreed(&[0, 1, 2, 3, 4]).await;
    let handles = fleet.nodes[1].handles().await;
    let names = acts::look(&handles, |view| {
        let devices = Roll::of(view.replica.holdings()).devices();
        devices
            .iter()
            .map(|it| it.name().to_string())
            .collect::<Vec<_>>()
    });
    let mut names = names.await.expect("the ledger runs");
    names.sort();
    assert_eq!(names, ["amr-01", "amr-02", "amr-03"]);
}

#[tokio::test(start_paused = true)]
async fn a_label_reaches_the_devices_certificate() {
    let mut fleet = LiveFleet::found(2, 2).await;
    fleet.join_many(1).await;
    fleet.ready(1, 2).await;
    let set = BTreeMap::from([("site".to_owned(), "kyoto".to_owned())]);
    let handles = fleet.nodes[1].handles().await;
    let saved = acts::relabel(&handles, "amr-01".to_owned(), set, Vec::new()).await;
    assert_eq!(saved.expect("a manager may label").copies, 2);
    fleet
        .until("the label in the certificate", async |fleet: &LiveFleet| {
            let handles = fleet.nodes[2].handles().await;
            let labels = acts::look(&handles, |view| view.papers.certificate.labels.to_string());
            labels.await.expect("the ledger runs") == "site=kyoto"
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_revoked_device_is_cut_off_and_stays_out() {
    let mut fleet = LiveFleet::found(3, 2).await;
    fleet.join_many(2).await;
    fleet.ready(0, 2).await;
    fleet.ready(0, 3).await;
    let handles = fleet.nodes[0].handles().await;
    let why = "stolen".to_owned();
    let saved = acts::revoke(&handles, "amr-01".to_owned(), why).await;
    saved.expect("a manager may revoke a device");
    let gone = async |fleet: &LiveFleet| {
        let handles = fleet.nodes[2].handles().await;
        let links = acts::look_around(&handles, |view| view.links.len());
        links.await.expect("membership runs") == 0
    };
    fleet.until("no link to the revoked", gone).await;
    fleet.nodes[2].stop().await;
    fleet.start(2).await;
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    assert!(gone(&fleet).await, "a revoked device came back");
    assert_ne!(fleet.state(0, 2).await, PresenceState::Ready);
    fleet.ready(0, 3).await;
}
