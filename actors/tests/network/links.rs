//! What a link lives through: dials that cross, rekeys, renewals, cuts, restarts, peers that stall.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use regatta_actors::network::{
    Admission, DownReason, Greeted, MemoryNet, NetworkEvent, NetworkMessage, Shape,
};
use tokio::time::{Instant, sleep, timeout};

use super::members::{Node, Plan, both_up, id, pair, raw, start, with_policy};

/// What comes at a node within so many seconds, by kind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    ups: usize,
    downs: Vec<DownReason>,
    frames: Vec<Vec<u8>>,
    epochs: Vec<u64>,
    paths: usize,
}

async fn tally(node: &mut Node, seconds: u64) -> Tally {
    let mut tally = Tally::default();
    let until = Instant::now() + Duration::from_secs(seconds);
    while let Ok(Some(event)) = tokio::time::timeout_at(until, node.events.recv()).await {
        match event {
            NetworkEvent::Up { .. } => tally.ups += 1,
            NetworkEvent::Down { reason, .. } => tally.downs.push(reason),
            NetworkEvent::Frame { bytes, .. } => tally.frames.push(bytes),
            NetworkEvent::KeyEpoch { epoch, .. } => tally.epochs.push(epoch),
            NetworkEvent::PathChanged { .. } => tally.paths += 1,
            NetworkEvent::DialFailed { reason, .. } => panic!("a dial failed: {reason}"),
            _ => {}
        }
    }
    tally
}

