//! Joining: the joiner pins the root and hands in its keys, a manager admits it or says why not.

mod called;

pub use called::ID_DIGITS_MIN;
pub(in crate::trust) use called::is_called;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::utc::Utc;
use crate::codec::{self, Bytes, DecodeError, Name, Wire};
use crate::crypto::sign::{Sign, Signature, Verify};
use crate::ident::{FleetId, NodeId, Serial};
use crate::ledger::holdings::Holdings;
use crate::limits::{DAY_MS, DEVICE_CERTIFICATE_MS_MAX};
use crate::machine::Millis;
use crate::trust::authority::{self, Denial};
use crate::trust::certificate::{
    Capability, Certificate, IssueError, Issuer, NodeKeys, Rank, SignedCertificate, Window,
};
use crate::trust::enrolment::change::GivenInvite;
use crate::trust::enrolment::{Enrolment, HeldEnrolment};
use crate::trust::invite::token::{Token, TokenError};
use crate::trust::invite::{InviteTerms, SignedInvite, is_use_signed, sign_use};
use crate::trust::record::Record;
use crate::trust::roll::Roll;
use crate::trust::root::{RootError, SignedRoot};
use crate::trust::statement::Statement;

/// A manager's certificate as the root is asked to sign it.
const MANAGER_CERTIFICATE_MS: u64 = 365 * DAY_MS;
/// How far a clock may be ahead of the reader's, so that a new certificate is valid at once.
const EARLY_MS: u64 = 5 * 60 * 1000;

/// What a joiner asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// By which invite.
    pub invite: SignedInvite,
    /// What it wants to be called.
    pub name: Name,
    /// Its own new keys.
    pub keys: NodeKeys,
}

impl Wire for JoinRequest {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 8 * 1024;
    const WHAT: &'static str = "join request";
}

/// A request as it travels: signed by the invite's one-time key and by the joiner's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedJoin {
    /// The request's bytes.
    pub bytes: Bytes,
    /// The one-time key's signature.
    pub by_invite: Signature,
    /// The new key's signature.
    pub by_key: Signature,
}

impl Wire for SignedJoin {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = JoinRequest::BYTES_MAX + 256;
    const WHAT: &'static str = "signed join request";
}

impl SignedJoin {
    /// Asks to join with a token.
    ///
    /// # Errors
    /// When the token holds no invite that this build reads.
    pub fn ask(
        token: &Token,
        name: Name,
        keys: NodeKeys,
        own: &dyn Sign,
    ) -> Result<Self, DecodeError> {
        let fleet = token.terms()?.fleet;
        let request = JoinRequest {
            invite: token.invite.clone(),
            name,
            keys,
        };
        Ok(Self::sign(&request, &fleet, &token.signer(), own))
    }

    /// Signs a request with the invite's one-time key, and with the joiner's own.
    #[must_use]
    pub fn sign(
        request: &JoinRequest,
        fleet: &FleetId,
        one_time: &dyn Sign,
        own: &dyn Sign,
    ) -> Self {
        let bytes = Bytes::from(codec::encode(request));
        Self {
            by_invite: sign_use(one_time, fleet, &bytes),
            by_key: sign_use(own, fleet, &bytes),
            bytes,
        }
    }
}

/// Who admits.
#[derive(Clone, Copy, Debug)]
pub struct Admitter<'a> {
    /// The serial of its certificate.
    pub serial: Serial,
    /// Its certificate.
    pub certificate: &'a Certificate,
}

/// A joiner is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The certificate to sign: the admitting manager's where it is a device's, the root's where it
    /// is a manager's, as its issuer says.
    pub certificate: Certificate,
    /// The invite, to be written into the `managers` ledger before that.
    pub given: Option<GivenInvite>,
    /// What to write into the `managers` ledger before the answer is sent; nothing where this very
    /// key was admitted before, because the first answer was lost.
    pub enrolment: Option<Enrolment>,
}

