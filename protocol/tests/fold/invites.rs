//! Tokens, and who is let in: with real signatures.

use std::sync::Arc;

use regatta_protocol::crypto::sign::Ed25519;
use regatta_protocol::ident::{FleetId, NodeId};
use regatta_protocol::ledger::entry::Entry;
use regatta_protocol::trust::certificate::{Issuer, Rank};
use regatta_protocol::trust::invite::join::{JoinRefusal, PinError, SignedJoin, pin};
use regatta_protocol::trust::invite::token::{Token, TokenError};
use regatta_protocol::trust::steward::{Done, Steward};

use crate::fixture::{Fixture, day, deliver, stopped};
use crate::harbour::{asks, harbour, key};

#[test]
fn a_token_reads_back_as_written_in_small_letters_and_broken_lines_too() {
    let token = harbour().token(1);
    let text = token.to_text();
    assert!(text.starts_with("REGATTA1-"));
    let dense = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit();
    assert!(text.chars().all(|letter| dense(letter) || letter == '-'));
    assert!(text.len() < 4296, "{} characters", text.len());
    assert_eq!(Token::parse(&text), Ok(token.clone()));
    let broken = text.to_lowercase().replace("regatta1-a", "regatta1-\n  a");
    assert_eq!(Token::parse(&broken), Ok(token));
}

#[test]
fn a_token_mistyped_anywhere_is_refused() {
    let text = harbour().token(1).to_text().to_string();
    for (index, right) in text.char_indices() {
        let wrong = if right == 'A' { 'B' } else { 'A' };
        let mistyped = format!("{}{wrong}{}", &text[..index], &text[index + 1..]);
        assert!(Token::parse(&mistyped).is_err(), "character {}", index + 1);
        let missing = format!("{}{}", &text[..index], &text[index + 1..]);
        assert!(
            Token::parse(&missing).is_err(),
            "without character {}",
            index + 1
        );
    }
    assert!(Token::parse(&text[..text.len() / 2]).is_err());
    assert!(Token::parse("").is_err());
}

#[test]
fn a_token_says_where_it_is_wrong() {
    let mut text = harbour().token(1).to_text().to_string();
    text.replace_range(20..21, "0");
    let error = Token::parse(&text).expect_err("no zero in it").to_string();
    assert_eq!(
        error,
        "invite token: character 21 is '0'; after 'regatta1-' there are letters \
         A to Z and digits 2 to 7; it may be the letter O"
    );
    let other = Token::parse("https://regatta").map_err(|error| error.to_string());
    let said = "an invite token begins with 'regatta1-', this begins with 'HTTPS://R'";
    assert_eq!(other, Err(said.to_owned()));
}

#[test]
fn a_joiner_pins_the_root_that_its_token_names() {
    let harbour = harbour();
    let token = harbour.token(1);
    let first = harbour.fixture.first.clone();
    let verify = || Arc::new(Ed25519);
    let mut statements = harbour.statements.clone();
    statements.reverse();
    let record = pin(&token, day(1), first.clone(), &statements, verify()).expect("pinned");
    assert_eq!(record.managers().len(), 2);
    let thief = Fixture::with(Arc::new(Ed25519), vec![key(66)], 1, vec![key(67)]);
    let other = pin(&token, day(1), thief.first, &[], verify());
    assert!(matches!(other, Err(PinError::Root(_))));
    let late = pin(&token, day(11), first, &[], verify());
    assert!(matches!(
        late,
        Err(PinError::Token(TokenError::Expired { .. }))
    ));
}

#[test]
fn a_lost_answer_is_repeated_with_the_same_node_and_takes_no_second_use() {
    let mut harbour = harbour();
    let mut holdings = harbour.holdings(day(1));
    harbour.enrol(0, &mut holdings, 90, day(1));
    let again = asks(&harbour.token(1), 90);
    let admission = harbour
        .admit(0, &holdings, &again, 99)
        .expect("the same device");
    assert_eq!(admission.certificate.node, NodeId([90; 16]));
    assert_eq!(admission.enrolment, None);
    let other = asks(&harbour.token(1), 91);
    let refused = harbour.admit(0, &holdings, &other, 91);
    assert_eq!(refused, Err(JoinRefusal::Used { uses: 1 }));
}

