//! What `-f` names: files, folders, and what is piped in.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use regatta_protocol::config::value::KeyPath;

use super::yaml::BYTES_MAX;
use super::{Around, Gathered, ManifestError, Manifests};

/// The endings of files that are read in a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// What is piped in, in messages.
const PIPED: &str = "stdin";

/// One `-f`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `-f -`.
    Stdin,
    /// A file, or a folder whose files are read, but not those in folders in it.
    Path(PathBuf),
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        match text {
            "-" => Self::Stdin,
            path => Self::Path(path.into()),
        }
    }
}

/// Reads all of them; `known` are places in the tree that documents set which are not among them.
///
/// # Errors
/// When anything is wrong with any of them, or two documents of a kind bear one name.
pub fn read(
    sources: &[Source],
    stdin: &mut dyn Read,
    known: &[KeyPath],
) -> Result<Manifests, ManifestError> {
    let mut all = Gathered::default();
    for source in sources {
        match source {
            Source::Stdin => {
                let folder = Path::new("");
                take(&mut all, PIPED, bounded(stdin), &Around { folder, known });
            }
            Source::Path(path) if path.is_dir() => match files_of(path) {
                Ok(files) if files.is_empty() => {
                    let detail = "no file in it ends in .yaml, .yml or .json".to_owned();
                    all.wrong(&path.display().to_string(), detail);
                }
                Ok(files) => files
                    .iter()
                    .for_each(|path| take_file(&mut all, path, known)),
                Err(error) => unread(&mut all, &path.display().to_string(), &error),
            },
            Source::Path(path) => take_file(&mut all, path, known),
        }
    }
    all.finish()
}

fn take_file(all: &mut Gathered, path: &Path, known: &[KeyPath]) {
    let folder = path.parent().unwrap_or(Path::new(""));
    let bytes = File::open(path).and_then(|mut file| bounded(&mut file));
    let around = Around { folder, known };
    take(all, &path.display().to_string(), bytes, &around);
}

fn take(all: &mut Gathered, file: &str, bytes: io::Result<Vec<u8>>, around: &Around<'_>) {
    match bytes {
        Ok(bytes) => all.read(file, &bytes, around),
        Err(error) => unread(all, file, &error),
    }
}

fn unread(all: &mut Gathered, file: &str, error: &io::Error) {
    all.wrong(file, format!("cannot be read: {error}"));
}

/// One byte more than is taken shows that there is too much.
fn bounded(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The files of a folder that hold manifests, in the order of their names.
fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        let ending = path.extension().and_then(|ending| ending.to_str());
        let fits = ending.is_some_and(|ending| ENDINGS.contains(&ending));
        if !hidden && fits && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
