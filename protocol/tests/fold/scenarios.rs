//! The stories that the fold of trust has to get right, each with its own test.

use regatta_protocol::catalog::DocumentKey;
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerKind};
use regatta_protocol::ledger::holdings::{Holdings, Offered};
use regatta_protocol::machine::Millis;
use regatta_protocol::trust::verdict::{Ruling, Subject};

use crate::fixture::{
    Fixture, Hand, cheap, day, deliver, device, every_grant, good, name, revision, stopped, verdict,
};
use crate::state::{after, all_orders_agree};

/// Managers 1 to 4, of whom the third lapses on day 12, and the entries that publish them.
pub fn fleet() -> (Fixture, [Hand; 4], Vec<Entry>) {
    let fixture = Fixture::new();
    let made = [(1, 365), (2, 365), (3, 12), (4, 365)]
        .map(|(number, last)| fixture.manager(number, (0, last)));
    let mut hands = made.clone().map(|(hand, _)| hand);
    let entries = made
        .iter()
        .map(|(_, statement)| hands[0].carry(statement, day(0)));
    let entries = entries.collect();
    (fixture, hands, entries)
}

pub fn counts(holdings: &Holdings, entry: &Entry) -> bool {
    let ledger = entry.header.ledger;
    let link = holdings
        .chains()
        .get(&ledger)
        .and_then(|chain| chain.find(&entry.hash));
    link.is_some_and(|link| holdings.counts(&ledger, link))
}

pub fn winner(holdings: &Holdings, document: &str) -> Option<(Millis, usize)> {
    let key = DocumentKey {
        scope: None,
        kind: 1,
        name: name(document),
    };
    let heads = holdings.catalog().heads(&key)?;
    let held = holdings.catalog().revision(&heads.winner)?;
    Some((held.stamp.wall, heads.conflicts.len()))
}

fn is_stopped(holdings: &Holdings, number: u8) -> bool {
    let Subject::Holder { node, .. } = device(number) else {
        return false;
    };
    holdings.judgement().stopped_nodes.contains(&node)
}

#[test]
fn a_stolen_lapsed_key_writes_nothing_into_the_past() {
    let (fixture, [_, mut m2, mut m3, _], mut entries) = fleet();
    entries.push(m3.revise("hull", &[], day(3)));
    entries.push(m2.testify(&m3, day(11)));
    let mut thief = m3.clone();
    let forged = thief.revise("sails", &[], day(4));
    let judged = thief.judge(stopped(device(50), Vec::new()), day(4));
    let story = [entries.clone(), vec![forged.clone(), judged]].concat();
    let holdings = after(&fixture, &story, day(40));
    assert_eq!(winner(&holdings, "hull"), Some((day(3), 0)));
    assert!(!counts(&holdings, &forged));
    // While the certificate was good nobody could tell the thief from the victim.
    assert!(counts(&after(&fixture, &story, day(5)), &forged));
    all_orders_agree(&fixture, &entries[..4], &story[4..], day(40));
}

#[test]
fn a_stolen_lapsed_key_does_not_testify_into_the_past() {
    let (fixture, [_, mut m2, mut m3, mut m4], mut entries) = fleet();
    entries.push(m4.revise("hull", &[], day(1)));
    entries.push(m3.testify(&m4, day(2)));
    entries.push(m2.testify(&m3, day(11)));
    m4.revise("sails", &[], day(3));
    entries.push(m3.clone().testify(&m4, day(4)));
    let words = |at| {
        let holdings = after(&fixture, &entries, at);
        let fleet = m4.ledger(LedgerKind::Fleet);
        holdings.judgement().testimony[&fleet].len()
    };
    // What it said while somebody still vouched for it stays said; the rest is the thief's.
    assert_eq!((words(day(12)), words(day(13))), (2, 1));
}

