//! One ledger as a tree of links: a chain where all is well, with branches where somebody was
//! restored from a backup or signs twice.
//!
//! Only the shape is kept here, 72 bytes an entry; the entries themselves lie in the store.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::crypto::sign::PublicKey;
use crate::ident::{Hash, Incarnation, Serial};
use crate::ledger::entry::Header;
use crate::limits::LEAVES_MAX;
use crate::machine::Millis;

/// Where a ledger stands on one branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Head {
    /// The entry's number.
    pub number: u64,
    /// The incarnation that wrote it.
    pub incarnation: Incarnation,
    /// The entry's hash.
    pub hash: Hash,
}

/// An entry's place in its chain; only meaningful with the chain that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(u32);

/// What is kept of an entry.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its hash.
    pub hash: Hash,
    /// Its number.
    pub number: u64,
    /// The incarnation that wrote it.
    pub incarnation: Incarnation,
    /// Its stamp's wall time.
    pub wall: Millis,
    parent: Option<LinkId>,
    signer: u16,
}

/// A certificate that signed entries of a ledger, with its key: one key is one hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The certificate.
    pub serial: Serial,
    /// Its key.
    pub key: PublicKey,
}

/// What became of an entry that was offered to a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is held now.
    Added {
        /// Its place.
        link: LinkId,
        /// Whether it is one of two that one hand should not both have signed.
        forked: bool,
        /// Whether it continues a head from below one that is known: a restored or cloned author.
        restored: bool,
    },
    /// It was held already.
    Duplicate,
    /// What stands before it is not held.
    Orphan,
    /// Its number or incarnation does not follow from what stands before it.
    Misnumbered,
    /// The ledger has more branches than anybody keeps, or this stands behind what is hidden.
    Saturated,
}

/// One ledger's shape.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    links: Vec<Link>,
    by_hash: BTreeMap<Hash, LinkId>,
    leaves: BTreeSet<LinkId>,
    signers: Vec<Signer>,
    /// Links that one hand signed beside another: each is a child of a fork.
    forked: BTreeSet<LinkId>,
    /// Where each incarnation begins: at one place, unless somebody forks.
    starts: BTreeMap<Incarnation, Vec<LinkId>>,
    /// Links that are held although nobody would take them any more: nothing follows from them.
    hidden: BTreeSet<LinkId>,
}

impl Chain {
    /// How many entries are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The link of a place.
    #[must_use]
    pub fn link(&self, id: LinkId) -> &Link {
        &self.links[id.0 as usize]
    }

