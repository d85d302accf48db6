//! Managers that join by invites: the root signs each of them.

use std::time::Duration;

use regatta_actors::acts;
use regatta_protocol::codec;
use regatta_protocol::crypto::sign::{SecretKey, Sign};
use regatta_protocol::limits::DAY_MS;
use regatta_protocol::membership::presence::PresenceState;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::certificate::{Certificate, Issuer, Rank};
use regatta_protocol::trust::founding;
use regatta_protocol::trust::invite::token::Token;
use regatta_protocol::trust::invite::{InviteTerms, SignedInvite};
use regatta_protocol::trust::roll::Roll;
use regatta_protocol::trust::statement::Statement;
use regatta_simulations::live::LiveFleet;

/// An invite for a manager, which the root alone can give.
async fn root_invite(fleet: &mut LiveFleet, host: usize) -> Token {
    let secret = SecretKey::generate(&mut fleet.prng);
    let terms = InviteTerms {
        fleet: fleet.root.fleet,
        key: secret.public(),
        rank: Rank::Manager,
        labels: Labels::none(),
        grants: founding::manager_grants(),
        uses: 2,
        not_after: fleet.wall().plus(DAY_MS),
        issuer: Issuer::Root(1),
        name: None,
        replaces: None,
    };
    let invite = SignedInvite::sign(&terms, &[(0, &fleet.root.key)]);
    let handles = fleet.nodes[host].handles().await;
    let listed = acts::record_invite(&handles, invite.clone()).await;
    listed.expect("the root signed it");
    let addresses = vec![fleet.nodes[host].address().to_string()];
    Token::new(invite, &secret, addresses, None).expect("a token")
}

/// The root signs whoever waits, and a manager carries it.
async fn sign_who_waits(fleet: &LiveFleet, manager: usize) -> usize {
    let waiting = fleet.look(manager, |view| {
        let roll = Roll::of(view.replica.holdings()).devices();
        let waits = roll
            .into_iter()
            .filter(|it| it.rank() == Rank::Manager && !it.certified);
        waits.map(|it| it.certificate).collect::<Vec<Certificate>>()
    });
    let waiting = waiting.await;
    let handles = fleet.nodes[manager].handles().await;
    for certificate in &waiting {
        let signed = founding::certify(certificate, &fleet.root.fleet, &fleet.root.key);
        assert_eq!(signed.bytes.to_vec(), codec::encode(certificate));
        let carried = acts::carry(&handles, Statement::Certify(signed)).await;
        carried.expect("the root signed it");
    }
    waiting.len()
}

#[tokio::test(start_paused = true)]
async fn two_managers_join_wait_for_the_root_and_write() {
    let mut fleet = LiveFleet::found(1, 1).await;
    fleet.join_many(1).await;
    let token = root_invite(&mut fleet, 0).await;
    let mut keys = Vec::new();
    for name in ["m2", "m3"] {
        let waits = fleet.ask(&token, name, None).await;
        let (outcome, its) = waits;
        assert_eq!(
            outcome.expect_err("the root has not signed"),
            format!("{name} waits for the root")
        );
        keys.push(its);
    }
    assert_eq!(sign_who_waits(&fleet, 0).await, 2);
    assert_eq!(sign_who_waits(&fleet, 0).await, 0, "all are signed");
    let mut places = Vec::new();
    for (name, keys) in ["m2", "m3"].into_iter().zip(keys) {
        let (place, _) = fleet
            .join_as(&token, name, Some(keys))
            .await
            .expect("let in");
        fleet.start(place).await;
        assert!(fleet.nodes[place].is_manager());
        places.push(place);
    }
    let (second, third) = (places[0], places[1]);
    fleet.agreed(&[0, 1, second, third]).await;
    for (manager, other) in [(second, third), (third, second)] {
        fleet.ready(manager, 1).await;
        let met =
            async |fleet: &LiveFleet| fleet.state(manager, other).await == PresenceState::Ready;
        fleet
            .within(Duration::from_secs(30), "each other", met)
            .await;
        let site = format!("s{manager}");
        let saved = fleet.label(manager, "amr-01", ("site", &site)).await;
        assert!(saved.expect("a manager writes").copies > 1);
        let label = format!("site={site}");
        let certified = async |fleet: &LiveFleet| fleet.certified(1).await == label;
        fleet.until("the label", certified).await;
    }
    // Without the first one, which let them in, the fleet lives on.
    fleet.cut_power(0, 1).await;
    let token = fleet.invite(second, 1).await;
    let place = fleet.join(&token, "amr-02").await.expect("let in");
    fleet.start(place).await;
    fleet.ready(third, place).await;
    let gone = fleet.nodes[1].id;
    fleet.revoke(third, "amr-01").await.expect("a manager may");
    let known = async |fleet: &LiveFleet| {
        fleet.knows_stopped(second, gone).await && fleet.knows_stopped(place, gone).await
    };
    fleet
        .within(Duration::from_secs(15), "the verdict", known)
        .await;
}
