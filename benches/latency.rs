//! `regatta ping` over an open channel, and a ping-pong over plain TCP between the same two machines, in
//! turns: what the channel, the actors and QUIC add to a round trip.
//!
//! `cargo bench -p regatta-node --bench latency -- 100` (round trips in each turn); with `100 crowd` a
//! stranger opens a thousand connections to the manager meanwhile, again and again.

#![allow(clippy::print_stdout, reason = "figures are what a benchmark is for")]

mod chaos;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use chaos::crowd::Crowd;
use chaos::fleet::Fleet;
use chaos::lab::Lab;
use chaos::machine::Machine;

const TURNS: usize = 5;
/// As far apart as pings are at least: a machine that is used all the time answers faster.
const APART: Duration = Duration::from_millis(100);
const PORT: &str = "7000";
const BYTES: usize = 32;

/// Gives back what comes, until the other side is done.
fn echo(address: &str) {
    let listener = TcpListener::bind(address).expect("a free port");
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let mut bytes = [0; BYTES];
        while stream.read_exact(&mut bytes).is_ok() {
            stream.write_all(&bytes).expect("it waits for it");
        }
    }
}

/// Microseconds of each round trip, a line each.
fn pong(address: &str, count: usize) {
    let mut stream = TcpStream::connect(address).expect("the echo");
    stream.set_nodelay(true).expect("a socket");
    let mut bytes = [7; BYTES];
    for _ in 0..count {
        sleep(APART);
        let began = Instant::now();
        stream.write_all(&bytes).expect("it listens");
        stream.read_exact(&mut bytes).expect("it answers");
        println!("{}", began.elapsed().as_micros());
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median and the slowest but one of a turn, in microseconds: a number in each line that `read`
/// understands.
fn figures(text: &str, read: impl Fn(&str) -> Option<f64>) -> (f64, f64) {
    let mut values: Vec<f64> = text.lines().filter_map(read).collect();
    values.sort_by(f64::total_cmp);
    let last_but_one = values[values.len().saturating_sub(2)];
    (median(values), last_but_one)
}

fn own(machine: &Machine, arguments: &[&str]) -> std::process::Command {
    let path = std::env::current_exe().expect("this program");
    let path = path.to_string_lossy().into_owned();
    machine.on(&[&[path.as_str()], arguments].concat())
}

fn compare(count: &str, crowded: bool) {
    let Some(lab) = Lab::open("a round trip") else {
        return;
    };
    let mut fleet = Fleet::formed(lab, 1, 1);
    let stranger = fleet.lab.machine("stranger");
    let (manager, agent) = (fleet.get("m1"), fleet.get("a1"));
    let address = format!("{}:{PORT}", agent.address());
    let mut echoing = own(agent, &["--echo", &address]);
    let mut echoing = echoing.stdout(Stdio::null()).spawn().expect("it starts");
    sleep(Duration::from_secs(1));
    let crowd = crowded.then(|| Crowd::of(&stranger, &manager.address()));
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let said = manager.ok(&["ping", "a1", "-c", count, "-i", "100ms", "-o", "json"]);
        ours.push(figures(&said, |line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line["pong"]["rtt_us"].as_f64()
        }));
        let pinged = own(manager, &["--pong", &address, count]).output();
        let said = String::from_utf8(pinged.expect("it starts").stdout).expect("digits");
        raw.push(figures(&said, |line| line.parse().ok()));
    }
    drop(crowd);
    // It would listen for ever; where it has ended already, nothing follows from that.
    let _ = echoing.kill();
    let _ = echoing.wait();
    let of = |turns: &[(f64, f64)], slow: bool| {
        median(
            turns
                .iter()
                .map(|it| if slow { it.1 } else { it.0 })
                .collect(),
        )
    };
    for (what, slow) in [("median", false), ("slowest but one", true)] {
        let (ours, raw) = (of(&ours, slow), of(&raw, slow));
        println!(
            "{what} of {count}, over {TURNS} turns: regatta ping {ours:.0} us, plain TCP {raw:.0} us, {:.2} times",
            ours / raw
        );
    }
}

fn main() {
    let arguments = std::env::args().skip(1).filter(|it| it != "--bench");
    let arguments: Vec<String> = arguments.collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--echo", address] => echo(address),
        ["--pong", address, count] => pong(address, count.parse().unwrap_or(1)),
        [count] => compare(count, false),
        [count, "crowd"] => compare(count, true),
        _ => compare("100", false),
    }
}
