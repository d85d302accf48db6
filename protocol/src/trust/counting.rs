//! Which entries of a ledger count: cut by orders, followed through forks, bounded by lapses.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Stamp;
use crate::crypto::sign::PublicKey;
use crate::ident::{NodeId, Serial};
use crate::ledger::chain::{Chain, Head, LinkId, Signer};
use crate::ledger::entry::LedgerId;
use crate::limits::LAPSE_GRACE_MS;
use crate::machine::Millis;
use crate::trust::certificate::Certificate;
use crate::trust::fold::Judgement;

/// What a peer manager saw of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Testimony {
    /// When it was written.
    pub stamp: Stamp,
    /// By whom.
    pub by: NodeId,
    /// What was seen.
    pub heads: Vec<Head>,
}

/// One mark a link: whether it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(Vec<bool>);

impl Marks {
    fn all(chain: &Chain) -> Self {
        Self(vec![true; chain.len()])
    }

    /// Whether the link counts.
    #[must_use]
    pub fn counts(&self, link: LinkId) -> bool {
        self.0.get(link.index()).copied().unwrap_or(false)
    }

    /// How many do not.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.0.iter().filter(|counts| !**counts).count()
    }

    /// Adds a link that nothing speaks against.
    pub fn push(&mut self, counts: bool) {
        self.0.push(counts);
    }

    fn keep(&mut self, chain: &Chain, allowed: impl Fn(LinkId) -> bool) {
        for (id, _) in chain.links() {
            let mark = &mut self.0[id.index()];
            *mark = *mark && allowed(id);
        }
    }
}

/// Step 1: what orders in force leave of a ledger. Of several, the lowest heads hold.
fn cut_by_orders(marks: &mut Marks, ledger: &LedgerId, chain: &Chain, judgement: &Judgement) {
    let keys: BTreeSet<PublicKey> = chain.signers().iter().map(|signer| signer.key).collect();
    for key in keys {
        let Some(cut) = judgement.cuts.get(&key) else {
            continue;
        };
        match cut.ledgers.get(&(ledger.kind, ledger.scope)) {
            Some(limits) => {
                for heads in limits {
                    let allowed = chain.at_or_before(heads.iter());
                    marks.keep(chain, |id| {
                        chain.signer(id).key != key || allowed[id.index()]
                    });
                }
            }
            None if cut.stopped => marks.keep(chain, |id| chain.signer(id).key != key),
            None => {}
        }
    }
}

/// Links that the root's orders name as counting, or that stand before one. Such a head settles a
/// fork: the root knows which branch is the manager's.
fn ordered(ledger: &LedgerId, chain: &Chain, judgement: &Judgement) -> Vec<bool> {
    let of_ledger = (ledger.kind, ledger.scope);
    let cuts = chain.signers().iter();
    let limits = cuts.filter_map(|signer| judgement.cuts.get(&signer.key)?.ledgers.get(&of_ledger));
    let heads = limits.flatten().flatten();
    chain.at_or_before(heads.filter(|head| chain.find(&head.hash).is_some()))
}

/// The branch of the earliest testimony counts, to the furthest head testified on it.
fn testified(chain: &Chain, testimony: &[Testimony]) -> Vec<bool> {
    let mut furthest: Option<LinkId> = None;
    let seen = testimony.iter().flat_map(|testimony| &testimony.heads);
    for id in seen.filter_map(|head| chain.find(&head.hash)) {
        furthest = match furthest {
            None => Some(id),
            Some(known) if chain.is_before_or_at(known, id) => Some(id),
            known => known,
        };
    }
    let head = furthest.map(|id| chain.head(id));
    chain.at_or_before(head.iter())
}

/// Unmarks each forked link, and what the same hand wrote behind it, unless it is `excepted`. Behind
/// an excepted one it is followed to the furthest head testified and no further.
fn cut_forks_but(marks: &mut Marks, chain: &Chain, excepted: impl Fn(LinkId) -> bool) {
    if chain.forked().is_empty() {
        return;
    }
    // A link comes after the one before it, so one pass in order of arrival carries both down.
    let mut cut = vec![false; chain.len()];
    let mut behind_fork = vec![false; chain.len()];
    for (id, _) in chain.links() {
        let before = chain
            .parent(id)
            .filter(|before| chain.signer(*before).key == chain.signer(id).key);
        let inherits_cut = before.is_some_and(|before| cut[before.index()]);
        let inherits_fork = before.is_some_and(|before| behind_fork[before.index()]);
        let is_forked = chain.forked().contains(&id);
        behind_fork[id.index()] = inherits_fork || is_forked;
        cut[id.index()] = !excepted(id) && (inherits_cut || inherits_fork || is_forked);
    }
    marks.keep(chain, |id| !cut[id.index()]);
}

