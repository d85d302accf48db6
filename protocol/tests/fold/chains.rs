//! A ledger's shape: forks, backups, what is missing, and that a long one costs no more a link.

use std::time::Duration;

use regatta_protocol::crypto::sign::PublicKey;
use regatta_protocol::ident::{Hash, Incarnation};
use regatta_protocol::ledger::chain::{Appended, Chain, Head, LinkId};
use regatta_protocol::ledger::entry::{Entry, LedgerKind};
use regatta_protocol::limits::LEAVES_MAX;

use crate::fixture::{Hand, cheap, day};
use crate::scenarios::fleet;
use crate::state::{after, permutation, timed};

fn append(chain: &mut Chain, entry: &Entry, key: PublicKey) -> Appended {
    chain.append(&entry.header, entry.hash, key)
}

fn author() -> Hand {
    let (_, [_, m2, ..], _) = fleet();
    m2
}

fn write(hand: &mut Hand, text: &str) -> Entry {
    hand.revise(text, &[], day(1))
}

fn chain_of(entries: &[Entry], key: PublicKey) -> Chain {
    let mut chain = Chain::default();
    for entry in entries {
        assert!(matches!(
            append(&mut chain, entry, key),
            Appended::Added { .. }
        ));
    }
    chain
}

/// Which of the entries are forked, in any order in which they can be appended.
fn forked(entries: &[Entry], keys: &[PublicKey]) -> Vec<usize> {
    let numbered: Vec<usize> = (0..entries.len()).collect();
    let mut found: Option<Vec<usize>> = None;
    for order in 0..(1..=entries.len()).product() {
        let mut chain = Chain::default();
        let mut open = permutation(&numbered, order);
        while !open.is_empty() {
            let before = open.len();
            open.retain(|index| {
                append(&mut chain, &entries[*index], keys[*index]) == Appended::Orphan
            });
            assert!(open.len() < before, "everything has its parent here");
        }
        let is_forked = |index: &usize| {
            let link = chain.find(&entries[*index].hash).expect("held");
            chain.forked().contains(&link)
        };
        let shape: Vec<usize> = numbered.iter().copied().filter(is_forked).collect();
        assert_eq!(*found.get_or_insert(shape.clone()), shape, "order {order}");
    }
    found.unwrap_or_default()
}

#[test]
fn fork_shapes_are_the_same_in_every_order() {
    let key = |number| cheap(number).public();
    let one = |entries: &[Entry]| forked(entries, &vec![key(2); entries.len()]);
    // Two of one number in one incarnation, and what follows each.
    let mut left = author();
    let first = write(&mut left, "a");
    let mut right = left.clone();
    let story = [
        first.clone(),
        write(&mut left, "b"),
        write(&mut right, "c"),
        write(&mut left, "d"),
    ];
    assert_eq!(one(&story), [1, 2]);
    // A backup that writes on in a new incarnation is no fork.
    let mut backup = author();
    write(&mut backup, "a");
    backup.restart(1);
    let story = [first.clone(), story[1].clone(), write(&mut backup, "e")];
    assert_eq!(one(&story), Vec::<usize>::new());
    // Two incarnations that claim one head are.
    let mut again = author();
    write(&mut again, "a");
    again.restart(2);
    let story = [&story[..], &[write(&mut again, "f")]].concat();
    assert_eq!(one(&story), [2, 3]);
    // Two beginnings are.
    let (mut begun, mut other) = (author(), author());
    other.restart(3);
    let story = [
        write(&mut begun, "a"),
        write(&mut other, "g"),
        write(&mut other, "h"),
    ];
    assert_eq!(one(&story), [0, 1]);
    // One incarnation begun in three places by two hands: the two of one hand are.
    let mut base = author();
    let trunk = [
        write(&mut base, "a"),
        write(&mut base, "b"),
        write(&mut base, "c"),
    ];
    let begin_at = |trunk: usize, text: &str| {
        let mut hand = author();
        for step in ["a", "b", "c"].iter().take(trunk) {
            write(&mut hand, step);
        }
        hand.restart(4);
        if trunk == 1 {
            hand.serial = regatta_protocol::ident::Serial([9; 16]);
        }
        write(&mut hand, text)
    };
    let story = [
        &trunk[..],
        &[begin_at(1, "x"), begin_at(2, "y"), begin_at(3, "z")],
    ]
    .concat();
    let keys = [key(2), key(2), key(2), key(9), key(2), key(2)];
    assert_eq!(forked(&story, &keys), [4, 5]);
    // Two hands at one place are not: one key is one hand.
    let mut rotated = author();
    write(&mut rotated, "a");
    rotated.serial = regatta_protocol::ident::Serial([9; 16]);
    rotated.restart(5);
    let mut thief = author();
    write(&mut thief, "a");
    thief.restart(6);
    let story = [first, write(&mut rotated, "b"), write(&mut thief, "c")];
    assert_eq!(
        forked(&story, &[key(2), key(9), key(2)]),
        Vec::<usize>::new()
    );
}

