//! `regatta path`: how a device is reached, and what was tried.

use clap::Args;

use super::console::{Console, Done};
use super::output::{self, Format, words};
use super::place::Place;
use crate::control::api::{PathReport, one_line};
use crate::exit::Exit;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The device by its name or id
    #[arg(value_name = "NAME")]
    name: String,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Asks and shows.
///
/// # Errors
/// When there is no path, or the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let report = place.client().path(&arguments.name).await?;
    match arguments.output {
        Format::Json => output::json(console.out, &report)?,
        Format::Yaml => output::yaml(console.out, &report)?,
        Format::Table | Format::Wide => {
            writeln!(
                console.out,
                "{}: {}",
                one_line(&arguments.name),
                line(&report)
            )?;
            for hop in &report.hops {
                writeln!(console.out, "  {}", one_line(hop))?;
            }
        }
    }
    Ok(Exit::ALL)
}

/// `direct, 2.1 ms, /ip4/…`.
#[must_use]
pub fn line(report: &PathReport) -> String {
    let via = report.via.as_ref().map(|via| format!(" through {via}"));
    let rtt = report
        .rtt_us
        .map(|us| format!(", {}", words::round_trip(us)));
    let (via, rtt) = (via.unwrap_or_default(), rtt.unwrap_or_default());
    one_line(&format!(
        "{}{via}{rtt}, {}",
        report.path.word(),
        report.address
    ))
}
