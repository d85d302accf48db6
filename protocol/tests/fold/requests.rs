//! Enrolments count by the joiner's own request: who may admit does not invent who asks.

use regatta_protocol::codec;
use regatta_protocol::ledger::entry::Entry;
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::trust::certificate::{Capability, Certificate, Grant, Issuer, Rank};
use regatta_protocol::trust::enrolment::Enrolment;
use regatta_protocol::trust::invite::join::{JoinRequest, SignedJoin};
use regatta_protocol::trust::invite::{InviteTerms, SignedInvite};
use regatta_protocol::trust::roll::Roll;
use regatta_protocol::trust::verdict::InviteId;

use crate::enrolling::{
    enrolment, enrols, enrols_under, gives, managers_invite, node, on_roll, says, terms, terms_for,
};
use crate::fixture::{Hand, cheap, day, name};
use crate::harbour::device_certificate;
use crate::rolls::narrow;
use crate::scenarios::fleet;
use crate::state::{after, all_orders_agree};

const OSAKA: [(&str, &str); 1] = [("site", "osaka")];

/// A request under an invite, signed by whatever keys.
fn signed_by(
    hand: &Hand,
    invite: &SignedInvite,
    certificate: &Certificate,
    (one_time, own): (u8, u8),
) -> SignedJoin {
    let request = JoinRequest {
        invite: invite.clone(),
        name: certificate.name.clone(),
        keys: certificate.keys,
    };
    SignedJoin::sign(
        &request,
        &hand.fleet,
        cheap(one_time).as_ref(),
        cheap(own).as_ref(),
    )
}

/// An enrolment as somebody writes it who has seen the invite and all requests under it.
struct Forgery {
    what: &'static str,
    change: fn(&Hand, &SignedInvite, &Enrolment, &mut Certificate, &mut Enrolment),
}

const FORGERIES: [Forgery; 8] = [
    Forgery {
        what: "no request",
        change: |_, _, _, _, forged| forged.request = None,
    },
    Forgery {
        what: "another's request",
        change: |_, _, seen, _, forged| forged.request = seen.request.clone(),
    },
    Forgery {
        what: "without the one-time key",
        change: |by, invite, _, own, forged| {
            forged.request = Some(signed_by(by, invite, own, (78, 93)));
        },
    },
    Forgery {
        what: "without the joiner's key",
        change: |by, invite, _, own, forged| {
            forged.request = Some(signed_by(by, invite, own, (77, 78)));
        },
    },
    Forgery {
        what: "more uses than the invite has",
        change: |_, _, _, _, forged| forged.uses = 1,
    },
    Forgery {
        what: "in another's place",
        change: |_, _, _, _, forged| forged.replaces = Some(node(90)),
    },
    Forgery {
        what: "with grants",
        change: |_, _, _, own, _| own.grants = vec![Grant::everywhere(Capability::Carry)],
    },
    Forgery {
        what: "by another name",
        change: |_, _, _, own, _| own.name = name("crane"),
    },
];

/// An invite for two, used by two devices.
fn used() -> (
    crate::fixture::Fixture,
    [Hand; 2],
    Vec<Entry>,
    SignedInvite,
    Enrolment,
) {
    let (fixture, [mut m1, ..], mut entries) = fleet();
    let (m8, _, carried) = narrow(&fixture, 8, "site=osaka");
    entries.push(carried);
    let terms = InviteTerms {
        labels: device_certificate(90, &m1, &OSAKA).labels,
        ..terms(&fixture, Rank::Device, &m1)
    };
    let (invite, given) = gives(&terms, m1.key.clone().as_ref(), &mut m1);
    entries.push(given);
    for number in [90, 91] {
        let certificate = device_certificate(number, &m1, &OSAKA);
        entries.push(enrols_under(&mut m1, &invite, &certificate, 2));
    }
    let seen = enrolment(&m1.fleet, &invite, &device_certificate(90, &m1, &OSAKA));
    (fixture, [m1, m8], entries, invite, seen)
}

fn uses_and_doubts(holdings: &Holdings) -> (usize, Vec<bool>) {
    let invites = Roll::of(holdings).invites();
    let doubts = [90, 91].map(|number| on_roll(holdings, number).contested);
    (invites[0].used_by.len(), doubts.to_vec())
}

