//! `regatta rollout`: how far a change has gone out in waves, and an operator's word on it.

use clap::{Args, Subcommand};

use super::console::{Console, Done};
use super::output::{self, Format};
use super::place::Place;
use super::watch;
use crate::control::api::{RolloutAction, RolloutAsk, RolloutStatus, one_line};
use crate::exit::Exit;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show how far it is
    Status {
        /// The document
        #[arg(value_name = "CONFIG")]
        name: String,
        /// How to show it
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
        /// Show it again whenever it changes
        #[arg(short, long)]
        watch: bool,
    },
    /// Open no further wave until it is resumed
    Pause(Named),
    /// Go on, passing over the devices that failed until now
    Resume(Named),
    /// Have all devices go back to what was before
    Abort(Named),
}

#[derive(Args, Debug)]
struct Named {
    /// The document
    #[arg(value_name = "CONFIG")]
    name: String,
    /// Why, for others to read
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Asks, or says what is to become of it.
///
/// # Errors
/// When there is no such rollout, or it is over.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let client = place.client();
    let (action, named) = match arguments.what {
        What::Status {
            name,
            output,
            watch,
        } => {
            let show = |console: &mut Console<'_>, found: &RolloutStatus| match output {
                Format::Json => output::json(console.out, found),
                Format::Yaml => output::yaml(console.out, found),
                Format::Table | Format::Wide => console.out.write_all(text(found).as_bytes()),
            };
            let ask = async || client.rollout(&name).await;
            return watch::shown(console, (watch, output), ask, show).await;
        }
        What::Pause(named) => (RolloutAction::Pause, named),
        What::Resume(named) => (RolloutAction::Resume, named),
        What::Abort(named) => (RolloutAction::Abort, named),
    };
    let ask = RolloutAsk {
        action,
        why: named.reason,
    };
    let saved = client.steer(&named.name, &ask).await?;
    console.say(&format!(
        "{}; on {} of {} managers",
        saved.what, saved.copies, saved.managers
    ));
    Ok(Exit::ALL)
}

fn text(found: &RolloutStatus) -> String {
    let devices = &found.devices;
    let why = found
        .why
        .as_deref()
        .map(|why| format!(": {}", one_line(why)));
    let mut text = format!(
        "config/{}@{}: {}{}\n",
        found.name,
        found.version,
        found.state,
        why.unwrap_or_default()
    );
    text += &format!(
        "wave {} of {}, open since {}: {} of {} heard devices, {} selected\n",
        found.wave, found.waves, found.since, devices.reach, devices.heard, devices.selected
    );
    text += &format!(
        "open {}, applied {}, failed {}, following when they come {}\n",
        devices.open, devices.applied, devices.failed, devices.following
    );
    for (room, count) in &devices.held {
        let room = if room.is_empty() { "all" } else { room };
        text += &format!("{count} of {room} wait: minAvailable has nobody to spare\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::RolloutCounts;

    #[test]
    fn a_rollout_is_told_in_three_lines_and_whom_it_holds_up() {
        let found = RolloutStatus {
            name: "nav".to_owned(),
            version: 4,
            state: "paused".to_owned(),
            why: Some("1 of 2 devices failed".to_owned()),
            wave: 1,
            waves: 3,
            since: "2026-11-20T12:00:00Z".to_owned(),
            devices: RolloutCounts {
                selected: 12,
                heard: 10,
                reach: 1,
                open: 2,
                applied: 1,
                failed: 1,
                following: 0,
                held: [("site=osaka".to_owned(), 3)].into(),
            },
        };
        let expect = "\
config/nav@4: paused: 1 of 2 devices failed
wave 1 of 3, open since 2026-11-20T12:00:00Z: 1 of 10 heard devices, 12 selected
open 2, applied 1, failed 1, following when they come 0
3 of site=osaka wait: minAvailable has nobody to spare
";
        assert_eq!(text(&found), expect);
    }
}
