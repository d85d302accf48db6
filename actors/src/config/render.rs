//! Writing a part of the effective tree into the bytes of a file: equal values give equal bytes.

mod env;

use std::fmt::Write as _;

use regatta_protocol::config::document::FileFormat;
use regatta_protocol::config::value::{KeyPath, Value};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use thiserror::Error;

/// Why a value cannot be written in a format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderError {
    /// The format has no way to say it.
    #[error("{at}: {found} cannot be written as {format}; {instead}")]
    Unfit {
        /// Where in the effective tree.
        at: KeyPath,
        /// What stands there.
        found: &'static str,
        /// The format.
        format: &'static str,
        /// What can be done.
        instead: &'static str,
    },
    /// Two values would bear one name.
    #[error("{at}: {name} is the name of another value too; call one of them something else")]
    Twice {
        /// The later of the two.
        at: KeyPath,
        /// The name in the file.
        name: String,
    },
    /// The writer of the format refused it.
    #[error("{at}: cannot be written as {format}: {detail}")]
    Writer {
        /// Which part of the effective tree.
        at: KeyPath,
        /// The format.
        format: &'static str,
        /// What it said.
        detail: String,
    },
}

/// The bytes of a file that holds `value`, which stands at `from` in the effective tree.
///
/// # Errors
/// When the format has no way to say it: with the place, and what can be done.
pub fn render(value: &Value, from: &KeyPath, format: FileFormat) -> Result<Vec<u8>, RenderError> {
    let name = name_of(format);
    let writer = |detail: String| RenderError::Writer {
        at: from.clone(),
        format: name,
        detail,
    };
    let text = match format {
        FileFormat::Json => {
            fits(value, from, name, &|value| finite(value))?;
            let text = serde_json::to_string_pretty(&Written(value));
            text.map_err(|error| writer(error.to_string()))? + "\n"
        }
        FileFormat::Yaml => {
            // Block scalars depend on widths; quoted ones say the same in one way.
            let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
            let text = serde_saphyr::to_string_with_options(&Written(value), options);
            let mut text = text.map_err(|error| writer(error.to_string()))?;
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text
        }
        FileFormat::Toml => {
            if !matches!(value, Value::Map(_)) {
                let instead = "have from name a map";
                return Err(unfit(value, from, name, instead));
            }
            fits(value, from, name, &|value| match value {
                Value::Null => Some("leave it out, or write another format"),
                _ => None,
            })?;
            let text = toml::to_string(&Written(value));
            text.map_err(|error| writer(error.to_string()))?
        }
        FileFormat::Env => env::lines(value, from)?,
        FileFormat::Text => {
            let instead = "have from name one text or number";
            let text = scalar(value).ok_or_else(|| unfit(value, from, name, instead))?;
            text + "\n"
        }
    };
    Ok(text.into_bytes())
}

fn name_of(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Yaml => "YAML",
        FileFormat::Json => "JSON",
        FileFormat::Toml => "TOML",
        FileFormat::Env => "an environment file",
        FileFormat::Text => "text",
    }
}

fn unfit(value: &Value, at: &KeyPath, format: &'static str, instead: &'static str) -> RenderError {
    RenderError::Unfit {
        at: at.clone(),
        found: value.kind(),
        format,
        instead,
    }
}

fn finite(value: &Value) -> Option<&'static str> {
    match value {
        Value::Float(number) if !number.get().is_finite() => {
            Some("an infinite number has no form there; write a finite one")
        }
        _ => None,
    }
}

/// Whether nothing in a value is refused by `refuses`, which gives what can be done instead.
fn fits(
    value: &Value,
    at: &KeyPath,
    format: &'static str,
    refuses: &impl Fn(&Value) -> Option<&'static str>,
) -> Result<(), RenderError> {
    if let Some(instead) = refuses(value) {
        return Err(unfit(value, at, format, instead));
    }
    match value {
        Value::Map(entries) => {
            let mut entries = entries.iter();
            entries.try_for_each(|(key, value)| fits(value, &at.child(key), format, refuses))
        }
        // Items have no places of their own: the list is named.
        Value::List(values) => {
            let mut values = values.iter();
            values.try_for_each(|value| fits(value, at, format, refuses))
        }
        _ => Ok(()),
    }
}

/// A single value as a program reads it from a line; none of null, lists and maps.
fn scalar(value: &Value) -> Option<String> {
    let mut out = String::new();
    match value {
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Int(number) => write!(out, "{number}").ok()?,
        // As Rust writes it for debugging, so that 1.0 stays a number with a fraction.
        Value::Float(number) => write!(out, "{:?}", number.get()).ok()?,
        Value::Text(text) => out.push_str(text),
        Value::Null | Value::List(_) | Value::Map(_) => return None,
    }
    Some(out)
}

/// A value as serde's writers take it.
struct Written<'a>(&'a Value);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(yes) => serializer.serialize_bool(*yes),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(number.get()),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Written(value))?;
                }
                list.end()
            }
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, &Written(value))?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests;
