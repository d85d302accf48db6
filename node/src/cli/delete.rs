//! `regatta delete`: deletes documents; devices let go of what these brought.

use clap::{Args, ValueEnum};

use super::apply::show;
use super::console::{Console, Done};
use super::output::Format;
use super::place::Place;
use crate::control::api::ApplyAsk;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What kind of thing
    #[arg(value_enum)]
    what: What,
    /// Their names
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before devices lose it
    #[arg(long)]
    yes: bool,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Configuration
    #[value(alias = "configs")]
    Config,
}

/// Says which devices lose what, and deletes, all of them or none.
///
/// # Errors
/// When one is not there, or the answer is no.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let Arguments {
        what: What::Config,
        names,
        dry_run,
        yes,
        output,
    } = arguments;
    let client = place.client();
    let mut ask = ApplyAsk {
        delete: names,
        dry_run: true,
        ..ApplyAsk::default()
    };
    let planned = client.apply(&ask).await?;
    if dry_run {
        return show(&planned, output, console);
    }
    let lose: std::collections::BTreeSet<&String> =
        planned.documents.iter().flat_map(|it| &it.leaves).collect();
    if !yes && lose.len() > 1 {
        let names: Vec<&str> = planned
            .documents
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        console.confirm(&format!(
            "delete config {}: {} devices lose what it brought",
            names.join(", "),
            lose.len()
        ))?;
    }
    ask.dry_run = false;
    for change in &planned.documents {
        ask.expect
            .insert(change.name.clone(), change.before.unwrap_or(0));
    }
    show(&client.apply(&ask).await?, output, console)
}
