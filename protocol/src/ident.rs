//! Names of things that never change: hashes, nodes, fleets, certificates.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A name that was mistyped: what was expected, and where it went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdentError {
    /// Not as long as such a name is.
    #[error("{what} has {expected} hexadecimal digits, this has {found}")]
    Length {
        /// The kind of name.
        what: &'static str,
        /// Digits expected.
        expected: usize,
        /// Digits found.
        found: usize,
    },
    /// A character that is no hexadecimal digit.
    #[error("{what} is written in hexadecimal digits; character {position} is {found:?}")]
    Digit {
        /// The kind of name.
        what: &'static str,
        /// Which character, counted from 1.
        position: usize,
        /// The character.
        found: char,
    },
}

pub(crate) fn from_hex<const N: usize>(
    what: &'static str,
    text: &str,
) -> Result<[u8; N], IdentError> {
    let expected = 2 * N;
    let mut bytes = [0; N];
    let found = text.chars().count();
    if found != expected {
        return Err(IdentError::Length {
            what,
            expected,
            found,
        });
    }
    for (index, digit) in text.chars().enumerate() {
        let value = digit
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
            .ok_or(IdentError::Digit {
                what,
                position: index + 1,
                found: digit,
            })?;
        bytes[index / 2] = bytes[index / 2] << 4 | value;
    }
    Ok(bytes)
}

pub(crate) fn write_hex(bytes: &[u8], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

// The words are read and written as integers: bincode handles four of those far faster than 32
// single bytes, and in little endian the bytes on the wire are the same.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $words:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// All zeros: stands for "none before this".
            pub const ZERO: Self = Self([0; $bytes]);
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, out)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}(", stringify!($name))?;
                write_hex(&self.0[..4], out)?;
                write!(out, "…)")
            }
        }

        impl FromStr for $name {
            type Err = IdentError;

            fn from_str(text: &str) -> Result<Self, IdentError> {
                from_hex($what, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut words = [0_u64; $words];
                for (word, bytes) in words.iter_mut().zip(self.0.chunks_exact(8)) {
                    let mut eight = [0; 8];
                    eight.copy_from_slice(bytes);
                    *word = u64::from_le_bytes(eight);
                }
                words.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let words = <[u64; $words]>::deserialize(deserializer)?;
                let mut bytes = [0; $bytes];
                for (word, eight) in words.iter().zip(bytes.chunks_exact_mut(8)) {
                    eight.copy_from_slice(&word.to_le_bytes());
                }
                Ok(Self(bytes))
            }
        }
    };
}

identifier!(
    /// A BLAKE3 hash: of an entry's header, of a body, of a set of heads.
    Hash, 32, 4, "a hash"
);
identifier!(
    /// The hash of the first root document: it is in every signature and handshake of the fleet.
    FleetId, 32, 4, "a fleet id"
);
identifier!(
    /// A node's random id, which stays when its keys and certificates change.
    NodeId, 16, 2, "a node id"
);
identifier!(
    /// A certificate's name: the first half of its hash, so no two certificates share one.
    Serial, 16, 2, "a serial"
);
identifier!(
    /// One start of an author: drawn at the first write after it.
    Incarnation, 8, 1, "an incarnation"
);

impl Hash {
    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The first half: enough where nobody gains by two things of one name.
    #[must_use]
    pub fn half(&self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0[..16]);
        half
    }
}

#[cfg(test)]
mod tests {
    use super::{Hash, IdentError, NodeId};

    #[test]
    fn a_name_reads_back_as_written() {
        let id = NodeId([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_mistyped_name_says_what_and_where() {
        let short: Result<NodeId, _> = "ab".parse();
        assert_eq!(
            short.map_err(|error| error.to_string()),
            Err("a node id has 32 hexadecimal digits, this has 2".to_owned())
        );
        let bad: Result<Hash, _> = format!("{}x", "a".repeat(63)).parse();
        assert_eq!(
            bad,
            Err(IdentError::Digit {
                what: "a hash",
                position: 64,
                found: 'x'
            })
        );
    }
}