#[tokio::test(start_paused = true)]
async fn dials_that_cross_end_in_one_session() {
    for seed in 0..40 {
        let net = MemoryNet::new(seed);
        net.shape_all(Shape {
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(seed * 3),
            lost_per_million: 0,
        });
        let (mut one, mut other) = pair(&net).await;
        one.dial(&other, seed % 2 == 0);
        sleep(Duration::from_millis(seed % 7 * 4)).await;
        other.dial(&one, seed % 3 == 0);
        let (first, second) = tokio::join!(tally(&mut one, 60), tally(&mut other, 60));
        for tally in [first, second] {
            assert_eq!((tally.ups, tally.downs), (1, Vec::new()), "seed {seed}");
        }
        // The lower id's connection stays, and it carries both ways.
        let (first, second) = (one.links().await, other.links().await);
        assert_eq!((first.len(), second.len()), (1, 1));
        assert!(first[0].path.dialled, "seed {seed}");
        assert!(!second[0].path.dialled, "seed {seed}");
        one.send(&other, 1, b"there");
        other.send(&one, 1, b"back");
        assert_eq!(other.frame().await.2, b"there");
        assert_eq!(one.frame().await.2, b"back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_frames_stay_in_order_through_rekeys() {
    let (mut one, mut other) = pair(&MemoryNet::new(3)).await;
    one.dial(&other, true);
    both_up(&mut one, &mut other).await;
    let mut epochs = Vec::new();
    for number in 0..100_u8 {
        one.send(&other, 1, &[number]);
        other.send(&one, 1, &[number]);
        sleep(Duration::from_secs(20)).await;
        let (first, second) = tokio::join!(tally(&mut one, 1), tally(&mut other, 1));
        assert_eq!(first.frames, [[number]]);
        assert_eq!(second.frames, [[number]]);
        epochs.extend(first.epochs);
    }
    // 35 minutes are three rekeys of each direction.
    assert!(epochs.len() >= 6, "{epochs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_is_renewed_each_hour_and_loses_nothing() {
    let net = MemoryNet::new(3);
    net.shape_all(Shape {
        delay: Duration::from_millis(150),
        jitter: Duration::from_millis(300),
        lost_per_million: 10_000,
    });
    let renewals = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&renewals);
    let policy = Arc::new(Mutex::new(move |greeted: &Greeted| {
        *counted.lock().expect("no panic") += u32::from(greeted.renewal);
        Admission::Admit
    }));
    let mut one = with_policy(&Plan::in_memory(&net, 1), policy).await;
    let mut other = start(&Plan::in_memory(&net, 2)).await;
    other.dial(&one, false);
    both_up(&mut one, &mut other).await;
    let mut sent = Vec::new();
    for number in 0..12_000_u32 {
        let bytes = number.to_le_bytes().to_vec();
        one.send(&other, 1, &bytes);
        other.send(&one, 1, &bytes);
        sent.push(bytes);
        sleep(Duration::from_millis(1_000)).await;
    }
    let (first, second) = tokio::join!(tally(&mut one, 9), tally(&mut other, 9));
    for tally in [first, second] {
        assert_eq!((tally.ups, &tally.downs[..]), (0, &[][..]));
        assert!(tally.frames == sent, "lost, repeated or out of order");
    }
    assert!(*renewals.lock().expect("no panic") >= 3);
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_noticed_within_a_minute_and_a_healed_link_comes_back() {
    for one_way in [false, true] {
        let net = MemoryNet::new(4);
        let (mut one, mut other) = pair(&net).await;
        one.dial(&other, true);
        both_up(&mut one, &mut other).await;
        if one_way {
            net.cut_one_way(2, 1);
        } else {
            net.cut(1, 2);
        }
        let cut = Instant::now();
        let (first, second) = (one.id, other.id);
        let (here, there) = tokio::join!(one.down(second), other.down(first));
        assert_eq!(here, DownReason::Silent);
        // Where one way still carries, the other side is told.
        assert!(matches!(there, DownReason::Silent | DownReason::Lost));
        assert!(cut.elapsed().as_secs() <= 76, "{:?}", cut.elapsed());
        net.heal_all();
        one.dial(&other, true);
        both_up(&mut one, &mut other).await;
        one.send(&other, 1, b"again");
        assert_eq!(other.frame().await.2, b"again");
    }
}

#[tokio::test(start_paused = true)]
async fn short_cuts_delay_and_lose_nothing() {
    let net = MemoryNet::new(5);
    let (mut one, mut other) = pair(&net).await;
    one.dial(&other, true);
    both_up(&mut one, &mut other).await;
    let mut sent = Vec::new();
    for number in 0..60_u8 {
        if number % 3 == 0 {
            net.cut(1, 2);
        }
        one.send(&other, 1, &[number]);
        sent.push(vec![number]);
        sleep(Duration::from_secs(20)).await;
        net.heal(1, 2);
    }
    let tally = tally(&mut other, 60).await;
    assert_eq!((tally.frames, tally.downs), (sent, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_vanished_and_came_back_gets_a_new_link_at_once() {
    // Whichever of the two decides.
    for (stays, returns) in [(1, 2), (2, 1)] {
        let net = MemoryNet::new(6);
        let mut one = start(&Plan::in_memory(&net, stays)).await;
        let mut other = start(&Plan::in_memory(&net, returns)).await;
        other.dial(&one, true);
        both_up(&mut one, &mut other).await;
        net.cut(1, 2);
        other.stop().await;
        net.heal_all();
        let mut again = start(&Plan::in_memory(&net, returns)).await;
        let began = Instant::now();
        again.dial(&one, true);
        let (here, there) = (one.id, again.id);
        let reason = async {
            let reason = one.down(there).await;
            one.up(there).await;
            reason
        };
        let (reason, _) = tokio::join!(reason, again.up(here));
        assert!(matches!(reason, DownReason::Replaced | DownReason::Lost));
        assert!(began.elapsed().as_secs() < 5);
        one.send(&again, 1, b"hello again");
        assert_eq!(again.frame().await.2, b"hello again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_drain_is_hung_up_on() {
    let net = MemoryNet::new(7);
    let mut one = start(&Plan::in_memory(&net, 1)).await;
    let mut stalls = Plan::in_memory(&net, 2);
    stalls.events = 1;
    let (mut other, mut events) = raw(&stalls).await;
    other.address = Some(MemoryNet::address(2));
    one.dial(&other, true);
    let up = async {
        loop {
            match events.recv().await {
                Some(NetworkEvent::Greeted(greeted)) => {
                    let _ = greeted.answer.send(Admission::Admit);
                }
                Some(NetworkEvent::Up { .. }) => return,
                _ => {}
            }
        }
    };
    tokio::join!(up, one.up(id(2)));
    // Nobody takes the other's events from here on.
    let mut sent = 0;
    let down = loop {
        one.send(&other, 1, &[0; 32 * 1024]);
        sent += 1;
        match timeout(Duration::from_millis(1), one.events.recv()).await {
            Ok(Some(NetworkEvent::Down { reason, .. })) => break reason,
            _ => assert!(sent < 1_000, "more than 32 MiB wait for one peer"),
        }
    };
    assert_eq!(down, DownReason::NotDraining);
    drop(events);
}

#[tokio::test(start_paused = true)]
async fn hanging_up_on_a_dial_ends_it() {
    let net = MemoryNet::new(8);
    let (mut one, other) = pair(&net).await;
    net.cut(1, 2);
    one.dial(&other, true);
    let peer = other.id;
    one.tell(NetworkMessage::HangUp { peer });
    assert_eq!(
        one.dial_failed().await,
        regatta_actors::network::DialError::HungUp
    );
    net.heal_all();
    sleep(Duration::from_secs(30)).await;
    assert!(one.links().await.is_empty());
    assert!(other.links().await.is_empty());
}
