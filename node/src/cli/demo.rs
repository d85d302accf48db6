//! `regatta demo`: a small fleet on this machine.

use std::path::PathBuf;

use clap::Args;

use super::console::{Console, Done, Failure};
use super::place::Place;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Where its nodes keep their state, if not in a new temporary folder
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// How many agents
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub agents: u32,
    /// Leave the folder there at the end
    #[arg(long)]
    pub keep: bool,
}

/// Starts a manager and agents, and says what to try.
///
/// # Errors
/// When one of them does not start.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let _ = (arguments, place, console);
    Err(Failure::refused("this build cannot run nodes yet"))
}
