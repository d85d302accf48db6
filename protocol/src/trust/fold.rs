//! The fold of trust: from all that was said to what holds, in four steps and in any order of
//! arrival.
//!
//! First the root's orders. Second, each manager's ledgers count up to those orders and below their
//! first fork. Third, testimony inside these prefixes, taken once: what testimony makes valid does
//! not testify, and a lapsed manager testifies only as far as those testify of it who have not
//! lapsed. Fourth, managers' orders, of which an order to stop is never held and counts on every
//! branch.

use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::sign::PublicKey;
use crate::ident::{NodeId, Serial};
use crate::ledger::chain::{Chain, Head};
use crate::ledger::entry::{LedgerId, LedgerKind};
use crate::limits::{HOLD_AHEAD_MS, TESTIMONY_RENEWAL_MS_MAX};
use crate::machine::Millis;
use crate::trust::certificate::{Capability, Certificate};
use crate::trust::counting::{self, Forks, Marks, Testimony};
use crate::trust::record::{Record, Spoken};
use crate::trust::verdict::{InviteId, Ruling, Subject, Verdict, VerdictId};

/// What orders leave of one key's ledgers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Whether an order to stop is in force: then a ledger that no order lists counts for nothing.
    pub stopped: bool,
    /// For each ledger the sets of heads that orders allow; an entry must be in all of them.
    pub ledgers: BTreeMap<(LedgerKind, Option<NodeId>), Vec<Vec<Head>>>,
}

/// What holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Managers' keys that are stopped.
    pub stopped_keys: BTreeSet<PublicKey>,
    /// Operators and devices that are stopped.
    pub stopped_nodes: BTreeSet<NodeId>,
    /// Invites that are stopped.
    pub stopped_invites: BTreeSet<InviteId>,
    /// What orders leave of managers' ledgers.
    pub cuts: BTreeMap<PublicKey, Cut>,
    /// Testimony on each ledger, earliest first.
    pub testimony: BTreeMap<LedgerId, Vec<Testimony>>,
    /// Certificates that testimony renewed, and until when.
    pub renewed: BTreeMap<Serial, Millis>,
    /// Manager certificates whose end has passed, with that end.
    pub lapsed: BTreeMap<Serial, Millis>,
    /// The verdicts in force on each subject: what a new order has to replace.
    pub in_force: BTreeMap<VerdictId, Subject>,
    /// The reference time at which this has to be judged anew.
    pub stale_at: Option<Millis>,
}

impl Judgement {
    /// Adds who is stopped to a hash over what holds.
    pub(crate) fn add_stopped(&self, hasher: &mut blake3::Hasher) {
        let counts = [
            self.stopped_keys.len(),
            self.stopped_nodes.len(),
            self.stopped_invites.len(),
        ];
        for count in counts {
            hasher.update(&(count as u64).to_le_bytes());
        }
        for key in &self.stopped_keys {
            hasher.update(&key.0.0);
        }
        for node in &self.stopped_nodes {
            hasher.update(&node.0);
        }
        for invite in &self.stopped_invites {
            hasher.update(&invite.0.0);
        }
    }

    /// When a manager's certificate ends, renewals by testimony counted.
    #[must_use]
    pub fn end_of(&self, serial: &Serial, certificate: &Certificate) -> Millis {
        self.renewed
            .get(serial)
            .map_or(certificate.window.to, |until| {
                certificate.window.to.max(*until)
            })
    }
}

/// How many managers may tell time: neither stopped nor lapsed.
///
/// Who has lapsed the present time says, which is what is asked here. A clock a year ahead leaves a
/// manager alone with its own word; so where there are others that nobody stopped, two must agree.
#[must_use]
pub fn tellers(record: &Record, judgement: &Judgement) -> usize {
    let tells = |certificate: &Certificate| {
        let mut grants = certificate.grants.iter();
        grants.any(|grant| grant.capability == Capability::Time)
            && !judgement.stopped_keys.contains(&certificate.keys.sign)
    };
    let managers = record.managers().iter();
    let managers = managers.filter(|(_, certificate)| tells(certificate));
    let (mut all, mut standing) = (BTreeSet::new(), BTreeSet::new());
    for (serial, certificate) in managers {
        all.insert(certificate.node);
        if !judgement.lapsed.contains_key(serial) {
            standing.insert(certificate.node);
        }
    }
    standing.len().max(all.len().min(2))
}

