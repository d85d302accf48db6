//! Logs: for people on a terminal, for the journal under systemd, as JSON where that is asked for.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Mutex;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt as subscriber};

use crate::settings::{LogFormat, LogSettings};

/// Our own crates; what others say at a level below warning concerns their authors.
const OURS: [&str; 3] = ["regatta_node", "regatta_actors", "regatta_protocol"];

/// Reads `log.level`: a level, or levels by target as `info,regatta_actors=debug,libp2p_swarm=trace`.
///
/// # Errors
/// When it is neither.
pub fn filter(text: &str) -> Result<Targets, String> {
    // The parser takes numbers and nothing at all for levels too.
    let word = !text.is_empty() && text.parse::<usize>().is_err();
    if let (true, Ok(level)) = (word, text.parse::<LevelFilter>()) {
        let others = level.min(LevelFilter::WARN);
        let ours = OURS.into_iter().map(|target| (target, level));
        return Ok(Targets::new().with_default(others).with_targets(ours));
    }
    let wrong = format!(
        "{text:?} is not error, warn, info, debug or trace, nor such as info,regatta_actors=debug"
    );
    match text.parse::<Targets>() {
        // A mistyped level would be read as a target that is logged whole.
        Ok(targets) if text.contains('=') => Ok(targets),
        _ => Err(wrong),
    }
}

/// Sends the logs of this process to standard error.
///
/// # Errors
/// When they go somewhere already.
pub fn start(settings: &LogSettings) -> Result<(), TryInitError> {
    let stderr = subscriber::layer().with_writer(io::stderr);
    let layer = match settings.format {
        LogFormat::Json => stderr.json().flatten_event(true).boxed(),
        LogFormat::Auto if under_systemd() => stderr.event_format(Journal).boxed(),
        LogFormat::Auto | LogFormat::Human => {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            stderr.with_ansi(colour).with_target(false).boxed()
        }
    };
    let filtered = layer.with_filter(settings.filter.clone());
    tracing_subscriber::registry().with(filtered).try_init()
}

/// Sends the logs of this process to a file.
///
/// # Errors
/// When it cannot be made, or they go somewhere already.
pub fn start_in(path: &Path, filter: Targets) -> io::Result<()> {
    let file = File::options().create(true).append(true).open(path)?;
    let layer = subscriber::layer()
        .with_ansi(false)
        .with_writer(Mutex::new(file));
    let filtered = layer.with_target(false).with_filter(filter);
    let started = tracing_subscriber::registry().with(filtered).try_init();
    started.map_err(io::Error::other)
}

/// Whether standard error is the journal's, which has its own clock and reads `<N>` as a level.
fn under_systemd() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some() && !io::stderr().is_terminal()
}

/// A line for the journal: its level in front, and no time.
struct Journal;

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// The level of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_ours_and_others_say_warnings_at_most() {
        let info = filter("info").expect("a level");
        assert!(info.would_enable("regatta_actors::network", &Level::INFO));
        assert!(!info.would_enable("regatta_node", &Level::DEBUG));
        assert!(!info.would_enable("libp2p_swarm", &Level::INFO));
        assert!(info.would_enable("libp2p_swarm", &Level::WARN));
        let error = filter("error").expect("a level");
        assert!(!error.would_enable("libp2p_swarm", &Level::WARN));
        let each = filter("warn,libp2p_swarm=trace").expect("levels by target");
        assert!(each.would_enable("libp2p_swarm", &Level::TRACE));
        for wrong in ["", "loud", "3", "infoo,debug"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }
}
