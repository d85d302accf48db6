//! Too little of what the system gives: descriptors that somebody takes away, little memory.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::facts::{holds, say, until, while_for};
use super::fleet::{FORMS, Fleet};
use super::ground::absent;
use super::history::History;
use super::lab::Lab;

const DESCRIPTORS: &str = "64";
/// More than the node has descriptors for.
const HELD: usize = 100;
const MEMORY_MAX: u64 = 48 * 1024 * 1024;
/// Well again within that time.
const RECOVERS: Duration = Duration::from_secs(10);
/// Longer than links take to notice that somebody is gone.
const WATCHED: Duration = Duration::from_secs(20);

#[test]
fn with_few_descriptors_a_manager_keeps_its_links_says_so_and_recovers() {
    let Some(lab) = Lab::open("few descriptors") else {
        return;
    };
    let mut fleet = Fleet::formed(lab, 1, 2);
    let mut history = History::default();
    fleet.get_mut("m1").terminate();
    let limit = format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}");
    fleet.get_mut("m1").up_under(&["prlimit", &limit]);
    fleet.all_ready(FORMS);
    let socket = fleet.get("m1").state.join("control.sock");
    let open = |_| UnixStream::connect(&socket);
    let held: Vec<UnixStream> = (0..HELD).map_while(|it| open(it).ok()).collect();
    until("it says that it cannot take more", RECOVERS, || {
        let log = fleet.get("m1").log();
        holds(log.contains("could not be accepted"), || {
            log.lines().last().unwrap_or_default().to_owned()
        })
    });
    // Who holds its connections open without a word loses them; members lose nothing meanwhile.
    while_for("an agent lost its manager", WATCHED, || {
        for agent in fleet.agents() {
            let reach = &agent.ask(&["status"])?["reach"];
            holds(reach["managers"] == 1, || {
                format!("{}: {reach}", agent.name)
            })?;
        }
        Ok(())
    });
    let said = fleet.get("m1").log();
    let said = said.matches("could not be accepted").count();
    assert!(said <= 5, "it said so {said} times");
    drop(held);
    let (_, took) = until("labels are taken again", RECOVERS, || {
        holds(history.label(fleet.get("m1"), "a1", "shelf", "1"), || {
            "refused".to_owned()
        })
    });
    fleet.all_ready(FORMS);
    say(&format!(
        "chaos: {DESCRIPTORS} descriptors, all taken for {} s: no link lost, commands again {} ms after",
        WATCHED.as_secs(),
        took.as_millis()
    ));
}

/// A memory controller of this machine, with a group of this test's own in it.
struct Group(PathBuf);

impl Group {
    fn limited() -> Option<Self> {
        let name = format!("regatta-chaos-{}", std::process::id());
        let (first, second) = ("/sys/fs/cgroup/memory", "/sys/fs/cgroup");
        let (parent, limit) = match Path::new(first).exists() {
            true => (first, "memory.limit_in_bytes"),
            false => (second, "memory.max"),
        };
        let group = Path::new(parent).join(name);
        std::fs::create_dir(&group).ok()?;
        let group = Self(group);
        std::fs::write(group.0.join(limit), MEMORY_MAX.to_string()).ok()?;
        Some(group)
    }

    fn add(&self, process: u32) {
        let added = std::fs::write(self.0.join("cgroup.procs"), process.to_string());
        added.expect("a process of ours goes into a group of ours");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Processes that still end there keep it; it is empty and costs nothing.
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn an_agent_lives_in_48_mib() {
    let Some(lab) = Lab::open("48 MiB of memory") else {
        return;
    };
    let Some(group) = Group::limited() else {
        absent("48 MiB of memory: no memory controller that this user may use");
        return;
    };
    let fleet = Fleet::formed(lab, 1, 1);
    group.add(fleet.get("a1").process());
    let mut history = History::default();
    for number in 0..50 {
        assert!(history.label(fleet.get("m1"), "a1", "shelf", &number.to_string()));
    }
    fleet.agreed(FORMS);
    fleet.all_ready(FORMS);
    let peak = fleet.get("a1").kernel_kib("status", "VmHWM:");
    say(&format!("chaos: an agent in 48 MiB: at most {peak} KiB"));
    drop(fleet);
}
