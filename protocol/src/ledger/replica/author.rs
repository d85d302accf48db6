//! Writing: incarnations that never issue a number twice, stamps that follow what was seen.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use thiserror::Error;

use crate::clock::Stamp;
use crate::clock::reference::{SignedTime, TimeClaim};
use crate::codec::Bytes;
use crate::crypto::sign::Sign;
use crate::ident::{Hash, Incarnation, NodeId, Serial};
use crate::ledger::chain::{Chain, Head};
use crate::ledger::entry::{
    BodyRef, CODEC_BINCODE, Entry, EntryError, EntryKind, Header, LedgerId, LedgerKind,
    SCHEME_ED25519, body_hash,
};
use crate::ledger::holdings::Offered;
use crate::ledger::message::Message;
use crate::ledger::replica::{Effect, Replica, Role};
use crate::limits::HOLD_AHEAD_MS;
use crate::machine::Millis;

/// Who a replica writes as.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The node.
    pub node: NodeId,
    /// Its role.
    pub role: Role,
    /// Its certificate.
    pub serial: Serial,
    /// Signs with the certificate's key.
    pub signer: Arc<dyn Sign>,
    /// When the certificate became valid: it cannot be earlier than that.
    pub not_before: Millis,
    /// Whether it may say what time it is.
    pub tells_time: bool,
    /// Whether it was granted to carry what is scoped to others.
    pub carries: bool,
}

/// Something to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The writer's own number for it, to know it by in the answer.
    pub id: u64,
    /// Into which of the own ledgers.
    pub ledger: LedgerKind,
    /// For which device alone.
    pub scope: Option<NodeId>,
    /// What kind of thing it says.
    pub kind: EntryKind,
    /// When it stops meaning anything.
    pub expires: Option<Millis>,
    /// What it says.
    pub payload: Bytes,
    /// The body that goes wherever the entry goes, where there is one.
    pub carried: Option<Bytes>,
    /// A body that goes only to those who may read it, by reference.
    pub body: Option<BodyRef>,
    /// The same in bytes, where it is short enough to ride along to them.
    pub riding: Option<Bytes>,
}

impl Draft {
    /// A draft whose content is its payload alone.
    #[must_use]
    pub fn new(id: u64, ledger: LedgerKind, kind: EntryKind, payload: Vec<u8>) -> Self {
        Self {
            id,
            ledger,
            scope: None,
            kind,
            expires: None,
            payload: payload.into(),
            carried: None,
            body: None,
            riding: None,
        }
    }

    /// A draft whose content goes into the payload where it fits, else into a carried body.
    #[must_use]
    pub fn fitting(id: u64, ledger: LedgerKind, kind: EntryKind, content: Vec<u8>) -> Self {
        const PAYLOAD_BYTES_MAX: usize = 640;
        if content.len() <= PAYLOAD_BYTES_MAX {
            return Self::new(id, ledger, kind, content);
        }
        let carried = Some(Bytes::from(content));
        Self {
            carried,
            ..Self::new(id, ledger, kind, Vec::new())
        }
    }
}

/// Why an own entry was not written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Only managers write what is gossiped.
    #[error("only managers write to the fleet's ledgers")]
    NotAManager,
    /// The store is empty although this node has written before: its ledgers must come back first.
    #[error("this node lost its ledgers; it writes again once a peer has given them back")]
    Rebuilding,
    /// The draft breaks a rule.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The own certificate is not known, so nobody could check the signature.
    #[error("this node's own certificate is not held yet")]
    Uncertified,
    /// The own ledger is full of what an order refuses, or forked without end.
    #[error("this node's ledger does not take the entry: {0}")]
    Ledger(&'static str),
}

/// What a replica remembers of its own writing.
#[derive(Clone, Debug)]
pub struct Author {
    incarnation: Option<Incarnation>,
    /// The last entry of this incarnation in each ledger.
    heads: BTreeMap<LedgerId, Head>,
    last: Stamp,
    /// Whether what this node wrote before is surely held.
    whole: bool,
    time: Option<SignedTime>,
    /// Own entries, and the managers that hold them beside this one; the latest ones.
    copies: BTreeMap<Hash, Vec<NodeId>>,
    /// The same, the oldest first.
    counted: VecDeque<Hash>,
}

