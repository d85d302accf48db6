//! How fast and at what price one entry of 1 KiB reaches every node of a fleet in one process.
//!
//! Whole nodes, real time: every actor, libp2p over the in-memory transport, signatures, the channel,
//! and the store's segments on disks in memory. `cargo bench -p regatta-node --bench fanout -- 100`

#![allow(clippy::print_stdout, reason = "figures are what a benchmark is for")]

mod figures;

use std::time::{Duration, Instant};

use regatta_actors::acts;
use regatta_actors::ledger::LedgerView;
use regatta_protocol::ledger::entry::{EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::author::Draft;
use regatta_simulations::live::LiveFleet;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::figures::{at, median};

/// What an operator writes; a header, a signature and framing come on top.
const CONTENT_BYTES: usize = 1024;
const MANAGERS: usize = 2;
const ROUNDS: usize = 40;
const APART: Duration = Duration::from_millis(400);
/// Homes, neighbours and feeders have found each other by then.
const SETTLES: Duration = Duration::from_secs(30);
/// An entry that takes longer counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(30);
/// Entries written while a third of the agents is cut off.
const MISSED: usize = 10;
const CUT: Duration = Duration::from_secs(20);

/// An entry that builds of today hold and hand on without reading it.
fn entry() -> Draft {
    let kind = EntryKind {
        code: 999,
        critical: false,
    };
    Draft::fitting(0, LedgerKind::Fleet, kind, vec![b'x'; CONTENT_BYTES])
}

/// What the whole process has used and carried.
#[derive(Clone, Copy)]
struct Spent {
    copies: u64,
    bytes: u64,
    cpu: Duration,
}

impl Spent {
    async fn now(fleet: &LiveFleet) -> Self {
        let mut copies = 0;
        for place in 0..fleet.nodes.len() {
            let counted = |view: &LedgerView<'_>| {
                let counters = view.replica.counters();
                counters.taken + counters.duplicates
            };
            copies += fleet.look(place, counted).await;
        }
        Self {
            copies,
            bytes: fleet.net.carried(),
            cpu: cpu(),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            copies: self.copies - before.copies,
            bytes: self.bytes - before.bytes,
            cpu: self.cpu.saturating_sub(before.cpu),
        }
    }
}

/// User and system time of this process; the kernel counts it in hundredths of a second.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which is in brackets and may hold anything.
    let fields = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|it| it.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

async fn news(fleet: &LiveFleet, place: usize) -> watch::Receiver<u64> {
    fleet
        .look(place, |view: &LedgerView<'_>| view.news.clone())
        .await
}

/// Writes one entry at the first manager, and gives for each other node how long it took until the
/// entry was durable there.
async fn round(fleet: &LiveFleet) -> Vec<Duration> {
    let mut waiting = Vec::new();
    for place in 1..fleet.nodes.len() {
        let mut news = news(fleet, place).await;
        news.mark_unchanged();
        waiting.push(news);
    }
    let handles = fleet.nodes[0].handles().await;
    let mut arrivals = JoinSet::new();
    for mut news in waiting {
        arrivals.spawn(async move {
            let arrived = tokio::time::timeout(LOST_AFTER, news.changed()).await;
            arrived.ok().map(|_| Instant::now())
        });
    }
    tokio::task::yield_now().await;
    let began = Instant::now();
    let written = acts::write(&handles, |_| Ok((vec![entry()], ()))).await;
    written.expect("a manager may write");
    let mut took = Vec::new();
    while let Some(arrived) = arrivals.join_next().await {
        let at = arrived
            .expect("it does not panic")
            .expect("an entry was lost");
        took.push(at.saturating_duration_since(began));
    }
    took.sort_unstable();
    took
}

fn float(count: impl TryInto<u32>) -> f64 {
    f64::from(count.try_into().unwrap_or(u32::MAX))
}

async fn calm(fleet: &LiveFleet) {
    let others = float(fleet.nodes.len() - 1);
    let idle = Spent::now(fleet).await;
    sleep(APART * u32::try_from(ROUNDS).unwrap_or(1)).await;
    let idle = Spent::now(fleet).await.since(idle);
    let before = Spent::now(fleet).await;
    let began = Instant::now();
    let (mut half, mut most, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sleep(APART).await;
        let took = round(fleet).await;
        half.push(at(&took, 50));
        most.push(at(&took, 99));
        all.push(at(&took, 100));
    }
    let spent = Spent::now(fleet).await.since(before);
    let longer = began.elapsed().as_secs_f64() / (APART.as_secs_f64() * float(ROUNDS));
    let rounds = float(ROUNDS);
    let worst = all.iter().copied().fold(0.0, f64::max);
    println!(
        "calm: medians of {ROUNDS} entries: p50 {:.1} ms, p99 {:.1} ms, all {:.1} ms (worst {worst:.1} ms)",
        median(half),
        median(most),
        median(all),
    );
    println!(
        "calm: {:.2} copies a node, {:.0} bytes a node, {:.1} ms of CPU an entry (idle time taken off: \
         {:.1} ms a second)",
        float(spent.copies) / rounds / others,
        (float(spent.bytes) - float(idle.bytes) * longer) / rounds / others,
        (spent.cpu.as_secs_f64() - idle.cpu.as_secs_f64() * longer) * 1e3 / rounds,
        idle.cpu.as_secs_f64() * 1e3 / (APART.as_secs_f64() * rounds),
    );
}

/// A third of the agents hears nothing for a while, and then everything at once.
async fn healing(fleet: &LiveFleet) {
    let nodes = fleet.nodes.len();
    let away: Vec<usize> = (MANAGERS..nodes).filter(|place| place % 3 == 0).collect();
    for one in &away {
        for other in (0..nodes).filter(|other| !away.contains(other)) {
            fleet.net.cut(*one as u64 + 1, other as u64 + 1);
        }
    }
    let handles = fleet.nodes[0].handles().await;
    let before = Spent::now(fleet).await;
    let mut last = None;
    for _ in 0..MISSED {
        let written = acts::write(&handles, |_| Ok((vec![entry()], ()))).await;
        last = written.expect("a manager may write").entries.pop();
    }
    let last = last.expect("something was written");
    sleep(CUT).await;
    fleet.net.heal_all();
    let began = Instant::now();
    let mut lacking: Vec<usize> = (0..nodes).collect();
    while !lacking.is_empty() {
        let mut still = Vec::new();
        for place in lacking {
            if !fleet.missing(place, &[last]).await.is_empty() {
                still.push(place);
            }
        }
        lacking = still;
        assert!(began.elapsed() < Duration::from_secs(120), "never healed");
        sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed();
    // What is still on its way counts too.
    sleep(Duration::from_secs(5)).await;
    let spent = Spent::now(fleet).await.since(before);
    println!(
        "healing: {} of {nodes} nodes cut off for {} s while {MISSED} entries were written: all have all \
         {:.2} s after healing, {:.2} copies a node",
        away.len(),
        CUT.as_secs(),
        took.as_secs_f64(),
        float(spent.copies) / float(MISSED) / float(nodes - 1),
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
        let began = Instant::now();
        let mut fleet = LiveFleet::found(1, MANAGERS).await;
        fleet.join_many(nodes - MANAGERS).await;
        println!(
            "{nodes} nodes, {MANAGERS} of them managers; joined one after another in {:.1} s",
            began.elapsed().as_secs_f64()
        );
        sleep(SETTLES).await;
        calm(&fleet).await;
        healing(&fleet).await;
    });
}
