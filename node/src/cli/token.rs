//! Secrets as arguments: from standard input, from a file, or as they are.

use std::io::Read;

use super::console::{Console, Failure};
use crate::exit::Exit;

/// The most bytes that are read; the largest token has a third of it.
const BYTES_MAX: u64 = 16 * 1024;

/// The text that an argument stands for: `-` is standard input, `@FILE` a file.
///
/// # Errors
/// When it cannot be read, is too long or is empty.
pub fn read(argument: &str, console: &mut Console<'_>) -> Result<String, Failure> {
    let mut text = String::new();
    let (whence, read) = match argument.strip_prefix('@') {
        Some(path) => {
            let opened = std::fs::File::open(path);
            let read = opened.and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text));
            (path, read)
        }
        None if argument == "-" => {
            let read = (&mut *console.input)
                .take(BYTES_MAX + 1)
                .read_to_string(&mut text);
            ("standard input", read)
        }
        None => return Ok(argument.trim().to_owned()),
    };
    read.map_err(|error| Failure::new(Exit::ALL_FAILED, format!("cannot read {whence}: {error}")))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(Failure::usage(format!(
            "{whence} has more than {BYTES_MAX} bytes"
        )));
    }
    match text.trim() {
        "" => Err(Failure::usage(format!("{whence} is empty"))),
        text => Ok(text.to_owned()),
    }
}
