//! `regatta conflicts`: changes that were made without seeing each other, such as on two sides of a
//! partition.

use clap::Args;

use super::console::{Console, Done};
use super::history::row;
use super::output::table::{Table, cut, whole};
use super::output::{self, Format};
use super::place::Place;
use crate::exit::Exit;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Asks and shows.
///
/// # Errors
/// When the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let found = place.client().conflicts().await?;
    output::show(console, arguments.output, &found, |found| {
        let columns = vec![
            whole("CONFIG"),
            whole("VERSION"),
            whole("STATE"),
            whole("WRITTEN"),
            whole("BY"),
            cut("FOR"),
            whole("ENTRY"),
        ];
        let mut table = Table::new(columns, "no conflicts");
        for conflict in found {
            for version in std::iter::once(&conflict.holds).chain(&conflict.lost) {
                let mut cells = vec![conflict.name.as_str().into()];
                cells.extend(row(version));
                table.push(cells);
            }
        }
        table
    })?;
    if !found.is_empty() && arguments.output.is_table() {
        console.say("the next `regatta apply` of such a document settles it");
    }
    Ok(Exit::ALL)
}
