//! `regatta root`: what only the root key can do.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::console::{Console, Done, Failure};
use super::place::Place;
use crate::control::api::{FleetInfo, InviteAsk, Moment, SignedInviteText};

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What to do with it.
    #[command(subcommand)]
    pub what: What,
}

/// What the root does.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Sign what waits for the root: a request of a node that becomes a manager
    Sign(Sign),
    /// Change to the keys that the root committed to, and commit to the next
    Rotate(Rotate),
}

/// `root sign`.
#[derive(Args, Debug)]
pub struct Sign {
    /// A request by its node's name, or its text: - is standard input, @FILE a file
    #[arg(value_name = "NAME|-|@FILE", required = true)]
    pub requests: Vec<String>,
    /// The file with the root key; may be repeated where several have to sign
    #[arg(long, value_name = "FILE", required = true)]
    pub root_key: Vec<PathBuf>,
    /// Write what was signed to a file instead of handing it to this machine's node
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

/// `root rotate`.
#[derive(Args, Debug)]
pub struct Rotate {
    /// The file with today's root key; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    pub root_key: Vec<PathBuf>,
    /// The file with the key that today's root committed to; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    pub next_key: Vec<PathBuf>,
    /// Where to put the key after that, which is committed to now
    #[arg(long, value_name = "FILE")]
    pub new_key: Option<PathBuf>,
}

/// An invite that the root signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootInvite {
    /// The token, secret included: for the joiner alone.
    pub token: String,
    /// Its id.
    pub id: String,
    /// When it expires.
    pub expires: Moment,
    /// What the fleet is told of it.
    pub record: SignedInviteText,
}

/// Signs an invite for a manager with the root keys in these files.
///
/// # Errors
/// When a file holds no key of this fleet's root, or too few sign.
pub fn sign_invite(
    fleet: &FleetInfo,
    ask: &InviteAsk,
    root_key: &[PathBuf],
) -> Result<RootInvite, Failure> {
    let _ = (fleet, ask, root_key);
    Err(Failure::refused(
        "this build cannot sign with a root key yet",
    ))
}

/// Signs or rotates.
///
/// # Errors
/// When a key does not fit, or the node does not take what was signed.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let _ = (arguments, place, console);
    Err(Failure::refused(
        "this build cannot sign with a root key yet",
    ))
}
