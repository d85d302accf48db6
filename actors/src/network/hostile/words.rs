//! A member that was admitted and then says what nobody may say.

use std::time::Duration;

use libp2p::swarm::ConnectionId;
use regatta_protocol::crypto::channel::{Channel, Parties};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::members::{FLEET, Node, Plan, arguments, id, start};
use super::rogue::Rogue;
use crate::network::limits::{MESSAGE_BYTES_MAX, NetworkLimits};
use crate::network::meeting::{Agenda, Cause, MeetingId, Minutes, Ready, meet};
use crate::network::session::{Clock, Route, Session, halves};
use crate::network::streams::Class;
use crate::network::wire::header;
use crate::network::word::{PIECE_BYTES_MAX, Standing, Word};
use crate::network::{Admission, DownReason, MemoryNet, Path};

/// A member's session, in the hands of somebody who keeps to no rule.
struct Turncoat {
    session: Session,
    clock: Clock,
    _rogue: Rogue,
}

impl Turncoat {
    /// Meets the victim as member `number`, which the victim's owner admits.
    async fn admitted(net: &MemoryNet, victim: &Node, number: u64) -> Self {
        let plan = Plan::in_memory(net, number);
        let (arguments, _events) = arguments(&plan);
        let mut rogue = Rogue::planned(&plan);
        rogue.connect(&MemoryNet::address(1)).await;
        let stream = rogue.open(Class::Control).await.expect("offered");
        let (reader, mut writer) = halves(stream);
        writer.push_raw(&header(id(number)));
        let clock = Clock(Instant::now());
        let seal = &arguments.keys.seal;
        let parties = Parties::control(FLEET, id(number), victim.id, seal, None);
        let mut first = Vec::new();
        let mut prng = arguments.prng.clone();
        let greeting = arguments.greeting.clone();
        let channel = Channel::initiate(
            clock.now(),
            &parties,
            greeting,
            Vec::new(),
            &mut prng,
            &mut first,
        );
        let route = Route {
            connection: ConnectionId::new_unchecked(0),
            path: Path {
                address: MemoryNet::address(1),
                relayed: false,
                dialled: true,
            },
        };
        let session = Session::new(route, channel.expect("begins"), reader, writer);
        let standing = Standing {
            instance: 1,
            begun: 1,
            holds: 0,
        };
        let agenda = Agenda {
            id: MeetingId(1),
            peer: victim.id,
            began_here: true,
            cause: Cause::Contact,
            standing,
            decides: id(number) < victim.id,
            until: Instant::now() + Duration::from_secs(10),
        };
        let (minutes, mut told) = mpsc::unbounded_channel();
        tokio::spawn(meet(agenda, session, first, clock, minutes));
        loop {
            match told.recv().await {
                Some(Minutes::Greeted { answer, .. }) => {
                    answer.send(Admission::Admit).expect("waits");
                }
                Some(Minutes::Ready(ready)) => {
                    let Ready { session, .. } = *ready;
                    return Self {
                        session,
                        clock,
                        _rogue: rogue,
                    };
                }
                _ => panic!("not met"),
            }
        }
    }

    async fn say(&mut self, words: &[Word<'_>]) {
        let mut out = Vec::new();
        for word in words {
            let said = self.session.say(self.clock.now(), word, &mut out);
            said.expect("the session is open");
            if self.session.writer.flush().await.is_err() {
                return;
            }
        }
    }
}

/// What becomes of a victim that hears these words from an admitted member.
async fn after(words: &[Word<'_>]) -> DownReason {
    let net = MemoryNet::new(1);
    let mut victim = start(&Plan::in_memory(&net, 1)).await;
    let mut turncoat = Turncoat::admitted(&net, &victim, 2).await;
    turncoat.say(&[Word::Committed { begun: 1 }]).await;
    victim.up(id(2)).await;
    turncoat.say(words).await;
    victim.down(id(2)).await
}

#[tokio::test(start_paused = true)]
async fn words_out_of_turn_end_the_link() {
    let standing = Standing::default();
    for word in [
        Word::Committed { begun: 1 },
        Word::Commit {
            number: 2,
            after: 1,
        },
        Word::Admitted(standing),
    ] {
        assert_eq!(after(&[word]).await, DownReason::Malformed, "{word:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_never_ends_is_cut_at_its_cap() {
    let piece = vec![0; PIECE_BYTES_MAX];
    let piece = Word::Piece {
        tag: 1,
        piece: &piece,
    };
    let enough = MESSAGE_BYTES_MAX / PIECE_BYTES_MAX + 1;
    assert_eq!(after(&vec![piece; enough]).await, DownReason::Malformed);
    let empty = Word::Piece { tag: 1, piece: b"" };
    assert_eq!(after(&[empty]).await, DownReason::Malformed);
}

#[tokio::test(start_paused = true)]
async fn pieces_of_two_messages_never_mix() {
    let words = [
        Word::Piece {
            tag: 1,
            piece: b"a",
        },
        Word::End {
            tag: 2,
            piece: b"b",
        },
    ];
    assert_eq!(after(&words).await, DownReason::Malformed);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_left_and_never_followed_ends() {
    assert_eq!(after(&[Word::Last]).await, DownReason::Silent);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_was_changed_does_not_come_through() {
    let net = MemoryNet::new(1);
    let mut victim = start(&Plan::in_memory(&net, 1)).await;
    let mut turncoat = Turncoat::admitted(&net, &victim, 2).await;
    turncoat.say(&[Word::Committed { begun: 1 }]).await;
    victim.up(id(2)).await;
    for _ in 0..20 {
        turncoat.session.writer.push(&[0x10; 40]);
    }
    let _ = turncoat.session.writer.flush().await;
    assert!(matches!(
        victim.down(id(2)).await,
        DownReason::Session(_) | DownReason::Malformed
    ));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_answers_nothing_after_admission_is_let_go() {
    let net = MemoryNet::new(1);
    // On the side that decides, and on the side that is told.
    for number in [2, 0] {
        let victim = start(&Plan::in_memory(&net, 1)).await;
        let turncoat = if number == 2 {
            Some(Turncoat::admitted(&net, &victim, number).await)
        } else {
            None
        };
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(victim.links().await.is_empty());
        drop(turncoat);
        victim.stop().await;
    }
    assert!(NetworkLimits::agent().pings_missed_max > 0);
}
