//! Documents as the simulator writes them, and what a simulated device does of them.
//!
//! What a command comes to stands in the command itself, so that whoever reads the words of a revision
//! knows how it goes: `true`, `false`, or `false-on` with the names of devices.

use regatta_protocol::catalog::{HeldRevision, RevisionId};
use regatta_protocol::codec::{self, Bytes};
use regatta_protocol::config::document::{Action, ConfigDocument, Hooks, Probe, RolloutSpec};
use regatta_protocol::config::value::{Tokens, Value};
use regatta_protocol::ident::Serial;
use regatta_protocol::ledger::bodies::root_of;
use regatta_protocol::ledger::entry::BodyRef;
use regatta_protocol::ledger::replica::Replica;

use crate::disk::Disk;

/// How long a probe that fails goes on trying.
pub const PROBE_MS: u64 = 3_000;

/// What happens where a document is tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Goes {
    /// Its hook runs, and all is well.
    #[default]
    Well,
    /// It has a check, a hook and a probe, and all are well.
    Thoroughly,
    /// Its check finds fault with it.
    Unchecked,
    /// Its hook fails.
    Wrong,
    /// Its hook fails on these devices.
    WrongOn(Vec<String>),
    /// What runs on it is not well.
    Unwell,
    /// A manager has to be heard within so many milliseconds.
    Confirmed(u64),
}

impl Goes {
    fn hooks(&self) -> Hooks {
        let command = |word: &str| vec![word.to_owned()];
        let exec = |word: &str| vec![Action::Exec(command(word))];
        let probe = |word: &str| {
            Some(Probe {
                exec: command(word),
                within_ms: PROBE_MS,
            })
        };
        let well = Hooks {
            on_change: exec("true"),
            ..Hooks::default()
        };
        match self {
            Self::Well => well,
            Self::Thoroughly => Hooks {
                check: probe("true"),
                healthy: probe("true"),
                ..well
            },
            Self::Unchecked => Hooks {
                check: probe("false"),
                ..well
            },
            Self::Wrong => Hooks {
                on_change: exec("false"),
                ..well
            },
            Self::WrongOn(devices) => {
                let mut words = command("false-on");
                words.extend(devices.iter().cloned());
                Hooks {
                    on_change: vec![Action::Exec(words)],
                    ..well
                }
            }
            Self::Unwell => Hooks {
                healthy: probe("false"),
                ..well
            },
            Self::Confirmed(ms) => Hooks {
                confirm_ms: Some(*ms),
                ..well
            },
        }
    }
}

/// A document like no other: the number is its value.
#[must_use]
pub fn words(number: u64, goes: &Goes, rollout: Option<RolloutSpec>) -> ConfigDocument {
    let number = Value::Text(format!("{number:016x}"));
    let values = Value::Map([("value".to_owned(), number)].into());
    ConfigDocument {
        by: "somebody".to_owned(),
        values: Tokens::of(&values),
        hooks: goes.hooks(),
        rollout,
        ..ConfigDocument::default()
    }
}

/// Words as a body, and what names it.
#[must_use]
pub fn body_of(words: &ConfigDocument) -> (BodyRef, Bytes) {
    let bytes = Bytes::from(codec::encode(words));
    let body = BodyRef {
        hash: root_of(&bytes),
        bytes: bytes.len() as u64,
        carried: false,
    };
    (body, bytes)
}

/// What a command comes to on a device of this name.
///
/// # Errors
/// Where it fails.
pub fn run(command: &[String], device: &str) -> Result<(), String> {
    let mut words = command.iter().map(String::as_str);
    let fails = match words.next() {
        Some("false") => true,
        Some("false-on") => words.any(|word| word == device),
        _ => false,
    };
    match fails {
        true => Err("exit code 1".to_owned()),
        false => Ok(()),
    }
}

/// What an action comes to.
///
/// # Errors
/// Where it fails.
pub fn act(action: &Action, device: &str) -> Result<(), String> {
    match action {
        Action::Exec(command) => run(command, device),
        Action::Restart(_) | Action::Reload(_) => Ok(()),
    }
}

/// A revision whose words were read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What they say, or why they say nothing.
    pub words: Result<ConfigDocument, String>,
    /// Under which certificate they were written.
    pub signer: Serial,
}

/// The words of a revision as a node holds it; none where they are not on its disk.
#[must_use]
pub fn load(replica: &Replica, disk: &Disk, id: &RevisionId) -> Option<Loaded> {
    let held = held(replica, id)?;
    let bytes = disk.bodies.get(&held.body?.hash)?;
    Some(Loaded {
        words: codec::decode::<ConfigDocument>(bytes).map_err(|error| error.to_string()),
        signer: held.signer,
    })
}

fn held<'a>(replica: &'a Replica, id: &RevisionId) -> Option<&'a HeldRevision> {
    replica.holdings().catalog().revision(id)
}
