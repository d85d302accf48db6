//! Renewal: what a manager signs for a device, and what a device takes; a table for each.

use regatta_protocol::codec;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerKind};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::machine::Millis;
use regatta_protocol::trust::authority::{manager, recognise};
use regatta_protocol::trust::certificate::{Certificate, Issuer, NodeKeys, Rank, Window};
use regatta_protocol::trust::enrolment::change::{Forget, Relabel};
use regatta_protocol::trust::invite::join::Admitter;
use regatta_protocol::trust::papers::renewal::{RenewalRefusal, accept_renewed, renewal};
use regatta_protocol::trust::roll::Roll;

use crate::enrolling::{enrols, enrols_for};
use crate::fixture::{Fixture, Hand, cheap, day, device, name, stopped};
use crate::harbour::device_certificate;
use crate::papers::signed;
use crate::rolls::narrow;
use crate::scenarios::fleet;
use crate::state::after;

const MINUTE_MS: u64 = 60_000;

struct Port {
    fixture: Fixture,
    hands: [Hand; 4],
    entries: Vec<Entry>,
    device: Certificate,
}

/// A fleet with one device, that the third manager signed; this one lapses on the twelfth day.
fn port() -> Port {
    let (fixture, mut hands, mut entries) = fleet();
    let device = device_certificate(90, &hands[2], &[("site", "osaka")]);
    entries.push(enrols(&mut hands[0], 60, &device, 0));
    Port {
        fixture,
        hands,
        entries,
        device,
    }
}

impl Port {
    fn says(&mut self, who: usize, kind: EntryKind, content: Vec<u8>, on: u64) {
        let entry = self.hands[who].write(LedgerKind::Managers, kind, content, day(on));
        self.entries.push(entry);
    }

    /// The device's certificate, signed by another manager over another window.
    fn issued(&self, by: usize, days: (u64, u64)) -> Certificate {
        Certificate {
            issuer: Issuer::Certificate(self.hands[by].serial),
            window: Window {
                from: day(days.0),
                to: day(days.1),
            },
            ..self.device.clone()
        }
    }

    /// What a manager signs for who presents `certificate`, which the manager in it signed.
    fn renewed(
        &self,
        by: &Hand,
        certificate: &Certificate,
        on: u64,
        asked: bool,
    ) -> Option<Certificate> {
        let holdings = after(&self.fixture, &self.entries, day(on));
        let issuer = self.hands.iter();
        let mut issuer =
            issuer.filter(|hand| certificate.issuer == Issuer::Certificate(hand.serial));
        let issuer = issuer.next().expect("a manager");
        let chain = [signed(&self.fixture, certificate, issuer)];
        let presented = recognise(holdings.record(), &chain).expect("signed");
        let known = manager(holdings.record(), &by.serial).expect("a manager");
        let me = Admitter {
            serial: by.serial,
            certificate: known.own(),
        };
        let renewed = renewal(&Roll::of(&holdings), me, &presented, asked);
        if let Some(renewed) = &renewed {
            assert_eq!(renewed.check_issued_by(known.own()), Ok(()));
            assert!(
                renewed.window.contains(holdings.reference()),
                "valid at once"
            );
        }
        renewed
    }
}

fn m1(port: &Port, certificate: &Certificate, on: u64, asked: bool) -> bool {
    port.renewed(&port.hands[0], certificate, on, asked)
        .is_some()
}

#[test]
fn a_certificate_is_renewed_when_a_third_of_its_life_has_passed_or_when_asked() {
    let port = port();
    let fresh = port.issued(1, (0, 30));
    for (on, asked, due) in [
        (1, false, false),
        (9, false, false),
        (10, false, true),
        (29, false, true),
        (31, false, true),
        (300, false, true),
        (1, true, true),
    ] {
        assert_eq!(
            m1(&port, &fresh, on, asked),
            due,
            "on day {on}, asked: {asked}"
        );
    }
    let renewed = port
        .renewed(&port.hands[0], &fresh, 10, false)
        .expect("due");
    let from = Millis(day(10).0 - 5 * MINUTE_MS);
    let window = Window {
        from,
        to: from.plus(30 * 24 * 60 * MINUTE_MS),
    };
    let issuer = Issuer::Certificate(port.hands[0].serial);
    let expected = Certificate {
        issuer,
        window,
        ..port.device.clone()
    };
    assert_eq!(renewed, expected);
    let first = port
        .renewed(&port.hands[0], &fresh, 0, true)
        .expect("asked");
    assert_eq!(first.window.from, day(0), "not before the issuer's own");
}

