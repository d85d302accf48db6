//! The command line: what was typed goes in, text and an exit code come out.
//!
//! It writes to the streams that it is handed and never to the process's own, so tests read what an
//! operator would; `println!` stays denied here as everywhere, because it panics when the reader of
//! a pipe has gone. One file owns one command from its arguments to its last line.

pub mod apply;
pub mod completion;
pub mod config;
pub mod conflicts;
pub mod console;
pub mod delete;
pub mod demo;
pub mod describe;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod forget;
pub mod get;
pub mod grant;
pub mod history;
pub mod init;
pub mod invite;
pub mod join;
pub mod label;
pub mod man;
pub mod names;
pub mod output;
pub mod path;
pub mod ping;
pub mod place;
pub mod renew;
pub mod replace;
pub mod revoke;
pub mod rollout;
pub mod root;
pub mod settings;
pub mod span;
pub mod status;
pub mod targets;
pub mod token;
pub mod up;
pub mod watch;

use std::ffi::OsString;
use std::io;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use self::console::{Console, Done, Failure};
use self::place::Place;
use crate::control::api::one_line;
use crate::exit::Exit;

/// Configure, watch and run things on fleets of machines, without a server to lose
#[derive(Debug, Parser)]
#[command(
    name = "regatta",
    version,
    term_width = 80,
    disable_help_subcommand = true,
    after_help = "Exit codes:\n   0  done, on all targets\n   1  some targets failed, and at least \
        one did not\n   2  all failed, or it was refused: nothing changed\n  64  the command line \
        was not understood\n  69  the node of this machine cannot be reached\n  70  a bug in Regatta"
)]
struct CommandLine {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a small fleet on this machine, and say what to try
    Demo(demo::Arguments),
    /// Found a fleet: makes its root key, and this node its first manager
    Init(init::Arguments),
    /// Run this node, until it is stopped
    Up(Box<up::Arguments>),
    /// Make an invite: a text, and a QR code, by which devices join
    Invite(invite::Arguments),
    /// Join the fleet that an invite is for
    Join(join::Arguments),
    /// Show how this node is
    Status(status::Arguments),
    /// List devices, managers, invites, requests, configs or drift
    Get(get::Arguments),
    /// Show all that is known of one device, manager, invite or config
    Describe(describe::Arguments),
    /// Write configuration documents, all of them or none
    Apply(apply::Arguments),
    /// Show what applying documents would change
    Diff(diff::Arguments),
    /// Delete configuration documents
    Delete(delete::Arguments),
    /// Show who says what about a value on a device
    Explain(explain::Arguments),
    /// Show a device's effective configuration; read values on this node
    Config(config::Arguments),
    /// List every version of a document
    History(history::Arguments),
    /// Have a document be what it was in an earlier version
    Rollback(history::RollbackArguments),
    /// Show, pause, resume or abort a change that goes out in waves
    Rollout(rollout::Arguments),
    /// List changes that were made without seeing each other
    Conflicts(conflicts::Arguments),
    /// Set and remove labels of devices
    Label(label::Arguments),
    /// Stop devices or invites: what they sign counts no more
    Revoke(revoke::Arguments),
    /// List devices no more that are gone for good
    Forget(forget::Arguments),
    /// Make an invite for new hardware that takes a device's place
    Replace(replace::Arguments),
    /// Renew certificates: of devices, or this node's own
    Renew(renew::Arguments),
    /// Sign a certificate for an operator
    Grant(grant::Arguments),
    /// Probe devices
    Ping(ping::Arguments),
    /// Show how a device is reached
    Path(path::Arguments),
    /// Say what is wrong with this node, and what to do about it
    Doctor(doctor::Arguments),
    /// Work with the root key: sign what waits for it, change it
    Root(root::Arguments),
    /// Show each setting of a node and where it came from
    Settings(Box<settings::Arguments>),
    /// Print completions for a shell
    Completion(completion::Arguments),
    /// Print a man page, or write them all
    Man(man::Arguments),
    /// Print the names of devices, for completions
    #[command(name = "__names", hide = true)]
    Names,
}

/// Does what the arguments ask for, the program's own name not among them.
///
/// # Errors
/// When standard output cannot be written to. Where standard error cannot, the exit code says it
/// alone.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    console: &mut Console<'_>,
) -> io::Result<Exit> {
    let typed: Vec<OsString> = arguments.into_iter().collect();
    let name = std::iter::once(OsString::from("regatta"));
    let done = match CommandLine::try_parse_from(name.chain(typed.iter().cloned())) {
        Ok(line) => perform(line, console),
        Err(error) => answered(&error, &typed, console),
    };
    let exit = match done {
        Ok(exit) => exit,
        Err(Failure::Output(error)) => return Err(error),
        Err(Failure::Said { exit, message }) => {
            console.say(&message);
            exit
        }
    };
    console.out.flush()?;
    Ok(exit)
}

