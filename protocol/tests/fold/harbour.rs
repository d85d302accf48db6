//! Two managers with real keys, invites of theirs, and who joins by them.

use std::sync::Arc;

use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::crypto::sign::{Ed25519, PublicKey, SecretKey, Sign};
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerKind};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::machine::Millis;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::authority::manager;
use regatta_protocol::trust::certificate::{Certificate, Issuer, NodeKeys, Rank, Window};
use regatta_protocol::trust::invite::join::{Admission, Admitter, JoinRefusal, SignedJoin, admit};
use regatta_protocol::trust::invite::token::Token;
use regatta_protocol::trust::invite::{InviteTerms, SignedInvite};
use regatta_protocol::trust::statement::Statement;

use crate::fixture::{Fixture, Hand, day, deliver, every_grant, name};

pub fn key(number: u8) -> Arc<SecretKey> {
    Arc::new(SecretKey::from_bytes(&[number; 32]))
}

#[derive(Debug)]
pub struct Harbour {
    pub fixture: Fixture,
    pub hands: [Hand; 2],
    pub keys: [Arc<SecretKey>; 2],
    pub statements: Vec<Statement>,
    pub entries: Vec<Entry>,
}

/// Two managers with real keys.
pub fn harbour() -> Harbour {
    let fixture = Fixture::with(Arc::new(Ed25519), vec![key(200)], 1, vec![key(201)]);
    let keys = [key(1), key(2)];
    let (mut m1, first) = fixture.manager_with(1, keys[0].clone(), (0, 365), every_grant());
    let (m2, second) = fixture.manager_with(2, keys[1].clone(), (0, 365), every_grant());
    let statements = vec![first, second];
    let entries = statements
        .iter()
        .map(|said| m1.carry(said, day(0)))
        .collect();
    Harbour {
        fixture,
        hands: [m1, m2],
        keys,
        statements,
        entries,
    }
}

impl Harbour {
    pub fn terms(&self, rank: Rank, uses: u32) -> InviteTerms {
        InviteTerms {
            fleet: self.fixture.fleet,
            key: key(77).public(),
            rank,
            labels: Labels::none(),
            grants: Vec::new(),
            uses,
            not_after: day(10),
            issuer: Issuer::Certificate(self.hands[0].serial),
            name: None,
            replaces: None,
        }
    }

    pub fn token_of(&self, terms: &InviteTerms) -> Token {
        let signer: &dyn Sign = match terms.issuer {
            Issuer::Root(_) => self.fixture.root.keys[0].as_ref(),
            Issuer::Certificate(_) => self.keys[0].as_ref(),
        };
        let invite = SignedInvite::sign(terms, &[(0, signer)]);
        let Statement::Certify(issuer) = &self.statements[0] else {
            panic!("a certificate");
        };
        let addresses = vec!["/ip4/192.0.2.7/udp/4001/quic-v1".to_owned()];
        Token::new(invite, &key(77), addresses, Some(issuer.clone())).expect("short enough")
    }

    pub fn token(&self, uses: u32) -> Token {
        self.token_of(&self.terms(Rank::Device, uses))
    }

    pub fn holdings(&self, at: Millis) -> Holdings {
        let mut holdings = self.fixture.holdings();
        deliver(&mut holdings, &self.entries);
        holdings.settle(at);
        holdings
    }

    pub fn admit(
        &self,
        who: usize,
        holdings: &Holdings,
        request: &SignedJoin,
        node: u8,
    ) -> Result<Admission, JoinRefusal> {
        let serial = self.hands[who].serial;
        let known = manager(holdings.record(), &serial).expect("a manager");
        let certificate = known.own();
        let me = Admitter {
            serial,
            certificate,
        };
        admit(holdings, me, request, NodeId([node; 16]))
    }

    /// Admits the only device of an invite, writes it down and takes it up.
    pub fn enrol(&mut self, who: usize, holdings: &mut Holdings, joiner: u8, at: Millis) -> Entry {
        let request = asks(&self.token(1), joiner);
        self.enrol_with(who, holdings, &request, joiner, at).1
    }

    /// The same for any request.
    pub fn enrol_with(
        &mut self,
        who: usize,
        holdings: &mut Holdings,
        request: &SignedJoin,
        node: u8,
        at: Millis,
    ) -> (Admission, Entry) {
        let admission = self.admit(who, holdings, request, node).expect("admitted");
        if let Some(given) = &admission.given {
            let content = regatta_protocol::codec::encode(given);
            self.say(who, holdings, EntryKind::INVITE, content, at);
        }
        let enrolment = admission.enrolment.as_ref().expect("a first use");
        let content = regatta_protocol::codec::encode(enrolment);
        let entry = self.say(who, holdings, EntryKind::ENROLMENT, content, at);
        (admission, entry)
    }

    /// Writes into a `managers` ledger and takes it up.
    pub fn say(
        &mut self,
        who: usize,
        holdings: &mut Holdings,
        kind: EntryKind,
        content: Vec<u8>,
        at: Millis,
    ) -> Entry {
        let entry = self.hands[who].write(LedgerKind::Managers, kind, content, at);
        deliver(holdings, [&entry]);
        holdings.settle(at);
        entry
    }
}

pub fn keys_of(joiner: u8) -> NodeKeys {
    NodeKeys {
        sign: key(joiner).public(),
        seal: BoxKey(Hash([joiner; 32])),
    }
}

pub fn asks(token: &Token, joiner: u8) -> SignedJoin {
    SignedJoin::ask(token, name("buoy"), keys_of(joiner), key(joiner).as_ref()).expect("terms")
}

/// A device's certificate, as a manager admits it.
pub fn device_certificate(number: u8, by: &Hand, labels: &[(&str, &str)]) -> Certificate {
    let labels = labels.iter().map(|(key, value)| (name(key), name(value)));
    Certificate {
        issuer: Issuer::Certificate(by.serial),
        node: NodeId([number; 16]),
        name: name("buoy"),
        rank: Rank::Device,
        keys: NodeKeys {
            sign: PublicKey(Hash([number; 32])),
            seal: BoxKey(Hash([number; 32])),
        },
        labels: Labels::from_pairs(labels).expect("labels"),
        grants: Vec::new(),
        window: Window {
            from: day(0),
            to: day(30),
        },
    }
}
