//! Verdicts: the only entries that judge. From above an order, from a peer manager testimony.

use serde::{Deserialize, Serialize};

use crate::codec::Wire;
use crate::ident::{NodeId, Serial};
use crate::ledger::chain::Head;
use crate::ledger::entry::LedgerKind;
use crate::limits::BODY_CARRIED_BYTES_MAX;
use crate::machine::Millis;

/// An invite's name: the first half of its terms' hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InviteId(pub Serial);

/// A verdict's name: the first half of its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VerdictId(pub Serial);

/// Who is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// The holder of a certificate. A manager is judged by the certificate's key, an operator or a
    /// device by its node, so that no older or newer certificate of the same brings it back.
    Holder {
        /// The certificate.
        serial: Serial,
        /// The node that it names.
        node: NodeId,
    },
    /// An invite.
    Invite(InviteId),
}

/// What is said of the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ruling {
    /// It may go on.
    Good,
    /// It may not.
    Stopped,
}

/// The last heads that count of one of the subject's ledgers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedLedger {
    /// Its kind.
    pub kind: LedgerKind,
    /// Its scope.
    pub scope: Option<NodeId>,
    /// Its heads: one, or one for each branch that counts.
    pub heads: Vec<Head>,
}

/// One judgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Who is judged.
    pub subject: Subject,
    /// What is said.
    pub ruling: Ruling,
    /// What counts of each ledger. Under an order to stop, a ledger that no order in force lists
    /// counts for nothing.
    pub ledgers: Vec<JudgedLedger>,
    /// Verdicts that this one takes the place of.
    pub replaces: Vec<VerdictId>,
    /// Testimony alone: renews the subject's lapsing certificate until then.
    pub until: Option<Millis>,
    /// Why, for people.
    pub reason: String,
}

/// What a verdict entry carries: many in one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts(pub Vec<Verdict>);

impl Wire for Verdicts {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = BODY_CARRIED_BYTES_MAX;
    const WHAT: &'static str = "verdicts";
}

impl Wire for Verdict {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = BODY_CARRIED_BYTES_MAX - 4096;
    const WHAT: &'static str = "verdict";
}
