//! A fleet on paper: a root, managers with chosen clocks and branches, and what they write.

use std::collections::BTreeMap;
use std::sync::Arc;

use regatta_protocol::catalog::{Revision, RevisionId};
use regatta_protocol::clock::Stamp;
use regatta_protocol::codec::{self, Bytes, Name};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::crypto::sign::{Context, PublicKey, Sign, Signature, Verify};
use regatta_protocol::ident::{FleetId, Hash, Incarnation, NodeId, Serial};
use regatta_protocol::ledger::chain::Head;
use regatta_protocol::ledger::entry::{
    BodyRef, CODEC_BINCODE, Entry, EntryKind, Header, LedgerId, LedgerKind, SCHEME_ED25519,
};
use regatta_protocol::ledger::holdings::{Holdings, Offered};
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::limits::DAY_MS;
use regatta_protocol::machine::Millis;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::certificate::{
    Capability, Certificate, Grant, Issuer, KeySignature, NodeKeys, Rank, SignedCertificate, Window,
};
use regatta_protocol::trust::record::{Record, verdict_id};
use regatta_protocol::trust::root::{KeySet, RootChain, RootDocument, SignedRoot};
use regatta_protocol::trust::statement::{SignedOrder, Statement};
use regatta_protocol::trust::verdict::{
    JudgedLedger, Ruling, Subject, Verdict, VerdictId, Verdicts,
};

/// A signature that anybody could make, for orders by the million.
#[derive(Clone, Copy, Debug)]
pub struct Cheap;

impl Verify for Cheap {
    fn verify(
        &self,
        key: &PublicKey,
        context: Context,
        fleet: &FleetId,
        message: &[u8],
        signature: &Signature,
    ) -> bool {
        *signature == CheapKey(*key).sign(context, fleet, message)
    }
}

/// See [`Cheap`].
#[derive(Clone, Copy, Debug)]
pub struct CheapKey(pub PublicKey);

impl Sign for CheapKey {
    fn public(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, context: Context, fleet: &FleetId, message: &[u8]) -> Signature {
        let mut bytes = context.preimage(fleet, message);
        bytes.extend_from_slice(&self.0.0.0);
        Signature(Hash::of(&bytes), self.0.0)
    }
}

/// A cheap key by number.
pub fn cheap(number: u8) -> Arc<dyn Sign> {
    Arc::new(CheapKey(PublicKey(Hash([number; 32]))))
}

/// The cheap key behind a public one.
pub fn cheap_of(key: PublicKey) -> Arc<dyn Sign> {
    Arc::new(CheapKey(key))
}

/// The beginning of a day.
pub fn day(number: u64) -> Millis {
    Millis(1_800_000_000_000 + number * DAY_MS)
}

/// A name.
pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// A root, and how its fleet checks signatures.
#[derive(Clone, Debug)]
pub struct Fixture {
    pub fleet: FleetId,
    pub first: SignedRoot,
    pub root: RootKeys,
    pub verify: Arc<dyn Verify>,
}

/// The root's keys of today and the set that it committed to.
#[derive(Clone, Debug)]
pub struct RootKeys {
    pub number: u32,
    pub hash: Hash,
    pub keys: Vec<Arc<dyn Sign>>,
    pub threshold: u8,
    pub next: Vec<Arc<dyn Sign>>,
}

pub fn set(keys: &[Arc<dyn Sign>], threshold: u8) -> KeySet {
    KeySet {
        keys: keys.iter().map(|key| key.public()).collect(),
        threshold,
    }
}

pub fn signatures(
    keys: &[Arc<dyn Sign>],
    context: Context,
    fleet: &FleetId,
    bytes: &[u8],
) -> Vec<KeySignature> {
    let signed = keys.iter().zip(0_u8..).map(|(key, index)| KeySignature {
        key: index,
        signature: key.sign(context, fleet, bytes),
    });
    signed.collect()
}

