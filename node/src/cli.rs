//! The command line: what was typed goes in, text and an exit code come out.
//!
//! It writes to the two streams that it is handed and never to the process's own, so tests read what
//! an operator would; `println!` stays denied here as everywhere, because it panics when the reader
//! of a pipe has gone.

use std::ffi::OsString;
use std::io::{self, Write};

use crate::exit::Exit;

const HELP: &str = "\
regatta: configure, watch and run things on fleets of machines, without a server to lose

This build holds the deciding core only: ledgers, trust and replication, with the simulator that
tortures them. The commands come with the next steps; until then there are only these.

Usage: regatta [OPTION]

Options:
  -h, --help     print this
  -V, --version  print the version

Exit codes:
   0  done
   2  the output could not be written
  64  the command line was not understood
";

/// Does what the arguments ask for, the program's own name not among them.
///
/// # Errors
/// When `out` cannot be written to. Where `err` cannot, the exit code says it alone.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    match Request::parse(arguments) {
        Request::Help => out.write_all(HELP.as_bytes())?,
        Request::Version => writeln!(out, "regatta {}", env!("CARGO_PKG_VERSION"))?,
        Request::Unknown(what) => {
            let _ = writeln!(
                err,
                "regatta: this build holds the deciding core only; {what}, see `regatta --help`"
            );
            return Ok(Exit::USAGE);
        }
    }
    out.flush()?;
    Ok(Exit::ALL)
}

enum Request {
    Help,
    Version,
    /// Not in this build; says what was asked for.
    Unknown(String),
}

impl Request {
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Self {
        // Quoted with escapes: whatever was typed, the answer is one line.
        let typed: Vec<String> = arguments
            .into_iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        match typed.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["--help" | "-h"] => Self::Help,
            ["--version" | "-V"] => Self::Version,
            [] => Self::Unknown("it has no commands yet".to_owned()),
            ["--help" | "-h" | "--version" | "-V", extra, ..] => {
                Self::Unknown(format!("it does not know {extra:?} after {:?}", typed[0]))
            }
            [first, ..] => Self::Unknown(format!("it does not know {first:?}")),
        }
    }
}
