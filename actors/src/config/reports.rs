//! Reading what devices reported of their configuration.

use regatta_protocol::config::standing::Reports;
use regatta_protocol::ledger::entry::{LedgerId, LedgerKind};

use crate::ledger::stored::whole;
use crate::pulled::kept;
use crate::store::{Store, StoreError, Table};

/// Reads what was reported before this start.
///
/// # Errors
/// When the store fails.
pub async fn read(store: &Store) -> Result<Reports, StoreError> {
    let states = kept::streams(whole(store, Table::StreamStates).await?);
    let read = store.read(move |reader| {
        let mut reports = Reports::default();
        for state in states {
            let LedgerId { author, kind, .. } = state.ledger;
            if kind == LedgerKind::Report {
                kept::each_of_stream(reader, author, kind, |generation, entry| {
                    reports.take(generation, &entry);
                })?;
            }
        }
        Ok(reports)
    });
    read.await
}
