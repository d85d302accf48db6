//! The files of one attempt: made in a folder of its own, put in place, and taken back.
//!
//! ```text
//! attempts/7/new/0      what is to be put in place, with its permissions
//! attempts/7/staged/…   the same by the paths that it will have, for checks to look at
//! attempts/7/plan       which is which, and what is to be removed
//! attempts/7/old/0      what was there
//! attempts/7/before     which is which; there once all of them are
//! ```
//!
//! A file of these is there wholly or not at all, and durable before anything that counts on it is done.
//! Putting in place and taking back can be done any number of times.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use regatta_protocol::codec::{self, Wire};
use rustix::process::{getegid, geteuid};
use serde::{Deserialize, Serialize};

use crate::config::ground::{Attributes, FileError, Ground};
use crate::config::tree::{Content, Rendered};
use crate::config::users;

/// Permissions of a file of which nobody says any.
const MODE: u32 = 0o644;
/// The same of one that has a secret in it.
const SECRET_MODE: u32 = 0o600;

/// What is to become of one path. On disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Planned {
    path: String,
    /// Under which number its bytes lie; none where nothing is to be there.
    index: Option<u32>,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// What is to become of all paths of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Plan(Vec<Planned>);

impl Wire for Plan {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 16 * 1024 * 1024;
    const WHAT: &'static str = "plan of an attempt";
}

/// A file that changes, or goes.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its path, as documents say it.
    pub path: String,
    /// What it is to be; none where it is to go.
    pub file: Option<Rendered>,
    /// Whether it has a secret in it.
    pub secret: bool,
}

/// Reads the bytes of a body.
pub type ReadBody<'a> = dyn Fn(&regatta_protocol::ident::Hash) -> Result<Vec<u8>, String> + 'a;

/// The folders of attempts.
#[derive(Clone, Debug)]
pub struct Attempts {
    folder: PathBuf,
    ground: Ground,
}

impl Attempts {
    /// Below a folder that is the node's own.
    #[must_use]
    pub fn new(folder: PathBuf, ground: Ground) -> Self {
        Self { folder, ground }
    }

    /// Where files may be.
    #[must_use]
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    fn of(&self, attempt: u64) -> PathBuf {
        self.folder.join(attempt.to_string())
    }

    /// Where checks find the new files.
    #[must_use]
    pub fn staged(&self, attempt: u64) -> PathBuf {
        self.of(attempt).join("staged")
    }

    /// Makes the files of an attempt, in place of whatever an earlier try at it left.
    ///
    /// # Errors
    /// Which cannot be made, and why.
    pub fn stage(
        &self,
        attempt: u64,
        changes: &[Change],
        read: &ReadBody<'_>,
    ) -> Result<(), String> {
        let folder = self.of(attempt);
        let said = |error: io::Error| format!("staging in {}: {error}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(said)?;
        }
        let (new, staged) = (folder.join("new"), folder.join("staged"));
        fs::create_dir_all(&new).map_err(said)?;
        fs::create_dir_all(&staged).map_err(said)?;
        let mut plan = Plan::default();
        for (index, change) in (0_u32..).zip(changes) {
            let there = self.attributes(&change.path).map_err(|it| it.to_string())?;
            let Some(file) = &change.file else {
                plan.0.push(Planned::gone(&change.path));
                continue;
            };
            let attributes = wanted(file, there, change.secret)?;
            let path = new.join(index.to_string());
            let bytes = match &file.content {
                Content::Bytes(bytes) => bytes.to_vec(),
                Content::Body(_) => read(&file.digest)?,
            };
            write_new(&path, &bytes, attributes.mode).map_err(said)?;
            show(&staged, &change.path, &path)
                .map_err(|error| format!("{}: {error}", change.path))?;
            plan.0.push(Planned::put(&change.path, index, attributes));
        }
        sync(&new).map_err(said)?;
        write_whole(&folder.join("plan"), &codec::encode(&plan)).map_err(said)?;
        sync(&self.folder).map_err(said)
    }

    /// What stands at a path now, where files may be.
    fn attributes(&self, path: &str) -> Result<Option<Attributes>, FileError> {
        match self.ground.spot(path, false)? {
            Some(spot) => spot.attributes(),
            None => Ok(None),
        }
    }

    /// Keeps what is there, unless that was done, and puts the new files in place.
    ///
    /// # Errors
    /// Which file cannot be written, and why; some may have been.
    pub fn write(&self, attempt: u64) -> Result<(), String> {
        let folder = self.of(attempt);
        let plan = read_plan(&folder.join("plan"))?;
        if !folder.join("before").exists() {
            self.back_up(&folder, &plan)?;
        }
        self.apply(&plan, &folder.join("new"))
    }

