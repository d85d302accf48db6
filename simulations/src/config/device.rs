//! A simulated device as configuration finds it: files, and a folder for every attempt.
//!
//! Every revision of a document writes two files that say whose they are, so that a mix of two revisions
//! can be seen. A crash in the midst of a write leaves some of them as they were.

use std::collections::BTreeMap;

use regatta_protocol::catalog::RevisionId;
use regatta_protocol::codec::Name;
use regatta_protocol::config::adoption::{Choice, Staging};
use regatta_protocol::prng::Prng;

/// Files of each document.
pub const FILES: u8 = 2;

/// One file of a document.
pub type File = (Name, u8);
/// What is to be, or was, in files: the revision that wrote each, none where there is no file.
type Contents = BTreeMap<File, Option<RevisionId>>;

/// What an attempt keeps beside the files.
#[derive(Clone, Debug, Default)]
struct Folder {
    staged: Contents,
    backup: Option<Contents>,
}

/// The files of a device, and the folders of attempts.
#[derive(Clone, Debug, Default)]
pub struct Device {
    files: BTreeMap<File, RevisionId>,
    folders: BTreeMap<u64, Folder>,
}

/// How much of a piece of work is done.
#[derive(Debug)]
pub enum Much<'a> {
    /// All of it.
    All,
    /// What this randomness says: the device stopped in the midst of it.
    Some(&'a mut Prng),
}

impl Much<'_> {
    fn is_done(&mut self) -> bool {
        match self {
            Self::All => true,
            Self::Some(prng) => prng.chance(500_000),
        }
    }
}

impl Device {
    /// What is written, by file.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<File, RevisionId> {
        &self.files
    }

    /// The revision that a document's files are of; none where there are none, or not all are of one.
    #[must_use]
    pub fn shows(&self, name: &Name) -> Option<RevisionId> {
        let mut files = (0..FILES).map(|file| self.files.get(&(name.clone(), file)));
        let first = files.next()??;
        files.all(|file| file == Some(first)).then_some(*first)
    }

    /// The first file that is not what it is to be, and what was found.
    #[must_use]
    pub fn differs(&self, good: &Choice) -> Option<String> {
        let wanted = good.iter().flat_map(|(name, chosen)| {
            (0..FILES).map(move |file| ((name.clone(), file), chosen.revision))
        });
        let wanted: BTreeMap<File, RevisionId> = wanted.collect();
        if wanted == self.files {
            return None;
        }
        let all = wanted.keys().chain(self.files.keys());
        let mut wrong = all.filter(|file| wanted.get(*file) != self.files.get(*file));
        let file = wrong.next()?;
        let (holds, found) = (wanted.get(file), self.files.get(file));
        Some(format!("{file:?} is of {found:?}, and {holds:?} holds"))
    }

    /// Makes the files of an attempt; whether anything changes.
    pub fn stage(&mut self, number: u64, staging: &Staging, mut much: Much<'_>) -> bool {
        let mut folder = Folder::default();
        for name in &staging.changes {
            let good = staging.good.get(name).map(|chosen| chosen.revision);
            let target = staging.target.get(name).map(|chosen| chosen.revision);
            for file in (0..FILES).filter(|_| good != target) {
                if much.is_done() {
                    folder.staged.insert((name.clone(), file), target);
                }
            }
        }
        let writes = !folder.staged.is_empty();
        self.folders.insert(number, folder);
        writes
    }

    /// What an attempt is to write.
    pub fn staged(&self, number: u64) -> impl Iterator<Item = (&File, &RevisionId)> {
        let staged = self
            .folders
            .get(&number)
            .into_iter()
            .flat_map(|it| &it.staged);
        staged.filter_map(|(file, revision)| Some((file, revision.as_ref()?)))
    }

    /// Puts the files of an attempt in place. What was there is put aside first, once.
    ///
    /// # Errors
    /// When nothing was staged.
    pub fn write(&mut self, number: u64, mut much: Much<'_>) -> Result<(), String> {
        let files = &mut self.files;
        let folder = self.folders.get_mut(&number);
        let folder = folder.ok_or_else(|| "nothing was staged".to_owned())?;
        if folder.backup.is_none() {
            if !much.is_done() {
                return Ok(());
            }
            let kept = folder.staged.keys();
            let kept = kept.map(|file| (file.clone(), files.get(file).copied()));
            folder.backup = Some(kept.collect());
        }
        put(files, &folder.staged, &mut much);
        Ok(())
    }

    /// Puts back what an attempt put aside, where it did.
    pub fn restore(&mut self, number: u64, mut much: Much<'_>) {
        let backup = self.folders.get(&number);
        if let Some(backup) = backup.and_then(|folder| folder.backup.as_ref()) {
            put(&mut self.files, backup, &mut much);
        }
    }

    /// Removes the folders of an attempt and of all before it.
    pub fn discard(&mut self, number: u64) {
        self.folders = self.folders.split_off(&number.saturating_add(1));
    }
}

fn put(files: &mut BTreeMap<File, RevisionId>, contents: &Contents, much: &mut Much<'_>) {
    for (file, revision) in contents {
        if !much.is_done() {
            continue;
        }
        match revision {
            Some(revision) => files.insert(file.clone(), *revision),
            None => files.remove(file),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Device, Much};
    use crate::fleet::name;
    use regatta_protocol::catalog::RevisionId;
    use regatta_protocol::config::adoption::{Choice, Chosen, Staging, Task};
    use regatta_protocol::config::outcome::Step;
    use regatta_protocol::ident::{Hash, Serial};
    use regatta_protocol::prng::Prng;

    fn choice(number: u8) -> Choice {
        let revision = RevisionId {
            entry: Serial([number; 16]),
            place: 0,
        };
        let chosen = Chosen {
            revision,
            entry: Hash([number; 32]),
            version: number.into(),
        };
        Choice::from([(name("nav"), chosen)])
    }

    fn staging(good: Choice, target: Choice) -> Staging {
        let task = Task {
            attempt: 1,
            step: Step::Staging,
            index: 0,
        };
        Staging {
            task,
            good,
            target,
            changes: [name("nav")].into(),
        }
    }

    #[test]
    fn a_write_that_a_crash_tore_is_a_mix_until_it_is_done_again_or_taken_back() {
        let (mut mixed, mut prng) = (0, Prng::from_number(1));
        for _ in 0..50 {
            let mut device = Device::default();
            device.stage(1, &staging(Choice::new(), choice(1)), Much::All);
            device.write(1, Much::All).expect("staged");
            assert_eq!(device.differs(&choice(1)), None);
            device.stage(2, &staging(choice(1), choice(2)), Much::All);
            device.write(2, Much::Some(&mut prng)).expect("staged");
            mixed += usize::from(device.shows(&name("nav")).is_none());
            let mut back = device.clone();
            back.restore(2, Much::All);
            assert_eq!(back.differs(&choice(1)), None);
            device.write(2, Much::All).expect("staged");
            assert_eq!(device.differs(&choice(2)), None);
        }
        assert!(mixed > 0, "no write was torn");
    }
}
