//! `regatta init`: founds a fleet.

use std::path::PathBuf;

use clap::Args;
use regatta_protocol::codec::Name;

use super::console::{Console, Done, Failure};
use super::place::Place;
use crate::exit::Exit;
use crate::folder::StateFolder;
use crate::founding::{FoundAsk, found};
use crate::machine;

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
    let wrong =
        |what: &str, error: &dyn std::fmt::Display| Failure::usage(format!("{what}: {error}"));
    let fleet = Name::new(&arguments.fleet).map_err(|error| wrong("the fleet's name", &error))?;
    let node = place.node_name(arguments.name.as_deref())?;
    let root_key = arguments.root_key;
    let root_key = root_key.unwrap_or_else(|| PathBuf::from(format!("{fleet}-root.key")));
    let folder = StateFolder::at(&place.state_dir);
    // Named in full: it is to be found again, and carried away.
    let root_key = std::path::absolute(&root_key).unwrap_or(root_key);
    let ask = FoundAsk {
        fleet: fleet.clone(),
        node: node.clone(),
        root_key,
    };
    let new = found(&folder, &ask, machine::wall(), &mut machine::prng())
        .map_err(|error| Failure::refused(error.to_string()))?;
    let hint = place.hint();
    writeln!(
        console.out,
        "founded the fleet {fleet}; this node, {node}, is its first manager\n\n\
         root key   {}\n\
         next key   {}\n\
         fleet id   {}\n\n\
         The root key makes managers and judges them; daily work does not need it. Move it off this\n\
         machine now, onto a stick in a drawer, and the next key somewhere else: whoever has one of\n\
         them alone cannot take the fleet along. Without them no manager can ever be added.\n\n\
         Next:  regatta up{hint}\n\
         then   regatta invite{hint} --label site=osaka",
        new.root_key.display(),
        new.next_key.display(),
        new.id,
    )?;
    Ok(Exit::ALL)
}