#[test]
fn a_manager_that_wrote_on_alone_keeps_what_it_wrote_when_it_lapses() {
    let (fixture, [_, mut m2, mut m3, _], mut entries) = fleet();
    entries.push(m3.revise("hull", &[], day(1)));
    entries.push(m2.testify(&m3, day(2)));
    let late = m3.revise("sails", &[], day(11));
    entries.push(late.clone());
    assert!(counts(&after(&fixture, &entries, day(300)), &late));
    // Met again after all: the first later testimony says where it ended.
    entries.push(m2.testify(&m3, day(30)));
    let forged = m3.revise("anchor", &[], day(11));
    entries.push(forged.clone());
    let holdings = after(&fixture, &entries, day(300));
    assert!(counts(&holdings, &late) && !counts(&holdings, &forged));
}

#[test]
fn peers_that_testify_against_each_other_are_both_heard() {
    let (fixture, [mut m1, mut m2, ..], before) = fleet();
    let mut other1 = m1.clone();
    let mut story = vec![
        m1.testify(&m2, day(2)),
        m2.revise("hull", &[], day(2)),
        other1.testify(&m2, day(3)),
    ];
    let (mut left, mut right) = (m2.clone(), m2.clone());
    story.push(left.revise("hull", &[], day(4)));
    story.push(right.revise("hull", &[], day(5)));
    story.push(m1.testify(&right, day(6)));
    all_orders_agree(&fixture, &before, &story, day(9));
    // The one that testifies forked before, so its later word is not heard: neither branch counts.
    let holdings = after(&fixture, &[before.clone(), story.clone()].concat(), day(9));
    assert_eq!(winner(&holdings, "hull"), Some((day(2), 0)));
}

#[test]
fn a_forked_ledger_follows_the_branch_of_the_earliest_testimony() {
    let (fixture, [_, mut m2, mut m3, mut m4], mut entries) = fleet();
    let (mut left, mut right) = (m2.clone(), m2.clone());
    let lefts = [
        left.revise("hull", &[], day(2)),
        left.revise("sails", &[], day(3)),
    ];
    let seen = m3.testify(&left, day(4));
    let beyond = left.revise("anchor", &[], day(5));
    let rights = [
        right.revise("hull", &[], day(1)),
        right.revise("flag", &[], day(1)),
    ];
    let late = m4.testify(&right, day(6));
    entries.extend(lefts.clone());
    entries.extend(rights.clone());
    entries.extend([seen, late, beyond.clone()]);
    let holdings = after(&fixture, &entries, day(9));
    assert!(lefts.iter().all(|entry| counts(&holdings, entry)));
    assert!(!rights.iter().any(|entry| counts(&holdings, entry)));
    assert!(!counts(&holdings, &beyond));
    m2.restart(1);
}

#[test]
fn an_order_is_corrected_by_a_later_one() {
    let (fixture, [mut m1, mut m2, ..], before) = fleet();
    let stop = m1.judge(stopped(device(50), Vec::new()), day(2));
    let mut correction = good(device(50), Vec::new());
    correction.replaces = vec![verdict(&stop)];
    let free = m2.judge(correction, day(3));
    let mut elsewhere = stopped(device(51), Vec::new());
    elsewhere.replaces = vec![verdict(&free)];
    let other = m1.judge(elsewhere, day(4));
    let story = [stop, free, other];
    all_orders_agree(&fixture, &before, &story, day(9));
    let stands = |story: &[Entry]| {
        let holdings = after(&fixture, &[&before, story].concat(), day(9));
        is_stopped(&holdings, 50)
    };
    assert!(stands(&story[..1]) && !stands(&story[..2]));
    assert!(
        !stands(&story),
        "an order on another subject replaces nothing here"
    );
}

#[test]
fn a_cut_brings_back_only_what_nobody_wrote_over_since() {
    let (fixture, [mut m1, _, _, mut m4], mut entries) = fleet();
    let first = m1.revise("hull", &[], day(1));
    let second = m4.revise("hull", &[revision(&first)], day(2));
    let third = m1.revise("hull", &[revision(&second)], day(3));
    let order = fixture.order(&stopped(m4.subject(), Vec::new()));
    entries.extend([first, second]);
    let cut = m1.carry(&order, day(4));
    let without = [entries.clone(), vec![cut.clone()]].concat();
    assert_eq!(
        winner(&after(&fixture, &without, day(9)), "hull"),
        Some((day(1), 0))
    );
    entries.extend([third, cut]);
    assert_eq!(
        winner(&after(&fixture, &entries, day(9)), "hull"),
        Some((day(3), 0))
    );
}

