//! What is sealed opens for its reader, in its place, and for nobody else.

use proptest::prelude::{any, prop_assert_eq, proptest};

use super::{
    BoxKey, BoxSecret, DataKey, FIRST_MAX, Purpose, REST_MAX, SealContext, SealError, SealedValue,
    WrapPlace, open, seal, sealed_len,
};
use crate::ident::{FleetId, Hash, NodeId};
use crate::prng::Prng;

const FLEET: FleetId = FleetId([1; 32]);
const OTHER: FleetId = FleetId([2; 32]);

fn context<'a>(fleet: &'a FleetId, purpose: Purpose, detail: &'a [u8]) -> SealContext<'a> {
    SealContext {
        fleet,
        purpose,
        detail,
    }
}

#[test]
fn every_length_opens_and_says_its_sealed_length() {
    let mut prng = Prng::from_number(1);
    let secret = BoxSecret::generate(&mut prng);
    let here = context(&FLEET, Purpose::Body, b"here");
    let edges = [
        0,
        1,
        FIRST_MAX,
        FIRST_MAX + 1,
        FIRST_MAX + REST_MAX,
        FIRST_MAX + REST_MAX + 1,
    ];
    for length in edges {
        let plain: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
        let sealed = seal(&secret.public(), &here, &plain, &mut prng).expect("a good key");
        assert_eq!(sealed.len(), sealed_len(length));
        let opened = open(&secret, &here, &sealed, length).expect("opens");
        assert!(*opened == plain, "{length} bytes come back");
    }
}

#[test]
fn another_key_fleet_purpose_or_detail_does_not_open_it() {
    let mut prng = Prng::from_number(2);
    let secret = BoxSecret::generate(&mut prng);
    let stranger = BoxSecret::generate(&mut prng);
    let here = context(&FLEET, Purpose::Body, b"here");
    let sealed = seal(&secret.public(), &here, b"sail", &mut prng).expect("a good key");
    let refused = |secret, context: SealContext<'_>| {
        assert_eq!(
            open(secret, &context, &sealed, 100).map(|_| ()),
            Err(SealError::Refused)
        );
    };
    refused(&stranger, here);
    refused(&secret, context(&OTHER, Purpose::Body, b"here"));
    refused(&secret, context(&FLEET, Purpose::Join, b"here"));
    refused(&secret, context(&FLEET, Purpose::Body, b"there"));
    refused(&secret, context(&FLEET, Purpose::Body, b""));
    assert!(open(&secret, &here, &sealed, 4).is_ok());
}

#[test]
fn what_is_cut_flipped_or_too_large_does_not_open() {
    let mut prng = Prng::from_number(3);
    let secret = BoxSecret::generate(&mut prng);
    let here = context(&FLEET, Purpose::Body, b"here");
    let sealed = seal(&secret.public(), &here, b"sail", &mut prng).expect("a good key");
    for length in 0..sealed.len() {
        assert!(open(&secret, &here, &sealed[..length], 100).is_err());
    }
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // X25519 ignores the highest bit of a public key, but the transcript does not.
        assert!(open(&secret, &here, &flipped, 100).is_err(), "bit {bit}");
    }
    assert_eq!(
        open(&secret, &here, &sealed, 3).map(|_| ()),
        Err(SealError::TooLarge {
            length: sealed_len(4),
            max: sealed_len(3)
        })
    );
    let long = vec![7; FIRST_MAX + 2 * REST_MAX];
    let sealed = seal(&secret.public(), &here, &long, &mut prng).expect("a good key");
    let whole_message = sealed.len() - (REST_MAX + 16);
    assert!(open(&secret, &here, &sealed, long.len()).is_ok());
    assert_eq!(
        open(&secret, &here, &sealed[..whole_message], long.len()).map(|_| ()),
        Err(SealError::Refused)
    );
}

#[test]
fn nothing_is_sealed_to_a_weak_key() {
    let mut prng = Prng::from_number(4);
    let here = context(&FLEET, Purpose::Body, b"");
    let mut one = [0; 32];
    one[0] = 1;
    for weak in [[0; 32], one] {
        let key = BoxKey(Hash(weak));
        assert_eq!(
            seal(&key, &here, b"sail", &mut prng),
            Err(SealError::WeakKey { key })
        );
    }
}

