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
use crate::trust::certificate::{Certificate, Issuer, Rank};
use crate::trust::root::{RootChain, RootDocument, RootError, SignedRoot};
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

/// A statement of the root whose signature was checked.
#[derive(Clone, Debug)]
struct Said {
    statement: Statement,
    /// The root documents whose keys signed it; a rotation needs none here.
    signers: BTreeSet<Hash>,
    /// The entries that carry it.
    carriers: BTreeSet<(LedgerId, LinkId)>,
}

/// A statement's place: rotations by their number before all else, so that they can be read in order.
type StatementName = (u32, Hash);

/// Statements of one author that may count once a root document comes which is not known yet. Who
/// carries more than that carries what he could not check himself.
const WAITING_MAX: usize = 128;

#[derive(Clone, Debug)]
struct Waiting {
    statement: Statement,
    carrier: (LedgerId, LinkId),
}

/// All that was said.
#[derive(Clone, Debug)]
pub struct Record {
    verify: Arc<dyn Verify>,
    roots: RootChain,
    said: BTreeMap<StatementName, Said>,
    waiting: BTreeMap<NodeId, BTreeMap<(u64, Hash), Waiting>>,
    certified: BTreeMap<Serial, Certificate>,
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
            said: BTreeMap::new(),
            waiting: BTreeMap::new(),
            certified: BTreeMap::new(),
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

    /// Certificates of managers that any root ever signed. What was written under one that a later
    /// root did not keep is held, so that all nodes hold the same, and does not count.
    #[must_use]
    pub fn certified(&self) -> &BTreeMap<Serial, Certificate> {
        &self.certified
    }

    /// Certificates of managers that the root stands by today, stopped and lapsed ones too.
    #[must_use]
    pub fn managers(&self) -> &BTreeMap<Serial, Certificate> {
        &self.managers
    }

    /// Whether a node was ever certified as a manager.
    #[must_use]
    pub fn is_manager(&self, node: &NodeId) -> bool {
        self.certified
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
        self.certified
            .get(serial)
            .map(|certificate| certificate.keys.sign)
    }

