//! Which revisions a device takes: by selector, by what their authors may, by how far they have gone out.

use regatta_protocol::catalog::{CONFIG, Revision, RevisionId, RevisionSet};
use regatta_protocol::codec;
use regatta_protocol::config::document::{RolloutSpec, Wave};
use regatta_protocol::config::rollout::{RolloutDocument, RolloutState, Rollouts, can, key_of};
use regatta_protocol::config::selection::{Reach, Selection, may_run};
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::bodies::library::{Library, Reading};
use regatta_protocol::ledger::entry::{BodyRef, Entry, EntryKind, LedgerKind};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::certificate::{Capability, Grant};

use crate::fixture::{Fixture, Hand, cheap, day, deliver, name, revision};

fn labels(site: &str) -> Labels {
    let labels = Labels::from_pairs([(name("site"), name(site))]);
    labels.expect("labels").with_name(&name("amr-07"))
}

fn body(number: u8) -> BodyRef {
    BodyRef {
        hash: Hash([number; 32]),
        bytes: 100,
        carried: false,
    }
}

/// One revision of `nav`, as a set of one, so that its body is its own.
fn nav(select: &str, replaces: &[RevisionId]) -> Revision {
    Revision {
        kind: CONFIG,
        name: name("nav"),
        replaces: replaces.to_vec(),
        select: Selector::parse(select).expect("a selector"),
        deletes: false,
        version: 1 + u32::try_from(replaces.len()).expect("few"),
        staged: false,
        body: Some(body(1)),
    }
}

fn write(hand: &mut Hand, revision: Revision, on: u64) -> Entry {
    let set = codec::encode(&RevisionSet(vec![revision]));
    hand.write(LedgerKind::Fleet, EntryKind::SET, set, day(on))
}

/// A fleet with a manager for everything and one for Osaka alone.
fn fleet() -> (Fixture, Hand, Hand, Vec<Entry>) {
    let fixture = Fixture::new();
    let (mut whole, first) = fixture.manager(1, (0, 100));
    let osaka = Selector::parse("site=osaka").expect("a selector");
    let grants = [
        (Capability::ConfigWrite, Vec::new()),
        (Capability::ExecRun, vec![name("nav")]),
    ];
    let grants = grants.map(|(capability, run_as)| Grant {
        capability,
        selector: osaka.clone(),
        run_as,
    });
    let (narrow, second) = fixture.manager_with(2, cheap(2), (0, 100), grants.to_vec());
    let entries = vec![whole.carry(&first, day(0)), whole.carry(&second, day(0))];
    (fixture, whole, narrow, entries)
}

fn after(fixture: &Fixture, entries: &[Entry]) -> Holdings {
    let mut holdings = fixture.holdings();
    deliver(&mut holdings, entries);
    holdings.settle(day(50));
    holdings
}

fn taken(holdings: &Holdings, labels: &Labels) -> Vec<RevisionId> {
    let selection = Selection::of(holdings, labels, |_, _| Reach::Unknown);
    selection.take.iter().map(|it| it.chosen.revision).collect()
}

#[test]
fn a_device_takes_what_selects_it_and_lets_go_of_what_does_not_any_more() {
    let (fixture, mut whole, _, mut entries) = fleet();
    let first = write(&mut whole, nav("", &[]), 1);
    entries.push(first.clone());
    let holdings = after(&fixture, &entries);
    assert_eq!(taken(&holdings, &labels("kyoto")), [revision(&first)]);
    let second = write(&mut whole, nav("site=osaka", &[revision(&first)]), 2);
    entries.push(second.clone());
    let holdings = after(&fixture, &entries);
    assert_eq!(taken(&holdings, &labels("osaka")), [revision(&second)]);
    let selection = Selection::of(&holdings, &labels("kyoto"), |_, _| Reach::Here);
    assert!(selection.take.is_empty());
    assert_eq!(selection.ended[&name("nav")], second.hash);
    let gone = Revision {
        deletes: true,
        body: None,
        ..nav("", &[revision(&second)])
    };
    entries.push(write(&mut whole, gone, 3));
    assert!(taken(&after(&fixture, &entries), &labels("osaka")).is_empty());
}

#[test]
fn what_its_author_may_not_write_for_a_device_is_refused_there_and_what_was_before_stands() {
    let (fixture, mut whole, mut narrow, mut entries) = fleet();
    let first = write(&mut whole, nav("", &[]), 1);
    let second = write(&mut narrow, nav("", &[revision(&first)]), 2);
    entries.extend([first.clone(), second.clone()]);
    let holdings = after(&fixture, &entries);
    assert_eq!(taken(&holdings, &labels("osaka")), [revision(&second)]);
    let selection = Selection::of(&holdings, &labels("kyoto"), |_, _| Reach::Here);
    assert_eq!(selection.take[0].chosen.revision, revision(&first));
    assert_eq!(selection.denied[0].revision, revision(&second));
    // Nor may he have commands run there, or as anybody but whom he was granted.
    let (signer, nav) = (second.header.signer, name("nav"));
    let may = |site: &str, user: Option<&str>| {
        let user = user.map(name);
        may_run(&holdings, &signer, &labels(site), user.as_ref())
    };
    assert!(may("osaka", Some("nav")));
    assert!(!may("osaka", Some("root")) && !may("osaka", None) && !may("kyoto", Some("nav")));
    assert!(may_run(
        &holdings,
        &first.header.signer,
        &labels("kyoto"),
        Some(&nav)
    ));
}

