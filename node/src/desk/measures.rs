//! What a node measures of itself, and what it finds wrong.

use std::fs;

use regatta_actors::acts::{look, look_around};
use regatta_actors::ledger::LedgerView;
use regatta_protocol::ledger::replica::Counters;
use regatta_protocol::limits::DAY_MS;
use regatta_protocol::membership::Counts;
use regatta_protocol::trust::certificate::Rank;

use super::{Desk, problem};
use crate::control::api::{Check, Metric, MetricKind, Problem, Role, Status};

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

/// What is measured of whom the node reaches.
fn of_fleet(status: &Status) -> Vec<Metric> {
    let counts = status.devices;
    let devices = |count: u32, state: &str| {
        let help = "Devices by what can be said of them.";
        of_state(gauge("devices", help, f64::from(count)), state)
    };
    let (links, managers) = (status.reach.links, status.reach.managers);
    vec![
        gauge(
            "up_seconds",
            "Since the node was started.",
            float(status.uptime_ms) / 1000.0,
        ),
        gauge(
            "links",
            "Members with whom there is a session.",
            f64::from(links),
        ),
        gauge(
            "managers_reached",
            "Managers that are connected.",
            f64::from(managers),
        ),
        devices(counts.ready, "ready"),
        devices(counts.unreachable, "unreachable"),
        devices(counts.unknown, "unknown"),
    ]
}

/// What is measured of what peers send.
fn of_peers(entries: &Counters, counts: &Counts) -> Vec<Metric> {
    let of = |name, help, value| counter(name, help, value);
    vec![
        of(
            "entries_taken_total",
            "Entries that peers gave.",
            entries.taken,
        ),
        of(
            "entries_known_total",
            "Entries that came again.",
            entries.duplicates,
        ),
        of(
            "entries_forged_total",
            "Entries that nobody signed.",
            entries.forged,
        ),
        of(
            "messages_misplaced_total",
            "Messages out of place.",
            entries.misplaced,
        ),
        of(
            "presences_forged_total",
            "Presences that their node did not sign.",
            counts.forged,
        ),
        of(
            "messages_refused_total",
            "Messages beyond what a member needs.",
            counts.refused,
        ),
    ]
}

/// What is measured of what the node keeps.
fn of_store(status: &Status) -> Vec<Metric> {
    let disk = status.disk;
    vec![
        gauge(
            "ledger_entries",
            "Entries of all ledgers.",
            float(status.ledgers.entries),
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
    ]
}

impl Desk {
    /// What this node measures of itself.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn metrics(&self) -> Result<Vec<Metric>, Problem> {
        let status = self.status().await?;
        let handles = self.handles()?;
        let held = look(handles, |view| (*view.replica.counters(), left_ms(view)));
        let (entries, left_ms) = held.await.map_err(problem)?;
        let membership = look_around(handles, |view| view.machine.counts());
        let counts = membership.await.map_err(problem)?;
        let mut metrics = of_fleet(&status);
        metrics.extend(of_peers(&entries, &counts));
        metrics.extend(of_store(&status));
        let warnings = float(status.warnings.len() as u64);
        metrics.extend([
            gauge(
                "certificate_left_seconds",
                "Until this node's certificate lapses.",
                float(left_ms) / 1000.0,
            ),
            gauge("warnings", "What somebody should look at.", warnings),
        ]);
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
            let off_ms = wall.0.abs_diff(view.replica.reference(view.now).0);
            (off_ms, left_ms(view))
        });
        let (off_ms, left_ms) = held.await.map_err(problem)?;
        let links = self.links().await?;
        let relayed = links.iter().filter(|link| link.path.relayed).count();
        let mut checks = local_checks(&status, off_ms);
        checks.extend(reach_checks(&status, links.len(), relayed));
        checks.push(certificate_check(status.node.role, left_ms / DAY_MS));
        checks.push(self.config_check().await?);
        let warnings = status.warnings.into_iter();
        checks.extend(warnings.map(|warning| check("warning", false, warning, "")));
        Ok(checks)
    }
}

/// How long this node's certificate is still good.
fn left_ms(view: &LedgerView<'_>) -> u64 {
    let own = &view.papers.certificate;
    let end = if own.rank == Rank::Manager {
        let judgement = view.replica.holdings().judgement();
        judgement.end_of(&view.papers.serial, own)
    } else {
        own.window.to
    };
    end.since(view.replica.reference(view.now))
}

fn local_checks(status: &Status, off_ms: u64) -> Vec<Check> {
    let disk = status.disk;
    vec![
        check(
            "store",
            !disk.full,
            format!("{} bytes kept", disk.bytes),
            "make room on the disk; until then only trust is written",
        ),
        check(
            "room",
            disk.free >= FREE_BYTES_LOW,
            format!("{} MiB free", disk.free / 1024 / 1024),
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
            match status.addresses.split_first() {
                None => "at no address".to_owned(),
                Some((first, [])) => first.clone(),
                Some((first, more)) => format!("{first} and {} more", more.len()),
            },
            "nobody can dial this node; see network.listen in `regatta settings`",
        ),
    ]
}

fn reach_checks(status: &Status, links: usize, relayed: usize) -> Vec<Check> {
    let reach = status.reach;
    let alone = reach.managers_known == 0;
    let others = match reach.managers_known {
        0 => "there is no other".to_owned(),
        known => format!("{} of {known} reached", reach.managers),
    };
    let plural = if links == 1 { "" } else { "s" };
    vec![
        check(
            "managers",
            alone || reach.managers > 0,
            others,
            "are they up, and is a port open to them? `regatta path NAME` says what was tried; one \
             that was revoked, or this node, is not answered either",
        ),
        check(
            "links",
            true,
            format!("{links} link{plural}, {relayed} relayed"),
            "",
        ),
    ]
}

fn certificate_check(role: Role, days: u64) -> Check {
    let advice = match role {
        Role::Manager => "have the root sign another: `regatta root sign`",
        Role::Agent => "a manager renews it as soon as one is reached",
    };
    check("certificate", days > 0, format!("{days} days left"), advice)
}

fn check(name: &str, ok: bool, detail: String, advice: &str) -> Check {
    Check {
        name: name.to_owned(),
        ok,
        detail,
        advice: if ok { String::new() } else { advice.to_owned() },
    }
}
