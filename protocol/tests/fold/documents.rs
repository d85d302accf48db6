//! The catalog: its winner, what is replaced, sets, and the naive definition that it has to equal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regatta_protocol::catalog::{
    Catalog, DocumentKey, Heads, HeldRevision, Revision, RevisionId, RevisionSet, Standing,
};
use regatta_protocol::codec;
use regatta_protocol::ident::{NodeId, Serial};
use regatta_protocol::ledger::chain::{Appended, Chain};
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerKind};
use regatta_protocol::limits::REPLACES_MAX;
use regatta_protocol::prng::Prng;
use regatta_protocol::selector::Selector;
use regatta_protocol::trust::certificate::Rank;

use crate::fixture::{day, name, revision};
use crate::scenarios::{fleet, winner};
use crate::state::{after, shuffle, timed};

/// The definition, word by word: what counts and is not replaced by what counts, through whatever
/// is there; the greatest rank, stamp, author and name wins.
fn naive(
    key: &DocumentKey,
    held: &BTreeMap<RevisionId, HeldRevision>,
    standings: &BTreeMap<RevisionId, Standing>,
) -> Option<Heads> {
    let is_there = |id: &RevisionId| {
        let known = held.get(id).filter(|held| held.document() == *key);
        known.filter(|_| !matches!(standings.get(id), None | Some(Standing::Absent)))
    };
    let rank_of = |id: &RevisionId| match standings.get(id) {
        Some(Standing::Counts(rank)) if is_there(id).is_some() => Some(*rank),
        _ => None,
    };
    let mut replaced: BTreeSet<RevisionId> = BTreeSet::new();
    let mut open: Vec<RevisionId> = held
        .keys()
        .filter(|id| rank_of(id).is_some())
        .copied()
        .collect();
    while let Some(id) = open.pop() {
        let older = is_there(&id)
            .into_iter()
            .flat_map(|held| &held.revision.replaces);
        open.extend(
            older
                .take(REPLACES_MAX)
                .filter(|id| replaced.insert(**id))
                .copied()
                .collect::<Vec<_>>(),
        );
    }
    let mut heads: Vec<_> = held
        .iter()
        .filter(|(id, _)| !replaced.contains(id))
        .filter_map(|(id, held)| Some((rank_of(id)?, held.stamp, held.place.ledger.author, *id)))
        .collect();
    heads.sort_unstable();
    let (_, _, _, winner) = heads.pop()?;
    let conflicts = heads.iter().rev().map(|(_, _, _, id)| *id).collect();
    Some(Heads { winner, conflicts })
}

#[test]
fn deciding_link_by_link_equals_the_definition() {
    for seed in 0..300 {
        let mut prng = Prng::from_number(seed);
        let (_, mut hands, _) = fleet();
        let mut entries: Vec<Entry> = Vec::new();
        let mut names: Vec<RevisionId> = Vec::new();
        for step in 0..24 {
            let replaces: Vec<RevisionId> = names
                .iter()
                .filter(|_| prng.chance(200_000))
                .copied()
                .collect();
            let document = ["hull", "sails"][usize::from(prng.chance(150_000))];
            let who = prng.below(4) as usize;
            let entry = hands[who].revise(document, &replaces, day(prng.below(3) + step / 8));
            names.push(revision(&entry));
            entries.push(entry);
        }
        let mut chain = Chain::default();
        let link = match chain.append(&entries[0].header, entries[0].hash, hands[0].key.public()) {
            Appended::Added { link, .. } => link,
            other => panic!("{other:?}"),
        };
        shuffle(&mut entries, &mut prng);
        let (mut catalog, mut standings) = (Catalog::default(), BTreeMap::new());
        for step in 0..80 {
            if let Some(entry) = entries.pop().filter(|_| step % 2 == 0) {
                for id in catalog.take(&entry, link) {
                    catalog.weigh(id, Standing::Waits);
                    standings.insert(id, Standing::Waits);
                }
            }
            let ids: Vec<RevisionId> = catalog.ids().copied().collect();
            let id = ids[prng.below(ids.len() as u64) as usize];
            let standing = match prng.below(5) {
                0 => Standing::Absent,
                1 => Standing::Waits,
                2 => Standing::Counts(Rank::Operator),
                _ => Standing::Counts(Rank::Manager),
            };
            catalog.weigh(id, standing);
            standings.insert(id, standing);
            catalog.decide();
            let held: BTreeMap<RevisionId, HeldRevision> = catalog
                .ids()
                .filter_map(|id| Some((*id, catalog.revision(id)?.clone())))
                .collect();
            for document in ["hull", "sails"] {
                let key = key(document);
                assert_eq!(
                    catalog.heads(&key).cloned(),
                    naive(&key, &held, &standings),
                    "seed {seed}"
                );
            }
        }
    }
}

fn key(document: &str) -> DocumentKey {
    DocumentKey {
        scope: None,
        kind: 1,
        name: name(document),
    }
}

