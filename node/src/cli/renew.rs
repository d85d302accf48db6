//! `regatta renew`: renews certificates before they lapse.

use clap::Args;

use super::console::{Console, Done};
use super::place::Place;
use super::targets::{self, Among, Selected};
use crate::exit::Exit;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Devices by their names or ids; without any, this node
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    selected: Selected,
}

/// Renews each.
///
/// # Errors
/// When none could be renewed.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let client = place.client();
    let Arguments { names, selected } = arguments;
    if names.is_empty() && selected.selector.is_none() {
        let saved = client.renew(None).await?;
        targets::said(console, &saved)?;
        return Ok(Exit::ALL);
    }
    let whom = ("renew", Among::Live);
    let targets = selected.targets(names, whom, &client, console).await?;
    targets::each(&targets, console, async |name| {
        client.renew(Some(name)).await
    })
    .await
}
