//! `regatta grant`: a certificate by which an operator may do something, somewhere, for a while.

use clap::Args;

use super::console::{Console, Done};
use super::output::{self, Format};
use super::place::Place;
use super::{span, targets};
use crate::control::api::{GrantAsk, one_line};
use crate::exit::Exit;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What it allows, such as exec.run or config.write
    #[arg(value_name = "CAPABILITY", required = true)]
    capabilities: Vec<String>,
    /// The operator's name
    #[arg(long, value_name = "OPERATOR")]
    to: String,
    /// The operator's public key
    #[arg(long)]
    key: String,
    /// On which devices, such as site=osaka; without, on all
    #[arg(
        short = 'l',
        long = "selector",
        value_name = "SELECTOR",
        default_value = "",
        hide_default_value = true
    )]
    selector: String,
    /// A user as whom commands may run; may be repeated
    #[arg(long = "as", value_name = "USER")]
    run_as: Vec<String>,
    /// For how long, at most 90d
    #[arg(long, value_name = "TIME", default_value = "8h", value_parser = span::parse)]
    ttl: u64,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Has it signed and shows it.
///
/// # Errors
/// When it is refused, or the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let ask = GrantAsk {
        to: arguments.to,
        key: arguments.key,
        capabilities: arguments.capabilities,
        selector: arguments.selector,
        run_as: arguments.run_as,
        ttl_ms: arguments.ttl,
    };
    let granted = place.client().grant(&ask).await?;
    match arguments.output {
        Format::Json => output::json(console.out, &granted)?,
        Format::Yaml => output::yaml(console.out, &granted)?,
        Format::Table | Format::Wide => {
            writeln!(console.out, "{}", one_line(&granted.certificate))?;
            console.say(&format!(
                "certificate {} for {}, until {} ({})",
                granted.id,
                ask.to,
                granted.until,
                targets::copies(&granted.saved)
            ));
        }
    }
    Ok(Exit::ALL)
}
