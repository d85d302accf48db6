//! Reading a selector's text: one pass, no recursion, and an error that points at a character.

use std::collections::BTreeSet;
use std::fmt;

use thiserror::Error;

use super::{Requirement, Test};
use crate::codec::Name;
use crate::limits::{NAME_BYTES_MAX, SELECTOR_BYTES_MAX};

/// What stood where something else was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A character.
    Character(char),
    /// The end of the text.
    End,
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character(found) => write!(out, "{found:?}"),
            Self::End => out.write_str("the end"),
        }
    }
}

/// Why a text is no selector. Characters are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// More text than a selector may have.
    #[error("selector: {length} bytes; at most 1024 are allowed")]
    TooLong {
        /// Bytes of the text, or of its canonical form where only that is too long.
        length: usize,
        /// The first character beyond what is allowed, or the last there is.
        at: usize,
    },
    /// A key or a value with more bytes than a name may have.
    #[error("selector: {what} of {length} bytes begins at character {at}; at most 64 are allowed")]
    LongName {
        /// A key or a value.
        what: &'static str,
        /// Its bytes.
        length: usize,
        /// Its first character.
        at: usize,
    },
    /// Something stands where something else belongs.
    #[error("selector: found {found} at character {at}; {expected} belongs here")]
    Unexpected {
        /// What stands there.
        found: Found,
        /// The place.
        at: usize,
        /// What would be right.
        expected: &'static str,
    },
}

impl SelectorError {
    /// The character that is to blame, counted from 1; one past the last where the text ends early.
    #[must_use]
    pub fn at(&self) -> usize {
        match self {
            Self::TooLong { at, .. } | Self::LongName { at, .. } | Self::Unexpected { at, .. } => {
                *at
            }
        }
    }

    /// `text`, and under it a caret at the place.
    #[must_use]
    pub fn pointed(&self, text: &str) -> String {
        // A tab or a line break would move the caret away from its place.
        let shown: String = text
            .chars()
            .map(|shown| if shown.is_control() { ' ' } else { shown })
            .collect();
        let indent = self.at().saturating_sub(1).min(shown.chars().count());
        format!("{shown}\n{}^", " ".repeat(indent))
    }
}

const KEY: &str = "a label's key, such as site,";
const REQUIREMENT: &str = "a requirement, such as site=osaka or !canary,";
const VALUE: &str = "a value, such as osaka,";
const OPERATOR: &str = "',', '=', '!=', 'in (…)', 'notin (…)' or the end";
const COMMA: &str = "',' or the end";
const OPEN: &str = "'(' and a list of values";
const CLOSE: &str = "',' or ')'";

/// The requirements that `text` lists.
pub(super) fn requirements(text: &str) -> Result<BTreeSet<Requirement>, SelectorError> {
    if text.len() > SELECTOR_BYTES_MAX {
        let within = text
            .char_indices()
            .take_while(|(index, found)| index + found.len_utf8() <= SELECTOR_BYTES_MAX);
        return Err(SelectorError::TooLong {
            length: text.len(),
            at: within.count() + 1,
        });
    }
    let mut scanner = Scanner {
        characters: text.chars().collect(),
        next: 0,
    };
    let mut requirements = BTreeSet::new();
    if scanner.at_end() {
        return Ok(requirements);
    }
    loop {
        requirements.insert(scanner.requirement()?);
        if scanner.at_end() {
            return Ok(requirements);
        }
        scanner.expect(',', COMMA)?;
    }
}

struct Scanner {
    characters: Vec<char>,
    next: usize,
}

impl Scanner {
    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.take('!') {
            let key = self.name("a key", KEY)?;
            let test = Test::Absent;
            return Ok(Requirement { key, test });
        }
        let key = self.name("a key", REQUIREMENT)?;
        let test = self.test()?;
        Ok(Requirement { key, test })
    }

    /// What follows a key.
    fn test(&mut self) -> Result<Test, SelectorError> {
        if self.at_end() || self.peek() == Some(',') {
            return Ok(Test::Exists);
        }
        if self.take('=') {
            // `==` is how some write it.
            if self.characters.get(self.next) == Some(&'=') {
                self.next += 1;
            }
            return Ok(Test::In(self.value()?));
        }
        if self.peek() == Some('!') && self.characters.get(self.next + 1) == Some(&'=') {
            self.next += 2;
            return Ok(Test::NotIn(self.value()?));
        }
        let start = self.next;
        match self.word().as_str() {
            "in" => Ok(Test::In(self.values()?)),
            "notin" => Ok(Test::NotIn(self.values()?)),
            _ => {
                self.next = start;
                Err(self.unexpected(OPERATOR))
            }
        }
    }

    fn value(&mut self) -> Result<BTreeSet<Name>, SelectorError> {
        Ok(BTreeSet::from([self.name("a value", VALUE)?]))
    }

    fn values(&mut self) -> Result<BTreeSet<Name>, SelectorError> {
        self.expect('(', OPEN)?;
        let mut values = BTreeSet::new();
        loop {
            values.insert(self.name("a value", VALUE)?);
            if self.take(')') {
                return Ok(values);
            }
            self.expect(',', CLOSE)?;
        }
    }

    fn name(&mut self, what: &'static str, expected: &'static str) -> Result<Name, SelectorError> {
        self.skip_space();
        let start = self.next;
        let word = self.word();
        if word.len() > NAME_BYTES_MAX {
            return Err(SelectorError::LongName {
                what,
                length: word.len(),
                at: start + 1,
            });
        }
        Name::new(&word).map_err(|_| self.unexpected(expected))
    }

    /// The longest run of characters that a name may have; perhaps none.
    fn word(&mut self) -> String {
        let rest = self.characters.iter().skip(self.next);
        let word: String = rest
            .take_while(|found| found.is_ascii_alphanumeric() || "-_./".contains(**found))
            .collect();
        self.next += word.len();
        word
    }

    fn skip_space(&mut self) {
        let rest = self.characters.iter().skip(self.next);
        self.next += rest.take_while(|found| found.is_ascii_whitespace()).count();
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.characters.get(self.next).copied()
    }

    fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: char, expected: &'static str) -> Result<(), SelectorError> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    fn unexpected(&mut self, expected: &'static str) -> SelectorError {
        SelectorError::Unexpected {
            found: self.peek().map_or(Found::End, Found::Character),
            at: self.next + 1,
            expected,
        }
    }
}