    /// All that the root said so far, to hand to somebody who joins; rotations first and in order.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.said.values().map(|said| &said.statement)
    }

    /// What the root said and holds today, with the entries that carry it.
    pub fn carried(
        &self,
    ) -> impl Iterator<Item = (&Statement, impl Iterator<Item = &(LedgerId, LinkId)>)> {
        self.said
            .values()
            .filter(|said| match &said.statement {
                Statement::Rotate(_) => true,
                Statement::Certify(signed) => self.managers.contains_key(&signed.serial()),
                Statement::Order(order) => self.orders.contains_key(&order.id()),
            })
            .map(|said| (&said.statement, said.carriers.iter()))
    }

    /// Takes what the root says, by whatever way it came; true where it holds and is new. What
    /// no known root signed is not kept: whoever brought it may bring it again.
    pub fn take_statement(&mut self, statement: &Statement) -> bool {
        if !self.check(statement) {
            return false;
        }
        if matches!(statement, Statement::Rotate(_)) {
            self.recheck();
        }
        self.count_again();
        true
    }

    /// Keeps a statement whose signatures hold; true where it was not kept yet.
    fn check(&mut self, statement: &Statement) -> bool {
        let Some(name) = name_of(statement).filter(|name| !self.said.contains_key(name)) else {
            return false;
        };
        let (kept, signers) = match statement {
            Statement::Rotate(next) => {
                let learnt = self.roots.advance(next.clone(), self.verify.as_ref());
                (learnt.is_ok_and(|learnt| learnt), BTreeSet::new())
            }
            _ => {
                let signers = self.signers_of(statement);
                (!signers.is_empty(), signers)
            }
        };
        if kept {
            let said = Said {
                statement: statement.clone(),
                signers,
                carriers: BTreeSet::new(),
            };
            self.said.insert(name, said);
            if let Statement::Certify(signed) = statement
                && let Ok(certificate) = signed.decode()
            {
                self.certified.insert(signed.serial(), certificate);
            }
        }
        kept
    }

    fn signers_of(&self, statement: &Statement) -> BTreeSet<Hash> {
        let (number, context, bytes, signatures) = match statement {
            Statement::Rotate(_) => return BTreeSet::new(),
            Statement::Certify(signed) => {
                let certificate = signed.decode().ok();
                let Some(Certificate {
                    issuer: Issuer::Root(number),
                    rank: Rank::Manager,
                    ..
                }) = certificate
                else {
                    return BTreeSet::new();
                };
                (
                    number,
                    Context::Certificate,
                    &signed.bytes,
                    &signed.signatures,
                )
            }
            Statement::Order(order) if order.decode().is_ok() => (
                order.root,
                Context::Statement,
                &order.bytes,
                &order.signatures,
            ),
            Statement::Order(_) => return BTreeSet::new(),
        };
        self.roots
            .signers_of(number, self.verify.as_ref(), context, bytes, signatures)
    }

    /// After a root document came: what waited for it, and what it signed beside another.
    fn recheck(&mut self) {
        loop {
            let waiting = std::mem::take(&mut self.waiting);
            let mut advanced = false;
            for (author, statements) in waiting {
                for (place, waiting) in statements {
                    if self.check(&waiting.statement) {
                        advanced |= matches!(waiting.statement, Statement::Rotate(_));
                    }
                    self.note_carrier(author, place, waiting);
                }
            }
            if !advanced {
                break;
            }
        }
        let names: Vec<StatementName> = self.said.keys().copied().collect();
        for name in names {
            let signers = self
                .said
                .get(&name)
                .map(|said| self.signers_of(&said.statement));
            if let (Some(said), Some(signers)) = (self.said.get_mut(&name), signers) {
                said.signers = signers;
            }
        }
    }

    /// Notes who carries a statement, or lets the statement wait.
    fn note_carrier(&mut self, author: NodeId, place: (u64, Hash), waiting: Waiting) {
        let name = name_of(&waiting.statement);
        if let Some(said) = name.and_then(|name| self.said.get_mut(&name)) {
            said.carriers.insert(waiting.carrier);
        } else if name.is_some() {
            let of_author = self.waiting.entry(author).or_default();
            of_author.insert(place, waiting);
            if of_author.len() > WAITING_MAX {
                of_author.pop_last();
            }
        }
    }

    /// Reads the statements anew: a rotation may bring some to count and others to lapse.
    fn count_again(&mut self) {
        let (mut managers, mut orders) = (BTreeMap::new(), BTreeMap::new());
        for said in self.said.values() {
            match &said.statement {
                Statement::Certify(signed) => {
                    let serial = signed.serial();
                    let certificate = self.certified.get(&serial);
                    if self.roots.speaks(&said.signers, &serial.0)
                        && let Some(certificate) = certificate
                    {
                        managers.insert(serial, certificate.clone());
                    }
                }
                Statement::Order(order) => {
                    let id = order.id();
                    if self.roots.speaks(&said.signers, &id.0.0)
                        && let Ok(verdict) = order.decode()
                    {
                        orders.insert(id, verdict);
                    }
                }
                Statement::Rotate(_) => {}
            }
        }
        (self.managers, self.orders) = (managers, orders);
    }

    /// Reads what a trust entry brings that counts by itself, before anybody knows its author.
    pub fn take_carried(&mut self, entry: &Entry) -> bool {
        statement_of(entry).is_some_and(|statement| self.take_statement(&statement))
    }

    /// Notes that an entry was appended: what the root says in it is remembered from here on, even
    /// where the root document that signed it is still to come.
    pub fn take_carrier(&mut self, entry: &Entry, link: LinkId) {
        let Some(statement) = statement_of(entry) else {
            return;
        };
        let place = (entry.header.number, entry.hash);
        let carrier = (entry.header.ledger, link);
        let waiting = Waiting { statement, carrier };
        self.note_carrier(entry.header.ledger.author, place, waiting);
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
        self.certified
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

/// How a statement is named: by what it says, whoever signed it beside the root. None where it can
/// never count.
fn name_of(statement: &Statement) -> Option<StatementName> {
    match statement {
        Statement::Rotate(next) => {
            let document: RootDocument = codec::decode(&next.bytes).ok()?;
            codec::fits(next).then(|| (document.number, Hash::of(&next.bytes)))
        }
        Statement::Certify(signed) => {
            let certificate = signed.decode().ok()?;
            let may_count = codec::fits(signed)
                && certificate.rank == Rank::Manager
                && matches!(certificate.issuer, Issuer::Root(_));
            may_count.then(|| (u32::MAX - 1, Hash::of(&signed.bytes)))
        }
        Statement::Order(order) => {
            order.decode().ok()?;
            // A later root may say again what an earlier one said: then it counts as long as either.
            let mut named = order.bytes.to_vec();
            named.extend_from_slice(&order.root.to_le_bytes());
            Some((u32::MAX, Hash::of(&named)))
        }
    }
}

fn statement_of(entry: &Entry) -> Option<Statement> {
    if entry.header.kind.code != EntryKind::STATEMENT.code {
        return None;
    }
    codec::decode(content(entry)?).ok()
}