#[test]
fn an_invite_is_not_overfilled_by_requests_that_nobody_made() {
    for Forgery { what, change } in FORGERIES {
        let (fixture, [_, mut m8], mut entries, invite, seen) = used();
        let mut own = device_certificate(93, &m8, &OSAKA);
        let mut forged = enrolment(&m8.fleet, &invite, &own);
        change(&m8, &invite, &seen, &mut own, &mut forged);
        forged.certificate = codec::encode(&own).into();
        // Also as of a day before the invite was used.
        entries.push(says(&mut m8, &forged, 1));
        let holdings = after(&fixture, &entries, day(3));
        assert_eq!(Roll::of(&holdings).device(&node(93)), None, "{what}");
        assert_eq!(uses_and_doubts(&holdings), (2, vec![false; 2]), "{what}");
    }
    // The same of one that was made counts, and one too many throws doubt.
    let (fixture, [_, mut m8], mut entries, invite, _) = used();
    let own = device_certificate(93, &m8, &OSAKA);
    entries.push(enrols_under(&mut m8, &invite, &own, 1));
    let holdings = after(&fixture, &entries, day(3));
    assert_eq!(Roll::of(&holdings).invites()[0].used_by.len(), 3);
    assert!(on_roll(&holdings, 91).contested);
}

#[test]
fn a_retry_with_another_manager_counts_once() {
    let (fixture, [mut m1, mut m2, ..], before) = fleet();
    let certificate = device_certificate(90, &m1, &OSAKA);
    let terms = terms_for(&m1, 60, &certificate, None);
    let (invite, given) = gives(&terms, m1.key.clone().as_ref(), &mut m1);
    let again = Certificate {
        issuer: Issuer::Certificate(m2.serial),
        name: name("buoy-2"),
        ..certificate.clone()
    };
    let entries = [
        given,
        enrols_under(&mut m1, &invite, &certificate, 1),
        enrols_under(&mut m2, &invite, &again, 1),
    ];
    all_orders_agree(&fixture, &before, &entries, day(3));
    let mut all = before;
    all.extend(entries);
    let holdings = after(&fixture, &all, day(3));
    assert_eq!(Roll::of(&holdings).invites()[0].used_by.len(), 1);
    assert!(!on_roll(&holdings, 90).contested);
}

#[test]
fn one_invite_for_one_on_both_sides_of_a_partition_is_contested_on_both() {
    let (fixture, [mut m1, mut m2, ..], before) = fleet();
    let first = device_certificate(90, &m1, &OSAKA);
    let second = device_certificate(91, &m2, &OSAKA);
    let terms = terms_for(&m1, 60, &first, None);
    let (invite, _) = gives(&terms, m1.key.clone().as_ref(), &mut m1.clone());
    let entries = [
        enrols_under(&mut m1, &invite, &first, 1),
        enrols_under(&mut m2, &invite, &second, 2),
    ];
    all_orders_agree(&fixture, &before, &entries, day(3));
    let mut all = before;
    all.extend(entries);
    let holdings = after(&fixture, &all, day(3));
    assert!(on_roll(&holdings, 90).contested && on_roll(&holdings, 91).contested);
}

#[test]
fn nobody_asks_under_the_roots_invite_who_has_not_its_one_time_key() {
    let (fixture, [mut m1, mut m2, ..], mut entries) = fleet();
    let (invite, given) = managers_invite(&fixture, &mut m1);
    entries.push(given);
    let manager = |number: u8, by: &Hand| Certificate {
        rank: Rank::Manager,
        issuer: Issuer::Root(1),
        ..device_certificate(number, by, &[])
    };
    let asked = manager(90, &m1);
    entries.push(enrols_under(&mut m1, &invite, &asked, 1));
    for (number, keys) in [(91, (78, 91)), (92, (77, 78))] {
        let own = manager(number, &m2);
        let forged = Enrolment {
            request: Some(signed_by(&m2, &invite, &own, keys)),
            ..enrolment(&m2.fleet, &invite, &own)
        };
        entries.push(says(&mut m2, &forged, 1));
    }
    let holdings = after(&fixture, &entries, day(3));
    assert_eq!(on_roll(&holdings, 90).rank(), Rank::Manager);
    assert!(!on_roll(&holdings, 90).contested);
    for number in [91, 92] {
        assert_eq!(Roll::of(&holdings).device(&node(number)), None, "{number}");
    }
}

