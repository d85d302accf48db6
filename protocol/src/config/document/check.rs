//! What a configuration document may not say, whoever wrote it; errors name the field as it is typed.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{Action, ConfigDocument, FileSource, FileSpec, Hooks, Probe, RolloutSpec, Wave};
use crate::config::resolve::reference;
use crate::config::value::{KeyPath, KeyPathError, TokensError, Value};
use crate::limits::{
    CONFIG_AVAILABLE_MAX, CONFIG_FILE_PATH_BYTES_MAX, CONFIG_FILES_MAX, CONFIG_HOOK_MS_MAX,
    CONFIG_HOOKS_MAX, CONFIG_SECRETS_MAX, CONFIG_WAVES_MAX, FILE_BYTES_MAX,
};

/// Permissions, with the bits that run a program as its owner or its group.
const MODE_MAX: u32 = 0o7777;

/// Why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// Its values are no value.
    #[error("{0}")]
    Values(#[from] TokensError),
    /// Its values are no map.
    #[error("values: found {found}; a map of names and values belongs here")]
    NoMap {
        /// What they are.
        found: &'static str,
    },
    /// A reference whose text is no path.
    #[error("values: {at}: $from is no {error}")]
    Reference {
        /// Where it stands.
        at: KeyPath,
        /// What is wrong with it.
        error: KeyPathError,
    },
    /// More of something than there may be.
    #[error("{field}: {found}; at most {most} are allowed")]
    TooMany {
        /// Of what.
        field: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A path with more names, or longer ones, than there may be.
    #[error("{field}: a path is longer than 32 names of 256 bytes")]
    LongPath {
        /// Where.
        field: &'static str,
    },
    /// A secret that cannot stand where it is said to.
    #[error("secrets: {path}: {problem}")]
    Secret {
        /// Its place.
        path: KeyPath,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file that cannot be made.
    #[error("files: {path:?}: {problem}")]
    File {
        /// Its path.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A hook that runs nothing.
    #[error("{field}: names nothing to run; say a command or a unit")]
    NoCommand {
        /// Which.
        field: &'static str,
    },
    /// A time that is none or too long.
    #[error("{field}: {found} ms; 1 ms to 1 h are allowed")]
    Time {
        /// Which.
        field: &'static str,
        /// The time.
        found: u64,
    },
    /// A part of a hundred that is none.
    #[error("{field}: {found}%; 1% to 100% are allowed")]
    Percent {
        /// Which.
        field: &'static str,
        /// The number.
        found: u8,
    },
    /// Labels that no rollout can keep an eye on.
    #[error("rollout.minAvailable: {problem}")]
    Available {
        /// What is wrong with them.
        problem: &'static str,
    },
    /// Waves that do not lead from few devices to all.
    #[error("rollout.waves: {problem}")]
    Waves {
        /// What is wrong with them.
        problem: &'static str,
    },
}

impl ConfigDocument {
    /// Whether it keeps to the rules that need no look at anything else.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), DocumentError> {
        let values = self.values.read()?;
        if !matches!(values, Value::Map(_)) {
            let found = values.kind();
            return Err(DocumentError::NoMap { found });
        }
        references(&values, &KeyPath::root())?;
        bounded("lists", self.lists.keys())?;
        if let Some(secrets) = &self.secrets {
            check_secrets(&secrets.paths, &values)?;
        }
        check_files(&self.files)?;
        check_hooks(&self.hooks)?;
        self.rollout.as_ref().map_or(Ok(()), check_rollout)
    }
}

/// No deeper than values are that were read.
fn references(value: &Value, at: &KeyPath) -> Result<(), DocumentError> {
    if let Some(text) = reference(value) {
        return match KeyPath::parse(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(DocumentError::Reference {
                at: at.clone(),
                error,
            }),
        };
    }
    match value {
        Value::Map(entries) => {
            let mut entries = entries.iter();
            entries.try_for_each(|(key, value)| references(value, &at.child(key)))
        }
        Value::List(values) => values.iter().try_for_each(|value| references(value, at)),
        _ => Ok(()),
    }
}

fn bounded<'a>(
    field: &'static str,
    paths: impl IntoIterator<Item = &'a KeyPath>,
) -> Result<(), DocumentError> {
    if paths.into_iter().all(KeyPath::is_bounded) {
        Ok(())
    } else {
        Err(DocumentError::LongPath { field })
    }
}

fn at_most(field: &'static str, found: usize, most: usize) -> Result<(), DocumentError> {
    if found > most {
        return Err(DocumentError::TooMany { field, found, most });
    }
    Ok(())
}

fn check_secrets(paths: &[KeyPath], values: &Value) -> Result<(), DocumentError> {
    at_most("secrets", paths.len(), CONFIG_SECRETS_MAX)?;
    bounded("secrets", paths)?;
    let refused = |path: &KeyPath, problem| DocumentError::Secret {
        path: path.clone(),
        problem,
    };
    for path in paths {
        if path.is_empty() {
            return Err(refused(
                path,
                "the whole tree cannot be one secret; name a place in it",
            ));
        }
        if path.segments().any(|name| name == "$from") {
            return Err(refused(
                path,
                "$from is no place for a secret; refer to the secret instead",
            ));
        }
        let above = std::iter::successors(path.parent(), KeyPath::parent);
        let mut above = above.filter_map(|above| values.at(&above));
        let no_map = |value: &Value| !matches!(value, Value::Map(_)) || reference(value).is_some();
        if values.at(path).is_some() || above.any(no_map) {
            return Err(refused(
                path,
                "values says something here too; leave it to one of the two",
            ));
        }
    }
    // In order, what stands below a path follows it at once.
    let sorted: BTreeSet<&KeyPath> = paths.iter().collect();
    let below = sorted
        .iter()
        .zip(sorted.iter().skip(1))
        .find(|(one, next)| next.starts_with(one));
    if let Some((_, path)) = below {
        return Err(refused(
            path,
            "it stands below another secret; a secret is one text",
        ));
    }
    if sorted.len() < paths.len() {
        let mut seen = BTreeSet::new();
        let twice = paths.iter().find(|path| !seen.insert(*path));
        return twice.map_or(Ok(()), |path| Err(refused(path, "it is there twice")));
    }
    Ok(())
}

fn check_files(files: &[FileSpec]) -> Result<(), DocumentError> {
    at_most("files", files.len(), CONFIG_FILES_MAX)?;
    let mut paths = BTreeSet::new();
    for file in files {
        let refused = |problem| DocumentError::File {
            path: file.path.clone(),
            problem,
        };
        check_file(file).map_err(refused)?;
        if !paths.insert(file.path.as_str()) {
            return Err(refused("it is there twice"));
        }
    }
    for file in files {
        let mut above = file
            .path
            .match_indices('/')
            .map(|(end, _)| &file.path[..end]);
        if above.any(|above| paths.contains(above)) {
            let path = file.path.clone();
            let problem = "it stands below another file of this document";
            return Err(DocumentError::File { path, problem });
        }
    }
    Ok(())
}

fn check_file(file: &FileSpec) -> Result<(), &'static str> {
    let Some(below_root) = file.path.strip_prefix('/') else {
        return Err("the path has to be absolute; begin it with /");
    };
    if file.path.len() > CONFIG_FILE_PATH_BYTES_MAX {
        return Err("the path has more than 4095 bytes");
    }
    if file.path.chars().any(char::is_control) {
        return Err("the path has a control character in it");
    }
    if below_root
        .split('/')
        .any(|name| matches!(name, "" | "." | ".."))
    {
        return Err("the path may have no .. and no . in it, no // and no / at its end");
    }
    if file.mode.is_some_and(|mode| mode > MODE_MAX) {
        return Err("mode is beyond 7777; write permissions such as \"0644\"");
    }
    if [&file.owner, &file.group]
        .into_iter()
        .flatten()
        .any(String::is_empty)
    {
        return Err("owner or group is empty; name a user or leave it out");
    }
    match &file.source {
        FileSource::Tree { from, .. } if !from.is_bounded() => {
            Err("from is longer than 32 names of 256 bytes")
        }
        FileSource::Content { bytes, .. } if *bytes > FILE_BYTES_MAX => {
            Err("content is larger than 64 MiB")
        }
        FileSource::Tree { .. } | FileSource::Content { .. } => Ok(()),
    }
}

