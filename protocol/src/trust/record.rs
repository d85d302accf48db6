//! Everything that was said and bears on trust: what the root says, and managers' verdicts as they
//! stand in their ledgers. What follows from it is [`crate::trust::fold`]'s to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::clock::Stamp;
use crate::codec;
use crate::crypto::sign::{Context, PublicKey, Verify};
use crate::ident::{FleetId, Hash, NodeId, Serial};
use crate::ledger::chain::LinkId;
use crate::ledger::entry::{Entry, EntryKind, LedgerId};
use crate::trust::certificate::{Certificate, Issuer, Rank, SignedCertificate};
use crate::trust::root::{RootChain, RootError, SignedRoot};
use crate::trust::statement::Statement;
use crate::trust::verdict::{Verdict, VerdictId, Verdicts};

/// A manager's verdict, and where it stands.
#[derive(Clone, Debug)]
pub struct Spoken {
    /// The ledger that it stands in.
    pub ledger: LedgerId,
    /// Its entry's place there.
    pub link: LinkId,
    /// The certificate that signed it.
    pub by: Serial,
    /// When it was said.
    pub stamp: Stamp,
    /// Its name.
    pub id: VerdictId,
    /// What it says.
    pub verdict: Verdict,
}

/// All that was said.
#[derive(Clone, Debug)]
pub struct Record {
    verify: Arc<dyn Verify>,
    roots: RootChain,
    statements: BTreeMap<Hash, Statement>,
    managers: BTreeMap<Serial, Certificate>,
    orders: BTreeMap<VerdictId, Verdict>,
    spoken: Vec<Spoken>,
}

impl Record {
    /// Starts from the root that was pinned at joining.
    ///
    /// # Errors
    /// When `first` is not what was pinned.
    pub fn begin(
        fleet: FleetId,
        first: SignedRoot,
        verify: Arc<dyn Verify>,
    ) -> Result<Self, RootError> {
        let roots = RootChain::begin(fleet, first, verify.as_ref())?;
        Ok(Self {
            verify,
            roots,
            statements: BTreeMap::new(),
            managers: BTreeMap::new(),
            orders: BTreeMap::new(),
            spoken: Vec::new(),
        })
    }

    /// The fleet.
    #[must_use]
    pub fn fleet(&self) -> FleetId {
        self.roots.fleet()
    }

    /// The root documents.
    #[must_use]
    pub fn roots(&self) -> &RootChain {
        &self.roots
    }

    /// How signatures are checked.
    #[must_use]
    pub fn verify(&self) -> &dyn Verify {
        self.verify.as_ref()
    }

    /// Certificates of managers that the root signed, stopped and lapsed ones too.
    #[must_use]
    pub fn managers(&self) -> &BTreeMap<Serial, Certificate> {
        &self.managers
    }

    /// Whether a node was ever certified as a manager.
    #[must_use]
    pub fn is_manager(&self, node: &NodeId) -> bool {
        self.managers
            .values()
            .any(|certificate| certificate.node == *node)
    }

    /// Orders of the root.
    #[must_use]
    pub fn orders(&self) -> &BTreeMap<VerdictId, Verdict> {
        &self.orders
    }

    /// Verdicts of managers.
    #[must_use]
    pub fn spoken(&self) -> &[Spoken] {
        &self.spoken
    }

    /// The key of a manager's certificate.
    #[must_use]
    pub fn key_of(&self, serial: &Serial) -> Option<PublicKey> {
        self.managers
            .get(serial)
            .map(|certificate| certificate.keys.sign)
    }