impl Fixture {
    /// A fleet with one cheap root key.
    pub fn new() -> Self {
        Self::with(Arc::new(Cheap), vec![cheap(200)], 1, vec![cheap(201)])
    }

    pub fn with(
        verify: Arc<dyn Verify>,
        keys: Vec<Arc<dyn Sign>>,
        threshold: u8,
        next: Vec<Arc<dyn Sign>>,
    ) -> Self {
        let document = RootDocument {
            number: 1,
            previous: Hash::ZERO,
            name: name("regatta"),
            created: day(0),
            keys: set(&keys, threshold),
            next: set(&next, threshold).commitment(),
            keeps: Vec::new(),
        };
        let bytes = Bytes::from(codec::encode(&document));
        let first = SignedRoot {
            own: signatures(&keys, Context::Root, &FleetId::ZERO, &bytes),
            before: Vec::new(),
            bytes,
        };
        let root = RootKeys {
            number: 1,
            hash: Hash::of(&first.bytes),
            keys,
            threshold,
            next,
        };
        let fleet = RootChain::fleet_of(&first);
        Self {
            fleet,
            first,
            root,
            verify,
        }
    }

    /// Nothing held but the root.
    pub fn holdings(&self) -> Holdings {
        let record = Record::begin(self.fleet, self.first.clone(), Arc::clone(&self.verify));
        Holdings::new(record.expect("the pinned root"))
    }

    /// The root rotates to the set that it committed to.
    pub fn rotate(&mut self, after: Vec<Arc<dyn Sign>>, keeps: &[&Statement]) -> Statement {
        let before = self.root.clone();
        let document = RootDocument {
            number: before.number + 1,
            previous: before.hash,
            name: name("regatta"),
            created: day(1),
            keys: set(&before.next, before.threshold),
            next: set(&after, before.threshold).commitment(),
            keeps: keeps.iter().map(|kept| half_of(kept)).collect(),
        };
        let bytes = Bytes::from(codec::encode(&document));
        let signed = SignedRoot {
            own: signatures(&before.next, Context::Root, &self.fleet, &bytes),
            before: signatures(&before.keys, Context::Root, &self.fleet, &bytes),
            bytes,
        };
        self.root = RootKeys {
            number: document.number,
            hash: Hash::of(&signed.bytes),
            keys: before.next,
            threshold: before.threshold,
            next: after,
        };
        Statement::Rotate(signed)
    }

    /// A manager's certificate, all capabilities, valid over these days; gives its hand too.
    pub fn manager(&self, number: u8, days: (u64, u64)) -> (Hand, Statement) {
        self.manager_with(number, cheap(number), days, every_grant())
    }

    pub fn manager_with(
        &self,
        number: u8,
        key: Arc<dyn Sign>,
        days: (u64, u64),
        grants: Vec<Grant>,
    ) -> (Hand, Statement) {
        let certificate = Certificate {
            issuer: Issuer::Root(self.root.number),
            node: NodeId([number; 16]),
            name: name(&format!("m{number}")),
            rank: Rank::Manager,
            keys: NodeKeys {
                sign: key.public(),
                seal: BoxKey(Hash([number; 32])),
            },
            labels: Labels::none(),
            grants,
            window: Window {
                from: day(days.0),
                to: day(days.1),
            },
        };
        let bytes = Bytes::from(codec::encode(&certificate));
        let signed = SignedCertificate {
            signatures: signatures(&self.root.keys, Context::Certificate, &self.fleet, &bytes),
            bytes,
        };
        let hand = Hand {
            fleet: self.fleet,
            node: certificate.node,
            serial: signed.serial(),
            key,
            incarnation: u64::from(number) << 32,
            heads: BTreeMap::new(),
        };
        (hand, Statement::Certify(signed))
    }

    /// The root judges somebody.
    pub fn order(&self, verdict: &Verdict) -> Statement {
        let bytes = Bytes::from(codec::encode(verdict));
        Statement::Order(SignedOrder {
            root: self.root.number,
            signatures: signatures(&self.root.keys, Context::Statement, &self.fleet, &bytes),
            bytes,
        })
    }
}