#[test]
fn ten_thousand_revisions_of_one_name_cost_no_more_each_than_the_first() {
    let (fixture, [mut m1, ..], mut entries) = fleet();
    let mut last: Vec<RevisionId> = Vec::new();
    for _ in 0..10_000 {
        let entry = m1.revise("hull", &last, day(1));
        last = vec![revision(&entry)];
        entries.push(entry);
    }
    let (holdings, took) = timed(|| {
        let mut holdings = fixture.holdings();
        for entry in &entries {
            holdings.offer(entry);
            holdings.settle(day(2));
        }
        holdings
    });
    assert_eq!(
        holdings
            .catalog()
            .heads(&key("hull"))
            .map(|heads| heads.winner),
        last.first().copied()
    );
    assert!(
        took < Duration::from_secs(20),
        "{took:?}, and a second is usual"
    );
    assert_eq!(holdings.catalog().to_replace(&key("hull")), last);
}

#[test]
fn the_later_stamp_wins_then_the_author_and_the_other_is_kept() {
    let (fixture, [mut m1, mut m2, ..], mut entries) = fleet();
    let (early, late) = (
        m2.revise("hull", &[], day(1)),
        m1.revise("hull", &[], day(2)),
    );
    let (ours, theirs) = (
        m1.revise("sails", &[], day(3)),
        m2.revise("sails", &[], day(3)),
    );
    entries.extend([early.clone(), late.clone(), ours.clone(), theirs.clone()]);
    let holdings = after(&fixture, &entries, day(5));
    let heads = |document| holdings.catalog().heads(&key(document)).cloned();
    let of = |winner: &Entry, other: &Entry| {
        let (winner, conflicts) = (revision(winner), vec![revision(other)]);
        Some(Heads { winner, conflicts })
    };
    assert_eq!(heads("hull"), of(&late, &early));
    assert_eq!(
        heads("sails"),
        of(&theirs, &ours),
        "the greater author among equals"
    );
}

#[test]
fn more_heads_than_one_revision_replaces_are_replaced_in_two() {
    let (fixture, [mut m1, mut m2, ..], mut entries) = fleet();
    entries.extend((0..20).map(|number| m1.revise("hull", &[], day(number))));
    let mut holdings = after(&fixture, &entries, day(30));
    for left in [4, 0] {
        let replaces = holdings.catalog().to_replace(&key("hull"));
        assert!(replaces.len() <= REPLACES_MAX);
        holdings.offer(&m2.revise("hull", &replaces, day(30)));
        holdings.settle(day(30));
        assert_eq!(winner(&holdings, "hull"), Some((day(30), left)));
    }
}

#[test]
fn a_set_applies_together_and_a_name_for_one_device_is_another() {
    let (fixture, [mut m1, ..], mut entries) = fleet();
    let of = |document: &str, deletes| Revision {
        kind: 1,
        name: name(document),
        replaces: Vec::new(),
        select: Selector::everything(),
        deletes,
        version: 1,
        staged: false,
        body: None,
    };
    let many = RevisionSet(
        (0..40)
            .map(|number| of(&format!("d{number}"), number == 7))
            .collect(),
    );
    let set = m1.write(
        LedgerKind::Fleet,
        EntryKind::SET,
        codec::encode(&many),
        day(2),
    );
    assert!(set.carried().is_some(), "the manifest goes with the entry");
    let device = NodeId([9; 16]);
    let scoped = m1.write_scoped(device, codec::encode(&of("d1", false)), day(3));
    entries.extend([set.clone(), scoped.clone()]);
    let holdings = after(&fixture, &entries, day(5));
    assert_eq!(holdings.catalog().documents().count(), 41);
    for place in 0..40 {
        let heads = holdings
            .catalog()
            .heads(&key(&format!("d{place}")))
            .expect("there");
        let entry = Serial(set.hash.half());
        assert_eq!(heads.winner, RevisionId { entry, place });
        let held = holdings.catalog().revision(&heads.winner).expect("held");
        assert_eq!(held.revision.deletes, place == 7);
    }
    let own = DocumentKey {
        scope: Some(device),
        ..key("d1")
    };
    assert_eq!(
        holdings.catalog().heads(&own).map(|heads| heads.winner),
        Some(revision(&scoped))
    );
    // Without its manifest a set is no entry at all.
    let mut parcel = set.parcel.clone();
    parcel.body = None;
    assert!(Entry::open(parcel).is_err());
}

#[test]
fn what_expires_gives_way_by_time_alone() {
    let (fixture, [mut m1, ..], mut entries) = fleet();
    let lasting = m1.revise("hull", &[], day(1));
    let passing = m1.revise_until("hull", &[], day(2), day(10));
    entries.extend([lasting.clone(), passing.clone()]);
    let mut holdings = after(&fixture, &entries, day(5));
    for (at, wins) in [
        (5, &passing),
        (10, &passing),
        (11, &lasting),
        (6, &passing),
        (12, &lasting),
    ] {
        holdings.settle(day(at));
        let found = holdings
            .catalog()
            .heads(&key("hull"))
            .map(|heads| heads.winner);
        assert_eq!(found, Some(revision(wins)), "day {at}");
    }
    holdings.settle(day(5));
    assert_eq!(holdings.stale_at(), Some(day(10).plus(1)));
}
