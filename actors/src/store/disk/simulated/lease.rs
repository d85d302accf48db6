//! A disk in memory that one store has at a time, as a folder is locked.

use std::io;
use std::sync::Arc;

use super::SimulatedDisk;
use crate::store::disk::{Disk, DiskFile};
use crate::store::error::StoreError;

/// The disk, for whoever took it; it is free again when this is dropped, or the machine has crashed.
pub struct Lease {
    disk: SimulatedDisk,
    life: u64,
}

impl SimulatedDisk {
    /// Takes the disk.
    ///
    /// # Errors
    /// When somebody has it.
    pub fn take(&self) -> Result<Lease, StoreError> {
        let mut state = self.state();
        let life = state.life;
        if state.taken == Some(life) {
            return Err(StoreError::Locked {
                folder: "a disk in memory".to_owned(),
                pid: "unknown".to_owned(),
            });
        }
        state.taken = Some(life);
        let disk = self.clone();
        Ok(Lease { disk, life })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.taken == Some(self.life) {
            state.taken = None;
        }
    }
}

impl Disk for Lease {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.disk.sync_folder()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}
