//! Runs seeds: one that is named, so many, or one after the other until told to stop.
#![expect(clippy::print_stdout, reason = "this program's output is its report")]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use mimalloc::MiMalloc;
use regatta_protocol::limits::DAY_MS;
use regatta_simulations::config::figures;
use regatta_simulations::large;
use regatta_simulations::pulled::scenes;
use regatta_simulations::run::{self, Spec};
use regatta_simulations::scenarios::{self, player};
use regatta_simulations::scheme::Scheme;
use regatta_simulations::sessions;

/// Every message is allocated and freed. With the system's allocator a large fleet takes a fifth longer.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Simulates whole fleets from seeds; a failing seed prints the command that replays it.
#[derive(Debug, Parser)]
#[command(name = "regatta-simulations", version)]
struct Arguments {
    /// Run this seed alone and say what was done.
    #[arg(long)]
    seed: Option<u64>,
    /// Run so many seeds, from --from on; without --seed and --seeds, until told to stop.
    #[arg(long, conflicts_with = "seed")]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Nodes of each fleet, managers among them.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    nodes: u32,
    /// Managers among them; by default as the size suggests.
    #[arg(long)]
    managers: Option<u32>,
    /// Minutes of virtual time that the storm lasts.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=43_200))]
    minutes: u64,
    #[command(flatten)]
    instead: Instead,
    /// Storms over configuration with every seed, not with one in thirty-two.
    #[arg(long)]
    configured: bool,
    /// Real Ed25519 signatures instead of cheap ones.
    #[arg(long)]
    real_signatures: bool,
}

/// What is run instead of storms.
#[derive(Debug, clap::Args)]
struct Instead {
    /// No storm: one entry to all nodes, one partition and its healing, with the memory it takes.
    #[arg(long)]
    large: bool,
    /// Play scenarios instead of storms: all of them with each seed, or those whose name has this.
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    scenarios: Option<String>,
    /// No fleet: channels between members, with an attacker on every link.
    #[arg(long)]
    sessions: bool,
    /// No storm: how long an edit takes to all devices over links of 50 ms, and after a partition.
    #[arg(long)]
    edits: bool,
    /// Play the scenes of pulled ledgers: a device away for thirty days, a day without managers, a
    /// liar.
    #[arg(long)]
    backlogs: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.instead.large {
        return exit_code(large(&arguments));
    }
    if arguments.instead.edits {
        return exit_code(edits(&arguments));
    }
    if arguments.instead.backlogs {
        return exit_code(backlogs(arguments.seed.unwrap_or(arguments.from)));
    }
    if let Some(part) = &arguments.instead.scenarios {
        return exit_code(play(&arguments, part));
    }
    let many = arguments.seed.is_none();
    let (mut ran, mut events) = (0_u64, 0_u64);
    let started = Instant::now();
    for seed in arguments.seed.unwrap_or(arguments.from).. {
        if arguments.seeds.is_some_and(|seeds| ran >= seeds) || (!many && ran > 0) {
            break;
        }
        let told = one(&arguments, seed);
        ran += 1;
        events += told.events;
        if !many || !told.good {
            println!("{}", told.text);
        }
        if !told.good {
            println!("replay: {}", replay(&arguments, seed));
            return exit_code(false);
        }
        if many && ran.is_multiple_of(100) {
            let took = started.elapsed();
            println!("{ran} seeds, {events} events, all good, {took:.0?}");
        }
    }
    if many {
        let took = started.elapsed();
        println!("{ran} seeds, {events} events, all good, {took:.1?}");
    }
    exit_code(true)
}

/// What came of one seed.
struct Told {
    text: String,
    good: bool,
    events: u64,
}

/// Plays the scenes of pulled ledgers; true where all held.
fn backlogs(seed: u64) -> bool {
    [scenes::liar, scenes::managers_gone, scenes::thirty_days]
        .iter()
        .all(|scene| {
            let started = Instant::now();
            let played = scene(seed);
            println!("{played} ({:.1?})", started.elapsed());
            played.violations.is_empty()
        })
}