fn perform(line: CommandLine, console: &mut Console<'_>) -> Done {
    let place = &line.place;
    // Nodes use all cores; whoever only asks one is done before threads are worth it.
    let node = matches!(line.command, Command::Up(_) | Command::Demo(_));
    let runtime = runtime(node)?;
    let done = runtime.block_on(async {
        match line.command {
            Command::Demo(arguments) => demo::run(arguments, place, console).await,
            Command::Init(arguments) => init::run(arguments, place, console).await,
            Command::Up(arguments) => up::run(*arguments, place, console).await,
            Command::Invite(arguments) => invite::run(arguments, place, console).await,
            Command::Join(arguments) => join::run(arguments, place, console).await,
            Command::Status(arguments) => status::run(arguments, place, console).await,
            Command::Get(arguments) => get::run(arguments, place, console).await,
            Command::Describe(arguments) => describe::run(arguments, place, console).await,
            Command::Apply(arguments) => apply::run(arguments, place, console).await,
            Command::Diff(arguments) => diff::run(arguments, place, console).await,
            Command::Delete(arguments) => delete::run(arguments, place, console).await,
            Command::Explain(arguments) => explain::run(arguments, place, console).await,
            Command::Config(arguments) => config::run(arguments, place, console).await,
            Command::History(arguments) => history::run(arguments, place, console).await,
            Command::Rollback(arguments) => history::rollback(arguments, place, console).await,
            Command::Rollout(arguments) => rollout::run(arguments, place, console).await,
            Command::Conflicts(arguments) => conflicts::run(arguments, place, console).await,
            Command::Label(arguments) => label::run(arguments, place, console).await,
            Command::Revoke(arguments) => revoke::run(arguments, place, console).await,
            Command::Forget(arguments) => forget::run(arguments, place, console).await,
            Command::Replace(arguments) => replace::run(arguments, place, console).await,
            Command::Renew(arguments) => renew::run(arguments, place, console).await,
            Command::Grant(arguments) => grant::run(arguments, place, console).await,
            Command::Ping(arguments) => ping::run(arguments, place, console).await,
            Command::Path(arguments) => path::run(arguments, place, console).await,
            Command::Doctor(arguments) => doctor::run(arguments, place, console).await,
            Command::Root(arguments) => root::run(arguments, place, console).await,
            Command::Settings(arguments) => settings::run(*arguments, place, console),
            Command::Completion(arguments) => completion::run(arguments, console),
            Command::Man(arguments) => man::run(arguments, console),
            Command::Names => names::run(place, console).await,
        }
    });
    // A thread that hangs in a disk's call does not hold up the end.
    runtime.shutdown_background();
    done
}

fn runtime(node: bool) -> Result<Runtime, Failure> {
    let mut builder = match node {
        true => Builder::new_multi_thread(),
        false => Builder::new_current_thread(),
    };
    builder.enable_all().build().map_err(|error| {
        let message = format!("cannot start: {error}; are there too many processes or open files");
        Failure::new(Exit::ALL_FAILED, message)
    })
}

/// What clap says instead of a command: help and version on standard output, an error in one line.
fn answered(error: &clap::Error, typed: &[OsString], console: &mut Console<'_>) -> Done {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        write!(console.out, "{}", error.render())?;
        return Ok(Exit::ALL);
    }
    Err(Failure::usage(misunderstood(error, typed)))
}

/// A usage error as one line: what is wrong, what is near it, where to read more.
fn misunderstood(error: &clap::Error, typed: &[OsString]) -> String {
    let rendered = error.render().to_string();
    let mut said: Vec<&str> = Vec::new();
    for line in rendered.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        said.extend((!line.is_empty()).then_some(line));
    }
    let text = match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing".to_owned()
        }
        _ => said.join(" ").replace(" tip: ", "; "),
    };
    let text = text.trim_start_matches("error: ");
    format!("{}; see `{} --help`", one_line(text), helped(typed))
}

/// The command whose help is meant.
fn helped(typed: &[OsString]) -> String {
    let known = command();
    let mut at = &known;
    let mut path = vec!["regatta"];
    for word in typed {
        if let Some(next) = at.find_subcommand(word).filter(|next| !next.is_hide_set()) {
            path.push(next.get_name());
            at = next;
        }
    }
    path.join(" ")
}

/// The whole command line as a description: for completions, man pages and tests.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        super::command().debug_assert();
    }
}
