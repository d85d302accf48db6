//! `regatta init`: founds a fleet.

use std::path::PathBuf;

use clap::Args;

use super::console::{Console, Done, Failure};
use super::place::Place;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The fleet's name
    #[arg(value_name = "FLEET")]
    pub fleet: String,
    /// This node's name, if not the host's
    #[arg(long, value_name = "NODE")]
    pub name: Option<String>,
    /// Where to put the root key; keep it offline afterwards
    #[arg(long, value_name = "FILE")]
    pub root_key: Option<PathBuf>,
}

/// Makes the root key and the first manager's certificate.
///
/// # Errors
/// When the state folder cannot be used, or holds a node already.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let _ = (arguments, place, console);
    Err(Failure::refused("this build cannot found fleets yet"))
}
