//! Where a node keeps its state when nobody says where.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The state folder of a machine's own node: of root, and of the service.
pub const SYSTEM_STATE_DIR: &str = "/var/lib/regatta";

/// The state folder where none is given: root's is the machine's, everybody else has one at home.
#[must_use]
pub fn default_state_dir() -> PathBuf {
    // The kernel makes this folder the property of whoever asks.
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let variable = |name: &str| std::env::var_os(name);
    state_dir(is_root, variable("XDG_STATE_HOME"), variable("HOME"))
}

fn state_dir(is_root: bool, state: Option<OsString>, home: Option<OsString>) -> PathBuf {
    let absolute = |text: Option<OsString>| {
        let path = text.map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    if is_root {
        return SYSTEM_STATE_DIR.into();
    }
    let of_user = absolute(state).or_else(|| Some(absolute(home)?.join(".local/state")));
    let folder = of_user.map(|folder| folder.join("regatta"));
    folder.unwrap_or_else(|| Path::new(SYSTEM_STATE_DIR).to_owned())
}

#[cfg(test)]
mod tests {
    use super::state_dir;
    use std::path::Path;

    #[test]
    fn users_have_their_state_at_home_and_root_has_the_machines() {
        let some = |text: &str| Some(text.into());
        let is = |found: std::path::PathBuf, expect: &str| assert_eq!(found, Path::new(expect));
        is(
            state_dir(true, some("/x"), some("/root")),
            "/var/lib/regatta",
        );
        is(state_dir(false, some("/x"), some("/home/a")), "/x/regatta");
        let home = "/home/a/.local/state/regatta";
        is(state_dir(false, None, some("/home/a")), home);
        is(
            state_dir(false, some("not/absolute"), some("/home/a")),
            home,
        );
        is(state_dir(false, None, None), "/var/lib/regatta");
    }
}
