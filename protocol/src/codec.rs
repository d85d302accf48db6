//! The only file that names bincode: exact decoding of versioned frames under a cap for each kind.
//!
//! Fixed-width little-endian integers, slice decoding only, no byte left over. A wire type has no
//! zero-sized element, no recursion, no hash map and, where it is signed, no float: bincode cannot
//! bound those. Enum variants are append-only; a changed message is a new version or a new variant.

use std::fmt;
use std::sync::Arc;

use bincode::Options;
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// What crosses a wire or rests on a disk: its version and the most bytes that one may have.
pub trait Wire: Serialize + DeserializeOwned {
    /// The first byte of every frame; a reader refuses one that it does not know.
    const VERSION: u8;
    /// The cap, version byte included; checked before anything is allocated.
    const BYTES_MAX: usize;
    /// For messages to people.
    const WHAT: &'static str;
}

/// Why bytes were refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Nothing there.
    #[error("{what}: empty")]
    Empty {
        /// The kind of thing.
        what: &'static str,
    },
    /// More bytes than such a thing may have.
    #[error("{what}: {length} bytes, at most {cap} are allowed")]
    TooLong {
        /// The kind of thing.
        what: &'static str,
        /// Bytes found.
        length: usize,
        /// Bytes allowed.
        cap: usize,
    },
    /// A version that this build does not read.
    #[error("{what}: version {found}, this build reads version {known}")]
    Version {
        /// The kind of thing.
        what: &'static str,
        /// The version found.
        found: u8,
        /// The version that is read.
        known: u8,
    },
    /// The bytes are no such thing.
    #[error("{what}: malformed: {detail}")]
    Malformed {
        /// The kind of thing.
        what: &'static str,
        /// Where it went wrong.
        detail: String,
    },
}

fn options(cap: usize) -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_little_endian()
        .with_limit(cap as u64)
        .reject_trailing_bytes()
}

/// Room that an encoding begins with: most messages and headers fit, and none grows often.
const ENCODED_BYTES: usize = 512;

/// The bytes of `value`, version first.
///
/// # Panics
/// When `value` is larger than its own cap: whoever built it should have refused earlier.
pub fn encode<T: Wire>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENCODED_BYTES);
    bytes.push(T::VERSION);
    let written = options(T::BYTES_MAX - 1).serialize_into(&mut bytes, value);
    assert!(
        written.is_ok(),
        "{}: larger than its cap of {} bytes",
        T::WHAT,
        T::BYTES_MAX
    );
    bytes
}

/// How many bytes [`encode`] would give.
#[must_use]
pub fn encoded_len<T: Wire>(value: &T) -> usize {
    let length = options(T::BYTES_MAX)
        .serialized_size(value)
        .unwrap_or(u64::MAX);
    usize::try_from(length).map_or(usize::MAX, |length| length.saturating_add(1))
}

/// Whether `value` keeps to its cap.
#[must_use]
pub fn fits<T: Wire>(value: &T) -> bool {
    encoded_len(value) <= T::BYTES_MAX
}

/// The value that `bytes` hold, all of them and nothing else.
///
/// # Errors
/// When they are too many, of another version, or no such value.
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    let what = T::WHAT;
    if bytes.len() > T::BYTES_MAX {
        return Err(DecodeError::TooLong {
            what,
            length: bytes.len(),
            cap: T::BYTES_MAX,
        });
    }
    let (version, payload) = bytes.split_first().ok_or(DecodeError::Empty { what })?;
    if *version != T::VERSION {
        return Err(DecodeError::Version {
            what,
            found: *version,
            known: T::VERSION,
        });
    }
    options(T::BYTES_MAX - 1)
        .deserialize(payload)
        .map_err(|error| DecodeError::Malformed {
            what,
            detail: error.to_string(),
        })
}

/// Shared bytes: cloned by reference, written with a length before them.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(Arc<[u8]>);

impl Bytes {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes", self.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl<'de> Visitor<'de> for BytesVisitor {
            type Value = Bytes;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("bytes")
            }

            fn visit_borrowed_bytes<E: serde::de::Error>(
                self,
                bytes: &'de [u8],
            ) -> Result<Bytes, E> {
                Ok(Bytes::from(bytes))
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes::from(bytes))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, _: Vec<u8>) -> Result<Bytes, E> {
                // A reader would allocate what the sender claims; only slices are decoded.
                Err(E::custom("bytes must come from a slice"))
            }
        }
        deserializer.deserialize_bytes(BytesVisitor)
    }
}

/// A text of at most [`crate::limits::NAME_BYTES_MAX`] bytes that a person can read and type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Name(Arc<str>);

/// A name that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// No characters.
    #[error("a name is empty; give it 1 to 64 letters, digits, '-', '_', '.' or '/'")]
    Empty,
    /// Too many.
    #[error("a name has {length} bytes; at most 64 are allowed")]
    TooLong {
        /// Bytes found.
        length: usize,
    },
    /// A character that would hurt somewhere.
    #[error(
        "a name has {found:?} at character {position}; letters, digits, '-', '_', '.' and '/' are allowed"
    )]
    Character {
        /// Counted from 1.
        position: usize,
        /// The character.
        found: char,
    },
}

impl Name {
    /// A name that keeps to the rules.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character that is not allowed.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > crate::limits::NAME_BYTES_MAX {
            return Err(NameError::TooLong { length: text.len() });
        }
        let refused = text
            .chars()
            .enumerate()
            .find(|(_, found)| !found.is_ascii_alphanumeric() && !"-_./".contains(*found));
        match refused {
            Some((index, found)) => Err(NameError::Character {
                position: index + 1,
                found,
            }),
            None => Ok(Self(text.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        Self::new(text).map_err(D::Error::custom)
    }
}
