//! A node that cannot be dialled is reached through a member that relays.

use std::time::Duration;

use regatta_actors::network::{
    Address, BulkStream, Contact, DialError, MemoryNet, NetworkEvent, NetworkMessage,
};
use regatta_protocol::ident::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::members::{Node, Plan, both_up, start};

const BULK: usize = 3 * 1024 * 1024;

async fn reserved(node: &mut Node, relay: NodeId) -> Address {
    node.until("a place at the relay", |event| match event {
        NetworkEvent::Reserved { via, address } if via == relay => Some(address),
        _ => None,
    })
    .await
}

/// A relay, a node behind it, and one that wants to reach that node.
async fn behind_a_relay(net: &MemoryNet) -> (Node, Node, Node, Contact) {
    let mut plan = Plan::in_memory(net, 1);
    plan.settings.relay = true;
    let mut relay = start(&plan).await;
    let mut plan = Plan::in_memory(net, 2);
    plan.settings.listen.clear();
    let mut hidden = start(&plan).await;
    let mut other = start(&Plan::in_memory(net, 3)).await;
    hidden.dial(&relay, true);
    both_up(&mut hidden, &mut relay).await;
    other.dial(&relay, true);
    both_up(&mut other, &mut relay).await;
    hidden.tell(NetworkMessage::ReserveRelay { via: relay.id });
    let address = reserved(&mut hidden, relay.id).await;
    let mut contact = hidden.contact(true);
    contact.addresses = vec![address];
    (relay, hidden, other, contact)
}

async fn bulk(from: &Node, to: &mut Node) -> (BulkStream, BulkStream) {
    let peer = to.id;
    let opened = from.ask(|answer| NetworkMessage::OpenBulk {
        peer,
        protocol: "copy".to_owned(),
        answer,
    });
    let accepted = to.until("a bulk stream", |event| match event {
        NetworkEvent::Bulk {
            protocol, stream, ..
        } => Some((protocol, stream)),
        _ => None,
    });
    let (opened, (protocol, accepted)) = tokio::join!(opened, accepted);
    assert_eq!(protocol, "copy");
    (opened.expect("a stream"), accepted)
}

async fn carries(from: &Node, to: &mut Node) {
    let (mut here, mut there) = bulk(from, to).await;
    let sending = tokio::spawn(async move {
        let bytes: Vec<u8> = (0..BULK).map(|at| at as u8).collect();
        here.write_all(&bytes).await.expect("written");
        here.shutdown().await.expect("closed");
    });
    let mut bytes = Vec::new();
    there.read_to_end(&mut bytes).await.expect("read");
    assert_eq!(bytes.len(), BULK);
    assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == at as u8));
    sending.await.expect("sent");
}

#[tokio::test(start_paused = true)]
async fn a_relayed_path_carries_frames_and_bulk() {
    let net = MemoryNet::new(1);
    let (_relay, mut hidden, mut other, contact) = behind_a_relay(&net).await;
    other.tell(NetworkMessage::Dial(contact));
    let (first, second) = (other.id, hidden.id);
    let (relayed, also) = tokio::join!(other.up(second), hidden.up(first));
    assert!(relayed && also);
    other.send(&hidden, 1, b"through");
    assert_eq!(hidden.frame().await.2, b"through");
    carries(&other, &mut hidden).await;
    carries(&hidden, &mut other).await;
    // Longer than libp2p's own two minutes.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    hidden.send(&other, 1, b"still");
    assert_eq!(other.frame().await.2, b"still");
    assert!(other.links().await.iter().any(|link| link.path.relayed));
}

