//! A folder of the machine that the node runs on, held by one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::{Disk, DiskFile};
use crate::store::error::StoreError;

const LOCK: &str = "lock";
/// What a node stores is nobody else's to read.
const MODE: u32 = 0o600;

/// A real folder, locked while this lives.
#[derive(Debug)]
pub struct RealDisk {
    folder: PathBuf,
    /// Held, never read: closing it gives the folder back, also when the process is killed.
    _lock: File,
}

impl RealDisk {
    /// Makes the folder where there is none, and takes it.
    ///
    /// # Errors
    /// When it cannot be made, or another process has it.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let failed = |doing| {
            move |error: io::Error| StoreError::io(doing, &folder.display().to_string(), &error)
        };
        fs::create_dir_all(folder).map_err(failed("making the folder"))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(MODE);
        let mut lock = options
            .open(folder.join(LOCK))
            .map_err(failed("opening the lock of"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = lock.read_to_string(&mut pid);
                let known = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
                return Err(StoreError::Locked {
                    folder: folder.display().to_string(),
                    pid: if known { pid } else { "unknown".to_owned() },
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed("locking")(error)),
        }
        // For people alone; a full disk must not keep the node from opening.
        let _ = lock.set_len(0);
        let _ = lock.seek(SeekFrom::Start(0));
        let _ = write!(lock, "{}", std::process::id());
        Ok(Self {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(MODE);
        let file = options.open(self.folder.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .open(self.folder.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let found = statvfs(&self.folder)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            match self.0.read_at(&mut bytes[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        match fallocate(&self.0, FallocateFlags::empty(), 0, length) {
            // A file system that cannot: zeros take the space as well.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let zeros = vec![0; 64 * 1024];
                let mut at = 0;
                while at < length {
                    let part = (length - at).min(zeros.len() as u64);
                    let part = usize::try_from(part).unwrap_or(zeros.len());
                    self.0.write_all_at(&zeros[..part], at)?;
                    at += part as u64;
                }
                Ok(())
            }
            done => Ok(done?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