/// What a lapsed certificate covered: up to the furthest heads testified in the week before the
/// lapse or the week after it, else up to the first later testimony, else all.
///
/// Testimony that is older than that says nothing of the end: of a manager that wrote on alone,
/// behind a partition or as the last that lives, it would take back all that was done since.
fn bound_by_lapse(
    marks: &mut Marks,
    chain: &Chain,
    serial: &Serial,
    end: Millis,
    testimony: &[Testimony],
) {
    let earliest = Millis(end.0.saturating_sub(LAPSE_GRACE_MS));
    let latest = end.plus(LAPSE_GRACE_MS);
    let timely: Vec<Head> = testimony
        .iter()
        .filter(|testimony| earliest <= testimony.stamp.wall && testimony.stamp.wall <= latest)
        .flat_map(|testimony| testimony.heads.iter().copied())
        .collect();
    let later = || {
        testimony
            .iter()
            .find(|testimony| testimony.stamp.wall > latest)
    };
    let heads = match (timely.is_empty(), later()) {
        (false, _) => timely,
        (true, Some(first)) => first.heads.clone(),
        (true, None) => return,
    };
    let allowed = chain.at_or_before(heads.iter());
    marks.keep(chain, |id| {
        chain.signer(id).serial != *serial || allowed[id.index()]
    });
}

/// An entry stamped outside its certificate's validity was not covered by it.
pub(crate) fn is_within_window(
    wall: Millis,
    certificate: &Certificate,
    judgement: &Judgement,
    serial: &Serial,
) -> bool {
    certificate.window.from <= wall && wall <= judgement.end_of(serial, certificate)
}

/// Which rules bear on a ledger's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forks {
    /// Follow testimony through them: the rule for everything that counts.
    Followed,
    /// Nothing at or behind one: the rule for testimony.
    Cut,
    /// Every branch: the rule for a manager's order to stop.
    Ignored,
}

/// Whether an order, a fork or a lapse bears on a ledger, so that a new link may change others.
#[must_use]
pub(crate) fn is_constrained(chain: &Chain, judgement: &Judgement) -> bool {
    !chain.forked().is_empty()
        || chain.signers().iter().any(|signer| {
            judgement.cuts.contains_key(&signer.key)
                || judgement.lapsed.contains_key(&signer.serial)
        })
}

/// Whether two judgements may mark a ledger differently.
#[must_use]
pub(crate) fn differ(
    ledger: &LedgerId,
    chain: &Chain,
    before: &Judgement,
    after: &Judgement,
) -> bool {
    let on_signers = chain.signers().iter().any(|Signer { serial, key }| {
        before.cuts.get(key) != after.cuts.get(key)
            || before.lapsed.get(serial) != after.lapsed.get(serial)
            || before.renewed.get(serial) != after.renewed.get(serial)
    });
    // Testimony speaks where there is a fork or a lapse, and is silent elsewhere.
    on_signers
        || (is_constrained(chain, after)
            && before.testimony.get(ledger) != after.testimony.get(ledger))
}

/// Which links of a ledger count, stamps from the future aside.
pub(crate) fn marks(
    ledger: &LedgerId,
    chain: &Chain,
    judgement: &Judgement,
    managers: &BTreeMap<Serial, Certificate>,
    forks: Forks,
) -> Marks {
    let mut marks = Marks::all(chain);
    cut_by_orders(&mut marks, ledger, chain, judgement);
    let none = Vec::new();
    let testimony = judgement.testimony.get(ledger).unwrap_or(&none);
    if !chain.forked().is_empty() && forks != Forks::Ignored {
        let ordered = ordered(ledger, chain, judgement);
        let testified = match forks {
            Forks::Followed => testified(chain, testimony),
            _ => vec![false; chain.len()],
        };
        let excepted = |id: LinkId| ordered[id.index()] || testified[id.index()];
        cut_forks_but(&mut marks, chain, excepted);
    }
    for signer in chain.signers() {
        if let Some(end) = judgement.lapsed.get(&signer.serial) {
            bound_by_lapse(&mut marks, chain, &signer.serial, *end, testimony);
        }
    }
    let certificates: BTreeMap<Serial, &Certificate> = chain
        .signers()
        .iter()
        .filter_map(|signer| Some((signer.serial, managers.get(&signer.serial)?)))
        .collect();
    marks.keep(chain, |id| {
        let serial = &chain.signer(id).serial;
        certificates.get(serial).is_some_and(|certificate| {
            is_within_window(chain.link(id).wall, certificate, judgement, serial)
        })
    });
    marks.keep(chain, |id| !chain.is_hidden(id));
    marks
}
