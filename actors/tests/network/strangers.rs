//! Joining, as a node that is no member yet does it.

use std::time::Duration;

use regatta_actors::network::{JOIN_BYTES_MAX, JoinError, MemoryNet, NetworkEvent, NetworkMessage};
use regatta_protocol::codec::Bytes;
use regatta_protocol::ident::FleetId;
use tokio::sync::oneshot;

use super::members::{Node, Plan, start};

type Told = Result<Bytes, JoinError>;

async fn asks(joiner: &Node, at: u64, bytes: Vec<u8>) -> Told {
    let bytes = bytes.into();
    let joined = joiner.ask(|answer| NetworkMessage::Join {
        addresses: vec![MemoryNet::address(at)],
        bytes,
        answer,
    });
    joined.await
}

async fn asked(member: &mut Node) -> (Bytes, oneshot::Sender<Bytes>) {
    member
        .until("a join", |event| match event {
            NetworkEvent::JoinAsked { bytes, answer } => Some((bytes, answer)),
            _ => None,
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn a_joiner_hands_in_its_request_and_is_answered() {
    let net = MemoryNet::new(1);
    let joiner = start(&Plan::in_memory(&net, 1)).await;
    let mut member = start(&Plan::in_memory(&net, 2)).await;
    let request = vec![7; JOIN_BYTES_MAX];
    let answered = async {
        let (bytes, answer) = asked(&mut member).await;
        assert_eq!(bytes.len(), JOIN_BYTES_MAX);
        answer.send(vec![8; JOIN_BYTES_MAX].into()).expect("waits");
    };
    let (told, ()) = tokio::join!(asks(&joiner, 2, request), answered);
    assert_eq!(told.expect("joined").len(), JOIN_BYTES_MAX);
    assert!(member.links().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_joiner_that_is_told_nothing_learns_that() {
    let net = MemoryNet::new(2);
    let joiner = start(&Plan::in_memory(&net, 1)).await;
    let mut member = start(&Plan::in_memory(&net, 2)).await;
    let dropped = async { drop(asked(&mut member).await) };
    let (told, ()) = tokio::join!(asks(&joiner, 2, vec![1]), dropped);
    assert_eq!(told, Err(JoinError::NoAnswer));
}

#[tokio::test(start_paused = true)]
async fn a_join_that_cannot_be_says_why() {
    let net = MemoryNet::new(3);
    let joiner = start(&Plan::in_memory(&net, 1)).await;
    let mut foreign = Plan::in_memory(&net, 2);
    foreign.fleet = FleetId([9; 32]);
    let _foreign = start(&foreign).await;
    assert_eq!(asks(&joiner, 2, vec![1]).await, Err(JoinError::NotOffered));
    let nobody = asks(&joiner, 3, vec![1]).await;
    assert!(matches!(nobody, Err(JoinError::Unreachable(_))));
    let length = JOIN_BYTES_MAX + 1;
    let long = asks(&joiner, 2, vec![0; length]).await;
    assert_eq!(long, Err(JoinError::TooLong { length }));
    let nowhere = joiner.ask(|answer| NetworkMessage::Join {
        addresses: Vec::new(),
        bytes: vec![1].into(),
        answer,
    });
    assert!(matches!(nowhere.await, Err(JoinError::Unreachable(_))));
}

#[tokio::test(start_paused = true)]
async fn joins_come_at_two_a_second() {
    let net = MemoryNet::new(4);
    let mut member = start(&Plan::in_memory(&net, 2)).await;
    let mut joiners = Vec::new();
    for number in 10..40 {
        let net = net.clone();
        joiners.push(tokio::spawn(async move {
            let joiner = start(&Plan::in_memory(&net, number)).await;
            // It tries again until it is heard.
            let began = tokio::time::Instant::now();
            while asks(&joiner, 2, vec![1]).await.is_err() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            began.elapsed()
        }));
    }
    let serving = tokio::spawn(async move {
        loop {
            let (_, answer) = asked(&mut member).await;
            let _ = answer.send(vec![2].into());
        }
    });
    let mut longest = Duration::ZERO;
    for joiner in joiners {
        longest = longest.max(joiner.await.expect("joins"));
    }
    serving.abort();
    // Thirty at two a second, the first two at once.
    let seconds = longest.as_secs();
    assert!((13..=40).contains(&seconds), "{seconds} s");
}