    /// All links, in the order in which they came; a link comes after the one before it.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.links
            .iter()
            .enumerate()
            .map(|(index, link)| (LinkId(index as u32), link))
    }

    /// Where the entry of this hash stands, unless it is hidden.
    #[must_use]
    pub fn find(&self, hash: &Hash) -> Option<LinkId> {
        let link = self.by_hash.get(hash).copied();
        link.filter(|link| !self.hidden.contains(link))
    }

    /// Who signed a link.
    #[must_use]
    pub fn signer(&self, id: LinkId) -> &Signer {
        &self.signers[usize::from(self.link(id).signer)]
    }

    /// Everybody who signed here.
    #[must_use]
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// Links that one hand signed beside another.
    #[must_use]
    pub fn forked(&self) -> &BTreeSet<LinkId> {
        &self.forked
    }

    /// Whether it has more branches than anybody keeps, so that nodes may rightly differ in it.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        self.leaves.len() >= LEAVES_MAX
    }

    /// The head at a place.
    #[must_use]
    pub fn head(&self, id: LinkId) -> Head {
        let link = self.link(id);
        Head {
            number: link.number,
            incarnation: link.incarnation,
            hash: link.hash,
        }
    }

    /// The ends of all branches.
    pub fn leaves(&self) -> impl Iterator<Item = Head> + '_ {
        self.leaves.iter().map(|id| self.head(*id))
    }

    /// The leaf with the greatest number, by hash among equals.
    #[must_use]
    pub fn tip(&self) -> Option<Head> {
        self.leaves().max_by_key(|head| (head.number, head.hash))
    }

    /// Takes an entry whose signature holds.
    pub fn append(&mut self, header: &Header, hash: Hash, key: PublicKey) -> Appended {
        if self.by_hash.contains_key(&hash) {
            return Appended::Duplicate;
        }
        let parent = if header.previous == Hash::ZERO {
            None
        } else {
            match self.by_hash.get(&header.previous) {
                Some(parent) => Some(*parent),
                None => return Appended::Orphan,
            }
        };
        if !self.follows(header, parent) {
            return Appended::Misnumbered;
        }
        let grows_leaves = parent.is_none_or(|parent| !self.leaves.contains(&parent));
        let is_behind_hidden = parent.is_some_and(|parent| self.hidden.contains(&parent));
        if is_behind_hidden || (grows_leaves && self.leaves.len() >= LEAVES_MAX) {
            return Appended::Saturated;
        }
        let Some(signer) = self.signer_index(header.signer, key) else {
            return Appended::Saturated;
        };
        let id = self.push(header, hash, parent, signer);
        let is_first = self.leaves.is_empty();
        let forked = self.place(id);
        Appended::Added {
            link: id,
            forked,
            restored: grows_leaves && !is_first && !forked,
        }
    }

    /// An incarnation keeps its signer; numbers grow by one.
    fn follows(&self, header: &Header, parent: Option<LinkId>) -> bool {
        let Some(parent) = parent else {
            return header.number == 1;
        };
        let before = self.link(parent);
        let same_hand =
            before.incarnation != header.incarnation || self.signer(parent).serial == header.signer;
        before.number.checked_add(1) == Some(header.number) && same_hand
    }

    /// Lets a link take part: as a leaf, as a beginning, in forks. True where it is in one.
    fn place(&mut self, id: LinkId) -> bool {
        let rivals = self.rivals(id);
        if let Some(parent) = self.link(id).parent {
            self.leaves.remove(&parent);
        }
        self.leaves.insert(id);
        if self.starts_incarnation(id) {
            let incarnation = self.link(id).incarnation;
            self.starts.entry(incarnation).or_default().push(id);
        }
        let forked = !rivals.is_empty();
        if forked {
            self.forked.extend(rivals);
            self.forked.insert(id);
        }
        forked
    }

    fn starts_incarnation(&self, id: LinkId) -> bool {
        let link = self.link(id);
        link.parent
            .is_none_or(|parent| self.link(parent).incarnation != link.incarnation)
    }

    /// What the same hand signed in the place of this entry: another child of its incarnation,
    /// another claim to continue the same head, or the same incarnation begun elsewhere.
    fn rivals(&self, id: LinkId) -> Vec<LinkId> {
        let (parent, starts) = (self.link(id).parent, self.starts_incarnation(id));
        let is_rival =
            |other: &LinkId| *other != id && self.signer(*other).key == self.signer(id).key;
        let mut rivals: Vec<LinkId> = Vec::new();
        // A leaf has no children, so the search happens where a branch begins: a few times at most.
        if parent.is_none_or(|parent| !self.leaves.contains(&parent)) && !self.leaves.is_empty() {
            let siblings = self
                .links()
                .filter(|(_, link)| link.parent == parent)
                .map(|(other, _)| other)
                .filter(|other| !self.hidden.contains(other))
                .filter(|other| self.starts_incarnation(*other) == starts);
            rivals.extend(siblings.filter(is_rival));
        }
        if starts {
            let elsewhere = self.starts.get(&self.link(id).incarnation);
            rivals.extend(elsewhere.into_iter().flatten().copied().filter(is_rival));
        }
        rivals
    }

    /// Hides what `is_refused` says of a key and a number, and all behind it, as if it had never
    /// been taken: nodes that took more of a stopped hand than others are to agree with them.
    /// True where that changes anything.
    pub fn hide(&mut self, is_refused: impl Fn(&PublicKey, u64) -> bool) -> bool {
        let mut hidden = BTreeSet::new();
        for (id, link) in self.links() {
            let behind = link.parent.is_some_and(|parent| hidden.contains(&parent));
            if behind || is_refused(&self.signer(id).key, link.number) {
                hidden.insert(id);
            }
        }
        if hidden == self.hidden {
            return false;
        }
        self.hidden = hidden;
        self.leaves.clear();
        self.starts.clear();
        self.forked.clear();
        for index in 0..self.links.len() {
            let id = LinkId(index as u32);
            if !self.hidden.contains(&id) {
                self.place(id);
            }
        }
        true
    }

    /// Whether a link is hidden.
    #[must_use]
    pub fn is_hidden(&self, id: LinkId) -> bool {
        self.hidden.contains(&id)
    }

    fn signer_index(&mut self, serial: Serial, key: PublicKey) -> Option<u16> {
        let known = self
            .signers
            .iter()
            .position(|signer| signer.serial == serial);
        let index = known.unwrap_or(self.signers.len());
        if known.is_none() {
            self.signers.push(Signer { serial, key });
        }
        u16::try_from(index).ok()
    }

    fn push(&mut self, header: &Header, hash: Hash, parent: Option<LinkId>, signer: u16) -> LinkId {
        let index = u32::try_from(self.links.len());
        assert!(
            index.is_ok(),
            "a ledger of more than four thousand million entries"
        );
        let id = LinkId(index.unwrap_or(u32::MAX));
        self.links.push(Link {
            hash,
            number: header.number,
            incarnation: header.incarnation,
            wall: header.stamp.wall,
            parent,
            signer,
        });
        self.by_hash.insert(hash, id);
        id
    }

    /// The link before one.
    #[must_use]
    pub fn parent(&self, id: LinkId) -> Option<LinkId> {
        self.link(id).parent
    }

    /// A link and all before it, nearest first.
    pub fn upwards(&self, id: LinkId) -> impl Iterator<Item = LinkId> + '_ {
        std::iter::successors(Some(id), |id| self.link(*id).parent)
    }

    /// Whether `old` is `new` or stands before it.
    #[must_use]
    pub fn is_before_or_at(&self, old: LinkId, new: LinkId) -> bool {
        let steps = self.link(new).number.saturating_sub(self.link(old).number);
        let steps = usize::try_from(steps).unwrap_or(usize::MAX);
        self.upwards(new).nth(steps) == Some(old)
    }

    /// One mark for each link: whether it is one of `heads` or stands before one.
    ///
    /// A head that is not held marks what is held of its incarnation up to its number: whoever
    /// named it saw those.
    #[must_use]
    pub fn at_or_before<'a>(&self, heads: impl Iterator<Item = &'a Head>) -> Vec<bool> {
        let mut marks = vec![false; self.links.len()];
        for head in heads {
            let known = self.find(&head.hash).or_else(|| self.furthest_below(head));
            for id in known.into_iter().flat_map(|id| self.upwards(id)) {
                if std::mem::replace(&mut marks[id.0 as usize], true) {
                    break;
                }
            }
        }
        marks
    }

    fn furthest_below(&self, head: &Head) -> Option<LinkId> {
        self.links()
            .filter(|(_, link)| link.incarnation == head.incarnation && link.number <= head.number)
            .filter(|(id, _)| !self.hidden.contains(id))
            .max_by_key(|(_, link)| (link.number, link.hash))
            .map(|(id, _)| id)
    }

    /// The entries up to `wanted` that somebody with the heads `have` lacks, first things first.
    #[must_use]
    pub fn missing(&self, wanted: &Hash, have: &[Hash], entries_max: usize) -> Vec<Hash> {
        let Some(wanted) = self.find(wanted) else {
            return Vec::new();
        };
        let known: BTreeSet<LinkId> = have.iter().filter_map(|hash| self.find(hash)).collect();
        let mut path: Vec<LinkId> = Vec::new();
        let mut met = false;
        for id in self.upwards(wanted) {
            if known.contains(&id) {
                met = true;
                break;
            }
            path.push(id);
        }
        if !met && !known.is_empty() {
            let heads: Vec<Head> = known.iter().map(|id| self.head(*id)).collect();
            let held = self.at_or_before(heads.iter());
            path.retain(|id| !held[id.0 as usize]);
        }
        path.iter()
            .rev()
            .take(entries_max)
            .map(|id| self.link(*id).hash)
            .collect()
    }
}

impl LinkId {
    /// Its index among the marks that [`Chain::at_or_before`] gives.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
