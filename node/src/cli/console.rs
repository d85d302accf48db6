//! What a command reads and writes, and how it fails.

use std::io::{self, BufRead, Write};

use crate::control::api::{Problem, ProblemKind, one_line};
use crate::control::client::ClientError;
use crate::exit::Exit;

/// What is known of the terminal, if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Screen {
    /// Columns of the terminal that shows standard output; none in a pipe or a file.
    pub columns: Option<usize>,
    /// Whether a person can answer on standard input.
    pub asks: bool,
    /// Whether colours are wanted: a terminal, and no `NO_COLOR`.
    pub colour: bool,
}

/// The three streams of a command.
pub struct Console<'a> {
    /// Standard output: answers.
    pub out: &'a mut dyn Write,
    /// Standard error: everything else.
    pub err: &'a mut dyn Write,
    /// Standard input.
    pub input: &'a mut dyn BufRead,
    /// The terminal.
    pub screen: Screen,
}

impl Console<'_> {
    /// One line about what is going on, for a person.
    pub fn say(&mut self, what: &str) {
        // Where nobody reads it, the exit code says enough.
        let _ = writeln!(self.err, "regatta: {}", one_line(what));
    }

    /// Asks before something large; without anybody to ask, it is refused.
    ///
    /// # Errors
    /// When the answer is not yes.
    pub fn confirm(&mut self, what: &str) -> Result<(), Failure> {
        if !self.screen.asks {
            return Err(Failure::refused(format!(
                "{what}: say --yes if this is meant"
            )));
        }
        let _ = write!(self.err, "{}? [y/N] ", one_line(what));
        let _ = self.err.flush();
        let mut answer = String::new();
        self.input.read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Failure::refused("nothing was changed"))
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// With a word for the operator.
    Said {
        /// How the command ends.
        exit: Exit,
        /// One line.
        message: String,
    },
    /// The output could not be written.
    Output(io::Error),
}

impl Failure {
    /// Ends with `exit`, and this message.
    #[must_use]
    pub fn new(exit: Exit, message: impl AsRef<str>) -> Self {
        Self::Said {
            exit,
            message: one_line(message.as_ref()),
        }
    }

    /// What was typed cannot be understood.
    #[must_use]
    pub fn usage(message: impl AsRef<str>) -> Self {
        Self::new(Exit::USAGE, message)
    }

    /// It was not done.
    #[must_use]
    pub fn refused(message: impl AsRef<str>) -> Self {
        Self::new(Exit::ALL_FAILED, message)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Output(error) => Self::Output(error),
            other => Self::new(other.exit(), other.to_string()),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let exit = match problem.kind {
            ProblemKind::Bug => Exit::BUG,
            ProblemKind::Usage => Exit::USAGE,
            _ => Exit::ALL_FAILED,
        };
        Self::new(exit, problem.error)
    }
}

/// What every command ends in.
pub type Done = Result<Exit, Failure>;
