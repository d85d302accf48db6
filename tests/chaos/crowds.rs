//! A stranger with a thousand connections, and one that sends what is none of our protocols.

use std::fs::read_to_string;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::crowd::{CONNECTIONS, Crowd};
use super::facts::{holds, say, until};
use super::fleet::{FORMS, Fleet};
use super::lab::Lab;
use super::machine::Machine;

const PINGS: &str = "100";
/// What a stranger can have a node hold in memory.
const GROWTH_KIB_MAX: u64 = 16 * 1024;
/// Silent and senseless connections are closed within that time.
const CLOSED: Duration = Duration::from_secs(30);

/// A shell on a machine; it ends with its standard input.
fn shell(machine: &Machine, script: &str) -> Child {
    let mut command = machine.on(&["bash", "-c", script]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("nsenter started before")
}

/// The slowest but one of a hundred answers, in milliseconds.
fn slowest(manager: &Machine, device: &str) -> f64 {
    let pings = ["ping", device, "-c", PINGS, "-i", "100ms", "-o", "json"];
    let said = manager.ok(&pings);
    let mut took: Vec<f64> = said
        .lines()
        .map(|line| {
            let pong: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let micros = pong["pong"]["rtt_us"].as_f64();
            micros.unwrap_or_else(|| panic!("a probe was lost: {line}")) / 1000.0
        })
        .collect();
    took.sort_by(f64::total_cmp);
    took[took.len() - 2]
}

/// Connections over TCP that a machine's node has.
fn connections(machine: &Machine) -> usize {
    let text = read_to_string(format!("/proc/{}/net/tcp", machine.process()));
    let text = text.unwrap_or_default();
    // State 01 is an established one.
    let open = text
        .lines()
        .filter(|line| line.split_whitespace().nth(3) == Some("01"));
    open.count()
}

#[test]
fn a_stranger_with_a_thousand_connections_takes_nobodys_place() {
    let Some(lab) = Lab::open("a stranger with 1,000 connections") else {
        return;
    };
    let mut fleet = Fleet::formed(lab, 1, 2);
    let stranger = fleet.lab.machine("stranger");
    let manager = fleet.get("m1");
    let calm = slowest(manager, "a1");
    let (before, own) = (manager.kernel_kib("status", "VmRSS:"), connections(manager));
    let crowd = Crowd::of(&stranger, &manager.address());
    until("the crowd is there", FORMS, || {
        let open = connections(manager);
        holds(open > own + 10, || format!("{open} connections"))
    });
    let crowded = slowest(manager, "a1");
    let began = Instant::now();
    fleet.agent("late");
    let joined = began.elapsed();
    let manager = fleet.get("m1");
    let (after, open) = (manager.kernel_kib("status", "VmRSS:"), connections(manager));
    let reach = &manager.json(&["status"])["reach"];
    assert_eq!(reach["links"], 3, "every member keeps its link: {reach}");
    let grown = after.saturating_sub(before);
    assert!(
        grown < GROWTH_KIB_MAX,
        "{grown} KiB more, {open} connections"
    );
    drop(crowd);
    say(&format!(
        "chaos: {CONNECTIONS} connections of a stranger, again and again: the slowest but one of {PINGS} \
         pings {crowded:.1} ms ({calm:.1} ms before), {open} open, {grown} KiB more, a new device joined in \
         {} ms",
        joined.as_millis()
    ));
}

#[test]
fn what_is_none_of_our_protocols_is_hung_up_on() {
    let Some(lab) = Lab::open("garbage and slow frames") else {
        return;
    };
    let mut fleet = Fleet::formed(lab, 1, 1);
    let stranger = fleet.lab.machine("stranger");
    let manager = fleet.get("m1");
    let before = manager.kernel_kib("status", "VmRSS:");
    let to = |kind: &str| format!("/dev/{kind}/{}/4700", manager.address());
    let (tcp, udp) = (to("tcp"), to("udp"));
    // Ends once the node has closed all three: random bytes, one byte a second, nothing at all.
    let script = format!(
        "for i in $(seq 200); do head -c 1200 /dev/urandom >{udp}; done; \
         exec 3<>{tcp} 4<>{tcp} 5<>{tcp}; \
         head -c 1000000 /dev/urandom >&3 2>/dev/null; \
         (for i in $(seq 60); do printf x; sleep 1; done) >&4 2>/dev/null & \
         cat <&3 >/dev/null 2>&1; cat <&4 >/dev/null 2>&1; cat <&5 >/dev/null 2>&1; echo closed"
    );
    let mut sender = shell(&stranger, &script);
    let (status, took) = until("all three were closed", CLOSED, || {
        let ended = sender.try_wait().expect("it is ours");
        ended.ok_or_else(|| "they stay open".to_owned())
    });
    assert!(status.success(), "{status}");
    let manager = fleet.get("m1");
    let grown = manager
        .kernel_kib("status", "VmRSS:")
        .saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB more");
    manager.ok(&["ping", "a1"]);
    say(&format!(
        "chaos: garbage, a slow sender and a silent one were closed within {} ms, {grown} KiB more",
        took.as_millis()
    ));
}