#[tokio::test]
async fn a_relayed_path_over_sockets_carries_frames_and_bulk() {
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let mut plan = Plan::on_sockets(1, listen);
        plan.settings.relay = true;
        let mut relay = start(&plan).await;
        let mut plan = Plan::on_sockets(2, listen);
        plan.settings.listen.clear();
        let mut hidden = start(&plan).await;
        let mut other = start(&plan_of(3, listen)).await;
        hidden.dial(&relay, true);
        both_up(&mut hidden, &mut relay).await;
        other.dial(&relay, true);
        both_up(&mut other, &mut relay).await;
        hidden.tell(NetworkMessage::ReserveRelay { via: relay.id });
        let mut contact = hidden.contact(false);
        contact.addresses = vec![reserved(&mut hidden, relay.id).await];
        other.tell(NetworkMessage::Dial(contact));
        both_up(&mut other, &mut hidden).await;
        carries(&other, &mut hidden).await;
        other.send(&hidden, 1, b"through");
        assert_eq!(hidden.frame().await.2, b"through");
    }
}

fn plan_of(number: u64, listen: &str) -> Plan {
    Plan::on_sockets(number, listen)
}

#[tokio::test(start_paused = true)]
async fn a_reservation_comes_back_after_the_relay_died() {
    let net = MemoryNet::new(2);
    let (relay, mut hidden, mut other, contact) = behind_a_relay(&net).await;
    let via = relay.id;
    relay.stop().await;
    hidden
        .until("the loss of the place", |event| match event {
            NetworkEvent::ReservationLost { .. } => Some(()),
            _ => None,
        })
        .await;
    let mut plan = Plan::in_memory(&net, 1);
    plan.settings.relay = true;
    let mut relay = start(&plan).await;
    hidden.dial(&relay, true);
    other.dial(&relay, true);
    let (first, second) = (hidden.id, other.id);
    tokio::join!(relay.up(first), hidden.up(via));
    reserved(&mut hidden, via).await;
    while !relay.links().await.iter().any(|link| link.peer == second) {
        tokio::task::yield_now().await;
    }
    other.tell(NetworkMessage::Dial(contact));
    tokio::join!(other.up(first), hidden.up(second));
}

#[tokio::test(start_paused = true)]
async fn a_relay_serves_members_alone() {
    let net = MemoryNet::new(3);
    let (_relay, mut hidden, _other, contact) = behind_a_relay(&net).await;
    // It has no link to the relay: what it dials through it is refused.
    let mut stranger = start(&Plan::in_memory(&net, 4)).await;
    stranger.tell(NetworkMessage::Dial(contact));
    assert!(matches!(
        stranger.dial_failed().await,
        DialError::Unreachable(_)
    ));
    let seen = timeout(Duration::from_secs(60), hidden.up(stranger.id));
    assert!(seen.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_relayed_link_moves_to_a_direct_connection_without_losing_a_frame() {
    // Whichever of the two decides.
    for number in [3, 5] {
        let net = MemoryNet::new(4);
        let mut plan = Plan::in_memory(&net, 1);
        plan.settings.relay = true;
        let mut relay = start(&plan).await;
        let mut hidden = start(&Plan::in_memory(&net, 4)).await;
        let mut other = start(&Plan::in_memory(&net, number)).await;
        hidden.dial(&relay, true);
        both_up(&mut hidden, &mut relay).await;
        other.dial(&relay, true);
        both_up(&mut other, &mut relay).await;
        hidden.tell(NetworkMessage::ReserveRelay { via: relay.id });
        let mut contact = hidden.contact(true);
        contact.addresses = vec![reserved(&mut hidden, relay.id).await];
        other.tell(NetworkMessage::Dial(contact));
        both_up(&mut other, &mut hidden).await;
        for count in 0..200_u8 {
            if count == 100 {
                other.dial(&hidden, true);
            }
            other.send(&hidden, 1, &[count]);
            hidden.send(&other, 1, &[count]);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for node in [&mut other, &mut hidden] {
            let mut moved = 0;
            let mut next = 0;
            while next < 200 {
                match node.events.recv().await.expect("runs") {
                    NetworkEvent::Frame { bytes, .. } => {
                        assert_eq!(bytes, [next]);
                        next += 1;
                    }
                    NetworkEvent::PathChanged { path, .. } => {
                        assert!(!path.relayed);
                        moved += 1;
                    }
                    NetworkEvent::Down { reason, .. } => panic!("down: {reason}"),
                    _ => {}
                }
            }
            assert_eq!(moved, 1);
        }
    }
}
