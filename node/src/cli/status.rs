//! `regatta status`: how this node is, in one look.

use clap::Args;

use super::console::{Console, Done};
use super::output::{self, Format, words};
use super::place::Place;
use super::watch;
use crate::control::api::{Role, Status, one_line};

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Show it again whenever it changes
    #[arg(short, long)]
    watch: bool,
}

/// Asks and shows.
///
/// # Errors
/// When the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let client = place.client();
    let ask = async || client.status().await;
    watch::shown(
        console,
        (arguments.watch, arguments.output),
        ask,
        |console, status| match arguments.output {
            Format::Json => output::json(console.out, status),
            Format::Yaml => output::yaml(console.out, status),
            Format::Table | Format::Wide => console.out.write_all(text(status).as_bytes()),
        },
    )
    .await
}

/// Agents know of no devices, so that line is put in for managers.
const DEVICES_AFTER: usize = 6;

/// The status for a person.
fn text(status: &Status) -> String {
    let Status {
        node,
        fleet,
        reach,
        devices,
        disk,
        ..
    } = status;
    let signed = match status.time.signed {
        true => "signed by managers",
        false => "this node's own clock: no manager has signed a time yet",
    };
    let full = if disk.full {
        ", FULL: only what frees space is written"
    } else {
        ""
    };
    let mut lines = vec![
        format!(
            "{} is {} {} of {}, up {}",
            node.name,
            node.role.article(),
            node.role,
            fleet.name,
            words::span(status.uptime_ms)
        ),
        format!("  id         {}", node.id),
        format!("  fleet      {}", fleet.id),
        format!("  version    {}", node.version),
        format!("  time       {} ({signed})", status.time.reference),
        format!(
            "  reaches    {}, {} of {}, {}",
            words::counted(reach.homes, "home"),
            reach.managers,
            words::counted(reach.managers_known, "other manager"),
            words::counted(reach.links, "link")
        ),
        format!(
            "  ledgers    {} entries, digest {}",
            status.ledgers.entries, status.ledgers.digest
        ),
        format!(
            "  disk       {} used, {} free{full}",
            words::size(disk.bytes),
            words::size(disk.free)
        ),
    ];
    if node.role == Role::Manager {
        let line = format!(
            "  devices    {} ready, {} unreachable, {} unknown",
            devices.ready, devices.unreachable, devices.unknown
        );
        lines.insert(DEVICES_AFTER, line);
    }
    for (index, address) in status.addresses.iter().enumerate() {
        let heading = if index == 0 { "addresses" } else { "" };
        lines.push(format!("  {heading:<9}  {address}"));
    }
    lines.extend(
        status
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}")),
    );
    lines.iter().map(|line| one_line(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{DeviceCounts, Disk, FleetName, Ledgers, NodeName, Reach, Time};

    #[test]
    fn a_status_is_read_in_one_look() {
        let status = Status {
            node: NodeName {
                name: "m1".to_owned(),
                id: "n-1a2b".to_owned(),
                role: Role::Manager,
                version: "0.1.0".to_owned(),
            },
            fleet: FleetName {
                name: "acme".to_owned(),
                id: "f-9c".to_owned(),
            },
            uptime_ms: 3 * 3_600_000,
            time: Time {
                reference: "2026-01-01T00:00:00Z".to_owned(),
                signed: true,
            },
            reach: Reach {
                homes: 1,
                managers: 1,
                managers_known: 2,
                links: 14,
            },
            devices: DeviceCounts {
                ready: 12,
                unreachable: 1,
                unknown: 0,
            },
            ledgers: Ledgers {
                entries: 1234,
                digest: "0a1b".to_owned(),
            },
            disk: Disk {
                bytes: 12_345_678,
                free: 0,
                full: true,
            },
            warnings: vec!["the certificate of m2 lapses in 7 days: ask it to renew".to_owned()],
            addresses: vec![
                "/ip4/10.0.0.1/udp/4700/quic-v1".to_owned(),
                "/ip4/10.0.0.1/tcp/4700".to_owned(),
            ],
        };
        let expect = "\
m1 is a manager of acme, up 3 h
  id         n-1a2b
  fleet      f-9c
  version    0.1.0
  time       2026-01-01T00:00:00Z (signed by managers)
  reaches    1 home, 1 of 2 other managers, 14 links
  devices    12 ready, 1 unreachable, 0 unknown
  ledgers    1234 entries, digest 0a1b
  disk       12.3 MB used, 0 B free, FULL: only what frees space is written
  addresses  /ip4/10.0.0.1/udp/4700/quic-v1
             /ip4/10.0.0.1/tcp/4700
warning: the certificate of m2 lapses in 7 days: ask it to renew
";
        assert_eq!(text(&status), expect);
    }
}
