//! The duties of a manager, each with its test.

use regatta_protocol::codec;
use regatta_protocol::ledger::entry::{Entry, LedgerKind};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::limits::BODY_CARRIED_BYTES_MAX;
use regatta_protocol::trust::record::content;
use regatta_protocol::trust::steward::{Done, Duties, Steward};
use regatta_protocol::trust::verdict::{Verdict, Verdicts};

use crate::fixture::{Hand, cheap, day, deliver, stopped};
use crate::scenarios::fleet;
use crate::state::after;

fn duties(of: &Hand, holdings: &Holdings, done: &mut Done) -> Duties {
    let steward = Steward {
        node: of.node,
        serial: of.serial,
    };
    steward.duties(holdings, done)
}

/// Does what is to be done on a day; gives the entries.
fn act(of: &mut Hand, holdings: &mut Holdings, done: &mut Done, on: u64) -> Vec<Entry> {
    holdings.settle(day(on));
    let drafts = duties(of, holdings, done).drafts;
    let entries: Vec<Entry> = drafts
        .iter()
        .map(|draft| of.draft(draft, day(on)))
        .collect();
    deliver(holdings, &entries);
    holdings.settle(day(on));
    entries
}

fn verdicts(entries: &[Entry]) -> Vec<Verdict> {
    let said = entries.iter().filter_map(|entry| {
        let Verdicts(verdicts) = codec::decode(content(entry)?).ok()?;
        Some(verdicts)
    });
    said.flatten().collect()
}

#[test]
fn heads_that_moved_are_testified_once_a_day() {
    let (fixture, [m1, mut m2, ..], entries) = fleet();
    let mut holdings = after(&fixture, &entries, day(1));
    let mut done = Done::default();
    let first = verdicts(&act(&mut m2, &mut holdings, &mut done, 1));
    let of_m1: Vec<&Verdict> = first
        .iter()
        .filter(|said| said.subject == m1.subject())
        .collect();
    assert_eq!(of_m1.len(), 1);
    assert_eq!(of_m1[0].ledgers, m1.seen(&[LedgerKind::Trust]));
    assert_eq!(act(&mut m2, &mut holdings, &mut done, 1), Vec::new());
    let mut m1 = m1;
    deliver(&mut holdings, [&m1.revise("hull", &[], day(1))]);
    assert_eq!(
        act(&mut m2, &mut holdings, &mut done, 1),
        Vec::new(),
        "not twice a day"
    );
    let second = verdicts(&act(&mut m2, &mut holdings, &mut done, 2));
    let moved = second.iter().find(|said| said.subject == m1.subject());
    assert_eq!(
        moved.expect("testimony").ledgers,
        m1.seen(&[LedgerKind::Fleet])
    );
}

#[test]
fn a_peer_that_will_lapse_is_renewed_and_oneself_never() {
    let (fixture, [_, mut m2, mut m3, m4], mut entries) = fleet();
    entries.push(m3.revise("hull", &[], day(1)));
    let mut holdings = after(&fixture, &entries, day(1));
    let own = verdicts(&act(
        &mut m3,
        &mut holdings.clone(),
        &mut Done::default(),
        1,
    ));
    assert!(
        own.iter()
            .all(|said| said.subject != m3.subject() && said.until.is_none())
    );
    let mut done = Done::default();
    let said = verdicts(&act(&mut m2, &mut holdings, &mut done, 1));
    let on = |subject| said.iter().find(move |said| said.subject == subject);
    assert_eq!(on(m3.subject()).expect("renewal").until, Some(day(91)));
    assert!(on(m4.subject()).is_none_or(|said| said.until.is_none()));
    assert_eq!(holdings.judgement().renewed.get(&m3.serial), Some(&day(91)));
    let later = verdicts(&act(&mut m2, &mut holdings, &mut done, 3));
    assert!(
        later.iter().all(|said| said.until.is_none()),
        "renewed for long enough"
    );
}

