//! A full disk: what is ordinary is refused, what is urgent is kept, and room mends it.

use std::time::Duration;

use super::facts::{holds, say, until};
use super::fleet::{FORMS, Fleet, state};
use super::history::History;
use super::lab::Lab;

/// Labels are taken again within that time of making room.
const RECOVERS: Duration = Duration::from_secs(10);

#[test]
fn a_full_disk_refuses_labels_and_still_revokes() {
    let Some(mut lab) = Lab::open("a full disk") else {
        return;
    };
    let small = lab.machine("m1");
    let state_dir = small.state.to_string_lossy().into_owned();
    small.does(&[
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=64m,mode=750",
        "small",
        &state_dir,
    ]);
    let mut fleet = Fleet::found_on(lab, "acme", small);
    fleet.agent("a1");
    fleet.agent("a2");
    fleet.all_ready(FORMS);
    let mut history = History::default();
    assert!(history.label(fleet.get("m1"), "a1", "shelf", "1"));
    fleet.agreed(FORMS);

    let manager = fleet.get("m1");
    let fill = format!("cat /dev/zero > {state_dir}/fill 2>/dev/null; df {state_dir} | tail -n 1");
    manager.does(&["sh", "-c", &fill]);
    // The write that finds the disk full goes into the space that is kept; none does after it.
    let taken = (0..3).filter(|it| history.label(manager, "a1", "late", &format!("{it}")));
    let taken = taken.count();
    assert!(taken <= 1, "{taken} labels were taken on a full disk");
    manager.refuses(&["label", "a1", "shelf=2"], 2, "full");
    assert_eq!(state(manager, "a1").as_deref(), Ok("ready"), "reads go on");
    assert!(history.stop(manager, "a2"), "a revocation is kept");
    fleet.out.push("a2".to_owned());
    let manager = fleet.get("m1");
    until("the fleet knows of the revocation", RECOVERS, || {
        let reach = &fleet.get("a2").ask(&["status"])?["reach"];
        holds(reach["links"] == 0, || reach.to_string())
    });
    assert_eq!(manager.json(&["status"])["disk"]["full"], true);

    manager.does(&["rm", &format!("{state_dir}/fill")]);
    let (_, took) = until("labels are taken again", RECOVERS, || {
        holds(history.label(manager, "a1", "shelf", "3"), || {
            "refused".to_owned()
        })
    });
    fleet.agreed(FORMS);
    fleet.get_mut("m1").kill();
    fleet.get_mut("m1").up();
    let lost = history.lost(fleet.get("m1")).expect("it answers");
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    say(&format!(
        "chaos: a full disk: labels again {} ms after room was made",
        took.as_millis()
    ));
}
