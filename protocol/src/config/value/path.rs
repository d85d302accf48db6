//! Places in a tree: read from text with an error that points at a character, and written back.

use std::fmt;
use std::iter::Peekable;
use std::str::{Chars, FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{DEPTH_MAX, KEY_BYTES_MAX};
use crate::selector::Found;

/// Names from the top of the tree down to one of its places; no names are the whole tree.
///
/// Written with dots between: `nav.lidar.port`. A name that has a dot, a quote, a backslash or a space
/// in it, or is empty, stands in double quotes: `net."eth0.1".mtu`. The whole tree is a single dot.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyPath(pub Vec<String>);

/// Why a text is no path. Characters are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyPathError {
    /// Something stands where something else belongs.
    #[error("path: found {found} at character {at}; {expected} belongs here")]
    Unexpected {
        /// What stands there.
        found: Found,
        /// The place.
        at: usize,
        /// What would be right.
        expected: &'static str,
    },
    /// A name with more bytes than it may have.
    #[error("path: a name of {length} bytes begins at character {at}; at most 256 are allowed")]
    LongName {
        /// Its bytes.
        length: usize,
        /// Its first character.
        at: usize,
    },
    /// More names than a tree is deep.
    #[error("path: one name too many begins at character {at}; at most 32 are allowed")]
    TooManyNames {
        /// The first character of the first name beyond what is allowed.
        at: usize,
    },
}

impl KeyPathError {
    /// The character that is to blame, counted from 1; one past the last where the text ends early.
    #[must_use]
    pub fn at(&self) -> usize {
        match self {
            Self::Unexpected { at, .. } | Self::LongName { at, .. } | Self::TooManyNames { at } => {
                *at
            }
        }
    }
}

impl KeyPath {
    /// The path of the whole tree.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a path.
    ///
    /// # Errors
    /// When the text is none: with the character where it went wrong and what would be right there.
    pub fn parse(text: &str) -> Result<Self, KeyPathError> {
        if text == "." {
            return Ok(Self::root());
        }
        let mut reader = Reader {
            rest: text.chars().peekable(),
            at: 1,
        };
        let mut names = Vec::new();
        loop {
            let at = reader.at;
            let name = reader.name()?;
            if name.len() > KEY_BYTES_MAX {
                let length = name.len();
                return Err(KeyPathError::LongName { length, at });
            }
            if names.len() == DEPTH_MAX {
                return Err(KeyPathError::TooManyNames { at });
            }
            names.push(name);
            match reader.next() {
                None => return Ok(Self(names)),
                Some('.') => {}
                Some(found) => {
                    return Err(KeyPathError::Unexpected {
                        found: Found::Character(found),
                        at: reader.at - 1,
                        expected: "a dot or the end",
                    });
                }
            }
        }
    }

    /// The place of that name below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let mut names = Vec::with_capacity(self.0.len() + 1);
        names.extend_from_slice(&self.0);
        names.push(name.to_owned());
        Self(names)
    }

    /// The place that this one stands right below; none of the whole tree.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, names) = self.0.split_last()?;
        Some(Self(names.to_vec()))
    }

    /// Whether this is `prefix` or stands below it.
    #[must_use]
    pub fn starts_with(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }

    /// Whether a change at one of the two can be a change at the other.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.starts_with(other) || other.starts_with(self)
    }

    /// Whether this is the whole tree.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, from the top down.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.0.iter().map(String::as_str)
    }

    /// Whether it keeps to the limits that [`Self::parse`] has; one off a wire may not.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.0.len() <= DEPTH_MAX && self.0.iter().all(|name| name.len() <= KEY_BYTES_MAX)
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    /// The next character, counted from 1.
    at: usize,
}

const A_NAME: &str = "a name";
const AN_ESCAPE: &str = r#"one of \" \\ \n \r \t \u{hex}"#;

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.at += usize::from(next.is_some());
        next
    }

    /// The error of the character that was read last.
    fn unexpected(&self, found: Option<char>, expected: &'static str) -> KeyPathError {
        let (found, at) = match found {
            Some(found) => (Found::Character(found), self.at - 1),
            None => (Found::End, self.at),
        };
        KeyPathError::Unexpected {
            found,
            at,
            expected,
        }
    }

    fn name(&mut self) -> Result<String, KeyPathError> {
        if self.rest.next_if_eq(&'"').is_some() {
            self.at += 1;
            return self.quoted();
        }
        let mut name = String::new();
        while let Some(next) = self.rest.next_if(|next| stands_bare(*next)) {
            self.at += 1;
            name.push(next);
        }
        if name.is_empty() {
            let found = self.next();
            return Err(self.unexpected(found, A_NAME));
        }
        Ok(name)
    }

    fn quoted(&mut self) -> Result<String, KeyPathError> {
        let mut name = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(name),
                Some('\\') => name.push(self.escaped()?),
                Some(next) if !next.is_control() => name.push(next),
                found => return Err(self.unexpected(found, "a closing quote")),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, KeyPathError> {
        match self.next() {
            Some(same @ ('"' | '\\')) => Ok(same),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('u') => self.by_number(),
            found => Err(self.unexpected(found, AN_ESCAPE)),
        }
    }

    /// The rest of `\u{1b}`.
    fn by_number(&mut self) -> Result<char, KeyPathError> {
        let open = self.next();
        if open != Some('{') {
            return Err(self.unexpected(open, "{"));
        }
        let mut number = 0_u32;
        loop {
            let found = self.next();
            if found == Some('}') {
                let character = char::from_u32(number);
                return character.ok_or_else(|| self.unexpected(found, "a character's number"));
            }
            let digit = found.and_then(|found| found.to_digit(16));
            let longer = digit.filter(|_| number < 1 << 24);
            let digit = longer.ok_or_else(|| self.unexpected(found, "} or a hexadecimal digit"))?;
            number = number << 4 | digit;
        }
    }
}

fn stands_bare(character: char) -> bool {
    !character.is_whitespace() && !character.is_control() && !matches!(character, '.' | '"' | '\\')
}

impl FromStr for KeyPath {
    type Err = KeyPathError;

    fn from_str(text: &str) -> Result<Self, KeyPathError> {
        Self::parse(text)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return out.write_str(".");
        }
        for (index, name) in self.segments().enumerate() {
            if index > 0 {
                out.write_str(".")?;
            }
            write_name(name, out)?;
        }
        Ok(())
    }
}

fn write_name(name: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !name.is_empty() && name.chars().all(stands_bare) {
        return out.write_str(name);
    }
    out.write_str("\"")?;
    for character in name.chars() {
        match character {
            '"' | '\\' => write!(out, "\\{character}")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            control if control.is_control() => write!(out, "\\u{{{:x}}}", u32::from(control))?,
            other => write!(out, "{other}")?,
        }
    }
    out.write_str("\"")
}
