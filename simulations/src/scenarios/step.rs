//! The steps that scenarios are made of.

use regatta_protocol::limits::DAY_MS;
use regatta_protocol::trust::certificate::Capability;

use crate::scenarios::configured::ConfigStep;

/// A number of minutes, in milliseconds.
pub const MINUTE: u64 = 60_000;
/// A number of days, in milliseconds.
pub const DAY: u64 = DAY_MS;

/// A node by its number: managers first.
pub type Who = usize;
/// An entry or an order by the name that a step gave it.
pub type Label = &'static str;

/// A sequence with what it expects.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Managers of the fleet.
    pub managers: usize,
    /// Agents of the fleet.
    pub agents: usize,
    /// Managers whose certificate ends after so many milliseconds; a year for the others.
    pub lives: &'static [(Who, u64)],
    /// What happens.
    pub steps: &'static [Step],
}

impl Scenario {
    /// The virtual time that its steps let pass.
    #[must_use]
    pub fn waits_ms(&self) -> u64 {
        let waits = self.steps.iter().map(|step| match step {
            Step::Wait(ms) => *ms,
            _ => 0,
        });
        waits.sum()
    }

    /// Whether its entries have bodies.
    #[must_use]
    pub fn has_bodies(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::WriteBody(..) | Step::Config(_)))
    }

    /// Whether its devices adopt configuration.
    #[must_use]
    pub fn has_config(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::Config(_)))
    }
}

/// Whom a body is for, beside the managers.
#[derive(Clone, Copy, Debug)]
pub enum Readers {
    /// Every device.
    Everybody,
    /// The device whose name the selector asks for.
    Named(Who),
    /// The device in whose scope the entry stands.
    Scoped(Who),
}

