//! The fleet's roll: which devices belong to it, how they are called and labelled now, and which
//! invites are out. A pure view over what a manager holds, as of its last settlement.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::Name;
use crate::crypto::sign::PublicKey;
use crate::ident::{Hash, NodeId, Serial};
use crate::ledger::holdings::Holdings;
use crate::machine::Millis;
use crate::selector::{Labels, Selector};
use crate::trust::certificate::{Certificate, Issuer, NodeKeys, Rank};
use crate::trust::enrolment::change::{Change, HeldInvite};
use crate::trust::enrolment::{Age, HeldEnrolment};
use crate::trust::invite::InviteTerms;
use crate::trust::verdict::{InviteId, Subject};

/// A node that was enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// Its id.
    pub node: NodeId,
    /// The certificate with which it was enrolled: its name, rank and keys. Later ones say the same
    /// but for labels and window.
    pub certificate: Certificate,
    /// That certificate's name.
    pub serial: Serial,
    /// Its labels as assigned now; a manager's are what the root signed.
    pub labels: Labels,
    /// When it was enrolled.
    pub enrolled_at: Millis,
    /// Of a manager: whether the root's certificate for it with these keys is known. Until then it
    /// is a request that waits for the root.
    pub certified: bool,
    /// Whether an order stops it.
    pub stopped: bool,
    /// Whether its invite was used more often than it allows, and this use is not above doubt.
    pub contested: bool,
    /// Whether it was said to be gone for good since.
    pub forgotten: bool,
    /// The device that took its place.
    pub replaced_by: Option<NodeId>,
}

impl Enrolled {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.certificate.name
    }

    /// Its rank.
    #[must_use]
    pub fn rank(&self) -> Rank {
        self.certificate.rank
    }

    /// Whether it belongs to the fleet today: its name is taken.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.stopped && !self.forgotten && self.replaced_by.is_none()
    }

    /// Whether it is a device that belongs to the fleet today.
    #[must_use]
    pub fn is_live_device(&self) -> bool {
        self.is_live() && self.rank() == Rank::Device
    }

    /// What selectors see of it: its labels, with its name.
    #[must_use]
    pub fn seen_by_selectors(&self) -> Labels {
        self.labels.with_name(self.name())
    }
}

/// An invite that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteState {
    /// Its name.
    pub id: InviteId,
    /// What it allows.
    pub terms: InviteTerms,
    /// The manager that wrote it down.
    pub author: NodeId,
    /// When that was.
    pub given_at: Millis,
    /// Who used it, earliest first.
    pub used_by: Vec<Name>,
    /// How many more devices may use it.
    pub uses_left: u32,
    /// Whether it is too late to use it.
    pub expired: bool,
    /// Whether an order stops it, or the manager that signed it.
    pub stopped: bool,
}

/// The view; made for one question or for a few.
#[derive(Clone, Debug)]
pub struct Roll<'a> {
    holdings: &'a Holdings,
    /// The keys of managers that the root stands by.
    managers: BTreeMap<NodeId, Vec<&'a NodeKeys>>,
    /// Nodes on which an order is in force, whatever it says.
    judged: BTreeSet<NodeId>,
}

impl<'a> Roll<'a> {
    /// The roll as these holdings have it.
    #[must_use]
    pub fn of(holdings: &'a Holdings) -> Self {
        let mut managers: BTreeMap<NodeId, Vec<&NodeKeys>> = BTreeMap::new();
        for certificate in holdings.record().managers().values() {
            let keys = managers.entry(certificate.node).or_default();
            keys.push(&certificate.keys);
        }
        let in_force = holdings.judgement().in_force.values();
        let nodes = in_force.filter_map(|subject| match subject {
            Subject::Holder { node, .. } => Some(*node),
            Subject::Invite(_) => None,
        });
        Self {
            holdings,
            managers,
            judged: nodes.collect(),
        }
    }

