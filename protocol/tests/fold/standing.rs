//! What a member may have changes with its certificate, while it is connected.

use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::message::{Digest, Message};
use regatta_protocol::ledger::replica::{Effect, Event, PeerInfo, Role};

use crate::feeding::{handle, replica};
use crate::fixture::Fixture;

fn digests(effects: Vec<Effect>) -> Vec<Digest> {
    let said = effects.into_iter().filter_map(|effect| match effect {
        Effect::Send {
            message: Message::Digest(digest),
            ..
        } => Some(digest),
        _ => None,
    });
    said.collect()
}

#[test]
fn a_member_that_is_renewed_on_an_open_link_is_compared_with_as_what_it_is_now() {
    let mut manager = replica(&Fixture::new(), Role::Manager);
    let lapsed = PeerInfo {
        node: NodeId([2; 16]),
        role: Role::Agent,
        carries: false,
    };
    let whole = PeerInfo {
        role: Role::Manager,
        ..lapsed
    };
    let nobody = handle(&mut manager, Event::PeerChanged(whole));
    assert!(nobody.is_empty(), "it is not connected");
    let [first] = &digests(handle(&mut manager, Event::PeerUp(lapsed)))[..] else {
        panic!("a digest for who comes");
    };
    assert_eq!(first.managers, None);
    let changed = digests(handle(&mut manager, Event::PeerChanged(whole)));
    let [digest] = &changed[..] else {
        panic!("a digest for who is a manager again");
    };
    assert!(digest.managers.is_some() && digest.answer);
    let again = handle(&mut manager, Event::PeerChanged(whole));
    assert!(again.is_empty(), "nothing changed");
    let back = digests(handle(&mut manager, Event::PeerChanged(lapsed)));
    assert!(back.iter().all(|digest| digest.managers.is_none()));
    let carrier = PeerInfo {
        carries: true,
        ..lapsed
    };
    let changed = digests(handle(&mut manager, Event::PeerChanged(carrier)));
    assert_eq!(changed.len(), 1, "there is more for who carries");
}
