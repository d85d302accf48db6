//! `secrets`: where they are to be had. They never stand in a manifest, and no message shows one.

use std::collections::BTreeMap;
use std::env::VarError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use regatta_protocol::codec::Wire as _;
use regatta_protocol::config::document::SecretTexts;
use regatta_protocol::config::value::KeyPath;
use thiserror::Error;
use zeroize::Zeroizing;

use super::field::{Field, key_path};
use super::yaml::Data;

/// The most secrets of one document.
const SECRETS_MAX: usize = 1024;
const ADVICE: &str = "write {from: env:NAME}, {from: file:PATH} or {from: stdin}";

/// Where a secret is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In a variable of the environment.
    Environment(String),
    /// In a file.
    File(PathBuf),
    /// In what is piped in.
    Stdin,
    /// In the document that the fleet has: it stays as it is.
    Sealed,
}

impl fmt::Display for SecretSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(out, "env:{name}"),
            Self::File(path) => write!(out, "file:{}", path.display()),
            Self::Stdin => out.write_str("stdin"),
            Self::Sealed => out.write_str("sealed"),
        }
    }
}

/// A secret in clear: wiped when dropped, never shown.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SecretText(hidden)")
    }
}

/// A secret that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("secret {path}: {origin} {detail}")]
pub struct SecretError {
    /// Its place in the tree.
    pub path: KeyPath,
    /// Where it was looked for.
    pub origin: String,
    /// Why it is not there, and what to do.
    pub detail: String,
}

/// The ways to a secret, handed in so that nothing here reaches out by itself.
pub struct Ways<'a> {
    /// Looks a variable up, as [`std::env::var`] does.
    pub environment: &'a dyn Fn(&str) -> Result<String, VarError>,
    /// Reads a file.
    pub file: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// Reads what is piped in, to its end; none where the manifest itself came that way.
    pub stdin: Option<&'a mut dyn FnMut() -> io::Result<Vec<u8>>>,
}

/// Fetches secrets in clear; those that stay as they are do not come back.
///
/// # Errors
/// When one cannot be had, is empty, no text or too long, or when two are to come from one pipe.
pub fn open(
    secrets: &[(KeyPath, SecretSource)],
    ways: &mut Ways<'_>,
) -> Result<Vec<(KeyPath, SecretText)>, SecretError> {
    let mut opened = Vec::new();
    let mut total = 0;
    for (path, source) in secrets {
        let failed = |detail: String| SecretError {
            path: path.clone(),
            origin: source.to_string(),
            detail,
        };
        let bytes = match fetch(source, ways) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => continue,
            Err(detail) => return Err(failed(detail)),
        };
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| failed("is not UTF-8, so it is no text".to_owned()))?;
        // Editors and `echo` end what they write with a line break, which nobody means.
        let text = match source {
            SecretSource::File(_) | SecretSource::Stdin => {
                let text = text.strip_suffix('\n').unwrap_or(text);
                text.strip_suffix('\r').unwrap_or(text)
            }
            SecretSource::Environment(_) | SecretSource::Sealed => text,
        };
        if text.is_empty() {
            return Err(failed("is empty".to_owned()));
        }
        total += text.len() + size_of::<u64>();
        if total > SecretTexts::BYTES_MAX - 16 {
            return Err(failed(format!(
                "is too long: all secrets of a document have at most {} bytes",
                SecretTexts::BYTES_MAX
            )));
        }
        opened.push((path.clone(), SecretText(Zeroizing::new(text.to_owned()))));
    }
    Ok(opened)
}

fn fetch(source: &SecretSource, ways: &mut Ways<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    let unread = |error: io::Error| format!("cannot be read: {error}");
    let bytes = match source {
        SecretSource::Environment(name) => match (ways.environment)(name) {
            Ok(text) => text.into_bytes(),
            Err(VarError::NotPresent) => return Err("is not set; export it first".to_owned()),
            Err(VarError::NotUnicode(_)) => return Err("is not UTF-8, so it is no text".to_owned()),
        },
        SecretSource::File(path) => (ways.file)(path).map_err(unread)?,
        SecretSource::Stdin => match ways.stdin.take() {
            Some(read) => read().map_err(unread)?,
            None => {
                return Err("was read already; take this one from env:NAME or file:PATH".to_owned());
            }
        },
        SecretSource::Sealed => return Ok(None),
    };
    Ok(Some(Zeroizing::new(bytes)))
}

/// The field.
pub(super) fn read(field: &Field<'_>, folder: &Path) -> Vec<(KeyPath, SecretSource)> {
    let Data::Map(_) = &field.node.data else {
        // What stands here may be a secret as well.
        field.wrong(format!("takes places in the tree; for each, {ADVICE}"));
        return Vec::new();
    };
    let entries = field.entries("a map").unwrap_or_default();
    if entries.len() > SECRETS_MAX {
        field.wrong(format!("has more than {SECRETS_MAX} secrets"));
        return Vec::new();
    }
    let mut secrets: BTreeMap<KeyPath, SecretSource> = BTreeMap::new();
    for (entry, field) in entries {
        let path = match key_path(&entry.name) {
            Ok(path) if path.is_empty() => {
                field.wrong("the whole tree cannot be one secret; name a place in it");
                continue;
            }
            Ok(path) => path,
            Err(error) => {
                field.report.wrong(entry.at, &field.path, error);
                continue;
            }
        };
        let Some(source) = source(&field, folder) else {
            continue;
        };
        let from_pipe = source == SecretSource::Stdin;
        if from_pipe && secrets.values().any(|other| *other == SecretSource::Stdin) {
            field.wrong(
                "only one secret can come from stdin; take this one from env:NAME or file:PATH",
            );
        } else if let Some(other) = secrets.keys().find(|other| other.overlaps(&path)) {
            field.wrong(format!(
                "stands in the way of the secret {other}; keep one of them"
            ));
        } else {
            secrets.insert(path, source);
        }
    }
    secrets.into_iter().collect()
}

/// What stands here may be the secret itself, so no message repeats it.
fn source(field: &Field<'_>, folder: &Path) -> Option<SecretSource> {
    if !matches!(field.node.data, Data::Map(_)) {
        field.wrong(format!("a secret never stands in a manifest; {ADVICE}"));
        return None;
    }
    let fields = field.fields(&["from"])?;
    let from = fields.need("from", ADVICE)?;
    let source = from
        .scalar()
        .and_then(|scalar| of_text(&scalar.text, folder));
    if source.is_none() {
        from.wrong(format!("this is no place to have a secret from; {ADVICE}"));
    }
    source
}

fn of_text(text: &str, folder: &Path) -> Option<SecretSource> {
    let is_name = |name: &str| {
        let mut all = name.chars();
        !name.starts_with(|first: char| first.is_ascii_digit())
            && !name.is_empty()
            && all.all(|found| found.is_ascii_alphanumeric() || found == '_')
    };
    match text.split_once(':') {
        Some(("env", name)) if is_name(name) => Some(SecretSource::Environment(name.to_owned())),
        Some(("file", path)) if !path.is_empty() => Some(SecretSource::File(folder.join(path))),
        None if text == "stdin" => Some(SecretSource::Stdin),
        None if text == "sealed" => Some(SecretSource::Sealed),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
