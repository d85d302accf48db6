//! What operators do with configuration: write documents, and see how far devices are with them.

mod effective;
mod health;
mod rollout;
mod standing;
mod versions;

use std::collections::BTreeMap;

use hyper::body::Bytes as HttpBytes;
use regatta_actors::acts;
use regatta_actors::acts::config::{Placed, Put, apply, keep_body, plan};
use regatta_protocol::codec::{Bytes, Name};
use regatta_protocol::config::value::KeyPath;
use regatta_protocol::selector::Selector;

use super::{Desk, note, problem, saved};
use crate::control::api::{Applied, ApplyAsk, BodyGiven, DocumentChange, Problem, RollbackAsk};
use crate::control::server::Caller;
use crate::manifest::{self, Body};

/// What the request's text is called in messages.
const REQUEST: &str = "the request";

fn change(placed: Placed) -> DocumentChange {
    DocumentChange {
        unchanged: placed.is_unchanged(),
        name: placed.name.to_string(),
        before: placed.before,
        version: placed.version,
        deleted: placed.deleted,
        devices: placed.devices,
        leaves: placed.leaves,
    }
}

fn name(text: &str) -> Result<Name, Problem> {
    Name::new(text).map_err(|error| Problem::usage(error.to_string()))
}

impl Desk {
    /// Keeps bytes that a document is about to name.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn keep_body(&self, bytes: &HttpBytes) -> Result<BodyGiven, Problem> {
        let kept = keep_body(self.handles()?, Bytes::from(bytes.as_ref())).await;
        let kept = kept.map_err(problem)?;
        Ok(BodyGiven {
            hash: kept.hash.to_string(),
            bytes: kept.bytes,
        })
    }

    /// Writes documents, or says what writing them would do.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn apply(&self, caller: &Caller, ask: ApplyAsk) -> Result<Applied, Problem> {
        let dry_run = ask.dry_run;
        let mut puts = self.read(caller, ask).await?;
        self.take_over(&mut puts).await?;
        self.write(caller, puts, dry_run).await
    }

    /// Who says again what holds already changes nothing, whoever wrote it first.
    async fn take_over(&self, puts: &mut [Put]) -> Result<(), Problem> {
        let holding = self.holding().await?;
        for put in puts.iter_mut().filter(|put| put.secrets.is_empty()) {
            let found = holding.iter().find(|(version, _)| version.name == put.name);
            let (Some((version, _)), Some(document)) = (found, put.document.as_mut()) else {
                continue;
            };
            if let Some(words) = self.words_of(version).await? {
                let by = std::mem::replace(&mut document.by, words.by.clone());
                if *document != words {
                    document.by = by;
                }
            }
        }
        Ok(())
    }

    async fn write(
        &self,
        caller: &Caller,
        puts: Vec<Put>,
        dry_run: bool,
    ) -> Result<Applied, Problem> {
        if dry_run {
            let placed = plan(self.handles()?, puts).await.map_err(problem)?;
            return Ok(Applied {
                documents: placed.into_iter().map(change).collect(),
                saved: None,
            });
        }
        let written = apply(self.handles()?, puts).await.map_err(problem)?;
        let changed: Vec<String> = written
            .gives
            .iter()
            .filter(|placed| !placed.is_unchanged())
            .map(|placed| match placed.deleted {
                true => format!("config/{} is deleted", placed.name),
                false => format!("config/{}@{}", placed.name, placed.version),
            })
            .collect();
        let what = changed.join(", ");
        if !changed.is_empty() {
            note(caller, &what);
        }
        let kept = saved(&written, self.manager_count().await?, what);
        Ok(Applied {
            documents: written.gives.into_iter().map(change).collect(),
            saved: Some(kept),
        })
    }

    /// What is asked for, read and checked once more: whoever asks need not be our command line.
    pub(super) async fn read(&self, caller: &Caller, ask: ApplyAsk) -> Result<Vec<Put>, Problem> {
        let mut puts = Vec::new();
        let by = self.writer(caller).await?;
        if !ask.manifests.is_empty() {
            let nowhere = std::path::Path::new("/nonexistent");
            let read = manifest::read(REQUEST, ask.manifests.as_bytes(), nowhere, &[]);
            let read = read.map_err(|error| Problem::usage(error.to_string()))?;
            for manifest in read.manifests {
                let Body::Config(config) = manifest.body;
                let mut document = config.document;
                document.by.clone_from(&by);
                puts.push(Put {
                    by: by.clone(),
                    name: manifest.name,
                    select: config.select,
                    document: Some(document),
                    secrets: BTreeMap::new(),
                    expect: None,
                });
            }
        }
        for deleted in &ask.delete {
            puts.push(Put {
                by: by.clone(),
                name: name(deleted)?,
                select: Selector::everything(),
                document: None,
                secrets: BTreeMap::new(),
                expect: None,
            });
        }
        if puts.is_empty() {
            return Err(Problem::usage(
                "nothing to apply: no documents, and none to delete",
            ));
        }
        for (document, texts) in ask.secrets {
            let put = puts.iter_mut().find(|put| put.name.as_str() == document);
            let put = put.ok_or_else(|| {
                Problem::usage(format!(
                    "secrets for '{document}', which is not among the documents"
                ))
            })?;
            for (path, text) in texts {
                let path = KeyPath::parse(&path);
                let path = path.map_err(|error| Problem::usage(error.to_string()))?;
                put.secrets.insert(path, text);
            }
        }
        for (document, version) in ask.expect {
            if let Some(put) = puts.iter_mut().find(|put| put.name.as_str() == document) {
                put.expect = Some(version);
            }
        }
        Ok(puts)
    }

    /// Who writes, as others are shown it.
    pub(super) async fn writer(&self, caller: &Caller) -> Result<String, Problem> {
        let own = acts::look(self.handles()?, |view| {
            view.papers.certificate.name.to_string()
        });
        let own = own.await.map_err(problem)?;
        Ok(format!("{caller}@{own}"))
    }

    /// Writes a document as it was in an earlier version.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn rollback(
        &self,
        caller: &Caller,
        document: &str,
        ask: RollbackAsk,
    ) -> Result<Applied, Problem> {
        let old = self.version(document, ask.to).await?;
        let mut words = self.words(&old).await?;
        let mut secrets = BTreeMap::new();
        if let Some(sealed) = words.secrets.take() {
            // They are sealed for its own entry: for the new one they are sealed anew.
            let opened =
                regatta_actors::config::open_secrets(&self.handles()?.config, old.id, sealed);
            secrets = opened.await.map_err(problem)?.ok_or_else(|| {
                Problem::refused(format!(
                    "config/{document}@{} has secrets, and this manager has no key for them; do it on one \
                     that may hand them out (secret.wrap), or apply the document again with their sources",
                    ask.to
                ))
            })?;
        }
        words.by = self.writer(caller).await?;
        let put = Put {
            by: words.by.clone(),
            name: name(document)?,
            select: old.select,
            document: Some(words),
            secrets,
            expect: None,
        };
        self.write(caller, vec![put], ask.dry_run).await
    }
}
