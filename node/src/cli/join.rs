//! `regatta join`: makes this machine a member of the fleet that an invite is for.

use clap::Args;

use super::console::{Console, Done, Failure};
use super::place::Place;
use super::{span, token};

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The invite: - reads it from standard input and @FILE from a file, which is
    /// safer than an argument, as those can be read by every user of this machine
    #[arg(value_name = "INVITE|-|@FILE")]
    pub invite: String,
    /// This node's name, if not the host's
    #[arg(long, value_name = "NODE")]
    pub name: Option<String>,
    /// How long to try
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span::parse)]
    pub timeout: u64,
}

/// Asks a manager to be let in.
///
/// # Errors
/// When the invite is none, nobody answers, or it is refused.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let _ = (token::read(&arguments.invite, console)?, place);
    Err(Failure::refused("this build cannot join fleets yet"))
}
