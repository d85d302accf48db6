//! How much the store makes durable, and how fast it opens: `cargo bench -p regatta-actors`.
//!
//! On the disk of the temporary folder (`TMPDIR`), with real syncs.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use regatta_actors::store::disk::Disk;
use regatta_actors::store::disk::real::RealDisk;
use regatta_actors::store::index::OpenedIndex;
use regatta_actors::store::index::on_disk::SledIndex;
use regatta_actors::store::{Batch, Sizes, Store, Table, open};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const SALT: [u8; 8] = *b"saltsalt";
const ENTRY: [u8; 1024] = [7; 1024];
const COMMITS: u64 = 512;
const REPLAYED: u64 = 20_000;

fn main() {
    divan::main();
}

fn entry(number: u64) -> Batch {
    let mut batch = Batch::new();
    let put = batch.put(Table::Entries, &number.to_be_bytes(), &ENTRY);
    assert!(put.is_ok(), "it fits");
    batch
}

/// Durable entries of 1 KiB, so many writers at once, each waiting for its own.
#[divan::bench(args = [1, 8, 64, 512], sample_count = 5, sample_size = 1)]
fn commit(bencher: Bencher, writers: u64) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = TempDir::new().expect("a folder");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(folder.path()).expect("a disk"));
    let index = folder.path().join("index");
    let opening = Store::open(
        disk,
        move || SledIndex::open(&index),
        (SALT, Sizes::default()),
        None,
    );
    let (store, _) = runtime.block_on(opening).expect("it opens");
    bencher.counter(ItemsCount::new(COMMITS)).bench(|| {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..writers)
                .map(|writer| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        for number in 0..COMMITS / writers {
                            let number = writer * COMMITS + number;
                            store.commit(entry(number)).await.expect("durable");
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic");
            }
        });
    });
}

fn filled() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(folder.path()).expect("a disk"));
    let (mut store, _) =
        open(disk, OpenedIndex::in_memory(), SALT, Sizes::default()).expect("it opens");
    let mut numbers = 0..REPLAYED;
    loop {
        let group: Vec<Batch> = numbers.by_ref().take(1000).map(entry).collect();
        if group.is_empty() {
            return folder;
        }
        assert!(store.commit(&group).iter().all(Result::is_ok), "durable");
    }
}

/// Entries of 1 KiB that an index in memory takes at opening.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn replay_into_memory(bencher: Bencher) {
    let folder = filled();
    bencher.counter(ItemsCount::new(REPLAYED)).bench(|| {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(folder.path()).expect("a disk"));
        let (_, opened) =
            open(disk, OpenedIndex::in_memory(), SALT, Sizes::default()).expect("it opens");
        assert!(opened.replayed >= REPLAYED);
    });
}

/// The same into an empty sled.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn replay_into_sled(bencher: Bencher) {
    let folder = filled();
    bencher.counter(ItemsCount::new(REPLAYED)).bench(|| {
        let index = TempDir::new().expect("a folder");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(folder.path()).expect("a disk"));
        let index = SledIndex::open(&index.path().join("index"));
        let (_, opened) = open(disk, index, SALT, Sizes::default()).expect("it opens");
        assert!(opened.replayed >= REPLAYED);
    });
}

/// Opening with an index that has everything: its sum is checked.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn open_with_index(bencher: Bencher) {
    let folder = filled();
    let reopen = || {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(folder.path()).expect("a disk"));
        let index = SledIndex::open(&folder.path().join("index"));
        open(disk, index, SALT, Sizes::default())
            .expect("it opens")
            .1
    };
    reopen();
    bencher.counter(ItemsCount::new(REPLAYED)).bench(|| {
        assert!(reopen().replayed < REPLAYED);
    });
}