#[test]
fn a_certificate_is_renewed_when_its_issuer_is_gone() {
    let mut port = port();
    let of_m3 = port.issued(2, (8, 38));
    assert!(!m1(&port, &of_m3, 9, false));
    assert!(m1(&port, &of_m3, 13, false), "its issuer lapsed");
    let order = stopped(port.hands[2].subject(), Vec::new());
    let order = port.fixture.order(&order);
    let order = port.hands[0].carry(&order, day(9));
    port.entries.push(order);
    assert!(m1(&port, &of_m3, 9, false), "its issuer is stopped");
    let hands = port.hands.clone();
    assert_eq!(
        port.renewed(&hands[2], &of_m3, 9, true),
        None,
        "itself stopped"
    );
    assert_eq!(
        port.renewed(&hands[2], &of_m3, 13, true),
        None,
        "itself lapsed"
    );
}

#[test]
fn a_certificate_is_renewed_when_its_labels_or_name_are_others() {
    let mut port = port();
    let fresh = port.issued(1, (0, 30));
    let relabel = Relabel {
        node: port.device.node,
        set: vec![(name("site"), name("kobe"))],
        remove: Vec::new(),
    };
    port.says(0, EntryKind::RELABEL, codec::encode(&relabel), 1);
    let renewed = port.renewed(&port.hands[0], &fresh, 2, false).expect("due");
    assert_eq!(renewed.labels.to_string(), "site=kobe");
    assert!(!m1(&port, &renewed, 2, false), "once");
    let misnamed = Certificate {
        name: name("other"),
        ..renewed
    };
    let renewed = port
        .renewed(&port.hands[0], &misnamed, 2, false)
        .expect("due");
    assert_eq!(renewed.name, port.device.name);
}

#[test]
fn whoever_is_not_on_the_roll_with_its_key_is_not_renewed() {
    let asked = |port: &Port, certificate: &Certificate| m1(port, certificate, 3, true);
    let port_now = port();
    let own = port_now.issued(1, (0, 30));
    assert!(asked(&port_now, &own));
    let stranger = Certificate {
        node: NodeId([91; 16]),
        ..own.clone()
    };
    assert!(!asked(&port_now, &stranger), "never enrolled");
    let other_key = Certificate {
        keys: NodeKeys {
            sign: cheap(91).public(),
            ..own.keys
        },
        ..own.clone()
    };
    assert!(!asked(&port_now, &other_key));
    let operator = Certificate {
        rank: Rank::Operator,
        ..own.clone()
    };
    assert!(!asked(&port_now, &operator));
    let mut forgotten = port();
    let node = own.node;
    forgotten.says(0, EntryKind::FORGET, codec::encode(&Forget { node }), 1);
    assert!(!asked(&forgotten, &own));
    let mut halted = port();
    let order = halted.hands[1].judge(stopped(device(90), Vec::new()), day(1));
    halted.entries.push(order);
    assert!(!asked(&halted, &own));
    let mut replaced = port();
    let new = device_certificate(91, &replaced.hands[0], &[]);
    let entry = enrols_for(&mut replaced.hands[0], 61, &new, Some(90), 1);
    replaced.entries.push(entry);
    assert!(!asked(&replaced, &own));
}

#[test]
fn a_manager_renews_the_devices_that_it_may_admit() {
    let mut port = port();
    let own = port.issued(1, (0, 30));
    let (m8, _, carried) = narrow(&port.fixture, 8, "site=kobe");
    let (m9, _, more) = narrow(&port.fixture, 9, "site=osaka");
    port.entries.extend([carried, more]);
    assert_eq!(port.renewed(&m8, &own, 3, true), None);
    assert!(port.renewed(&m9, &own, 3, true).is_some());
}

fn takes(
    port: &Port,
    holdings: &Holdings,
    own: &Certificate,
    new: &Certificate,
    by: usize,
) -> Result<Certificate, RenewalRefusal> {
    let new = signed(&port.fixture, new, &port.hands[by]);
    accept_renewed(holdings, own, &new)
}

