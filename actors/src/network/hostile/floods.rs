//! A stranger with a thousand connections does not keep a member out.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Transport;
use libp2p::core::Endpoint;
use libp2p::core::transport::{DialOpts, PortUse};
use tokio::time::Instant;

use super::members::{Node, Plan, start};
use super::rogue::Rogue;
use super::still_serves;
use crate::network::memory::MemoryTransport;
use crate::network::streams::Class;
use crate::network::{MemoryNet, NetworkEvent, NetworkLimits, NetworkMessage, Shape};

/// A member comes in before those who hold places can have run out of time.
async fn comes_in(net: &MemoryNet, victim: &mut Node, number: u64) {
    let mut member = start(&Plan::in_memory(net, number)).await;
    let began = Instant::now();
    member.dial(victim, true);
    // As its owner does: again after a while where nobody could take it.
    let up = loop {
        let again = member.until("an answer", |event| match event {
            NetworkEvent::Up { .. } => Some(false),
            NetworkEvent::DialFailed { .. } => Some(true),
            _ => None,
        });
        if !again.await {
            break victim.up(member.id);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        member.dial(victim, true);
    };
    up.await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

/// After a restart of its manager a whole fleet comes at once, and all of it gets in.
#[tokio::test(start_paused = true)]
async fn a_fleet_that_comes_at_once() {
    let net = MemoryNet::new(3);
    net.shape_all(Shape {
        delay: Duration::from_millis(50),
        ..Shape::default()
    });
    let mut plan = Plan::in_memory(&net, 1);
    plan.limits = NetworkLimits::manager();
    let manager = start(&plan).await;
    let mut coming = Vec::new();
    for number in 2..=301 {
        let node = start(&Plan::in_memory(&net, number)).await;
        let contact = manager.contact(true);
        coming.push(tokio::spawn(async move {
            let mut node = node;
            let began = Instant::now();
            loop {
                node.tell(NetworkMessage::Dial(contact.clone()));
                let up = node.until("an answer", |event| match event {
                    NetworkEvent::Up { .. } => Some(true),
                    NetworkEvent::DialFailed { .. } => Some(false),
                    _ => None,
                });
                if up.await {
                    return (node, began.elapsed());
                }
                let pause = 500 + number * 7 % 500;
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }));
    }
    let mut longest = Duration::ZERO;
    let mut nodes = Vec::new();
    for came in coming {
        let (node, took) = came.await.expect("comes in");
        longest = longest.max(took);
        nodes.push(node);
    }
    assert!(longest < Duration::from_secs(120), "{longest:?}");
    // The manager learns last that a link is up.
    let all = async {
        while manager.links().await.len() < 300 {
            // Time stands still while somebody is busy: it has to be let go on.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), all).await;
    assert!(waited.is_ok(), "{} of 300", manager.links().await.len());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_connections_that_say_nothing() {
    let net = MemoryNet::new(1);
    let mut victim = start(&Plan::in_memory(&net, 1)).await;
    let mut transport = MemoryTransport::new(net.port(66));
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    let mut held = Vec::new();
    for _ in 0..1_000 {
        let address = MemoryNet::address(1).0;
        let dialled = transport.dial(address, options).expect("dials");
        held.push(dialled.await.expect("accepted"));
    }
    comes_in(&net, &mut victim, 2).await;
    // They come again and again, and say a little.
    let flood = tokio::spawn(async move {
        loop {
            let address = MemoryNet::address(1).0;
            let dialled = transport.dial(address, options).expect("dials");
            if let Ok(mut end) = dialled.await {
                let _ = end.write_all(b"\x13/multistream/1.0.0\n").await;
                held.push(end);
            }
        }
    });
    comes_in(&net, &mut victim, 3).await;
    flood.abort();
    still_serves(&net, &mut victim, 4).await;
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_connections_with_keys_of_their_own() {
    let net = MemoryNet::new(2);
    let mut victim = start(&Plan::in_memory(&net, 1)).await;
    let mut rogues = Vec::new();
    for number in 0..200 {
        let mut rogue = Rogue::new(&net, 1_000 + number);
        rogue.connect(&MemoryNet::address(1)).await;
        if number % 2 == 0
            && let Ok(mut stream) = rogue.open(Class::Control).await
        {
            let _ = stream.write_all(&[1]).await;
            let _ = stream.flush().await;
            rogues.push((rogue, Some(stream)));
        } else {
            rogues.push((rogue, None));
        }
    }
    comes_in(&net, &mut victim, 2).await;
    // Sixty-four strangers at most are still there.
    let mut open = 0;
    for (rogue, stream) in &mut rogues {
        if let Some(stream) = stream {
            let mut byte = [0];
            let read = stream.read(&mut byte);
            let ended = tokio::time::timeout(Duration::from_millis(1), read).await;
            open += usize::from(ended.is_err());
        }
        rogue.swarm.behaviour_mut();
    }
    assert!(open <= crate::network::limits::STRANGERS_MAX, "{open}");
}
