//! A disk in memory that knows what a power cut leaves: what was synced, and any part of the rest.

mod lease;
mod step;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regatta_protocol::prng::Prng;

pub use self::lease::Lease;
pub use self::step::Step;
use super::{Disk, DiskFile};

/// What a card writes at once: a torn write may leave any of these as zeros.
const SECTOR: usize = 512;

/// A folder in memory; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Since the last sync of the folder.
    name_changes: Vec<NameChange>,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    /// Handles of an earlier life of the machine work no longer.
    life: u64,
    /// In which life somebody took it.
    taken: Option<u64>,
    faults: Faults,
    syncs: u64,
}

#[derive(Debug, Default)]
struct Faults {
    capacity: Option<u64>,
    /// What it says is free, whatever is.
    claims_free: Option<u64>,
    /// Syncs that still succeed.
    sync_fails_after: Option<u64>,
    /// Changes of any kind before the power goes.
    power_fails_after: Option<u64>,
    power_failed_in: Option<Step>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Create(String, u64),
    Rename(String, String, u64),
    Remove(String),
}

#[derive(Debug, Default)]
struct Content {
    /// What readers see.
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync.
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl Change {
    fn perform(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => {
                let end = offset + written.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(written);
            }
            Self::Truncate(length) => bytes.resize(*length, 0),
        }
    }

    /// What is left of it after a power cut.
    fn torn(self, prng: &mut Prng) -> Option<Self> {
        let Self::Write(offset, mut bytes) = self else {
            return prng.chance(500_000).then_some(self);
        };
        match prng.below(4) {
            0 => return None,
            1 => bytes.truncate(index(prng, bytes.len() + 1)),
            2 => {
                for sector in bytes.chunks_mut(SECTOR) {
                    if prng.chance(400_000) {
                        sector.fill(0);
                    }
                }
            }
            _ => {}
        }
        Some(Self::Write(offset, bytes))
    }
}

fn index(prng: &mut Prng, bound: usize) -> usize {
    usize::try_from(prng.below(bound as u64)).unwrap_or(0)
}

impl SimulatedDisk {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A power cut: of what was not synced any part is lost, torn or kept, whatever its order.
    pub fn crash(&self, seed: u64) {
        let mut prng = Prng::from_number(seed);
        let mut state = self.state();
        state.life += 1;
        state.faults.power_fails_after = None;
        let mut names = std::mem::take(&mut state.durable_names);
        for change in std::mem::take(&mut state.name_changes) {
            if prng.chance(500_000) {
                continue;
            }
            match change {
                NameChange::Create(name, file) => {
                    names.insert(name, file);
                }
                NameChange::Rename(from, to, file) => {
                    names.retain(|name, known| (name, *known) != (&from, file));
                    names.insert(to, file);
                }
                NameChange::Remove(name) => {
                    names.remove(&name);
                }
            }
        }
        state.names = names.clone();
        state.durable_names = names;
        for content in state.files.values_mut() {
            // All, none, or a part.
            let fate = prng.below(3);
            for change in std::mem::take(&mut content.changes) {
                let kept = match fate {
                    0 => None,
                    1 => Some(change),
                    _ => change.torn(&mut prng),
                };
                if let Some(kept) = kept {
                    kept.perform(&mut content.durable);
                }
            }
            content.seen = content.durable.clone();
        }
    }

    /// The process is killed and the machine lives on: everything that was written is there.
    pub fn kill(&self) {
        self.state().life += 1;
    }

    /// Has every sync fail from the one after the next `syncs` on; what it was to make durable stays
    /// visible and is lost at the next power cut, as on Linux.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.state().faults.sync_fails_after = Some(syncs);
    }

    /// Has the power go in the middle of things: after so many writes, syncs and changes of names
    /// everything fails, until [`SimulatedDisk::crash`] says what is left.
    pub fn cut_power_after(&self, changes: u64) {
        self.state().faults.power_fails_after = Some(changes);
    }

    /// In which step of the work the power went that [`Self::cut_power_after`] cut.
    #[must_use]
    pub fn power_failed_in(&self) -> Option<Step> {
        self.state().faults.power_failed_in
    }

    /// Takes all faults away, but not what they did.
    pub fn heal(&self) {
        self.state().faults = Faults::default();
    }

    /// How many bytes fit.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().faults.capacity = Some(bytes);
    }

    /// Has it say that so much is free, as one does where others write at the same time.
    pub fn claim_free(&self, bytes: u64) {
        self.state().faults.claims_free = Some(bytes);
    }

    /// How many bytes all files have.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// How often a file was synced.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Changes what a file holds behind the back of whoever wrote it, durably.
    pub fn damage(&self, name: &str, harm: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let Some(file) = state.names.get(name).copied() else {
            return;
        };
        if let Some(content) = state.files.get_mut(&file) {
            harm(&mut content.seen);
            content.durable = content.seen.clone();
            content.changes.clear();
        }
    }

    /// Takes a file away behind the back of whoever wrote it, durably.
    pub fn lose(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    /// What a file holds, synced or not.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let file = state.names.get(name)?;
        Some(state.files.get(file)?.seen.clone())
    }

    /// Another disk with all that is on this one, synced.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = self.state();
        let files = state.files.iter().map(|(file, content)| {
            let copy = Content {
                seen: content.seen.clone(),
                durable: content.seen.clone(),
                changes: Vec::new(),
            };
            (*file, copy)
        });
        let copy = State {
            names: state.names.clone(),
            durable_names: state.names.clone(),
            files: files.collect(),
            next_file: state.next_file,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(copy)))
    }
}