/// Why a joiner is not let in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JoinRefusal {
    /// It does not decode.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// Another fleet's invite.
    #[error("the invite is for fleet {found}, this is {here}; use an address of that fleet")]
    Fleet {
        /// The invite's.
        found: FleetId,
        /// This one.
        here: FleetId,
    },
    /// Somebody else's words.
    #[error("the join request is not signed by {whose} key")]
    Signature {
        /// Whose signature fails.
        whose: &'static str,
    },
    /// Too late.
    #[error("the invite expired at {}; ask for a new one", Utc(*not_after))]
    Expired {
        /// The last moment that it was good.
        not_after: Millis,
    },
    /// Judged.
    #[error("{what} is stopped by an order; ask for a new invite")]
    Stopped {
        /// What is stopped.
        what: &'static str,
    },
    /// The issuer's certificate does not hold any more, or is not known here.
    #[error("the invite's issuer does not count: {0}")]
    Issuer(Denial),
    /// Not known here, or not a manager's certificate.
    #[error("the invite was signed under {issuer:?}, which is not known here; try another manager")]
    UnknownIssuer {
        /// Who signed, as the invite says.
        issuer: Issuer,
    },
    /// The issuer, or the manager that is asked, may not admit such a one.
    #[error(transparent)]
    May(#[from] IssueError),
    /// It joined before, and was said to be gone since.
    #[error("the device was forgotten; ask for a new invite")]
    Forgotten,
    /// Whoever typed that would not know which node he means.
    #[error(
        "a name of {ID_DIGITS_MIN} or more hexadecimal digits alone reads as a node's id; choose another"
    )]
    Id,
    /// No greeting would hold its certificate.
    #[error("the invite's labels and grants are too long to be shown; ask for one with fewer")]
    Long,
    /// Other devices used it up.
    #[error("the invite was used up: it was for {uses} to join; ask for a new one")]
    Used {
        /// How many it was for.
        uses: u32,
    },
}

/// Admits a joiner or says why not; `node` is the id that it gets where it is new.
///
/// # Errors
/// Why it is not let in.
pub fn admit(
    holdings: &Holdings,
    me: Admitter<'_>,
    request: &SignedJoin,
    node: NodeId,
) -> Result<Admission, JoinRefusal> {
    let asked: JoinRequest = codec::decode(&request.bytes)?;
    let terms = asked.invite.decode()?;
    let (record, now) = (holdings.record(), holdings.reference());
    check_signatures(record, request, &asked, &terms)?;
    if now > terms.not_after {
        let not_after = terms.not_after;
        return Err(JoinRefusal::Expired { not_after });
    }
    let invite = asked.invite.id();
    if holdings.judgement().stopped_invites.contains(&invite) {
        return Err(JoinRefusal::Stopped { what: "the invite" });
    }
    let key = &asked.keys.sign;
    let counts = |held: &_| holdings.is_use(held, &terms);
    let uses = holdings.enrolments().of_invite(&invite);
    let mut uses = uses.filter(|held| counts(*held));
    let before = uses.find(|held| held.key() == key);
    let node = before.map_or(node, HeldEnrolment::node);
    if holdings.judgement().stopped_nodes.contains(&node) {
        return Err(JoinRefusal::Stopped { what: "the device" });
    }
    if !holdings
        .enrolments()
        .admits(&invite, terms.uses, key, counts)
    {
        return Err(JoinRefusal::Used { uses: terms.uses });
    }
    check_invite(record, &terms, &asked.invite)?;
    if before.is_none() && called::looks_like_an_id(terms.name.as_ref().unwrap_or(&asked.name)) {
        return Err(JoinRefusal::Id);
    }
    let roll = Roll::of(holdings);
    let certificate = match before {
        Some(before) => again(&roll, me, before, now)?,
        None => {
            let name = called::name(&roll, &terms, &asked.name);
            certificate(record, me, &terms, (node, name, asked.keys), now)
        }
    };
    check_issuers(holdings, me, &terms, &certificate)?;
    check_replaced(holdings, me, &terms, &roll)?;
    if certificate.rank != Rank::Manager && !certificate.is_presentable() {
        return Err(JoinRefusal::Long);
    }
    let enrolment = before.is_none().then(|| Enrolment {
        invite,
        uses: terms.uses,
        certificate: codec::encode(&certificate).into(),
        replaces: terms.replaces,
        request: Some(request.clone()),
    });
    // The root's invites are nobody's here to list, so one stands beside its use.
    let is_known = || holdings.enrolments().terms_of(&invite).is_some();
    let gives = certificate.rank == Rank::Manager && enrolment.is_some() && !is_known();
    Ok(Admission {
        certificate,
        given: gives.then_some(GivenInvite {
            invite: asked.invite,
        }),
        enrolment,
    })
}

