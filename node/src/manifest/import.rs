//! Configuration kept as folders by label and value, as rapyuta.io has it, turned into manifests.
//!
//! A folder stands for devices: the top for all, `country/japan` in it for those whose label `country`
//! is `japan`, and so on downwards. Its YAML and JSON files are values, under their names; everything
//! else is a content. What lies deeper goes before what lies higher, and lists are appended, as there.
//! A folder that has nothing but folders in it is taken for a label; which ones is said.

mod level;
mod walk;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use regatta_protocol::codec::Name;
use regatta_protocol::ident::Hash;
use thiserror::Error;

pub use self::level::PRIORITY_STEP;
use super::{Body, Content, ContentSource, Manifest, write_here};

/// What an import is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the documents' names begin with.
    pub name: Name,
    /// Where files come to lie on devices, as an absolute path.
    pub root: String,
    /// Whether YAML and JSON files are written on devices too, or are values alone.
    pub rendered: bool,
    /// The folders that are labels; where nobody says, those that have only folders in them.
    pub labels: Option<BTreeSet<String>>,
}

impl Options {
    /// Those for a folder of this name: files lie under `/opt`, where devices allow them.
    #[must_use]
    pub fn new(name: Name) -> Self {
        Self {
            root: format!("/opt/{name}"),
            name,
            rendered: true,
            labels: None,
        }
    }
}

/// Something that was not done as one might think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file or folder.
    pub path: PathBuf,
    /// What was made of it.
    pub detail: String,
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path.display(), self.detail)
    }
}

/// What became of a tree of folders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// A document for each folder that stands for devices and has files.
    pub manifests: Vec<Manifest>,
    /// What was not understood, and what was guessed.
    pub notes: Vec<Note>,
}

impl Imported {
    /// All documents as one YAML file, contents named by where they lie here.
    #[must_use]
    pub fn yaml(&self) -> String {
        let write = |manifest: &Manifest| match &manifest.body {
            Body::Config(config) => write_here(&manifest.name, config, &|hash: &Hash| {
                config.contents.get(hash).and_then(path_of)
            }),
        };
        let documents: Vec<_> = self.manifests.iter().map(write).collect();
        documents.join("---\n")
    }
}

fn path_of(content: &Content) -> Option<String> {
    match &content.source {
        // Wherever the document is put it leads there.
        ContentSource::File(path) => {
            let path = std::path::absolute(path).ok()?;
            path.to_str().map(str::to_owned)
        }
        ContentSource::Bytes(_) => None,
    }
}

/// A folder that cannot be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Something in it cannot be read.
    #[error("{}: cannot be read: {error}", path.display())]
    Unread {
        /// What.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It holds no file that could be taken.
    #[error("{}: no file in it; name the folder whose files are for all devices", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// Where files would lie on devices is no place.
    #[error("{root:?} is no folder on a device; write it as /opt/nav")]
    Root {
        /// What was given.
        root: String,
    },
}

/// Reads a tree of folders. Nothing is changed, neither there nor in the fleet.
///
/// # Errors
/// When something in it cannot be read, or when there is nothing in it.
pub fn import(folder: &Path, options: &Options) -> Result<Imported, ImportError> {
    let straight = |part: &str| !matches!(part, "" | "." | "..");
    let root = options.root.strip_prefix('/');
    if !root.is_some_and(|root| root.split('/').all(straight)) {
        return Err(ImportError::Root {
            root: options.root.clone(),
        });
    }
    let mut imported = Imported::default();
    let levels = walk::levels(folder, options, &mut imported.notes)?;
    let mut names = BTreeSet::new();
    for level in levels {
        let manifest = level::manifest(level, options, &mut names, &mut imported.notes)?;
        imported.manifests.extend(manifest);
    }
    if imported.manifests.is_empty() && imported.notes.is_empty() {
        return Err(ImportError::Empty {
            path: folder.to_owned(),
        });
    }
    Ok(imported)
}

#[cfg(test)]
mod tests;