    /// All that the root said so far, to hand to somebody who joins.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.statements.values()
    }

    /// Takes what the root says, by whatever way it came; true where something new counts now.
    pub fn take_statement(&mut self, statement: &Statement) -> bool {
        if !codec::fits(statement) {
            return false;
        }
        let name = Hash::of(&codec::encode(statement));
        if self.statements.contains_key(&name) || !self.might_count(statement) {
            return false;
        }
        self.statements.insert(name, statement.clone());
        let before = (
            self.roots.current().number,
            self.managers.len(),
            self.orders.len(),
        );
        self.settle();
        before
            != (
                self.roots.current().number,
                self.managers.len(),
                self.orders.len(),
            )
    }

    /// A stranger's bytes are not kept: a statement must at least bear one good signature of a root
    /// that is known, or follow a root that is.
    fn might_count(&self, statement: &Statement) -> bool {
        match statement {
            Statement::Certify(certificate) => certificate.decode().is_ok(),
            Statement::Order(order) => order.decode().is_ok(),
            Statement::Rotate(_) => true,
        }
    }

    /// Reads the statements anew: a rotation may bring some to count and others to lapse.
    fn settle(&mut self) {
        loop {
            let mut advanced = false;
            for statement in self.statements.values() {
                if let Statement::Rotate(next) = statement {
                    advanced |= self
                        .roots
                        .advance(next.clone(), self.verify.as_ref())
                        .is_ok_and(|changed| changed);
                }
            }
            if !advanced {
                break;
            }
        }
        let (mut managers, mut orders) = (BTreeMap::new(), BTreeMap::new());
        for statement in self.statements.values() {
            match statement {
                Statement::Certify(signed) => {
                    if let Some(certificate) = self.root_certificate(signed) {
                        managers.insert(signed.serial(), certificate);
                    }
                }
                Statement::Order(order) => {
                    let speaks = self.roots.speaks(
                        order.root,
                        &order.id().0.0,
                        self.verify.as_ref(),
                        &order.bytes,
                        &order.signatures,
                        Context::Statement,
                    );
                    if speaks && let Ok(verdict) = order.decode() {
                        orders.insert(order.id(), verdict);
                    }
                }
                Statement::Rotate(_) => {}
            }
        }
        (self.managers, self.orders) = (managers, orders);
    }

    /// A manager's certificate, where the root's signature holds.
    fn root_certificate(&self, signed: &SignedCertificate) -> Option<Certificate> {
        let serial = signed.serial();
        let certificate = match self.managers.get(&serial) {
            // Its signature was checked; what may have changed is which root speaks.
            Some(known) => known.clone(),
            None => signed.decode().ok()?,
        };
        let Issuer::Root(number) = certificate.issuer else {
            return None;
        };
        let speaks = certificate.rank == Rank::Manager
            && self.roots.speaks(
                number,
                &serial.0,
                self.verify.as_ref(),
                &signed.bytes,
                &signed.signatures,
                Context::Certificate,
            );
        speaks.then_some(certificate)
    }

    /// Reads what a trust entry brings that counts by itself, before anybody knows its author.
    pub fn take_carried(&mut self, entry: &Entry) -> bool {
        statement_of(entry).is_some_and(|statement| self.take_statement(&statement))
    }

    /// Notes the verdicts of an entry that was appended; true where it has any.
    pub fn take_verdicts(&mut self, entry: &Entry, link: LinkId) -> bool {
        if entry.header.kind.code != EntryKind::VERDICT.code {
            return false;
        }
        let Some(bytes) = content(entry) else {
            return false;
        };
        let Ok(Verdicts(verdicts)) = codec::decode(bytes) else {
            return false;
        };
        let any = !verdicts.is_empty();
        for (index, verdict) in verdicts.into_iter().enumerate() {
            self.spoken.push(Spoken {
                ledger: entry.header.ledger,
                link,
                by: entry.header.signer,
                stamp: entry.header.stamp,
                id: verdict_id(&entry.hash, index),
                verdict,
            });
        }
        any
    }

    /// The serials of managers whose certificates share a key with `serial`.
    #[must_use]
    pub fn serials_of_key(&self, key: &PublicKey) -> BTreeSet<Serial> {
        self.managers
            .iter()
            .filter(|(_, certificate)| certificate.keys.sign == *key)
            .map(|(serial, _)| *serial)
            .collect()
    }
}

/// The name of the verdict that stands at `index` in an entry.
#[must_use]
pub fn verdict_id(entry: &Hash, index: usize) -> VerdictId {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&entry.0)
        .update(&(index as u64).to_le_bytes());
    VerdictId(Serial(Hash(*hasher.finalize().as_bytes()).half()))
}

/// What an entry says: its payload, or its carried body where it has one.
#[must_use]
pub fn content(entry: &Entry) -> Option<&[u8]> {
    match entry.header.body {
        Some(body) if body.carried => entry.carried().map(|bytes| &**bytes),
        _ => Some(&entry.header.payload),
    }
}

fn statement_of(entry: &Entry) -> Option<Statement> {
    if entry.header.kind.code != EntryKind::STATEMENT.code {
        return None;
    }
    codec::decode(content(entry)?).ok()
}
