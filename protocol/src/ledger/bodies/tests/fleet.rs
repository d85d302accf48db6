//! A fleet on paper: a root, a manager that writes, devices with labels, and who holds which keys.

use std::sync::Arc;

use crate::clock::Stamp;
use crate::codec::{self, Bytes, Name};
use crate::crypto::seal::BoxSecret;
use crate::crypto::sign::{Context, Ed25519, SecretKey, Sign};
use crate::ident::{FleetId, Hash, Incarnation, NodeId};
use crate::ledger::bodies::Requester;
use crate::ledger::bodies::library::Shelf;
use crate::ledger::bodies::tree::root_of;
use crate::ledger::entry::{
    BodyRef, CODEC_BINCODE, Entry, EntryKind, Header, LedgerId, LedgerKind, SCHEME_ED25519,
};
use crate::ledger::holdings::Holdings;
use crate::limits::DAY_MS;
use crate::machine::Millis;
use crate::prng::Prng;
use crate::selector::{Labels, Selector};
use crate::trust::authority::Credentials;
use crate::trust::certificate::{
    Capability, Certificate, Grant, Issuer, KeySignature, NodeKeys, Rank, SignedCertificate, Window,
};
use crate::trust::record::Record;
use crate::trust::root::{KeySet, RootChain, RootDocument, SignedRoot};
use crate::trust::statement::Statement;

pub const TODAY: Millis = Millis(1_800_000_000_000);

pub fn name(text: &str) -> Name {
    Name::new(text).expect("tests use good names")
}

fn signed(key: &SecretKey, fleet: &FleetId, context: Context, bytes: &[u8]) -> Vec<KeySignature> {
    let signature = key.sign(context, fleet, bytes);
    vec![KeySignature { key: 0, signature }]
}

/// Somebody with a certificate and the keys in it.
#[derive(Debug, Clone)]
pub struct Member {
    pub certificate: Certificate,
    pub signed: SignedCertificate,
    pub key: Arc<SecretKey>,
    pub secret: Arc<BoxSecret>,
}

impl Member {
    pub fn requester(&self) -> Requester {
        Requester {
            node: self.certificate.node,
            certificates: vec![self.signed.clone()],
            signer: Arc::<SecretKey>::clone(&self.key),
            secret: Arc::<BoxSecret>::clone(&self.secret),
        }
    }
}

/// Everything that every node knows.
#[derive(Debug)]
pub struct Fleet {
    pub id: FleetId,
    pub holdings: Holdings,
    pub shelf: Shelf,
    pub manager: Member,
    root: SecretKey,
    prng: Prng,
    last: (u64, Hash),
}

impl Fleet {
    pub fn new(seed: u64) -> Self {
        let mut prng = Prng::from_number(seed);
        let root = SecretKey::generate(&mut prng);
        let document = RootDocument {
            number: 1,
            previous: Hash::ZERO,
            name: name("lagoon"),
            created: Millis(0),
            keys: KeySet::single(root.public()),
            next: Hash::ZERO,
            keeps: Vec::new(),
        };
        let bytes = Bytes::from(codec::encode(&document));
        let first = SignedRoot {
            own: signed(&root, &FleetId::ZERO, Context::Root, &bytes),
            bytes,
            before: Vec::new(),
        };
        let id = RootChain::fleet_of(&first);
        let record = Record::begin(id, first, Arc::new(Ed25519)).expect("the root is sound");
        let grants = [
            Capability::ConfigWrite,
            Capability::DeviceEnrol,
            Capability::Delegate,
        ];
        let grants = grants.map(Grant::everywhere).to_vec();
        let draft = Draft::new(Rank::Manager, 200, "", grants);
        let manager = draft.certify(&id, Issuer::Root(1), &root, &mut prng);
        let mut holdings = Holdings::new(record);
        holdings.take_statement(&Statement::Certify(manager.signed.clone()));
        holdings.settle(TODAY);
        Self {
            id,
            holdings,
            shelf: Shelf::default(),
            manager,
            root,
            prng,
            last: (0, Hash::ZERO),
        }
    }

    /// A device with the label `site`.
    pub fn device(&mut self, number: u8, site: &str) -> Member {
        self.issue(Draft::new(Rank::Device, number, site, Vec::new()))
    }

