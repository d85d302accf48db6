//! Who may read which body, as a table over real ledgers.

use super::fleet::{Draft, Fleet, Member, TODAY};
use crate::ident::NodeId;
use crate::ledger::bodies::library::{Library, Reading};
use crate::limits::{BODY_CARRIED_BYTES_MAX, DAY_MS};
use crate::machine::Millis;
use crate::trust::certificate::{Capability, Grant, Rank, Window};

fn may(fleet: &Fleet, body: &[u8], reader: &Member, at: Millis) -> bool {
    let reading = Reading {
        holdings: &fleet.holdings,
        shelf: &fleet.shelf,
        reference: at,
    };
    let hash = crate::ledger::bodies::root_of(body);
    reading.may_read(&hash, &fleet.credentials(reader))
}

#[test]
fn a_body_is_for_those_whom_its_revision_selects() {
    let mut fleet = Fleet::new(1);
    let osaka = fleet.device(1, "osaka");
    let kobe = fleet.device(2, "kobe");
    let hold = vec![Grant::everywhere(Capability::Hold)];
    let keeper = fleet.another_manager(201, hold);
    let idle = fleet.another_manager(202, vec![Grant::everywhere(Capability::Relay)]);
    let operator = fleet.issue(Draft::new(Rank::Operator, 9, "osaka", Vec::new()));
    fleet.publish(b"site", "site=osaka", None);
    fleet.publish(b"named", "name=boat-2", None);
    fleet.publish(b"all", "", None);
    fleet.publish(b"scoped", "", Some(NodeId([2; 16])));
    let manager = fleet.manager.clone();
    let table: [(&[u8], [bool; 6]); 5] = [
        // osaka, kobe, the writer, a manager that holds, one that does neither, an operator
        (b"site", [true, false, true, true, false, false]),
        (b"named", [false, true, true, true, false, false]),
        (b"all", [true, true, true, true, true, false]),
        (b"scoped", [false, true, true, true, false, false]),
        (
            b"nobody named this",
            [false, false, true, true, false, false],
        ),
    ];
    let readers = [&osaka, &kobe, &manager, &keeper, &idle, &operator];
    for (body, expect) in table {
        let found = readers.map(|reader| may(&fleet, body, reader, TODAY));
        assert_eq!(found, expect, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn a_lapsed_reader_and_a_lapsed_revision_open_nothing() {
    let mut fleet = Fleet::new(2);
    let mut draft = Draft::new(Rank::Device, 1, "osaka", Vec::new());
    draft.window = Window {
        from: Millis(TODAY.0 - DAY_MS),
        to: TODAY,
    };
    let lapsing = fleet.issue(draft);
    let lasting = fleet.device(2, "osaka");
    fleet.publish(b"lasting", "site=osaka", None);
    fleet.write(b"lapsing", "site=osaka", None, Some(TODAY));
    let tomorrow = TODAY.plus(DAY_MS);
    assert!(may(&fleet, b"lasting", &lapsing, TODAY));
    assert!(!may(&fleet, b"lasting", &lapsing, tomorrow));
    assert!(may(&fleet, b"lapsing", &lasting, TODAY));
    assert!(!may(&fleet, b"lapsing", &lasting, tomorrow));
}

#[test]
fn a_stamp_from_the_future_opens_nothing_yet() {
    let mut fleet = Fleet::new(3);
    let osaka = fleet.device(1, "osaka");
    fleet.publish(b"early", "site=osaka", None);
    assert!(!may(&fleet, b"early", &osaka, Millis(TODAY.0 - DAY_MS / 2)));
    assert!(may(&fleet, b"early", &osaka, TODAY));
}

#[test]
fn short_bodies_ride_along_to_their_readers_alone() {
    let mut fleet = Fleet::new(4);
    let osaka = fleet.device(1, "osaka");
    let kobe = fleet.device(2, "kobe");
    let short = fleet.write(&[1; BODY_CARRIED_BYTES_MAX], "site=osaka", None, None);
    let long = fleet.write(&[1; BODY_CARRIED_BYTES_MAX + 1], "site=osaka", None, None);
    let reading = Reading {
        holdings: &fleet.holdings,
        shelf: &fleet.shelf,
        reference: TODAY,
    };
    let rides = |entry, reader| reading.may_ride(entry, &fleet.credentials(reader));
    assert!(rides(&short, &osaka));
    assert!(!rides(&short, &kobe));
    assert!(!rides(&long, &osaka));
}
