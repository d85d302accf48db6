//! Members find each other on their LAN.

use std::sync::Arc;
use std::time::Duration;

use regatta_actors::membership::MembershipMessage;
use regatta_actors::network::MemoryNet;
use regatta_protocol::codec;
use regatta_protocol::contacts::{
    ContactArguments, ContactEffect, ContactEvent, ContactMessage, Contacts, SignedContact,
};
use regatta_protocol::crypto::sign::{Ed25519, SecretKey};
use regatta_protocol::machine::Machine;
use regatta_simulations::live::LiveFleet;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;

/// What a node says of where it is.
fn says(fleet: &LiveFleet, place: usize, address: String) -> SignedContact {
    let secrets = &fleet.nodes[place].identity().secrets;
    let mut contacts = Contacts::new(ContactArguments {
        fleet: fleet.root.fleet,
        node: fleet.nodes[place].id,
        keys: secrets.public(),
        sign: Arc::new(SecretKey::from_bytes(&secrets.sign.to_bytes())),
        verify: Arc::new(Ed25519),
    });
    let mut effects = Vec::new();
    let own = ContactEvent::Own {
        at: fleet.wall(),
        addresses: vec![address],
    };
    contacts.handle(fleet.wall(), own, &mut effects);
    let said = effects.into_iter().find_map(|effect| match effect {
        ContactEffect::Keep { contact, .. } => Some(contact),
        _ => None,
    });
    said.expect("it keeps what it says")
}

#[tokio::test(start_paused = true)]
async fn who_was_seen_on_the_lan_before_its_key_was_known_is_found_without_any_manager() {
    let mut fleet = LiveFleet::found(1, 1).await;
    let token = fleet.invite(0, 2).await;
    let first = fleet.join(&token, "amr-01").await.expect("let in");
    fleet.start(first).await;
    fleet.ready(0, first).await;
    let second = fleet.join(&token, "amr-02").await.expect("let in");
    // The second one never reaches the manager again, so nobody names it to the first.
    fleet.cut(&[0], &[second]);
    fleet.start(second).await;
    sleep(Duration::from_secs(60)).await;
    let handles = fleet.nodes[first].handles().await;
    let seen = MembershipMessage::LanSeen {
        key: fleet.nodes[second].identity().secrets.public().sign,
        addresses: vec![fleet.nodes[second].address()],
    };
    handles.membership.cast(seen).expect("it runs");
    let links = fleet.links(first).await;
    assert_eq!(links.len(), 1, "the manager alone: {links:?}");
    // Somebody wants it, and a manager's answer came before that manager died.
    let node = fleet.nodes[second].id;
    let (answer, reached) = oneshot::channel();
    let reach = MembershipMessage::Reach { node, answer };
    handles.membership.cast(reach).expect("it runs");
    let nowhere = MemoryNet::address(99).to_string();
    let told = vec![says(&fleet, second, nowhere)];
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned();
    let told = MembershipMessage::Contacts {
        from: fleet.nodes[0].id,
        bytes: codec::encode(&ContactMessage::Tell(told)),
        permit: permit.expect("a permit"),
    };
    handles.membership.cast(told).expect("it runs");
    fleet.cut_power(0, 1).await;
    let path = reached.await.expect("an answer").expect("reached");
    assert!(!path.relayed, "{path:?}");
    sleep(Duration::from_secs(600)).await;
    assert!(
        fleet.links(first).await.contains(&node),
        "they stay neighbours"
    );
    assert_eq!(fleet.neighbours(first).await, [node]);
}