#[test]
fn a_lapse_is_testified_once_at_once() {
    let (fixture, [_, mut m2, mut m3, _], mut entries) = fleet();
    entries.push(m3.revise("hull", &[], day(1)));
    let mut holdings = after(&fixture, &entries, day(13));
    let mut done = Done::default();
    let said = verdicts(&act(&mut m2, &mut holdings, &mut done, 13));
    let of_lapsed = said.iter().filter(|said| said.subject == m3.subject());
    let of_lapsed: Vec<&Verdict> = of_lapsed.collect();
    assert_eq!(of_lapsed.len(), 1);
    assert_eq!(of_lapsed[0].ledgers, m3.seen(&[LedgerKind::Fleet]));
    assert_eq!(
        of_lapsed[0].until, None,
        "what has lapsed is not brought back"
    );
    let thiefs = m3.revise("hull", &[], day(2));
    deliver(&mut holdings, [&thiefs]);
    let later = verdicts(&act(&mut m2, &mut holdings, &mut done, 15));
    assert!(later.iter().all(|said| said.subject != m3.subject()));
    let fleet = &holdings.chains()[&m3.ledger(LedgerKind::Fleet)];
    let link = fleet.find(&thiefs.hash).expect("held");
    assert!(!holdings.counts(&m3.ledger(LedgerKind::Fleet), link));
}

#[test]
fn what_only_a_stopped_manager_carries_is_carried_again() {
    let (fixture, [mut m1, mut m2, ..], entries) = fleet();
    let order = fixture.order(&stopped(m1.subject(), Vec::new()));
    let mut holdings = after(&fixture, &entries, day(1));
    deliver(&mut holdings, [&m1.carry(&order, day(1))]);
    let mut done = Done::default();
    let written = act(&mut m2, &mut holdings, &mut done, 1);
    let mut fresh = fixture.holdings();
    deliver(&mut fresh, &written);
    fresh.settle(day(1));
    assert_eq!(
        fresh.record().managers().len(),
        4,
        "carried without the first manager's ledger"
    );
    assert!(fresh.judgement().stopped_keys.contains(&cheap(1).public()));
    assert_eq!(act(&mut m2, &mut holdings, &mut done, 1), Vec::new());
    assert_eq!(
        act(&mut m1, &mut holdings, &mut Done::default(), 1),
        Vec::new(),
        "stopped"
    );
}

#[test]
fn what_will_lapse_is_said_at_60_30_7_and_1_days() {
    let (fixture, [m1, ..], entries) = fleet();
    let mut holdings = after(&fixture, &entries, day(200));
    let mut done = Done::default();
    let mut said = Vec::new();
    for on in 200..370 {
        holdings.settle(day(on));
        let notices = duties(&m1, &holdings, &mut done).notices;
        let of_m1 = notices
            .into_iter()
            .filter(|notice| notice.name.as_str() == "m1");
        said.extend(of_m1.map(|notice| (on, notice.days)));
    }
    assert_eq!(said, [(305, 60), (335, 30), (358, 7), (364, 1), (366, 0)]);
}

#[test]
fn testimony_on_very_many_ledgers_fits_its_entries() {
    use regatta_protocol::catalog::Revision;
    use regatta_protocol::ident::NodeId;
    use regatta_protocol::selector::Selector;
    let (fixture, [mut m1, mut m2, ..], mut entries) = fleet();
    let revision = Revision {
        kind: 1,
        name: crate::fixture::name("hull"),
        replaces: Vec::new(),
        select: Selector::everything(),
        deletes: false,
        version: 1,
        staged: false,
        body: None,
    };
    for scope in 0_u16..1500 {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&scope.to_le_bytes());
        entries.push(m1.write_scoped(NodeId(id), codec::encode(&revision), day(1)));
    }
    let mut holdings = after(&fixture, &entries, day(1));
    let written = act(&mut m2, &mut holdings, &mut Done::default(), 1);
    assert!(written.len() > 1);
    let carried = written.iter().filter_map(|entry| entry.carried());
    assert!(
        carried
            .into_iter()
            .all(|body| body.len() <= BODY_CARRIED_BYTES_MAX)
    );
    let ledgers = verdicts(&written)
        .iter()
        .map(|said| said.ledgers.len())
        .sum::<usize>();
    assert_eq!(ledgers, 1501);
}
