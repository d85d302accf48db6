//! YAML as trees in which every value knows its line and column, bounded in size and depth.
//!
//! Anchors are copied where their aliases stand, under one bound for all copies, so a small file cannot
//! become a large tree. Names in maps are texts, whatever they look like; a `<<` takes in what its map
//! does not say itself. What a plain scalar means is YAML 1.2's core schema: `no` and `on` are texts.

mod build;
mod scalar;
pub mod write;

use granit_parser::{Event, Parser};

use self::build::Builder;
pub use self::scalar::{Scalar, shortened};

/// The most bytes of one file.
pub const BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most values of one file, copies for aliases included.
pub const NODES_MAX: usize = 500_000;
/// The most bytes of text in one file, copies for aliases included.
pub const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How deep lists and maps may stand in each other: what a manifest needs around its values, and those.
pub const DEPTH_MAX: usize = regatta_protocol::config::value::DEPTH_MAX + 8;

/// A line and a column, both from 1. Columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Mark {
    /// The beginning of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl From<granit_parser::Marker> for Mark {
    fn from(marker: granit_parser::Marker) -> Self {
        Self {
            line: marker.line().max(1),
            column: marker.col() + 1,
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: Mark,
    /// What it is.
    pub data: Data,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Anything that is neither a list nor a map.
    Scalar(Scalar),
    /// Values in order.
    List(Vec<Node>),
    /// Values by name, in the order of the file; a name may stand there twice.
    Map(Vec<Entry>),
}

/// A name and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where the name stands.
    pub at: Mark,
    /// The name, as it is written.
    pub name: String,
    /// What it names.
    pub value: Node,
}

impl Node {
    /// What it is, in words for a message.
    #[must_use]
    pub fn what(&self) -> String {
        match &self.data {
            Data::Scalar(scalar) => scalar.what(),
            Data::List(_) => "a list".to_owned(),
            Data::Map(_) => "a map".to_owned(),
        }
    }

    /// A list's values; none of anything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.data {
            Data::List(items) => items,
            Data::Scalar(_) | Data::Map(_) => &[],
        }
    }

    /// A map's entries; none of anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.data {
            Data::Map(entries) => entries,
            Data::Scalar(_) | Data::List(_) => &[],
        }
    }

    /// What a map has under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let entry = self.entries().iter().find(|entry| entry.name == name);
        entry.map(|entry| &entry.value)
    }

    /// A scalar's text, whatever it means.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar(scalar) => Some(&scalar.text),
            Data::List(_) | Data::Map(_) => None,
        }
    }

    /// Whether nothing stands here.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar(scalar) if scalar.is_null())
    }
}

/// Why a text, or a document of it, is no YAML that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where.
    pub at: Mark,
    /// What is wrong there.
    pub detail: String,
}

/// The documents of a file, those that are empty aside. After an error the next document is read, so
/// that all errors are told at once.
#[must_use]
pub fn parse(bytes: &[u8]) -> (Vec<Node>, Vec<Refused>) {
    let refused = |at, detail| (Vec::new(), vec![Refused { at, detail }]);
    if bytes.len() > BYTES_MAX {
        let detail = format!("has {} bytes; at most {BYTES_MAX} are read", bytes.len());
        return refused(Mark::START, detail);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let at = mark_after(&bytes[..error.valid_up_to()]);
            return refused(at, "is not UTF-8 here; save the file as UTF-8".to_owned());
        }
    };
    let options = granit_parser::options! { block_nesting_limit: 128, flow_nesting_limit: 128 };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut documents = Vec::new();
    let mut errors = Vec::new();
    let mut builder = Builder::new(text);
    loop {
        let failed = match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => break,
            Some(Ok((event, span))) => builder.take(event, span).err(),
            Some(Err(error)) => Some(Refused {
                at: (*error.marker()).into(),
                detail: format!("no YAML: {}", advice(&error.info())),
            }),
        };
        if let Some(failed) = failed {
            let fatal = builder.is_spent();
            errors.push(failed);
            builder.forget();
            if fatal || !matches!(parser.proceed_next_document(), Ok(true)) {
                break;
            }
        }
        documents.extend(builder.finished());
    }
    (documents, errors)
}

fn mark_after(valid: &[u8]) -> Mark {
    let text = String::from_utf8_lossy(valid);
    let last = text.rsplit('\n').next().unwrap_or_default();
    Mark {
        line: text.matches('\n').count() + 1,
        column: last.chars().count() + 1,
    }
}

/// The parser's words, with what to do where it is always the same.
fn advice(said: &str) -> String {
    if said.contains("tab") {
        format!("{said}; indent with spaces")
    } else {
        said.to_owned()
    }
}

#[cfg(test)]
mod tests;
