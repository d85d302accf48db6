//! What the documents that a device takes make of it: the effective tree, and the files that show it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regatta_protocol::catalog::RevisionId;
use regatta_protocol::codec::{Bytes, Name};
use regatta_protocol::config::adoption::{Choice, Chosen};
use regatta_protocol::config::document::{ConfigDocument, FileSource, FileSpec};
use regatta_protocol::config::resolve::{Changed, Class, Layer, Resolver, Weight};
use regatta_protocol::config::value::{KeyPath, Value};
use regatta_protocol::ident::{Hash, Serial};
use regatta_protocol::ledger::bodies::root_of;
use regatta_protocol::selector::Selector;

use crate::config::render::render;

/// A revision of a document whose body is here.
#[derive(Debug)]
pub struct Loaded {
    /// The document's name.
    pub name: Name,
    /// Which revision.
    pub chosen: Chosen,
    /// For whom it is.
    pub select: Selector,
    /// Under which certificate it was written.
    pub signer: Serial,
    /// What it says.
    pub document: ConfigDocument,
    /// The texts of its secrets, opened.
    pub secrets: BTreeMap<KeyPath, String>,
}

impl Loaded {
    /// Its rank among documents.
    #[must_use]
    pub fn weight(&self) -> Weight {
        Weight {
            class: Class::of(&self.select),
            priority: self.document.priority,
            name: self.name.clone(),
        }
    }

    /// What it says of the tree.
    ///
    /// # Errors
    /// When its values cannot be read.
    pub fn layer(&self) -> Result<Layer, String> {
        let layer = Layer::of(self.name.clone(), &self.select, &self.document, None);
        let layer = layer.map_err(|error| format!("config/{}: {error}", self.name))?;
        Ok(Layer {
            secrets: self.secrets.clone(),
            ..layer
        })
    }
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// Those of a body, so many of them.
    Body(u64),
}

/// A file as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The document that wants it.
    pub document: Name,
    /// What it says of the file.
    pub spec: FileSpec,
    /// What is in it.
    pub content: Content,
    /// The name that its bytes would have as a body.
    pub digest: Hash,
    /// Whether a secret is in it, by whatever reference.
    pub secret: bool,
}

/// A file that was rendered, and what it was made of.
struct Made {
    revision: RevisionId,
    places: BTreeSet<KeyPath>,
    rendered: Rendered,
}

/// The effective tree of what a device takes, and its files; only what a change touches is made anew.
#[derive(Default)]
pub struct Tree {
    resolver: Resolver,
    shows: BTreeMap<Name, Arc<Loaded>>,
    made: BTreeMap<(Name, usize), Made>,
}

/// Revisions whose bodies are here.
pub type Library = BTreeMap<RevisionId, Arc<Loaded>>;

impl Tree {
    /// The resolved values.
    #[must_use]
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// What it shows now.
    #[must_use]
    pub fn documents(&self) -> &BTreeMap<Name, Arc<Loaded>> {
        &self.shows
    }

    /// Has it show these revisions; says what changed.
    ///
    /// # Errors
    /// When the body of one is not here, or cannot be read. Then it shows what it showed before.
    pub fn show(&mut self, choice: &Choice, library: &Library) -> Result<Changed, String> {
        let mut layers = Vec::new();
        for (name, chosen) in choice {
            let shown = self.shows.get(name).map(|it| it.chosen.revision);
            if shown == Some(chosen.revision) {
                continue;
            }
            let loaded = library.get(&chosen.revision);
            let loaded = loaded.ok_or_else(|| format!("config/{name}: its body is not here"))?;
            layers.push((Arc::clone(loaded), loaded.layer()?));
        }
        let gone = self.shows.keys().filter(|name| !choice.contains_key(*name));
        let gone: Vec<Name> = gone.cloned().collect();
        let mut changed = Changed::default();
        for name in gone {
            changed.join(self.resolver.take(&name));
            self.shows.remove(&name);
        }
        for (loaded, layer) in layers {
            changed.join(self.resolver.put(layer));
            self.shows.insert(loaded.name.clone(), loaded);
        }
        let shows = &self.shows;
        self.made.retain(|(name, _), made| {
            let shown = shows.get(name).map(|it| it.chosen.revision);
            shown == Some(made.revision) && !made.places.iter().any(|it| changed.touches(it))
        });
        Ok(changed)
    }

    /// The files of all documents, by path. Where several want one path the one of most weight has it.
    ///
    /// # Errors
    /// When one cannot be made: which, and why.
    pub fn files(&mut self) -> Result<BTreeMap<String, Rendered>, String> {
        let mut by_weight: Vec<&Arc<Loaded>> = self.shows.values().collect();
        by_weight.sort_by_key(|loaded| loaded.weight());
        let mut files = BTreeMap::new();
        for loaded in by_weight {
            for (index, spec) in loaded.document.files.iter().enumerate() {
                let key = (loaded.name.clone(), index);
                if !self.made.contains_key(&key) {
                    let made = make(&self.resolver, &self.shows, loaded, spec)?;
                    self.made.insert(key.clone(), made);
                }
                if let Some(made) = self.made.get(&key) {
                    files.insert(spec.path.clone(), made.rendered.clone());
                }
            }
        }
        Ok(files)
    }
}

fn make(
    resolver: &Resolver,
    shows: &BTreeMap<Name, Arc<Loaded>>,
    loaded: &Loaded,
    spec: &FileSpec,
) -> Result<Made, String> {
    let (content, digest, places) = match &spec.source {
        FileSource::Content { hash, bytes } => (Content::Body(*bytes), *hash, BTreeSet::new()),
        FileSource::Tree { from, format } => {
            let at = |why: &dyn std::fmt::Display| {
                format!("config/{}: {}: {why}", loaded.name, spec.path)
            };
            let resolution = resolver.resolve(from);
            let value: Option<Value> = resolution.value.map_err(|error| at(&error))?;
            let missing = || {
                at(&format_args!(
                    "nothing sets '{from}', which it is made from"
                ))
            };
            let value = value.ok_or_else(missing)?;
            let bytes = render(&value, from, *format).map_err(|error| at(&error))?;
            let digest = root_of(&bytes);
            (Content::Bytes(bytes.into()), digest, resolution.reads)
        }
    };
    let mut secrets = shows.values().flat_map(|it| it.secrets.keys());
    let secret = secrets.any(|secret| places.iter().any(|read| read.overlaps(secret)));
    Ok(Made {
        revision: loaded.chosen.revision,
        places,
        rendered: Rendered {
            document: loaded.name.clone(),
            spec: spec.clone(),
            content,
            digest,
            secret,
        },
    })
}
