//! Two nodes meet, or are kept apart: over each transport, by each handshake.

use std::sync::{Arc, Mutex};

use regatta_actors::network::{
    Admission, DialError, DownReason, Greeted, MemoryNet, NetworkEvent, NetworkMessage,
};
use regatta_protocol::crypto::channel::Early;
use regatta_protocol::ident::FleetId;

use super::members::{Node, Plan, both_up, honest, pair, start, with_policy};

async fn meet_and_talk(mut one: Node, mut other: Node, keyed: bool) {
    one.dial(&other, keyed);
    both_up(&mut one, &mut other).await;
    one.send(&other, 3, b"hoist");
    other.send(&one, 4, b"lower");
    assert_eq!(other.frame().await, (one.id, 3, b"hoist".to_vec()));
    assert_eq!(one.frame().await, (other.id, 4, b"lower".to_vec()));
    // As long as messages may be, and as short.
    let long = vec![5; regatta_actors::network::MESSAGE_BYTES_MAX];
    one.send(&other, 5, &long);
    one.send(&other, 6, b"");
    assert_eq!(other.frame().await, (one.id, 5, long));
    assert_eq!(other.frame().await, (one.id, 6, Vec::new()));
    let peer = other.id;
    let rtt = one.ask(|answer| NetworkMessage::Ping { peer, answer });
    assert!(rtt.await.as_secs() < 5);
    one.tell(NetworkMessage::HangUp { peer });
    assert_eq!(one.down(other.id).await, DownReason::HungUp);
    assert_eq!(other.down(one.id).await, DownReason::PeerHungUp);
    assert!(one.links().await.is_empty());
    one.stop().await;
    other.stop().await;
}

async fn over_sockets(listen: &str, keyed: bool) {
    let one = start(&Plan::on_sockets(1, listen)).await;
    let other = start(&Plan::on_sockets(2, listen)).await;
    meet_and_talk(one, other, keyed).await;
}

const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

#[tokio::test]
async fn over_tcp_as_at_a_first_contact() {
    over_sockets(TCP, false).await;
}

#[tokio::test]
async fn over_tcp_with_a_known_key() {
    over_sockets(TCP, true).await;
}

#[tokio::test]
async fn over_quic_as_at_a_first_contact() {
    over_sockets(QUIC, false).await;
}

#[tokio::test]
async fn over_quic_with_a_known_key() {
    over_sockets(QUIC, true).await;
}

