//! What an idle agent costs, as a process of its own on a machine of its own: memory, CPU time, bytes.
//!
//! The shipped binary in network namespaces, two managers and seven agents: three as they are by default,
//! three with other keep-alives, one on a metered link.
//!
//! `cargo bench -p regatta-node --bench idle -- 180` (seconds measured)

#![allow(clippy::print_stdout, reason = "figures are what a benchmark is for")]

mod chaos;

use std::fs::read_to_string;
use std::thread::sleep;
use std::time::Duration;

use chaos::fleet::{FORMS, Fleet};
use chaos::lab::Lab;
use chaos::machine::Machine;

const MANAGERS: usize = 2;
const AGENTS: usize = 3;
/// What is paid for hearing sooner of a device that is gone, and a metered link.
const SPECIAL: [(&str, &str); 4] = [
    ("10s", "keep_alive = \"10s\""),
    ("30s", "keep_alive = \"30s\""),
    ("60s", "keep_alive = \"60s\""),
    ("metered", "profile = \"metered\""),
];
/// Until neighbours are found and nothing of the start is left.
const SETTLES: Duration = Duration::from_secs(60);

/// What a process has used so far.
#[derive(Clone, Copy)]
struct Used {
    cpu_ns: u64,
    /// Received and sent, with ethernet's headers.
    bytes: u64,
    frames: u64,
}

fn numbers(text: &str) -> Vec<u64> {
    let words = text.split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

fn used(machine: &Machine) -> Used {
    let process = format!("/proc/{}", machine.process());
    let mut cpu_ns = 0;
    for task in std::fs::read_dir(format!("{process}/task"))
        .expect("it runs")
        .flatten()
    {
        let spent = read_to_string(task.path().join("schedstat")).unwrap_or_default();
        cpu_ns += numbers(&spent).first().copied().unwrap_or(0);
    }
    let devices = read_to_string(format!("{process}/net/dev")).expect("it runs");
    let line = devices
        .lines()
        .find_map(|line| line.trim().strip_prefix("eth0:"));
    let counts = numbers(line.expect("each machine has one"));
    Used {
        cpu_ns,
        bytes: counts[0] + counts[8],
        frames: counts[1] + counts[9],
    }
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|it| it != "--bench");
    let seconds: u64 = arguments
        .next()
        .and_then(|it| it.parse().ok())
        .unwrap_or(180);
    let Some(lab) = Lab::open("an idle fleet") else {
        return;
    };
    let mut fleet = Fleet::formed(lab, MANAGERS, AGENTS);
    for (name, settings) in SPECIAL {
        let (mut machine, token) = fleet.invited(name);
        let path = machine.state.join("regatta.toml");
        std::fs::write(path, format!("[network]\n{settings}\n")).expect("a settings file");
        machine.ok(&["join", &token, "--name", name]);
        machine.up();
        fleet.machines.push(machine);
    }
    for machine in &fleet.machines {
        // Its kernel would look for routers all the time, and all others would hear that.
        let off = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6";
        machine.does(&["sh", "-c", off]);
    }
    fleet.all_ready(FORMS);
    sleep(SETTLES);
    let before: Vec<Used> = fleet.machines.iter().map(used).collect();
    sleep(Duration::from_secs(seconds));
    println!("over {seconds} s; a minute:");
    println!("node     RSS MiB  PSS MiB  CPU s/min  bytes/min  frames/min");
    for (machine, before) in fleet.machines.iter().zip(before) {
        let now = used(machine);
        let minute = |count: u64| float(count) * 60.0 / float(seconds);
        println!(
            "{:8} {:7.1}  {:7.1}  {:9.3}  {:9.0}  {:10.1}",
            machine.name,
            float(machine.kernel_kib("status", "VmRSS:")) / 1024.0,
            float(machine.kernel_kib("smaps_rollup", "Pss:")) / 1024.0,
            minute((now.cpu_ns - before.cpu_ns) / 1000) / 1e6,
            minute(now.bytes - before.bytes),
            minute(now.frames - before.frames),
        );
    }
}
