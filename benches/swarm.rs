//! One file to eight devices, real processes, each machine behind an uplink of its own: how long until all
//! have it, against the time that one uplink takes for one copy, and how many copies leave the manager.
//!
//! `cargo bench -p regatta-node --bench swarm -- 64 3 200` (MiB, times, Mbit/s)

#![allow(clippy::print_stdout, reason = "figures are what a benchmark is for")]

mod chaos;
mod figures;

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use chaos::facts::{holds, until};
use chaos::fleet::{FORMS, Fleet};
use chaos::lab::Lab;
use chaos::machine::Machine;

use self::figures::median;

const DEVICES: usize = 8;
const UPLINK_MBIT: usize = 200;
const PATIENCE: Duration = Duration::from_secs(240);
/// Homes are chosen and neighbours found by then.
const SETTLES: Duration = Duration::from_secs(30);

/// What a machine has sent, in bytes.
fn sent(machine: &Machine) -> u64 {
    let read = machine.does(&["cat", "/proc/net/dev"]);
    let read = String::from_utf8(read.stdout).expect("it is text");
    let mut rows = read
        .lines()
        .filter_map(|row| row.trim().strip_prefix("eth0:"));
    let mut columns = rows.next().expect("there is an eth0").split_whitespace();
    let sent = columns.nth(8).expect("what was received has eight columns");
    sent.parse().expect("a number")
}

/// Processor time that a node has taken, in seconds.
fn worked(machine: &Machine) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", machine.process()));
    let stat = stat.expect("it runs");
    let (_, after) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks: f64 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|it| it.parse::<f64>().expect("a number"))
        .sum();
    // The kernel counts in hundredths, whatever the machine.
    ticks / 100.0
}

fn narrow(machine: &Machine, mbit: usize) {
    let rate = format!("{mbit}mbit");
    machine.does(&[
        "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", &rate, "burst", "256kb",
        "latency", "100ms",
    ]);
}

/// A manager and devices, each with a folder of its own that its files stand in.
fn site(lab: Lab, mbit: usize) -> Fleet {
    let mut fleet = Fleet::found(lab, "acme", "m1");
    for number in 1..=DEVICES {
        let name = format!("a{number}");
        let (mut device, token) = fleet.invited(&name);
        device.ok(&["join", &token, "--name", &name]);
        let root = device.state.with_extension("root");
        fs::create_dir(&root).expect("a new folder");
        let settings = format!("[files]\nroot = {:?}\n", root.display().to_string());
        fs::write(device.state.join("regatta.toml"), settings).expect("written");
        device.up();
        fleet.machines.push(device);
    }
    fleet.all_ready(FORMS);
    for machine in &fleet.machines {
        narrow(machine, mbit);
    }
    sleep(SETTLES);
    fleet
}

/// Bytes that no compression makes less of.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}

/// How long until all have it, copies that left the manager, and processor seconds of all nodes.
fn once(fleet: &Fleet, bytes: usize, number: usize) -> (f64, f64, f64) {
    let (map, document) = (
        fleet.lab.folder().join("map.bin"),
        fleet.lab.folder().join("map.yaml"),
    );
    fs::write(&map, noise(bytes, 7919 * (number as u64 + 1))).expect("written");
    let words = format!(
        "apiVersion: regatta/v1\nkind: Config\nmetadata: {{name: map}}\nspec:\n  select: ''\n  \
         values: {{map: {{number: {number}}}}}\n  files:\n  \
         - {{path: /opt/map.bin, content: ./map.bin}}\n  - {{path: /opt/number.json, from: map}}\n"
    );
    fs::write(&document, words).expect("written");
    let manager = fleet.get("m1");
    manager.ok(&["apply", "--yes", "-f", &document.display().to_string()]);
    let began = Instant::now();
    let (before, work) = (sent(manager), all(fleet));
    until("all have it", PATIENCE, || {
        for device in fleet.agents() {
            let number_file = device.state.with_extension("root").join("opt/number.json");
            let shown = fs::read_to_string(number_file).unwrap_or_default();
            let expect = format!("\"number\": {number}");
            holds(shown.contains(&expect), || {
                format!("{}: {shown:?}", device.name)
            })?;
        }
        Ok(())
    });
    let took = began.elapsed().as_secs_f64();
    let copies = (sent(manager) - before) as f64 / bytes as f64;
    for device in fleet.agents() {
        let shown = fs::metadata(device.state.with_extension("root").join("opt/map.bin"));
        assert_eq!(shown.expect("it is there").len(), bytes as u64);
    }
    (took, copies, all(fleet) - work)
}

fn all(fleet: &Fleet) -> f64 {
    fleet.machines.iter().map(worked).sum()
}

fn main() {
    let arguments = std::env::args().skip(1).filter(|it| it != "--bench");
    let mut numbers = arguments.filter_map(|it| it.parse::<usize>().ok());
    let (mib, times) = (numbers.next().unwrap_or(64), numbers.next().unwrap_or(3));
    let mbit = numbers.next().unwrap_or(UPLINK_MBIT);
    let Some(lab) = Lab::open("one file to eight devices") else {
        return;
    };
    let fleet = site(lab, mbit);
    let bytes = mib << 20;
    let bound = bytes as f64 * 8.0 / (mbit as f64 * 1e6);
    let (mut took, mut copies) = (Vec::new(), Vec::new());
    println!("{mib} MiB to {DEVICES} devices, uplinks of {mbit} Mbit/s, bound {bound:.2} s:");
    for number in 0..times {
        let (time, share, work) = once(&fleet, bytes, number + 1);
        println!(
            "all have it after {time:.2} s, {:.2} times the bound; {share:.2} copies left the manager; \
             {work:.1} CPU-seconds on all nodes",
            time / bound
        );
        took.push(time / bound);
        copies.push(share);
        sleep(Duration::from_secs(5));
    }
    println!(
        "median: {:.2} times the bound, {:.2} copies",
        median(took),
        median(copies)
    );
}
