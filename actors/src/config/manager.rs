//! What a manager does for configuration: it has the words of all of it.

use ractor::ActorProcessingErr;
use regatta_protocol::catalog::RevisionId;
use regatta_protocol::codec;
use regatta_protocol::config::document::{ConfigDocument, FileSource};
use regatta_protocol::ledger::entry::BodyRef;

use super::seen::Seen;
use super::state::ConfigState;
use crate::bodies::kept;
use crate::ledger::LedgerMessage;

/// The files of a document whose bytes are bodies of their own.
#[must_use]
pub fn contents(document: &ConfigDocument) -> Vec<BodyRef> {
    let files = document.files.iter();
    let contents = files.filter_map(|file| match &file.source {
        FileSource::Content { hash, bytes } => Some(BodyRef {
            hash: *hash,
            bytes: *bytes,
            carried: false,
        }),
        FileSource::Tree { .. } => None,
    });
    contents.collect()
}

impl ConfigState {
    /// A manager has the words of every revision, so that the loss of one loses none, and every older
    /// one can be gone back to.
    pub(super) async fn want_all(&mut self, seen: &Seen) -> Result<(), ActorProcessingErr> {
        let new = seen
            .bodies
            .iter()
            .filter(|(id, _)| !self.documents.named.contains(id));
        let new: Vec<(RevisionId, BodyRef)> = new.copied().collect();
        let missing = self.missing(new.iter().map(|(_, body)| *body).collect());
        let mut wanted = missing.await?;
        for (id, body) in new {
            if wanted.iter().any(|it| it.hash == body.hash) {
                continue;
            }
            let (files, sealed) = self.read_contents(body).await?;
            if sealed {
                self.documents.sealed.insert(id);
            }
            if !files.is_empty() {
                wanted.extend(self.missing(files.clone()).await?);
                self.name_files(id, files);
            }
            self.documents.named.insert(id);
        }
        self.want(wanted);
        Ok(())
    }

    /// Says to the ledger that whoever may read a document may read its files.
    pub(super) fn name_files(&self, id: RevisionId, files: Vec<BodyRef>) {
        let ledger = &self.driven.beside.ledger;
        // One that is gone is started again together with this actor.
        let _ = ledger.cast(LedgerMessage::NameFiles { id, files });
    }

    /// Which files a document names, and whether it has secrets.
    async fn read_contents(
        &self,
        body: BodyRef,
    ) -> Result<(Vec<BodyRef>, bool), ActorProcessingErr> {
        let store = &self.driven.beside.store;
        let read = store.read(move |reader| kept::body(reader, &body.hash));
        let document = read
            .await?
            .map(|body| codec::decode::<ConfigDocument>(&body));
        // What is no configuration names no files.
        let document = document.and_then(Result::ok);
        let read = document.map(|it| (contents(&it), it.secrets.is_some()));
        Ok(read.unwrap_or_default())
    }
}
