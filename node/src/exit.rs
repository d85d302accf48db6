//! The exit codes of `regatta`, each with its name; scripts rely on the numbers.

use std::process::ExitCode;

/// How `regatta` ends.
///
/// With one named target `regatta exec` ends as the command on that target did, so any number from
/// 0 to 255 can occur; the numbers below have a meaning for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// All of it was done, on all targets.
    pub const ALL: Self = Self(0);
    /// Some targets failed, and at least one did not.
    pub const SOME_FAILED: Self = Self(1);
    /// All targets failed, or the request was refused; nothing changed.
    pub const ALL_FAILED: Self = Self(2);
    /// The command line cannot be understood: `EX_USAGE` of sysexits.
    pub const USAGE: Self = Self(64);
    /// The local node cannot be reached: `EX_UNAVAILABLE` of sysexits.
    pub const UNREACHABLE: Self = Self(69);
    /// A bug in Regatta: `EX_SOFTWARE` of sysexits.
    pub const BUG: Self = Self(70);
    /// `regatta exec` failed on our side, so the command's own code is not known; as `ssh` does it.
    pub const OURS: Self = Self(255);

    /// The number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: [(Exit, u8); 7] = [
        (Exit::ALL, 0),
        (Exit::SOME_FAILED, 1),
        (Exit::ALL_FAILED, 2),
        (Exit::USAGE, 64),
        (Exit::UNREACHABLE, 69),
        (Exit::BUG, 70),
        (Exit::OURS, 255),
    ];

    #[test]
    fn scripts_see_the_promised_numbers() {
        for (exit, code) in NAMED {
            assert_eq!(exit.code(), code, "{exit:?}");
            assert_eq!(ExitCode::from(exit), ExitCode::from(code), "{exit:?}");
        }
    }

    #[test]
    fn none_is_taken_for_a_panic_or_for_a_signal() {
        // 101 is a Rust panic, 126 to 165 are what a shell makes of programs that did not run or
        // were killed.
        for (exit, _) in NAMED {
            assert!(exit.code() != 101 && !(126..=165).contains(&exit.code()));
        }
    }
}
