//! Joining: keys of the node's own, an answer that is held against the pinned root, files that last.

use std::sync::Arc;
use std::time::Duration;

use regatta_actors::join::{
    AskError, Asked, Home, JoinArguments, NewMember, Progress, join as ask, meet_homes,
};
use regatta_protocol::codec::Name;
use regatta_protocol::trust::invite::token::Token;
use thiserror::Error;

use crate::folder::{FolderError, Membership, StateFolder, fresh_keys};
use crate::machine;
use crate::ports::Listening;
use crate::running::reach;
use crate::settings::Settings;

/// Who wants to join.
#[derive(Clone, Debug)]
pub struct JoinAsk {
    /// Its invite.
    pub token: Token,
    /// What it wants to be called.
    pub name: Name,
    /// How long it tries.
    pub patience: Duration,
}

/// A node that joined.
#[derive(Debug)]
pub struct Joined {
    /// What it is now.
    pub member: Membership,
    /// The managers that it prefers and that answered, best first.
    pub homes: Vec<Home>,
}

/// Why it did not.
#[derive(Debug, Error)]
pub enum JoiningError {
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// It was not let in.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The root did not sign in time.
    #[error(
        "{0} still waits for the root's signature; `regatta root sign {0} --root-key FILE` on a \
         manager, then the same `regatta join` again"
    )]
    Waits(Name),
}

/// Makes the node of a folder a member of a fleet. What was asked before with the same folder is asked
/// again with the same keys: an answer that got lost costs no use of the invite.
///
/// # Errors
/// Why it is no member.
pub async fn join(
    folder: &StateFolder,
    settings: &Settings,
    ask_for: JoinAsk,
    tell: impl FnMut(Progress<'_>),
) -> Result<Joined, JoiningError> {
    let _lock = folder.begin()?;
    let mut prng = machine::prng();
    let secrets = match folder.keys()? {
        Some(secrets) => secrets,
        None => {
            let secrets = fresh_keys(&mut prng);
            folder.keep_keys(&secrets)?;
            Arc::new(secrets)
        }
    };
    let nowhere = Listening::at(Vec::new());
    let reach = reach(settings, false, &nowhere);
    let mut arguments = JoinArguments {
        token: ask_for.token,
        name: ask_for.name,
        secrets,
        reach: reach.clone(),
        wall: machine::wall(),
        prng: prng.branch(),
    };
    let member = match ask(&mut arguments, ask_for.patience, tell).await? {
        Asked::Joined(member) => member,
        Asked::Waits { name, .. } => return Err(JoiningError::Waits(name)),
    };
    let kept = membership(&member);
    folder.keep_member(&kept)?;
    // It is a member; whether its homes answer now is only worth a word.
    let homes = meet_homes(&member, &reach, machine::wall(), &mut prng).await;
    Ok(Joined {
        member: kept,
        homes: homes.unwrap_or_default(),
    })
}

fn membership(member: &NewMember) -> Membership {
    Membership {
        identity: member.identity.clone(),
        certificate: member.certificate.clone(),
        fleet_name: member.fleet_name.to_string(),
        contacts: member.contacts.clone(),
        met: member.met.iter().cloned().collect(),
    }
}