#[test]
fn what_does_not_follow_is_refused() {
    let key = cheap(2).public();
    let mut hand = author();
    let entries = [write(&mut hand, "a"), write(&mut hand, "b")];
    let mut chain = Chain::default();
    assert!(chain.is_empty() && chain.tip().is_none());
    assert_eq!(append(&mut chain, &entries[1], key), Appended::Orphan);
    append(&mut chain, &entries[0], key);
    assert_eq!(append(&mut chain, &entries[0], key), Appended::Duplicate);
    let mut jumps = author();
    write(&mut jumps, "a");
    let ledger = jumps.ledger(LedgerKind::Fleet);
    let number = jumps.heads[&ledger].number + 5;
    jumps.heads.insert(
        ledger,
        Head {
            number,
            ..jumps.heads[&ledger]
        },
    );
    assert_eq!(
        append(&mut chain, &write(&mut jumps, "b"), key),
        Appended::Misnumbered
    );
    let mut other = author();
    write(&mut other, "a");
    other.serial = regatta_protocol::ident::Serial([9; 16]);
    // An incarnation keeps its certificate.
    assert_eq!(
        append(&mut chain, &write(&mut other, "b"), key),
        Appended::Misnumbered
    );
}

#[test]
fn more_branches_than_anybody_keeps_are_not_kept() {
    let key = cheap(2).public();
    let mut hand = author();
    let first = write(&mut hand, "a");
    let mut chain = chain_of(&[first], key);
    for number in 0..LEAVES_MAX as u64 + 3 {
        let mut branch = hand.clone();
        branch.restart(number);
        append(&mut chain, &write(&mut branch, "b"), key);
    }
    assert!(chain.is_saturated());
    assert_eq!(chain.leaves().count(), LEAVES_MAX);
    // A branch that is kept goes on.
    let leaf = chain.tip().expect("a tip");
    let incarnation = u64::from_le_bytes(leaf.incarnation.0);
    let mut on = hand.clone();
    on.incarnation = incarnation;
    on.heads.insert(on.ledger(LedgerKind::Fleet), leaf);
    assert!(matches!(
        append(&mut chain, &write(&mut on, "c"), key),
        Appended::Added { .. }
    ));
}

#[test]
fn hiding_is_as_if_it_had_never_been_taken() {
    let key = cheap(2).public();
    let mut hand = author();
    let trunk: Vec<Entry> = (0..4).map(|_| write(&mut hand, "a")).collect();
    let mut right = hand.clone();
    let forks = [
        write(&mut hand, "b"),
        write(&mut right, "c"),
        write(&mut right, "d"),
    ];
    let mut long = chain_of(&[&trunk[..], &forks].concat(), key);
    let short = chain_of(&trunk, key);
    assert!(long.hide(|_, number| number > 4));
    assert!(!long.hide(|_, number| number > 4), "nothing changes twice");
    assert_eq!(
        long.leaves().collect::<Vec<_>>(),
        short.leaves().collect::<Vec<_>>()
    );
    assert!(long.forked().is_empty() && long.find(&forks[0].hash).is_none());
    assert_eq!(
        append(&mut long, &write(&mut right, "e"), key),
        Appended::Saturated
    );
    assert!(long.hide(|_, _| false));
    assert_eq!((long.leaves().count(), long.forked().len()), (2, 2));
}

