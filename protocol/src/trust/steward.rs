//! The duties of a manager: what it writes unasked, as a function of what it holds and of the time.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{self, Name};
use crate::crypto::sign::PublicKey;
use crate::ident::{NodeId, Serial};
use crate::ledger::chain::Head;
use crate::ledger::entry::{EntryKind, LedgerId, LedgerKind};
use crate::ledger::holdings::Holdings;
use crate::ledger::replica::author::Draft;
use crate::limits::{BODY_CARRIED_BYTES_MAX, DAY_MS, TESTIMONY_RENEWAL_MS_MAX};
use crate::machine::Millis;
use crate::trust::certificate::{Capability, Certificate};
use crate::trust::roll::Roll;
use crate::trust::statement::Statement;
use crate::trust::verdict::{JudgedLedger, Ruling, Subject, Verdict, Verdicts};

/// How often heads that moved are testified.
const TESTIFY_EVERY_MS: u64 = DAY_MS;
/// How long before its end a peer's certificate is renewed.
const RENEW_BEFORE_MS: u64 = 30 * DAY_MS;
/// Days before an end at which it is said.
const NOTICE_DAYS: [u64; 4] = [60, 30, 7, 1];

/// What is said of something that will lapse.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// The certificate.
    pub serial: Serial,
    /// Whose it is.
    pub name: Name,
    /// When it ends.
    pub end: Millis,
    /// How many days before its end it is said: 60, 30, 7 or 1; 0 once it has lapsed.
    pub days: u64,
}

impl Notice {
    /// Whether it is still worth saying: nobody renewed or replaced the certificate since.
    #[must_use]
    pub fn holds(&self, holdings: &Holdings) -> bool {
        let managers = holdings.record().managers();
        managers.get(&self.serial).is_some_and(|certificate| {
            let end = holdings.judgement().end_of(&self.serial, certificate);
            end == self.end && !is_replaced(holdings, certificate, end)
        })
    }
}

/// What a steward has to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Duties {
    /// What to write, in this order.
    pub drafts: Vec<Draft>,
    /// What to say, each once.
    pub notices: Vec<Notice>,
}

/// Who the steward is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steward {
    /// Its node.
    pub node: NodeId,
    /// Its certificate.
    pub serial: Serial,
}

/// What was last done. What others see of it stands in the ledgers; this spares only a repetition,
/// so a steward that lost it does no harm.
#[derive(Clone, Debug, Default)]
pub struct Done {
    testified_at: Option<Millis>,
    noticed: BTreeSet<(Serial, Millis, u64)>,
}

impl Steward {
    /// What to do at the reference time of the last settlement.
    #[must_use]
    pub fn duties(&self, holdings: &Holdings, done: &mut Done) -> Duties {
        let now = holdings.reference();
        let notices = notices(holdings, now, done);
        let Some(own) = holdings.record().managers().get(&self.serial) else {
            return Duties {
                drafts: Vec::new(),
                notices,
            };
        };
        let lapsed = now > holdings.judgement().end_of(&self.serial, own);
        let stopped = is_stopped(holdings, &own.keys.sign);
        // Whose last word does not count would say it again and again.
        if lapsed || stopped || !self.is_heard(holdings) {
            return Duties {
                drafts: Vec::new(),
                notices,
            };
        }
        let mut drafts = self.carry(holdings);
        let mut verdicts = stops(holdings, own);
        verdicts.extend(self.testimony(holdings, now, done));
        drafts.extend(pack(verdicts));
        Duties { drafts, notices }
    }

    /// Whether this steward's latest entry counts.
    fn is_heard(&self, holdings: &Holdings) -> bool {
        let ledger = LedgerId {
            kind: LedgerKind::Trust,
            scope: None,
            author: self.node,
        };
        let latest = holdings.chains().get(&ledger).and_then(|chain| {
            let own = chain
                .links()
                .filter(|(id, _)| chain.signer(*id).serial == self.serial);
            own.max_by_key(|(_, link)| (link.number, link.hash))
        });
        latest.is_none_or(|(id, _)| holdings.counts(&ledger, id))
    }

    /// What the root says and only entries carry that do not count: a node that takes no more of a
    /// stopped manager would miss it.
    fn carry(&self, holdings: &Holdings) -> Vec<Draft> {
        let counts = |(ledger, link): &(LedgerId, _)| holdings.counts(ledger, *link);
        let mut drafts = Vec::new();
        for (statement, mut carriers) in holdings.record().carried() {
            if !carriers.any(counts) {
                drafts.push(carrying(statement));
            }
        }
        drafts
    }

