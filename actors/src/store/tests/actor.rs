//! The actor: one sync for many, order, room, failure and the end.

use std::sync::Arc;

use super::SALT;
use crate::store::disk::simulated::SimulatedDisk;
use crate::store::index::OpenedIndex;
use crate::store::{Batch, Sizes, Store, StoreError, Table};

async fn store(disk: &SimulatedDisk) -> Store {
    let disk = Arc::new(disk.clone());
    let opened = Store::open(disk, OpenedIndex::in_memory, (SALT, Sizes::default()), None).await;
    opened.expect("opens").0
}

fn batch(key: u32, value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch
        .put(Table::Entries, &key.to_be_bytes(), value)
        .expect("it fits");
    batch
}

#[tokio::test(start_paused = true)]
async fn a_hundred_at_once_share_few_syncs() {
    let disk = SimulatedDisk::new();
    let store = store(&disk).await;
    let before = disk.syncs();
    let mut waiting = Vec::new();
    for key in 0..100 {
        let submitted = store.submit(batch(key, b"value")).await;
        waiting.push(submitted.expect("there is room"));
    }
    for pending in waiting {
        assert_eq!(pending.durable().await, Ok(()));
    }
    let syncs = disk.syncs() - before;
    assert!(syncs <= 10, "{syncs} syncs for 100 commits");
    let found = store
        .scan(Table::Entries, b"", None, 1000, usize::MAX)
        .await;
    assert_eq!(found.expect("reads").len(), 100);
    assert_eq!(store.close().await, Ok(()));
    assert_eq!(
        store.commit(batch(1, b"late")).await,
        Err(StoreError::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_of_those_in_order_holds() {
    let disk = SimulatedDisk::new();
    let store = store(&disk).await;
    let mut last = None;
    for round in 0_u32..200 {
        let submitted = store.submit(batch(1, &round.to_be_bytes())).await;
        last = Some(submitted.expect("there is room"));
    }
    assert_eq!(last.expect("some").durable().await, Ok(()));
    let found = store.get(Table::Entries, &1_u32.to_be_bytes()).await;
    assert_eq!(found, Ok(Some(199_u32.to_be_bytes().to_vec())));
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_fails_all_that_wait_and_the_actor() {
    let disk = SimulatedDisk::new();
    let store = store(&disk).await;
    assert_eq!(store.commit(batch(0, b"first")).await, Ok(()));
    disk.fail_sync_after(0);
    let mut waiting = Vec::new();
    for key in 1..50 {
        let submitted = store.submit(batch(key, b"value")).await;
        waiting.push(submitted.expect("there is room"));
    }
    for pending in waiting {
        let outcome = pending.durable().await;
        assert!(
            matches!(outcome, Err(StoreError::Failed { .. })),
            "{outcome:?}"
        );
    }
    // The actor ends, and its supervisor decides.
    while store.health().await.is_ok() {}
    disk.heal();
    assert_eq!(
        store.commit(batch(1, b"late")).await,
        Err(StoreError::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded_and_all_of_it_arrives() {
    let disk = SimulatedDisk::new();
    let store = store(&disk).await;
    let value = vec![7; 1024 * 1024];
    let mut tasks = Vec::new();
    for key in 0..40 {
        let (store, batch) = (store.clone(), batch(key, &value));
        tasks.push(tokio::spawn(async move { store.commit(batch).await }));
    }
    for task in tasks {
        assert_eq!(task.await.expect("no panic"), Ok(()));
    }
    let health = store.health().await.expect("it lives");
    assert!(health.segments >= 5, "{health:?}");
    assert!(health.live >= 20 * 1024 * 1024, "{health:?}");
}
