//! The bytes of everything that is signed or stored: a change here is a new version of the type.

use regatta_protocol::catalog::{Revision, RevisionId, RevisionSet};
use regatta_protocol::clock::Stamp;
use regatta_protocol::clock::reference::{Floor, TimeClaim};
use regatta_protocol::codec::{self, Wire};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::crypto::sign::{PublicKey, Signature};
use regatta_protocol::ident::{FleetId, Hash, Incarnation, NodeId, Serial};
use regatta_protocol::ledger::chain::Head;
use regatta_protocol::ledger::entry::{BodyRef, EntryKind, Header, LedgerId, LedgerKind, Parcel};
use regatta_protocol::machine::Millis;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::certificate::{
    Capability, Certificate, Grant, Issuer, KeySignature, NodeKeys, Rank, SignedCertificate, Window,
};
use regatta_protocol::trust::enrolment::Enrolment;
use regatta_protocol::trust::enrolment::change::{Forget, GivenInvite, Relabel};
use regatta_protocol::trust::invite::join::{JoinRequest, SignedJoin};
use regatta_protocol::trust::invite::{InviteTerms, SignedInvite};
use regatta_protocol::trust::papers::{Greeting, PapersMessage};
use regatta_protocol::trust::root::{KeySet, RootDocument, SignedRoot};
use regatta_protocol::trust::statement::{SignedOrder, Statement};
use regatta_protocol::trust::verdict::{
    InviteId, JudgedLedger, Ruling, Subject, Verdict, VerdictId, Verdicts,
};

use crate::fixture::name;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Repeated bytes are written as `aa*32`, so that a line can be read.
fn short(bytes: &[u8]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut plain: Vec<u8> = Vec::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|byte| *byte == first).count();
        if run >= 4 {
            if !plain.is_empty() {
                words.push(hex(&std::mem::take(&mut plain)));
            }
            words.push(format!("{first:02x}*{run}"));
        } else {
            plain.extend_from_slice(&rest[..run]);
        }
        rest = &rest[run..];
    }
    if !plain.is_empty() {
        words.push(hex(&plain));
    }
    words.join(" ")
}

fn golden<T: Wire + PartialEq + std::fmt::Debug>(value: &T, bytes: &str) {
    let encoded = codec::encode(value);
    assert_eq!(short(&encoded), bytes, "{}", T::WHAT);
    let decoded: Result<T, _> = codec::decode(&encoded);
    assert_eq!(decoded.as_ref(), Ok(value), "{}", T::WHAT);
    // Nothing left over, nothing missing.
    let longer = [&encoded[..], &[0]].concat();
    assert!(codec::decode::<T>(&longer).is_err(), "{}", T::WHAT);
    assert!(
        codec::decode::<T>(&encoded[..encoded.len() - 1]).is_err(),
        "{}",
        T::WHAT
    );
}

fn keys() -> NodeKeys {
    NodeKeys {
        sign: PublicKey(Hash([0x55; 32])),
        seal: BoxKey(Hash([0x66; 32])),
    }
}

fn labels() -> Labels {
    Labels::from_pairs([(name("site"), name("osaka"))]).expect("labels")
}

fn signature() -> Signature {
    Signature(Hash([0xd1; 32]), Hash([0xd2; 32]))
}

fn key_signature() -> KeySignature {
    KeySignature {
        key: 3,
        signature: signature(),
    }
}

fn revision() -> Revision {
    Revision {
        kind: 7,
        name: name("hull"),
        replaces: vec![RevisionId {
            entry: Serial([0x77; 16]),
            place: 2,
        }],
        select: Selector::parse("site=osaka").expect("a selector"),
        deletes: true,
        version: 1,
        staged: false,
        body: None,
    }
}