fn check_hooks(hooks: &Hooks) -> Result<(), DocumentError> {
    at_most("onChange", hooks.on_change.len(), CONFIG_HOOKS_MAX)?;
    for action in &hooks.on_change {
        match action {
            Action::Exec(words) => runs_something("onChange", words)?,
            Action::Restart(unit) | Action::Reload(unit) => {
                runs_something("onChange", std::slice::from_ref(unit))?;
            }
        }
    }
    check_probe(("check", "check.within"), hooks.check.as_ref())?;
    check_probe(("healthy", "healthy.within"), hooks.healthy.as_ref())?;
    hooks
        .confirm_ms
        .map_or(Ok(()), |time| check_time("confirm", time))
}

fn runs_something(field: &'static str, words: &[String]) -> Result<(), DocumentError> {
    if words.first().is_none_or(String::is_empty) {
        return Err(DocumentError::NoCommand { field });
    }
    Ok(())
}

fn check_probe(
    (field, within): (&'static str, &'static str),
    probe: Option<&Probe>,
) -> Result<(), DocumentError> {
    let Some(probe) = probe else { return Ok(()) };
    runs_something(field, &probe.exec)?;
    check_time(within, probe.within_ms)
}

fn check_time(field: &'static str, found: u64) -> Result<(), DocumentError> {
    if !(1..=CONFIG_HOOK_MS_MAX).contains(&found) {
        return Err(DocumentError::Time { field, found });
    }
    Ok(())
}

fn check_percent(field: &'static str, found: u8) -> Result<(), DocumentError> {
    if !(1..=100).contains(&found) {
        return Err(DocumentError::Percent { field, found });
    }
    Ok(())
}

fn check_rollout(rollout: &RolloutSpec) -> Result<(), DocumentError> {
    check_percent("rollout.success", rollout.success_percent)?;
    let refused = |problem| Err(DocumentError::Waves { problem });
    if rollout.waves.len() > CONFIG_WAVES_MAX {
        return refused("64 are as many as there may be");
    }
    if rollout.min_available.len() > CONFIG_AVAILABLE_MAX {
        let problem = "8 labels are as many as there may be";
        return Err(DocumentError::Available { problem });
    }
    let (mut count, mut percent) = (0, 0);
    for wave in &rollout.waves {
        // How many of a hundred a count is, nobody knows before the devices are counted.
        let grows = match wave {
            Wave::Count(reach) => std::mem::replace(&mut count, *reach) < *reach,
            Wave::Percent(reach) => {
                check_percent("rollout.waves", *reach)?;
                std::mem::replace(&mut percent, *reach) < *reach
            }
        };
        if !grows {
            return refused("each has to reach further than the one before it");
        }
    }
    match rollout.waves.last() {
        Some(Wave::Percent(100)) => Ok(()),
        Some(_) => refused("the last one has to reach 100%"),
        None => refused("there is none; the last one has to reach 100%"),
    }
}
