//! The root's keys in files that an operator keeps off line, and what he signs with them.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use regatta_protocol::crypto::sign::{SecretKey, Sign};
use regatta_protocol::trust::root::RootDocument;
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::folder::{FolderError, read_secret, write_secret};

/// Why nothing is signed.
#[derive(Debug, Error)]
pub enum RootKeyError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FolderError),
    /// It is no root key.
    #[error("{} is no root key file; `regatta init` made one", .0.display())]
    NoKey(PathBuf),
    /// It is the key of another root.
    #[error(
        "{} is no key of the root of '{fleet}' that is in force; is it of before a rotation, or of \
         another fleet?",
        path.display()
    )]
    Stranger {
        /// The file.
        path: PathBuf,
        /// The fleet.
        fleet: String,
    },
    /// More keys have to sign.
    #[error("{threshold} keys have to sign, {found} are given; repeat --root-key")]
    Few {
        /// How many have to.
        threshold: u8,
        /// How many do.
        found: usize,
    },
}

#[derive(Deserialize)]
struct KeyFile {
    root_key: Zeroizing<String>,
}

/// A key of the root, and the file that it came from.
#[derive(Debug)]
pub struct RootKey {
    /// The key.
    pub key: SecretKey,
    path: PathBuf,
}

impl RootKey {
    /// Reads a key file.
    ///
    /// # Errors
    /// When others may read it, or it is none.
    pub fn read(path: &Path) -> Result<Self, RootKeyError> {
        let text = read_secret(path)?;
        let none = || RootKeyError::NoKey(path.to_owned());
        // The parser's own words would quote the line, which is the key.
        let file: KeyFile = toml::from_str(&text).map_err(|_| none())?;
        let bytes = HEXLOWER.decode(file.root_key.as_bytes());
        let bytes = Zeroizing::new(bytes.map_err(|_| none())?);
        let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| none())?;
        Ok(Self {
            key: SecretKey::from_bytes(bytes),
            path: path.to_owned(),
        })
    }

    /// Reads several.
    ///
    /// # Errors
    /// The first that cannot be read.
    pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Self>, RootKeyError> {
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Writes a key into a new file, 0600.
    ///
    /// # Errors
    /// When there is a file already, or the system refuses.
    pub fn write(path: &Path, about: &str, key: &SecretKey) -> Result<(), FolderError> {
        let hex = Zeroizing::new(HEXLOWER.encode(&*key.to_bytes()));
        let text = Zeroizing::new(format!("# {about}\nroot_key = \"{}\"\n", *hex));
        write_secret(path, text.as_bytes())
    }
}

/// The keys with their places in the root document, as many as have to sign.
///
/// # Errors
/// When one is not of this root, or too few are given.
pub fn signers<'a>(
    document: &RootDocument,
    keys: &'a [RootKey],
) -> Result<Vec<(u8, &'a dyn Sign)>, RootKeyError> {
    let mut signers: Vec<(u8, &dyn Sign)> = Vec::new();
    for held in keys {
        let public = held.key.public();
        let place = document.keys.keys.iter().position(|key| *key == public);
        let Some(place) = place.and_then(|place| u8::try_from(place).ok()) else {
            return Err(RootKeyError::Stranger {
                path: held.path.clone(),
                fleet: document.name.to_string(),
            });
        };
        if !signers.iter().any(|(known, _)| *known == place) {
            signers.push((place, &held.key));
        }
    }
    let (threshold, found) = (document.keys.threshold, signers.len());
    if found < usize::from(threshold) {
        return Err(RootKeyError::Few { threshold, found });
    }
    Ok(signers)
}