#[test]
fn a_device_takes_a_later_certificate_and_other_labels_and_nothing_older() {
    let port = port();
    let holdings = after(&port.fixture, &port.entries, day(10));
    let own = port.issued(0, (1, 31));
    let relabelled = |certificate: Certificate| {
        let mut labels = certificate.labels.clone();
        labels.set(name("site"), name("kobe")).expect("labels");
        certificate.with_labels(&labels)
    };
    for (new, taken, why) in [
        (port.issued(0, (9, 39)), true, "later"),
        (port.issued(1, (9, 39)), true, "later, of another"),
        (own.clone(), false, "the same"),
        (port.issued(1, (0, 30)), false, "older"),
        (relabelled(own.clone()), true, "other labels"),
        (
            relabelled(port.issued(1, (2, 30))),
            true,
            "other labels, shorter",
        ),
        (
            relabelled(port.issued(1, (0, 30))),
            false,
            "other labels, older",
        ),
    ] {
        let expected = if taken {
            Ok(new.clone())
        } else {
            Err(RenewalRefusal::Old)
        };
        let by = usize::from(new.issuer == Issuer::Certificate(port.hands[1].serial));
        assert_eq!(takes(&port, &holdings, &own, &new, by), expected, "{why}");
    }
}

#[test]
fn a_device_takes_nothing_of_a_manager_without_rights_over_it_and_no_other_name_or_grants() {
    use regatta_protocol::trust::certificate::{Capability, Grant};
    let mut port = port();
    let (m9, _, carried) = narrow(&port.fixture, 9, "site=kobe");
    port.entries.push(carried);
    let holdings = after(&port.fixture, &port.entries, day(10));
    let own = port.issued(0, (1, 31));
    let mut labels = own.labels.clone();
    labels.set(name("site"), name("kobe")).expect("labels");
    let theirs = Certificate {
        issuer: Issuer::Certificate(m9.serial),
        labels,
        ..port.issued(0, (9, 39))
    };
    let refused = accept_renewed(&holdings, &own, &signed(&port.fixture, &theirs, &m9));
    let issuer = name("m9");
    assert_eq!(refused, Err(RenewalRefusal::Issuer { issuer }));
    let renamed = Certificate {
        name: name("other"),
        ..port.issued(0, (9, 39))
    };
    let refused = takes(&port, &holdings, &own, &renamed, 0);
    assert!(
        matches!(refused, Err(RenewalRefusal::Name { .. })),
        "{refused:?}"
    );
    let more = Certificate {
        grants: vec![Grant::everywhere(Capability::DeviceEnrol)],
        ..port.issued(0, (9, 39))
    };
    let refused = takes(&port, &holdings, &own, &more, 0);
    assert_eq!(refused, Err(RenewalRefusal::Grants));
    // What it had it may lose.
    let fewer = port.issued(0, (9, 39));
    assert_eq!(takes(&port, &holdings, &more, &fewer, 0), Ok(fewer));
}

#[test]
fn a_device_takes_only_its_own_and_what_holds_now() {
    let mut port = port();
    let holdings = after(&port.fixture, &port.entries, day(10));
    let own = port.issued(0, (1, 31));
    let new = port.issued(0, (9, 39));
    let forged = takes(&port, &holdings, &own, &new, 1);
    assert!(
        matches!(forged, Err(RenewalRefusal::Certificate(_))),
        "{forged:?}"
    );
    let early = port.issued(0, (11, 41));
    let early = takes(&port, &holdings, &own, &early, 0);
    assert!(
        matches!(early, Err(RenewalRefusal::Certificate(_))),
        "{early:?}"
    );
    let other = Certificate {
        node: NodeId([91; 16]),
        ..new.clone()
    };
    let other = takes(&port, &holdings, &own, &other, 0);
    assert!(
        matches!(other, Err(RenewalRefusal::Node { .. })),
        "{other:?}"
    );
    let mut keyed = new.clone();
    keyed.keys.sign = cheap(91).public();
    let keyed = takes(&port, &holdings, &own, &keyed, 0);
    assert_eq!(keyed, Err(RenewalRefusal::Keys));
    let promoted = Certificate {
        rank: Rank::Operator,
        ..new
    };
    let promoted = takes(&port, &holdings, &own, &promoted, 0);
    assert!(
        matches!(promoted, Err(RenewalRefusal::Rank { .. })),
        "{promoted:?}"
    );
    // In the place of one whose issuer is stopped it takes any that holds.
    let of_m3 = port.issued(2, (9, 39));
    let shorter = port.issued(0, (8, 38));
    let before = takes(&port, &holdings, &of_m3, &shorter, 0);
    assert_eq!(before, Err(RenewalRefusal::Old));
    let order = stopped(port.hands[2].subject(), Vec::new());
    let order = port.fixture.order(&order);
    let order = port.hands[0].carry(&order, day(9));
    port.entries.push(order);
    let holdings = after(&port.fixture, &port.entries, day(10));
    let after_order = takes(&port, &holdings, &of_m3, &shorter, 0);
    assert_eq!(after_order, Ok(shorter));
}
