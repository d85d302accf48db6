//! Files that configuration manages and somebody changed by hand: noticed, reported, left as they are.

use std::collections::BTreeMap;
use std::io::Read;

use ractor::ActorProcessingErr;
use regatta_protocol::codec;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::bodies::root_of_pieces;
use regatta_protocol::limits::BODY_PIECE_BYTES_MAX;
use regatta_protocol::report::{DRIFTED_MAX, Drifted, Record};
use tokio::task::spawn_blocking;

use super::ConfigMessage;
use super::ground::{Ground, Spot};
use super::state::ConfigState;
use super::work::Files;
use crate::store::{Batch, Table};

/// Under which key of [`Table::Adopted`] lies what was reported last.
const DRIFT: &[u8] = b"drift";

/// What is known of the files' state.
#[derive(Debug, Default)]
pub(super) struct Drift {
    /// What was reported last; none until it was read.
    reported: Option<Vec<Drifted>>,
}

impl ConfigState {
    /// Compares the files with what they should be, where that may block. While something is being tried
    /// they are neither the old ones nor the new ones.
    pub(super) fn look_for_drift(&self) {
        if self.driven.machine.state().attempt.is_some() {
            return;
        }
        let files = self.shown.files.clone();
        let ground = self.driven.attempts.ground().clone();
        let myself = self.driven.myself.clone();
        spawn_blocking(move || {
            let drifted = find(&ground, &files);
            // One that is gone looks again when it is back.
            let _ = myself.cast(ConfigMessage::Drift(drifted));
        });
    }

    /// Reports what was found, where that is news.
    pub(super) async fn drifted(&mut self, found: Vec<Drifted>) -> Result<(), ActorProcessingErr> {
        let store = self.driven.beside.store.clone();
        if self.drift.reported.is_none() {
            let stored = store.get(Table::Adopted, DRIFT).await?;
            let stored = stored.and_then(|bytes| match codec::decode::<Record>(&bytes) {
                Ok(Record::Drift(drifted)) => Some(drifted),
                _ => None,
            });
            self.drift.reported = Some(stored.unwrap_or_default());
        }
        if self.drift.reported.as_ref() == Some(&found) {
            return Ok(());
        }
        for drifted in &found {
            let Drifted {
                path,
                document,
                gone,
            } = drifted;
            tracing::warn!(path, %document, gone, "a file that configuration manages was changed by hand");
        }
        let record = Record::Drift(found.clone());
        self.report(&record, None)?;
        let mut batch = Batch::new();
        batch.put(Table::Adopted, DRIFT, &codec::encode(&record))?;
        store.commit(batch).await?;
        self.drift.reported = Some(found);
        Ok(())
    }
}

fn find(ground: &Ground, files: &Files) -> Vec<Drifted> {
    let mut found = BTreeMap::new();
    for (path, file) in files {
        let spot = ground.spot(path, false).ok().flatten();
        let digest = spot.and_then(|spot| digest(&spot));
        if digest != Some(file.digest) && found.len() < DRIFTED_MAX {
            let drifted = Drifted {
                path: path.clone(),
                document: file.document.clone(),
                gone: digest.is_none(),
            };
            found.insert(path.clone(), drifted);
        }
    }
    found.into_values().collect()
}

/// The name that a file's bytes have as a body; none where there is no file.
fn digest(spot: &Spot) -> Option<Hash> {
    let mut file = spot.open().ok().flatten()?;
    let (mut pieces, mut length) = (Vec::new(), 0);
    let mut piece = Vec::with_capacity(BODY_PIECE_BYTES_MAX);
    loop {
        piece.clear();
        let mut next = (&mut file).take(BODY_PIECE_BYTES_MAX as u64);
        let read = next.read_to_end(&mut piece).ok()?;
        if read == 0 {
            return Some(root_of_pieces(length, &pieces));
        }
        length += read as u64;
        pieces.push(Hash::of(&piece));
    }
}
