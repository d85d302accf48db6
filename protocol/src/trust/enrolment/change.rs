//! What managers write of devices after they joined, and of invites before: labels set and taken
//! away, devices forgotten, invites given.

use serde::{Deserialize, Serialize};

use crate::codec::{Name, Wire};
use crate::ident::NodeId;
use crate::ledger::entry::EntryKind;
use crate::selector::Labels;
use crate::trust::enrolment::Written;
use crate::trust::invite::{InviteTerms, SignedInvite};

/// A device's labels change: what [`EntryKind::RELABEL`] says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relabel {
    /// The device.
    pub node: NodeId,
    /// Labels that it gets, by key and value; others of these keys go.
    pub set: Vec<(Name, Name)>,
    /// Keys of labels that it loses; a key that is set as well is kept.
    pub remove: Vec<Name>,
}

impl Wire for Relabel {
    const VERSION: u8 = 1;
    /// Every label of a device set anew, and as many taken away.
    const BYTES_MAX: usize = 8 * 1024;
    const WHAT: &'static str = "relabel";
}

/// A device is gone for good, and its name is free: what [`EntryKind::FORGET`] says. It stops
/// nobody; an order does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forget {
    /// The device.
    pub node: NodeId,
}

impl Wire for Forget {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 64;
    const WHAT: &'static str = "forgotten device";
}

/// An invite was given: what [`EntryKind::INVITE`] says. The one-time secret is not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenInvite {
    /// The invite, as signed.
    pub invite: SignedInvite,
}

impl Wire for GivenInvite {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = InviteTerms::BYTES_MAX + 2048;
    const WHAT: &'static str = "given invite";
}

/// Something that was said of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its labels change.
    Relabel(Relabel),
    /// It is gone.
    Forget(Forget),
}

impl Change {
    /// Of which device.
    #[must_use]
    pub fn node(&self) -> NodeId {
        match self {
            Self::Relabel(relabel) => relabel.node,
            Self::Forget(forget) => forget.node,
        }
    }

    /// The kind of entry that says so.
    #[must_use]
    pub fn kind(&self) -> EntryKind {
        match self {
            Self::Relabel(_) => EntryKind::RELABEL,
            Self::Forget(_) => EntryKind::FORGET,
        }
    }
}

impl Relabel {
    /// The labels that follow from `before`, where `fits` says of each label more whether there is
    /// room for it: what has none is left out, in the order in which it was written.
    #[must_use]
    pub fn apply(&self, before: &Labels, fits: impl Fn(&Labels) -> bool) -> Labels {
        let mut labels = before.clone();
        for key in &self.remove {
            labels.remove(key);
        }
        for (key, value) in &self.set {
            let mut longer = labels.clone();
            if longer.set(key.clone(), value.clone()).is_ok() && fits(&longer) {
                labels = longer;
            }
        }
        labels
    }
}

/// Something that was said of a device, and where it stands.
#[derive(Clone, Debug)]
pub struct HeldChange {
    /// Where.
    pub written: Written,
    /// What.
    pub change: Change,
}

/// An invite that was given, and where that stands.
#[derive(Clone, Debug)]
pub struct HeldInvite {
    /// Where.
    pub written: Written,
    /// The invite, as signed.
    pub invite: SignedInvite,
    /// Its terms.
    pub terms: InviteTerms,
}
