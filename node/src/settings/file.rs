//! One TOML file: each value with its line and column, and no key that the program does not know.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::SettingsError;
use super::keys::{self, Key, Kind};
use super::layers::{Origin, Source, Value};

/// The most bytes of a settings file.
const BYTES_MAX: u64 = 256 * 1024;

/// What a file sets; nothing where it is not there and need not be.
pub fn read(path: &Path, required: bool) -> Result<Vec<(&'static str, Origin)>, SettingsError> {
    let wrong = |detail: String| SettingsError {
        place: path.display().to_string(),
        detail,
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => return Ok(Vec::new()),
        Ok(found) if found.len() > BYTES_MAX => {
            return Err(wrong(format!(
                "has more than {BYTES_MAX} bytes, so it is no settings file"
            )));
        }
        _ => {}
    }
    let text =
        fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    Text { path, text: &text }.values()
}

/// The files of the folder beside a file, `regatta.toml.d/*.toml`, in the order of their names.
pub fn beside(path: &Path) -> Result<Vec<PathBuf>, SettingsError> {
    let mut folder = path.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let wrong = |error: io::Error| SettingsError {
        place: folder.display().to_string(),
        detail: format!("cannot be read: {error}"),
    };
    let listed = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(wrong)?,
    };
    let mut found = Vec::new();
    for entry in listed {
        let path = entry.map_err(wrong)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

struct Text<'a> {
    path: &'a Path,
    text: &'a str,
}

type Values = Vec<(&'static str, Origin)>;

impl Text<'_> {
    fn values(&self) -> Result<Values, SettingsError> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let at = error.span().unwrap_or(0..0);
            self.wrong(&at, error.message())
        })?;
        let mut values = Values::new();
        self.walk(table.get_ref(), "", &mut values)?;
        Ok(values)
    }

    fn walk(
        &self,
        table: &DeTable<'_>,
        before: &str,
        values: &mut Values,
    ) -> Result<(), SettingsError> {
        for (name, value) in table {
            let full = match before {
                "" => name.get_ref().to_string(),
                before => format!("{before}.{}", name.get_ref()),
            };
            if let Some(key) = keys::find(&full) {
                let source = self.source(&name.span());
                let value = self.value(key, value)?;
                values.push((key.name, Origin { value, source }));
            } else if let (true, DeValue::Table(inner)) = (keys::is_section(&full), value.get_ref())
            {
                self.walk(inner, &full, values)?;
            } else if keys::is_section(&full) {
                return Err(self.wrong(
                    &value.span(),
                    &format!("`{full}` is a section: write [{full}]"),
                ));
            } else {
                let near = match keys::nearest(&full) {
                    Some(near) => format!("did you mean `{near}`"),
                    None => "`regatta settings` lists those that there are".to_owned(),
                };
                return Err(self.wrong(&name.span(), &format!("unknown key `{full}`: {near}")));
            }
        }
        Ok(())
    }

    fn value(&self, key: &Key, value: &Spanned<DeValue<'_>>) -> Result<Value, SettingsError> {
        let expected = |what: &str| {
            let found = value.get_ref().type_str();
            self.wrong(
                &value.span(),
                &format!("{} takes {what}, not this {found}", key.name),
            )
        };
        match (key.kind, value.get_ref()) {
            (Kind::Text, DeValue::String(text)) => Ok(Value::Text(text.to_string())),
            (Kind::Text, _) => Err(expected("a text in quotes")),
            (Kind::Word(words), DeValue::String(text)) if words.contains(&text.as_ref()) => {
                Ok(Value::Text(text.to_string()))
            }
            (Kind::Word(words), _) => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                let detail = format!("{} is one of {}", key.name, words.join(", "));
                Err(self.wrong(&value.span(), &detail))
            }
            (Kind::Switch, DeValue::Boolean(on)) => Ok(Value::Switch(*on)),
            (Kind::Switch, _) => Err(expected("true or false")),
            (Kind::List, _) => Ok(Value::List(self.list(key, value)?)),
            (Kind::Map, DeValue::Table(table)) => {
                let mut map = BTreeMap::new();
                for (name, list) in table {
                    map.insert(name.get_ref().to_string(), self.list(key, list)?);
                }
                Ok(Value::Map(map))
            }
            (Kind::Map, _) => Err(expected("a table of lists")),
        }
    }

    fn list(&self, key: &Key, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, SettingsError> {
        let wrong = |value: &Spanned<DeValue<'_>>| {
            let detail = format!("{} takes lists of texts: [\"one\", \"two\"]", key.name);
            self.wrong(&value.span(), &detail)
        };
        let DeValue::Array(items) = value.get_ref() else {
            return Err(wrong(value));
        };
        let text = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            _ => Err(wrong(item)),
        };
        items.iter().map(text).collect()
    }

    fn source(&self, at: &Range<usize>) -> Source {
        let before = &self.text[..self.text.floor_char_boundary(at.start)];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Source::File {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn wrong(&self, at: &Range<usize>, detail: &str) -> SettingsError {
        SettingsError {
            place: self.source(at).to_string(),
            // A parser's message may have a second line with what it expected.
            detail: detail.replace('\n', ", "),
        }
    }
}