#[test]
fn a_use_on_each_side_of_a_partition_stops_both_until_somebody_decides() {
    let mut harbour = harbour();
    let (mut left, mut right) = (harbour.holdings(day(1)), harbour.holdings(day(1)));
    let first = harbour.enrol(0, &mut left, 90, day(1));
    let second = harbour.enrol(1, &mut right, 91, day(2));
    deliver(&mut left, [&second]);
    deliver(&mut right, [&first]);
    let steward = Steward {
        node: harbour.hands[0].node,
        serial: harbour.hands[0].serial,
    };
    left.settle(day(3));
    let mut done = Done::default();
    let duties = steward.duties(&left, &mut done);
    let written: Vec<Entry> = duties
        .drafts
        .iter()
        .map(|draft| harbour.hands[0].draft(draft, day(3)))
        .collect();
    for holdings in [&mut left, &mut right] {
        deliver(holdings, &written);
        holdings.settle(day(3));
        let stopped = &holdings.judgement().stopped_nodes;
        assert!(
            [90, 91]
                .iter()
                .all(|node| stopped.contains(&NodeId([*node; 16])))
        );
    }
    assert_eq!(
        steward.duties(&left, &mut done).drafts,
        Vec::new(),
        "said once"
    );
    let again = asks(&harbour.token(1), 90);
    let refused = harbour.admit(0, &left, &again, 90);
    assert_eq!(refused, Err(JoinRefusal::Stopped { what: "the device" }));
}

#[test]
fn what_does_not_hold_is_refused_and_says_why() {
    let mut harbour = harbour();
    let holdings = harbour.holdings(day(11));
    let expired = harbour.admit(0, &holdings, &asks(&harbour.token(1), 90), 90);
    assert_eq!(expired, Err(JoinRefusal::Expired { not_after: day(10) }));
    let holdings = harbour.holdings(day(1));
    let mut elsewhere = harbour.terms(Rank::Device, 1);
    elsewhere.fleet = FleetId([9; 32]);
    let wrong = harbour.admit(0, &holdings, &asks(&harbour.token_of(&elsewhere), 90), 90);
    assert!(matches!(wrong, Err(JoinRefusal::Fleet { .. })), "{wrong:?}");
    let mut stolen = asks(&harbour.token(1), 90);
    stolen.by_invite = stolen.by_key;
    let wrong = harbour.admit(0, &holdings, &stolen, 90);
    assert!(
        matches!(wrong, Err(JoinRefusal::Signature { .. })),
        "{wrong:?}"
    );
    // A manager cannot invite a manager: only the root can.
    let mut rank = harbour.terms(Rank::Manager, 1);
    let wrong = harbour.admit(0, &holdings, &asks(&harbour.token_of(&rank), 90), 90);
    assert!(matches!(wrong, Err(JoinRefusal::May(_))), "{wrong:?}");
    rank.issuer = Issuer::Root(1);
    let admitted = harbour.admit(0, &holdings, &asks(&harbour.token_of(&rank), 90), 90);
    let certificate = admitted.expect("the root's invite").certificate;
    assert_eq!(
        (certificate.rank, certificate.issuer),
        (Rank::Manager, Issuer::Root(1))
    );
    // Nobody is called like another's id.
    let (token, own) = (harbour.token(1), key(90));
    for (wanted, good) in [
        ("0a1b2c", false),
        ("ABCDEF12", false),
        ("beef", true),
        ("0a1b2g", true),
    ] {
        let keys = crate::harbour::keys_of(90);
        let request = SignedJoin::ask(&token, crate::fixture::name(wanted), keys, own.as_ref());
        let said = harbour.admit(0, &holdings, &request.expect("terms"), 90);
        assert_eq!(said == Err(JoinRefusal::Id), !good, "{wanted}");
    }
    // A stopped manager's invites are good for nothing.
    let order = harbour
        .fixture
        .order(&stopped(harbour.hands[0].subject(), Vec::new()));
    let entry = harbour.hands[1].carry(&order, day(1));
    harbour.entries.push(entry);
    let holdings = harbour.holdings(day(2));
    let wrong = harbour.admit(1, &holdings, &asks(&harbour.token(1), 90), 90);
    assert!(matches!(wrong, Err(JoinRefusal::Issuer(_))), "{wrong:?}");
}
