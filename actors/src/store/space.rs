//! Room on the disk: what is refused when it runs out, and the ballast that important writes then use.

use std::io;
use std::sync::Arc;

use super::disk::Disk;
use super::error::StoreError;
use super::limits::Sizes;

/// Its name.
pub const BALLAST: &str = "ballast";

/// Watches over free space.
pub struct Space {
    disk: Arc<dyn Disk>,
    sizes: Sizes,
    ballast: bool,
}

impl Space {
    /// Takes the ballast where there is room for it.
    pub fn open(disk: Arc<dyn Disk>, sizes: Sizes) -> Self {
        let ballast = disk
            .open(BALLAST)
            .and_then(|file| file.len())
            .is_ok_and(|length| length >= sizes.ballast);
        let mut space = Self {
            disk,
            sizes,
            ballast,
        };
        space.restore();
        space
    }

    /// Whether a write of so many bytes may begin. Important ones may use what is kept for them.
    pub fn admit(&mut self, important: bool, bytes: u64) -> Result<(), StoreError> {
        // A disk that does not say is taken to have room: the write itself will tell.
        let Ok(free) = self.disk.free_bytes() else {
            return Ok(());
        };
        let kept = if important {
            self.margin()
        } else {
            self.sizes.free_min
        };
        let needed = bytes.saturating_add(kept);
        if free >= needed {
            return Ok(());
        }
        if important && self.release() && self.disk.free_bytes().is_ok_and(|free| free >= needed) {
            return Ok(());
        }
        Err(StoreError::Full { free, needed })
    }

    /// What to say when a write found no room although there seemed to be some.
    pub fn refused(&mut self, bytes: u64) -> StoreError {
        let free = self.disk.free_bytes().unwrap_or(0);
        self.release();
        let needed = bytes.saturating_add(self.margin());
        StoreError::Full { free, needed }
    }

    /// Takes the ballast again once there is room for it and for ordinary writes.
    pub fn restore(&mut self) {
        let room = || {
            let free = self.disk.free_bytes();
            free.is_ok_and(|free| free >= self.sizes.free_min + 2 * self.sizes.ballast)
        };
        if !self.ballast && room() {
            self.ballast = self.take().is_ok();
        }
    }

    /// Whether the ballast is there; it is not while the disk is nearly full.
    pub fn has_ballast(&self) -> bool {
        self.ballast
    }

    /// Whether ordinary writes are refused: there is no room for them, or the ballast is not back.
    pub fn is_short(&self) -> bool {
        let free = self.disk.free_bytes();
        !self.ballast || free.is_ok_and(|free| free < self.sizes.free_min)
    }

    /// For frames, seals and the file system's own needs beside what is written.
    fn margin(&self) -> u64 {
        self.sizes.ballast / 32
    }

    fn take(&self) -> io::Result<()> {
        let file = match self.disk.open(BALLAST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.disk.create(BALLAST)?,
            file => file?,
        };
        file.allocate(self.sizes.ballast)
    }

    fn release(&mut self) -> bool {
        let had = self.ballast;
        self.ballast = false;
        had && self.disk.remove(BALLAST).is_ok()
    }
}
