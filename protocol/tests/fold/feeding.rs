//! One feeder is enough: whoever feeds on unasked is told to end it.

use regatta_protocol::clock::reference::ReferenceTime;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::entry::{EntryKind, LedgerKind, Parcel};
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::replica::author::{Draft, Identity};
use regatta_protocol::ledger::replica::{Effect, Event, PeerInfo, Replica, Role, Settings};
use regatta_protocol::machine::{Machine, Millis};
use regatta_protocol::prng::Prng;

use crate::fixture::{Fixture, cheap, day};

pub fn handle(replica: &mut Replica, event: Event) -> Vec<Effect> {
    let mut out = Vec::new();
    replica.handle(Millis(0), event, &mut out);
    out
}

pub fn replica(fixture: &Fixture, role: Role) -> Replica {
    let (hand, statement) = fixture.manager(1, (0, 365));
    let mut holdings = fixture.holdings();
    holdings.take_statement(&statement);
    holdings.settle(day(1));
    let is_manager = role == Role::Manager;
    let me = Identity {
        node: if is_manager {
            hand.node
        } else {
            NodeId([9; 16])
        },
        role,
        serial: hand.serial,
        signer: if is_manager { hand.key } else { cheap(9) },
        not_before: day(0),
        tells_time: false,
        carries: false,
    };
    let (time, prng) = (ReferenceTime::default(), Prng::from_number(1));
    let mut replica = Replica::new(me, Settings::default(), holdings, time, prng, true);
    handle(&mut replica, Event::Clock { wall: day(1) });
    replica
}

fn parcel(manager: &mut Replica, id: u64) -> Parcel {
    let draft = Draft::new(id, LedgerKind::Fleet, EntryKind::RECORD, b"news".to_vec());
    let effects = handle(manager, Event::Write(draft));
    let stored = effects.into_iter().find_map(|effect| match effect {
        Effect::Store(entry) => Some(entry.bare()),
        _ => None,
    });
    stored.expect("an entry")
}

/// What the agent says to `peer` on its push.
fn told(agent: &mut Replica, peer: NodeId, parcel: &Parcel) -> Vec<Message> {
    let message = Message::Push {
        hops: 0,
        parcels: vec![parcel.clone()],
    };
    let effects = handle(
        agent,
        Event::Received {
            from: peer,
            message,
        },
    );
    let said = effects.into_iter().filter_map(|effect| match effect {
        Effect::Send { to, message } if to == [peer] => Some(message),
        _ => None,
    });
    said.filter(|message| matches!(message, Message::Feed(_)))
        .collect()
}

#[test]
fn a_feeder_that_missed_the_word_to_end_it_is_told_again() {
    let fixture = Fixture::new();
    let mut manager = replica(&fixture, Role::Manager);
    let mut agent = replica(&fixture, Role::Agent);
    let (feeder, stray) = (NodeId([2; 16]), NodeId([3; 16]));
    for node in [feeder, stray] {
        let info = PeerInfo {
            node,
            role: Role::Agent,
            carries: false,
        };
        handle(&mut agent, Event::PeerUp(info));
    }
    handle(&mut agent, Event::Feeder(Some(feeder)));
    let news = parcel(&mut manager, 1);
    assert_eq!(told(&mut agent, feeder, &news), []);
    assert_eq!(
        told(&mut agent, feeder, &news),
        [],
        "a repetition of its own"
    );
    assert_eq!(told(&mut agent, stray, &news), [Message::Feed(false)]);
    // What it is the first to bring is welcome.
    let more = parcel(&mut manager, 2);
    assert_eq!(told(&mut agent, stray, &more), []);
}