/// Whether a stamp lies so far ahead that its entry waits.
#[must_use]
pub fn is_held(wall: Millis, reference: Millis) -> bool {
    wall > reference.plus(HOLD_AHEAD_MS)
}

/// The fold. `chains` are the ledgers that are held, `reference` is what time it is.
#[must_use]
pub fn judge(record: &Record, chains: &BTreeMap<LedgerId, Chain>, reference: Millis) -> Judgement {
    let mut judgement = Judgement::default();
    let root_orders = root_orders(record);
    for verdict in root_orders.values() {
        cut_manager(record, verdict, &mut judgement);
    }
    testify(record, chains, reference, &mut judgement);
    note_lapses(record, reference, &mut judgement);
    obey_managers(record, chains, reference, &root_orders, &mut judgement);
    judgement.stale_at = stale_at(record, reference, &judgement);
    judgement
}

/// Step 1: of the root's orders, those that no other of its orders replaces.
fn root_orders(record: &Record) -> BTreeMap<VerdictId, &Verdict> {
    let said = record.orders().iter().map(|(id, verdict)| (*id, verdict));
    in_force(record, said)
}

/// Of verdicts those that no other of them replaces. A verdict takes the place of verdicts on the
/// same subject alone: else an order to stop one thing, which counts wherever it stands, would free
/// another.
fn in_force<'a>(
    record: &Record,
    verdicts: impl Iterator<Item = (VerdictId, &'a Verdict)> + Clone,
) -> BTreeMap<VerdictId, &'a Verdict> {
    let replaced: BTreeSet<(VerdictId, Judged)> = verdicts
        .clone()
        .flat_map(|(_, verdict)| {
            let judged = judged(record, &verdict.subject);
            verdict.replaces.iter().map(move |id| (*id, judged))
        })
        .collect();
    verdicts
        .filter(|(id, verdict)| !replaced.contains(&(*id, judged(record, &verdict.subject))))
        .collect()
}

/// Whom a verdict is on: a manager by its key, others by their node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Judged {
    Key(PublicKey),
    Node(NodeId),
    Invite(InviteId),
}

fn judged(record: &Record, subject: &Subject) -> Judged {
    match subject {
        Subject::Invite(invite) => Judged::Invite(*invite),
        Subject::Holder { serial, node } => match record.key_of(serial) {
            Some(key) => Judged::Key(key),
            None => Judged::Node(*node),
        },
    }
}

fn cut_manager(record: &Record, verdict: &Verdict, judgement: &mut Judgement) {
    let Subject::Holder { serial, .. } = verdict.subject else {
        return;
    };
    let Some(key) = record.key_of(&serial) else {
        return;
    };
    let cut = judgement.cuts.entry(key).or_default();
    for ledger in &verdict.ledgers {
        cut.ledgers
            .entry((ledger.kind, ledger.scope))
            .or_default()
            .push(ledger.heads.clone());
    }
    if verdict.ruling == Ruling::Stopped {
        cut.stopped = true;
        judgement.stopped_keys.insert(key);
    }
}

