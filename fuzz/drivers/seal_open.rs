//! Any bytes to what opens sealed things, and any value through sealing and back.

use regatta_protocol::crypto::seal::{
    BoxSecret, Purpose, SealContext, SealedValue, open, seal, sealed_len,
};
use regatta_protocol::ident::FleetId;
use regatta_protocol::prng::Prng;

const FLEET: FleetId = FleetId([7; 32]);
const OPENED_BYTES_MAX: usize = 1024 * 1024;

pub fn run(bytes: &[u8]) {
    let mut prng = Prng::from_number(1);
    let secret = BoxSecret::generate(&mut prng);
    let context = SealContext {
        fleet: &FLEET,
        purpose: Purpose::Body,
        detail: b"fuzz",
    };
    if let Ok(opened) = open(&secret, &context, bytes, OPENED_BYTES_MAX) {
        assert_eq!(sealed_len(opened.len()), bytes.len());
    }

    let sealed = seal(&secret.public(), &context, bytes, &mut prng).expect("a good key");
    let opened = open(&secret, &context, &sealed, bytes.len()).expect("opens");
    assert_eq!(opened.as_slice(), bytes);

    let (value, key) = SealedValue::seal(&FLEET, b"fuzz", bytes, &mut prng);
    let opened = value.open(&FLEET, b"fuzz", &key, bytes.len());
    assert_eq!(opened.expect("opens").as_slice(), bytes);
}
