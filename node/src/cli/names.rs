//! `regatta __names`: names for completions, quickly or not at all.

use std::time::Duration;

use super::console::{Console, Done};
use super::place::Place;
use crate::exit::Exit;

/// Whoever presses the tabulator waits no longer.
const LIMIT: Duration = Duration::from_millis(500);

/// Prints a name for each line; nothing where the node does not answer.
///
/// # Errors
/// When the output cannot be written.
pub async fn run(place: &Place, console: &mut Console<'_>) -> Done {
    let client = place.client();
    let asked = tokio::time::timeout(LIMIT, client.devices(None)).await;
    for device in asked.ok().and_then(Result::ok).unwrap_or_default() {
        // A name with a space or worse would be a word of its own for the shell.
        if device
            .name
            .chars()
            .all(|letter| letter.is_alphanumeric() || "-_./".contains(letter))
        {
            writeln!(console.out, "{}", device.name)?;
        }
    }
    Ok(Exit::ALL)
}