/// Own entries of which the copies are counted.
const COUNTED_MAX: usize = 1024;
/// How often a signed time is made anew.
const TIME_EVERY_MS: u64 = 10_000;

impl Author {
    /// Whether what this node wrote before is surely held.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(super) fn new(whole: bool) -> Self {
        Self {
            incarnation: None,
            heads: BTreeMap::new(),
            last: Stamp::default(),
            whole,
            time: None,
            copies: BTreeMap::new(),
            counted: VecDeque::new(),
        }
    }

    /// The key or certificate changed: the next write opens a new incarnation.
    pub(super) fn begin_again(&mut self) {
        self.incarnation = None;
        self.heads.clear();
        self.time = None;
    }

    pub(super) fn is_current(&self, incarnation: Incarnation) -> bool {
        self.incarnation == Some(incarnation)
    }

    /// Everything that a peer holds is held here.
    pub(super) fn agreed_with_a_peer(&mut self) {
        self.whole = true;
    }

    /// The next stamp: after everything seen, unless that lies too far ahead to have effect.
    fn stamp(&mut self, reference: Millis) -> Stamp {
        let ahead = self.last.wall > reference.plus(HOLD_AHEAD_MS);
        let stamp = if ahead {
            Stamp::at(reference)
        } else {
            self.last.next(reference)
        };
        self.last = stamp;
        stamp
    }
}

impl Replica {
    pub(super) fn on_write(&mut self, now: Millis, draft: Draft, out: &mut Vec<Effect>) {
        let id = draft.id;
        match self.write(now, draft, out) {
            Ok(entry) => {
                let hash = entry.hash;
                out.push(Effect::Written {
                    draft: id,
                    entry: hash,
                });
                self.settle(now, out);
                self.spread(now, &[entry], 0, None, out);
            }
            Err(refusal) => out.push(Effect::Refused { draft: id, refusal }),
        }
    }

    fn write(
        &mut self,
        now: Millis,
        draft: Draft,
        out: &mut Vec<Effect>,
    ) -> Result<Arc<Entry>, Refusal> {
        if self.me.role != Role::Manager {
            return Err(Refusal::NotAManager);
        }
        if !self.author.whole {
            return Err(Refusal::Rebuilding);
        }
        let ledger = LedgerId {
            kind: draft.ledger,
            scope: draft.scope,
            author: self.me.node,
        };
        let incarnation = self.incarnation();
        let before = self.before(&ledger);
        let reference = self.reference(now);
        let body = draft.carried.as_ref().map(|bytes| BodyRef {
            hash: Hash::of(bytes),
            bytes: bytes.len() as u64,
            carried: true,
        });
        let riding = draft.riding.as_ref().map(|bytes| BodyRef {
            hash: body_hash(bytes, false),
            bytes: bytes.len() as u64,
            carried: false,
        });
        let header = Header {
            ledger,
            signer: self.me.serial,
            incarnation,
            number: before.map_or(1, |head| head.number + 1),
            previous: before.map_or(Hash::ZERO, |head| head.hash),
            stamp: self.author.stamp(reference),
            kind: draft.kind,
            expires: draft.expires,
            codec: CODEC_BINCODE,
            scheme: SCHEME_ED25519,
            body: body.or(riding).or(draft.body),
            payload: draft.payload,
        };
        let fleet = self.holdings.record().fleet();
        let entry = Entry::write(
            &header,
            draft.carried.or(draft.riding),
            &fleet,
            self.me.signer.as_ref(),
        )?;
        match self.holdings.offer(&entry) {
            Offered::Added { .. } => {}
            Offered::UnknownSigner => return Err(Refusal::Uncertified),
            Offered::Saturated => return Err(Refusal::Ledger("it is full")),
            _ => return Err(Refusal::Ledger("it does not follow what is held")),
        }
        let head = Head {
            number: header.number,
            incarnation,
            hash: entry.hash,
        };
        self.author.heads.insert(ledger, head);
        self.count_copies(entry.hash);
        let entry = Arc::new(entry);
        out.push(Effect::Store(Arc::clone(&entry)));
        Ok(entry)
    }

