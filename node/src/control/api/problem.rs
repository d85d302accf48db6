//! Why a request was not done: a kind that a program can tell apart, and one line for a person.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What sort of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// There is no such device, invite, manager or path of the API.
    NotFound,
    /// The caller, or this node, may not do it.
    Refused,
    /// It contradicts what stands: a name that two devices bear, a change that was overtaken.
    Conflict,
    /// The request cannot be understood.
    Usage,
    /// The node cannot do it now; later it may.
    NotReady,
    /// A bug in Regatta.
    Bug,
}

impl ProblemKind {
    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::Refused => 403,
            Self::Conflict => 409,
            Self::Usage => 400,
            Self::NotReady => 503,
            Self::Bug => 500,
        }
    }
}

/// A request that was not done; nothing changed, unless the text says that this is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What sort it is.
    pub kind: ProblemKind,
    /// What, where and what to do: one line in lower case, without a full stop.
    pub error: String,
}

impl Problem {
    /// A problem whose text is made one line, whatever a name in it contains.
    #[must_use]
    pub fn new(kind: ProblemKind, error: impl AsRef<str>) -> Self {
        Self {
            kind,
            error: one_line(error.as_ref()),
        }
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(error: impl AsRef<str>) -> Self {
        Self::new(ProblemKind::NotFound, error)
    }

    /// Not allowed.
    #[must_use]
    pub fn refused(error: impl AsRef<str>) -> Self {
        Self::new(ProblemKind::Refused, error)
    }

    /// It contradicts what stands.
    #[must_use]
    pub fn conflict(error: impl AsRef<str>) -> Self {
        Self::new(ProblemKind::Conflict, error)
    }

    /// It cannot be understood.
    #[must_use]
    pub fn usage(error: impl AsRef<str>) -> Self {
        Self::new(ProblemKind::Usage, error)
    }

    /// Not now.
    #[must_use]
    pub fn not_ready(error: impl AsRef<str>) -> Self {
        Self::new(ProblemKind::NotReady, error)
    }

    /// A bug of ours.
    #[must_use]
    pub fn bug(error: impl AsRef<str>) -> Self {
        Self::new(ProblemKind::Bug, error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.error)
    }
}

impl std::error::Error for Problem {}

/// Text in which nothing moves the cursor: control characters and line ends are written as escapes.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_and_reads_the_same_in_json() {
        let problem = Problem::not_found("there is no device `a\nb\u{1b}[2J`; see `get devices`");
        assert_eq!(problem.error.lines().count(), 1);
        let text = serde_json::to_string(&problem).expect("it is there");
        assert_eq!(
            text,
            r#"{"kind":"not_found","error":"there is no device `a\\nb\\u{1b}[2J`; see `get devices`"}"#
        );
        assert_eq!(
            serde_json::from_str::<Problem>(&text).expect("it is there"),
            problem
        );
    }
}
