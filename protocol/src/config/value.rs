//! A tree of values as an operator writes it, and the flat form in which it crosses wires.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How deep lists and maps may stand in each other.
pub const DEPTH_MAX: usize = 32;

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

/// A number by its bits, so that it can be compared, sorted and signed. Never NaN.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

impl fmt::Debug for Float {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.get())
    }
}

/// Names from the top of the tree down to one of its places; no names are the whole tree.
///
/// Written with dots between: `nav.lidar.port`. A name that has a dot, a quote or a space in it, or is
/// empty, stands in double quotes: `net."eth0.1".mtu`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyPath(pub Vec<String>);

/// A value written as a row of tokens, because the codec bounds no recursion.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tokens(Vec<Token>);

/// One step of writing a value down. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Token {
    Null,
    Bool(bool),
    Int(i64),
    Float(Float),
    Text(String),
    /// A list begins; its values follow up to `End`.
    List,
    /// A map begins; its entries follow, each a `Key` and a value, up to `End`.
    Map,
    Key(String),
    End,
}
