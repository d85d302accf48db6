//! Who may do what: rank, capability, selector, user, time and orders, in one table.

use regatta_protocol::codec::{self, Bytes};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::crypto::sign::Context;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::machine::Millis;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::authority::{Ask, Denial, may, recognise};
use regatta_protocol::trust::certificate::{
    Capability, Certificate, Grant, IssueError, Issuer, KeySignature, NodeKeys, Rank,
    SignedCertificate, Window,
};
use regatta_protocol::trust::verdict::Subject;

use crate::fixture::{Hand, cheap, day, deliver, name, stopped};
use crate::scenarios::fleet;

fn grant(capability: Capability, selector: &str, users: &[&str]) -> Grant {
    Grant {
        capability,
        selector: Selector::parse(selector).expect("a selector"),
        run_as: users.iter().map(|user| name(user)).collect(),
    }
}

fn certificate(issuer: &Hand, rank: Rank, grants: Vec<Grant>, days: (u64, u64)) -> Certificate {
    Certificate {
        issuer: Issuer::Certificate(issuer.serial),
        node: NodeId([60; 16]),
        name: name("nav"),
        rank,
        keys: NodeKeys {
            sign: cheap(60).public(),
            seal: BoxKey(Hash([60; 32])),
        },
        labels: Labels::none(),
        grants,
        window: Window {
            from: day(days.0),
            to: day(days.1),
        },
    }
}

fn signed(issuer: &Hand, certificate: &Certificate) -> SignedCertificate {
    let bytes = Bytes::from(codec::encode(certificate));
    let signature = issuer.key.sign(Context::Certificate, &issuer.fleet, &bytes);
    let signatures = vec![KeySignature { key: 0, signature }];
    SignedCertificate { bytes, signatures }
}

fn labels(site: &str) -> Labels {
    Labels::from_pairs([(name("site"), name(site))]).expect("labels")
}

fn answer(
    holdings: &Holdings,
    presented: &SignedCertificate,
    capability: Capability,
    (site, user, at): (&str, Option<&str>, Millis),
) -> Result<(), Denial> {
    let who = recognise(holdings.record(), std::slice::from_ref(presented))?;
    let (labels, user) = (labels(site), user.map(name));
    let ask = Ask {
        capability,
        labels: &labels,
        run_as: user.as_ref(),
        at,
    };
    may(holdings.judgement(), &who, &ask)
}

#[test]
fn the_table_of_powers() {
    use Capability::{ExecRun, ShellOpen};
    let (fixture, [m1, ..], entries) = fleet();
    let holdings = crate::state::after(&fixture, &entries, day(1));
    let grants = vec![
        grant(ExecRun, "site=osaka", &["nav"]),
        grant(ExecRun, "site=kobe", &[]),
    ];
    let operator = signed(&m1, &certificate(&m1, Rank::Operator, grants, (1, 30)));
    let ask = |holdings: &Holdings, of: &SignedCertificate, capability, site, user, on| {
        let denied = answer(holdings, of, capability, (site, user, day(on)));
        denied.map_err(|denial| denial.to_string())
    };
    let nav = Some("nav");
    let table = [
        (ExecRun, "osaka", nav, 2, ""),
        (ExecRun, "osaka", None, 2, ""),
        (ExecRun, "kobe", Some("root"), 2, ""),
        (
            ExecRun,
            "osaka",
            Some("root"),
            2,
            "'nav' may not act as user 'root' on this device",
        ),
        (
            ExecRun,
            "tokyo",
            nav,
            2,
            "'nav' does not have exec.run on this device",
        ),
        (
            ShellOpen,
            "osaka",
            nav,
            2,
            "'nav' does not have shell.open on this device",
        ),
        (
            ExecRun,
            "osaka",
            nav,
            0,
            "certificate of 'nav' is not valid before",
        ),
        (ExecRun, "osaka", nav, 1, ""),
        (ExecRun, "osaka", nav, 30, ""),
        (ExecRun, "osaka", nav, 31, "certificate of 'nav' lapsed at"),
    ];
    for (capability, site, user, on, refusal) in table {
        let found = ask(&holdings, &operator, capability, site, user, on);
        match found {
            Ok(()) => assert_eq!(refusal, "", "{capability} {site} {user:?} {on}"),
            Err(said) => assert!(!refusal.is_empty() && said.starts_with(refusal), "{said}"),
        }
    }
}

