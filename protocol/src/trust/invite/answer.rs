//! What a joiner is told: its certificate with all that it needs to begin, or why not.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::codec::{self, Name, Wire};
use crate::contacts::SignedContact;
use crate::crypto::sign::Verify;
use crate::ident::Serial;
use crate::ledger::holdings::Holdings;
use crate::machine::Millis;
use crate::trust::certificate::{Certificate, NodeKeys, SignedCertificate};
use crate::trust::invite::join::{PinError, check_certificate, pin};
use crate::trust::invite::token::Token;
use crate::trust::record::Record;
use crate::trust::root::SignedRoot;
use crate::trust::statement::Statement;

/// What the manager says to a joiner. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinAnswer {
    /// It is a member.
    Admitted(Box<Welcome>),
    /// It is let in once the root has signed its certificate: it asks again.
    Waits {
        /// What it is called.
        name: Name,
        /// The certificate that waits.
        serial: Serial,
    },
    /// It is not let in.
    Refused(String),
}

impl Wire for JoinAnswer {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 16 * 1024;
    const WHAT: &'static str = "answer to a joiner";
}

/// All that a new member needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The first root document, which the invite pins.
    pub root: SignedRoot,
    /// What the root said: as much as fits, the rest comes with the ledgers.
    pub statements: Vec<Statement>,
    /// The new member's certificate.
    pub certificate: SignedCertificate,
    /// The certificate of the manager that answers.
    pub by: Serial,
    /// Where managers are: as much as fits.
    pub contacts: Vec<SignedContact>,
}

/// A joiner that was let in.
#[derive(Debug)]
pub struct Joined {
    /// What it is.
    pub certificate: Certificate,
    /// The manager that let it in.
    pub by: Certificate,
    /// The root, and what it said.
    pub record: Record,
}

/// Room in an answer that is left to where managers are.
const CONTACTS_BYTES: usize = 5 * 1024;
/// What stands around a thing in a list, at most.
const FRAMING_BYTES: usize = 8;

impl Welcome {
    /// With what fits of what the root said: its rotations and the answering manager's certificate
    /// before all else.
    ///
    /// # Panics
    /// Never: a record begins with a root document.
    #[must_use]
    pub fn new(holdings: &Holdings, by: Serial, certificate: SignedCertificate) -> Self {
        let record = holdings.record();
        let mut roots = record.roots().signed();
        let (Some(root), own) = (roots.next().cloned(), certificate.serial()) else {
            unreachable!("a root chain has lost its first document")
        };
        let is_needed = |statement: &&Statement| match statement {
            Statement::Rotate(_) => true,
            Statement::Certify(signed) => [by, own].contains(&signed.serial()),
            Statement::Order(_) => false,
        };
        let mut welcome = Self {
            root,
            statements: record.statements().filter(is_needed).cloned().collect(),
            certificate,
            by,
            contacts: Vec::new(),
        };
        let mut room = welcome.room().saturating_sub(CONTACTS_BYTES);
        for statement in record.statements().filter(|it| !is_needed(it)) {
            let length = codec::encoded_len(statement) + FRAMING_BYTES;
            if length <= room {
                room -= length;
                welcome.statements.push(statement.clone());
            }
        }
        welcome
    }

    /// Adds where managers are, as much as fits.
    #[must_use]
    pub fn with_contacts(mut self, contacts: impl IntoIterator<Item = SignedContact>) -> Self {
        let mut room = self.room();
        for contact in contacts {
            let length = codec::encoded_len(&contact) + FRAMING_BYTES;
            if length <= room {
                room -= length;
                self.contacts.push(contact);
            }
        }
        self
    }

    fn room(&self) -> usize {
        let answer = JoinAnswer::Admitted(Box::new(self.clone()));
        JoinAnswer::BYTES_MAX.saturating_sub(codec::encoded_len(&answer) + FRAMING_BYTES)
    }

    /// The joiner's side: holds all of it against the root that the token pins.
    ///
    /// # Errors
    /// What does not fit.
    pub fn accept(
        &self,
        token: &Token,
        now: Millis,
        keys: &NodeKeys,
        verify: Arc<dyn Verify>,
    ) -> Result<Joined, PinError> {
        let record = pin(token, now, self.root.clone(), &self.statements, verify)?;
        let certificate = check_certificate(&record, &self.certificate, keys)?;
        let by = record.managers().get(&self.by).cloned();
        let by = by.ok_or(PinError::Host)?;
        Ok(Joined {
            certificate,
            by,
            record,
        })
    }
}