    /// What it is made of.
    #[must_use]
    pub fn holdings(&self) -> &'a Holdings {
        self.holdings
    }

    /// Every enrolled node, by its id; managers too, also those that wait for the root.
    #[must_use]
    pub fn devices(&self) -> Vec<Enrolled> {
        let enrolments = self.holdings.enrolments();
        let contested = self.holdings.contested();
        let contested: BTreeSet<Hash> = contested.iter().map(|held| held.written.entry).collect();
        let latest = enrolments.nodes().filter_map(|node| self.latest(node));
        latest
            .map(|held| Enrolled {
                contested: contested.contains(&held.written.entry),
                ..self.fold(held)
            })
            .collect()
    }

    /// The live devices that a selector selects, with what it sees of them.
    #[must_use]
    pub fn selected(&self, select: &Selector) -> BTreeMap<NodeId, Labels> {
        let live = self.devices().into_iter().filter(Enrolled::is_live_device);
        let labelled = live.map(|device| (device.node, device.seen_by_selectors()));
        labelled
            .filter(|(_, labels)| select.matches(labels))
            .collect()
    }

    /// One enrolled node.
    #[must_use]
    pub fn device(&self, node: &NodeId) -> Option<Enrolled> {
        let held = self.latest(node)?;
        let invite = &held.enrolment.invite;
        let contested = self.holdings.contested_of(invite);
        let is_this = |other: &&HeldEnrolment| other.written.entry == held.written.entry;
        Some(Enrolled {
            contested: contested.iter().any(is_this),
            ..self.fold(held)
        })
    }

    /// The same as [`Self::device`] but for whether it is contested, which is not looked at: of an
    /// invite for a whole fleet that would be a look at the whole fleet.
    #[must_use]
    pub fn standing(&self, node: &NodeId) -> Option<Enrolled> {
        Some(self.fold(self.latest(node)?))
    }

    /// The live nodes that bear a name, managers too, by their ids. Two of one name are no target
    /// until that is settled.
    #[must_use]
    pub fn named(&self, text: &str) -> Vec<NodeId> {
        let Ok(name) = Name::new(text) else {
            return Vec::new();
        };
        self.bearers(&name).into_iter().collect()
    }

    /// See [`Self::named`].
    pub(crate) fn bearers(&self, name: &Name) -> BTreeSet<NodeId> {
        let bearing = self.holdings.enrolments().bearing(name);
        let enrolled = bearing.filter(|node| {
            // What a manager is called the root says.
            !self.managers.contains_key(*node)
                && self
                    .latest(node)
                    .is_some_and(|held| held.certificate.name == *name && self.fold(held).is_live())
        });
        let stopped = &self.holdings.judgement().stopped_keys;
        let certified = self.holdings.record().managers().values();
        let managers = certified.filter(|certificate| {
            certificate.name == *name && !stopped.contains(&certificate.keys.sign)
        });
        let managers = managers.map(|certificate| certificate.node);
        enrolled.copied().chain(managers).collect()
    }

    /// Every invite that was given, earliest first.
    #[must_use]
    pub fn invites(&self) -> Vec<InviteState> {
        let given = self.holdings.enrolments().given();
        let mut invites: Vec<InviteState> = given
            .filter_map(|(id, mut by)| {
                Some(self.invite(*id, by.find(|held| self.holdings.is_given(held))?))
            })
            .collect();
        invites.sort_by_key(|invite| (invite.given_at, invite.id));
        invites
    }

    /// Nodes in whose place another came and on whom nobody gave an order yet, each with the name
    /// of the other.
    #[must_use]
    pub(crate) fn to_stop(&self) -> Vec<(Enrolled, Name)> {
        let replaced = self.holdings.enrolments().replaced();
        let open = replaced.filter(|node| !self.judged.contains(*node));
        open.filter_map(|node| {
            let enrolled = self.fold(self.latest(node)?);
            let by = self.latest(&enrolled.replaced_by?)?;
            Some((enrolled, by.certificate.name.clone()))
        })
        .collect()
    }

    /// The enrolment of a node that counts: its keys are those against which it is renewed. A later
    /// one takes an earlier one's place where its author may do to the device as it was then what he
    /// does. A node that the root made a manager is never a device; and what a manager's invite
    /// brought in, or a person's certificate, takes the place of no device's: anybody may write that.
    #[must_use]
    pub fn latest(&self, node: &NodeId) -> Option<&'a HeldEnrolment> {
        let is_manager = self.managers.contains_key(node);
        let counting = self.holdings.enrolments().of_node(node).filter(|held| {
            (!is_manager || held.certificate.rank == Rank::Manager) && self.holdings.enrolled(held)
        });
        let rank = counting.clone().map(|held| held.certificate.rank).min()?;
        let mut counting = counting.filter(|held| held.certificate.rank == rank);
        let mut latest = counting.next()?;
        for held in counting {
            if self.displaces(held, latest) {
                latest = held;
            }
        }
        Some(latest)
    }

    /// Whether a later enrolment of a node takes an earlier one's place.
    fn displaces(&self, later: &HeldEnrolment, earlier: &HeldEnrolment) -> bool {
        match earlier.certificate.rank {
            Rank::Device => {
                let (labels, _) = self.changes(earlier, Some(later.written.age()));
                self.holdings.may_enrol(&later.written, &labels)
            }
            Rank::Operator => later.written.ledger.author == earlier.written.ledger.author,
            Rank::Manager | Rank::Root => self.is_certified(&later.certificate),
        }
    }

    /// All but whether it is contested, which needs a look at the other uses of its invite.
    fn fold(&self, held: &HeldEnrolment) -> Enrolled {
        let (node, certificate) = (held.certificate.node, &held.certificate);
        let mut enrolled = Enrolled {
            node,
            certificate: certificate.clone(),
            serial: held.serial,
            labels: certificate.labels.clone(),
            enrolled_at: held.written.stamp.wall,
            certified: self.is_certified(certificate),
            stopped: self.is_stopped(certificate),
            contested: false,
            forgotten: false,
            replaced_by: None,
        };
        (enrolled.labels, enrolled.forgotten) = self.changes(held, None);
        enrolled.replaced_by = self.replaced_by(held, &enrolled);
        enrolled
    }

    /// Labels, and whether it was said to be gone, in the order of the stamps, up to some age.
    /// Whoever says so must be one who may admit the device as it is, and as it becomes: else a label
    /// were a way to a device of others.
    fn changes(&self, held: &HeldEnrolment, until: Option<Age>) -> (Labels, bool) {
        let certificate = &held.certificate;
        let (mut now, mut forgotten) = (certificate.labels.clone(), false);
        let enrolments = self.holdings.enrolments();
        for said in enrolments.changes_of(&certificate.node) {
            let may = |labels: &Labels| self.holdings.may_enrol(&said.written, labels);
            let age = said.written.age();
            let in_time = age > held.written.age() && until.is_none_or(|until| age < until);
            if !in_time || !self.holdings.counts_now(&said.written) || !may(&now) {
                continue;
            }
            match &said.change {
                Change::Relabel(relabel) if certificate.rank == Rank::Device => {
                    let fits = |labels: &Labels| certificate.with_labels(labels).is_presentable();
                    let labels = relabel.apply(&now, fits);
                    if may(&labels) {
                        now = labels;
                    }
                }
                Change::Forget(_) if !self.is_certified(certificate) => forgotten = true,
                Change::Relabel(_) | Change::Forget(_) => {}
            }
        }
        (now, forgotten)
    }

    fn replaced_by(&self, held: &HeldEnrolment, enrolled: &Enrolled) -> Option<NodeId> {
        let is_good = self.judged.contains(&enrolled.node) && !enrolled.stopped;
        if enrolled.certified || is_good {
            return None;
        }
        let mut replacing = self.holdings.enrolments().replacing(&enrolled.node).rev();
        let by = replacing.find(|other| {
            other.node() != enrolled.node
                && other.written.age() > held.written.age()
                && self.holdings.enrolled(other)
                && self.holdings.may_enrol(&other.written, &enrolled.labels)
        });
        by.map(HeldEnrolment::node)
    }

    fn is_certified(&self, certificate: &Certificate) -> bool {
        let keys = self.managers.get(&certificate.node);
        certificate.rank == Rank::Manager
            && keys.is_some_and(|keys| keys.contains(&&certificate.keys))
    }

    fn is_stopped(&self, certificate: &Certificate) -> bool {
        let judgement = self.holdings.judgement();
        if self.is_certified(certificate) {
            judgement.stopped_keys.contains(&certificate.keys.sign)
        } else {
            judgement.stopped_nodes.contains(&certificate.node)
        }
    }

    fn invite(&self, id: InviteId, held: &HeldInvite) -> InviteState {
        let (holdings, judgement) = (self.holdings, self.holdings.judgement());
        let mut keys: BTreeSet<&PublicKey> = BTreeSet::new();
        let uses = holdings.enrolments().of_invite(&id);
        let uses =
            uses.filter(|used| holdings.is_use(used, &held.terms) && keys.insert(used.key()));
        let used_by: Vec<Name> = uses.map(|used| used.certificate.name.clone()).collect();
        let used = u32::try_from(used_by.len()).unwrap_or(u32::MAX);
        let issuer_stopped = match held.terms.issuer {
            Issuer::Root(_) => false,
            Issuer::Certificate(serial) => {
                let key = holdings.record().key_of(&serial);
                key.is_some_and(|key| judgement.stopped_keys.contains(&key))
            }
        };
        InviteState {
            id,
            author: held.written.ledger.author,
            given_at: held.written.stamp.wall,
            uses_left: held.terms.uses.saturating_sub(used),
            used_by,
            expired: held.terms.not_after < holdings.reference(),
            stopped: issuer_stopped || judgement.stopped_invites.contains(&id),
            terms: held.terms.clone(),
        }
    }
}
