//! What a node measures of itself, and what it finds wrong.

use std::fs;

use regatta_actors::acts::{look, look_around};
use regatta_protocol::limits::DAY_MS;
use regatta_protocol::trust::certificate::Rank;

use super::names::names;
use super::status::warnings;
use super::{Desk, problem};
use crate::control::api::{Check, Metric, MetricKind, Problem};

/// From here on the wall clock is called wrong.
const CLOCK_OFF_MS: u64 = 60_000;
/// From here on a full disk is worth a word.
const FREE_BYTES_LOW: u64 = 256 * 1024 * 1024;

fn metric(name: &str, help: &str, kind: MetricKind, value: f64) -> Metric {
    Metric {
        name: format!("regatta_{name}"),
        help: help.to_owned(),
        kind,
        labels: std::collections::BTreeMap::new(),
        value,
    }
}

fn gauge(name: &str, help: &str, value: f64) -> Metric {
    metric(name, help, MetricKind::Gauge, value)
}

fn counter(name: &str, help: &str, value: u64) -> Metric {
    metric(name, help, MetricKind::Counter, float(value))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus has nothing but floats; a count above 2^53 is rounded"
)]
fn float(value: u64) -> f64 {
    value as f64
}

fn of_state(mut metric: Metric, state: &str) -> Metric {
    metric.labels.insert("state".to_owned(), state.to_owned());
    metric
}

/// What the kernel says of this process; nothing where it says nothing.
fn process() -> Vec<Metric> {
    let mut metrics = Vec::new();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|it| it.split_whitespace().next()?.parse::<u64>().ok());
    if let Some(kib) = kib {
        let name = "process_resident_memory_bytes";
        metrics.push(gauge(
            name,
            "Memory that the process holds.",
            float(kib * 1024),
        ));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let open = float(open.count() as u64);
        metrics.push(gauge("process_open_fds", "Open file descriptors.", open));
    }
    metrics
}

impl Desk {
    /// What this node measures of itself.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn metrics(&self) -> Result<Vec<Metric>, Problem> {
        let status = self.status().await?;
        let handles = self.handles()?;
        let held = look(handles, |view| {
            let counters = *view.replica.counters();
            let own = &view.papers.certificate;
            let end = if own.rank == Rank::Manager {
                let judgement = view.replica.holdings().judgement();
                judgement.end_of(&view.papers.serial, own)
            } else {
                own.window.to
            };
            let left = end.since(view.replica.reference(view.now));
            (counters, left)
        });
        let (counters, left_ms) = held.await.map_err(problem)?;
        let membership = look_around(handles, |view| view.machine.counts());
        let counts = membership.await.map_err(problem)?;
        let (devices, disk) = (status.devices, status.disk);
        let devices_help = "Devices by what can be said of them.";
        let mut metrics = vec![
            gauge(
                "up_seconds",
                "Since the node was started.",
                float(status.uptime_ms) / 1000.0,
            ),
            gauge(
                "links",
                "Members with whom there is a session.",
                f64::from(status.reach.links),
            ),
            gauge(
                "managers_reached",
                "Managers that are connected.",
                f64::from(status.reach.managers),
            ),
            of_state(
                gauge("devices", devices_help, f64::from(devices.ready)),
                "ready",
            ),
            of_state(
                gauge("devices", devices_help, f64::from(devices.unreachable)),
                "unreachable",
            ),
            of_state(
                gauge("devices", devices_help, f64::from(devices.unknown)),
                "unknown",
            ),
            gauge(
                "ledger_entries",
                "Entries of all ledgers.",
                float(status.ledgers.entries),
            ),
            counter(
                "entries_taken_total",
                "Entries that peers gave.",
                counters.taken,
            ),
            counter(
                "entries_known_total",
                "Entries that came again.",
                counters.duplicates,
            ),
            counter(
                "entries_forged_total",
                "Entries that nobody signed.",
                counters.forged,
            ),
            counter(
                "messages_misplaced_total",
                "Messages out of place.",
                counters.misplaced,
            ),
            counter(
                "presences_forged_total",
                "Presences that their node did not sign.",
                counts.forged,
            ),
            counter(
                "messages_refused_total",
                "Messages beyond what a member needs.",
                counts.refused,
            ),
            gauge(
                "store_bytes",
                "What the store takes on the disk.",
                float(disk.bytes),
            ),
            gauge("disk_free_bytes", "What is left for it.", float(disk.free)),
            gauge(
                "disk_full",
                "Whether ordinary writes are refused.",
                f64::from(u8::from(disk.full)),
            ),
            gauge(
                "certificate_left_seconds",
                "Until this node's certificate lapses.",
                float(left_ms) / 1000.0,
            ),
            gauge(
                "warnings",
                "What somebody should look at.",
                float(status.warnings.len() as u64),
            ),
        ];
        metrics.extend(process());
        Ok(metrics)
    }

    /// What is wrong here, and what to do about it.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn doctor(&self) -> Result<Vec<Check>, Problem> {
        let (handles, status) = (self.handles()?, self.status().await?);
        let wall = handles.clock.wall();
        let held = look(handles, move |view| {
            let reference = view.replica.reference(view.now);
            let off = wall.0.abs_diff(reference.0);
            let own = &view.papers.certificate;
            let days = own.window.to.since(reference) / DAY_MS;
            (
                off,
                days,
                own.rank == Rank::Manager,
                warnings(view, &names(view)),
            )
        });
        let (off_ms, days, is_manager, warnings) = held.await.map_err(problem)?;
        let links = self.links().await?;
        let relayed = links.iter().filter(|link| link.path.relayed).count();
        let alone = status.reach.managers_known == 0;
        let mut checks = vec![
            check(
                "store",
                !status.disk.full,
                format!(
                    "{} bytes kept, {} bytes free",
                    status.disk.bytes, status.disk.free
                ),
                "make room on the disk; until then only trust is written",
            ),
            check(
                "room",
                status.disk.free >= FREE_BYTES_LOW,
                format!("{} MiB free", status.disk.free / 1024 / 1024),
                "make room on the disk before it is full",
            ),
            check(
                "clock",
                off_ms < CLOCK_OFF_MS,
                format!("{off_ms} ms from the fleet's time"),
                "set this machine's clock; the fleet's time is used meanwhile",
            ),
            check(
                "listening",
                !status.addresses.is_empty(),
                status.addresses.join(" "),
                "nobody can dial this node; see network.listen in `regatta settings`",
            ),
            check(
                "managers",
                alone || status.reach.managers > 0,
                format!(
                    "{} of {} reached",
                    status.reach.managers, status.reach.managers_known
                ),
                "no manager is reached; are they up, and is a port open to them?",
            ),
            check(
                "links",
                true,
                format!("{} links, {relayed} of them relayed", links.len()),
                "",
            ),
            check(
                "certificate",
                days > 0,
                format!("{days} days left"),
                if is_manager {
                    "have the root sign another: `regatta root sign`"
                } else {
                    "a manager renews it as soon as one is reached"
                },
            ),
        ];
        checks.extend(warnings.into_iter().map(|warning| Check {
            name: "warning".to_owned(),
            ok: false,
            detail: warning,
            advice: String::new(),
        }));
        Ok(checks)
    }
}

fn check(name: &str, ok: bool, detail: String, advice: &str) -> Check {
    Check {
        name: name.to_owned(),
        ok,
        detail,
        advice: if ok { String::new() } else { advice.to_owned() },
    }
}