    fn incarnation(&mut self) -> Incarnation {
        let drawn = Incarnation(self.prng.bytes());
        *self.author.incarnation.get_or_insert(drawn)
    }

    /// What the next own entry follows: the last one of this incarnation; in a new one the last
    /// that this key wrote, else the furthest that counts.
    fn before(&self, ledger: &LedgerId) -> Option<Head> {
        if let Some(head) = self.author.heads.get(ledger) {
            return Some(*head);
        }
        let chain = self.holdings.chains().get(ledger)?;
        let key = self.me.signer.public();
        let own_leaf = furthest(chain, |head| {
            chain
                .find(&head.hash)
                .is_some_and(|link| chain.signer(link).key == key)
        });
        own_leaf.or_else(|| {
            chain
                .links()
                .filter(|(link, _)| self.holdings.counts(ledger, *link))
                .map(|(link, _)| chain.head(link))
                .max_by_key(|head| (head.number, head.hash))
        })
    }

    /// Stamps that are seen move the own clock, those from the future never do.
    pub(super) fn see_stamp(&mut self, now: Millis, stamp: Stamp) {
        if stamp > self.author.last && !crate::trust::fold::is_held(stamp.wall, self.reference(now))
        {
            self.author.last = stamp;
        }
    }

    /// The node's own word on the time, where it may give one.
    pub(super) fn sign_time(&mut self, now: Millis) -> Option<SignedTime> {
        if !self.me.tells_time {
            return None;
        }
        let at = self.time.own(now);
        let claim = TimeClaim {
            by: self.me.node,
            serial: self.me.serial,
            at,
        };
        // A clock outside the own certificate is none: nobody takes its word, nor may this node.
        self.teller(&claim)?;
        let recent = self
            .author
            .time
            .filter(|time| at >= time.claim.at && at.since(time.claim.at) < TIME_EVERY_MS);
        if recent.is_some() {
            return recent;
        }
        let fleet = self.holdings.record().fleet();
        let time = SignedTime::sign(claim, &fleet, self.me.signer.as_ref());
        self.author.time = Some(time);
        Some(time)
    }

    fn count_copies(&mut self, entry: Hash) {
        if self.author.counted.len() >= COUNTED_MAX
            && let Some(oldest) = self.author.counted.pop_front()
        {
            self.author.copies.remove(&oldest);
        }
        self.author.counted.push_back(entry);
        self.author.copies.insert(entry, Vec::new());
    }

    /// Another manager says that it holds entries of this one.
    pub(super) fn on_stored(&mut self, from: NodeId, entries: &[Hash], out: &mut Vec<Effect>) {
        let is_manager = self
            .peers
            .get(&from)
            .is_some_and(|peer| peer.info.role == Role::Manager);
        for entry in entries.iter().filter(|_| is_manager).take(COUNTED_MAX) {
            let Some(holders) = self.author.copies.get_mut(entry) else {
                continue;
            };
            if !holders.contains(&from) {
                holders.push(from);
                let copies = holders.len() + 1;
                out.push(Effect::Replicated {
                    entry: *entry,
                    by: from,
                    copies,
                });
            }
        }
    }

    /// To the author of entries that were pushed: they are stored here.
    pub(super) fn acknowledge(&self, to: NodeId, fresh: &[Arc<Entry>], out: &mut Vec<Effect>) {
        if self.me.role != Role::Manager {
            return;
        }
        let stored: Vec<Hash> = fresh
            .iter()
            .filter(|entry| entry.header.ledger.author == to)
            .map(|entry| entry.hash)
            .collect();
        if !stored.is_empty() {
            out.push(Effect::Send {
                to: vec![to],
                message: Message::Stored(stored),
            });
        }
    }
}

fn furthest(chain: &Chain, of: impl Fn(&Head) -> bool) -> Option<Head> {
    chain
        .leaves()
        .filter(of)
        .max_by_key(|head| (head.number, head.hash))
}
