//! A tree of values as an operator writes it, and the flat form in which it crosses wires.

mod path;
mod tokens;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::path::{KeyPath, KeyPathError};
pub use self::tokens::{Tokens, TokensError};

/// How deep lists and maps may stand in each other.
pub const DEPTH_MAX: usize = 32;
/// A name in a map, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// A value. Two are equal where a program that reads them cannot tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Nothing: takes away what a document of less weight says here.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(Float),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Value>),
    /// Values by name.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// A map without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self::Map(BTreeMap::new())
    }

    /// What stands at `path`, found through maps only.
    #[must_use]
    pub fn at(&self, path: &KeyPath) -> Option<&Self> {
        path.segments().try_fold(self, |value, key| match value {
            Self::Map(entries) => entries.get(key),
            _ => None,
        })
    }

    /// What kind of value it is, for messages to people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// A number by its bits, so that it can be compared, sorted and signed. Never NaN.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Float(u64);

impl Float {
    /// None where it is no number.
    #[must_use]
    pub fn new(number: f64) -> Option<Self> {
        (!number.is_nan()).then(|| Self(number.to_bits()))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl TryFrom<u64> for Float {
    type Error = &'static str;

    fn try_from(bits: u64) -> Result<Self, Self::Error> {
        Self::new(f64::from_bits(bits)).ok_or("a number that is none")
    }
}

impl From<Float> for u64 {
    fn from(number: Float) -> Self {
        number.0
    }
}

impl fmt::Debug for Float {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.get())
    }
}

#[cfg(test)]
pub(crate) mod tests;
