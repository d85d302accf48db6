//! What operators write: YAML documents, read into types that cannot be wrong, and written back.
//!
//! A file is read as trees that know their places ([`yaml`]), these become manifests ([`config`]), and
//! everything that is wrong is told at once, with file, line, column and field ([`ManifestError`]).
//! Nothing here speaks to a node: what is read is what `apply` then sends, whole or not at all.

pub mod config;
pub mod content;
mod field;
pub mod import;
pub mod problem;
pub mod secret;
pub mod sources;
mod write;
pub mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use regatta_protocol::codec::Name;
use regatta_protocol::config::value::KeyPath;

pub use self::config::Config;
use self::config::Set;
pub use self::content::{Content, ContentSource};
pub use self::problem::{ManifestError, Problem};
pub use self::write::{write, write_here};

use self::field::{Field, Fields, nearest};
use self::problem::{PROBLEMS_MAX, Report, Warning};
use self::yaml::{Data, Mark, Node};

/// The version that all documents name.
pub const API_VERSION: &str = "regatta/v1";
/// The kinds that are known.
pub const KINDS: [&str; 1] = ["Config"];

/// One document.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its name: no two of a kind bear one.
    pub name: Name,
    /// Where it was read.
    pub place: Place,
    /// What it says.
    pub body: Body,
}

/// Where a document begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as the operator named it.
    pub file: String,
    /// The line and column.
    pub at: Mark,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.file, self.at.line, self.at.column)
    }
}

/// What a document says, by its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// `kind: Config`.
    Config(Box<Config>),
}

impl Body {
    /// The kind, as it is written.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Config(_) => "Config",
        }
    }
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifests {
    /// The documents, in the order of the files.
    pub manifests: Vec<Manifest>,
    /// What looks wrong, and may be right by what other documents say.
    pub warnings: Vec<Problem>,
}

/// Reads the documents of one file.
///
/// `file` is its name for messages; paths in it are relative to `folder`; `known` are places in the
/// tree that documents set which are not read here.
///
/// # Errors
/// When anything is wrong with any of them.
pub fn read(
    file: &str,
    bytes: &[u8],
    folder: &Path,
    known: &[KeyPath],
) -> Result<Manifests, ManifestError> {
    let mut all = Gathered::default();
    all.read(file, bytes, &Around { folder, known });
    all.finish()
}

/// What several files say, while they are read.
#[derive(Default)]
struct Gathered {
    manifests: Vec<Manifest>,
    warnings: Vec<Warning>,
    problems: Vec<Problem>,
    untold: usize,
}

impl Gathered {
    fn read(&mut self, file: &str, bytes: &[u8], around: &Around<'_>) {
        let report = Report::of(file);
        let (documents, refused) = yaml::parse(bytes);
        if documents.is_empty() && refused.is_empty() {
            report.wrong(Mark::START, "", "no document in it");
        }
        refused.into_iter().for_each(|one| report.refused(one));
        let found = documents
            .iter()
            .filter_map(|document| manifest(document, around, &report));
        self.manifests.extend(found);
        let (problems, untold, warnings) = report.into_parts();
        self.problems.extend(problems);
        self.untold += untold;
        self.warnings.extend(warnings);
    }

    /// What nobody can be blamed for by line and column.
    fn wrong(&mut self, file: &str, detail: String) {
        self.problems.push(Problem {
            file: file.to_owned(),
            at: None,
            path: String::new(),
            detail,
        });
    }

    fn refuse_doubles(&mut self) {
        let mut first: BTreeMap<(&str, &Name), &Place> = BTreeMap::new();
        for manifest in &self.manifests {
            let kind = manifest.body.kind();
            match first.get(&(kind, &manifest.name)) {
                None => drop(first.insert((kind, &manifest.name), &manifest.place)),
                Some(place) => self.problems.push(Problem {
                    file: manifest.place.file.clone(),
                    at: Some(manifest.place.at),
                    path: "metadata.name".to_owned(),
                    detail: format!(
                        "{kind} {:?} stands at {place} too; keep one of them",
                        manifest.name.as_str()
                    ),
                }),
            }
        }
    }

    fn finish(mut self) -> Result<Manifests, ManifestError> {
        self.refuse_doubles();
        if !self.problems.is_empty() {
            return Err(ManifestError {
                problems: self.problems,
                untold: self.untold,
            });
        }
        // What one document wants another may set.
        let set: Vec<_> = self.manifests.iter().map(Manifest::set).collect();
        let is_set = |wanted: &KeyPath| set.iter().any(|set| set.has(wanted));
        let warnings = self.warnings.into_iter();
        let left = warnings.filter(|warning| !warning.wants.as_ref().is_some_and(is_set));
        let warnings = left
            .map(|warning| warning.problem)
            .take(PROBLEMS_MAX)
            .collect();
        Ok(Manifests {
            manifests: self.manifests,
            warnings,
        })
    }
}

impl Manifest {
    fn set(&self) -> Set<'_> {
        match &self.body {
            Body::Config(config) => config.set(),
        }
    }
}

/// What a document is read with.
struct Around<'a> {
    folder: &'a Path,
    known: &'a [KeyPath],
}

fn manifest(document: &Node, around: &Around<'_>, report: &Report) -> Option<Manifest> {
    let top = Field::top(document, report);
    if !matches!(document.data, Data::Map(_)) {
        top.unfit("a map with apiVersion, kind, metadata and spec");
        return None;
    }
    let fields = top.fields(&["apiVersion", "kind", "metadata", "spec"])?;
    // All four are looked at, so that all that is wrong is told.
    let version = known_word(&fields, "apiVersion", &[API_VERSION]);
    let kind = known_word(&fields, "kind", &KINDS);
    let name = name(&fields);
    let spec = fields.need("spec", "it says what the document is for");
    let body = match (kind, spec) {
        (Some("Config"), Some(spec)) => {
            config::read(spec, around).map(|config| Body::Config(Box::new(config)))
        }
        _ => None,
    };
    version?;
    Some(Manifest {
        name: name?,
        place: Place {
            file: report.file().to_owned(),
            at: document.at,
        },
        body: body?,
    })
}

fn known_word(fields: &Fields<'_>, name: &str, known: &[&'static str]) -> Option<&'static str> {
    let words = known.join(", ");
    let field = fields.need(name, &format!("write \"{name}: {}\"", known[0]))?;
    let text = field.text(&words)?;
    let found = known.iter().find(|word| **word == text);
    if found.is_none() {
        let near = nearest(text, known).map_or_else(
            || format!("known here: {words}"),
            |near| format!("did you mean \"{near}\"?"),
        );
        field.wrong(format!("{text:?} is not known; {near}"));
    }
    found.copied()
}

fn name(fields: &Fields<'_>) -> Option<Name> {
    let metadata = fields.need("metadata", "write \"metadata: {name: …}\"")?;
    let metadata = metadata.fields(&["name"])?;
    let name = metadata.need("name", "every document has a name")?;
    name.name("a name")
}

#[cfg(test)]
mod tests;