#[test]
fn a_manager_restored_from_a_backup_writes_on() {
    let (fixture, [mut m1, ..], mut entries) = fleet();
    entries.push(m1.revise("hull", &[], day(1)));
    let mut backup = m1.clone();
    let lost = [
        m1.revise("sails", &[], day(2)),
        m1.revise("anchor", &[], day(2)),
    ];
    backup.restart(7);
    let on = backup.revise("flag", &[], day(3));
    let mut holdings = after(&fixture, &[entries, lost.to_vec()].concat(), day(9));
    let offered = holdings.offer(&on);
    assert_eq!(
        offered,
        Offered::Added {
            forked: false,
            restored: true
        }
    );
    holdings.settle(day(9));
    assert!(
        lost.iter()
            .chain([&on])
            .all(|entry| counts(&holdings, entry))
    );
    // A second one from the same backup claims the same head: that is a fork.
    let mut again = backup.clone();
    again.heads = backup.heads.clone();
    again.restart(9);
    let head = *again.heads.values().last().expect("heads");
    assert_eq!(head.number, 2);
}

#[test]
fn a_fork_at_number_one_erases_no_order_to_stop() {
    let (fixture, [mut m1, m2, ..], mut entries) = fleet();
    let mut thief = m2.clone();
    let mut victim = m2;
    let stop = victim.judge(stopped(device(50), Vec::new()), day(2));
    let document = victim.revise("hull", &[], day(2));
    entries.extend([stop.clone(), document.clone(), m1.testify(&victim, day(3))]);
    thief.restart(1);
    let mut release = good(device(50), Vec::new());
    release.replaces = vec![verdict(&stop)];
    let fork = thief.judge(release, day(1));
    let rival = thief.revise("hull", &[], day(9));
    let story = [fork.clone(), rival.clone()];
    let holdings = after(&fixture, &[entries.as_slice(), &story].concat(), day(20));
    assert!(is_stopped(&holdings, 50));
    assert!(counts(&holdings, &document) && !counts(&holdings, &rival));
    let rest = [&entries[4..], story.as_slice()].concat();
    all_orders_agree(&fixture, &entries[..4], &rest, day(20));
}

#[test]
fn a_stamp_from_the_future_does_not_win_once_somebody_wrote_over_it() {
    let (fixture, [mut m1, mut m2, ..], mut entries) = fleet();
    entries.push(m1.revise("hull", &[], day(1)));
    entries.push(m1.revise("hull", &[], day(30)));
    let mut holdings = after(&fixture, &entries, day(5));
    assert_eq!(winner(&holdings, "hull"), Some((day(1), 0)));
    let key = holdings
        .catalog()
        .documents()
        .next()
        .map(|(key, _)| key.clone());
    let replaces = holdings.catalog().to_replace(&key.expect("the document"));
    assert_eq!(replaces.len(), 2);
    holdings.offer(&m2.revise("hull", &replaces, day(6)));
    holdings.settle(day(6));
    assert_eq!(winner(&holdings, "hull"), Some((day(6), 0)));
    holdings.settle(day(31));
    assert_eq!(winner(&holdings, "hull"), Some((day(6), 0)));
    // Not written over, it is released when its time comes, and held again when time goes back.
    let mut holdings = after(&fixture, &entries, day(5));
    for (at, wins) in [(30, 30), (5, 1), (31, 30)] {
        holdings.settle(day(at));
        assert_eq!(
            winner(&holdings, "hull"),
            Some((day(wins), 1 - usize::from(wins == 1)))
        );
    }
}

