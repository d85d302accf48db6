//! What strangers and bad members try: garbage, floods, silence, and words out of turn.

mod floods;
#[expect(
    dead_code,
    reason = "written for the tests outside, which use all of it"
)]
#[path = "../../tests/network/members.rs"]
mod members;
mod rogue;
mod words;

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use regatta_protocol::prng::Prng;
use tokio::time::{Instant, timeout};

use self::members::{Node, Plan, both_up, start};
use self::rogue::Rogue;
use super::limits::JOIN_BYTES_MAX;
use super::streams::{Class, PeerStream, StreamError};
use super::wire::header;
use super::{MemoryNet, NetworkEvent, NetworkMessage};

/// A node, and a stranger who is connected to it.
async fn victim_and_rogue(net: &MemoryNet) -> (Node, Rogue) {
    let victim = start(&Plan::in_memory(net, 1)).await;
    let mut rogue = Rogue::new(net, 66);
    rogue.connect(&MemoryNet::address(1)).await;
    (victim, rogue)
}

async fn malformed(victim: &mut Node) -> &'static str {
    victim
        .until("bad behaviour", |event| match event {
            NetworkEvent::Malformed { what, .. } => Some(what),
            _ => None,
        })
        .await
}

/// Everything until the stream ends.
async fn ends(mut stream: PeerStream) {
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    let ended = timeout(Duration::from_secs(60), read).await;
    assert!(ended.is_ok(), "the stream was left open");
}

/// A member is let in all the same.
async fn still_serves(net: &MemoryNet, victim: &mut Node, number: u64) {
    let mut member = start(&Plan::in_memory(net, number)).await;
    member.dial(victim, true);
    both_up(&mut member, victim).await;
    member.send(victim, 1, b"still there?");
    assert_eq!(victim.frame().await.2, b"still there?");
}

