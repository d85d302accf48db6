//! Founding a fleet: the root's keys in files, and this node as its first manager.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use regatta_actors::identity::NodeIdentity;
use regatta_protocol::codec::Name;
use regatta_protocol::ident::{FleetId, NodeId};
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::founding;
use regatta_protocol::trust::statement::Statement;

use crate::folder::{FolderError, Membership, StateFolder, fresh_keys};
use crate::root_key::RootKey;

/// What is founded.
#[derive(Clone, Debug)]
pub struct FoundAsk {
    /// The fleet's name.
    pub fleet: Name,
    /// What its first manager is called.
    pub node: Name,
    /// Where the root's key goes.
    pub root_key: PathBuf,
}

/// A fleet that was founded.
#[derive(Clone, Debug)]
pub struct NewFleet {
    /// Its id.
    pub id: FleetId,
    /// Where the root's key is.
    pub root_key: PathBuf,
    /// Where the key is that follows it.
    pub next_key: PathBuf,
}

/// Where the key goes that follows the one in `root_key`.
fn next_to(root_key: &Path) -> PathBuf {
    let stem = root_key.file_stem().unwrap_or_default().to_string_lossy();
    let mut name = format!("{stem}-next");
    if let Some(extension) = root_key.extension() {
        name.push('.');
        name.push_str(&extension.to_string_lossy());
    }
    root_key.with_file_name(name)
}

/// Founds a fleet whose first manager has its state in `folder`.
///
/// # Errors
/// When the folder belongs to a fleet, or a file cannot be written. What was written until then stays
/// and does no harm: without `member.toml` there is no node.
pub fn found(
    folder: &StateFolder,
    ask: &FoundAsk,
    at: Millis,
    prng: &mut Prng,
) -> Result<NewFleet, FolderError> {
    let _lock = folder.begin()?;
    let next_key = next_to(&ask.root_key);
    let founded = founding::found(ask.fleet.clone(), at, prng);
    let (fleet, key) = (&ask.fleet, &founded.key);
    let secrets = match folder.keys()? {
        Some(secrets) => secrets,
        None => {
            let secrets = fresh_keys(prng);
            folder.keep_keys(&secrets)?;
            Arc::new(secrets)
        }
    };
    let about = format!("The root key of the fleet '{fleet}'. Keep it off line.");
    RootKey::write(&ask.root_key, &about, key)?;
    let about = format!(
        "The key that follows the root key of the fleet '{fleet}' when it is rotated. Keep it off \
         line, and apart from that one."
    );
    RootKey::write(&next_key, &about, &founded.next)?;
    let node = NodeId(prng.bytes());
    let keys = secrets.public();
    let certificate = founding::manager_certificate(1, node, ask.node.clone(), keys, at);
    let signed = founding::certify(&certificate, &founded.fleet, key);
    folder.keep_member(&Membership {
        identity: NodeIdentity {
            fleet: founded.fleet,
            root: founded.root,
            statements: vec![Statement::Certify(signed.clone())],
            certificate: signed,
            secrets,
        },
        certificate,
        fleet_name: fleet.to_string(),
        contacts: Vec::new(),
        met: Vec::new(),
    })?;
    Ok(NewFleet {
        id: founded.fleet,
        root_key: ask.root_key.clone(),
        next_key,
    })
}

#[cfg(test)]
mod tests {
    use super::{FoundAsk, found, next_to};
    use crate::folder::{FolderError, StateFolder, write_secret};
    use crate::root_key::{RootKey, signers};
    use regatta_protocol::codec::{self, Name};
    use regatta_protocol::machine::Millis;
    use regatta_protocol::prng::Prng;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    #[test]
    fn what_was_founded_reads_back_and_is_not_founded_twice() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = StateFolder::at(&place.path().join("state"));
        let ask = FoundAsk {
            fleet: Name::new("acme").expect("a name"),
            node: Name::new("m1").expect("a name"),
            root_key: place.path().join("acme-root.key"),
        };
        let at = Millis(1_795_132_800_000);
        let new = found(&folder, &ask, at, &mut Prng::from_number(1)).expect("it is founded");
        let member = folder.member().expect("it is a member");
        assert_eq!(member.identity.fleet, new.id);
        assert_eq!(member.certificate.name.as_str(), "m1");
        assert!(member.identity.holdings().is_ok());
        let document = codec::decode(&member.identity.root.bytes).expect("a document");
        let keys = RootKey::read_all(std::slice::from_ref(&new.root_key)).expect("a key");
        assert_eq!(signers(&document, &keys).expect("the root's").len(), 1);
        let next = RootKey::read_all(&[new.next_key]).expect("a key");
        assert!(signers(&document, &next).is_err(), "not in force yet");
        let again = found(&folder, &ask, at, &mut Prng::from_number(2));
        assert!(matches!(again, Err(FolderError::Taken { .. })));
        assert_eq!(folder.member().expect("as before").identity.fleet, new.id);
    }

    #[test]
    fn a_secret_takes_no_files_place_and_leaves_nothing_beside_it() {
        let place = tempfile::tempdir().expect("a folder");
        let key = place.path().join("acme-root.key");
        let (theirs, aside) = (place.path().join("theirs"), place.path().join("aside"));
        write_secret(&key, b"first").expect("there was none");
        let taken = write_secret(&key, b"second").expect_err("it is there");
        assert!(taken.to_string().contains("it is there already"), "{taken}");
        assert_eq!(std::fs::read(&key).expect("ours"), b"first");
        // A link that leads elsewhere is there too, also where what it names is not.
        std::os::unix::fs::symlink(&theirs, &aside).expect("linked");
        write_secret(&aside, b"secret").expect_err("it is there");
        assert!(!theirs.exists());
        let left = std::fs::read_dir(place.path()).expect("ours").count();
        assert_eq!(left, 2, "the key and the link");
    }

    #[test]
    fn two_do_not_found_or_join_in_one_folder_at_once() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = StateFolder::at(place.path());
        let lock = folder.begin().expect("nobody is there");
        let busy = folder.begin().expect_err("somebody is");
        assert!(busy.to_string().contains("wait for it"), "{busy}");
        drop(lock);
        folder.begin().expect("nobody is there any more");
    }

    #[test]
    fn keys_that_others_may_read_are_refused() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = StateFolder::at(place.path());
        folder.make().expect("a folder");
        folder
            .keep_keys(&crate::folder::fresh_keys(&mut Prng::from_number(3)))
            .expect("kept");
        assert!(folder.keys().expect("readable").is_some());
        let path = place.path().join("identity/keys.toml");
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&path, open).expect("it is ours");
        let error = folder.keys().expect_err("others may read it");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn the_next_key_lies_beside_the_first() {
        assert_eq!(
            next_to(Path::new("a/acme-root.key")),
            Path::new("a/acme-root-next.key")
        );
        assert_eq!(next_to(Path::new("key")), Path::new("key-next"));
    }
}
