//! One folder's files, as one document.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regatta_protocol::codec::{self, Name, Wire as _};
use regatta_protocol::config::document::{
    ConfigDocument, FileFormat, FileSource, FileSpec, ListRule,
};
use regatta_protocol::config::value::{KeyPath, Tokens, Value};
use regatta_protocol::limits::NAME_BYTES_MAX;
use regatta_protocol::selector::Selector;

use super::walk::Level;
use super::{ImportError, Note, Options};
use crate::manifest::config::{files, tree};
use crate::manifest::field::Field;
use crate::manifest::problem::Report;
use crate::manifest::yaml::{self, Mark};
use crate::manifest::{Body, Config, Content, Manifest, Place};

/// How much more a folder weighs than the one above it; room for what is written by hand.
pub const PRIORITY_STEP: i32 = 10;

/// A document while it is made.
struct Making<'a> {
    options: &'a Options,
    notes: &'a mut Vec<Note>,
    config: Config,
    values: Value,
    /// The places that files have filled.
    places: Vec<KeyPath>,
}

/// The document of one folder; none where it has no file.
pub(super) fn manifest(
    level: Level,
    options: &Options,
    names: &mut BTreeSet<String>,
    notes: &mut Vec<Note>,
) -> Result<Option<Manifest>, ImportError> {
    if level.files.is_empty() {
        return Ok(None);
    }
    let Ok(select) = Selector::parse(&selector(&level.labels)) else {
        let detail = "left out: more labels than a selector can name".to_owned();
        let path = level.folder;
        notes.push(Note { path, detail });
        return Ok(None);
    };
    let weight = i32::try_from(level.labels.len()).unwrap_or(i32::MAX);
    let document = ConfigDocument {
        priority: weight.saturating_mul(PRIORITY_STEP),
        lists: BTreeMap::from([(KeyPath::root(), ListRule::Merge)]),
        ..ConfigDocument::default()
    };
    let mut making = Making {
        options,
        notes,
        config: Config {
            select,
            document,
            contents: BTreeMap::new(),
            secrets: Vec::new(),
        },
        values: Value::empty(),
        places: Vec::new(),
    };
    for (file, path) in &level.files {
        making.file(file, path)?;
    }
    let Some(config) = making.finished(&level.folder) else {
        return Ok(None);
    };
    Ok(Some(Manifest {
        name: name(options, &level.labels, names),
        place: Place {
            file: level.folder.display().to_string(),
            at: Mark::START,
        },
        body: Body::Config(Box::new(config)),
    }))
}

fn selector(labels: &[(Name, Name)]) -> String {
    let each = labels.iter().map(|(key, value)| format!("{key}={value}"));
    each.collect::<Vec<_>>().join(",")
}

/// A name that no other of these documents has.
fn name(options: &Options, labels: &[(Name, Name)], names: &mut BTreeSet<String>) -> Name {
    let mut text = options.name.to_string();
    for (key, value) in labels {
        text.push_str(&format!("-{key}-{value}"));
    }
    let mut count = 1;
    loop {
        let ending = match count {
            1 => String::new(),
            count => format!("-{count}"),
        };
        // Names are ASCII, so any byte can be the last.
        let room = NAME_BYTES_MAX - ending.len();
        let begin = &text[..text.len().min(room)];
        let candidate = format!("{begin}{ending}");
        if names.insert(candidate.clone()) {
            return Name::new(&candidate).expect("parts of names, cut to their length");
        }
        count += 1;
    }
}

