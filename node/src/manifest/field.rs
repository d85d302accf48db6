//! Taking fields out of a tree: each knows its path, and says what is wrong with it.

use std::collections::BTreeMap;
use std::fmt::Display;

use regatta_protocol::codec::Name;
use regatta_protocol::config::value::{KeyPath, Value};

use super::problem::Report;
use super::yaml::{Data, Entry, Mark, Node, Scalar};
use crate::cli::span;

/// A value of a manifest while it is read. Whatever gives an option has told what is wrong by then.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub(super) node: &'a Node,
    /// From the document's top: `spec.files[0].mode`.
    pub(super) path: String,
    pub(super) report: &'a Report,
}

impl<'a> Field<'a> {
    /// A document's top.
    pub(super) fn top(node: &'a Node, report: &'a Report) -> Self {
        Self {
            node,
            path: String::new(),
            report,
        }
    }

    pub(super) fn wrong(&self, detail: impl Into<String>) {
        self.report.wrong(self.node.at, &self.path, detail);
    }

    /// It is not what belongs here.
    pub(super) fn unfit(&self, belongs: &str) {
        let what = self.node.what();
        self.wrong(format!("found {what}; {belongs} belongs here"));
    }

    /// What it has under a name.
    pub(super) fn inner(&self, name: &str, node: &'a Node) -> Self {
        let name = quoted_name(name);
        let path = match self.path.as_str() {
            "" => name,
            path => format!("{path}.{name}"),
        };
        Self {
            node,
            path,
            ..*self
        }
    }

    /// The fields of a map that has no others than these; nothing stands for an empty one.
    pub(super) fn fields(&self, known: &[&'static str]) -> Option<Fields<'a>> {
        let entries: &[Entry] = match &self.node.data {
            Data::Map(entries) => entries,
            Data::Scalar(scalar) if scalar.is_null() => &[],
            Data::Scalar(_) | Data::List(_) => {
                self.unfit(&format!("a map with {}", listed(known)));
                return None;
            }
        };
        let mut found = BTreeMap::new();
        for (entry, field) in self.unique(entries) {
            if !known.contains(&entry.name.as_str()) {
                let near = nearest(&entry.name, known).map_or_else(
                    || format!("; known here: {}", known.join(", ")),
                    |near| format!("; did you mean \"{near}\"?"),
                );
                let detail = format!("unknown field{near}");
                self.report.wrong(entry.at, &field.path, detail);
            } else if !entry.value.is_null() {
                found.insert(entry.name.as_str(), field);
            }
        }
        Some(Fields {
            of: self.clone(),
            found,
        })
    }

    /// A map's entries whose names anybody may choose, in the order of the file.
    pub(super) fn entries(&self, belongs: &str) -> Option<Vec<(&'a Entry, Self)>> {
        match &self.node.data {
            Data::Map(entries) => Some(self.unique(entries)),
            Data::Scalar(_) | Data::List(_) => {
                self.unfit(belongs);
                None
            }
        }
    }

    fn unique(&self, entries: &'a [Entry]) -> Vec<(&'a Entry, Self)> {
        let mut seen: BTreeMap<&str, Mark> = BTreeMap::new();
        let mut unique = Vec::new();
        for entry in entries {
            let field = self.inner(&entry.name, &entry.value);
            if let Some(first) = seen.insert(&entry.name, entry.at) {
                let detail = format!(
                    "stands here twice, first in line {}; keep one of them",
                    first.line
                );
                self.report.wrong(entry.at, &field.path, detail);
            } else {
                unique.push((entry, field));
            }
        }
        unique
    }

    pub(super) fn items(&self, belongs: &str) -> Option<Vec<Self>> {
        let Data::List(items) = &self.node.data else {
            self.unfit(belongs);
            return None;
        };
        let item = |(index, node)| Self {
            node,
            path: format!("{}[{index}]", self.path),
            ..*self
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    pub(super) fn scalar(&self) -> Option<&'a Scalar> {
        match &self.node.data {
            Data::Scalar(scalar) if !scalar.is_null() => Some(scalar),
            Data::Scalar(_) | Data::List(_) | Data::Map(_) => None,
        }
    }

    /// A text; a number or a switch has to be put in quotes.
    pub(super) fn text(&self, belongs: &str) -> Option<&'a str> {
        let text = self.scalar().and_then(Scalar::as_text);
        if text.is_none() {
            match self.scalar() {
                Some(_) => {
                    let belongs = belongs.trim_end_matches(',');
                    self.unfit(&format!(
                        "{belongs}, in quotes where it looks like a number,"
                    ));
                }
                None => self.unfit(belongs),
            }
        }
        text
    }

    /// What is read of a text, quoted or not.
    pub(super) fn read<T, E: Display>(
        &self,
        belongs: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let Some(scalar) = self.scalar() else {
            self.unfit(belongs);
            return None;
        };
        match read(&scalar.text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(error.to_string());
                None
            }
        }
    }

    pub(super) fn name(&self, belongs: &str) -> Option<Name> {
        self.read(belongs, Name::new)
    }

    pub(super) fn key_path(&self) -> Option<KeyPath> {
        let belongs = "a place in the tree, such as nav.lidar.port,";
        self.read(belongs, key_path)
    }

    /// A length of time, in milliseconds.
    pub(super) fn span(&self) -> Option<u64> {
        let read = |text: &str| span::parse(text).map_err(|error| format!("{text:?}: {error}"));
        self.read("a length of time, such as 30s,", read)
    }

    /// A whole number within bounds.
    pub(super) fn integer<T: TryFrom<i64> + Display>(&self, least: T, most: T) -> Option<T> {
        let value = self.scalar().map(Scalar::value);
        let fits = match value {
            Some(Ok(Value::Int(number))) => T::try_from(number).ok(),
            _ => None,
        };
        if fits.is_none() {
            self.unfit(&format!("a whole number from {least} to {most}"));
        }
        fits
    }
}

/// Reads a place in the tree.
pub(super) fn key_path(text: &str) -> Result<KeyPath, String> {
    KeyPath::parse(text).map_err(|error| error.to_string())
}

/// The fields of a map that are there and say something.
pub(super) struct Fields<'a> {
    pub(super) of: Field<'a>,
    found: BTreeMap<&'a str, Field<'a>>,
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&Field<'a>> {
        self.found.get(name)
    }

    /// The same, told where it is missing.
    pub(super) fn need(&self, name: &str, advice: &str) -> Option<&Field<'a>> {
        let found = self.get(name);
        if found.is_none() {
            let path = self.of.inner(name, self.of.node).path;
            let detail = format!("missing; {advice}");
            self.of.report.wrong(self.of.node.at, &path, detail);
        }
        found
    }
}

/// The known name that looks most like this one.
pub(super) fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    const LIKE_MIN: f64 = 0.7;
    let like = |known: &str| strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase());
    let best = known.iter().max_by(|a, b| like(a).total_cmp(&like(b)))?;
    (like(best) >= LIKE_MIN).then_some(*best)
}

fn listed(known: &[&str]) -> String {
    match known {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn quoted_name(name: &str) -> String {
    KeyPath(vec![super::yaml::shortened(name)]).to_string()
}
