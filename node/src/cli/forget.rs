//! `regatta forget`: lists devices no more that are gone for good.

use clap::Args;

use super::console::{Console, Done};
use super::place::Place;
use super::targets::{self, Among, Selected};

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Devices by their names or ids
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    selected: Selected,
}

/// Forgets each.
///
/// # Errors
/// When none could be forgotten.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let client = place.client();
    let Arguments { names, selected } = arguments;
    let whom = ("forget", Among::Listed);
    let targets = selected.targets(names, whom, &client, console).await?;
    targets::each(&targets, console, async |name| client.forget(name).await).await
}
