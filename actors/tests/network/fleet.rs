//! Fifty nodes live an hour of virtual time, with cuts, heals and restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use regatta_actors::network::{MemoryNet, NetworkEvent, NetworkMessage, Shape};
use regatta_protocol::ident::NodeId;
use regatta_protocol::prng::Prng;
use tokio::time::{Instant, sleep};

use super::members::{Node, Plan, id, start};

const NODES: u64 = 50;

/// What a node has seen, and with whom it is linked.
#[derive(Default)]
struct Seen {
    linked: BTreeMap<NodeId, ()>,
    frames: usize,
    downs: usize,
}

fn note(seen: &mut Seen, event: NetworkEvent) {
    match event {
        NetworkEvent::Up { peer, .. } => {
            assert!(seen.linked.insert(peer, ()).is_none(), "up twice");
        }
        NetworkEvent::Down { peer, .. } => {
            assert!(seen.linked.remove(&peer).is_some(), "down twice");
            seen.downs += 1;
        }
        NetworkEvent::Frame { peer, .. } => {
            assert!(seen.linked.contains_key(&peer), "a frame without a link");
            seen.frames += 1;
        }
        NetworkEvent::Malformed { what, .. } => panic!("an honest node was found bad: {what}"),
        _ => {}
    }
}

/// Whom each node keeps a link to: two managers and a neighbour.
fn wanted(number: u64) -> Vec<u64> {
    let mut wanted = vec![1, 2, number % NODES + 1];
    wanted.retain(|peer| *peer != number);
    wanted.dedup();
    wanted
}

#[tokio::test(start_paused = true)]
async fn fifty_nodes_live_an_hour() {
    let began = Instant::now();
    let net = MemoryNet::new(9);
    net.shape_all(Shape {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(30),
        lost_per_million: 5_000,
    });
    let mut prng = Prng::from_number(9);
    let mut fleet: Vec<(Node, Seen)> = Vec::new();
    for number in 1..=NODES {
        let node = start(&Plan::in_memory(&net, number)).await;
        fleet.push((node, Seen::default()));
    }
    let contacts: Vec<_> = fleet.iter().map(|(node, _)| node.contact(true)).collect();
    for minute in 0..60 {
        // A fifth of the links is cut for two minutes, then heals; one node restarts at a time.
        if minute % 4 == 0 && minute < 52 {
            for _ in 0..30 {
                net.cut(1 + prng.below(NODES), 1 + prng.below(NODES));
            }
        }
        if minute % 4 == 2 {
            net.heal_all();
        }
        if minute % 10 == 5 {
            let place = usize::try_from(prng.below(NODES)).expect("small");
            let number = place as u64 + 1;
            let (node, _) = fleet.remove(place);
            node.stop().await;
            let node = start(&Plan::in_memory(&net, number)).await;
            fleet.insert(place, (node, Seen::default()));
        }
        for second in 0..2 {
            for (place, (node, seen)) in fleet.iter_mut().enumerate() {
                while let Ok(event) = node.events.try_recv() {
                    note(seen, event);
                }
                for peer in wanted(place as u64 + 1) {
                    if !seen.linked.contains_key(&id(peer)) {
                        let contact = contacts[usize::try_from(peer - 1).expect("small")].clone();
                        node.tell(NetworkMessage::Dial(contact));
                    }
                }
                for to in seen.linked.keys().copied() {
                    let bytes = vec![1; 200];
                    node.tell(NetworkMessage::Send { to, tag: 1, bytes });
                }
            }
            sleep(Duration::from_secs(30 - second)).await;
        }
        sleep(Duration::from_secs(1)).await;
    }
    let (mut frames, mut downs) = (0, 0);
    for (place, (node, seen)) in fleet.iter_mut().enumerate() {
        while let Ok(event) = node.events.try_recv() {
            note(seen, event);
        }
        for peer in wanted(place as u64 + 1) {
            let linked = seen.linked.contains_key(&id(peer));
            assert!(linked, "{} has no link to node {peer}", node.id);
        }
        let up: Vec<_> = node.links().await.into_iter().map(|at| at.peer).collect();
        assert!(up.iter().eq(seen.linked.keys()), "{}", node.id);
        frames += seen.frames;
        downs += seen.downs;
    }
    assert!(began.elapsed().as_secs() >= 3_600);
    assert!(frames > 20_000, "{frames} frames");
    assert!(downs > 20, "{downs} links went down: nothing was tried");
}
