//! Giving invites, and what replaces a broken device.

use std::collections::BTreeMap;

use regatta_protocol::codec::{self, Name};
use regatta_protocol::crypto::sign::{SecretKey, Sign};
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::entry::{EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::limits::DAY_MS;
use regatta_protocol::prng::Prng;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::certificate::{Issuer, Rank};
use regatta_protocol::trust::enrolment::change::GivenInvite;
use regatta_protocol::trust::invite::token::Token;
use regatta_protocol::trust::invite::{InviteTerms, SignedInvite};

use crate::acts::{ActError, Saved, find_target, look_around, write};
use crate::crew::Handles;
use crate::ledger::LedgerView;

/// How long an invite may be good at most.
const TTL_MS_MAX: u64 = 366 * DAY_MS;
/// Addresses that a token carries: with two of them it still fits a small QR code.
const ADDRESSES_MAX: usize = 4;

/// What an invite is to allow.
#[derive(Clone, Debug, Default)]
pub struct InviteAsk {
    /// The labels that joiners get.
    pub labels: BTreeMap<String, String>,
    /// What the joiner is called, whatever it asks.
    pub name: Option<String>,
    /// How many devices may use it.
    pub uses: u32,
    /// How long it is good.
    pub ttl_ms: u64,
}

/// An invite that was given.
#[derive(Clone, Debug)]
pub struct Given {
    /// The secret text.
    pub token: Token,
    /// What it allows.
    pub terms: InviteTerms,
    /// It, as it is kept.
    pub invite: SignedInvite,
}

/// Labels from texts.
pub(super) fn labels(pairs: &BTreeMap<String, String>) -> Result<Labels, ActError> {
    let mut labels = Labels::none();
    for (key, value) in pairs {
        labels.insert(Name::new(key)?, Name::new(value)?)?;
    }
    Ok(labels)
}

/// Gives an invite.
///
/// # Errors
/// What of it breaks a rule.
pub async fn invite(handles: &Handles, ask: InviteAsk) -> Result<Saved<Given>, ActError> {
    give(handles, ask, None).await
}

/// Gives an invite for a new board that takes a broken one's name, labels and documents.
///
/// # Errors
/// When there is no such device, or what of it breaks a rule.
pub async fn replace(
    handles: &Handles,
    device: String,
    ask: InviteAsk,
) -> Result<Saved<Given>, ActError> {
    give(handles, ask, Some(device)).await
}

async fn give(
    handles: &Handles,
    ask: InviteAsk,
    replaces: Option<String>,
) -> Result<Saved<Given>, ActError> {
    if ask.uses == 0 || ask.ttl_ms == 0 || ask.ttl_ms > TTL_MS_MAX {
        let why = "an invite is for one use at least, and good for a year at most";
        return Err(ActError::Invalid(why.to_owned()));
    }
    let addresses: Vec<String> = look_around(handles, |view| {
        let own = view.own.worth_telling();
        own.iter()
            .take(ADDRESSES_MAX)
            .map(ToString::to_string)
            .collect()
    })
    .await?;
    if addresses.is_empty() {
        let why = "this manager can be reached nowhere; see `regatta doctor`";
        return Err(ActError::Invalid(why.to_owned()));
    }
    let secret = SecretKey::generate(&mut Prng::from_seed((handles.entropy)()));
    write(handles, move |view| {
        let (name, labels, replaces) = subject(view, &ask, replaces.as_deref())?;
        let reference = view.replica.reference(view.now);
        let terms = InviteTerms {
            fleet: view.replica.holdings().record().fleet(),
            key: secret.public(),
            rank: Rank::Device,
            labels,
            grants: Vec::new(),
            uses: ask.uses,
            not_after: reference.plus(ask.ttl_ms),
            issuer: Issuer::Certificate(view.papers.serial),
            name,
            replaces,
        };
        if !view.papers.certificate.may_enrol(&terms.labels) {
            let why = "this manager's certificate does not let it enrol devices with such labels";
            return Err(ActError::Invalid(why.to_owned()));
        }
        if !codec::fits(&terms) {
            let why = "the labels are too long for an invite; give fewer or shorter ones";
            return Err(ActError::Invalid(why.to_owned()));
        }
        let signer = view.papers.signer();
        let invite = SignedInvite::sign(&terms, &[(0, signer.as_ref())]);
        let issuer = Some(view.papers.signed.clone());
        let token = Token::new(invite.clone(), &secret, addresses, issuer)?;
        let draft = recording(&invite);
        let given = Given {
            token,
            terms,
            invite,
        };
        Ok((vec![draft], given))
    })
    .await
}

type SubjectOf = (Option<Name>, Labels, Option<NodeId>);

/// What the joiner is called and labelled, and whose place it takes.
fn subject(
    view: &LedgerView<'_>,
    ask: &InviteAsk,
    replaces: Option<&str>,
) -> Result<SubjectOf, ActError> {
    let name = ask.name.as_deref().map(Name::new).transpose()?;
    let Some(replaces) = replaces else {
        return Ok((name, labels(&ask.labels)?, None));
    };
    let target = find_target(view, replaces)?;
    let Some(enrolled) = target.enrolled.filter(|_| !target.is_manager) else {
        return Err(ActError::Manager { name: target.name });
    };
    let mut labels_of = enrolled.labels.clone();
    for (key, value) in &ask.labels {
        labels_of.set(Name::new(key)?, Name::new(value)?)?;
    }
    Ok((
        Some(enrolled.name().clone()),
        labels_of,
        Some(enrolled.node),
    ))
}

fn recording(invite: &SignedInvite) -> Draft {
    let content = codec::encode(&GivenInvite {
        invite: invite.clone(),
    });
    Draft::fitting(0, LedgerKind::Managers, EntryKind::INVITE, content)
}

/// Writes down an invite that the root signed, so that it is listed.
///
/// # Errors
/// When the root did not sign it.
pub async fn record_invite(
    handles: &Handles,
    invite: SignedInvite,
) -> Result<Saved<InviteTerms>, ActError> {
    write(handles, move |view| {
        let not_it = |why: &str| ActError::Invalid(why.to_owned());
        let terms = invite.decode().map_err(|_| not_it("this is no invite"))?;
        let record = view.replica.holdings().record();
        let signed = match terms.issuer {
            Issuer::Root(number) => invite.is_signed_by_root(record, number),
            Issuer::Certificate(_) => false,
        };
        if !signed || terms.fleet != record.fleet() {
            return Err(not_it("this fleet's root did not sign the invite"));
        }
        Ok((vec![recording(&invite)], terms))
    })
    .await
}
