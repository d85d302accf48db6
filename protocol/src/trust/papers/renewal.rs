//! Renewal: which certificate a manager signs for a device that it sees, and which one a device takes.

use thiserror::Error;

use crate::codec::Name;
use crate::ident::NodeId;
use crate::ledger::holdings::Holdings;
use crate::trust::authority::{self, Credentials, Denial};
use crate::trust::certificate::{Certificate, Issuer, Rank, SignedCertificate};
use crate::trust::invite::join::{Admitter, device_window};
use crate::trust::roll::{Enrolled, Roll};

/// A certificate is renewed once this part of its life has passed: then two managers in three may
/// be out of reach for weeks, one after the other.
const LIFE_PARTS: u64 = 3;

/// The certificate that a manager signs now for a device whose certificate it has seen: one that is
/// due or `asked` for, of a device that is on the roll with this key, within what the manager may
/// sign. It says what the enrolment says, with the labels of today.
#[must_use]
pub fn renewal(
    roll: &Roll<'_>,
    me: Admitter<'_>,
    presented: &Credentials,
    asked: bool,
) -> Option<Certificate> {
    let holdings = roll.holdings();
    let now = holdings.reference();
    let issuer = authority::manager(holdings.record(), &me.serial)?;
    authority::stands(holdings.judgement(), &issuer, now).ok()?;
    let own = presented.own();
    let enrolled = roll.standing(&own.node)?;
    let is_device = own.rank == Rank::Device && enrolled.rank() == Rank::Device;
    let same_key = enrolled.certificate.keys.sign == own.keys.sign;
    if !is_device || !same_key || !enrolled.is_live() {
        return None;
    }
    if !asked && !is_due(holdings, presented, &enrolled) {
        return None;
    }
    let certificate = Certificate {
        issuer: Issuer::Certificate(me.serial),
        labels: enrolled.labels,
        window: device_window(me, now),
        ..enrolled.certificate
    };
    let may = certificate.check_issued_by(issuer.own()).is_ok() && certificate.is_presentable();
    may.then_some(certificate)
}

/// Whether a certificate should be another by now.
fn is_due(holdings: &Holdings, presented: &Credentials, enrolled: &Enrolled) -> bool {
    let (own, now) = (presented.own(), holdings.reference());
    let assigned = (&enrolled.certificate.name, &enrolled.labels);
    let is_old = now.since(own.window.from) >= own.window.length() / LIFE_PARTS;
    let stands = authority::stands(holdings.judgement(), presented, now);
    is_old
        || (&own.name, &own.labels) != assigned
        || own.keys != enrolled.certificate.keys
        || stands.is_err_and(|denial| denial.is_renewable())
}

/// Why a device does not take a certificate that it was handed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenewalRefusal {
    /// It does not hold, or not now.
    #[error("the certificate that was handed over does not hold: {0}")]
    Certificate(#[from] Denial),
    /// Another node's.
    #[error("the certificate that was handed over is for node {found}, this is {own}")]
    Node {
        /// The node in it.
        found: NodeId,
        /// This one.
        own: NodeId,
    },
    /// Other keys.
    #[error("the certificate that was handed over is for other keys than ours")]
    Keys,
    /// Another rank: a renewal changes none.
    #[error("the certificate that was handed over is for a {found}, this is a {own}")]
    Rank {
        /// The rank in it.
        found: Rank,
        /// This one's.
        own: Rank,
    },
    /// Its issuer has no right to this device as it is, whatever he may do to one with the labels in
    /// the certificate.
    #[error(
        "the certificate that was handed over is signed by '{issuer}', who may not admit this device"
    )]
    Issuer {
        /// Who signed it.
        issuer: Name,
    },
    /// Another name: a renewal changes none.
    #[error("the certificate that was handed over is for '{found}', this is '{own}'")]
    Name {
        /// The name in it.
        found: Name,
        /// This one's.
        own: Name,
    },
    /// More than it may now: a renewal adds nothing.
    #[error("the certificate that was handed over grants more than ours")]
    Grants,
    /// An older one, or the same again.
    #[error("the certificate that was handed over is no newer than ours")]
    Old,
}

/// The device's side: whether to take a certificate in the place of its own. It takes one that ends
/// later, or that says something else and was not made before its own, so that nobody brings back
/// old labels with an old certificate; in the place of one that does not hold now it takes any that
/// does.
///
/// # Errors
/// Why not.
pub fn accept_renewed(
    holdings: &Holdings,
    own: &Certificate,
    signed: &SignedCertificate,
) -> Result<Certificate, RenewalRefusal> {
    let (record, judgement) = (holdings.record(), holdings.judgement());
    let now = holdings.reference();
    let who = authority::recognise(record, std::slice::from_ref(signed))?;
    let new = who.own();
    if new.node != own.node {
        let (found, own) = (new.node, own.node);
        return Err(RenewalRefusal::Node { found, own });
    }
    if new.keys != own.keys {
        return Err(RenewalRefusal::Keys);
    }
    if new.rank != own.rank {
        let (found, own) = (new.rank, own.rank);
        return Err(RenewalRefusal::Rank { found, own });
    }
    authority::stands(judgement, &who, now)?;
    if new.name != own.name {
        let (found, own) = (new.name.clone(), own.name.clone());
        return Err(RenewalRefusal::Name { found, own });
    }
    if !new.grants.iter().all(|grant| own.grants.contains(grant)) {
        return Err(RenewalRefusal::Grants);
    }
    let issuer = match new.issuer {
        Issuer::Certificate(serial) => authority::manager(record, &serial),
        Issuer::Root(_) => None,
    };
    if let Some(issuer) = issuer
        && !issuer.own().may_enrol(&own.labels)
    {
        let issuer = issuer.own().name.clone();
        return Err(RenewalRefusal::Issuer { issuer });
    }
    let before = authority::taken(record, own);
    let holds = before.is_some_and(|before| authority::stands(judgement, &before, now).is_ok());
    let is_other = (&new.labels, &new.grants) != (&own.labels, &own.grants);
    let is_newer =
        new.window.to > own.window.to || (is_other && new.window.from >= own.window.from);
    if holds && !is_newer {
        return Err(RenewalRefusal::Old);
    }
    Ok(new.clone())
}