#[test]
fn testimony_renews_a_lapsing_certificate_and_is_not_iterated() {
    let (fixture, [_, mut m2, mut m3, m4], mut entries) = fleet();
    let mut renewal = good(m3.subject(), Vec::new());
    renewal.until = Some(day(200));
    entries.push(m2.judge(renewal, day(10)));
    let written = m3.revise("hull", &[], day(40));
    let mut other = good(m4.subject(), m4.seen(&[LedgerKind::Trust]));
    other.until = Some(day(500));
    let renewed = m3.judge(other, day(40));
    let too_late = m3.revise("hull", &[], day(101));
    entries.extend([written.clone(), renewed, too_late.clone()]);
    let holdings = after(&fixture, &entries, day(50));
    // 90 days from when it was said at most.
    assert_eq!(
        holdings.judgement().renewed.get(&m3.serial),
        Some(&day(100))
    );
    assert_eq!(
        holdings.judgement().renewed.len(),
        1,
        "m3 was renewed and renews nobody"
    );
    assert!(counts(&holdings, &written) && !counts(&holdings, &too_late));
}

#[test]
fn an_order_to_stop_is_never_held_and_counts_on_every_branch() {
    let (fixture, [_, mut m2, ..], mut entries) = fleet();
    let mut branch = m2.clone();
    entries.push(m2.judge(stopped(device(50), Vec::new()), day(300)));
    entries.push(branch.judge(stopped(device(51), Vec::new()), day(2)));
    entries.push(m2.judge(good(device(52), Vec::new()), day(300)));
    let holdings = after(&fixture, &entries, day(5));
    assert!(is_stopped(&holdings, 50) && is_stopped(&holdings, 51));
    assert_eq!(
        holdings.judgement().in_force.len(),
        2,
        "what frees waits, what stops does not"
    );
}

#[test]
fn a_managers_verdict_on_a_manager_is_ignored() {
    let (fixture, [mut m1, m2, ..], mut entries) = fleet();
    entries.push(m1.judge(stopped(m2.subject(), m2.seen(&[])), day(2)));
    let document = m2.clone().revise("hull", &[], day(3));
    entries.push(document.clone());
    let holdings = after(&fixture, &entries, day(5));
    assert!(holdings.judgement().stopped_keys.is_empty());
    assert!(holdings.judgement().stopped_nodes.is_empty());
    assert!(counts(&holdings, &document));
}

#[test]
fn a_roots_order_stops_a_manager_where_it_says() {
    let (fixture, [mut m1, _, _, mut m4], mut entries) = fleet();
    let kept = m4.revise("hull", &[], day(2));
    let seen = m4.seen(&[LedgerKind::Fleet]);
    let gone = m4.revise("hull", &[revision(&kept)], day(3));
    let unlisted = m4.judge(stopped(device(50), Vec::new()), day(3));
    let order = fixture.order(&stopped(m4.subject(), seen));
    entries.extend([
        kept.clone(),
        gone.clone(),
        unlisted.clone(),
        m1.carry(&order, day(4)),
    ]);
    let holdings = after(&fixture, &entries, day(5));
    assert!(counts(&holdings, &kept) && !counts(&holdings, &gone));
    assert!(!counts(&holdings, &unlisted) && !is_stopped(&holdings, 50));
    assert!(
        holdings
            .judgement()
            .stopped_keys
            .contains(&cheap(4).public())
    );
    all_orders_agree(&fixture, &entries[..4], &entries[4..], day(5));
}

#[test]
fn a_rotated_key_goes_on_beside_the_thiefs_old_one() {
    let (fixture, [mut m1, _, _, m4], mut entries) = fleet();
    let mut old = m4;
    let kept = old.revise("hull", &[], day(2));
    let (mut new, statement) = fixture.manager_with(4, cheap(44), (3, 365), every_grant());
    let order = fixture.order(&stopped(old.subject(), old.seen(&[LedgerKind::Fleet])));
    new.heads = old.heads.clone();
    new.restart(5);
    let carried = [m1.carry(&statement, day(3)), m1.carry(&order, day(3))];
    let on = new.revise("hull", &[revision(&kept)], day(4));
    let thiefs = old.revise("hull", &[revision(&kept)], day(5));
    let story = [&[kept, on.clone(), thiefs.clone()], carried.as_slice()].concat();
    let holdings = after(&fixture, &[entries.clone(), story.clone()].concat(), day(9));
    assert!(counts(&holdings, &on) && !counts(&holdings, &thiefs));
    assert_eq!(winner(&holdings, "hull"), Some((day(4), 0)));
    all_orders_agree(&fixture, &entries, &story, day(9));
    entries.clear();
}

