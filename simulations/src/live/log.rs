//! What the actors log, with the virtual time, on stderr: for a person who looks for a fault.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Once;

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Names the least level that is shown: `REGATTA_LOG=debug cargo test …`.
const VARIABLE: &str = "REGATTA_LOG";

struct Log {
    started: Instant,
    level: Level,
}

/// Shows what is logged from now on, where the environment asks for it.
pub(super) fn show() {
    static ONCE: Once = Once::new();
    let asked = std::env::var(VARIABLE).ok();
    let Some(level) = asked.and_then(|level| level.parse().ok()) else {
        return;
    };
    ONCE.call_once(|| {
        let started = Instant::now();
        // Another that was set before shows the same.
        let _ = tracing::subscriber::set_global_default(Log { started, level });
    });
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && metadata.target().starts_with("regatta")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let (at, metadata) = (self.started.elapsed(), event.metadata());
        // Where stderr is closed nobody reads.
        let _ = writeln!(
            std::io::stderr(),
            "{:9.3} {:5} {}:{}",
            at.as_secs_f64(),
            metadata.level(),
            metadata.target(),
            line.0
        );
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