#[test]
fn what_goes_out_in_waves_is_taken_once_it_has_come_and_until_then_what_was_before() {
    let (fixture, mut whole, _, mut entries) = fleet();
    let first = write(&mut whole, nav("", &[]), 1);
    let staged = Revision {
        staged: true,
        ..nav("", &[revision(&first)])
    };
    let second = write(&mut whole, staged, 2);
    entries.extend([first.clone(), second.clone()]);
    let holdings = after(&fixture, &entries);
    let take = |reach: Reach| {
        let selection = Selection::of(&holdings, &labels("osaka"), |_, id| {
            assert_eq!(*id, revision(&second), "only what is staged is asked about");
            reach
        });
        let taken = selection.take.first().map(|it| it.chosen.revision);
        (taken, selection.unknown)
    };
    let base = Some(revision(&first));
    assert_eq!(take(Reach::Here), (Some(revision(&second)), Vec::new()));
    assert_eq!(take(Reach::NotYet { base }), (base, Vec::new()));
    assert_eq!(take(Reach::NotYet { base: None }), (None, Vec::new()));
    assert_eq!(take(Reach::Unknown), (None, vec![name("nav")]));
}

#[test]
fn a_body_in_a_set_is_read_by_those_whom_its_own_revision_selects() {
    let (fixture, mut whole, _, mut entries) = fleet();
    let other = Revision {
        name: name("other"),
        select: Selector::parse("site=kyoto").expect("a selector"),
        body: Some(body(2)),
        ..nav("", &[])
    };
    let set = codec::encode(&RevisionSet(vec![nav("site=osaka", &[]), other]));
    entries.push(whole.write(LedgerKind::Fleet, EntryKind::SET, set, day(1)));
    let holdings = after(&fixture, &entries);
    let reading = Reading {
        holdings: &holdings,
        shelf: holdings.shelf(),
        reference: day(50),
    };
    for number in [1, 2] {
        assert!(reading.is_named(&body(number).hash, 100));
        assert!(
            !reading.is_named(&body(number).hash, 99),
            "of this length alone"
        );
    }
    let take = |site| {
        let selection = Selection::of(&holdings, &labels(site), |_, _| Reach::Here);
        selection.take.iter().map(|it| it.body).collect::<Vec<_>>()
    };
    assert_eq!(take("osaka"), [body(1)]);
    assert_eq!(take("kyoto"), [body(2)]);
}

/// A rollout of a revision that everybody is to take, as somebody says it.
fn opens(of: RevisionId) -> RolloutDocument {
    let spec = RolloutSpec {
        waves: vec![Wave::Percent(100)],
        success_percent: 100,
        pause_ms: 0,
        min_available: [].into(),
    };
    RolloutDocument {
        state: RolloutState::Complete,
        ..RolloutDocument::start(of, None, spec, day(2))
    }
}

#[test]
fn a_word_on_a_rollout_counts_only_on_devices_for_which_its_author_may_write() {
    let (fixture, mut whole, mut narrow, mut entries) = fleet();
    let first = write(&mut whole, nav("", &[]), 1);
    let staged = Revision {
        staged: true,
        ..nav("", &[revision(&first)])
    };
    let second = write(&mut whole, staged, 2);
    let of = revision(&second);
    let key = key_of(&of);
    let word = |replaces: &[RevisionId]| Revision {
        kind: key.kind,
        name: key.name.clone(),
        body: Some(body(3)),
        ..nav("", replaces)
    };
    let begun = write(&mut whole, word(&[]), 3);
    let opened = write(&mut narrow, word(&[revision(&begun)]), 4);
    entries.extend([first.clone(), second, begun.clone(), opened.clone()]);
    let holdings = after(&fixture, &entries);
    let mut rollouts = Rollouts::default();
    let kyoto = labels("kyoto");
    assert_eq!(
        rollouts.of(&holdings, &of, std::slice::from_ref(&kyoto)),
        Err(vec![(revision(&begun), body(3))]),
        "only the word that counts there has to be read"
    );
    let base = Some(revision(&first));
    let begins = RolloutDocument {
        base,
        state: RolloutState::Running,
        ..opens(of)
    };
    rollouts.take(revision(&begun), begins);
    rollouts.take(revision(&opened), opens(of));
    let reach = |site: &str| rollouts.reach(&holdings, &of, (&NodeId([7; 16]), &labels(site)));
    assert_eq!(reach("osaka"), Reach::Here);
    assert_eq!(reach("kyoto"), Reach::NotYet { base });
    // Whoever may not write for all of them neither drives it nor is heard by those who do.
    let both = [labels("osaka"), kyoto];
    let found = rollouts.of(&holdings, &of, &both).expect("all were read");
    assert_eq!(found.expect("it began").state, RolloutState::Running);
    let can = |hand: &Hand, devices: &[Labels]| {
        can(&holdings, &hand.node, Capability::ConfigWrite, devices)
    };
    assert!(can(&whole, &both) && can(&narrow, &both[..1]));
    assert!(!can(&narrow, &both));
}
