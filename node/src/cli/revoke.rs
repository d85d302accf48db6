//! `regatta revoke`: stops devices or invites.

use clap::Args;

use super::console::{Console, Done};
use super::place::Place;
use super::targets::{self, Among, Selected};
use crate::control::api::RevokeAsk;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Devices by their names or ids, or invites by their ids
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Why, for whoever reads it later
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    selected: Selected,
}

/// Stops each.
///
/// # Errors
/// When none could be stopped.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let client = place.client();
    let Arguments {
        names,
        reason,
        selected,
    } = arguments;
    let whom = ("revoke", Among::Live);
    let targets = selected.targets(names, whom, &client, console).await?;
    let ask = RevokeAsk { reason };
    targets::each(&targets, console, async |name| {
        client.revoke(name, &ask).await
    })
    .await
}