/// Steps 2 and 3: testimony that stands in a prefix which the root's orders and forks leave, signed
/// under a certificate that covered it by itself.
fn testify(
    record: &Record,
    chains: &BTreeMap<LedgerId, Chain>,
    reference: Millis,
    judgement: &mut Judgement,
) {
    for (serial, certificate) in record.managers() {
        if certificate.window.to < reference {
            judgement.lapsed.insert(*serial, certificate.window.to);
        }
    }
    let lapsed = |spoken: &Spoken| judgement.lapsed.contains_key(&spoken.by);
    let of_standing = testimony_of(record, chains, reference, judgement, |spoken| {
        !lapsed(spoken)
    });
    // What the standing say of the lapsed bounds what a lapsed key can still write into the past.
    let bounded = Judgement {
        testimony: seen_by(&of_standing),
        ..judgement.clone()
    };
    let mut words = testimony_of(record, chains, reference, &bounded, lapsed);
    words.extend(of_standing);
    judgement.testimony = seen_by(&words);
    judgement.renewed = renewals(record, &words);
}

/// A verdict that testifies: of which certificate and node.
type Word<'a> = (Serial, NodeId, &'a Spoken);

fn testimony_of<'a>(
    record: &'a Record,
    chains: &BTreeMap<LedgerId, Chain>,
    reference: Millis,
    judgement: &Judgement,
    by: impl Fn(&Spoken) -> bool,
) -> Vec<Word<'a>> {
    let prefixes = trust_marks(record, chains, judgement, Forks::Cut);
    record
        .spoken()
        .iter()
        .filter(|spoken| by(spoken) && !is_held(spoken.stamp.wall, reference))
        .filter(|spoken| stands(&prefixes, spoken))
        .filter_map(|spoken| {
            let (serial, node) = testimony_on(record, spoken)?;
            Some((serial, node, spoken))
        })
        .collect()
}

