//! What the ledgers say of one request for a body, asked for before the machine handles it.

use regatta_protocol::crypto::sign::{Ed25519, Verify};
use regatta_protocol::ident::{FleetId, Hash};
use regatta_protocol::ledger::bodies::library::{Library, Reading};
use regatta_protocol::machine::Millis;
use regatta_protocol::trust::authority::{Credentials, Denial};
use regatta_protocol::trust::certificate::SignedCertificate;

use crate::ledger::LedgerView;

/// Which body is asked for, and by whom.
#[derive(Debug)]
pub enum Question {
    /// By whoever presents these certificates.
    Presented {
        /// The body.
        hash: Hash,
        /// Its length, as the requester gives it.
        bytes: u64,
        /// His certificates.
        certificates: Vec<SignedCertificate>,
    },
    /// By somebody whose certificates were read before.
    Known {
        /// The body.
        hash: Hash,
        /// Who.
        who: Credentials,
    },
}

/// The answer, which is the machine's library for one event.
#[derive(Clone, Debug)]
pub struct Facts {
    fleet: FleetId,
    reference: Millis,
    recognised: Option<Result<Credentials, Denial>>,
    stands: bool,
    named: bool,
    may_read: bool,
}

impl Facts {
    /// For an event in which nobody asks for anything.
    #[must_use]
    pub fn of_nobody(fleet: FleetId, reference: Millis) -> Self {
        Self {
            fleet,
            reference,
            recognised: None,
            stands: false,
            named: false,
            may_read: false,
        }
    }

    /// As the ledgers stand now.
    #[must_use]
    pub fn find(view: &LedgerView<'_>, question: &Question) -> Self {
        let holdings = view.replica.holdings();
        let reading = Reading {
            holdings,
            shelf: holdings.shelf(),
            reference: view.replica.reference(view.now),
        };
        let mut facts = Self::of_nobody(reading.fleet(), reading.reference);
        let (hash, recognised) = match question {
            Question::Presented {
                hash,
                bytes,
                certificates,
            } => {
                facts.named = reading.is_named(hash, *bytes);
                (hash, reading.recognise(certificates))
            }
            Question::Known { hash, who } => (hash, Ok(who.clone())),
        };
        if let Ok(who) = &recognised {
            facts.stands = reading.stands(who);
            facts.may_read = reading.may_read(hash, who);
        }
        facts.recognised = Some(recognised);
        facts
    }
}

impl Library for Facts {
    fn fleet(&self) -> FleetId {
        self.fleet
    }

    fn reference(&self) -> Millis {
        self.reference
    }

    fn verify(&self) -> &dyn Verify {
        &Ed25519
    }

    fn recognise(&self, _: &[SignedCertificate]) -> Result<Credentials, Denial> {
        let nobody = || Err(Denial::Depth { found: 0 });
        self.recognised.clone().unwrap_or_else(nobody)
    }

    fn stands(&self, _: &Credentials) -> bool {
        self.stands
    }

    fn is_named(&self, _: &Hash, _: u64) -> bool {
        self.named
    }

    fn may_read(&self, _: &Hash, _: &Credentials) -> bool {
        self.may_read
    }
}
