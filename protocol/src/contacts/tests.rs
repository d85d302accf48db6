//! Who takes whose word on where somebody is, and who passes it on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Contact, ContactArguments, ContactEffect, ContactEvent, ContactMessage, Contacts, SignedContact,
};
use crate::codec;
use crate::crypto::seal::BoxKey;
use crate::crypto::sign::{Ed25519, PublicKey, SecretKey, Sign};
use crate::ident::{FleetId, Hash, NodeId};
use crate::limits::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, CONTACTS_TOLD_MAX};
use crate::machine::{Machine, Millis};
use crate::trust::certificate::NodeKeys;

const FLEET: FleetId = FleetId([7; 32]);
const AT: Millis = Millis(1_000_000);

fn secret(of: u8) -> SecretKey {
    SecretKey::from_bytes(&[of; 32])
}

fn keys(of: u8) -> NodeKeys {
    NodeKeys {
        sign: secret(of).public(),
        seal: BoxKey(Hash([of; 32])),
    }
}

fn node(of: u8) -> NodeId {
    NodeId([of; 16])
}

/// Managers 1 to 3.
fn roster() -> BTreeMap<NodeId, PublicKey> {
    (1..=3).map(|of| (node(of), keys(of).sign)).collect()
}

fn contacts(of: u8) -> Contacts {
    let mut contacts = Contacts::new(ContactArguments {
        fleet: FLEET,
        node: node(of),
        keys: keys(of),
        sign: Arc::new(secret(of)),
        verify: Arc::new(Ed25519),
    });
    give(&mut contacts, ContactEvent::Roster(roster()));
    contacts
}

fn give(contacts: &mut Contacts, event: ContactEvent) -> Vec<ContactEffect> {
    let mut out = Vec::new();
    // Whoever says something is connected while it does.
    let guest = match &event {
        ContactEvent::Received { from, .. } if !contacts.connected.contains_key(from) => {
            Some(*from)
        }
        _ => None,
    };
    if let Some(peer) = guest {
        contacts.handle(AT, ContactEvent::Connected { peer }, &mut Vec::new());
    }
    contacts.handle(AT, event, &mut out);
    if let Some(peer) = guest {
        contacts.handle(AT, ContactEvent::Disconnected { peer }, &mut Vec::new());
    }
    out
}

/// What a node says of itself, signed with somebody's key.
fn word(of: u8, by: u8, said: u64, addresses: &[&str]) -> SignedContact {
    let contact = Contact {
        node: node(of),
        keys: keys(by),
        said: Millis(said),
        addresses: addresses.iter().map(|it| (*it).to_owned()).collect(),
    };
    SignedContact::write(&contact, &FLEET, &secret(by))
}

fn told(from: u8, contacts: Vec<SignedContact>) -> ContactEvent {
    ContactEvent::Received {
        from: node(from),
        at: AT,
        message: ContactMessage::Tell(contacts),
    }
}

fn address(contacts: &Contacts, of: u8) -> Option<&str> {
    let contact = contacts.of(&node(of))?;
    contact.addresses.first().map(String::as_str)
}

fn sent_to(out: &[ContactEffect]) -> Vec<NodeId> {
    let sends = out.iter().filter_map(|effect| match effect {
        ContactEffect::Send { to, .. } => Some(*to),
        _ => None,
    });
    sends.collect()
}

#[test]
fn the_later_word_wins_whoever_brings_it() {
    let mut agent = contacts(9);
    give(&mut agent, told(1, vec![word(2, 2, 500, &["new"])]));
    give(&mut agent, told(2, vec![word(2, 2, 400, &["old"])]));
    assert_eq!(address(&agent, 2), Some("new"));
    give(&mut agent, told(3, vec![word(2, 2, 501, &["newest"])]));
    assert_eq!(address(&agent, 2), Some("newest"));
}

#[test]
fn nobody_speaks_for_another() {
    for (of, by, said, from) in [
        // Another key than the manager's.
        (2, 4, 500, 1),
        // Far in the future: it would stand for ever.
        (2, 2, AT.0 + 3_600_000, 1),
        // About a node that nobody asked for.
        (8, 8, 500, 1),
        // About the reader itself.
        (9, 9, 500, 1),
    ] {
        let mut agent = contacts(9);
        let out = give(&mut agent, told(from, vec![word(of, by, said, &["lie"])]));
        assert_eq!(out, [], "{of} by {by} at {said}");
        assert_eq!(address(&agent, of), None);
    }
    let mut agent = contacts(9);
    let forged = SignedContact {
        signature: word(3, 3, 500, &["x"]).signature,
        ..word(2, 2, 500, &["x"])
    };
    let out = give(&mut agent, told(1, vec![forged]));
    assert_eq!(out, [ContactEffect::Forged { peer: node(1) }]);
}

#[test]
fn a_manager_passes_on_where_managers_are_and_an_agent_does_not() {
    for (of, passes) in [(1, true), (9, false)] {
        let mut contacts = contacts(of);
        for peer in [2, 5, 6] {
            give(&mut contacts, ContactEvent::Connected { peer: node(peer) });
        }
        let out = give(&mut contacts, told(2, vec![word(3, 3, 500, &["c"])]));
        let expected: &[NodeId] = if passes { &[node(5), node(6)] } else { &[] };
        assert_eq!(sent_to(&out), expected);
        let again = give(&mut contacts, told(5, vec![word(3, 3, 500, &["c"])]));
        assert_eq!(again, [], "it is told once");
    }
}