/// What was seen of each ledger, earliest first.
fn seen_by(words: &[Word<'_>]) -> BTreeMap<LedgerId, Vec<Testimony>> {
    let mut testimony: BTreeMap<LedgerId, Vec<Testimony>> = BTreeMap::new();
    for (_, node, spoken) in words {
        for seen in &spoken.verdict.ledgers {
            let ledger = LedgerId {
                kind: seen.kind,
                scope: seen.scope,
                author: *node,
            };
            testimony.entry(ledger).or_default().push(Testimony {
                stamp: spoken.stamp,
                by: spoken.ledger.author,
                heads: seen.heads.clone(),
            });
        }
    }
    for seen in testimony.values_mut() {
        seen.sort();
    }
    testimony
}

/// Until when testimony renews each certificate. What has lapsed is not brought back: it must be
/// renewed while it is valid.
fn renewals(record: &Record, words: &[Word<'_>]) -> BTreeMap<Serial, Millis> {
    let mut renewals: BTreeMap<Serial, Vec<(Millis, Millis)>> = BTreeMap::new();
    for (serial, _, spoken) in words {
        if let Some(until) = spoken.verdict.until {
            let said = spoken.stamp.wall;
            let until = until.min(said.plus(TESTIMONY_RENEWAL_MS_MAX));
            renewals.entry(*serial).or_default().push((said, until));
        }
    }
    let mut renewed = BTreeMap::new();
    for (serial, mut renewals) in renewals {
        let Some(certificate) = record.managers().get(&serial) else {
            continue;
        };
        renewals.sort_unstable();
        let end = renewals
            .iter()
            .fold(certificate.window.to, |end, (said, until)| {
                if *said <= end { end.max(*until) } else { end }
            });
        if end > certificate.window.to {
            renewed.insert(serial, end);
        }
    }
    renewed
}

fn trust_marks(
    record: &Record,
    chains: &BTreeMap<LedgerId, Chain>,
    judgement: &Judgement,
    forks: Forks,
) -> BTreeMap<NodeId, Marks> {
    chains
        .iter()
        .take_while(|(ledger, _)| ledger.kind == LedgerKind::Trust)
        .map(|(ledger, chain)| {
            let marks = counting::marks(ledger, chain, judgement, record.managers(), forks);
            (ledger.author, marks)
        })
        .collect()
}

fn stands(marks: &BTreeMap<NodeId, Marks>, spoken: &Spoken) -> bool {
    marks
        .get(&spoken.ledger.author)
        .is_some_and(|marks| marks.counts(spoken.link))
}

/// The peer that a verdict testifies of: testimony is good, of a manager, and by another.
fn testimony_on(record: &Record, spoken: &Spoken) -> Option<(Serial, NodeId)> {
    let Subject::Holder { serial, .. } = spoken.verdict.subject else {
        return None;
    };
    let subject = record.managers().get(&serial)?;
    let is_testimony =
        spoken.verdict.ruling == Ruling::Good && subject.node != spoken.ledger.author;
    is_testimony.then_some((serial, subject.node))
}

fn note_lapses(record: &Record, reference: Millis, judgement: &mut Judgement) {
    judgement.lapsed.clear();
    for (serial, certificate) in record.managers() {
        let end = judgement.end_of(serial, certificate);
        if end < reference {
            judgement.lapsed.insert(*serial, end);
        }
    }
}

/// Step 4: orders of managers, on anybody but managers.
fn obey_managers(
    record: &Record,
    chains: &BTreeMap<LedgerId, Chain>,
    reference: Millis,
    root_orders: &BTreeMap<VerdictId, &Verdict>,
    judgement: &mut Judgement,
) {
    let followed = trust_marks(record, chains, judgement, Forks::Followed);
    let any_branch = trust_marks(record, chains, judgement, Forks::Ignored);
    let obeyed: Vec<&Spoken> = record
        .spoken()
        .iter()
        .filter(|spoken| may_judge(record, spoken))
        .filter(|spoken| match spoken.verdict.ruling {
            Ruling::Stopped => stands(&any_branch, spoken),
            Ruling::Good => stands(&followed, spoken) && !is_held(spoken.stamp.wall, reference),
        })
        .collect();
    // The root's orders replace managers' orders; managers' orders replace managers' alone.
    let of_managers = obeyed.iter().map(|spoken| (spoken.id, &spoken.verdict));
    let of_root = record.orders().iter().map(|(id, verdict)| (*id, verdict));
    let mut standing = in_force(record, of_managers.chain(of_root));
    standing.retain(|id, _| !record.orders().contains_key(id));
    standing.extend(root_orders.iter().map(|(id, verdict)| (*id, *verdict)));
    for (id, verdict) in standing {
        judgement.in_force.insert(id, verdict.subject);
        if verdict.ruling == Ruling::Good {
            continue;
        }
        match verdict.subject {
            Subject::Invite(invite) => {
                judgement.stopped_invites.insert(invite);
            }
            Subject::Holder { serial, node } if record.key_of(&serial).is_none() => {
                judgement.stopped_nodes.insert(node);
            }
            Subject::Holder { .. } => {}
        }
    }
}

/// Whether a verdict is an order that its author may give: managers judge operators, devices and
/// invites, and need the capability to stop for it.
fn may_judge(record: &Record, spoken: &Spoken) -> bool {
    let below = match spoken.verdict.subject {
        Subject::Invite(_) => true,
        Subject::Holder { serial, node } => {
            record.key_of(&serial).is_none() && !record.is_manager(&node)
        }
    };
    below
        && record
            .managers()
            .get(&spoken.by)
            .is_some_and(|certificate| {
                certificate
                    .grants
                    .iter()
                    .any(|grant| grant.capability == Capability::Stop)
            })
}

/// The next reference time at which a certificate lapses or a held verdict is released.
fn stale_at(record: &Record, reference: Millis, judgement: &Judgement) -> Option<Millis> {
    let lapses = record
        .managers()
        .iter()
        .flat_map(|(serial, certificate)| {
            [certificate.window.to, judgement.end_of(serial, certificate)]
        })
        .map(|end| end.plus(1))
        .filter(|lapse| *lapse > reference);
    let releases = record
        .spoken()
        .iter()
        .filter(|spoken| is_held(spoken.stamp.wall, reference))
        .map(|spoken| Millis(spoken.stamp.wall.0.saturating_sub(HOLD_AHEAD_MS)));
    lapses.chain(releases).min()
}