#[test]
fn a_seed_replays_the_bytes() {
    let sealed = |seed| {
        let mut prng = Prng::from_number(seed);
        let secret = BoxSecret::generate(&mut prng);
        seal(
            &secret.public(),
            &context(&FLEET, Purpose::Body, b""),
            b"sail",
            &mut prng,
        )
    };
    assert_eq!(sealed(5), sealed(5));
    assert_ne!(sealed(5), sealed(6));
}

#[test]
fn a_value_opens_for_those_it_was_wrapped_for() {
    let mut prng = Prng::from_number(6);
    let manager = BoxSecret::generate(&mut prng);
    let device = BoxSecret::generate(&mut prng);
    let (value, key) = SealedValue::seal(&FLEET, b"wifi/password", b"bilge", &mut prng);
    let (revision, other) = (Hash::of(b"revision"), Hash::of(b"other"));
    let (node, stranger) = (NodeId([1; 16]), NodeId([2; 16]));
    let place = WrapPlace {
        fleet: &FLEET,
        revision: &revision,
        node: &node,
    };

    // The manager's wrap, and from it, later, the device's.
    let to_manager = key.wrap_for(&manager.public(), &place, &mut prng);
    let to_manager = to_manager.expect("wraps");
    let held = to_manager.unwrap_key(&manager, &place).expect("unwraps");
    let to_device = held.wrap_for(&device.public(), &place, &mut prng);
    let to_device = to_device.expect("wraps");
    let held = to_device.unwrap_key(&device, &place).expect("unwraps");
    let opened = value.open(&FLEET, b"wifi/password", &held, 100);
    assert_eq!(opened.expect("opens").as_slice(), b"bilge");

    let elsewhere = [
        WrapPlace {
            fleet: &OTHER,
            ..place
        },
        WrapPlace {
            revision: &other,
            ..place
        },
        WrapPlace {
            node: &stranger,
            ..place
        },
    ];
    for place in elsewhere {
        assert!(to_device.unwrap_key(&device, &place).is_err());
    }
    assert!(to_device.unwrap_key(&manager, &place).is_err());
}

#[test]
fn a_value_is_bound_to_its_key_and_place() {
    let mut prng = Prng::from_number(7);
    let (value, key) = SealedValue::seal(&FLEET, b"field", b"bilge", &mut prng);
    let (_, another) = SealedValue::seal(&FLEET, b"field", b"bilge", &mut prng);
    let refused =
        |result: Result<_, SealError>| assert_eq!(result.map(|_| ()), Err(SealError::Refused));
    refused(value.open(&FLEET, b"field", &another, 100));
    refused(value.open(&OTHER, b"field", &key, 100));
    refused(value.open(&FLEET, b"another", &key, 100));
    let cut = SealedValue {
        ciphertext: value.ciphertext[..10].into(),
        ..value.clone()
    };
    refused(cut.open(&FLEET, b"field", &key, 100));
    let mut bytes = value.ciphertext.to_vec();
    bytes[0] ^= 1;
    let flipped = SealedValue {
        ciphertext: bytes.into(),
        ..value.clone()
    };
    refused(flipped.open(&FLEET, b"field", &key, 100));
    assert!(value.open(&FLEET, b"field", &key, 5).is_ok());
    assert_eq!(
        value.open(&FLEET, b"field", &key, 4).map(|_| ()),
        Err(SealError::TooLarge {
            length: 21,
            max: 20
        })
    );
}

#[test]
fn no_secret_is_shown() {
    let bytes = [0xc5; 32];
    let secret = BoxSecret::from_bytes(&bytes);
    let key = DataKey(zeroize::Zeroizing::new(bytes));
    let (value, _) = SealedValue::seal(&FLEET, b"", &bytes, &mut Prng::from_number(8));
    let shown = format!("{secret:?} {key:?} {value:?}");
    assert!(!shown.contains("c5c5") && !shown.contains("197"), "{shown}");
}

proptest! {
    #[test]
    fn no_bytes_make_opening_panic(bytes in any::<Vec<u8>>(), seed in any::<u64>()) {
        let secret = BoxSecret::generate(&mut Prng::from_number(seed));
        let here = context(&FLEET, Purpose::Body, b"here");
        prop_assert_eq!(open(&secret, &here, &bytes, 1000).map(|_| ()), Err(SealError::Refused));
    }
}