#[test]
fn entries_and_documents() {
    let header = Header {
        ledger: LedgerId {
            kind: LedgerKind::Telemetry(9),
            scope: Some(NodeId([0x11; 16])),
            author: NodeId([0x22; 16]),
        },
        signer: Serial([0x33; 16]),
        incarnation: Incarnation([0x44; 8]),
        number: 258,
        previous: Hash([0xaa; 32]),
        stamp: Stamp {
            wall: Millis(0x0102_0304),
            counter: 5,
        },
        kind: EntryKind::REVISION,
        expires: Some(Millis(6)),
        codec: 1,
        scheme: 1,
        body: Some(BodyRef {
            hash: Hash([0xbb; 32]),
            bytes: 4096,
            carried: true,
        }),
        payload: vec![0xf1, 0xf2].into(),
    };
    golden(
        &header,
        "01040000000901 11*16 22*16 33*16 44*8 0201 00*6 aa*32 04030201 00*4 \
            050000000300000106 00*7 010101 bb*32 0010 00*6 0102 00*7 f1f2",
    );
    let parcel = Parcel {
        header: vec![1, 2].into(),
        signature: signature(),
        body: Some(vec![3].into()),
    };
    golden(&parcel, "0102 00*7 0102 d1*32 d2*32 0101 00*7 03");
    golden(
        &revision(),
        "02070004 00*7 68756c6c01 00*7 77*16 02000a 00*7 736974653d6f73616b610101 00*5",
    );
    golden(
        &RevisionSet(vec![revision()]),
        "0201 00*7 070004 00*7 68756c6c01 00*7 77*16 02000a 00*7 736974653d6f73616b610101 00*5",
    );
}

#[test]
fn trust() {
    let certificate = Certificate {
        issuer: Issuer::Certificate(Serial([0x33; 16])),
        node: NodeId([0x22; 16]),
        name: name("nav"),
        rank: Rank::Operator,
        keys: keys(),
        labels: labels(),
        grants: vec![Grant {
            capability: Capability::ExecRun,
            selector: Selector::parse("site=osaka").expect("a selector"),
            run_as: vec![name("crew")],
        }],
        window: Window {
            from: Millis(1),
            to: Millis(2),
        },
    };
    golden(
        &certificate,
        "0101000000 33*16 22*16 03 00*7 6e617601000000 55*32 66*32 01 00*7 04 00*7 \
            7369746505 00*7 6f73616b6101 00*7 010000000a 00*7 736974653d6f73616b6101 00*7 04 \
            00*7 6372657701 00*7 02 00*7",
    );
    let signed = SignedCertificate {
        bytes: vec![1, 2].into(),
        signatures: vec![key_signature()],
    };
    golden(&signed, "0102 00*7 010201 00*7 03 d1*32 d2*32");
    let set = KeySet {
        keys: vec![PublicKey(Hash([0x55; 32]))],
        threshold: 1,
    };
    golden(&set, "0101 00*7 55*32 01");
    let root = RootDocument {
        number: 2,
        previous: Hash([0xaa; 32]),
        name: name("regatta"),
        created: Millis(3),
        keys: set,
        next: Hash([0xbb; 32]),
        keeps: vec![[0x99; 16]],
    };
    golden(
        &root,
        "0102000000 aa*32 07 00*7 7265676174746103 00*7 01 00*7 55*32 01 bb*32 01 00*7 99*16",
    );
    let signed_root = SignedRoot {
        bytes: vec![1, 2].into(),
        own: vec![key_signature()],
        before: Vec::new(),
    };
    golden(&signed_root, "0102 00*7 010201 00*7 03 d1*32 d2*32 00*8");
    golden(
        &Statement::Rotate(signed_root),
        "01 00*4 02 00*7 010201 00*7 03 d1*32 d2*32 00*8",
    );
    golden(
        &Statement::Certify(signed),
        "010100000002 00*7 010201 00*7 03 d1*32 d2*32",
    );
    let order = SignedOrder {
        root: 1,
        bytes: vec![1, 2].into(),
        signatures: vec![key_signature()],
    };
    golden(
        &Statement::Order(order),
        "01020000000100000002 00*7 010201 00*7 03 d1*32 d2*32",
    );
}

#[test]
fn papers() {
    let signed = SignedCertificate {
        bytes: vec![1, 2].into(),
        signatures: vec![key_signature()],
    };
    let greeting = Greeting(vec![signed.clone()]);
    golden(&greeting, "0101 00*7 02 00*7 010201 00*7 03 d1*32 d2*32");
    golden(
        &PapersMessage::Present(vec![signed.clone()]),
        "01 00*4 01 00*7 02 00*7 010201 00*7 03 d1*32 d2*32",
    );
    golden(
        &PapersMessage::Renewed(signed),
        "010100000002 00*7 010201 00*7 03 d1*32 d2*32",
    );
    golden(&PapersMessage::Renew, "0102000000");
}

