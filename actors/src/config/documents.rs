//! Documents whose words are here: read from the store, opened, and their files looked for.

use std::collections::BTreeSet;

use ractor::ActorProcessingErr;
use regatta_protocol::catalog::RevisionId;
use regatta_protocol::config::adoption::Chosen;
use regatta_protocol::config::selection::Selected;
use regatta_protocol::ledger::entry::BodyRef;

use super::library::{self, Read};
use super::manager::contents;
use super::seen::Seen;
use super::state::{ConfigState, Pending};
use crate::bodies::kept;

impl ConfigState {
    /// What held when the node ended holds again, with no peer in reach: its bodies are in the store.
    pub(super) async fn load_good(&mut self) -> Result<(), ActorProcessingErr> {
        let seen = self.ask_the_ledger().await?;
        let state = self.driven.machine.state();
        let wanted: BTreeSet<RevisionId> = [&state.good, &state.target()]
            .into_iter()
            .flat_map(|choice| choice.values().map(|chosen| chosen.revision))
            .collect();
        for selected in self.held_as(&wanted).await? {
            self.load(&selected, &seen).await?;
        }
        let good = self.driven.machine.state().good.clone();
        match self.shown.tree.show(&good, &self.documents.library) {
            Ok(_) => self.shown.files = self.shown.tree.files().unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "a document that holds cannot be read here; it is fetched again");
            }
        }
        Ok(())
    }

    /// How the ledger has these revisions, whatever holds by now.
    async fn held_as(
        &self,
        wanted: &BTreeSet<RevisionId>,
    ) -> Result<Vec<Selected>, ActorProcessingErr> {
        let wanted = wanted.clone();
        self.look(move |view| {
            let catalog = view.replica.holdings().catalog();
            let held = wanted.iter().filter_map(|id| {
                let held = catalog.revision(id)?;
                Some(Selected {
                    name: held.revision.name.clone(),
                    chosen: Chosen {
                        revision: *id,
                        entry: held.entry,
                        version: held.revision.version,
                    },
                    body: held.body?,
                    signer: held.signer,
                    select: held.revision.select.clone(),
                })
            });
            held.collect()
        })
        .await
    }

    /// Reads a document, unless that was done; says what it waits for, where it does.
    pub(super) async fn load(
        &mut self,
        selected: &Selected,
        seen: &Seen,
    ) -> Result<Option<Pending>, ActorProcessingErr> {
        let id = selected.chosen.revision;
        if self.documents.library.contains_key(&id) || self.documents.broken.contains_key(&id) {
            return Ok(None);
        }
        let wraps = seen.wraps.get(&selected.chosen.entry);
        let wraps = wraps.cloned().unwrap_or_default();
        let (asked, opener) = (selected.clone(), self.driven.opener.clone());
        let read = self
            .driven
            .beside
            .store
            .read(move |reader| library::read(reader, &asked, &wraps, &opener));
        match read.await? {
            Read::Absent => return Ok(Some(Pending::Body)),
            Read::Sealed => return Ok(Some(Pending::Key)),
            Read::Broken(why) => {
                tracing::warn!(document = %selected.name, why, "a document cannot be read");
                self.documents.broken.insert(id, why);
            }
            Read::Here(loaded) => {
                let files: Vec<BodyRef> = contents(&loaded.document);
                if !files.is_empty() {
                    self.name_files(id, files);
                }
                self.documents.library.insert(id, loaded);
            }
        }
        Ok(None)
    }

    /// Whether a file of a document is not here yet.
    pub(super) async fn contents_missing(
        &self,
        selected: &Selected,
        wanted: &mut Vec<BodyRef>,
    ) -> Result<Option<Pending>, ActorProcessingErr> {
        let Some(loaded) = self.documents.library.get(&selected.chosen.revision) else {
            return Ok(None);
        };
        let contents: Vec<BodyRef> = contents(&loaded.document);
        if contents.is_empty() {
            return Ok(None);
        }
        let missing = self.missing(contents).await?;
        let pending = (!missing.is_empty()).then_some(Pending::Body);
        wanted.extend(missing);
        Ok(pending)
    }

    /// Those of some bodies that are not here.
    pub(super) async fn missing(
        &self,
        bodies: Vec<BodyRef>,
    ) -> Result<Vec<BodyRef>, ActorProcessingErr> {
        let read = self.driven.beside.store.read(move |reader| {
            let mut missing = Vec::new();
            for body in bodies {
                if kept::length(reader, &body.hash)?.is_none() {
                    missing.push(body);
                }
            }
            Ok(missing)
        });
        Ok(read.await?)
    }
}
