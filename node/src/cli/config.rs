//! `regatta config`: a device's effective tree, values for programs on this node, and taking over a
//! tree of files.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use regatta_protocol::codec::Name;

use super::console::{Console, Done, Failure};
use super::output::{self, Format};
use super::place::Place;
use crate::control::api::LocalValue;
use crate::exit::Exit;
use crate::manifest::import::{self, Options};

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the effective tree of a device, secrets masked
    Show {
        /// The device
        #[arg(value_name = "DEVICE")]
        device: String,
        /// Only what is at this place and below it
        #[arg(value_name = "PATH")]
        path: Option<String>,
        /// How to show it
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Print a value that holds on this node
    Get {
        /// The place, such as nav.max_velocity
        #[arg(value_name = "PATH")]
        path: String,
        /// How to show it: a text as it is, or JSON or YAML
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Print a value that holds on this node, and each new one
    Watch {
        /// The place, such as nav
        #[arg(value_name = "PATH")]
        path: String,
    },
    /// Make documents of a tree of folders by label and value, and print them
    Import {
        /// The folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// What the documents' names begin with; the folder's name where it is not said
        #[arg(long, value_name = "NAME")]
        name: Option<Name>,
        /// Where the files come to lie on devices
        #[arg(long, value_name = "PATH")]
        root: Option<String>,
    },
}

/// Does one of them.
///
/// # Errors
/// When there is no such thing, or the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    match arguments.what {
        What::Show {
            device,
            path,
            output,
        } => {
            let found = place.client().effective(&device, path.as_deref()).await?;
            for name in &found.missing {
                console.say(&format!(
                    "the words of config/{name} have not come here yet"
                ));
            }
            match output {
                Format::Json => output::json(console.out, &found.tree)?,
                _ => output::yaml(console.out, &found.tree)?,
            }
            Ok(Exit::ALL)
        }
        What::Get { path, output } => {
            let found = place.client().local_value(&path).await?;
            let Some(value) = &found.value else {
                return Err(Failure::refused(format!(
                    "nothing is set at {path} on this node"
                )));
            };
            match (output, value) {
                (Format::Json, _) => output::json(console.out, value)?,
                (Format::Table | Format::Wide, serde_json::Value::String(text)) => {
                    writeln!(console.out, "{text}")?;
                }
                _ => output::yaml(console.out, value)?,
            }
            Ok(Exit::ALL)
        }
        What::Watch { path } => {
            let (client, out) = (place.client(), &mut *console.out);
            let watched = client.watch_local(&path, |found: LocalValue| {
                output::json_line(out, &found.value)?;
                out.flush()
            });
            watched.await?;
            Err(Failure::refused(
                "the node ended, or is starting its actors again",
            ))
        }
        What::Import { folder, name, root } => import(folder, name, root, console),
    }
}

fn import(
    folder: PathBuf,
    name: Option<Name>,
    root: Option<String>,
    console: &mut Console<'_>,
) -> Done {
    let shown = folder.display().to_string();
    let name = match name {
        Some(name) => name,
        None => {
            let real = folder.canonicalize();
            let real = real.map_err(|error| Failure::usage(format!("{shown}: {error}")))?;
            let last = real.file_name().map(|it| it.to_string_lossy().into_owned());
            let name = Name::new(&last.unwrap_or_default());
            name.map_err(|error| Failure::usage(format!("{shown}: {error}; give one with --name")))?
        }
    };
    let mut options = Options::new(name);
    options.root = root.unwrap_or(options.root);
    let imported = import::import(&folder, &options);
    let imported = imported.map_err(|error| Failure::usage(error.to_string()))?;
    for note in &imported.notes {
        console.say(&note.to_string());
    }
    console.out.write_all(imported.yaml().as_bytes())?;
    Ok(Exit::ALL)
}
