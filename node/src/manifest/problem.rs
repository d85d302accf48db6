//! What is wrong with a manifest: all of it at once, each with its place.

use std::cell::{Cell, RefCell};
use std::fmt;

use regatta_protocol::config::value::KeyPath;
use thiserror::Error;

use super::yaml::{Mark, Refused};

/// The most problems of one file that are told; the others are counted.
pub const PROBLEMS_MAX: usize = 20;

/// One thing that is wrong, or that looks wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the operator named it.
    pub file: String,
    /// Where in it.
    pub at: Option<Mark>,
    /// Which field: `spec.files[0].mode`; empty where it is no field's fault.
    pub path: String,
    /// What stands there, and what to do.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.file)?;
        if let Some(Mark { line, column }) = self.at {
            write!(out, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(out, ": {}", self.path)?;
        }
        write!(out, ": {}", self.detail)
    }
}

/// Manifests that nothing was done with: never without a problem. One line for each of them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", lines(.problems, *.untold))]
pub struct ManifestError {
    /// Those that are told, in the order of the files.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub untold: usize,
}

fn lines(problems: &[Problem], untold: usize) -> String {
    let mut lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    if untold > 0 {
        lines.push(format!("and {untold} more"));
    }
    lines.join("\n")
}

/// Collects what is found in one file.
pub(super) struct Report {
    file: String,
    problems: RefCell<Vec<Problem>>,
    untold: Cell<usize>,
    warnings: RefCell<Vec<Warning>>,
}

/// What need not be wrong.
pub(super) struct Warning {
    pub(super) problem: Problem,
    /// It is right where another document sets this place.
    pub(super) wants: Option<KeyPath>,
}

impl Report {
    pub(super) fn of(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            problems: RefCell::default(),
            untold: Cell::new(0),
            warnings: RefCell::default(),
        }
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn wrong(&self, at: Mark, path: &str, detail: impl Into<String>) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < PROBLEMS_MAX {
            problems.push(self.problem(at, path, detail.into()));
        } else {
            self.untold.set(self.untold.get() + 1);
        }
    }

    pub(super) fn refused(&self, refused: Refused) {
        self.wrong(refused.at, "", refused.detail);
    }

    /// What need not be wrong.
    pub(super) fn warn(&self, at: Mark, path: &str, detail: impl Into<String>) {
        self.push_warning(at, path, detail.into(), None);
    }

    /// A place that has to be set, by whichever document.
    pub(super) fn want(&self, at: Mark, path: &str, wants: &KeyPath) {
        let detail = format!("nothing here sets {wants}; another document has to");
        self.push_warning(at, path, detail, Some(wants.clone()));
    }

    fn push_warning(&self, at: Mark, path: &str, detail: String, wants: Option<KeyPath>) {
        let problem = self.problem(at, path, detail);
        self.warnings.borrow_mut().push(Warning { problem, wants });
    }

    fn problem(&self, at: Mark, path: &str, detail: String) -> Problem {
        Problem {
            file: self.file.clone(),
            at: Some(at),
            path: path.to_owned(),
            detail,
        }
    }

    /// How many problems there are by now.
    pub(super) fn count(&self) -> usize {
        self.problems.borrow().len() + self.untold.get()
    }

    /// The problems in the order of the file, how many more there are, and the warnings.
    pub(super) fn into_parts(self) -> (Vec<Problem>, usize, Vec<Warning>) {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.at);
        (problems, self.untold.get(), self.warnings.into_inner())
    }
}
