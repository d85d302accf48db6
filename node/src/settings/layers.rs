//! Raw values with the places that they came from; a later layer goes before an earlier one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::SettingsError;
use super::file;
use super::keys::{self, KEYS, Key, Kind};

/// What a key was given, as yet unchecked but of the right kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text or a word.
    Text(String),
    /// Texts.
    List(Vec<String>),
    /// Yes or no.
    Switch(bool),
    /// Lists by names.
    Map(BTreeMap<String, Vec<String>>),
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The program itself.
    Default,
    /// A file.
    File {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
    },
    /// A variable of the environment.
    Environment(String),
    /// An argument.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File { path, line, column } => {
                write!(out, "{}:{line}:{column}", path.display())
            }
            Self::Environment(variable) => out.write_str(variable),
            Self::Flag(flag) => out.write_str(flag),
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What.
    pub value: Value,
    /// Whence.
    pub source: Source,
}

impl Origin {
    /// That this value is wrong, at its place.
    #[must_use]
    pub fn wrong(&self, key: &str, detail: impl fmt::Display) -> SettingsError {
        SettingsError {
            place: self.source.to_string(),
            detail: format!("{key}: {detail}"),
        }
    }
}

/// Values of arguments.
#[derive(Clone, Debug, Default)]
pub struct Flags(Vec<(&'static str, Origin)>);

impl Flags {
    fn push(&mut self, key: &'static str, flag: &'static str, value: Value) {
        assert!(
            keys::find(key).is_some(),
            "{flag} sets {key}, which is a key"
        );
        let source = Source::Flag(flag);
        self.0.push((key, Origin { value, source }));
    }

    /// An argument that sets a text.
    pub fn text(&mut self, key: &'static str, flag: &'static str, value: &str) {
        self.push(key, flag, Value::Text(value.to_owned()));
    }

    /// An argument that sets a list.
    pub fn list(&mut self, key: &'static str, flag: &'static str, value: Vec<String>) {
        self.push(key, flag, Value::List(value));
    }

    /// An argument that sets a switch.
    pub fn switch(&mut self, key: &'static str, flag: &'static str, value: bool) {
        self.push(key, flag, Value::Switch(value));
    }
}

/// Every key's value with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    values: BTreeMap<&'static str, Origin>,
    /// Variables that look as if they were meant for us. They are named and not refused: where a
    /// service is called regatta, Kubernetes sets such ones.
    ignored: Vec<String>,
}

impl Origins {
    /// What holds where nobody says anything.
    pub(super) fn defaults() -> Self {
        let default = |key: &'static Key| {
            let value =
                parse(key, key.default).unwrap_or_else(|detail| panic!("{}: {detail}", key.name));
            let source = Source::Default;
            (key.name, Origin { value, source })
        };
        Self {
            values: KEYS.iter().map(default).collect(),
            ignored: Vec::new(),
        }
    }

    /// A key's value.
    ///
    /// # Panics
    /// When there is no such key.
    #[must_use]
    pub fn of(&self, key: &str) -> &Origin {
        &self.values[key]
    }

    /// All, in the order of [`KEYS`].
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &Origin)> {
        KEYS.iter().map(|key| (key.name, self.of(key.name)))
    }

    /// Variables of the environment that begin as ours do and set nothing.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// A file, and then those of the folder beside it, `<file>.d/*.toml`, in the order of their names.
    pub(super) fn take_file(&mut self, path: &Path, required: bool) -> Result<(), SettingsError> {
        self.values.extend(file::read(path, required)?);
        for path in file::beside(path)? {
            self.values.extend(file::read(&path, true)?);
        }
        Ok(())
    }

    pub(super) fn take_environment(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), SettingsError> {
        /// Variables that say where things are, and are no settings.
        const OTHERS: [&str; 2] = ["REGATTA_STATE_DIR", "REGATTA_SETTINGS"];
        for (variable, value) in environment {
            let Some(variable) = variable
                .to_str()
                .filter(|name| name.starts_with("REGATTA_"))
            else {
                continue;
            };
            let key = KEYS
                .iter()
                .find(|key| keys::variable(key).as_deref() == Some(variable));
            let Some(key) = key else {
                if !OTHERS.contains(&variable) {
                    self.ignored.push(variable.to_owned());
                }
                continue;
            };
            let wrong = |detail: String| SettingsError {
                place: variable.to_owned(),
                detail,
            };
            let text = value
                .to_str()
                .ok_or_else(|| wrong("is not UTF-8".to_owned()))?;
            let value = parse(key, text).map_err(wrong)?;
            let source = Source::Environment(variable.to_owned());
            self.values.insert(key.name, Origin { value, source });
        }
        self.ignored.sort();
        Ok(())
    }

    pub(super) fn take_flags(&mut self, flags: Flags) {
        self.values.extend(flags.0);
    }
}

/// A value as the environment writes it.
fn parse(key: &Key, text: &str) -> Result<Value, String> {
    match key.kind {
        Kind::Text => Ok(Value::Text(text.to_owned())),
        Kind::Word(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
        Kind::Word(words) => Err(format!("{text:?} is not one of {}", words.join(", "))),
        Kind::List => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Ok(Value::List(items.map(str::to_owned).collect()))
        }
        Kind::Switch => match text {
            "true" | "on" | "1" => Ok(Value::Switch(true)),
            "false" | "off" | "0" => Ok(Value::Switch(false)),
            _ => Err(format!("{text:?} is neither true nor false")),
        },
        Kind::Map => Ok(Value::Map(BTreeMap::new())),
    }
}