#[test]
fn verdicts() {
    let verdict = Verdict {
        subject: Subject::Holder {
            serial: Serial([0x33; 16]),
            node: NodeId([0x22; 16]),
        },
        ruling: Ruling::Stopped,
        ledgers: vec![JudgedLedger {
            kind: LedgerKind::Fleet,
            scope: None,
            heads: vec![Head {
                number: 4,
                incarnation: Incarnation([0x44; 8]),
                hash: Hash([0xaa; 32]),
            }],
        }],
        replaces: vec![VerdictId(Serial([0x88; 16]))],
        until: Some(Millis(5)),
        reason: "lost".to_owned(),
    };
    golden(
        &verdict,
        "01 00*4 33*16 22*16 0100000001 00*7 01 00*4 01 00*7 04 00*7 44*8 aa*32 01 00*7 \
            88*16 0105 00*7 04 00*7 6c6f7374",
    );
    let of_invite = Verdict {
        subject: Subject::Invite(InviteId(Serial([0x99; 16]))),
        ruling: Ruling::Good,
        ledgers: Vec::new(),
        replaces: Vec::new(),
        until: None,
        reason: String::new(),
    };
    golden(
        &Verdicts(vec![verdict, of_invite]),
        "0102 00*11 33*16 22*16 0100000001 00*7 01 00*4 01 00*7 04 00*7 44*8 aa*32 01 \
            00*7 88*16 0105 00*7 04 00*7 6c6f737401000000 99*16 00*29",
    );
}

#[test]
fn invites_enrolments_and_times() {
    let terms = InviteTerms {
        fleet: FleetId([0xcc; 32]),
        key: PublicKey(Hash([0x55; 32])),
        rank: Rank::Device,
        labels: labels(),
        grants: Vec::new(),
        uses: 2,
        not_after: Millis(3),
        issuer: Issuer::Root(1),
        name: Some(name("buoy")),
        replaces: Some(NodeId([0x22; 16])),
    };
    golden(
        &terms,
        "01 cc*32 55*32 00*4 01 00*7 04 00*7 7369746505 00*7 6f73616b61 00*8 0200000003 00*11 \
            010000000104 00*7 62756f7901 22*16",
    );
    let invite = SignedInvite {
        bytes: vec![1, 2].into(),
        signatures: vec![key_signature()],
    };
    let request = JoinRequest {
        invite,
        name: name("buoy"),
        keys: keys(),
    };
    golden(
        &request,
        "0102 00*7 010201 00*7 03 d1*32 d2*32 04 00*7 62756f79 55*32 66*32",
    );
    let signed = SignedJoin {
        bytes: vec![1, 2].into(),
        by_invite: signature(),
        by_key: signature(),
    };
    golden(&signed, "0102 00*7 0102 d1*32 d2*32 d1*32 d2*32");
    let enrolment = Enrolment {
        invite: InviteId(Serial([0x99; 16])),
        uses: 1,
        certificate: vec![1, 2].into(),
        replaces: Some(NodeId([0x22; 16])),
        request: Some(signed),
    };
    golden(
        &enrolment,
        "02 99*16 0100000002 00*7 010201 22*16 0102 00*7 0102 d1*32 d2*32 d1*32 d2*32",
    );
    let relabel = Relabel {
        node: NodeId([0x22; 16]),
        set: vec![(name("site"), name("osaka"))],
        remove: vec![name("dock")],
    };
    golden(
        &relabel,
        "01 22*16 01 00*7 04 00*7 7369746505 00*7 6f73616b6101 00*7 04 00*7 646f636b",
    );
    let node = NodeId([0x22; 16]);
    golden(&Forget { node }, "01 22*16");
    let given = GivenInvite {
        invite: request.invite,
    };
    golden(&given, "0102 00*7 010201 00*7 03 d1*32 d2*32");
    let claim = TimeClaim {
        by: NodeId([0x22; 16]),
        serial: Serial([0x33; 16]),
        at: Millis(0x0102_0304),
    };
    golden(&claim, "01 22*16 33*16 04030201 00*4");
    let floor = Floor {
        by: NodeId([0x22; 16]),
        at: Millis(0x0102_0304),
        firm: true,
    };
    golden(&floor, "01 22*16 04030201 00*4 01");
}