#[test]
fn whoever_comes_hears_of_all_managers() {
    let mut manager = contacts(1);
    let own = ContactEvent::Own {
        at: AT,
        addresses: vec!["a".to_owned()],
    };
    give(&mut manager, own.clone());
    give(&mut manager, told(2, vec![word(2, 2, 500, &["b"])]));
    let out = give(&mut manager, ContactEvent::Connected { peer: node(9) });
    let [ContactEffect::Send { message, .. }] = out.as_slice() else {
        panic!("one message: {out:?}");
    };
    let ContactMessage::Tell(told) = message else {
        panic!("it tells");
    };
    assert_eq!(told.len(), 2);
    assert_eq!(give(&mut manager, own), [], "nothing new is not said again");
}

#[test]
fn own_words_grow_later_even_when_the_clock_goes_back() {
    let mut node = contacts(9);
    let own = |at, address: &str| ContactEvent::Own {
        at: Millis(at),
        addresses: vec![address.to_owned()],
    };
    give(&mut node, own(1_000, "a"));
    give(&mut node, own(10, "b"));
    let contact = node.of(&super::NodeId([9; 16])).expect("its own");
    assert_eq!((contact.said, contact.addresses.len()), (Millis(1_001), 1));
}

#[test]
fn a_wanted_node_is_asked_for_until_a_manager_tells() {
    let mut agent = contacts(9);
    give(&mut agent, ContactEvent::Connected { peer: node(1) });
    let out = give(&mut agent, ContactEvent::Wanted { node: node(8) });
    assert_eq!(sent_to(&out), [node(1)]);
    // Another member may not answer; the next manager is asked as well.
    give(&mut agent, told(7, vec![word(8, 8, 500, &["lie"])]));
    assert_eq!(address(&agent, 8), None);
    let out = give(&mut agent, ContactEvent::Connected { peer: node(2) });
    assert_eq!(sent_to(&out), [node(2)]);
    give(&mut agent, told(2, vec![word(8, 8, 500, &["h"])]));
    assert_eq!(address(&agent, 8), Some("h"));
    // It may have moved since: who wants it again asks again, and goes on with what it has.
    let out = give(&mut agent, ContactEvent::Wanted { node: node(8) });
    assert_eq!(sent_to(&out), [node(1), node(2)]);
    give(&mut agent, told(2, vec![word(8, 8, 600, &["i"])]));
    assert_eq!(address(&agent, 8), Some("i"));
    let mut manager = contacts(2);
    give(&mut manager, told(8, vec![word(8, 8, 500, &["h"])]));
    let asked = ContactEvent::Received {
        from: node(9),
        at: AT,
        message: ContactMessage::Ask(vec![node(8), node(4)]),
    };
    assert_eq!(sent_to(&give(&mut manager, asked)), [node(9)]);
}

#[test]
fn what_another_key_signed_goes_when_the_right_one_is_known() {
    let mut manager = contacts(1);
    give(&mut manager, told(8, vec![word(8, 4, 500, &["thief"])]));
    assert_eq!(address(&manager, 8), Some("thief"));
    let known = ContactEvent::Known {
        node: node(8),
        key: keys(8).sign,
    };
    give(&mut manager, known);
    assert_eq!(address(&manager, 8), None);
}

#[test]
fn a_restart_knows_what_was_kept() {
    let mut agent = contacts(9);
    let out = give(&mut agent, told(1, vec![word(2, 2, 500, &["b"])]));
    let kept = out.into_iter().filter_map(|effect| match effect {
        ContactEffect::Keep { contact, .. } => Some(contact),
        _ => None,
    });
    let kept: Vec<SignedContact> = kept.collect();
    let mut anew = contacts(9);
    give(&mut anew, ContactEvent::Restored(kept));
    assert_eq!(address(&anew, 2), Some("b"));
}

#[test]
fn the_largest_words_fit_a_frame() {
    let long = "x".repeat(ADDRESS_BYTES_MAX);
    let largest = word(2, 2, 500, &[long.as_str(); ADDRESSES_MAX]);
    assert!(largest.open(&FLEET, &Ed25519).is_some());
    let message = ContactMessage::Tell(vec![largest; CONTACTS_TOLD_MAX]);
    assert!(codec::fits(&message), "{}", codec::encoded_len(&message));
}

#[test]
fn contacts_keep_their_bytes() {
    let signed = word(2, 2, 500, &["/ip4/192.0.2.1/udp/4810/quic-v1"]);
    let bytes = codec::encode(&ContactMessage::Tell(vec![signed]));
    let hash = Hash::of(&bytes).to_string();
    assert_eq!((bytes.len(), &hash[..16]), (221, "507ec920b4470d52"));
}

#[test]
fn a_member_that_says_too_much_is_not_read_on() {
    let mut manager = contacts(1);
    let peer = node(8);
    give(&mut manager, ContactEvent::Connected { peer });
    let kept = (1..1000_u64)
        .flat_map(|said| give(&mut manager, told(8, vec![word(8, 8, said, &["h"])])))
        .filter(|effect| matches!(effect, ContactEffect::Keep { .. }))
        .count();
    assert_eq!(kept, 256);
}

#[test]
fn what_was_said_under_a_wrong_clock_does_not_bind_a_node_for_years() {
    let mut agent = contacts(8);
    let year_2036 = Millis(2_082_000_000_000);
    let own = |at, address: &str| ContactEvent::Own {
        at,
        addresses: vec![address.to_owned()],
    };
    give(&mut agent, own(year_2036, "a"));
    give(&mut agent, own(AT, "b"));
    assert_eq!(agent.of(&node(8)).map(|it| it.said), Some(AT));
}

#[test]
fn whose_key_is_not_known_keeps_the_one_with_which_it_was_first_heard() {
    let mut agent = contacts(9);
    give(&mut agent, told(8, vec![word(8, 8, 500, &["h"])]));
    give(&mut agent, told(7, vec![word(8, 7, 600, &["x"])]));
    assert_eq!(address(&agent, 8), Some("h"));
}