/// The certificate of one that was admitted before and never got the answer: the same name, keys
/// and rights, with its labels of today. A manager's are the very bytes that the root signs.
fn again(
    roll: &Roll<'_>,
    me: Admitter<'_>,
    before: &HeldEnrolment,
    now: Millis,
) -> Result<Certificate, JoinRefusal> {
    let mut certificate = before.certificate.clone();
    let enrolled = roll.standing(&certificate.node);
    if enrolled.as_ref().is_some_and(|enrolled| enrolled.forgotten) {
        return Err(JoinRefusal::Forgotten);
    }
    if certificate.rank != Rank::Manager {
        certificate.labels = enrolled.map_or(certificate.labels, |enrolled| enrolled.labels);
        certificate.issuer = Issuer::Certificate(me.serial);
        certificate.window = device_window(me, now);
    }
    Ok(certificate)
}

/// Taking a device's place ends that device, so whoever invites to it must be one who may admit it.
fn check_replaced(
    holdings: &Holdings,
    me: Admitter<'_>,
    terms: &InviteTerms,
    roll: &Roll<'_>,
) -> Result<(), JoinRefusal> {
    let Some(replaced) = terms.replaces.and_then(|node| roll.standing(&node)) else {
        return Ok(());
    };
    let issuer = match terms.issuer {
        Issuer::Root(_) => None,
        Issuer::Certificate(serial) => holdings.record().managers().get(&serial),
    };
    for manager in issuer.into_iter().chain([me.certificate]) {
        if !manager.may_enrol(&replaced.labels) {
            let (subject, needed) = (replaced.rank(), Capability::DeviceEnrol);
            return Err(IssueError::Capability { subject, needed }.into());
        }
    }
    Ok(())
}

/// The serial that a certificate has once it is signed.
#[must_use]
pub fn serial_of(certificate: &Certificate) -> Serial {
    SignedCertificate::serial_of(&codec::encode(certificate))
}

pub(in crate::trust) fn check_signatures(
    record: &Record,
    request: &SignedJoin,
    asked: &JoinRequest,
    terms: &InviteTerms,
) -> Result<(), JoinRefusal> {
    let (found, here) = (terms.fleet, record.fleet());
    if found != here {
        return Err(JoinRefusal::Fleet { found, here });
    }
    let verify = record.verify();
    let is_signed = |key, signature| is_use_signed(verify, key, &here, &request.bytes, signature);
    if !is_signed(&terms.key, &request.by_invite) {
        let whose = "the invite's one-time";
        return Err(JoinRefusal::Signature { whose });
    }
    if !is_signed(&asked.keys.sign, &request.by_key) {
        let whose = "the joiner's own";
        return Err(JoinRefusal::Signature { whose });
    }
    Ok(())
}

fn certificate(
    record: &Record,
    me: Admitter<'_>,
    terms: &InviteTerms,
    (node, name, keys): (NodeId, Name, NodeKeys),
    now: Millis,
) -> Certificate {
    let (issuer, window) = match terms.rank {
        Rank::Manager => {
            let root = Issuer::Root(record.roots().current().number);
            (root, window(now, Millis(0), MANAGER_CERTIFICATE_MS))
        }
        _ => (Issuer::Certificate(me.serial), device_window(me, now)),
    };
    Certificate {
        issuer,
        node,
        name,
        rank: terms.rank,
        keys,
        labels: terms.labels.clone(),
        grants: terms.grants.clone(),
        window,
    }
}