impl State {
    fn used(&self) -> u64 {
        let named = self.names.values().filter_map(|file| self.files.get(file));
        named.map(|content| content.seen.len() as u64).sum()
    }

    fn change(&mut self, file: u64, change: Change) -> io::Result<()> {
        let content = self.files.get_mut(&file).ok_or_else(not_found)?;
        change.perform(&mut content.seen);
        content.changes.push(change);
        Ok(())
    }

    fn free(&self) -> u64 {
        let capacity = self.faults.capacity.unwrap_or(u64::MAX);
        capacity.saturating_sub(self.used())
    }

    /// Whether there is power for one more change.
    fn power(&mut self, step: Step) -> io::Result<()> {
        match &mut self.faults.power_fails_after {
            Some(0) => {
                self.faults.power_failed_in.get_or_insert(step);
                Err(io::Error::other("simulated power cut"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether one more sync succeeds.
    fn sync(&mut self) -> io::Result<()> {
        match &mut self.faults.sync_fails_after {
            Some(0) => Err(io::Error::other("simulated fault of the disk")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn length(&self, file: u64) -> usize {
        self.files
            .get(&file)
            .map_or(0, |content| content.seen.len())
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl Disk for SimulatedDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.power(Step::Create)?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.next_file += 1;
        let file = state.next_file;
        state.names.insert(name.to_owned(), file);
        let change = NameChange::Create(name.to_owned(), file);
        state.name_changes.push(change);
        state.files.insert(file, Content::default());
        Ok(Arc::new(SimulatedFile {
            disk: self.clone(),
            file,
            life: state.life,
        }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        let file = *state.names.get(name).ok_or_else(not_found)?;
        Ok(Arc::new(SimulatedFile {
            disk: self.clone(),
            file,
            life: state.life,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.power(Step::Rename)?;
        let file = state.names.remove(from).ok_or_else(not_found)?;
        state.names.insert(to.to_owned(), file);
        let change = NameChange::Rename(from.to_owned(), to.to_owned(), file);
        state.name_changes.push(change);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.power(Step::Remove)?;
        state.names.remove(name).ok_or_else(not_found)?;
        let change = NameChange::Remove(name.to_owned());
        state.name_changes.push(change);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.state();
        state.power(Step::SyncFolder)?;
        state.sync()?;
        state.name_changes.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.state();
        Ok(state.faults.claims_free.unwrap_or_else(|| state.free()))
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    file: u64,
    life: u64,
}

impl SimulatedFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.life != self.life {
            return Err(io::Error::other("opened before the power cut"));
        }
        Ok(state)
    }
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.length(self.file) as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state()?;
        let content = state.files.get(&self.file).ok_or_else(not_found)?;
        let rest = content.seen.get(position(offset)..).unwrap_or_default();
        let read = rest.len().min(bytes.len());
        bytes[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let start = position(offset);
        if let Err(error) = state.power(Step::Write) {
            // The last write reached the cache, or a part of it did.
            state.change(self.file, Change::Write(start, bytes.to_vec()))?;
            return Err(error);
        }
        let end = start + bytes.len();
        let grows = end.saturating_sub(state.length(self.file)) as u64;
        let free = state.free();
        let missing = position(grows.saturating_sub(free));
        let fits = bytes.len().saturating_sub(missing);
        state.change(self.file, Change::Write(start, bytes[..fits].to_vec()))?;
        if missing > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.power(Step::Truncate)?;
        state.change(self.file, Change::Truncate(position(length)))
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut state = self.state()?;
        state.power(Step::Allocate)?;
        if length.saturating_sub(state.length(self.file) as u64) > state.free() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.change(self.file, Change::Truncate(position(length)))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state()?;
        state.power(Step::Sync)?;
        state.syncs += 1;
        let outcome = state.sync();
        let content = state.files.get_mut(&self.file).ok_or_else(not_found)?;
        // After a failure the pages count as clean: no later sync writes them.
        for change in std::mem::take(&mut content.changes) {
            if outcome.is_ok() {
                change.perform(&mut content.durable);
            }
        }
        outcome
    }
}
