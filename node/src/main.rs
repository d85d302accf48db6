//! The `regatta` binary: the process around the command line.

use std::io::{self, Write};
use std::process::ExitCode;

use regatta_node::cli;
use regatta_node::exit::Exit;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    match cli::run(arguments, &mut io::stdout(), &mut io::stderr()) {
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
