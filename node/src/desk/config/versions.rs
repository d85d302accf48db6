//! Every version of a document that is held, the one that holds, and those that lost.

use regatta_actors::acts;
use regatta_actors::bodies::kept;
use regatta_actors::ledger::LedgerView;
use regatta_protocol::catalog::{CONFIG, DocumentKey, HeldRevision, RevisionId};
use regatta_protocol::codec::{self, Name};
use regatta_protocol::config::document::ConfigDocument;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::entry::BodyRef;
use regatta_protocol::machine::Millis;
use regatta_protocol::selector::Selector;

use super::name;
use crate::control::api::{ConfigVersion, Conflict, Problem, moment};
use crate::desk::names::{Names, name_of, names};
use crate::desk::{Desk, problem};

/// A version, as the ledger has it.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) id: RevisionId,
    pub(super) name: Name,
    pub(super) entry: Hash,
    pub(super) version: u32,
    pub(super) select: Selector,
    pub(super) how: How,
    pub(super) body: Option<BodyRef>,
    pub(super) at: Millis,
    pub(super) manager: String,
    pub(super) standing: Standing,
}

/// What a version does, and how it goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    AtOnce,
    InWaves,
    Deletes,
}

/// What became of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Holds,
    /// To one that was made without seeing it.
    Lost,
    Replaced,
}

impl Version {
    pub(super) fn of(
        view: &LedgerView<'_>,
        names: &Names,
        id: &RevisionId,
        held: &HeldRevision,
    ) -> Self {
        let catalog = view.replica.holdings().catalog();
        let heads = catalog.heads(&held.document());
        Self {
            id: *id,
            name: held.revision.name.clone(),
            entry: held.entry,
            version: held.revision.version,
            select: held.revision.select.clone(),
            how: match &held.revision {
                it if it.deletes => How::Deletes,
                it if it.staged => How::InWaves,
                _ => How::AtOnce,
            },
            body: held.body,
            at: held.stamp.wall,
            manager: name_of(names, &held.place.ledger.author),
            standing: match heads {
                Some(heads) if heads.winner == *id => Standing::Holds,
                Some(heads) if heads.conflicts.contains(id) => Standing::Lost,
                _ => Standing::Replaced,
            },
        }
    }

    fn state(&self) -> &'static str {
        match self.standing {
            Standing::Lost => "lost",
            _ if self.how == How::Deletes => "deletes",
            Standing::Holds => "holds",
            Standing::Replaced => "replaced",
        }
    }
}

/// The beginning of an entry's name: enough of it to be one.
fn short(entry: &Hash) -> String {
    entry.to_string()[..8].to_owned()
}

/// The key of a configuration document.
pub(super) fn key(name: &Name) -> DocumentKey {
    DocumentKey {
        scope: None,
        kind: CONFIG,
        name: name.clone(),
    }
}

impl Desk {
    /// Reads what a version says; none where its words have not come here yet.
    pub(super) async fn words_of(
        &self,
        version: &Version,
    ) -> Result<Option<ConfigDocument>, Problem> {
        let Some(body) = version.body else {
            return Ok(None);
        };
        let read = self
            .handles()?
            .store
            .read(move |reader| kept::body(reader, &body.hash));
        let read = read
            .await
            .map_err(|error| Problem::not_ready(error.to_string()))?;
        let document = read.map(|bytes| codec::decode::<ConfigDocument>(&bytes));
        document
            .transpose()
            .map_err(|error| Problem::bug(error.to_string()))
    }

    /// The same, where they have to be here.
    pub(super) async fn words(&self, version: &Version) -> Result<ConfigDocument, Problem> {
        let Version {
            name,
            version: number,
            ..
        } = version;
        let words = self.words_of(version).await?;
        words.ok_or_else(|| {
            Problem::not_ready(format!(
                "the words of config/{name}@{number} have not come to this manager yet"
            ))
        })
    }

    /// All versions of a document that are held, the latest first.
    async fn versions(&self, document: &str) -> Result<Vec<Version>, Problem> {
        let of = key(&name(document)?);
        let held = acts::look(self.handles()?, move |view| {
            let (catalog, names) = (view.replica.holdings().catalog(), names(view));
            let mut held: Vec<Version> = catalog
                .revisions(&of)
                .map(|(id, held)| Version::of(view, &names, id, held))
                .collect();
            held.sort_by_key(|it| std::cmp::Reverse((it.version, it.at)));
            held
        });
        let held = held.await.map_err(problem)?;
        if held.is_empty() {
            return Err(Problem::not_found(format!(
                "no config is called '{document}'; `regatta get configs` lists them"
            )));
        }
        Ok(held)
    }

    /// One of them.
    pub(super) async fn version(&self, document: &str, number: u32) -> Result<Version, Problem> {
        let versions = self.versions(document).await?;
        let last = versions.first().map_or(0, |it| it.version);
        let mut found = versions.into_iter().filter(|it| it.version == number);
        let missing = || {
            Problem::not_found(format!(
                "config/{document} has no version {number}; the last one is {last}: \
                 `regatta history config {document}`"
            ))
        };
        // Of two that bear one number the one that did not lose is meant.
        let first = found.next().ok_or_else(missing)?;
        let version = match first.standing {
            Standing::Lost => found
                .find(|it| it.standing != Standing::Lost)
                .unwrap_or(first),
            _ => first,
        };
        match version.how == How::Deletes {
            true => Err(Problem::refused(format!(
                "version {number} of config/{document} is its deletion: `regatta delete config \
                 {document}`"
            ))),
            false => Ok(version),
        }
    }

    async fn told(&self, version: &Version) -> Result<ConfigVersion, Problem> {
        let words = self.words_of(version).await?;
        let by = words.map_or_else(|| format!("?@{}", version.manager), |words| words.by);
        Ok(ConfigVersion {
            version: version.version,
            entry: short(&version.entry),
            by,
            at: moment(version.at.0),
            select: version.select.to_string(),
            state: version.state().to_owned(),
        })
    }

    /// All versions of a document, the latest first.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn history(&self, document: &str) -> Result<Vec<ConfigVersion>, Problem> {
        let mut told = Vec::new();
        for version in self.versions(document).await? {
            told.push(self.told(&version).await?);
        }
        Ok(told)
    }

    /// Changes that were made without seeing each other, and are still open.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn conflicts(&self) -> Result<Vec<Conflict>, Problem> {
        let open = acts::look(self.handles()?, |view| {
            let (catalog, names) = (view.replica.holdings().catalog(), names(view));
            let mut open = Vec::new();
            for (key, heads) in catalog.documents() {
                if key.kind != CONFIG || heads.conflicts.is_empty() {
                    continue;
                }
                let version = |id: &RevisionId| {
                    let held = catalog.revision(id);
                    held.map(|held| Version::of(view, &names, id, held))
                };
                let lost: Vec<Version> = heads.conflicts.iter().filter_map(version).collect();
                open.extend(version(&heads.winner).map(|winner| (winner, lost)));
            }
            open
        });
        let mut conflicts = Vec::new();
        for (winner, others) in open.await.map_err(problem)? {
            let mut lost = Vec::new();
            for other in &others {
                lost.push(self.told(other).await?);
            }
            conflicts.push(Conflict {
                name: winner.name.to_string(),
                holds: self.told(&winner).await?,
                lost,
            });
        }
        Ok(conflicts)
    }
}
