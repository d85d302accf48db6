//! Who is not, or no more, of the fleet stays out, whichever way it comes.

use std::sync::Arc;
use std::time::Duration;

use regatta_actors::identity::{NodeIdentity, NodeSecrets};
use regatta_protocol::codec::Name;
use regatta_protocol::crypto::seal::BoxSecret;
use regatta_protocol::crypto::sign::SecretKey;
use regatta_protocol::ident::NodeId;
use regatta_protocol::prng::Prng;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::certificate::{Certificate, Issuer, Rank};
use regatta_protocol::trust::founding;
use regatta_simulations::live::LiveFleet;
use tokio::time::sleep;

/// A member of nothing: a certificate of its own making, under this fleet's or another's root.
fn stranger(fleet: &LiveFleet, seed: u64, make: impl Fn(&mut Certificate)) -> NodeIdentity {
    let mut prng = Prng::from_number(seed);
    let secrets = NodeSecrets {
        sign: SecretKey::generate(&mut prng),
        seal: BoxSecret::generate(&mut prng),
    };
    let name = Name::new("mallory").expect("a name");
    let node = NodeId(prng.bytes());
    let (keys, now) = (secrets.public(), fleet.wall());
    let mut certificate = founding::manager_certificate(1, node, name, keys, now);
    make(&mut certificate);
    NodeIdentity {
        fleet: fleet.root.fleet,
        root: fleet.root.root.clone(),
        statements: fleet.nodes[0].identity().statements.clone(),
        certificate: founding::certify(&certificate, &fleet.root.fleet, &secrets.sign),
        secrets: Arc::new(secrets),
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_no_manager_signed_opens_nothing() {
    let mut fleet = LiveFleet::found(1, 2).await;
    fleet.join_many(1).await;
    fleet.ready(0, 2).await;
    let manager = fleet.nodes[0].identity().certificate.serial();
    let forged: [fn(&mut Certificate); 3] = [
        |_| {},
        |it| (it.rank, it.grants) = (Rank::Device, Vec::new()),
        |it| it.labels = Labels::none(),
    ];
    for (seed, make) in (100..).zip(forged) {
        let identity = stranger(&fleet, seed, |it| {
            make(it);
            if it.rank == Rank::Device {
                it.issuer = Issuer::Certificate(manager);
            }
        });
        let place = fleet.bring(identity);
        fleet.start(place).await;
    }
    // One of another fleet, honest there.
    let other = LiveFleet::found(2, 1).await;
    let mut identity = other.nodes[0].identity().clone();
    let place = fleet.bring(identity.clone());
    fleet.start(place).await;
    // And one that only says that it is of this one.
    (identity.fleet, identity.root) = (fleet.root.fleet, fleet.root.root.clone());
    let place = fleet.bring(identity);
    fleet.start(place).await;
    sleep(Duration::from_secs(300)).await;
    for place in 3..fleet.nodes.len() {
        assert!(fleet.links(place).await.is_empty(), "{place} got in");
        assert!(!fleet.links(0).await.contains(&fleet.nodes[place].id));
        assert!(!fleet.links(2).await.contains(&fleet.nodes[place].id));
    }
    fleet.ready(0, 2).await;
}

#[tokio::test(start_paused = true)]
async fn an_invite_lets_in_whom_it_is_for_and_only_while_it_is_good() {
    let mut fleet = LiveFleet::found(3, 2).await;
    let token = fleet.invite(0, 1).await;
    let (first, keys) = fleet.join_as(&token, "amr-01", None).await.expect("let in");
    let again = fleet.join_as(&token, "amr-01", Some(keys)).await;
    let (again, _) = again.expect("the same device may repeat it");
    assert_eq!(fleet.nodes[first].id, fleet.nodes[again].id);
    let other = fleet.join(&token, "amr-02").await;
    let why = other.expect_err("it is used up");
    assert!(why.contains("used up"), "{why}");
    let mut elsewhere = token.clone();
    elsewhere.addresses = vec![fleet.nodes[1].address().to_string()];
    fleet.agreed(&[0, 1]).await;
    let why = fleet
        .join(&elsewhere, "amr-03")
        .await
        .expect_err("there too");
    assert!(why.contains("used up"), "{why}");
    let token = fleet.try_invite(0, 5, 60_000).await.expect("an invite");
    sleep(Duration::from_secs(61)).await;
    let why = fleet.join(&token, "amr-04").await.expect_err("it expired");
    assert!(why.contains("expired"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn an_invite_expires_at_a_manager_that_hears_of_nobody_whatever_the_joiners_clock_shows() {
    let mut fleet = LiveFleet::found(8, 1).await;
    let token = fleet.try_invite(0, 5, 600_000).await.expect("an invite");
    sleep(Duration::from_secs(601)).await;
    fleet.skew_ms = -3_600_000;
    let why = fleet.join(&token, "amr-01").await.expect_err("it expired");
    assert!(why.contains("expired"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_node_is_cut_off_within_5_s_and_known_everywhere_within_15() {
    for seed in 1..=5 {
        let mut fleet = LiveFleet::found(seed, 3).await;
        fleet.join_many(6).await;
        for place in 3..9 {
            fleet.ready(0, place).await;
        }
        let meshed = async |fleet: &LiveFleet| !fleet.neighbours(4).await.is_empty();
        fleet.until("a neighbour", meshed).await;
        let gone = fleet.nodes[4].id;
        fleet.revoke(1, "amr-02").await.expect("a manager may");
        let cut = async |fleet: &LiveFleet| fleet.links(4).await.is_empty();
        let took = fleet
            .within(Duration::from_secs(5), "no session", cut)
            .await;
        let known = async |fleet: &LiveFleet| {
            for place in [0, 1, 2, 3, 5, 6, 7, 8] {
                if !fleet.knows_stopped(place, gone).await {
                    return false;
                }
            }
            true
        };
        let all = fleet
            .within(Duration::from_secs(10), "all know", known)
            .await;
        println!("cut off within {took:?}, known within {all:?} more");
        // It comes back by a restart, with everybody in reach, then with its neighbours alone.
        for managers in [&[][..], &[0, 1, 2]] {
            fleet.cut(&[4], managers);
            fleet.cut_power(4, seed).await;
            fleet.start(4).await;
            sleep(Duration::from_secs(180)).await;
            assert!(fleet.links(4).await.is_empty(), "seed {seed}: it is back");
        }
        for place in [0, 1, 2, 3, 5, 6, 7, 8] {
            assert!(
                !fleet.links(place).await.contains(&gone),
                "seed {seed}: {place}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_node_does_not_come_back_with_an_older_certificate() {
    let mut fleet = LiveFleet::found(4, 2).await;
    fleet.join_many(1).await;
    fleet.ready(0, 2).await;
    fleet
        .label(0, "amr-01", ("site", "nara"))
        .await
        .expect("a label");
    let renewed = async |fleet: &LiveFleet| fleet.certified(2).await == "site=nara";
    fleet.until("a second certificate", renewed).await;
    fleet.revoke(0, "amr-01").await.expect("a manager may");
    fleet.agreed(&[0, 1]).await;
    // The identity of joining, and an empty disk: the first certificate is all that it has.
    let identity = fleet.nodes[2].identity().clone();
    fleet.cut_power(2, 1).await;
    let place = fleet.bring(identity);
    fleet.start(place).await;
    sleep(Duration::from_secs(300)).await;
    assert!(fleet.links(place).await.is_empty(), "it is back");
}

#[tokio::test(start_paused = true)]
async fn who_was_off_when_a_node_was_revoked_refuses_it_once_told() {
    let mut fleet = LiveFleet::found(5, 2).await;
    fleet.join_many(3).await;
    for place in 2..5 {
        fleet.ready(0, place).await;
        let meshed = async |fleet: &LiveFleet| !fleet.neighbours(place).await.is_empty();
        fleet.until("a neighbour", meshed).await;
    }
    fleet.cut_power(3, 1).await;
    fleet.revoke(0, "amr-01").await.expect("a manager may");
    fleet.agreed(&[0, 1, 4]).await;
    let gone = fleet.nodes[2].id;
    // With the revoked one alone in reach it cannot know.
    fleet.cut(&[2, 3], &[0, 1, 4]);
    fleet.start(3).await;
    sleep(Duration::from_secs(120)).await;
    fleet.net.heal(4, 5);
    let told = async |fleet: &LiveFleet| {
        fleet.knows_stopped(3, gone).await && !fleet.links(3).await.contains(&gone)
    };
    fleet.until("a neighbour tells it", told).await;
}
