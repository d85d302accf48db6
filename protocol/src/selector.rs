//! Which devices are meant: a text such as `site=osaka,role!=dock`, read once into what cannot be wrong.
//!
//! A selector is a list of requirements that must all hold; an empty one selects everything. As in
//! Kubernetes, `!=` and `notin` also hold where the label is absent.

mod labels;
mod parse;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::labels::{LABEL_NAME, Labels, LabelsError};
pub use self::parse::{Found, SelectorError};
use crate::codec::Name;
use crate::limits::SELECTOR_BYTES_MAX;

/// Requirements on labels, all of which must hold. Equal ones have one text, whatever was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(BTreeSet<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Requirement {
    key: Name,
    test: Test,
}

/// What is asked of one label. The sets are never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Test {
    In(BTreeSet<Name>),
    NotIn(BTreeSet<Name>),
    Exists,
    Absent,
}

impl Test {
    fn accepts(&self, value: Option<&Name>) -> bool {
        match self {
            Self::In(values) => value.is_some_and(|value| values.contains(value)),
            Self::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
        }
    }
}

impl Selector {
    /// The selector of every device.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// The selector of the devices whose label `key` is `value`.
    #[must_use]
    pub fn equal(key: Name, value: Name) -> Self {
        let test = Test::In(BTreeSet::from([value]));
        Self(BTreeSet::from([Requirement { key, test }]))
    }

    /// Reads a selector.
    ///
    /// # Errors
    /// When the text is none, or its canonical form is too long: with the character where it went
    /// wrong, what stands there and what would be right.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let selector = Self(parse::requirements(text)?);
        // `in(a)` grows by a space when it is written canonically; what is kept must be readable again.
        let length = selector.to_string().len();
        if length > SELECTOR_BYTES_MAX {
            return Err(SelectorError::TooLong {
                length,
                at: text.chars().count(),
            });
        }
        Ok(selector)
    }

    /// Whether a device with these labels is meant.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let mut requirements = self.0.iter();
        requirements.all(|requirement| requirement.test.accepts(labels.get(&requirement.key)))
    }

    /// Whether every device is meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it asks for devices by their names, rather than by what they have in common.
    #[must_use]
    pub fn names_devices(&self) -> bool {
        let mut requirements = self.0.iter();
        requirements.any(|requirement| {
            requirement.key.as_str() == LABEL_NAME && matches!(requirement.test, Test::In(_))
        })
    }

    /// Whether all that this selects is surely selected by `other` too. Careful: where it is true it
    /// holds for all labels; it may be false of a selector that nothing can match.
    #[must_use]
    pub fn implies(&self, other: &Self) -> bool {
        other.0.iter().all(|wanted| self.ensures(wanted))
    }

    fn tests<'a>(&'a self, key: &'a Name) -> impl Iterator<Item = &'a Test> {
        let requirements = self.0.iter();
        requirements
            .filter(move |requirement| requirement.key == *key)
            .map(|requirement| &requirement.test)
    }

    fn refuses(&self, key: &Name, value: Option<&Name>) -> bool {
        self.tests(key).any(|test| !test.accepts(value))
    }

    /// Whether `wanted` holds wherever this matches: each value that would break it is refused here.
    fn ensures(&self, wanted: &Requirement) -> bool {
        let key = &wanted.key;
        match &wanted.test {
            // Only a list of values bounds what a label may be, so one of ours must be a list.
            Test::In(values) => self.tests(key).any(|test| match test {
                Test::In(ours) => ours
                    .iter()
                    .all(|value| values.contains(value) || self.refuses(key, Some(value))),
                _ => false,
            }),
            Test::NotIn(values) => values.iter().all(|value| self.refuses(key, Some(value))),
            Test::Exists => self.refuses(key, None),
            Test::Absent => self.tests(key).any(|test| *test == Test::Absent),
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            if index > 0 {
                out.write_str(",")?;
            }
            requirement.fmt(out)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.test {
            Test::In(values) => write_values(out, key, ("=", "in"), values),
            Test::NotIn(values) => write_values(out, key, ("!=", "notin"), values),
            Test::Exists => write!(out, "{key}"),
            Test::Absent => write!(out, "!{key}"),
        }
    }
}

fn write_values(
    out: &mut fmt::Formatter<'_>,
    key: &Name,
    (one, many): (&str, &str),
    values: &BTreeSet<Name>,
) -> fmt::Result {
    let mut rest = values.iter();
    let first = rest.next().map_or("", Name::as_str);
    if values.len() == 1 {
        return write!(out, "{key}{one}{first}");
    }
    write!(out, "{key} {many} ({first}")?;
    for value in rest {
        write!(out, ",{value}")?;
    }
    out.write_str(")")
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SelectorVisitor;
        impl Visitor<'_> for SelectorVisitor {
            type Value = Selector;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a selector such as site=osaka,role!=dock")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Selector, E> {
                Selector::parse(text).map_err(E::custom)
            }
        }
        deserializer
            .deserialize_str(SelectorVisitor)
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
