//! What a manager writes of devices that are not its own to admit.

use regatta_protocol::selector::Labels;
use regatta_protocol::trust::certificate::{Certificate, Issuer, Rank};
use regatta_protocol::trust::invite::InviteTerms;
use regatta_protocol::trust::roll::Roll;

use crate::enrolling::{enrols, enrols_under, gives, node, on_roll, relabels, terms};
use crate::fixture::{cheap, day, name};
use crate::harbour::device_certificate;
use crate::rolls::narrow;
use crate::scenarios::fleet;
use crate::state::{after, all_orders_agree};

#[test]
fn nobody_puts_devices_into_doubt_that_he_may_not_admit() {
    let (fixture, [mut m1, ..], mut before) = fleet();
    let (mut m8, own, carried) = narrow(&fixture, 8, "site=osaka");
    before.push(carried);
    let labels = Labels::from_pairs([(name("site"), name("kobe"))]).expect("labels");
    let terms = InviteTerms {
        labels,
        ..terms(&fixture, Rank::Device, &m1)
    };
    let (invite, given) = gives(&terms, cheap(1).as_ref(), &mut m1);
    let kobe = |number| device_certificate(number, &m1, &[("site", "kobe")]);
    let (first, second) = (kobe(90), kobe(91));
    let as_manager = Certificate {
        rank: Rank::Manager,
        issuer: Issuer::Root(1),
        ..own
    };
    let osaka = device_certificate(92, &m8, &[("site", "osaka")]);
    let other = device_certificate(93, &m8, &[("site", "osaka")]);
    let third = kobe(94);
    before.push(given);
    let entries = [
        enrols_under(&mut m1, &invite, &first, 1),
        enrols_under(&mut m1, &invite, &second, 1),
        enrols(&mut m1, 66, &third, 1),
        enrols_under(&mut m8, &invite, &as_manager, 2),
        enrols_under(&mut m8, &invite, &osaka, 2),
        enrols(&mut m8, 66, &other, 2),
    ];
    all_orders_agree(&fixture, &before, &entries, day(3));
    let mut all = before;
    all.extend(entries);
    let holdings = after(&fixture, &all, day(3));
    for number in [90, 91, 94] {
        assert!(!on_roll(&holdings, number).contested, "{number}");
    }
    let invites = Roll::of(&holdings).invites();
    assert_eq!(
        invites[0].used_by.len(),
        2,
        "whose device is not of the invite used none"
    );
}

#[test]
fn a_devices_place_on_the_roll_is_taken_by_nobody_who_may_not_admit_it() {
    let (fixture, [mut m1, mut m2, ..], mut entries) = fleet();
    let (mut m8, _, carried) = narrow(&fixture, 8, "site=osaka");
    entries.push(carried);
    let kobe = device_certificate(90, &m1, &[("site", "kobe")]);
    let theft = Certificate {
        node: node(90),
        ..device_certificate(91, &m8, &[("site", "osaka")])
    };
    let person = Certificate {
        node: node(90),
        rank: Rank::Operator,
        ..device_certificate(92, &m2, &[])
    };
    entries.push(enrols(&mut m1, 60, &kobe, 1));
    entries.push(enrols(&mut m8, 61, &theft, 2));
    entries.push(enrols(&mut m2, 62, &person, 2));
    let holdings = after(&fixture, &entries, day(3));
    assert_eq!(on_roll(&holdings, 90).certificate, kobe);
    // Once it is in Osaka, it is that manager's to admit anew.
    entries.push(relabels(&mut m1, 90, &[("site", "osaka")], &[], 4));
    entries.push(enrols(&mut m8, 63, &theft, 5));
    let holdings = after(&fixture, &entries, day(6));
    assert_eq!(on_roll(&holdings, 90).certificate, theft);
}

#[test]
fn an_operator_is_on_the_roll_by_his_own_issuer_alone() {
    let (fixture, [mut m1, m2, ..], mut entries) = fleet();
    let person = Certificate {
        rank: Rank::Operator,
        ..device_certificate(90, &m2, &[])
    };
    entries.push(enrols(&mut m1, 60, &person, 1));
    let holdings = after(&fixture, &entries, day(3));
    assert_eq!(Roll::of(&holdings).device(&node(90)), None);
}
