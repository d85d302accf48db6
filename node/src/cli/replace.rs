//! `regatta replace`: an invite for new hardware that takes a device's place.

use clap::Args;

use super::console::{Console, Done};
use super::invite::{self, Shown};
use super::place::Place;
use super::span;
use crate::control::api::{InviteAsk, Labels};

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The device whose name and labels the new hardware gets
    #[arg(value_name = "NAME")]
    name: String,
    /// How long the invite can be used: 30m, 24h, 7d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = span::parse)]
    ttl: u64,
    #[command(flatten)]
    shown: Shown,
}

/// Makes the invite and shows it.
///
/// # Errors
/// When it is refused, or the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let ask = InviteAsk {
        labels: Labels::new(),
        uses: 1,
        ttl_ms: arguments.ttl,
    };
    arguments.shown.check()?;
    let given = place.client().replace(&arguments.name, &ask).await?;
    invite::show(&given, &arguments.shown, console)
}
