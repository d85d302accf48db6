//! `regatta history` and `regatta rollback`: what a document was, and having it be that again.

use clap::{Args, ValueEnum};

use super::apply::show;
use super::console::{Console, Done};
use super::output::table::{Cell, Table, cut, whole};
use super::output::{self, Format};
use super::place::Place;
use crate::control::api::{ConfigVersion, RollbackAsk};
use crate::exit::Exit;

/// What kinds of documents have versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Configuration
    Config,
}

/// What was typed after `history`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What kind of thing
    #[arg(value_enum)]
    what: What,
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// What was typed after `rollback`.
#[derive(Args, Debug)]
pub struct RollbackArguments {
    /// What kind of thing
    #[arg(value_enum)]
    what: What,
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// The version that it is to be as
    #[arg(long, value_name = "VERSION")]
    to: u32,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Shows every version.
///
/// # Errors
/// When there is no such document, or the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let What::Config = arguments.what;
    let found = place.client().history(&arguments.name).await?;
    output::show(console, arguments.output, &found, |found| table(found))?;
    Ok(Exit::ALL)
}

/// Writes it as it was: as a new version, so that nothing of what was is lost.
///
/// # Errors
/// When there is no such version, or it may not be written.
pub async fn rollback(
    arguments: RollbackArguments,
    place: &Place,
    console: &mut Console<'_>,
) -> Done {
    let What::Config = arguments.what;
    let ask = RollbackAsk {
        to: arguments.to,
        dry_run: arguments.dry_run,
    };
    let applied = place.client().rollback(&arguments.name, &ask).await?;
    show(&applied, arguments.output, console)
}

pub(super) fn row(version: &ConfigVersion) -> Vec<Cell> {
    let select = if version.select.is_empty() {
        "all"
    } else {
        &version.select
    };
    vec![
        version.version.to_string().into(),
        version.state.as_str().into(),
        version.at.as_str().into(),
        version.by.as_str().into(),
        select.into(),
        version.entry.as_str().into(),
    ]
}

fn table(found: &[ConfigVersion]) -> Table {
    let columns = vec![
        whole("VERSION"),
        whole("STATE"),
        whole("WRITTEN"),
        whole("BY"),
        cut("FOR"),
        whole("ENTRY"),
    ];
    let mut table = Table::new(columns, "no versions");
    for version in found {
        table.push(row(version));
    }
    table
}