    /// Testimony on peers: daily for heads that moved, once after a lapse, and with a renewal where
    /// a certificate will lapse soon.
    fn testimony(&self, holdings: &Holdings, now: Millis, done: &mut Done) -> Vec<Verdict> {
        let is_due = done
            .testified_at
            .is_none_or(|at| now < at || now.since(at) >= TESTIFY_EVERY_MS);
        let mut verdicts = Vec::new();
        for (node, (serial, certificate)) in self.peers(holdings) {
            let end = holdings.judgement().end_of(&serial, certificate);
            let after_lapse = now > end && !self.has_testified_since(holdings, &node, end);
            let until = now.plus(TESTIMONY_RENEWAL_MS_MAX);
            let renews = now <= end && end.since(now) <= RENEW_BEFORE_MS && until > end;
            if !(is_due || after_lapse) {
                continue;
            }
            let ledgers = self.moved(holdings, &node, after_lapse);
            if ledgers.is_empty() && !renews {
                continue;
            }
            verdicts.push(Verdict {
                subject: Subject::Holder { serial, node },
                ruling: Ruling::Good,
                ledgers,
                replaces: Vec::new(),
                until: renews.then_some(until),
                reason: String::new(),
            });
        }
        if is_due {
            done.testified_at = Some(now);
        }
        verdicts
    }

    /// Peer managers that are not stopped, each with the certificate of theirs that ends last.
    fn peers<'a>(&self, holdings: &'a Holdings) -> BTreeMap<NodeId, (Serial, &'a Certificate)> {
        let mut peers: BTreeMap<NodeId, (Serial, &Certificate)> = BTreeMap::new();
        let end = |serial: &Serial, certificate: &Certificate| {
            (holdings.judgement().end_of(serial, certificate), *serial)
        };
        for (serial, certificate) in holdings.record().managers() {
            if certificate.node == self.node || is_stopped(holdings, &certificate.keys.sign) {
                continue;
            }
            let known = peers.get(&certificate.node);
            if known.is_none_or(|(known, of)| end(known, of) < end(serial, certificate)) {
                peers.insert(certificate.node, (*serial, certificate));
            }
        }
        peers
    }

    fn has_testified_since(&self, holdings: &Holdings, of: &NodeId, end: Millis) -> bool {
        let judgement = holdings.judgement();
        let all = judgement.testimony.iter();
        all.filter(|(ledger, _)| ledger.author == *of)
            .flat_map(|(_, testimony)| testimony)
            .any(|testimony| testimony.by == self.node && testimony.stamp.wall > end)
    }

    /// The ledgers of a peer whose counting heads this steward has not testified; all of them where
    /// `whole`.
    fn moved(&self, holdings: &Holdings, of: &NodeId, whole: bool) -> Vec<JudgedLedger> {
        let chains = holdings.chains().iter();
        let gossiped = chains.filter(|(ledger, _)| ledger.author == *of);
        gossiped
            .filter_map(|(ledger, _)| {
                let heads = counting_heads(holdings, ledger);
                let said = holdings.judgement().testimony.get(ledger);
                let last = said
                    .into_iter()
                    .flatten()
                    .rfind(|said| said.by == self.node);
                let is_news = whole || last.is_none_or(|last| last.heads != heads);
                (is_news && !heads.is_empty()).then_some(JudgedLedger {
                    kind: ledger.kind,
                    scope: ledger.scope,
                    heads,
                })
            })
            .collect()
    }
}

/// Devices that used an invite which was for fewer, and devices in whose place another came: those
/// that nobody judged yet.
fn stops(holdings: &Holdings, own: &Certificate) -> Vec<Verdict> {
    let mut grants = own.grants.iter();
    if !grants.any(|grant| grant.capability == Capability::Stop) {
        return Vec::new();
    }
    let in_force = holdings.judgement().in_force.values();
    let judged: BTreeSet<NodeId> = in_force
        .filter_map(|subject| match subject {
            Subject::Holder { node, .. } => Some(*node),
            Subject::Invite(_) => None,
        })
        .collect();
    let replaced = Roll::of(holdings).to_stop().into_iter();
    let mut devices: BTreeMap<NodeId, (Serial, String)> = replaced
        .map(|(old, by)| (old.node, (old.serial, format!("replaced by {by}"))))
        .collect();
    for held in holdings.contested() {
        let reason = "its invite was used more often than it allows";
        devices.insert(held.node(), (held.serial, reason.to_owned()));
    }
    devices.retain(|node, _| !judged.contains(node));
    let stop = |(node, (serial, reason))| Verdict {
        subject: Subject::Holder { serial, node },
        ruling: Ruling::Stopped,
        ledgers: Vec::new(),
        replaces: Vec::new(),
        until: None,
        reason,
    };
    devices.into_iter().map(stop).collect()
}

