//! How long an edit takes until it is applied on every device of a fleet in one process, and reported.
//!
//! Whole nodes, real time: over the in-memory transport, stores on disks in memory, the files that
//! documents make in folders of this machine. `cargo bench -p regatta-node --bench applied -- 100`

#![allow(clippy::print_stdout, reason = "figures are what a benchmark is for")]

mod figures;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use regatta_actors::acts::config::{Put, apply};
use regatta_actors::config;
use regatta_protocol::codec::Name;
use regatta_protocol::config::document::{ConfigDocument, FileFormat, FileSource, FileSpec};
use regatta_protocol::config::value::{KeyPath, Tokens, Value};
use regatta_protocol::selector::Selector;
use regatta_simulations::live::LiveFleet;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::figures::{at, median};

const MANAGERS: usize = 2;
const ROUNDS: usize = 20;
const APART: Duration = Duration::from_secs(1);
/// Homes, neighbours and feeders have found each other by then.
const SETTLES: Duration = Duration::from_secs(30);
/// An edit that takes longer counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(60);
const CUT: Duration = Duration::from_secs(20);

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// A document that sets a number, and shows it in a file.
fn edit(number: i64) -> Put {
    let inner = BTreeMap::from([("max_velocity".to_owned(), Value::Int(number))]);
    let values = Value::Map(BTreeMap::from([("nav".to_owned(), Value::Map(inner))]));
    let file = FileSpec {
        path: "/opt/nav/params.json".to_owned(),
        source: FileSource::Tree {
            from: KeyPath::parse("nav").expect("a path"),
            format: FileFormat::Json,
        },
        mode: None,
        owner: None,
        group: None,
    };
    Put {
        name: name("nav"),
        select: Selector::everything(),
        document: Some(ConfigDocument {
            values: Tokens::of(&values),
            files: vec![file],
            ..ConfigDocument::default()
        }),
        secrets: BTreeMap::new(),
        by: "a benchmark".to_owned(),
        expect: None,
    }
}

async fn write(fleet: &LiveFleet, number: i64) {
    let handles = fleet.nodes[0].handles().await;
    let written = apply(&handles, vec![edit(number)]).await;
    written.expect("a manager may write");
}

/// Writes an edit at the first manager, and gives for each device how long it took until it held there:
/// written, synced, renamed, and kept as what holds.
async fn round(fleet: &LiveFleet, number: i64) -> Vec<Duration> {
    let mut applied = JoinSet::new();
    for place in MANAGERS..fleet.nodes.len() {
        let handles = fleet.nodes[place].handles().await;
        let news = config::look(&handles.config, |view| view.applied.clone());
        let mut news = news.await.expect("the actor runs");
        news.mark_unchanged();
        applied.spawn(async move {
            let changed = tokio::time::timeout(LOST_AFTER, news.changed()).await;
            changed.ok().map(|_| Instant::now())
        });
    }
    tokio::task::yield_now().await;
    let began = Instant::now();
    write(fleet, number).await;
    let mut took = Vec::new();
    while let Some(at) = applied.join_next().await {
        let at = at.expect("it does not panic").expect("an edit was lost");
        took.push(at.saturating_duration_since(began));
    }
    took.sort_unstable();
    took
}

/// Waits until the first manager knows from every device that this version holds there.
async fn reported(fleet: &LiveFleet, version: u32) -> Duration {
    let began = Instant::now();
    let devices: Vec<_> = fleet.nodes[MANAGERS..].iter().map(|it| it.id).collect();
    let handles = fleet.nodes[0].handles().await;
    loop {
        let asked = devices.clone();
        let count = config::look(&handles.config, move |view| {
            let holds = |node: &&regatta_protocol::ident::NodeId| {
                let standing = view.reports.standing(node, &name("nav"));
                standing.is_some_and(|it| it.holds.is_some_and(|(_, held)| held == version))
            };
            asked.iter().filter(holds).count()
        });
        if count.await.expect("the actor runs") == devices.len() {
            return began.elapsed();
        }
        assert!(began.elapsed() < LOST_AFTER, "reports were lost");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn calm(fleet: &LiveFleet) {
    let (mut half, mut most, mut all, mut told) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 1..=ROUNDS {
        sleep(APART).await;
        let took = round(fleet, i64::try_from(number).unwrap_or(0)).await;
        half.push(at(&took, 50));
        most.push(at(&took, 99));
        all.push(at(&took, 100));
        let reported = reported(fleet, u32::try_from(number).unwrap_or(0)).await;
        told.push(reported.as_secs_f64() * 1e3);
    }
    let worst = all.iter().copied().fold(0.0, f64::max);
    println!(
        "calm: medians of {ROUNDS} edits: applied p50 {:.1} ms, p99 {:.1} ms, all {:.1} ms (worst {worst:.1} \
         ms); reported by all {:.1} ms after that",
        median(half),
        median(most),
        median(all),
        median(told),
    );
}

/// A third of the devices hears nothing while edits are written, and takes the last one after healing.
async fn healing(fleet: &LiveFleet) {
    let nodes = fleet.nodes.len();
    let away: Vec<usize> = (MANAGERS..nodes).filter(|place| place % 3 == 0).collect();
    for one in &away {
        for other in (0..nodes).filter(|other| !away.contains(other)) {
            fleet.net.cut(*one as u64 + 1, other as u64 + 1);
        }
    }
    let last = ROUNDS + 10;
    for number in ROUNDS + 1..=last {
        write(fleet, i64::try_from(number).unwrap_or(0)).await;
    }
    sleep(CUT).await;
    fleet.net.heal_all();
    let took = reported(fleet, u32::try_from(last).unwrap_or(0)).await;
    println!(
        "healing: {} of {nodes} nodes cut off for {} s while 10 edits were written: all applied and reported \
         {:.2} s after healing",
        away.len(),
        CUT.as_secs(),
        took.as_secs_f64(),
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|it| it != "--bench");
    let nodes = arguments.next_back().and_then(|it| it.parse().ok());
    let nodes: usize = nodes.unwrap_or(100);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut fleet = LiveFleet::found(1, MANAGERS).await;
        fleet.join_many(nodes - MANAGERS).await;
        println!("{nodes} nodes, {MANAGERS} of them managers");
        sleep(SETTLES).await;
        calm(&fleet).await;
        healing(&fleet).await;
    });
}