/// One edit to all devices, and one to those that were cut off; what each takes.
fn edits(arguments: &Arguments) -> bool {
    let spec = Spec::of_seed(arguments.seed.unwrap_or(1), arguments.nodes as usize);
    let managers = arguments.managers.map_or(spec.managers, |it| it as usize);
    let spec = Spec {
        managers: managers.clamp(1, spec.nodes),
        push: true,
        pulled: true,
        bodies: true,
        config: true,
        ..spec
    };
    println!(
        "{} nodes, {} managers, links of 50 ms",
        spec.nodes, spec.managers
    );
    let broken = figures::run(&spec, &mut |edit| println!("{edit}"));
    for what in &broken {
        println!("  BROKEN {what}");
    }
    broken.is_empty()
}

/// One entry to a large fleet, one partition, its healing; what each takes.
fn large(arguments: &Arguments) -> bool {
    let mut spec = Spec::of_seed(arguments.seed.unwrap_or(1), arguments.nodes as usize);
    if let Some(managers) = arguments.managers {
        spec.managers = (managers as usize).clamp(1, spec.nodes);
    }
    spec.push = true;
    let nodes = spec.nodes as u64;
    println!("{nodes} nodes, {} managers", spec.managers);
    let mut events = 0;
    let mut wall = 0.0;
    let good = large::run(&spec, &mut |phase| {
        events += phase.events;
        wall += phase.wall.as_secs_f64();
        let took = phase
            .took_ms
            .map_or("NEVER".to_owned(), |ms| format!("{ms} ms"));
        let resident = resident_bytes();
        println!(
            "{:<36} {took:>10}  {:>10} events in {:>6.1?}, {} MiB, {} bytes a node",
            phase.name,
            phase.events,
            phase.wall,
            resident >> 20,
            resident / nodes
        );
    });
    println!(
        "{events} events, {:.0} a second",
        events as f64 / wall.max(1e-9)
    );
    good
}

/// What this process holds in memory, as the kernel counts; zero where it does not say.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}

/// Plays the scenarios whose name has `part`, with each seed; true where all held.
fn play(arguments: &Arguments, part: &str) -> bool {
    let scheme = if arguments.real_signatures {
        Scheme::Real
    } else {
        Scheme::Cheap
    };
    let seeds = match (arguments.seed, arguments.seeds) {
        (Some(seed), _) => seed..=seed,
        (None, Some(seeds)) => arguments.from..=arguments.from + seeds.max(1) - 1,
        (None, None) => arguments.from..=arguments.from,
    };
    let mut good = true;
    for scenario in scenarios::all()
        .iter()
        .filter(|scenario| scenario.name.contains(part))
    {
        for seed in seeds.clone() {
            let started = Instant::now();
            let played = player::play(scenario, seed, scheme);
            let verdict = if played.violations.is_empty() {
                "good"
            } else {
                "BROKEN"
            };
            let (name, took, trace) = (scenario.name, started.elapsed(), played.trace);
            println!("{verdict} seed {seed} {trace:016x} {took:>7.1?} {name}");
            for violation in &played.violations {
                good = false;
                println!("  {}", violation.what);
                println!(
                    "  replay: cargo run -p regatta-simulations --release -- --seed {seed} --scenarios {name:?}"
                );
            }
        }
    }
    good
}

fn one(arguments: &Arguments, seed: u64) -> Told {
    if arguments.instead.sessions {
        let outcome = sessions::run(seed, arguments.minutes);
        return Told {
            text: outcome.to_string(),
            good: outcome.is_good(),
            events: outcome.events,
        };
    }
    let nodes = arguments.nodes as usize;
    let mut spec = Spec::of_seed(seed, nodes);
    if let Some(managers) = arguments.managers {
        spec.managers = (managers as usize).clamp(1, nodes);
    }
    if arguments.real_signatures {
        spec.scheme = Scheme::Real;
    }
    spec.config |= arguments.configured && spec.pulled && spec.bodies;
    let outcome = run::whole(&spec, arguments.minutes.min(30 * DAY_MS / 60_000));
    Told {
        text: outcome.to_string(),
        good: outcome.is_good(),
        events: outcome.events(),
    }
}

fn replay(arguments: &Arguments, seed: u64) -> String {
    let mut command = format!(
        "cargo run -p regatta-simulations --release -- --seed {seed} --nodes {} --minutes {}",
        arguments.nodes, arguments.minutes
    );
    if let Some(managers) = arguments.managers {
        command += &format!(" --managers {managers}");
    }
    if arguments.instead.sessions {
        command += " --sessions";
    }
    if arguments.real_signatures {
        command += " --real-signatures";
    }
    if arguments.configured {
        command += " --configured";
    }
    command
}

fn exit_code(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