pub fn every_grant() -> Vec<Grant> {
    use Capability as C;
    let most = [C::ConfigWrite, C::Stop, C::DeviceEnrol, C::Delegate];
    let all = most.into_iter().chain([C::Time, C::Hold, C::ExecRun]);
    all.map(Grant::everywhere).collect()
}

/// The name by which a later root keeps a statement.
pub fn half_of(statement: &Statement) -> [u8; 16] {
    match statement {
        Statement::Rotate(signed) => Hash::of(&signed.bytes).half(),
        Statement::Certify(signed) => signed.serial().0,
        Statement::Order(order) => order.id().0.0,
    }
}

/// Somebody with a key, and where he stands in each of his ledgers; a clone is a thief or a backup.
#[derive(Clone, Debug)]
pub struct Hand {
    pub fleet: FleetId,
    pub node: NodeId,
    pub serial: Serial,
    pub key: Arc<dyn Sign>,
    pub incarnation: u64,
    pub heads: BTreeMap<LedgerId, Head>,
}

impl Hand {
    /// The process starts again: a new incarnation.
    pub fn restart(&mut self, salt: u64) {
        self.incarnation = self.incarnation.wrapping_mul(31).wrapping_add(salt + 1);
    }

    pub fn ledger(&self, kind: LedgerKind) -> LedgerId {
        LedgerId {
            kind,
            scope: None,
            author: self.node,
        }
    }

    pub fn head(&self, kind: LedgerKind) -> Head {
        self.heads[&self.ledger(kind)]
    }

    pub fn subject(&self) -> Subject {
        Subject::Holder {
            serial: self.serial,
            node: self.node,
        }
    }

    /// The heads of these ledgers, as they are said in a verdict.
    pub fn seen(&self, kinds: &[LedgerKind]) -> Vec<JudgedLedger> {
        let held = kinds
            .iter()
            .filter(|kind| self.heads.contains_key(&self.ledger(**kind)));
        held.map(|kind| JudgedLedger {
            kind: *kind,
            scope: None,
            heads: vec![self.head(*kind)],
        })
        .collect()
    }

    pub fn write(
        &mut self,
        to: LedgerKind,
        kind: EntryKind,
        content: Vec<u8>,
        at: Millis,
    ) -> Entry {
        self.append(self.ledger(to), kind, content, (at, None))
    }

    /// Writes a revision into the ledger for one device alone.
    pub fn write_scoped(&mut self, device: NodeId, content: Vec<u8>, at: Millis) -> Entry {
        let ledger = LedgerId {
            scope: Some(device),
            ..self.ledger(LedgerKind::Fleet)
        };
        self.append(ledger, EntryKind::REVISION, content, (at, None))
    }

    /// Writes what a steward drafted.
    pub fn draft(&mut self, draft: &Draft, at: Millis) -> Entry {
        let content = draft.carried.as_ref().unwrap_or(&draft.payload).to_vec();
        self.write(draft.ledger, draft.kind, content, at)
    }

    fn append(
        &mut self,
        ledger: LedgerId,
        kind: EntryKind,
        content: Vec<u8>,
        (at, expires): (Millis, Option<Millis>),
    ) -> Entry {
        let before = self.heads.get(&ledger);
        let (payload, body) = if content.len() <= 600 {
            (content, None)
        } else {
            (Vec::new(), Some(Bytes::from(content)))
        };
        let header = Header {
            ledger,
            signer: self.serial,
            incarnation: Incarnation(self.incarnation.to_le_bytes()),
            number: before.map_or(1, |head| head.number + 1),
            previous: before.map_or(Hash::ZERO, |head| head.hash),
            stamp: Stamp::at(at),
            kind,
            expires,
            codec: CODEC_BINCODE,
            scheme: SCHEME_ED25519,
            body: body.as_ref().map(|bytes| BodyRef {
                hash: Hash::of(bytes),
                bytes: bytes.len() as u64,
                carried: true,
            }),
            payload: payload.into(),
        };
        let entry = Entry::write(&header, body, &self.fleet, self.key.as_ref()).expect("sound");
        let head = Head {
            number: header.number,
            incarnation: header.incarnation,
            hash: entry.hash,
        };
        self.heads.insert(ledger, head);
        entry
    }