#[test]
fn an_invite_counts_once_its_issuer_is_known_who_may_give_it() {
    let (fixture, [mut m1, ..], mut entries) = fleet();
    let (m9, statement) = fixture.manager(9, (0, 365));
    let osaka = device_certificate(90, &m1, &OSAKA);
    let terms = terms_for(&m9, 60, &osaka, None);
    let invite = SignedInvite::sign(&terms, &[(0, m9.key.as_ref())]);
    entries.push(enrols_under(&mut m1, &invite, &osaka, 1));
    let holdings = after(&fixture, &entries, day(3));
    assert_eq!(
        Roll::of(&holdings).device(&node(90)),
        None,
        "by nobody known"
    );
    let known = m1.carry(&statement, day(2));
    let more = [entries.pop().expect("the enrolment"), known];
    all_orders_agree(&fixture, &entries, &more, day(3));
    entries.extend(more);
    let holdings = after(&fixture, &entries, day(3));
    assert_eq!(on_roll(&holdings, 90).certificate, osaka);
    // One who may admit others alone gives no invite to these, whoever lets in by it.
    let (m8, _, carried) = narrow(&fixture, 8, "site=kobe");
    let second = device_certificate(91, &m1, &OSAKA);
    let terms = terms_for(&m8, 61, &second, None);
    let invite = SignedInvite::sign(&terms, &[(0, m8.key.as_ref())]);
    entries.push(carried);
    entries.push(enrols_under(&mut m1, &invite, &second, 3));
    let holdings = after(&fixture, &entries, day(4));
    assert_eq!(Roll::of(&holdings).device(&node(91)), None);
}

#[test]
fn an_operator_is_enrolled_by_who_may_sign_such_a_one() {
    let (fixture, [mut m1, m2, ..], mut before) = fleet();
    let (mut m8, _, carried) = narrow(&fixture, 8, "site=osaka");
    before.push(carried);
    let person = |by: &Hand| Certificate {
        rank: Rank::Operator,
        ..device_certificate(90, by, &[])
    };
    let named = |certificate: &Certificate| Enrolment {
        invite: InviteId(regatta_protocol::trust::invite::join::serial_of(
            certificate,
        )),
        uses: 1,
        certificate: codec::encode(certificate).into(),
        replaces: None,
        request: None,
    };
    let mine = person(&m1);
    let wide = Certificate {
        grants: vec![Grant::everywhere(Capability::Carry)],
        ..person(&m1)
    };
    let long = Certificate {
        window: regatta_protocol::trust::certificate::Window {
            from: day(0),
            to: day(91),
        },
        ..person(&m1)
    };
    let elsewhere = Enrolment {
        invite: InviteId(regatta_protocol::ident::Serial([60; 16])),
        ..named(&mine)
    };
    let table = [
        ("his own issuer", named(&mine), true),
        ("under an invite that nobody used", elsewhere, false),
        ("more than his issuer has", named(&wide), false),
        ("longer than anybody may sign", named(&long), false),
        ("another's operator", named(&person(&m2)), false),
    ];
    for (what, enrolment, counts) in table {
        let mut all = before.clone();
        all.push(says(&mut m1.clone(), &enrolment, 1));
        let holdings = after(&fixture, &all, day(3));
        let found = Roll::of(&holdings).device(&node(90));
        assert_eq!(found.is_some(), counts, "{what}");
    }
    // Without `delegate` nobody enrols one, nor invites one.
    let (of_m8, by_invite) = (person(&m8), person(&m1));
    let terms = terms_for(&m8, 60, &by_invite, None);
    let invite = SignedInvite::sign(&terms, &[(0, m8.key.as_ref())]);
    let entries = [
        says(&mut m8, &named(&of_m8), 1),
        enrols_under(&mut m1.clone(), &invite, &by_invite, 1),
    ];
    for entry in entries {
        let mut all = before.clone();
        all.push(entry);
        let holdings = after(&fixture, &all, day(3));
        assert_eq!(Roll::of(&holdings).device(&node(90)), None);
    }
    // By an invite of one who may, he is.
    let mut all = before;
    all.push(enrols(&mut m1, 61, &by_invite, 1));
    let holdings = after(&fixture, &all, day(3));
    assert_eq!(on_roll(&holdings, 90).rank(), Rank::Operator);
}

#[test]
fn an_enrolment_with_its_request_stays_small() {
    let (_, [m1, ..], _) = fleet();
    let certificate = device_certificate(90, &m1, &OSAKA);
    let terms = terms_for(&m1, 60, &certificate, None);
    let invite = SignedInvite::sign(&terms, &[(0, m1.key.as_ref())]);
    let whole = enrolment(&m1.fleet, &invite, &certificate);
    let bare = Enrolment {
        request: None,
        ..whole.clone()
    };
    let (whole, bare) = (codec::encoded_len(&whole), codec::encoded_len(&bare));
    assert!(whole < 1_024 && whole - bare < 600, "{whole} of {bare}");
}
