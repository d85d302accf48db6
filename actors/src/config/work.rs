//! What there is to do to get from the documents that hold to those that are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regatta_protocol::codec::Name;
use regatta_protocol::config::adoption::{Hook, Staging, Work};
use regatta_protocol::config::document::FileSource;

use crate::config::staging::Change;
use crate::config::tree::{Library, Loaded, Rendered, Tree};

/// Files by path.
pub type Files = BTreeMap<String, Rendered>;

/// What staging finds: the work, and which files change.
pub struct Found {
    /// For the machine.
    pub work: Work,
    /// For the disk.
    pub changes: Vec<Change>,
}

/// Has the tree show what is wanted, and says what that changes.
///
/// # Errors
/// Why it cannot be made.
pub fn find(
    tree: &mut Tree,
    library: &Library,
    staging: &Staging,
    before: &Files,
) -> Result<Found, String> {
    let changed = tree.show(&staging.target, library)?;
    let files = tree.files()?;
    let changes = differing(tree, before, &files);
    // Other documents show what a changed one sets: their hooks run where their files change.
    let mut concerned: BTreeSet<Name> = staging.changes.clone();
    concerned.extend(changes.iter().filter_map(|change| {
        let file = change.file.as_ref().or(before.get(&change.path))?;
        Some(file.document.clone())
    }));
    let mut work = Work {
        writes: !changes.is_empty() || !changed.is_empty(),
        ..Work::default()
    };
    for name in &concerned {
        let good = staging.good.get(name);
        let good = good.and_then(|chosen| library.get(&chosen.revision));
        let target = staging.target.get(name);
        let target = target.and_then(|chosen| library.get(&chosen.revision));
        if let Some(target) = target {
            let hooks = &target.document.hooks;
            work.checks
                .extend(hooks.check.as_ref().map(|_| name.clone()));
            work.probes
                .extend(hooks.healthy.as_ref().map(|_| name.clone()));
            work.confirm_ms = match (work.confirm_ms, hooks.confirm_ms) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        work.hooks
            .extend(target.or(good).into_iter().flat_map(hooks_of));
        work.back.extend(good.into_iter().flat_map(hooks_of));
    }
    Ok(Found { work, changes })
}

fn hooks_of(loaded: &Arc<Loaded>) -> impl Iterator<Item = Hook> + '_ {
    let count = loaded.document.hooks.on_change.len();
    (0..u16::try_from(count).unwrap_or(u16::MAX)).map(|index| Hook {
        document: loaded.name.clone(),
        revision: loaded.chosen.revision,
        index,
    })
}

fn differing(tree: &Tree, before: &Files, files: &Files) -> Vec<Change> {
    let gone = before.keys().filter(|path| !files.contains_key(*path));
    let gone = gone.map(|path| Change {
        path: path.clone(),
        file: None,
        secret: false,
    });
    let put = files.iter().filter(|(path, file)| {
        before.get(*path).is_none_or(|was| {
            let attributes = |it: &Rendered| {
                let spec = &it.spec;
                (spec.mode, spec.owner.clone(), spec.group.clone())
            };
            was.digest != file.digest || attributes(was) != attributes(file)
        })
    });
    let put = put.map(|(path, file)| Change {
        path: path.clone(),
        secret: shows_secrets(tree, file),
        file: Some(file.clone()),
    });
    gone.chain(put).collect()
}

/// Whether a file may have a secret in it: of those the permissions are narrow by default.
fn shows_secrets(tree: &Tree, file: &Rendered) -> bool {
    let FileSource::Tree { from, .. } = &file.spec.source else {
        return false;
    };
    let mut documents = tree.documents().values();
    documents.any(|loaded| loaded.secrets.keys().any(|path| path.overlaps(from)))
}