#[tokio::test(start_paused = true)]
async fn over_memory_by_both_handshakes_and_either_way() {
    for keyed in [false, true] {
        let (one, other) = pair(&MemoryNet::new(1)).await;
        meet_and_talk(one, other, keyed).await;
        let (one, other) = pair(&MemoryNet::new(1)).await;
        meet_and_talk(other, one, keyed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_of_another_fleet_is_not_met() {
    let net = MemoryNet::new(1);
    let mut one = start(&Plan::in_memory(&net, 1)).await;
    let mut foreign = Plan::in_memory(&net, 2);
    foreign.fleet = FleetId([8; 32]);
    let other = start(&foreign).await;
    one.dial(&other, true);
    assert_eq!(one.dial_failed().await, DialError::OtherFleet);
}

#[tokio::test(start_paused = true)]
async fn a_peer_with_another_signing_key_is_not_met() {
    let net = MemoryNet::new(1);
    let (mut one, other) = pair(&net).await;
    let mut contact = other.contact(false);
    contact.sign_key = one.sign_key;
    contact.sign_key = start(&Plan::in_memory(&net, 9)).await.sign_key;
    one.tell(NetworkMessage::Dial(contact));
    assert!(matches!(one.dial_failed().await, DialError::Unreachable(_)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_channel_key_was_rotated_is_met_as_at_a_first_contact() {
    let net = MemoryNet::new(1);
    let (mut one, mut other) = pair(&net).await;
    let mut contact = other.contact(true);
    contact.seal_key = Some(one.seal_key);
    one.tell(NetworkMessage::Dial(contact));
    both_up(&mut one, &mut other).await;
}

#[tokio::test(start_paused = true)]
async fn early_requests_of_an_acquaintance_come_with_its_first_message() {
    let net = MemoryNet::new(1);
    let (mut one, mut other) = pair(&net).await;
    let requests = vec![
        Early::Read(b"how are you?".to_vec().into()),
        Early::Intent {
            run_id: 7,
            intent: b"hoist".to_vec().into(),
        },
    ];
    let mut contact = other.contact(true);
    contact.early = requests.clone();
    // A peer that was never admitted is not listened to; it asks again once it is up.
    one.tell(NetworkMessage::Dial(contact.clone()));
    both_up(&mut one, &mut other).await;
    let (first, second) = (one.id, other.id);
    one.tell(NetworkMessage::HangUp { peer: second });
    tokio::join!(one.down(second), other.down(first));
    one.tell(NetworkMessage::Dial(contact));
    let early = other.until("early requests", |event| match event {
        NetworkEvent::Early { peer, requests } => Some((peer, requests)),
        NetworkEvent::Up { .. } => panic!("up before the early requests"),
        _ => None,
    });
    assert_eq!(early.await, (first, requests));
    tokio::join!(one.up(second), other.up(first));
}

fn refusing() -> super::members::Policy {
    Arc::new(Mutex::new(|_: &Greeted| Admission::Refuse))
}

#[tokio::test(start_paused = true)]
async fn a_refused_greeting_is_closed_with_a_reason_on_both_sides() {
    for (first, second) in [(true, false), (false, true)] {
        let net = MemoryNet::new(1);
        let policy = |refuses| if refuses { refusing() } else { honest() };
        let mut one = with_policy(&Plan::in_memory(&net, 1), policy(first)).await;
        let other = with_policy(&Plan::in_memory(&net, 2), policy(second)).await;
        one.dial(&other, false);
        let expected = if first {
            DialError::RefusedHere
        } else {
            DialError::RefusedThere
        };
        assert_eq!(one.dial_failed().await, expected);
        assert!(other.links().await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_never_answers_is_given_ten_seconds() {
    let net = MemoryNet::new(1);
    let mut one = start(&Plan::in_memory(&net, 1)).await;
    let (mut silent, mut events) = super::members::raw(&Plan::in_memory(&net, 2)).await;
    silent.address = Some(MemoryNet::address(2));
    let began = tokio::time::Instant::now();
    one.dial(&silent, false);
    let keeping = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Some(event) = events.recv().await {
            kept.push(event);
        }
    });
    assert_eq!(one.dial_failed().await, DialError::BrokenOff);
    assert!((9..=12).contains(&began.elapsed().as_secs()));
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn nobody_at_the_address_and_no_address() {
    let net = MemoryNet::new(1);
    let (mut one, other) = pair(&net).await;
    let mut contact = other.contact(false);
    contact.addresses = vec![MemoryNet::address(77)];
    one.tell(NetworkMessage::Dial(contact.clone()));
    assert!(matches!(one.dial_failed().await, DialError::Unreachable(_)));
    contact.addresses.clear();
    one.tell(NetworkMessage::Dial(contact));
    assert_eq!(one.dial_failed().await, DialError::NoAddress);
}

#[tokio::test(start_paused = true)]
async fn a_node_can_be_dropped_and_another_started_in_its_place() {
    let net = MemoryNet::new(1);
    let (mut one, mut other) = pair(&net).await;
    one.dial(&other, true);
    both_up(&mut one, &mut other).await;
    other.stop().await;
    assert_eq!(one.down(super::members::id(2)).await, DownReason::Lost);
    let mut again = start(&Plan::in_memory(&net, 2)).await;
    again.dial(&one, true);
    both_up(&mut one, &mut again).await;
    one.send(&again, 1, b"welcome back");
    assert_eq!(again.frame().await.2, b"welcome back");
}
