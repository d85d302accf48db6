//! Words of managers on devices, and what is on the roll after them.

use regatta_protocol::codec;
use regatta_protocol::crypto::sign::Sign;
use regatta_protocol::ident::{FleetId, NodeId};
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerKind};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::certificate::{Certificate, Issuer, Rank};
use regatta_protocol::trust::enrolment::Enrolment;
use regatta_protocol::trust::enrolment::change::{Forget, GivenInvite, Relabel};
use regatta_protocol::trust::invite::join::{JoinRequest, SignedJoin};
use regatta_protocol::trust::invite::{InviteTerms, SignedInvite};
use regatta_protocol::trust::roll::{Enrolled, Roll};

use crate::fixture::{Fixture, Hand, cheap, cheap_of, day, name};

pub fn node(number: u8) -> NodeId {
    NodeId([number; 16])
}

pub fn enrols(by: &mut Hand, invite: u8, certificate: &Certificate, on: u64) -> Entry {
    enrols_for(by, invite, certificate, None, on)
}

pub fn enrols_for(
    by: &mut Hand,
    invite: u8,
    certificate: &Certificate,
    replaces: Option<u8>,
    on: u64,
) -> Entry {
    let terms = terms_for(by, invite, certificate, replaces.map(node));
    let invite = SignedInvite::sign(&terms, &[(0, by.key.as_ref())]);
    enrols_under(by, &invite, certificate, on)
}

/// What an invite for this very certificate says, by a one-time key of this number.
pub fn terms_for(
    by: &Hand,
    invite: u8,
    certificate: &Certificate,
    replaces: Option<NodeId>,
) -> InviteTerms {
    InviteTerms {
        fleet: by.fleet,
        key: cheap(invite).public(),
        rank: certificate.rank,
        labels: certificate.labels.clone(),
        grants: certificate.grants.clone(),
        uses: 1,
        not_after: day(10),
        issuer: Issuer::Certificate(by.serial),
        name: None,
        replaces,
    }
}

/// An enrolment under an invite, by whose one-time key and by the joiner's own it is asked for.
pub fn enrolment(fleet: &FleetId, invite: &SignedInvite, certificate: &Certificate) -> Enrolment {
    let terms = invite.decode().expect("terms");
    let request = JoinRequest {
        invite: invite.clone(),
        name: certificate.name.clone(),
        keys: certificate.keys,
    };
    let (one_time, own) = (cheap_of(terms.key), cheap_of(certificate.keys.sign));
    let signed = SignedJoin::sign(&request, fleet, one_time.as_ref(), own.as_ref());
    Enrolment {
        invite: invite.id(),
        uses: terms.uses,
        certificate: codec::encode(certificate).into(),
        replaces: terms.replaces,
        request: Some(signed),
    }
}

pub fn enrols_under(
    by: &mut Hand,
    invite: &SignedInvite,
    certificate: &Certificate,
    on: u64,
) -> Entry {
    let enrolment = enrolment(&by.fleet, invite, certificate);
    says(by, &enrolment, on)
}

pub fn says(by: &mut Hand, enrolment: &Enrolment, on: u64) -> Entry {
    let content = codec::encode(enrolment);
    by.write(LedgerKind::Managers, EntryKind::ENROLMENT, content, day(on))
}

/// An invite of the root's for a manager, and where it stands.
pub fn managers_invite(fixture: &Fixture, by: &mut Hand) -> (SignedInvite, Entry) {
    let terms = InviteTerms {
        issuer: Issuer::Root(1),
        ..terms(fixture, Rank::Manager, by)
    };
    gives(&terms, fixture.root.keys[0].as_ref(), by)
}

pub fn terms(fixture: &Fixture, rank: Rank, by: &Hand) -> InviteTerms {
    InviteTerms {
        fleet: fixture.fleet,
        key: cheap(77).public(),
        rank,
        labels: Labels::none(),
        grants: Vec::new(),
        uses: 2,
        not_after: day(10),
        issuer: Issuer::Certificate(by.serial),
        name: None,
        replaces: None,
    }
}

pub fn gives(terms: &InviteTerms, signer: &dyn Sign, by: &mut Hand) -> (SignedInvite, Entry) {
    let invite = SignedInvite::sign(terms, &[(0, signer)]);
    let content = codec::encode(&GivenInvite {
        invite: invite.clone(),
    });
    let kind = EntryKind::INVITE;
    let entry = by.write(LedgerKind::Managers, kind, content, day(1));
    (invite, entry)
}

pub fn relabels(by: &mut Hand, of: u8, set: &[(&str, &str)], remove: &[&str], on: u64) -> Entry {
    let relabel = Relabel {
        node: node(of),
        set: set
            .iter()
            .map(|(key, value)| (name(key), name(value)))
            .collect(),
        remove: remove.iter().map(|key| name(key)).collect(),
    };
    let content = codec::encode(&relabel);
    by.write(LedgerKind::Managers, EntryKind::RELABEL, content, day(on))
}

pub fn forgets(by: &mut Hand, of: u8, on: u64) -> Entry {
    let content = codec::encode(&Forget { node: node(of) });
    by.write(LedgerKind::Managers, EntryKind::FORGET, content, day(on))
}

pub fn on_roll(holdings: &Holdings, number: u8) -> Enrolled {
    let enrolled = Roll::of(holdings).device(&node(number));
    enrolled.expect("on the roll")
}

pub fn labels_of(holdings: &Holdings, number: u8) -> String {
    on_roll(holdings, number).labels.to_string()
}
