//! The node's secret keys, as a file.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use regatta_actors::identity::NodeSecrets;
use regatta_protocol::crypto::seal::BoxSecret;
use regatta_protocol::crypto::sign::SecretKey;
use regatta_protocol::prng::Prng;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::folder::files;
use crate::folder::{FolderError, StateFolder};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    sign: Zeroizing<String>,
    seal: Zeroizing<String>,
}

/// Keys that nobody has yet.
#[must_use]
pub fn fresh(prng: &mut Prng) -> NodeSecrets {
    NodeSecrets {
        sign: SecretKey::generate(prng),
        seal: BoxSecret::generate(prng),
    }
}

impl StateFolder {
    fn keys_path(&self) -> std::path::PathBuf {
        self.identity().join("keys.toml")
    }

    /// The node's keys, where it has any.
    ///
    /// # Errors
    /// When others may read them, or they are broken.
    pub fn keys(&self) -> Result<Option<Arc<NodeSecrets>>, FolderError> {
        let path = self.keys_path();
        if !self.has(&path)? {
            return Ok(None);
        }
        let text = files::read_secret(&path)?;
        let broken = |why: &str| FolderError::Broken {
            path: path.clone(),
            why: why.to_owned(),
        };
        // The parser's own words would quote the line, which is the key.
        let file: KeyFile = toml::from_str(&text).map_err(|_| broken("it is no key file"))?;
        let sign = secret(&file.sign).ok_or_else(|| broken("sign is no key"))?;
        let seal = secret(&file.seal).ok_or_else(|| broken("seal is no key"))?;
        Ok(Some(Arc::new(NodeSecrets {
            sign: SecretKey::from_bytes(&sign),
            seal: BoxSecret::from_bytes(&seal),
        })))
    }

    /// Keeps new keys, durably.
    ///
    /// # Errors
    /// When there are some already, or the system refuses.
    pub fn keep_keys(&self, secrets: &NodeSecrets) -> Result<(), FolderError> {
        let text = Zeroizing::new(format!(
            "# The secret keys of this node. Whoever has them is this node; never copy them.\n\
             sign = \"{}\"\nseal = \"{}\"\n",
            *Zeroizing::new(HEXLOWER.encode(&*secrets.sign.to_bytes())),
            *Zeroizing::new(HEXLOWER.encode(&*secrets.seal.to_bytes())),
        ));
        files::write_secret(&self.keys_path(), text.as_bytes())
    }
}

fn secret(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(HEXLOWER.decode(text.as_bytes()).ok()?);
    let bytes: &[u8; 32] = bytes.as_slice().try_into().ok()?;
    Some(Zeroizing::new(*bytes))
}
