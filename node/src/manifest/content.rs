//! Contents of files: what this machine uploads before the document that names it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::bodies::{piece_hashes, root_of, root_of_pieces};
use regatta_protocol::limits::{BODY_PIECE_BYTES_MAX, FILE_BYTES_MAX};

/// A content that this machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its length.
    pub bytes: u64,
    /// Where its bytes are.
    pub source: ContentSource,
}

/// Where a content's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentSource {
    /// Here.
    Bytes(Vec<u8>),
    /// In a file, which is large, so it is read again when it is sent.
    File(PathBuf),
}

impl Content {
    /// A content that stands in a manifest.
    #[must_use]
    pub fn of_bytes(bytes: Vec<u8>) -> (Hash, Self) {
        let hash = root_of(&bytes);
        let content = Self {
            bytes: bytes.len() as u64,
            source: ContentSource::Bytes(bytes),
        };
        (hash, content)
    }

    /// A file's content: read in pieces, never held as a whole.
    ///
    /// # Errors
    /// When it cannot be read, is no file, or is larger than a file may be.
    pub fn of_file(path: &Path) -> io::Result<(Hash, Self)> {
        let mut file = opened(path)?;
        let mut piece = Vec::with_capacity(BODY_PIECE_BYTES_MAX);
        let mut hashes = Vec::new();
        let mut length = 0;
        loop {
            piece.clear();
            let limit = BODY_PIECE_BYTES_MAX as u64;
            (&mut file).take(limit).read_to_end(&mut piece)?;
            length += piece.len() as u64;
            check_length(length)?;
            if piece.is_empty() {
                break;
            }
            hashes.extend(piece_hashes(&piece));
        }
        let content = Self {
            bytes: length,
            source: ContentSource::File(path.to_owned()),
        };
        Ok((root_of_pieces(length, &hashes), content))
    }

    /// Its bytes, if they are still those of this name.
    ///
    /// # Errors
    /// When the file cannot be read, or was changed since the manifest was read.
    pub fn read(&self, hash: &Hash) -> io::Result<Vec<u8>> {
        let path = match &self.source {
            ContentSource::Bytes(bytes) => return Ok(bytes.clone()),
            ContentSource::File(path) => path,
        };
        let mut bytes = Vec::new();
        opened(path)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)?;
        if root_of(&bytes) != *hash {
            let detail = "changed while it was applied; apply again";
            return Err(io::Error::new(io::ErrorKind::InvalidData, detail));
        }
        Ok(bytes)
    }
}

fn opened(path: &Path) -> io::Result<File> {
    // Asked before it is opened: a pipe that nobody writes to would wait for ever.
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        let detail = "is no file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, detail));
    }
    check_length(found.len())?;
    File::open(path)
}

fn check_length(bytes: u64) -> io::Result<()> {
    if bytes > FILE_BYTES_MAX {
        let detail = format!("has {bytes} bytes or more; at most {FILE_BYTES_MAX} are allowed");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, detail));
    }
    Ok(())
}