#[tokio::test(start_paused = true)]
async fn garbage_on_a_control_stream_ends_the_connection() {
    let net = MemoryNet::new(1);
    let own = members::id(66);
    let long = [&header(own)[..], &[0xff; 4]].concat();
    let none = [&header(own)[..], &[0; 4]].concat();
    let ours = header(members::id(1)).to_vec();
    let ours = [&ours[..], &5_u32.to_le_bytes(), b"hello"].concat();
    let cases: [(&[u8], &str); 4] = [
        (&[9; 40], "a header of another version"),
        (&long, "a frame of a length that none has"),
        (&none, "a frame of a length that none has"),
        (&ours, "a header that bears this node's own id"),
    ];
    for (bytes, expected) in cases {
        let (mut victim, mut rogue) = victim_and_rogue(&net).await;
        let mut stream = rogue.open(Class::Control).await.expect("offered");
        stream.write_all(bytes).await.expect("written");
        stream.flush().await.expect("flushed");
        assert_eq!(malformed(&mut victim).await, expected);
        ends(stream).await;
        rogue.closed().await;
        still_serves(&net, &mut victim, 2).await;
        victim.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn random_bytes_never_do_more_than_end_their_stream() {
    let net = MemoryNet::new(2);
    let mut victim = start(&Plan::in_memory(&net, 1)).await;
    let mut prng = Prng::from_number(5);
    for round in 0..150_u64 {
        let mut rogue = Rogue::new(&net, 66 + round);
        rogue.connect(&MemoryNet::address(1)).await;
        let class = [Class::Control, Class::Join][usize::from(prng.chance(300_000))];
        let Ok(mut stream) = rogue.open(class).await else {
            continue;
        };
        let length = usize::try_from(prng.below(3_000)).expect("small");
        let mut bytes = vec![0; length];
        prng.fill(&mut bytes);
        let mut said = Vec::new();
        if prng.chance(700_000) && class == Class::Control {
            said.extend_from_slice(&header(members::id(66)));
        }
        if prng.chance(700_000) {
            let claimed = u32::try_from(length).expect("small");
            said.extend_from_slice(&claimed.to_le_bytes());
        }
        if prng.chance(700_000) && length > 0 {
            bytes[0] = [1, 3][usize::from(prng.chance(500_000))];
        }
        said.extend_from_slice(&bytes);
        // It may be closed while it is written to.
        let _ = stream.write_all(&said).await;
        let _ = stream.close().await;
        ends(stream).await;
    }
    still_serves(&net, &mut victim, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_that_is_slow_is_given_little_time() {
    let net = MemoryNet::new(3);
    // Nothing at all; a header alone; a byte each second.
    for (says, seconds) in [(0, 11), (17, 6), (1, 6)] {
        let (victim, mut rogue) = victim_and_rogue(&net).await;
        let began = Instant::now();
        if says > 0 {
            let mut stream = rogue.open(Class::Control).await.expect("offered");
            let bytes = header(members::id(66));
            let _ = stream.write_all(&bytes[..says]).await;
            let _ = stream.flush().await;
            tokio::spawn(async move {
                for byte in &bytes[says..] {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    let _ = stream.write_all(&[*byte]).await;
                    let _ = stream.flush().await;
                }
                ends(stream).await;
            });
        }
        rogue.closed().await;
        let took = began.elapsed();
        assert!(took <= Duration::from_secs(seconds), "{took:?} for {says}");
        victim.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_reaches_control_and_join_alone() {
    let net = MemoryNet::new(4);
    let (_victim, mut rogue) = victim_and_rogue(&net).await;
    let refused = rogue.open(Class::Bulk).await.expect_err("not offered");
    assert_eq!(refused, StreamError::NotOffered);
    assert!(rogue.open(Class::Join).await.is_ok());
}

async fn written(stream: &mut PeerStream, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("short");
    let _ = stream.write_all(&length.to_le_bytes()).await;
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
}

#[tokio::test(start_paused = true)]
async fn joins_are_few_small_and_timed() {
    let net = MemoryNet::new(5);
    let (mut victim, mut rogue) = victim_and_rogue(&net).await;
    let mut long = rogue.open(Class::Join).await.expect("offered");
    let length = u32::try_from(JOIN_BYTES_MAX + 1).expect("short");
    let _ = long.write_all(&length.to_le_bytes()).await;
    let _ = long.flush().await;
    assert_eq!(malformed(&mut victim).await, "a join that is none");
    rogue.closed().await;

    // One that says nothing.
    let began = Instant::now();
    let mut silent = Rogue::new(&net, 67);
    silent.connect(&MemoryNet::address(1)).await;
    let stream = silent.open(Class::Join).await.expect("offered");
    ends(stream).await;
    assert!(began.elapsed() <= Duration::from_secs(11));

    // Of many at once two begin, and eight are under way after a few seconds.
    let mut asked = 0;
    let mut rogues = Vec::new();
    for number in 0..30 {
        let mut rogue = Rogue::new(&net, 100 + number);
        rogue.connect(&MemoryNet::address(1)).await;
        let mut stream = rogue.open(Class::Join).await.expect("offered");
        written(&mut stream, b"let me in").await;
        rogues.push((rogue, stream));
    }
    let mut answers = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_secs(1), victim.events.recv()).await {
        if let NetworkEvent::JoinAsked { answer, bytes } = event {
            assert_eq!(&bytes[..], b"let me in");
            asked += 1;
            answers.push(answer);
        }
    }
    assert!((2..=3).contains(&asked), "{asked} joins began at once");
    still_serves(&net, &mut victim, 2).await;
}

#[tokio::test(start_paused = true)]
async fn more_streams_than_a_peer_may_have_end_its_connection() {
    let net = MemoryNet::new(6);
    let (mut victim, mut rogue) = victim_and_rogue(&net).await;
    let mut held = Vec::new();
    for _ in 0..super::limits::STREAMS_PER_PEER_MAX + 8 {
        match rogue.open(Class::Control).await {
            Ok(stream) => held.push(stream),
            Err(_) => break,
        }
    }
    // Two of them are listened to; what is beyond is closed at once, so the count stays low.
    assert!(held.len() <= super::limits::STREAMS_PER_PEER_MAX + 8);
    still_serves(&net, &mut victim, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_join_address_is_followed_by_the_next() {
    let net = MemoryNet::new(7);
    let mut plan = Plan::in_memory(&net, 1);
    plan.settings.listen.clear();
    let joiner = start(&plan).await;
    let mut member = start(&Plan::in_memory(&net, 2)).await;
    let told = joiner.ask(|answer| NetworkMessage::Join {
        addresses: vec![MemoryNet::address(99), MemoryNet::address(2)],
        bytes: b"an invite".to_vec().into(),
        answer,
    });
    let answered = async {
        let asked = member.until("a join", |event| match event {
            NetworkEvent::JoinAsked { bytes, answer } => Some((bytes, answer)),
            _ => None,
        });
        let (bytes, answer) = asked.await;
        assert_eq!(&bytes[..], b"an invite");
        answer.send(b"welcome".to_vec().into()).expect("waits");
    };
    let (told, ()) = tokio::join!(told, answered);
    assert_eq!(&told.expect("joined")[..], b"welcome");
}
