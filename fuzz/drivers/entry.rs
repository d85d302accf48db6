//! Any bytes are an entry or an error; what decodes encodes to the same bytes.

use regatta_protocol::codec;
use regatta_protocol::ledger::entry::{Entry, Header, Parcel};

pub fn run(bytes: &[u8]) {
    if let Ok(header) = codec::decode::<Header>(bytes) {
        assert_eq!(codec::encode(&header), bytes);
    }
    if let Ok(parcel) = codec::decode::<Parcel>(bytes) {
        assert_eq!(codec::encode(&parcel), bytes);
        if let Ok(entry) = Entry::open(parcel) {
            assert!(entry.header.number > 0);
        }
    }
}
