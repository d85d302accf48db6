//! `KEY=value` lines as systemd reads an `EnvironmentFile=`.

use std::collections::BTreeMap;

use regatta_protocol::config::document::FileFormat;
use regatta_protocol::config::value::{KeyPath, Value};

use super::{RenderError, name_of, scalar, unfit};

const A_NAME: &str = "a name there has letters, digits and _, and begins with no digit";

/// A line for each value, by name: `NAV_LIDAR_PORT="/dev/ttyUSB0"` for `nav.lidar.port`.
pub(super) fn lines(value: &Value, from: &KeyPath) -> Result<String, RenderError> {
    let format = name_of(FileFormat::Env);
    if !matches!(value, Value::Map(_)) {
        return Err(unfit(value, from, format, "have from name a map"));
    }
    let mut lines = BTreeMap::new();
    gather(value, from, String::new(), &mut lines)?;
    Ok(lines
        .into_iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect())
}

fn gather(
    value: &Value,
    at: &KeyPath,
    name: String,
    lines: &mut BTreeMap<String, String>,
) -> Result<(), RenderError> {
    let refused = |instead| unfit(value, at, name_of(FileFormat::Env), instead);
    let text = match value {
        Value::Map(entries) => {
            return entries.iter().try_for_each(|(key, value)| {
                let at = at.child(key);
                let part = part(key).ok_or_else(|| {
                    let instead =
                        "a name there has letters, digits and _, and begins with no digit";
                    unfit(value, &at, name_of(FileFormat::Env), instead)
                })?;
                let name = match name.as_str() {
                    "" => part,
                    above => format!("{above}_{part}"),
                };
                gather(value, &at, name, lines)
            });
        }
        Value::List(values) => {
            let words: Option<Vec<String>> = values.iter().map(scalar).collect();
            let instead = "a list may have texts, numbers and booleans in it";
            words.ok_or_else(|| refused(instead))?.join(" ")
        }
        Value::Null => return Err(refused("leave it out, or write an empty text")),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
            scalar(value).unwrap_or_default()
        }
    };
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(refused(A_NAME));
    }
    // Older systemds leave out a variable with any of these, and say so in their log only.
    if text
        .chars()
        .any(|found| found.is_ascii_control() && !"\t\n".contains(found))
    {
        return Err(refused(
            "a variable may have no control characters but tabs and line ends",
        ));
    }
    let quoted = quoted(&text);
    if lines.insert(name.clone(), quoted).is_some() {
        let at = at.clone();
        return Err(RenderError::Twice { at, name });
    }
    Ok(())
}

/// A key as a part of a variable's name.
fn part(key: &str) -> Option<String> {
    let part: String = key
        .chars()
        .map(|found| {
            if "-. /".contains(found) {
                '_'
            } else {
                found.to_ascii_uppercase()
            }
        })
        .collect();
    let fits = |found: char| found.is_ascii_alphanumeric() || found == '_';
    (!part.is_empty() && part.chars().all(fits)).then_some(part)
}

/// In double quotes, where systemd takes everything as it is but for a backslash before one of `"\$`
/// and the backquote; a line's end too stays in the value.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}
