//! Whom a command is for: names, or a selector; each fails for itself.

use clap::Args;

use super::console::{Console, Done, Failure};
use crate::control::api::{Device, DeviceState, Saved};
use crate::control::client::{Client, ClientError};
use crate::exit::Exit;

/// Devices by a selector, and the answer to the question that this asks.
#[derive(Args, Clone, Debug)]
pub struct Selected {
    /// All devices whose labels match, such as site=osaka,role!=dock
    #[arg(short = 'l', long = "selector", value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Do not ask before many are changed
    #[arg(long)]
    pub yes: bool,
}

/// One that a command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What the node is asked for: what was typed, or the id of one that was selected, since a name may
    /// go to another device between the list and the act.
    pub ask: String,
    /// What it is called in what is said.
    pub name: String,
}

impl Target {
    fn typed(name: String) -> Self {
        let ask = name.clone();
        Self { ask, name }
    }
}

/// Which devices a selector can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// Those that are members.
    Live,
    /// Those that are listed, stopped ones too.
    Listed,
}

impl Among {
    fn has(self, device: &Device) -> bool {
        let gone = matches!(device.state, DeviceState::Stopped | DeviceState::Forgotten);
        self == Self::Listed || !gone
    }
}

impl Selected {
    /// The targets that are meant: those typed, or those selected, after a question.
    ///
    /// # Errors
    /// When nothing or both is given, nothing is selected, or the answer is no.
    pub async fn targets(
        &self,
        typed: Vec<String>,
        (verb, among): (&str, Among),
        client: &Client,
        console: &mut Console<'_>,
    ) -> Result<Vec<Target>, Failure> {
        let Some(selector) = &self.selector else {
            if typed.is_empty() {
                return Err(Failure::usage(format!(
                    "whom to {verb}: give names, or -l SELECTOR"
                )));
            }
            return Ok(typed.into_iter().map(Target::typed).collect());
        };
        if !typed.is_empty() {
            return Err(Failure::usage(format!(
                "whom to {verb}: give names or -l SELECTOR, not both ({})",
                typed.join(", ")
            )));
        }
        let found = client.devices(Some(selector)).await?;
        let meant = found.into_iter().filter(|device| among.has(device));
        let targets: Vec<Target> = meant
            .map(|Device { id, name, .. }| Target { ask: id, name })
            .collect();
        if targets.is_empty() {
            let live = match among {
                Among::Live => "live ",
                Among::Listed => "",
            };
            let why = format!("no {live}device matches {selector:?}");
            return Err(Failure::refused(why));
        }
        if !self.yes {
            console.confirm(&asked(verb, &targets))?;
        }
        Ok(targets)
    }
}

/// `revoke 3 devices (amr-01, amr-02, amr-03)`; of many the first few.
fn asked(verb: &str, targets: &[Target]) -> String {
    const SHOWN: usize = 5;
    let names: Vec<&str> = targets.iter().map(|it| it.name.as_str()).collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let noun = if names.len() == 1 {
        "device"
    } else {
        "devices"
    };
    format!("{verb} {} {noun} ({shown}{more})", names.len())
}

/// Does something to each; what fails is said with its name, and decides how the command ends.
///
/// # Errors
/// When the node cannot be reached, which is the same for all of them; or with the failure of the
/// only target.
pub async fn each(
    targets: &[Target],
    console: &mut Console<'_>,
    act: impl AsyncFn(&str) -> Result<Saved, ClientError>,
) -> Done {
    let mut failed = 0;
    for target in targets {
        match act(&target.ask).await {
            Ok(saved) => said(console, &saved)?,
            Err(error) if targets.len() == 1 || error.exit() == Exit::UNREACHABLE => {
                return Err(error.into());
            }
            Err(ClientError::Output(error)) => return Err(error.into()),
            Err(error) => {
                failed += 1;
                console.say(&format!("{}: {error}", target.name));
            }
        }
    }
    Ok(exit(failed, targets.len()))
}

/// How a command ends of whose targets so many failed.
#[must_use]
pub fn exit(failed: usize, all: usize) -> Exit {
    match failed {
        0 => Exit::ALL,
        failed if failed == all => Exit::ALL_FAILED,
        _ => Exit::SOME_FAILED,
    }
}

/// What was saved, and how many managers have it: `amr-07 is stopped (saved, on 2 of 3 managers)`.
///
/// # Errors
/// When it cannot be written.
pub fn said(console: &mut Console<'_>, saved: &Saved) -> std::io::Result<()> {
    let what = crate::control::api::one_line(&saved.what);
    match saved.saved {
        true => writeln!(console.out, "{what} ({})", copies(saved)),
        false => writeln!(console.out, "{what}"),
    }
}

/// Where something was saved.
#[must_use]
pub fn copies(saved: &Saved) -> String {
    match saved.saved {
        true => format!("saved, on {} of {} managers", saved.copies, saved.managers),
        false => "nothing had to be saved".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_some_and_counts_all() {
        let names = (1..=7).map(|number| Target::typed(format!("amr-0{number}")));
        let names: Vec<Target> = names.collect();
        let expect = "revoke 7 devices (amr-01, amr-02, amr-03, amr-04, amr-05 and 2 more)";
        assert_eq!(asked("revoke", &names), expect);
        assert_eq!(asked("label", &names[..1]), "label 1 device (amr-01)");
    }

    #[test]
    fn some_and_all_are_different_ends() {
        assert_eq!(exit(0, 3), Exit::ALL);
        assert_eq!(exit(1, 3), Exit::SOME_FAILED);
        assert_eq!(exit(3, 3), Exit::ALL_FAILED);
    }
}
