//! The seam beneath the segment code: one folder of files, on a real disk or on one that forgets.

use std::io;
use std::sync::Arc;

pub mod real;
pub mod simulated;

/// One folder without folders in it.
///
/// What a file holds is durable after its [`DiskFile::sync`], its name after [`Disk::sync_folder`];
/// before that a crash may keep any part of either.
pub trait Disk: Send + Sync {
    /// The names of all files.
    ///
    /// # Errors
    /// As the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// A new file; one that exists is an error.
    ///
    /// # Errors
    /// As the system says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// A file that exists, for reading and writing.
    ///
    /// # Errors
    /// As the system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, in place of what bore it.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a file away; who has it open may go on reading.
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync_folder(&self) -> io::Result<()>;

    /// Bytes that may still be written by this user.
    ///
    /// # Errors
    /// As the system says.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// One open file.
#[expect(
    clippy::len_without_is_empty,
    reason = "nobody asks whether a file is empty"
)]
pub trait DiskFile: Send + Sync {
    /// Its length.
    ///
    /// # Errors
    /// As the system says.
    fn len(&self) -> io::Result<u64>;

    /// Reads what is there from `offset` on; fewer bytes than asked for only at the end.
    ///
    /// # Errors
    /// As the system says.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`; after an error any part of them may be there.
    ///
    /// # Errors
    /// As the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file off.
    ///
    /// # Errors
    /// As the system says.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Takes space for this many bytes.
    ///
    /// # Errors
    /// As the system says.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Makes what was written durable; after an error that is unknown, and asking again would lie.
    ///
    /// # Errors
    /// As the system says.
    fn sync(&self) -> io::Result<()>;
}

/// Whether an error says that there is no space.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
