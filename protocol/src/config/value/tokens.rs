//! Values as rows of tokens: written and read without recursion, because the codec bounds none.

use std::collections::{BTreeMap, btree_map};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{DEPTH_MAX, Float, KEY_BYTES_MAX, Value};

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

/// Why a row of tokens is no value. Tokens are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokensError {
    /// No token at all.
    #[error("value: empty")]
    Empty,
    /// Lists and maps stand deeper in each other than they may.
    #[error("value: more than 32 lists and maps in each other at token {at}; write it flatter")]
    TooDeep {
        /// The list or map that is too deep.
        at: usize,
    },
    /// A name with more bytes than it may have.
    #[error("value: a name of {length} bytes at token {at}; at most 256 are allowed")]
    LongKey {
        /// Its bytes.
        length: usize,
        /// The name.
        at: usize,
    },
    /// A map names something twice, or its names are not in order: a value has one row only.
    #[error("value: the name {key:?} at token {at} is out of order or there twice")]
    Key {
        /// The name.
        key: String,
        /// Where.
        at: usize,
    },
    /// A token that cannot stand where it does.
    #[error("value: token {at} cannot stand there")]
    Misplaced {
        /// The token.
        at: usize,
    },
    /// The row ends within a list or a map.
    #[error("value: ends within a list or a map")]
    Unended,
}

/// A list or a map that is being read.
enum Open {
    List(Vec<Value>),
    Map {
        entries: BTreeMap<String, Value>,
        key: Option<String>,
    },
}

/// A list or a map that is being written.
enum Rest<'a> {
    List(std::slice::Iter<'a, Value>),
    Map(btree_map::Iter<'a, String, Value>),
}

impl Tokens {
    /// The row of a value.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        let mut tokens = Vec::new();
        let mut open = Vec::new();
        begin(value, &mut tokens, &mut open);
        while let Some(rest) = open.last_mut() {
            let next = match rest {
                Rest::List(values) => values.next(),
                Rest::Map(entries) => entries.next().map(|(key, value)| {
                    tokens.push(Token::Key(key.clone()));
                    value
                }),
            };
            match next {
                Some(value) => begin(value, &mut tokens, &mut open),
                None => {
                    tokens.push(Token::End);
                    open.pop();
                }
            }
        }
        Self(tokens)
    }

    /// The value that the row is of.
    ///
    /// # Errors
    /// When it is no value's row: unbalanced, too deep, with something left over, or with names that
    /// are too long or not in rising order.
    pub fn read(&self) -> Result<Value, TokensError> {
        let mut open = Vec::new();
        for (index, token) in self.0.iter().enumerate() {
            let at = index + 1;
            if let Some(value) = step(token, at, &mut open)? {
                match self.0.get(at) {
                    Some(_) => return Err(TokensError::Misplaced { at: at + 1 }),
                    None => return Ok(value),
                }
            }
        }
        if self.0.is_empty() {
            return Err(TokensError::Empty);
        }
        Err(TokensError::Unended)
    }
}

impl From<&Value> for Tokens {
    fn from(value: &Value) -> Self {
        Self::of(value)
    }
}

fn begin<'a>(value: &'a Value, tokens: &mut Vec<Token>, open: &mut Vec<Rest<'a>>) {
    tokens.push(match value {
        Value::Null => Token::Null,
        Value::Bool(value) => Token::Bool(*value),
        Value::Int(value) => Token::Int(*value),
        Value::Float(value) => Token::Float(*value),
        Value::Text(value) => Token::Text(value.clone()),
        Value::List(values) => {
            open.push(Rest::List(values.iter()));
            Token::List
        }
        Value::Map(entries) => {
            open.push(Rest::Map(entries.iter()));
            Token::Map
        }
    });
}

/// Takes one token; gives the whole value when that is complete.
fn step(token: &Token, at: usize, open: &mut Vec<Open>) -> Result<Option<Value>, TokensError> {
    let value = match token {
        Token::Null => Value::Null,
        Token::Bool(value) => Value::Bool(*value),
        Token::Int(value) => Value::Int(*value),
        Token::Float(value) => Value::Float(*value),
        Token::Text(value) => Value::Text(value.clone()),
        Token::List | Token::Map => {
            if let Some(Open::Map { key: None, .. }) = open.last() {
                return Err(TokensError::Misplaced { at });
            }
            if open.len() == DEPTH_MAX {
                return Err(TokensError::TooDeep { at });
            }
            open.push(if matches!(token, Token::List) {
                Open::List(Vec::new())
            } else {
                Open::Map {
                    entries: BTreeMap::new(),
                    key: None,
                }
            });
            return Ok(None);
        }
        Token::Key(name) => {
            name_next(name, at, open.last_mut())?;
            return Ok(None);
        }
        Token::End => match open.pop() {
            Some(Open::List(values)) => Value::List(values),
            Some(Open::Map { entries, key: None }) => Value::Map(entries),
            Some(Open::Map { key: Some(_), .. }) | None => {
                return Err(TokensError::Misplaced { at });
            }
        },
    };
    match open.last_mut() {
        None => return Ok(Some(value)),
        Some(Open::List(values)) => values.push(value),
        Some(Open::Map { entries, key }) => {
            let key = key.take().ok_or(TokensError::Misplaced { at })?;
            entries.insert(key, value);
        }
    }
    Ok(None)
}

fn name_next(name: &str, at: usize, open: Option<&mut Open>) -> Result<(), TokensError> {
    let Some(Open::Map { entries, key }) = open else {
        return Err(TokensError::Misplaced { at });
    };
    if key.is_some() {
        return Err(TokensError::Misplaced { at });
    }
    if name.len() > KEY_BYTES_MAX {
        let length = name.len();
        return Err(TokensError::LongKey { length, at });
    }
    // One order only, so that equal values have equal bytes and so one hash.
    if entries
        .last_key_value()
        .is_some_and(|(last, _)| last.as_str() >= name)
    {
        let key = name.to_owned();
        return Err(TokensError::Key { key, at });
    }
    *key = Some(name.to_owned());
    Ok(())
}
