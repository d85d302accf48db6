//! The `regatta` binary: the process around the command line.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use regatta_node::cli;
use regatta_node::cli::console::{Console, Screen};
use regatta_node::exit::Exit;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    let terminal = io::stdout().is_terminal();
    let mut console = Console {
        out: &mut io::stdout(),
        err: &mut io::stderr(),
        input: &mut io::BufReader::new(io::stdin()),
        screen: Screen {
            columns: terminal.then(columns),
            asks: io::stdin().is_terminal() && io::stderr().is_terminal(),
            colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        },
    };
    match cli::run(arguments, &mut console) {
        Ok(exit) => exit.into(),
        // Whoever read the output has read enough: `regatta --help | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::ALL.into(),
        Err(error) => {
            // Standard error may be gone as well; then the code says it alone.
            let _ = writeln!(io::stderr(), "regatta: cannot write the output: {error}");
            Exit::ALL_FAILED.into()
        }
    }
}

/// How wide the terminal is; 80 where it does not say.
fn columns() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0))
}