#[test]
fn a_lapsed_or_stopped_issuer_ends_what_it_signed_until_it_is_renewed() {
    use Capability::ExecRun;
    let (fixture, [mut m1, m2, m3, _], entries) = fleet();
    let mut holdings = crate::state::after(&fixture, &entries, day(1));
    let grants = vec![grant(ExecRun, "site=osaka", &["nav"])];
    let operator = signed(
        &m1,
        &certificate(&m1, Rank::Operator, grants.clone(), (1, 30)),
    );
    let of_lapsing = signed(&m3, &certificate(&m3, Rank::Operator, grants, (1, 30)));
    let ask = |holdings: &Holdings, of, on| {
        answer(holdings, of, ExecRun, ("osaka", Some("nav"), day(on)))
    };
    // The issuer's end is the end of what it signed, and can be mended by a renewal.
    assert_eq!(ask(&holdings, &of_lapsing, 12), Ok(()));
    let lapsed = ask(&holdings, &of_lapsing, 13);
    assert!(lapsed.is_err_and(|denial| denial.is_renewable()));
    // Stopped by an order of another manager; and by what stops its issuer.
    let subject = Subject::Holder {
        serial: operator.serial(),
        node: NodeId([60; 16]),
    };
    let mut other = m2.clone();
    let order = other.judge(stopped(subject, Vec::new()), day(1));
    let mut one = holdings.clone();
    deliver(&mut one, [&order]);
    one.settle(day(1));
    let said = ask(&one, &operator, 2);
    assert_eq!(said, Err(Denial::Stopped { name: name("nav") }));
    let order = fixture.order(&stopped(m1.subject(), m1.seen(&[])));
    deliver(&mut holdings, [&m1.carry(&order, day(1))]);
    holdings.settle(day(1));
    let said = ask(&holdings, &operator, 2);
    assert!(said.is_err_and(|denial| denial.is_renewable()));
}

#[test]
fn nobody_signs_higher_wider_or_longer_than_he_may() {
    use Capability::{Delegate, DeviceEnrol, ExecRun, ShellOpen};
    let (_, [m1, ..], _) = fleet();
    let wide = vec![
        grant(Delegate, "", &[]),
        grant(DeviceEnrol, "site=osaka", &[]),
        grant(ExecRun, "site=osaka", &["nav", "crew"]),
    ];
    let issuer = certificate(&m1, Rank::Manager, wide, (0, 365));
    let of = |rank, grants, days| certificate(&m1, rank, grants, days).check_issued_by(&issuer);
    let nav = || vec![grant(ExecRun, "site=osaka,role=dock", &["nav"])];
    assert_eq!(of(Rank::Operator, nav(), (0, 90)), Ok(()));
    let long = of(Rank::Operator, nav(), (0, 91));
    assert!(matches!(long, Err(IssueError::Long { days_max: 90, .. })));
    for rank in [Rank::Manager, Rank::Root] {
        assert!(matches!(
            of(rank, nav(), (0, 9)),
            Err(IssueError::Rank { .. })
        ));
    }
    let wider = [
        grant(ExecRun, "", &["nav"]),
        grant(ExecRun, "site=osaka", &[]),
        grant(ExecRun, "site=osaka", &["root"]),
        grant(ShellOpen, "site=osaka", &["nav"]),
    ];
    for grant in wider {
        assert!(matches!(
            of(Rank::Operator, vec![grant], (0, 9)),
            Err(IssueError::Wider { .. })
        ));
    }
    // A device only where the issuer may enrol such a one.
    let elsewhere = of(Rank::Device, Vec::new(), (0, 30));
    assert!(matches!(elsewhere, Err(IssueError::Capability { .. })));
    let mut device = certificate(&m1, Rank::Device, Vec::new(), (0, 30));
    device.labels = labels("osaka");
    assert_eq!(device.check_issued_by(&issuer), Ok(()));
    device.window.to = day(31);
    assert!(matches!(
        device.check_issued_by(&issuer),
        Err(IssueError::Long { days_max: 30, .. })
    ));
    let not_manager = certificate(&m1, Rank::Operator, nav(), (0, 9));
    assert!(matches!(
        device.check_issued_by(&not_manager),
        Err(IssueError::Rank { .. })
    ));
}

#[test]
fn what_is_presented_must_lead_to_a_manager_that_the_root_signed() {
    let (fixture, [m1, ..], entries) = fleet();
    let holdings = crate::state::after(&fixture, &entries, day(1));
    let own = certificate(&m1, Rank::Operator, Vec::new(), (0, 9));
    let good = signed(&m1, &own);
    let recognised = |presented: &[SignedCertificate]| recognise(holdings.record(), presented);
    assert_eq!(
        recognised(std::slice::from_ref(&good)).map(|who| who.serial()),
        Ok(good.serial())
    );
    assert_eq!(recognised(&[]), Err(Denial::Depth { found: 0 }));
    assert_eq!(
        recognised(&vec![good.clone(); 5]),
        Err(Denial::Depth { found: 5 })
    );
    let mut thief = m1.clone();
    thief.key = cheap(66);
    assert!(matches!(
        recognised(&[signed(&thief, &own)]),
        Err(Denial::Signature { .. })
    ));
    let mut unsigned = good;
    unsigned.signatures.clear();
    assert!(matches!(
        recognised(&[unsigned]),
        Err(Denial::Signature { .. })
    ));
    let (unknown, _) = fixture.manager(77, (0, 9));
    let of_unknown = certificate(&unknown, Rank::Operator, Vec::new(), (0, 9));
    let refused = recognised(&[signed(&unknown, &of_unknown)]);
    assert!(matches!(refused, Err(Denial::UnknownIssuer { .. })));
}
