//! Nodes whose key two machines have: what membership knows of them, in words.

use regatta_actors::membership::MembershipView;
use regatta_protocol::ident::NodeId;

use super::names::{Names, name_of};
use crate::control::api::Copied;

/// What is known of a node's two machines, where there are two.
pub(super) fn copied(view: &MembershipView<'_>, node: &NodeId, names: &Names) -> Option<Copied> {
    let twin = view.machine.state_of(*node, view.now).twin?;
    let came = view.twins.get(node).into_iter().flatten();
    let told = view.contacts.of(node);
    Some(Copied {
        came_from: came.map(ToString::to_string).collect(),
        says: told.map_or_else(Vec::new, |told| told.addresses.clone()),
        heard_by: name_of(names, &twin.by),
        noticed_ms: view.now.since(twin.at),
    })
}

/// The line that `status` says of it.
pub(super) fn warning(
    view: &MembershipView<'_>,
    node: &NodeId,
    names: &Names,
    is_manager: bool,
) -> Option<String> {
    let copied = copied(view, node, names)?;
    let name = name_of(names, node);
    let next = match is_manager {
        true => "have the root revoke it, and both join anew".to_owned(),
        false => format!("`regatta describe device {name}` says what to do"),
    };
    Some(format!("{name}: {}; {next}", sentence(&copied)))
}

/// What an operator reads, and does.
pub(super) fn conflict(copied: &Copied, name: &str) -> String {
    let what = sentence(copied);
    format!(
        "{what}; whoever copied it can be either: `regatta revoke {name}`, then have both join anew"
    )
}

fn sentence(copied: &Copied) -> String {
    let Copied {
        came_from,
        says,
        heard_by,
        ..
    } = copied;
    match came_from.as_slice() {
        [] => format!("two machines go by its key; {heard_by} heard the other"),
        [one] => format!(
            "two machines go by its key; one came from {one}, {heard_by} heard the other, and the latest word \
             of them is from {}",
            or_nowhere(says)
        ),
        more => format!("two machines go by its key, from {}", more.join(" and ")),
    }
}

fn or_nowhere(addresses: &[String]) -> String {
    match addresses {
        [] => "nowhere".to_owned(),
        some => some.join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::{Copied, conflict};

    #[test]
    fn whoever_reads_it_knows_both_places_and_what_to_do() {
        let at = |came_from: &[&str]| Copied {
            came_from: came_from.iter().map(ToString::to_string).collect(),
            says: vec!["/ip4/10.0.0.9/tcp/4700".to_owned()],
            heard_by: "m2".to_owned(),
            noticed_ms: 0,
        };
        let expect = "two machines go by its key, from /ip4/10.0.0.7/tcp/1 and /ip4/10.0.0.9/tcp/2; whoever \
                      copied it can be either: `regatta revoke amr-07`, then have both join anew";
        let both = at(&["/ip4/10.0.0.7/tcp/1", "/ip4/10.0.0.9/tcp/2"]);
        assert_eq!(conflict(&both, "amr-07"), expect);
        let one = conflict(&at(&["/ip4/10.0.0.7/tcp/1"]), "amr-07");
        assert!(
            one.contains("10.0.0.7") && one.contains("10.0.0.9") && one.contains("m2 heard"),
            "{one}"
        );
    }
}
