//! A stranger with a thousand connections does not keep a member out.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Transport;
use libp2p::core::Endpoint;
use libp2p::core::transport::{DialOpts, PortUse};
use tokio::time::Instant;

use super::members::{Node, Plan, both_up, start};
use super::rogue::Rogue;
use super::still_serves;
use crate::network::MemoryNet;
use crate::network::memory::MemoryTransport;
use crate::network::streams::Class;

/// A member comes in before anybody's places can have run out of time.
async fn comes_in(net: &MemoryNet, victim: &mut Node, number: u64) {
    let mut member = start(&Plan::in_memory(net, number)).await;
    let began = Instant::now();
    member.dial(victim, true);
    both_up(&mut member, victim).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
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