    fn back_up(&self, folder: &Path, plan: &Plan) -> Result<(), String> {
        let said = |error: io::Error| format!("keeping what was there: {error}");
        let old = folder.join("old");
        if old.exists() {
            fs::remove_dir_all(&old).map_err(said)?;
        }
        fs::create_dir_all(&old).map_err(said)?;
        let mut before = Plan::default();
        for (index, planned) in (0_u32..).zip(&plan.0) {
            let spot = self.ground.spot(&planned.path, false);
            let spot = spot.map_err(|error| error.to_string())?;
            let found = match &spot {
                Some(spot) => {
                    let attributes = spot.attributes().map_err(|it| it.to_string())?;
                    let file = spot.open().map_err(|it| it.to_string())?;
                    attributes.zip(file)
                }
                None => None,
            };
            let Some((attributes, mut file)) = found else {
                before.0.push(Planned::gone(&planned.path));
                continue;
            };
            let mut kept = create(&old.join(index.to_string()), 0o600).map_err(said)?;
            io::copy(&mut file, &mut kept).map_err(said)?;
            kept.sync_all().map_err(said)?;
            before
                .0
                .push(Planned::put(&planned.path, index, attributes));
        }
        sync(&old).map_err(said)?;
        write_whole(&folder.join("before"), &codec::encode(&before)).map_err(said)
    }

    /// Puts back what was there before the attempt; where nothing was written nothing is done.
    ///
    /// # Errors
    /// Which file cannot be put back, and why.
    pub fn restore(&self, attempt: u64) -> Result<(), String> {
        let folder = self.of(attempt);
        if !folder.join("before").exists() {
            return Ok(());
        }
        let before = read_plan(&folder.join("before"))?;
        self.apply(&before, &folder.join("old"))
    }

    fn apply(&self, plan: &Plan, from: &Path) -> Result<(), String> {
        for planned in &plan.0 {
            self.apply_one(planned, from)?;
        }
        Ok(())
    }

    fn apply_one(&self, planned: &Planned, from: &Path) -> Result<(), String> {
        let said = |error: FileError| error.to_string();
        let Some(index) = planned.index else {
            return match self.ground.spot(&planned.path, false).map_err(said)? {
                Some(spot) => {
                    spot.discard().map_err(said)?;
                    spot.remove().map_err(said)
                }
                None => Ok(()),
            };
        };
        let path = from.join(index.to_string());
        let mut file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let spot = self.ground.spot(&planned.path, true).map_err(said)?;
        let spot = spot.ok_or_else(|| format!("{}: its directory is gone", planned.path))?;
        let attributes = Attributes {
            mode: planned.mode,
            uid: planned.uid,
            gid: planned.gid,
        };
        spot.put(&mut file, attributes).map_err(said)
    }

    /// Removes the folders of this attempt and of all before it.
    ///
    /// # Errors
    /// What the system says.
    pub fn discard(&self, attempt: u64) -> Result<(), String> {
        let said = |error: io::Error| format!("removing old attempts: {error}");
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(said(error)),
        };
        for entry in entries {
            let entry = entry.map_err(said)?;
            let number = entry.file_name().to_string_lossy().parse::<u64>();
            if number.is_ok_and(|number| number <= attempt) {
                fs::remove_dir_all(entry.path()).map_err(said)?;
            }
        }
        Ok(())
    }
}

impl Planned {
    fn gone(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            index: None,
            mode: 0,
            uid: 0,
            gid: 0,
        }
    }

    fn put(path: &str, index: u32, attributes: Attributes) -> Self {
        Self {
            path: path.to_owned(),
            index: Some(index),
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
        }
    }
}

/// What a file's owner and permissions are to be: what the document says, else what they are.
fn wanted(file: &Rendered, there: Option<Attributes>, secret: bool) -> Result<Attributes, String> {
    let (spec, path) = (&file.spec, &file.spec.path);
    let own = Attributes {
        mode: if secret { SECRET_MODE } else { MODE },
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
    };
    let mut attributes = there.unwrap_or(own);
    if let Some(name) = &spec.owner {
        let user = users::user(name);
        let user =
            user.ok_or_else(|| format!("{path}: this device has no user called '{name}'"))?;
        attributes.uid = user.uid;
        attributes.gid = user.gid;
    }
    if let Some(name) = &spec.group {
        let group = users::group(name);
        attributes.gid =
            group.ok_or_else(|| format!("{path}: this device has no group called '{name}'"))?;
    }
    attributes.mode = spec.mode.unwrap_or(attributes.mode);
    Ok(attributes)
}

/// The new file by the path that it will have, for a check to look at.
fn show(staged: &Path, path: &str, file: &Path) -> io::Result<()> {
    let shown = staged.join(path.trim_start_matches('/'));
    if let Some(parent) = shown.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::hard_link(file, shown)
}

/// The staged files where a user may read them who may not look into the node's own folder: a copy of
/// his own, which is gone when this is dropped.
///
/// # Errors
/// What the system says.
pub fn copy_for(staged: &Path, uid: u32, gid: u32) -> io::Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("regatta-staged-")
        .tempdir()?;
    copy_folder(staged, folder.path(), (uid, gid))?;
    Ok(folder)
}

fn copy_folder(from: &Path, to: &Path, owner: (u32, u32)) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_folder(&entry.path(), &target, owner)?;
        } else {
            fs::copy(entry.path(), &target)?;
            chown(&target, Some(owner.0), Some(owner.1))?;
        }
    }
    fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
    chown(to, Some(owner.0), Some(owner.1))
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.write(true).create_new(true).mode(mode & 0o777);
    options.open(path)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = create(path, mode)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), sync)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn read_plan(path: &Path) -> Result<Plan, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    codec::decode(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}
