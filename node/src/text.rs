//! Things of the protocol as text, for files and for requests.

use data_encoding::BASE64;
use regatta_protocol::codec::{self, Wire};
use thiserror::Error;

/// A text that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}: {why}")]
pub struct TextError {
    what: &'static str,
    why: String,
}

/// Something as text.
#[must_use]
pub fn to_text<T: Wire>(value: &T) -> String {
    BASE64.encode(&codec::encode(value))
}

/// The same back.
///
/// # Errors
/// When it is no such thing.
pub fn from_text<T: Wire>(text: &str) -> Result<T, TextError> {
    let failed = |why: String| TextError { what: T::WHAT, why };
    let bytes = BASE64.decode(text.trim().as_bytes());
    let bytes = bytes.map_err(|error| failed(format!("no base64: {error}")))?;
    codec::decode(&bytes).map_err(|error| failed(error.to_string()))
}
