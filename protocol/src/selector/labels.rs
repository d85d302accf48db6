//! What a certificate says about a device in short: a few keys, each with one value.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::codec::Name;
use crate::limits::LABELS_MAX;

/// The key under which [`Labels::with_name`] puts a device's own name; nobody else may use it.
pub const LABEL_NAME: &str = "name";

/// A device's labels: at most [`LABELS_MAX`], besides the reserved one for its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(BTreeMap<Name, Name>);

/// Labels that were refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LabelsError {
    /// More than there may be.
    #[error("labels: more than 32; at most 32 are allowed")]
    TooMany,
    /// One key with two values.
    #[error("labels: {key} is there twice; each key has one value")]
    Twice {
        /// The key.
        key: Name,
    },
    /// A key that is reserved.
    #[error("labels: the key name is reserved for the device's own name; choose another")]
    Reserved,
}

impl Labels {
    /// No labels.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds one label.
    ///
    /// # Errors
    /// When the key is there already or reserved, or there are as many as there may be.
    pub fn insert(&mut self, key: Name, value: Name) -> Result<(), LabelsError> {
        if key.as_str() == LABEL_NAME {
            return Err(LabelsError::Reserved);
        }
        self.add(key, value)
    }

    /// Gives a key a value, another than it had or its first.
    ///
    /// # Errors
    /// When the key is reserved, or is new and there are as many as there may be.
    pub fn set(&mut self, key: Name, value: Name) -> Result<(), LabelsError> {
        match self.0.get_mut(&key) {
            Some(there) if key.as_str() != LABEL_NAME => *there = value,
            _ => self.insert(key, value)?,
        }
        Ok(())
    }

    /// Takes a label away; whether it was there.
    pub fn remove(&mut self, key: &Name) -> bool {
        self.0.remove(key).is_some()
    }

    /// Labels of these pairs.
    ///
    /// # Errors
    /// When [`Labels::insert`] refuses one.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (Name, Name)>) -> Result<Self, LabelsError> {
        let mut labels = Self::none();
        for (key, value) in pairs {
            labels.insert(key, value)?;
        }
        Ok(labels)
    }

    /// These labels and the device's name under [`LABEL_NAME`], so that a selector can ask for it.
    /// Whatever a certificate says under that key does not count.
    #[must_use]
    pub fn with_name(&self, name: &Name) -> Self {
        let mut labels = self.clone();
        if let Ok(key) = Name::new(LABEL_NAME) {
            labels.0.insert(key, name.clone());
        }
        labels
    }

    /// The value of one label.
    #[must_use]
    pub fn get(&self, key: &Name) -> Option<&Name> {
        self.0.get(key)
    }

    /// Every label, sorted by key.
    pub fn iter(&self) -> btree_map::Iter<'_, Name, Name> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, key: Name, value: Name) -> Result<(), LabelsError> {
        let counted = self.0.keys().filter(|key| key.as_str() != LABEL_NAME);
        if key.as_str() != LABEL_NAME && counted.count() >= LABELS_MAX {
            return Err(LabelsError::TooMany);
        }
        match self.0.entry(key) {
            btree_map::Entry::Occupied(there) => Err(LabelsError::Twice {
                key: there.key().clone(),
            }),
            btree_map::Entry::Vacant(free) => {
                free.insert(value);
                Ok(())
            }
        }
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a Name, &'a Name);
    type IntoIter = btree_map::Iter<'a, Name, Name>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(out, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

impl Serialize for Labels {
    /// A map where people read it, sorted pairs on the wire.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_map(self)
        } else {
            serializer.collect_seq(self)
        }
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_map(LabelsVisitor)
        } else {
            deserializer.deserialize_seq(LabelsVisitor)
        }
    }
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("labels, each a key with one value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Labels, A::Error> {
        let mut labels = Labels::none();
        // The claimed length is not believed: `add` stops it at the cap.
        while let Some((Word(key), Word(value))) = pairs.next_element()? {
            if labels
                .0
                .last_key_value()
                .is_some_and(|(last, _)| *last > key)
            {
                return Err(A::Error::custom("labels: not sorted by key"));
            }
            labels.add(key, value).map_err(A::Error::custom)?;
        }
        Ok(labels)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Labels, A::Error> {
        let mut labels = Labels::none();
        while let Some((Word(key), Word(value))) = pairs.next_entry()? {
            labels.insert(key, value).map_err(A::Error::custom)?;
        }
        Ok(labels)
    }
}

/// A name that may also come from a format that hands out owned strings.
struct Word(Name);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordVisitor;
        impl Visitor<'_> for WordVisitor {
            type Value = Word;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a name")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Word, E> {
                Name::new(text).map(Word).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(WordVisitor)
    }
}
