//! What a node says in its `report` ledger. Append-only, like everything that is stored.

use serde::{Deserialize, Serialize};

use crate::codec::Wire;
use crate::config::outcome::Outcome;
use crate::limits::BODY_CARRIED_BYTES_MAX;

/// One thing that a node reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// How an attempt at its configuration ended.
    Config(Outcome),
    /// Which of the files that configuration manages somebody else changed, as of now: all of them,
    /// none where the last was put right.
    Drift(Vec<Drifted>),
}

/// A file that is not what configuration says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    /// Its path.
    pub path: String,
    /// The document that it is of.
    pub document: crate::codec::Name,
    /// Whether it is gone.
    pub gone: bool,
}

/// Files that one record names; of more it names the first.
pub const DRIFTED_MAX: usize = 64;

impl Wire for Record {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = BODY_CARRIED_BYTES_MAX;
    const WHAT: &'static str = "record of a report";
}

#[cfg(test)]
mod tests {
    use super::{Drifted, Record};
    use crate::codec::{self, Name};
    use crate::config::outcome::Outcome;
    use std::collections::BTreeMap;

    #[test]
    fn records_keep_their_bytes() {
        let outcome = Outcome {
            number: 1,
            attempt: 2,
            documents: BTreeMap::new(),
            fault: None,
            stuck: None,
        };
        let drifted = Drifted {
            path: "/opt/x".to_owned(),
            document: Name::new("nav").expect("a name"),
            gone: true,
        };
        let golden = [
            (Record::Config(outcome), 31, "01000000000100000000000000"),
            (
                Record::Drift(vec![drifted]),
                39,
                "01010000000100000000000000",
            ),
        ];
        for (record, length, begins) in golden {
            let bytes = codec::encode(&record);
            assert_eq!(codec::decode::<Record>(&bytes).as_ref(), Ok(&record));
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!((bytes.len(), &hex[..26]), (length, begins));
        }
    }
}
