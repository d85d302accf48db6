//! `regatta man`: man pages, written from the same description as the help.

use std::path::PathBuf;

use clap::Args;
use clap_mangen::Man;

use super::console::{Console, Done, Failure};
use crate::exit::Exit;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The command whose page is meant; without, regatta's own
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    command: Option<String>,
    /// Write all pages into this folder
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Prints one page, or writes all.
///
/// # Errors
/// When there is no such command, or it cannot be written.
pub fn run(arguments: Arguments, console: &mut Console<'_>) -> Done {
    let mut command = super::command();
    command.build();
    if let Some(folder) = arguments.dir {
        let written = std::fs::create_dir_all(&folder);
        let written = written.and_then(|()| clap_mangen::generate_to(command, &folder));
        written.map_err(|error| {
            Failure::refused(format!(
                "cannot write man pages into {}: {error}",
                folder.display()
            ))
        })?;
        return Ok(Exit::ALL);
    }
    let page = match &arguments.command {
        None => command,
        Some(name) => {
            let found = command
                .find_subcommand(name)
                .filter(|found| !found.is_hide_set());
            found.cloned().ok_or_else(|| {
                Failure::usage(format!(
                    "there is no command {name:?}; see `regatta --help`"
                ))
            })?
        }
    };
    Man::new(page).render(console.out)?;
    Ok(Exit::ALL)
}
