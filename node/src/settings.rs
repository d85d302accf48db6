//! What a node is started with: defaults, files, environment and arguments, each going before the last.
//!
//! Values are read raw, each with the place that it came from ([`layers`]), and then made into types
//! that cannot be wrong ([`checked`]). What is wrong is one line: the place, the key, what is right.

pub mod checked;
mod file;
pub mod keys;
pub mod layers;

use std::ffi::OsString;
use std::path::Path;

use thiserror::Error;

pub use self::checked::{
    ControlSettings, FilesSettings, LogFormat, LogSettings, MetricsSettings, NetworkSettings,
    Profile, Relay, Settings, StoreSettings,
};
pub use self::layers::{Flags, Origin, Origins, Source, Value};

/// The settings file in a state folder.
pub const FILE_NAME: &str = "regatta.toml";

/// Settings that no node can start with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {detail}")]
pub struct SettingsError {
    /// File, line and column, variable, or argument.
    pub place: String,
    /// What is wrong there, and what would be right.
    pub detail: String,
}

/// Reads everything that this process was started with.
///
/// # Errors
/// When something is wrong with the first of them that is.
pub fn load(
    state: &Path,
    file: Option<&Path>,
    flags: Flags,
) -> Result<(Settings, Origins), SettingsError> {
    load_with(state, file, std::env::vars_os(), flags)
}

/// The same with another environment.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    state: &Path,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    flags: Flags,
) -> Result<(Settings, Origins), SettingsError> {
    let mut origins = Origins::defaults();
    match file {
        Some(file) => origins.take_file(file, true)?,
        None => origins.take_file(&state.join(FILE_NAME), false)?,
    }
    origins.take_environment(environment)?;
    origins.take_flags(flags);
    let settings = Settings::check(&origins, state)?;
    Ok((settings, origins))
}

#[cfg(test)]
mod tests;
