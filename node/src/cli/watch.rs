//! `-w`: the same question again and again, shown when its answer changes.

use std::io;
use std::time::Duration;

use super::console::{Console, Done, Screen};
use super::output::Format;
use crate::control::client::ClientError;
use crate::exit::Exit;

/// Between two questions.
const INTERVAL: Duration = Duration::from_secs(2);
/// To the top left corner, and everything behind it is gone.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// Asks once and shows the answer, or goes on until the node cannot be asked any more.
///
/// # Errors
/// When the node does not answer, or the output cannot be written.
pub async fn shown<T: PartialEq>(
    console: &mut Console<'_>,
    (watch, format): (bool, Format),
    ask: impl AsyncFn() -> Result<T, ClientError>,
    show: impl Fn(&mut Console<'_>, &T) -> io::Result<()>,
) -> Done {
    let mut last: Option<T> = None;
    loop {
        let answer = ask().await?;
        if last.as_ref() != Some(&answer) {
            let mut text = Vec::new();
            // Written in one go, so that a terminal does not flicker.
            show(
                &mut Console {
                    out: &mut text,
                    ..reborrowed(console)
                },
                &answer,
            )?;
            if watch && console.screen.columns.is_some() {
                console.out.write_all(CLEAR.as_bytes())?;
            }
            if watch && format == Format::Yaml {
                // Each answer is a document of its own.
                console.out.write_all(b"---\n")?;
            }
            console.out.write_all(&text)?;
            console.out.flush()?;
            last = Some(answer);
        }
        if !watch {
            return Ok(Exit::ALL);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn reborrowed<'a>(console: &'a mut Console<'_>) -> Console<'a> {
    let screen: Screen = console.screen;
    Console {
        out: &mut *console.out,
        err: &mut *console.err,
        input: &mut *console.input,
        screen,
    }
}