#[test]
fn an_unknown_critical_entry_of_a_stopped_hand_stops_nobody() {
    let (fixture, [mut m1, _, _, mut m4], mut entries) = fleet();
    let kind = EntryKind {
        code: 999,
        critical: true,
    };
    entries.push(m4.write(LedgerKind::Fleet, kind, Vec::new(), day(2)));
    assert!(after(&fixture, &entries, day(5)).has_unknown_critical());
    let order = fixture.order(&stopped(m4.subject(), Vec::new()));
    entries.push(m1.carry(&order, day(3)));
    assert!(!after(&fixture, &entries, day(5)).has_unknown_critical());
}

#[test]
fn a_stopped_hands_flood_keeps_nothing_out_and_leaves_nodes_agreed() {
    let (fixture, [mut m1, _, _, mut m4], mut entries) = fleet();
    let mut thief = m4.clone();
    thief.restart(1);
    let flood: Vec<Entry> = (0..4200)
        .map(|_| thief.revise("flood", &[], day(2)))
        .collect();
    let mut legit: Vec<Entry> = Vec::new();
    for start in 0..3 {
        m4.restart(start);
        legit.extend((0..2000).map(|_| m4.revise("hull", &[], day(2))));
    }
    let ruling = Ruling::Stopped;
    let order = fixture.order(&regatta_protocol::trust::verdict::Verdict {
        ruling,
        ..good(m4.subject(), m4.seen(&[LedgerKind::Fleet]))
    });
    let cut = m1.carry(&order, day(3));
    let mut early = after(&fixture, &entries, day(5));
    deliver(&mut early, flood.iter().chain(&legit).chain([&cut]));
    let longer: Vec<Entry> = (0..6100)
        .map(|_| thief.revise("flood", &[], day(2)))
        .collect();
    deliver(&mut early, &longer);
    early.settle(day(5));
    entries.push(cut);
    let mut late = after(&fixture, &entries, day(5));
    deliver(&mut late, flood.iter().chain(&longer));
    deliver(&mut late, &legit);
    late.settle(day(5));
    assert!(
        early.entries() > late.entries(),
        "the flood is cut short where the order is known"
    );
    for holdings in [&mut early, &mut late] {
        assert!(legit.iter().all(|entry| counts(holdings, entry)));
        assert!(!flood.iter().any(|entry| counts(holdings, entry)));
    }
    let group = regatta_protocol::ledger::message::Group::Fleet;
    assert_eq!(early.digest(group), late.digest(group));
    assert_eq!(early.state_digest(), late.state_digest());
}

#[test]
fn a_testified_head_that_comes_late_is_judged_when_it_comes() {
    let (fixture, [_, mut m2, mut m3, m4], mut entries) = fleet();
    let (_, known) = fixture.manager(4, (0, 365));
    let mut peer = m4;
    entries.push(peer.revise("hull", &[], day(1)));
    entries.push(m3.testify(&peer, day(2)));
    m3.restart(1);
    let silent = m3.carry(&known, day(3));
    let mut seen = good(m3.subject(), m3.seen(&[LedgerKind::Trust]));
    seen.until = Some(day(60));
    entries.push(m2.judge(seen, day(11)));
    let mut holdings = after(&fixture, &entries, day(30));
    let words = |holdings: &Holdings| {
        let ledger = peer.ledger(LedgerKind::Fleet);
        let said = &holdings.judgement().testimony;
        said.get(&ledger).map_or(0, Vec::len)
    };
    assert_eq!(words(&holdings), 0, "nobody knows yet what was seen");
    holdings.offer(&silent);
    holdings.settle(day(30));
    assert_eq!(words(&holdings), 1);
}