/// What a forged entry says.
#[derive(Clone, Copy, Debug)]
pub enum Says {
    /// A revision of a document that replaces these.
    Revision(&'static str, &'static [Label]),
    /// A manager's ledger is good up to these entries.
    Testimony(Who, &'static [Label]),
    /// A device is stopped.
    Stop(Who),
    /// A device may go on, in place of these orders.
    Allow(Who, &'static [Label]),
}

/// What a forged entry follows.
#[derive(Clone, Copy, Debug)]
pub enum After {
    /// Nothing: it claims to be number one, in an incarnation of its own.
    Nothing,
    /// The last entry that the victim wrote there, in the victim's own incarnation.
    Tip,
    /// The last entry, in an incarnation of its own.
    TipAnew,
    /// The last entry, with a number that leaves some out.
    Skipping,
    /// The last entry of somebody else's ledger.
    TipOf(Who),
    /// What stands before a labelled entry, in the same incarnation: a fork.
    Beside(Label),
    /// A labelled entry, in its incarnation.
    Entry(Label),
}

/// A forged entry.
#[derive(Clone, Copy, Debug)]
pub struct Theft {
    /// Whose key signs, as it was at the beginning.
    pub key_of: Who,
    /// What it is called.
    pub label: Label,
    /// What it says.
    pub says: Says,
    /// What it follows.
    pub after: After,
    /// How far from now it claims to be written.
    pub off_ms: i64,
    /// Who is given it.
    pub to: Who,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Time passes.
    Wait(u64),
    /// Time passes while every node is switched off: days cost no more than a restart.
    Night(u64),
    /// A manager writes a revision of a document that replaces all that it knows.
    Write(Who, &'static str, Label),
    /// A manager writes a revision for one device alone.
    WriteFor(Who, Who, Label),
    /// A manager writes revisions of two documents that count together.
    WriteSet(Who, [&'static str; 2], Label),
    /// A manager writes so many revisions of a document, one after the other.
    WriteMany(Who, &'static str, u32, Label),
    /// A manager of a later build writes what nobody here knows; true where all depends on it.
    WriteUnknown(Who, bool, Label),
    /// A manager deletes a document.
    Delete(Who, &'static str, Label),
    /// A manager writes a revision that expires after so many milliseconds.
    WriteExpiring(Who, &'static str, u64, Label),
    /// A manager testifies of all its peers' heads.
    Testify(Who, Label),
    /// A manager testifies of one peer and renews its certificate until so far from now.
    Renew(Who, Who, u64),
    /// A manager stops a device.
    Stop(Who, Who, Label),
    /// A manager allows a device again, in place of an order.
    Allow(Who, Who, Label, Label),
    /// The root stops a manager, carried by another: by, whom, the entries that count of each of
    /// its ledgers, what it replaces, and its name.
    RootStop(Who, Who, &'static [Label], &'static [Label], Label),
    /// The root finds a manager good, up to these entries.
    RootGood(Who, Who, &'static [Label], &'static [Label], Label),
    /// The root certifies a new key for a manager, carried by another; the manager uses it.
    NewKey(Who, Who),
    /// The same, and the new certificate lacks a capability.
    NewKeyWithout(Who, Who, Capability),
    /// A thief signs and delivers.
    Steal(Theft),
    /// A manager enrols a device by the scenario's only invite, with a key of its own or the same.
    Enrol(Who, u8),
    /// The same by one that has seen the invite, but not its one-time key.
    EnrolForged(Who, u8),
    /// A manager hands a device the data key of the value in a revision.
    Wrap(Who, Who, Label),
    /// These nodes on a side of their own.
    Apart(&'static [Who]),
    /// One direction carries nothing, and nobody notices.
    Mute(Who, Who),
    /// A member sends another so many messages at once.
    Flood(Who, Who, u32),
    /// A member hands another an entry in a manager's name that it did not sign, so many times.
    Forge(Who, Who, u32),
    /// A manager writes a revision with a body of so many bytes; true where it may ride along.
    WriteBody(Who, Readers, usize, bool, Label),
    /// A node asks for a body, whether that is for it or not.
    AskFor(Who, Label),
    /// A node hands out bytes that are not the body's, or ends that.
    Lie(Who, bool),
    /// No cuts.
    Heal,
    /// A node stops.
    Crash(Who),
    /// A node starts.
    Start(Who),
    /// A node stops at its next effect but so many.
    CrashAfter(Who, u32),
    /// A disk is put aside.
    Backup(Who),
    /// A node goes back to the disk that was put aside.
    Restore(Who),
    /// A node loses its disk.
    Wipe(Who),
    /// A clock is set so far off.
    Clock(Who, i64),
    /// Everybody agrees within so many milliseconds, from now on.
    Agree(u64),
    /// Everybody holds the same within so many milliseconds; what they draw from it may differ.
    Equal(u64),
    /// This revision holds, on every node that is up.
    Winner(&'static str, Label),
    /// This revision holds on this node.
    WinnerOn(Who, &'static str, Label),
    /// Nothing holds of a document.
    Nothing(&'static str),
    /// So many conflicts with the winner.
    Conflicts(&'static str, usize),
    /// A device is stopped, or not, on every node.
    Stopped(Who, bool),
    /// A manager is stopped, or not, on every node.
    ManagerStopped(Who, bool),
    /// The enrolments by the invite that are contested, on every manager.
    Contested(usize),
    /// A node's reference time is at most so far from the true one.
    Near(Who, u64),
    /// A node holds a labelled entry, or does not.
    Holds(Who, Label, bool),
    /// Nodes know that something holds which their build does not, or not.
    Critical(bool),
    /// A device's key opens the value in a revision, as far as the device and any manager know, or not.
    Opens(Who, Label, bool),
    /// Somebody was hung up on.
    HungUp,
    /// Everybody has its bodies within so many milliseconds, from now on.
    Bodies(u64),
    /// A node has a body, or does not.
    HasBody(Who, Label, bool),
    /// Somebody was hung up on for wrong bytes.
    LiarFound,
    /// Something about configuration.
    Config(ConfigStep),
    /// Everybody but these nodes sees a fork of this manager's fleet ledger.
    Forked(Who),
}