/// What an order that stops a manager now lets count: all that it wrote and that counts today.
#[must_use]
pub fn counting_ledgers(holdings: &Holdings, of: &NodeId) -> Vec<JudgedLedger> {
    let own = holdings
        .chains()
        .keys()
        .filter(|ledger| ledger.author == *of);
    own.map(|ledger| JudgedLedger {
        kind: ledger.kind,
        scope: ledger.scope,
        heads: counting_heads(holdings, ledger),
    })
    .filter(|judged| !judged.heads.is_empty())
    .collect()
}

/// The ends of what counts of a ledger, in order. One that saw no end of a branch sees where its
/// counting part ends.
fn counting_heads(holdings: &Holdings, ledger: &LedgerId) -> Vec<Head> {
    let Some(chain) = holdings.chains().get(ledger) else {
        return Vec::new();
    };
    let mut heads: BTreeSet<Head> = BTreeSet::new();
    for leaf in chain.leaves() {
        let mut path = chain
            .find(&leaf.hash)
            .into_iter()
            .flat_map(|id| chain.upwards(id));
        if let Some(last) = path.find(|id| holdings.counts(ledger, *id)) {
            heads.insert(chain.head(last));
        }
    }
    heads.into_iter().collect()
}

fn is_stopped(holdings: &Holdings, key: &PublicKey) -> bool {
    holdings.judgement().stopped_keys.contains(key)
}

/// Whether its holder has another that lasts longer.
fn is_replaced(holdings: &Holdings, certificate: &Certificate, end: Millis) -> bool {
    holdings.record().managers().iter().any(|(other, newer)| {
        newer.node == certificate.node && holdings.judgement().end_of(other, newer) > end
    })
}

fn carrying(statement: &Statement) -> Draft {
    let content = codec::encode(statement);
    Draft::fitting(0, LedgerKind::Trust, EntryKind::STATEMENT, content)
}

/// Many verdicts in one entry, as many as a carried body holds.
fn pack(verdicts: Vec<Verdict>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let mut open = Verdicts(Vec::new());
    for verdict in verdicts.into_iter().flat_map(split) {
        open.0.push(verdict);
        if !codec::fits(&open) {
            let last = open.0.pop();
            drafts.push(speaking(&open));
            open = Verdicts(last.into_iter().collect());
        }
    }
    if !open.0.is_empty() {
        drafts.push(speaking(&open));
    }
    drafts
}

/// A verdict on very many ledgers, as for a manager of a great fleet's scopes, in parts that fit.
fn split(verdict: Verdict) -> Vec<Verdict> {
    /// A ledger with one head takes 90 bytes; branches take more.
    const HEADS_EACH: usize = BODY_CARRIED_BYTES_MAX / 256;
    let mut parts: Vec<Verdict> = Vec::new();
    let mut heads = usize::MAX;
    for ledger in &verdict.ledgers {
        let more = 1 + ledger.heads.len();
        if heads.saturating_add(more) > HEADS_EACH {
            parts.push(Verdict {
                ledgers: Vec::new(),
                ..verdict.clone()
            });
            heads = 0;
        }
        heads += more;
        if let Some(part) = parts.last_mut() {
            part.ledgers.push(ledger.clone());
        }
    }
    if parts.is_empty() {
        vec![verdict]
    } else {
        parts
    }
}

fn speaking(verdicts: &Verdicts) -> Draft {
    let content = codec::encode(verdicts);
    Draft::fitting(0, LedgerKind::Trust, EntryKind::VERDICT, content)
}

/// Managers' certificates that will lapse, each said once at 60, 30, 7 and 1 days and at its end.
fn notices(holdings: &Holdings, now: Millis, done: &mut Done) -> Vec<Notice> {
    let mut notices = Vec::new();
    for (serial, certificate) in holdings.record().managers() {
        let end = holdings.judgement().end_of(serial, certificate);
        if is_replaced(holdings, certificate, end) || is_stopped(holdings, &certificate.keys.sign) {
            continue;
        }
        let left = end.since(now).div_ceil(DAY_MS);
        let days = NOTICE_DAYS.into_iter().rfind(|days| left <= *days);
        let Some(days) = days.map(|days| if now > end { 0 } else { days }) else {
            continue;
        };
        if done.noticed.insert((*serial, end, days)) {
            notices.push(Notice {
                serial: *serial,
                name: certificate.name.clone(),
                end,
                days,
            });
        }
    }
    notices
}