/// When a device's certificate that is signed now counts: not before its issuer's.
pub(in crate::trust) fn device_window(me: Admitter<'_>, now: Millis) -> Window {
    window(now, me.certificate.window.from, DEVICE_CERTIFICATE_MS_MAX)
}

fn window(now: Millis, not_before: Millis, length: u64) -> Window {
    let from = Millis(now.0.saturating_sub(EARLY_MS)).max(not_before);
    Window {
        from,
        to: from.plus(length),
    }
}

/// Whether the invite is its issuer's, before anybody looks for a name: that walks over the roll.
fn check_invite(
    record: &Record,
    terms: &InviteTerms,
    invite: &SignedInvite,
) -> Result<(), JoinRefusal> {
    let issuer = terms.issuer;
    let (is_signed, whose) = match issuer {
        Issuer::Root(number) => (invite.is_signed_by_root(record, number), "the root's"),
        Issuer::Certificate(serial) => {
            let Some(who) = record.managers().get(&serial) else {
                return Err(JoinRefusal::UnknownIssuer { issuer });
            };
            let (fleet, verify) = (record.fleet(), record.verify());
            let is_signed = invite.is_signed_by(&who.keys.sign, &fleet, verify);
            (is_signed, "the invite's issuer's")
        }
    };
    if is_signed {
        return Ok(());
    }
    Err(JoinRefusal::Signature { whose })
}

/// Whether the invite's issuer and the admitting manager may both let such a one in.
fn check_issuers(
    holdings: &Holdings,
    me: Admitter<'_>,
    terms: &InviteTerms,
    certificate: &Certificate,
) -> Result<(), JoinRefusal> {
    let (record, now) = (holdings.record(), holdings.reference());
    let issuer = terms.issuer;
    match issuer {
        Issuer::Root(_) => {}
        Issuer::Certificate(serial) => {
            let Some(who) = authority::manager(record, &serial) else {
                return Err(JoinRefusal::UnknownIssuer { issuer });
            };
            authority::stands(holdings.judgement(), &who, now).map_err(JoinRefusal::Issuer)?;
            // A certificate begins with its issuer's at the earliest; an invite has no such date.
            let by_issuer = Certificate {
                window: Window {
                    from: certificate.window.from.max(who.own().window.from),
                    ..certificate.window
                },
                ..certificate.clone()
            };
            by_issuer.check_issued_by(who.own())?;
        }
    }
    if certificate.rank != Rank::Manager {
        certificate.check_issued_by(me.certificate)?;
    }
    Ok(())
}

/// Why what came back is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PinError {
    /// The token is too late or none.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The root that was handed over is another.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The certificate that was handed over does not hold.
    #[error("the certificate that was handed over does not hold: {0}")]
    Certificate(#[from] Denial),
    /// Somebody else's certificate.
    #[error("the certificate that was handed over is for other keys than ours")]
    Keys,
    /// Who answers is no manager of the fleet.
    #[error("the node that answers does not show a manager's certificate of this fleet")]
    Host,
}

/// The joiner's side: what was handed over, held against the root that the token pins. Nothing is
/// trusted because it came first.
///
/// # Errors
/// What does not fit.
pub fn pin(
    token: &Token,
    now: Millis,
    first: SignedRoot,
    statements: &[Statement],
    verify: Arc<dyn Verify>,
) -> Result<Record, PinError> {
    let mut record = Record::begin(token.pinned(now)?, first, verify)?;
    // In whatever order they come: each round takes at least one more, or nothing is left to take.
    while statements
        .iter()
        .any(|statement| record.take_statement(statement))
    {}
    Ok(record)
}

/// The joiner's side: whether a certificate is the one that it asked for.
///
/// # Errors
/// Why it is not.
pub fn check_certificate(
    record: &Record,
    signed: &SignedCertificate,
    keys: &NodeKeys,
) -> Result<Certificate, PinError> {
    let who = authority::recognise(record, std::slice::from_ref(signed))?;
    if who.own().keys != *keys {
        return Err(PinError::Keys);
    }
    Ok(who.own().clone())
}