    /// Carries what the root says.
    pub fn carry(&mut self, statement: &Statement, at: Millis) -> Entry {
        let content = codec::encode(statement);
        self.write(LedgerKind::Trust, EntryKind::STATEMENT, content, at)
    }

    /// Writes a verdict alone in an entry.
    pub fn judge(&mut self, verdict: Verdict, at: Millis) -> Entry {
        let content = codec::encode(&Verdicts(vec![verdict]));
        self.write(LedgerKind::Trust, EntryKind::VERDICT, content, at)
    }

    /// Testifies of a peer's trust and fleet heads.
    pub fn testify(&mut self, of: &Self, at: Millis) -> Entry {
        let ledgers = of.seen(&[LedgerKind::Trust, LedgerKind::Fleet]);
        self.judge(good(of.subject(), ledgers), at)
    }

    /// Writes a revision.
    pub fn revise(&mut self, document: &str, replaces: &[RevisionId], at: Millis) -> Entry {
        let content = Self::revision(document, replaces);
        self.write(LedgerKind::Fleet, EntryKind::REVISION, content, at)
    }

    /// Writes a revision that expires.
    pub fn revise_until(
        &mut self,
        document: &str,
        replaces: &[RevisionId],
        at: Millis,
        expires: Millis,
    ) -> Entry {
        let content = Self::revision(document, replaces);
        let ledger = self.ledger(LedgerKind::Fleet);
        self.append(ledger, EntryKind::REVISION, content, (at, Some(expires)))
    }

    fn revision(document: &str, replaces: &[RevisionId]) -> Vec<u8> {
        codec::encode(&Revision {
            kind: 1,
            name: name(document),
            replaces: replaces.to_vec(),
            select: Selector::everything(),
            deletes: false,
            version: 1,
            staged: false,
            body: None,
        })
    }
}

pub fn good(subject: Subject, ledgers: Vec<JudgedLedger>) -> Verdict {
    Verdict {
        subject,
        ruling: Ruling::Good,
        ledgers,
        replaces: Vec::new(),
        until: None,
        reason: String::new(),
    }
}

pub fn stopped(subject: Subject, ledgers: Vec<JudgedLedger>) -> Verdict {
    Verdict {
        ruling: Ruling::Stopped,
        ..good(subject, ledgers)
    }
}

/// A device as a subject.
pub fn device(number: u8) -> Subject {
    Subject::Holder {
        serial: Serial([number; 16]),
        node: NodeId([number; 16]),
    }
}

/// The name of an entry's first revision.
pub fn revision(entry: &Entry) -> RevisionId {
    RevisionId {
        entry: Serial(entry.hash.half()),
        place: 0,
    }
}

/// The name of an entry's first verdict.
pub fn verdict(entry: &Entry) -> VerdictId {
    verdict_id(&entry.hash, 0)
}

/// Offers entries again and again until nothing new is taken, as replication does; what the root
/// says is taken from entries that are not.
pub fn deliver<'a>(holdings: &mut Holdings, entries: impl IntoIterator<Item = &'a Entry>) {
    let mut open: Vec<&Entry> = entries.into_iter().collect();
    loop {
        let taken = |holdings: &Holdings| holdings.record().statements().count();
        let before = (open.len(), taken(holdings));
        open.retain(|entry| {
            !matches!(
                holdings.offer(entry),
                Offered::Added { .. } | Offered::Duplicate
            )
        });
        if open.is_empty() || before == (open.len(), taken(holdings)) {
            return;
        }
    }
}