    /// Whatever a manager signs.
    pub fn issue(&mut self, draft: Draft) -> Member {
        let issuer = Issuer::Certificate(self.manager.signed.serial());
        let key = Arc::clone(&self.manager.key);
        draft.certify(&self.id, issuer, &key, &mut self.prng)
    }

    /// A further manager, which everybody knows.
    pub fn another_manager(&mut self, number: u8, grants: Vec<Grant>) -> Member {
        let draft = Draft::new(Rank::Manager, number, "", grants);
        let member = draft.certify(&self.id, Issuer::Root(1), &self.root, &mut self.prng);
        let statement = Statement::Certify(member.signed.clone());
        self.holdings.take_statement(&statement);
        self.holdings.settle(TODAY);
        member
    }

    pub fn credentials(&self, member: &Member) -> Credentials {
        let presented = [member.signed.clone()];
        crate::trust::authority::recognise(self.holdings.record(), &presented)
            .expect("the member is known")
    }

    /// The manager publishes a document whose body is for those that a selector names.
    pub fn publish(&mut self, body: &[u8], select: &str, scope: Option<NodeId>) -> Hash {
        self.write(body, select, scope, None)
            .header
            .body
            .map_or(Hash::ZERO, |body| body.hash)
    }

    pub fn write(
        &mut self,
        body: &[u8],
        select: &str,
        scope: Option<NodeId>,
        expires: Option<Millis>,
    ) -> Entry {
        let revision = crate::catalog::Revision {
            kind: 1,
            name: name("rigging"),
            replaces: Vec::new(),
            select: Selector::parse(select).expect("tests use good selectors"),
            deletes: false,
            version: 1,
            staged: false,
            body: None,
        };
        // One ledger for each scope; tests write at most one scoped entry.
        let (number, previous) = if scope.is_some() {
            (0, Hash::ZERO)
        } else {
            self.last
        };
        let header = Header {
            ledger: LedgerId {
                kind: LedgerKind::Fleet,
                scope,
                author: self.manager.certificate.node,
            },
            signer: self.manager.signed.serial(),
            incarnation: Incarnation([1; 8]),
            number: number + 1,
            previous,
            stamp: Stamp::at(TODAY),
            kind: EntryKind::REVISION,
            expires,
            codec: CODEC_BINCODE,
            scheme: SCHEME_ED25519,
            body: Some(BodyRef {
                hash: root_of(body),
                bytes: body.len() as u64,
                carried: false,
            }),
            payload: Bytes::from(codec::encode(&revision)),
        };
        let entry = Entry::write(&header, None, &self.id, self.manager.key.as_ref())
            .expect("the header is sound");
        if scope.is_none() {
            self.last = (header.number, entry.hash);
        }
        self.holdings.offer(&entry);
        self.holdings.settle(TODAY);
        self.shelf.take(&entry);
        entry
    }
}

/// A certificate to be.
#[derive(Debug)]
pub struct Draft {
    pub rank: Rank,
    pub number: u8,
    pub site: String,
    pub grants: Vec<Grant>,
    pub window: Window,
}

impl Draft {
    pub fn new(rank: Rank, number: u8, site: &str, grants: Vec<Grant>) -> Self {
        Self {
            rank,
            number,
            site: site.to_owned(),
            grants,
            window: Window {
                from: Millis(TODAY.0 - DAY_MS),
                to: TODAY.plus(20 * DAY_MS),
            },
        }
    }

    fn certify(self, fleet: &FleetId, issuer: Issuer, by: &SecretKey, prng: &mut Prng) -> Member {
        let key = Arc::new(SecretKey::generate(prng));
        let secret = Arc::new(BoxSecret::generate(prng));
        let mut labels = Labels::none();
        if !self.site.is_empty() {
            let site = labels.insert(name("site"), name(&self.site));
            site.expect("tests use good labels");
        }
        let certificate = Certificate {
            issuer,
            node: NodeId([self.number; 16]),
            name: name(&format!("boat-{}", self.number)),
            rank: self.rank,
            keys: NodeKeys {
                sign: key.public(),
                seal: secret.public(),
            },
            labels,
            grants: self.grants,
            window: self.window,
        };
        let bytes = Bytes::from(codec::encode(&certificate));
        let signatures = signed(by, fleet, Context::Certificate, &bytes);
        let signed = SignedCertificate { bytes, signatures };
        Member {
            certificate,
            signed,
            key,
            secret,
        }
    }
}
