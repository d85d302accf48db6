//! Whom an operator means: a name, an id, or the beginning of one.

use regatta_protocol::ident::NodeId;
use regatta_protocol::trust::certificate::Rank;
use regatta_protocol::trust::roll::{Enrolled, InviteState, Roll};

use crate::acts::ActError;
use crate::ledger::LedgerView;

/// The shortest beginning of an id that is taken for one.
const PREFIX_DIGITS_MIN: usize = regatta_protocol::trust::invite::join::ID_DIGITS_MIN;

/// Somebody whom an operator named.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its id.
    pub node: NodeId,
    /// What it is called.
    pub name: String,
    /// Whether the root made it a manager.
    pub is_manager: bool,
    /// What the roll says of it; managers that the root signed may not be on it.
    pub enrolled: Option<Enrolled>,
}

/// The node that `text` means.
///
/// # Errors
/// When nobody bears the name or id, or several do.
pub fn find_target(view: &LedgerView<'_>, text: &str) -> Result<Target, ActError> {
    let holdings = view.replica.holdings();
    let roll = Roll::of(holdings);
    // A whole id is a node's, whatever another calls itself.
    let is_id = text.len() == 2 * size_of::<NodeId>();
    let mut nodes = if is_id {
        by_id(view, &roll, text)
    } else {
        Vec::new()
    };
    if nodes.is_empty() {
        nodes = roll.named(text);
    }
    if nodes.is_empty() {
        nodes = by_id(view, &roll, text);
    }
    match nodes[..] {
        [node] => {
            let mut managers = holdings.record().managers().values();
            let manager = managers.rfind(|it| it.node == node);
            let enrolled = roll.device(&node);
            let name = match (manager, &enrolled) {
                (Some(manager), _) => manager.name.to_string(),
                (None, Some(enrolled)) => enrolled.name().to_string(),
                (None, None) => node.to_string(),
            };
            Ok(Target {
                node,
                name,
                is_manager: manager.is_some(),
                enrolled,
            })
        }
        [] => Err(ActError::Unknown {
            what: "device",
            name: text.to_owned(),
        }),
        _ => Err(ActError::Ambiguous {
            name: text.to_owned(),
            count: nodes.len(),
            ids: nodes
                .iter()
                .map(|node| node.to_string()[..8].to_owned())
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// Nodes whose id begins so: stopped and forgotten ones too, which have no name any more. Where no id
/// does, those that once bore the name.
fn by_id(view: &LedgerView<'_>, roll: &Roll<'_>, text: &str) -> Vec<NodeId> {
    let text = text.to_ascii_lowercase();
    let is_digits =
        text.len() >= PREFIX_DIGITS_MIN && text.bytes().all(|it| it.is_ascii_hexdigit());
    let enrolled = roll.devices();
    let managers = view.replica.holdings().record().managers().values();
    let mut nodes: Vec<NodeId> = enrolled
        .iter()
        .map(|it| it.node)
        .chain(managers.map(|it| it.node))
        .filter(|node| is_digits && node.to_string().starts_with(&text))
        .collect();
    if nodes.is_empty() {
        let gone = enrolled.iter().filter(|it| !it.is_live());
        let gone = gone.filter(|it| it.name().as_str().eq_ignore_ascii_case(&text));
        nodes = gone
            .filter(|it| it.rank() == Rank::Device)
            .map(|it| it.node)
            .collect();
    }
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// The invite that `text` means: its id, or the beginning of it.
///
/// # Errors
/// When there is none, or several.
pub fn find_invite(view: &LedgerView<'_>, text: &str) -> Result<InviteState, ActError> {
    let text = text.to_ascii_lowercase();
    let mut found: Vec<InviteState> = Roll::of(view.replica.holdings())
        .invites()
        .into_iter()
        .filter(|invite| invite.id.0.to_string().starts_with(&text))
        .collect();
    match (found.len(), text.len() >= PREFIX_DIGITS_MIN) {
        (1, true) => Ok(found.remove(0)),
        (0, _) | (_, false) => Err(ActError::Unknown {
            what: "invite",
            name: text,
        }),
        (count, true) => Err(ActError::Ambiguous {
            name: text,
            count,
            ids: "several invites".to_owned(),
        }),
    }
}
