//! What a joiner is called.

use crate::codec::Name;
use crate::limits::NAME_BYTES_MAX;
use crate::trust::invite::InviteTerms;
use crate::trust::roll::Roll;

/// So many digits of a node's id stand for the node wherever a name does.
pub const ID_DIGITS_MIN: usize = 6;

/// Whether a name could be taken for the id of a node, or for its beginning.
pub(super) fn looks_like_an_id(name: &Name) -> bool {
    let text = name.as_str();
    text.len() >= ID_DIGITS_MIN && text.bytes().all(|it| it.is_ascii_hexdigit())
}

/// What a joiner is called: as its invite says or as it asks, with the first number that makes it
/// the only one. A board that takes another's place keeps the name that it was promised.
pub(super) fn name(roll: &Roll<'_>, terms: &InviteTerms, asked: &Name) -> Name {
    if let (Some(name), Some(_)) = (&terms.name, &terms.replaces) {
        return name.clone();
    }
    let wanted = terms.name.as_ref().unwrap_or(asked);
    let is_free = |name: &Name| {
        let mut bearers = roll.bearers(name).into_iter();
        bearers.all(|node| Some(node) == terms.replaces)
    };
    let others = (2_u64..).filter_map(|number| {
        let ending = format!("-{number}");
        let room = NAME_BYTES_MAX - ending.len();
        let beginning = wanted.as_str().get(..room).unwrap_or(wanted.as_str());
        Name::new(&format!("{beginning}{ending}")).ok()
    });
    let mut names = std::iter::once(wanted.clone()).chain(others);
    names.find(is_free).unwrap_or_else(|| wanted.clone())
}

/// Whether a name is what somebody wanted to be called, or that with a number: [`name`] gives no
/// other.
pub(in crate::trust) fn is_called(name: &Name, wanted: &Name) -> bool {
    let (name, wanted) = (name.as_str(), wanted.as_str());
    let numbered = name.rsplit_once('-').is_some_and(|(beginning, number)| {
        let is_number = number
            .parse()
            .is_ok_and(|it: u64| it.to_string() == number && it > 1);
        let room = NAME_BYTES_MAX - (name.len() - beginning.len());
        is_number && beginning == wanted.get(..room).unwrap_or(wanted)
    });
    name == wanted || numbered
}
