//! Which folder stands for which devices, and which files it has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use regatta_protocol::codec::Name;

use super::{ImportError, Note, Options};

/// How deep folders are followed.
const DEPTH_MAX: usize = 16;

/// A folder that stands for devices.
pub(super) struct Level {
    pub(super) folder: PathBuf,
    /// From the top down.
    pub(super) labels: Vec<(Name, Name)>,
    /// Its files: their names from it downwards, and where they lie.
    pub(super) files: Vec<(Vec<String>, PathBuf)>,
}

/// What a folder holds, by name; what nobody means is left out and noted.
struct Listed {
    folders: BTreeMap<String, PathBuf>,
    files: BTreeMap<String, PathBuf>,
}

struct Walk<'a> {
    options: &'a Options,
    notes: &'a mut Vec<Note>,
    levels: Vec<Level>,
}

/// All that stand for devices, the top first.
pub(super) fn levels(
    folder: &Path,
    options: &Options,
    notes: &mut Vec<Note>,
) -> Result<Vec<Level>, ImportError> {
    let mut walk = Walk {
        options,
        notes,
        levels: Vec::new(),
    };
    walk.level(folder, &[], 0)?;
    Ok(walk.levels)
}

impl Walk<'_> {
    fn note(&mut self, path: &Path, detail: impl Into<String>) {
        self.notes.push(Note {
            path: path.to_owned(),
            detail: detail.into(),
        });
    }

    fn list(&mut self, folder: &Path) -> Result<Listed, ImportError> {
        let unread = |error| ImportError::Unread {
            path: folder.to_owned(),
            error,
        };
        let mut listed = Listed {
            folders: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        let mut left = Vec::new();
        for entry in fs::read_dir(folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let kind = entry.file_type().map_err(unread)?;
            let path = entry.path();
            match entry.file_name().into_string() {
                Err(_) => left.push((path, "left out: its name is not UTF-8")),
                Ok(name) if name.starts_with('.') => left.push((path, "left out: it is hidden")),
                Ok(name) if name.contains(char::is_control) => {
                    left.push((path, "left out: its name has a control character"));
                }
                Ok(name) if kind.is_dir() => drop(listed.folders.insert(name, path)),
                Ok(name) if kind.is_file() => drop(listed.files.insert(name, path)),
                Ok(_) => left.push((path, "left out: neither a file nor a folder")),
            }
        }
        left.sort();
        for (path, detail) in left {
            self.note(&path, detail);
        }
        Ok(listed)
    }

    fn too_deep(&mut self, folder: &Path, depth: usize) -> bool {
        if depth > DEPTH_MAX {
            let detail = format!("left out: more than {DEPTH_MAX} folders deep");
            self.note(folder, detail);
        }
        depth > DEPTH_MAX
    }

    /// A folder that stands for devices: its files, and the labels in it.
    fn level(
        &mut self,
        folder: &Path,
        labels: &[(Name, Name)],
        depth: usize,
    ) -> Result<(), ImportError> {
        if self.too_deep(folder, depth) {
            return Ok(());
        }
        let listed = self.list(folder)?;
        let place = self.levels.len();
        self.levels.push(Level {
            folder: folder.to_owned(),
            labels: labels.to_vec(),
            files: Vec::new(),
        });
        let with_name = |(name, path)| (vec![name], path);
        let mut files: Vec<_> = listed.files.into_iter().map(with_name).collect();
        for (name, path) in listed.folders {
            match self.label(&name, &path)? {
                Some(key) => self.values(&path, &key, labels, depth + 1)?,
                None => self.plain(&path, &[name], depth + 1, &mut files)?,
            }
        }
        self.levels[place].files = files;
        Ok(())
    }

    /// The label that a folder is, if it is one.
    fn label(&mut self, name: &str, path: &Path) -> Result<Option<Name>, ImportError> {
        let Ok(key) = Name::new(name) else {
            return Ok(None);
        };
        if let Some(labels) = &self.options.labels {
            return Ok(labels.contains(name).then_some(key));
        }
        let noted = self.notes.len();
        let listed = self.list(path)?;
        // It is listed again as what it turns out to be.
        self.notes.truncate(noted);
        if listed.folders.is_empty() || !listed.files.is_empty() {
            return Ok(None);
        }
        let values: Vec<_> = listed.folders.into_keys().collect();
        let values = values.join(", ");
        self.note(
            path,
            format!("taken for a label with the values {values}: it has only folders in it"),
        );
        Ok(Some(key))
    }

    /// A folder that is a label: each folder in it is a value.
    fn values(
        &mut self,
        folder: &Path,
        key: &Name,
        labels: &[(Name, Name)],
        depth: usize,
    ) -> Result<(), ImportError> {
        let listed = self.list(folder)?;
        for path in listed.files.values() {
            self.note(
                path,
                "left out: it lies beside values of a label, in none of them",
            );
        }
        for (name, path) in listed.folders {
            let value = match Name::new(&name) {
                Ok(value) => value,
                Err(error) => {
                    self.note(&path, format!("left out: no value of a label: {error}"));
                    continue;
                }
            };
            if labels.iter().any(|(other, _)| other == key) {
                let detail = format!("left out: a folder above it is a value of {key} already");
                self.note(&path, detail);
                continue;
            }
            let mut labels = labels.to_vec();
            labels.push((key.clone(), value));
            self.level(&path, &labels, depth + 1)?;
        }
        Ok(())
    }

    /// A folder that is only a folder: all files in it, however deep.
    fn plain(
        &mut self,
        folder: &Path,
        names: &[String],
        depth: usize,
        files: &mut Vec<(Vec<String>, PathBuf)>,
    ) -> Result<(), ImportError> {
        if self.too_deep(folder, depth) {
            return Ok(());
        }
        let listed = self.list(folder)?;
        let below = |name: String| {
            let mut names = names.to_vec();
            names.push(name);
            names
        };
        let here = listed.files.into_iter();
        files.extend(here.map(|(name, path)| (below(name), path)));
        for (name, path) in listed.folders {
            self.plain(&path, &below(name), depth + 1, files)?;
        }
        Ok(())
    }
}