impl Making<'_> {
    fn note(&mut self, path: &Path, detail: String) {
        let path = path.to_owned();
        self.notes.push(Note { path, detail });
    }

    fn file(&mut self, file: &[String], path: &Path) -> Result<(), ImportError> {
        let device = format!("{}/{}", self.options.root, file.join("/"));
        let format = match files::ending_format(&device) {
            Some(format @ (FileFormat::Yaml | FileFormat::Json)) => format,
            _ => return self.content(device, path),
        };
        match self.values_of(file, path)? {
            Ok(from) if self.options.rendered => {
                let source = FileSource::Tree { from, format };
                self.push(device, source);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(detail) => {
                self.note(
                    path,
                    format!("goes to devices as it is, not as values: {detail}"),
                );
                self.content(device, path)
            }
        }
    }

    /// Puts a file's values into the tree, and says where; the inner error is why it cannot be.
    fn values_of(
        &mut self,
        file: &[String],
        path: &Path,
    ) -> Result<Result<KeyPath, String>, ImportError> {
        let unread = |error| ImportError::Unread {
            path: path.to_owned(),
            error,
        };
        let length = fs::metadata(path).map_err(unread)?.len();
        if length > yaml::BYTES_MAX as u64 {
            return Ok(Err(format!("{length} bytes are too many")));
        }
        let bytes = fs::read(path).map_err(unread)?;
        let mut names = file.to_vec();
        if let Some(last) = names.last_mut()
            && let Some((stem, _)) = last.rsplit_once('.')
        {
            *last = stem.to_owned();
        }
        let place = KeyPath(names);
        if let Some(other) = self.places.iter().find(|other| other.overlaps(&place)) {
            return Ok(Err(format!("{other} stands where {place} would")));
        }
        let value = match read(&bytes, place.0.len() + 1) {
            Ok(value) => value,
            Err(detail) => return Ok(Err(detail)),
        };
        insert(&mut self.values, &place, value);
        self.places.push(place.clone());
        Ok(Ok(place))
    }

    fn content(&mut self, device: String, path: &Path) -> Result<(), ImportError> {
        match Content::of_file(path) {
            Ok((hash, content)) => {
                let bytes = content.bytes;
                self.config.contents.insert(hash, content);
                self.push(device, FileSource::Content { hash, bytes });
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
                self.note(path, format!("left out: it {error}"));
                Ok(())
            }
            Err(error) => Err(ImportError::Unread {
                path: path.to_owned(),
                error,
            }),
        }
    }

    fn push(&mut self, path: String, source: FileSource) {
        self.config.document.files.push(FileSpec {
            path,
            source,
            mode: None,
            owner: None,
            group: None,
        });
    }

    fn finished(mut self, folder: &Path) -> Option<Config> {
        self.config.document.values = Tokens::of(&self.values);
        if !codec::fits(&self.config.document) {
            let most = ConfigDocument::BYTES_MAX;
            let detail = format!("left out: a document of more than {most} bytes; split it");
            self.note(folder, detail);
            return None;
        }
        let said = !self.places.is_empty() || !self.config.document.files.is_empty();
        said.then_some(self.config)
    }
}

/// The one value of a YAML or JSON file; `depth` is how deep it comes to stand.
fn read(bytes: &[u8], depth: usize) -> Result<Value, String> {
    let (documents, refused) = yaml::parse(bytes);
    if let Some(refused) = refused.first() {
        return Err(format!("line {}: {}", refused.at.line, refused.detail));
    }
    let document = match documents.as_slice() {
        [] => return Err("it is empty".to_owned()),
        [document] => document,
        [_, ..] => return Err("it has several documents".to_owned()),
    };
    let report = Report::of("");
    let value = tree::value(&Field::top(document, &report), depth);
    let (problems, _, _) = report.into_parts();
    match (value, problems.first()) {
        (Some(value), None) => Ok(value),
        (_, Some(problem)) => {
            let line = problem.at.map_or(1, |at| at.line);
            Err(format!("line {line}: {}: {}", problem.path, problem.detail))
        }
        (None, None) => Err("it cannot be kept".to_owned()),
    }
}

/// Puts a value where nothing stands yet; what is above it are maps.
fn insert(values: &mut Value, place: &KeyPath, value: Value) {
    let Some((last, above)) = place.0.split_last() else {
        return;
    };
    let mut at = values;
    for name in above {
        let Value::Map(entries) = at else {
            return;
        };
        at = entries.entry(name.clone()).or_insert_with(Value::empty);
    }
    if let Value::Map(entries) = at {
        entries.insert(last.clone(), value);
    }
}
