//! What a device says of configuration that it tried: which revisions, and how it ended for each.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalog::RevisionId;
use crate::codec::{Name, Wire};
use crate::limits::BODY_CARRIED_BYTES_MAX;

/// What a fault says, in bytes; the rest is cut.
pub const FAULT_BYTES_MAX: usize = 256;
/// Documents in one outcome; an attempt that changes more gives several.
pub const OUTCOME_DOCUMENTS_MAX: usize = 256;

/// Where an attempt is, or was when something failed. Append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Step {
    /// The new files are made, beside those that are there.
    Staging,
    /// The documents' own checks look at them.
    Checking,
    /// They take the places of the old ones.
    Writing,
    /// Hooks run: what reads the files is told.
    Changing,
    /// Probes look whether what reads the files is well.
    Watching,
    /// A manager has to be heard.
    Confirming,
    /// The old files come back.
    Restoring,
    /// Hooks run again, with the old files.
    ChangingBack,
    /// Going back failed; it waits until somebody asks, or for the next start.
    Stuck,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Staging => "staging",
            Self::Checking => "check",
            Self::Writing => "writing",
            Self::Changing => "hook",
            Self::Watching => "healthy",
            Self::Confirming => "confirm",
            Self::Restoring => "restoring",
            Self::ChangingBack => "hook when going back",
            Self::Stuck => "stuck",
        })
    }
}

/// What went wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// At which step.
    pub step: Step,
    /// With which document, where it is one's alone.
    pub document: Option<Name>,
    what: String,
}

impl Fault {
    /// A fault; what it says is cut after [`FAULT_BYTES_MAX`] bytes, between two characters.
    #[must_use]
    pub fn new(step: Step, document: Option<Name>, what: &str) -> Self {
        Self {
            step,
            document,
            what: cut(what, FAULT_BYTES_MAX).to_owned(),
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

/// At most so many bytes of a text, cut between two characters.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.step)?;
        if let Some(document) = &self.document {
            write!(out, " of {document}")?;
        }
        write!(out, ": {}", self.what)
    }
}

/// How an attempt ended for one document. Append-only.
///
/// What holds on a device is what it told last with `Applied` or `Removed`; any other word is about a
/// revision that does not hold, and matters only while that one is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// The revision holds.
    Applied,
    /// The document was wanted no more, and what it brought is gone.
    Removed,
    /// It was written, and what was there before holds again.
    TakenBack,
    /// It was never written.
    Refused,
    /// It was to be taken back, and that failed too.
    Stuck,
    /// It was tried together with others and taken back with them; it is tried by itself next.
    Apart,
}

/// One document of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentOutcome {
    /// The revision that was tried; none where the document was to go.
    pub revision: Option<RevisionId>,
    /// That revision's number for people; of the one that was there where the document was to go.
    pub version: u32,
    /// How it ended.
    pub verdict: Verdict,
    /// Whether one of its hooks may have run twice, because the node was killed in between.
    pub again: bool,
}

/// How an attempt ended: rides in the device's report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Grows from outcome to outcome. One that is told twice has one number.
    pub number: u64,
    /// The attempt.
    pub attempt: u64,
    /// What it changed or would have.
    pub documents: BTreeMap<Name, DocumentOutcome>,
    /// Why it failed, where it did.
    pub fault: Option<Fault>,
    /// Why going back failed, where it did.
    pub stuck: Option<Fault>,
}

impl Wire for Outcome {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = BODY_CARRIED_BYTES_MAX;
    const WHAT: &'static str = "outcome of configuration";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        DocumentOutcome, FAULT_BYTES_MAX, Fault, OUTCOME_DOCUMENTS_MAX, Outcome, Step, Verdict,
    };
    use crate::catalog::RevisionId;
    use crate::codec::{self, Name};
    use crate::ident::{Hash, Serial};

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn document(verdict: Verdict) -> DocumentOutcome {
        DocumentOutcome {
            revision: Some(RevisionId {
                entry: Serial([7; 16]),
                place: 2,
            }),
            version: 12,
            verdict,
            again: true,
        }
    }

    #[test]
    fn an_outcome_keeps_its_bytes() {
        let outcome = Outcome {
            number: 9,
            attempt: 4,
            documents: BTreeMap::from([
                (name("nav"), document(Verdict::TakenBack)),
                (
                    name("old"),
                    DocumentOutcome {
                        revision: None,
                        ..document(Verdict::Removed)
                    },
                ),
            ]),
            fault: Some(Fault::new(Step::Watching, Some(name("nav")), "exit code 3")),
            stuck: None,
        };
        let bytes = codec::encode(&outcome);
        assert_eq!(codec::decode::<Outcome>(&bytes).as_ref(), Ok(&outcome));
        let hash = Hash::of(&bytes).to_string();
        assert_eq!((bytes.len(), &hash[..16]), (122, "8fd848db5ea9e575"));
    }

    #[test]
    fn the_largest_outcome_fits() {
        let fault = Fault::new(
            Step::Stuck,
            Some(name(&"n".repeat(64))),
            &"x".repeat(FAULT_BYTES_MAX),
        );
        let outcome = Outcome {
            number: u64::MAX,
            attempt: u64::MAX,
            documents: (0..OUTCOME_DOCUMENTS_MAX)
                .map(|index| (name(&format!("{index:064}")), document(Verdict::Apart)))
                .collect(),
            fault: Some(fault.clone()),
            stuck: Some(fault),
        };
        assert!(codec::fits(&outcome), "{}", codec::encoded_len(&outcome));
    }

    #[test]
    fn a_fault_is_cut_between_characters() {
        let fault = Fault::new(Step::Checking, None, &"ä".repeat(FAULT_BYTES_MAX));
        assert_eq!(fault.what().len(), FAULT_BYTES_MAX);
        let odd = Fault::new(
            Step::Checking,
            None,
            &format!("x{}", "ä".repeat(FAULT_BYTES_MAX)),
        );
        assert_eq!(odd.what().len(), FAULT_BYTES_MAX - 1);
        assert_eq!(
            Fault::new(Step::Checking, Some(name("nav")), "exit code 1").to_string(),
            "check of nav: exit code 1"
        );
    }
}
