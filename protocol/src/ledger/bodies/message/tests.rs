//! Golden bytes of what is said about bodies, and what a sealed part is bound to.

use super::{Binding, BodyClaim, BodyMessage, BodyRequest, Refusal, RequestId};
use crate::codec::{self, Bytes, Wire};
use crate::crypto::seal::BoxSecret;
use crate::crypto::sign::Signature;
use crate::ident::{FleetId, Hash, NodeId, Serial};
use crate::ledger::bodies::tree::Unit;
use crate::limits::BODY_PIECE_BYTES_MAX;
use crate::machine::Millis;
use crate::prng::Prng;
use crate::trust::certificate::{KeySignature, SignedCertificate};

const ID: RequestId = RequestId(Serial([7; 16]));

fn request() -> BodyRequest {
    let signature = Signature(Hash([5; 32]), Hash([6; 32]));
    BodyRequest {
        claim: BodyClaim {
            hash: Hash([1; 32]),
            bytes: 20_000,
            node: NodeId([2; 16]),
            serial: Serial([3; 16]),
            nonce: [1, 2],
            issued: Millis(1_800_000_000_000),
        },
        certificates: vec![SignedCertificate {
            bytes: Bytes::from(&b"cert"[..]),
            signatures: vec![KeySignature { key: 0, signature }],
        }],
        signature,
    }
}

/// Checks that a message has these bytes, and that these bytes are that message.
fn golden(message: &BodyMessage, expect: &str) {
    let bytes = codec::encode(message);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expect);
    assert_eq!(codec::decode(&bytes).as_ref(), Ok(message));
}

#[test]
fn messages_keep_their_bytes() {
    let id = "07".repeat(16);
    let signature = format!("{}{}", "05".repeat(32), "06".repeat(32));
    golden(
        &BodyMessage::Request {
            hops_left: 3,
            request: Box::new(request()),
        },
        &format!(
            "010000000003{}204e000000000000{}{}0100000000000000020000000000000000505c18a3010000\
             0100000000000000040000000000000063657274010000000000000000{signature}{signature}",
            "01".repeat(32),
            "02".repeat(16),
            "03".repeat(16),
        ),
    );
    golden(
        &BodyMessage::Answer {
            id: ID,
            hops: 1,
            unit: Unit::Piece(513),
            sealed: Bytes::from(&[9, 9][..]),
        },
        &format!("0101000000{id}0102000000010202000000000000000909"),
    );
    let units = vec![Unit::Outline, Unit::List(2)];
    golden(
        &BodyMessage::Ask { id: ID, units },
        &format!("0102000000{id}020000000000000000000000010000000200"),
    );
    let refusal = Refusal::Gone;
    golden(
        &BodyMessage::Refused { id: ID, refusal },
        &format!("0103000000{id}05000000"),
    );
    golden(&BodyMessage::Done { id: ID }, &format!("0104000000{id}"));
    golden(
        &BodyMessage::Part {
            id: ID,
            whole: true,
            unit: Unit::Piece(513),
            bytes: Bytes::from(&[9, 9][..]),
        },
        &format!("0105000000{id}0102000000010202000000000000000909"),
    );
    golden(
        &BodyMessage::Insist {
            id: ID,
            units: vec![Unit::Piece(1)],
        },
        &format!("0106000000{id}0100000000000000020000000100"),
    );
    golden(
        &BodyMessage::Shares {
            id: ID,
            lists: vec![1],
            pieces: vec![2, 3],
            given: vec![],
        },
        &format!("0107000000{id}010000000000000001000200000000000000020003000000000000000000"),
    );
}

#[test]
fn a_sealed_piece_fits_its_frame() {
    let secret = BoxSecret::generate(&mut Prng::from_number(1));
    let binding = Binding {
        fleet: &FleetId([1; 32]),
        hash: &Hash([2; 32]),
        nonce: [3, 4],
        unit: Unit::Piece(1),
    };
    let piece = vec![7; BODY_PIECE_BYTES_MAX];
    let sealed = binding
        .seal(&secret.public(), &piece, &mut Prng::from_number(2))
        .expect("the key is no weak one");
    let answer = BodyMessage::Answer {
        id: ID,
        hops: 4,
        unit: binding.unit,
        sealed: sealed.clone(),
    };
    assert!(codec::encoded_len(&answer) < BodyMessage::BYTES_MAX);
    assert_eq!(binding.open(&secret, &sealed), Ok(Bytes::from(piece)));
}

#[test]
fn a_sealed_piece_opens_nowhere_else() {
    let mut prng = Prng::from_number(1);
    let (secret, other) = (
        BoxSecret::generate(&mut prng),
        BoxSecret::generate(&mut prng),
    );
    let (fleet, hash) = (FleetId([1; 32]), Hash([2; 32]));
    let right = Binding {
        fleet: &fleet,
        hash: &hash,
        nonce: [3, 4],
        unit: Unit::Piece(1),
    };
    let sealed = right
        .seal(&secret.public(), b"ready about", &mut prng)
        .expect("the key is no weak one");
    let (other_fleet, other_hash) = (FleetId([9; 32]), Hash([9; 32]));
    let wrong = [
        Binding {
            fleet: &other_fleet,
            ..right
        },
        Binding {
            hash: &other_hash,
            ..right
        },
        Binding {
            nonce: [3, 5],
            ..right
        },
        Binding {
            unit: Unit::Piece(2),
            ..right
        },
        Binding {
            unit: Unit::List(1),
            ..right
        },
    ];
    for binding in wrong {
        assert!(binding.open(&secret, &sealed).is_err(), "{binding:?}");
    }
    assert!(right.open(&other, &sealed).is_err());
    assert!(right.open(&secret, &sealed).is_ok());
}

#[test]
fn a_request_is_named_by_what_was_signed() {
    let mut again = request();
    again.signature = Signature(Hash([8; 32]), Hash([8; 32]));
    assert_eq!(request().id(), again.id());
    again.claim.nonce = [1, 3];
    assert_ne!(request().id(), again.id());
}
