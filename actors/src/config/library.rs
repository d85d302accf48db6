//! Documents of which the body is here, read and opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use regatta_protocol::catalog::wraps::DeviceWrap;
use regatta_protocol::codec;
use regatta_protocol::config::document::{ConfigDocument, SecretTexts, Secrets};
use regatta_protocol::config::resolve::MASK;
use regatta_protocol::config::selection::Selected;
use regatta_protocol::config::value::KeyPath;
use regatta_protocol::crypto::seal::{BoxSecret, WrapPlace};
use regatta_protocol::ident::{FleetId, Hash, NodeId};

use crate::bodies::kept;
use crate::config::tree::{Library, Loaded};
use crate::store::{Reader, StoreError};

/// What a secret's sealed texts may have, in bytes.
const SECRETS_BYTES_MAX: usize = 64 * 1024;
/// What binds a document's sealed texts to their place.
pub const SECRETS_DETAIL: &[u8] = b"config secrets";

/// A document as it is read from its body.
#[derive(Debug)]
pub enum Read {
    /// Its body is not here.
    Absent,
    /// It is sealed, and nobody has handed this node the key yet.
    Sealed,
    /// It is here.
    Here(Arc<Loaded>),
    /// It is here, and nothing can be made of it: why.
    Broken(String),
}

/// Who opens what is sealed.
#[derive(Clone, Debug)]
pub struct Opener {
    /// The fleet.
    pub fleet: FleetId,
    /// The node.
    pub node: NodeId,
    /// The secret half of its key.
    pub secret: Arc<BoxSecret>,
}

impl Opener {
    /// The texts of a revision's secrets, by their places; none where no wrap is for this node.
    #[must_use]
    pub fn open(
        &self,
        revision: &Hash,
        secrets: &Secrets,
        wraps: &[DeviceWrap],
    ) -> Option<BTreeMap<KeyPath, String>> {
        let place = WrapPlace {
            fleet: &self.fleet,
            revision,
            node: &self.node,
        };
        let commitment = secrets.sealed.commitment();
        let mut fitting = wraps.iter().filter(|wrap| wrap.commitment == commitment);
        fitting.find_map(|wrap| {
            let key = wrap.wrap.unwrap_key(&self.secret, &place).ok()?;
            let opened = secrets
                .sealed
                .open(&self.fleet, SECRETS_DETAIL, &key, SECRETS_BYTES_MAX);
            let SecretTexts(texts) = codec::decode(&opened.ok()?).ok()?;
            let paired = texts.len() == secrets.paths.len();
            paired.then(|| secrets.paths.iter().cloned().zip(texts).collect())
        })
    }
}

/// What a command said, without the secrets that it was shown: it goes into reports and logs.
#[must_use]
pub fn masked(library: &Library, words: String) -> String {
    let secrets = library.values().flat_map(|loaded| loaded.secrets.values());
    mask(secrets.map(String::as_str).collect(), words)
}

/// Longer secrets first: of one that begins as another does nothing is to stay. Words are one line, so each
/// line of a secret is one of its own.
fn mask(secrets: Vec<&str>, words: String) -> String {
    let mut lines: Vec<&str> = secrets
        .into_iter()
        .flat_map(str::lines)
        .map(str::trim)
        .collect();
    lines.retain(|line| !line.is_empty());
    lines.sort_by_key(|line| std::cmp::Reverse(line.len()));
    let hide = |words: String, line: &str| words.replace(line, MASK);
    lines.into_iter().fold(words, hide)
}

/// Reads a document from the store.
///
/// # Errors
/// When the store fails.
pub fn read(
    reader: &Reader,
    selected: &Selected,
    wraps: &[DeviceWrap],
    opener: &Opener,
) -> Result<Read, StoreError> {
    let Some(body) = kept::body(reader, &selected.body.hash)? else {
        return Ok(Read::Absent);
    };
    let checked = codec::decode::<ConfigDocument>(&body).map_err(|error| error.to_string());
    let checked = checked.and_then(|document| match document.check() {
        Ok(()) => Ok(document),
        Err(error) => Err(error.to_string()),
    });
    let document = match checked {
        Ok(document) => document,
        Err(why) => return Ok(Read::Broken(why)),
    };
    let secrets = match &document.secrets {
        None => BTreeMap::new(),
        Some(secrets) => match opener.open(&selected.chosen.entry, secrets, wraps) {
            Some(texts) => texts,
            None => return Ok(Read::Sealed),
        },
    };
    Ok(Read::Here(Arc::new(Loaded {
        name: selected.name.clone(),
        chosen: selected.chosen,
        select: selected.select.clone(),
        signer: selected.signer,
        document,
        secrets,
    })))
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn what_a_command_says_of_secrets_is_masked() {
        for (secrets, said, expect) in [
            (vec!["hunter2"], "bad key hunter2", "bad key (secret)"),
            (vec!["ab", "abcd"], "abcd, ab", "(secret), (secret)"),
            (vec!["", " \n"], "nothing to hide", "nothing to hide"),
            (vec!["one\ntwo\n"], "sh: one; two", "sh: (secret); (secret)"),
        ] {
            assert_eq!(mask(secrets, said.to_owned()), expect);
        }
    }
}