#[test]
fn what_is_missing_is_given_first_things_first() {
    let key = cheap(2).public();
    let mut hand = author();
    let trunk: Vec<Entry> = (0..5).map(|_| write(&mut hand, "a")).collect();
    let mut branch = hand.clone();
    branch.restart(1);
    let side = [write(&mut branch, "b"), write(&mut branch, "c")];
    let main = [write(&mut hand, "d")];
    let chain = chain_of(&[&trunk[..], &side, &main].concat(), key);
    let of = |entries: &[Entry]| {
        entries
            .iter()
            .map(|entry| entry.hash)
            .collect::<Vec<Hash>>()
    };
    let missing =
        |wanted: &Entry, have: &[Entry], most| chain.missing(&wanted.hash, &of(have), most);
    assert_eq!(missing(&side[1], &[], 9), of(&[&trunk[..], &side].concat()));
    assert_eq!(missing(&side[1], &[], 2), of(&trunk[..2]));
    assert_eq!(
        missing(&side[1], &trunk[2..3], 9),
        of(&[&trunk[3..], &side].concat())
    );
    assert_eq!(
        missing(&side[1], &main, 9),
        of(&side),
        "a head on the other branch"
    );
    assert_eq!(
        missing(&trunk[1], &side, 9),
        Vec::new(),
        "a head further on"
    );
    assert_eq!(chain.missing(&Hash::ZERO, &[], 9), Vec::new());
    assert_eq!(
        chain.missing(&side[0].hash, &[Hash::ZERO], 9).len(),
        6,
        "an unknown head helps nothing"
    );
}

#[test]
fn a_head_that_is_not_held_marks_what_its_author_must_have_seen() {
    let key = cheap(2).public();
    let mut hand = author();
    let trunk: Vec<Entry> = (0..3).map(|_| write(&mut hand, "a")).collect();
    hand.restart(1);
    let after: Vec<Entry> = (0..3).map(|_| write(&mut hand, "b")).collect();
    let chain = chain_of(&[&trunk[..], &after].concat(), key);
    let marked = |head: Head| {
        let marks = chain.at_or_before([head].iter());
        marks.iter().filter(|mark| **mark).count()
    };
    let head = |entry: &Entry| Head {
        number: entry.header.number,
        incarnation: entry.header.incarnation,
        hash: entry.hash,
    };
    assert_eq!(marked(head(&after[1])), 5);
    let unknown = Head {
        hash: Hash::ZERO,
        ..head(&after[1])
    };
    assert_eq!(marked(unknown), 5);
    assert_eq!(
        marked(Head {
            number: 99,
            ..unknown
        }),
        6
    );
    assert_eq!(
        marked(Head {
            incarnation: Incarnation([9; 8]),
            ..unknown
        }),
        0
    );
    let ids: Vec<LinkId> = chain.links().map(|(id, _)| id).collect();
    assert!(chain.is_before_or_at(ids[0], ids[5]) && chain.is_before_or_at(ids[5], ids[5]));
    assert!(!chain.is_before_or_at(ids[5], ids[0]));
    assert_eq!(chain.upwards(ids[5]).count(), 6);
    assert_eq!(
        (chain.parent(ids[0]), chain.parent(ids[5])),
        (None, Some(ids[4]))
    );
    assert_eq!(chain.tip(), Some(chain.head(ids[5])));
    assert_eq!(
        (chain.len(), chain.signers().len(), chain.signer(ids[3]).key),
        (6, 1, key)
    );
}

#[test]
fn ten_thousand_links_cost_no_more_each_than_the_first() {
    let key = cheap(2).public();
    let mut hand = author();
    let entries: Vec<Entry> = (0..20_000).map(|_| write(&mut hand, "a")).collect();
    let time = |count: usize| {
        let (chain, took) = timed(|| chain_of(&entries[..count], key));
        assert_eq!(chain.len(), count);
        took
    };
    let (once, twice) = (time(10_000), time(20_000));
    assert!(
        twice < once * 4 + Duration::from_millis(100),
        "{once:?}, then {twice:?}"
    );
}

#[test]
fn a_forked_ledger_of_ten_thousand_settles_in_one_pass() {
    let (fixture, [mut m1, mut m2, ..], mut entries) = fleet();
    let mut thief = m2.clone();
    entries.push(write(&mut m2, "a"));
    entries.extend((0..10_000).map(|_| m2.revise("b", &[], day(1))));
    entries.push(m1.testify(&m2, day(2)));
    entries.push(write(&mut thief, "c"));
    let (holdings, took) = timed(|| after(&fixture, &entries, day(3)));
    let counting = holdings.chains()[&m2.ledger(LedgerKind::Fleet)].links();
    let counting =
        counting.filter(|(link, _)| holdings.counts(&m2.ledger(LedgerKind::Fleet), *link));
    assert_eq!(counting.count(), 10_001);
    assert!(
        took < Duration::from_secs(20),
        "{took:?}, and a second is usual"
    );
}
