//! Trees as YAML in block style: the same text for the same tree, and the same tree read back.

use std::fmt::Write as _;

use regatta_protocol::config::value::Value;

use super::Scalar;

/// What is to be written; its maps keep their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A text, put in quotes where it could be taken for anything else.
    Text(String),
    /// A text that is always in quotes.
    Quoted(String),
    /// Anything else that is no list and no map, as it is to stand there.
    Plain(String),
    /// Values in order.
    List(Vec<Block>),
    /// Values by name.
    Map(Vec<(String, Block)>),
}

impl From<&str> for Block {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&Value> for Block {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Plain("null".to_owned()),
            Value::Bool(on) => Self::Plain(on.to_string()),
            Value::Int(number) => Self::Plain(number.to_string()),
            Value::Float(number) => Self::Plain(float(number.get())),
            Value::Text(text) => Self::Text(text.clone()),
            Value::List(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Map(entries) => {
                let entries = entries.iter();
                Self::Map(
                    entries
                        .map(|(name, value)| (name.clone(), value.into()))
                        .collect(),
                )
            }
        }
    }
}

impl From<&serde_json::Value> for Block {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(fields) => {
                let fields = fields.iter();
                Self::Map(
                    fields
                        .map(|(name, value)| (name.clone(), value.into()))
                        .collect(),
                )
            }
            // YAML reads JSON's numbers and words.
            other => Self::Plain(other.to_string()),
        }
    }
}

/// A value as a document of its own.
#[must_use]
pub fn value(value: &Value) -> String {
    document(&Block::from(value))
}

/// A document, with a line break at its end.
#[must_use]
pub fn document(block: &Block) -> String {
    let mut out = String::new();
    match block {
        Block::Map(entries) if !entries.is_empty() => map(entries, 0, false, &mut out),
        Block::List(items) if !items.is_empty() => list(items, 0, &mut out),
        leaf => {
            out.push_str(&one_line(leaf));
            out.push('\n');
        }
    }
    out
}

/// The number, with a point or an exponent, so that it is read as one of its kind again.
fn float(number: f64) -> String {
    if number.is_finite() {
        format!("{number:?}")
    } else if number > 0.0 {
        ".inf".to_owned()
    } else {
        "-.inf".to_owned()
    }
}

fn map(entries: &[(String, Block)], indent: usize, mut begun: bool, out: &mut String) {
    for (name, block) in entries {
        if !begun {
            pad(indent, out);
        }
        begun = false;
        out.push_str(&text(name));
        out.push(':');
        inner(block, indent, out);
    }
}

fn list(items: &[Block], indent: usize, out: &mut String) {
    for item in items {
        pad(indent, out);
        out.push('-');
        match item {
            Block::Map(entries) if !entries.is_empty() => {
                out.push(' ');
                map(entries, indent + 2, true, out);
            }
            item => inner(item, indent, out),
        }
    }
}

/// What follows a colon or a dash.
fn inner(block: &Block, indent: usize, out: &mut String) {
    match block {
        Block::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            map(entries, indent + 2, false, out);
        }
        Block::List(items) if !items.is_empty() => {
            out.push('\n');
            list(items, indent + 2, out);
        }
        Block::Text(text) if is_literal(text) => {
            out.push_str(if text.ends_with('\n') {
                " |\n"
            } else {
                " |-\n"
            });
            for line in text.lines() {
                if !line.is_empty() {
                    pad(indent + 2, out);
                    out.push_str(line);
                }
                out.push('\n');
            }
        }
        leaf => {
            out.push(' ');
            out.push_str(&one_line(leaf));
            out.push('\n');
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn one_line(block: &Block) -> String {
    match block {
        Block::Text(shown) => text(shown),
        Block::Quoted(shown) => quoted(shown),
        Block::Plain(shown) => shown.clone(),
        Block::List(_) => "[]".to_owned(),
        Block::Map(_) => "{}".to_owned(),
    }
}

fn text(shown: &str) -> String {
    if is_plain(shown) {
        shown.to_owned()
    } else {
        quoted(shown)
    }
}

/// Whether every reader of YAML, old ones too, takes it for this text without quotes.
fn is_plain(shown: &str) -> bool {
    const PLAIN_MAX: usize = 200;
    /// What YAML 1.1 took for true and false.
    const SWITCHES: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    let digits = shown.trim_start_matches(|found: char| found.is_ascii_digit());
    let is_amount = digits.len() < shown.len()
        && !digits.is_empty()
        && digits
            .chars()
            .all(|found| found.is_ascii_alphabetic() || found == '%');
    let begins = shown
        .starts_with(|first: char| first.is_ascii_alphabetic() || "/_".contains(first))
        || shown.starts_with("./")
        || is_amount;
    let allowed = |found: char| found.is_ascii_alphanumeric() || " _./@%+=,:~!()-".contains(found);
    let scalar = Scalar {
        text: shown.to_owned(),
        plain: true,
        flat_at: None,
    };
    begins
        && shown.len() <= PLAIN_MAX
        && shown.chars().all(allowed)
        && !shown.contains(": ")
        && !shown.ends_with([' ', ':'])
        && !SWITCHES.contains(&shown.to_lowercase().as_str())
        && scalar.as_text() == Some(shown)
}

/// Whether a text is best written line by line.
fn is_literal(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let fits = |line: &str| !line.ends_with([' ', '\t']) && !line.chars().any(is_escaped);
    body.contains('\n')
        && !body.starts_with([' ', '\t', '\n'])
        && !body.ends_with('\n')
        && body.split('\n').all(fits)
}

fn is_escaped(found: char) -> bool {
    found.is_control()
        || matches!(
            found,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

fn quoted(shown: &str) -> String {
    let mut out = String::with_capacity(shown.len() + 2);
    out.push('"');
    for found in shown.chars() {
        match found {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            found if is_escaped(found) => {
                let written = write!(out, "\\u{:04x}", u32::from(found));
                written.expect("a text takes everything");
            }
            found => out.push(found),
        }
    }
    out.push('"');
    out
}
