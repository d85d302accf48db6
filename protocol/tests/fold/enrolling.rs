//! Words of managers on devices, and what is on the roll after them.

use regatta_protocol::codec;
use regatta_protocol::crypto::sign::Sign;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerKind};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::certificate::{Certificate, Issuer, Rank};
use regatta_protocol::trust::enrolment::Enrolment;
use regatta_protocol::trust::enrolment::change::{Forget, GivenInvite, Relabel};
use regatta_protocol::trust::invite::{InviteTerms, SignedInvite};
use regatta_protocol::trust::roll::{Enrolled, Roll};
use regatta_protocol::trust::verdict::InviteId;

use crate::fixture::{Fixture, Hand, cheap, day, name};

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
    let invite = InviteId(regatta_protocol::ident::Serial([invite; 16]));
    enrols_under(by, (invite, 1), certificate, replaces, on)
}

/// Under an invite that is for so many, as the author has it.
pub fn enrols_under(
    by: &mut Hand,
    (invite, uses): (InviteId, u32),
    certificate: &Certificate,
    replaces: Option<u8>,
    on: u64,
) -> Entry {
    let enrolment = Enrolment {
        invite,
        uses,
        certificate: codec::encode(certificate).into(),
        replaces: replaces.map(node),
    };
    let content = codec::encode(&enrolment);
    by.write(LedgerKind::Managers, EntryKind::ENROLMENT, content, day(on))
}

/// An invite of the root's for a manager, and where it stands.
pub fn managers_invite(fixture: &Fixture, by: &mut Hand) -> (InviteId, Entry) {
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

pub fn gives(terms: &InviteTerms, signer: &dyn Sign, by: &mut Hand) -> (InviteId, Entry) {
    let invite = SignedInvite::sign(terms, &[(0, signer)]);
    let id = invite.id();
    let content = codec::encode(&GivenInvite { invite });
    let kind = EntryKind::INVITE;
    (id, by.write(LedgerKind::Managers, kind, content, day(1)))
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
