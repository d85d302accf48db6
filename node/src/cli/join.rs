//! `regatta join`: makes this machine a member of the fleet that an invite is for.

use std::time::Duration;

use clap::Args;
use regatta_actors::join::Progress;
use regatta_protocol::trust::invite::token::Token;

use super::console::{Console, Done, Failure};
use super::place::Place;
use super::{span, token};
use crate::exit::Exit;
use crate::folder::StateFolder;
use crate::joining::{JoinAsk, Joined, join};

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
    let text = token::read(&arguments.invite, console)?;
    let token = Token::parse(&text).map_err(|error| Failure::usage(error.to_string()))?;
    let name = place.node_name(arguments.name.as_deref())?;
    let folder = StateFolder::at(&place.state_dir);
    let settings = place.settings()?;
    let ask = JoinAsk {
        token,
        name,
        patience: Duration::from_millis(arguments.timeout),
    };
    let mut said = false;
    let joined = join(&folder, &settings, ask, |progress| {
        // Once is enough: it asks again every few seconds.
        if !std::mem::replace(&mut said, true) {
            console.say(&match progress {
                Progress::AsksAgain(error) => format!("{error}; asking again"),
                Progress::WaitsForRoot { name, serial } => format!(
                    "{name} waits for the root: `regatta root sign {serial} --root-key FILE` on a manager"
                ),
            });
        }
    })
    .await
    .map_err(|error| Failure::refused(error.to_string()))?;
    writeln!(console.out, "{}", line(&joined))?;
    console.say(&format!("start it with `regatta up{}`", place.hint()));
    Ok(Exit::ALL)
}

/// "joined acme as amr-07, home managers m1, m2 (direct, 2 ms)".
fn line(joined: &Joined) -> String {
    let Joined { member, homes } = joined;
    let head = format!(
        "joined {} as {}",
        member.fleet_name, member.certificate.name
    );
    let Some(best) = homes.first() else {
        return format!("{head}; no home manager answered yet, they are tried again when it is up");
    };
    let names: Vec<&str> = homes.iter().map(|home| home.name.as_str()).collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    let path = if best.path.relayed {
        "relayed"
    } else {
        "direct"
    };
    let ms = best.rtt.as_millis().max(1);
    format!(
        "{head}, home manager{plural} {} ({path}, {ms} ms)",
        names.join(", ")
    )
}
