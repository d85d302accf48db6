//! `regatta get`: lists of devices, managers, invites, requests, documents and files changed by hand.

pub mod configs;

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use super::console::{Console, Done, Failure};
use super::output::table::{Cell, Table, cut, whole};
use super::output::{self, Format, words};
use super::place::Place;
use super::watch;
use crate::control::api::{
    ConfigSummary, Device, DeviceState, DriftedFile, Invite, InviteState, Manager, ManagerRequest,
    ManagerState,
};

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What to list
    #[arg(value_enum)]
    what: What,
    /// Only devices whose labels match, such as site=osaka,role!=dock
    #[arg(short = 'l', long = "selector", value_name = "SELECTOR")]
    selector: Option<String>,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    /// Show it again whenever it changes
    #[arg(short, long)]
    watch: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Devices: how they are, and who heard them last
    #[value(alias = "device")]
    Devices,
    /// Managers
    #[value(alias = "manager")]
    Managers,
    /// Invites that were given
    #[value(alias = "invite")]
    Invites,
    /// Nodes that wait until the root makes them managers
    #[value(alias = "request")]
    Requests,
    /// Configuration documents, and how far devices are with them
    #[value(alias = "config")]
    Configs,
    /// Files on devices that configuration manages and somebody changed by hand
    Drift,
}

/// Asks and shows.
///
/// # Errors
/// When the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let Arguments {
        what,
        selector,
        output: format,
        watch,
    } = arguments;
    let watch = (watch, format);
    let selector = selector.as_deref();
    if selector.is_some() && what != What::Devices {
        return Err(Failure::usage(
            "-l selects devices by their labels; there is no more to select",
        ));
    }
    let client = place.client();
    let wide = format == Format::Wide;
    match what {
        What::Devices => {
            let show = |console: &mut Console<'_>, found: &Vec<Device>| {
                output::show(console, format, found, |found| devices(found, wide))?;
                match summary(found) {
                    Some(line) if format.is_table() && console.screen.columns.is_some() => {
                        writeln!(console.out, "{line}")
                    }
                    _ => Ok(()),
                }
            };
            watch::shown(
                console,
                watch,
                async || client.devices(selector).await,
                show,
            )
            .await
        }
        What::Managers => {
            let show = |console: &mut Console<'_>, found: &Vec<Manager>| {
                output::show(console, format, found, |found| managers(found, wide))
            };
            watch::shown(console, watch, async || client.managers().await, show).await
        }
        What::Invites => {
            let show = |console: &mut Console<'_>, found: &Vec<Invite>| {
                output::show(console, format, found, |found| invites(found, wide))
            };
            watch::shown(console, watch, async || client.invites().await, show).await
        }
        What::Configs => {
            let show = |console: &mut Console<'_>, found: &Vec<ConfigSummary>| {
                output::show(console, format, found, |found| {
                    configs::configs(found, wide)
                })
            };
            watch::shown(console, watch, async || client.configs().await, show).await
        }
        What::Drift => {
            let show = |console: &mut Console<'_>, found: &Vec<DriftedFile>| {
                output::show(console, format, found, |found| configs::drift(found))
            };
            watch::shown(console, watch, async || client.drift().await, show).await
        }
        What::Requests => {
            let show = |console: &mut Console<'_>, found: &Vec<ManagerRequest>| {
                output::show(console, format, found, |found| requests(found))
            };
            watch::shown(console, watch, async || client.requests().await, show).await
        }
    }
}

/// How many are in which state, where a table is longer than a screen: `412 devices: 398 ready, …`.
fn summary(found: &[Device]) -> Option<String> {
    const SCREEN: usize = 20;
    let mut counts: BTreeMap<DeviceState, usize> = BTreeMap::new();
    for device in found {
        *counts.entry(device.state).or_default() += 1;
    }
    let counts = counts.iter();
    let counts: Vec<String> = counts
        .map(|(state, count)| format!("{count} {}", state.word()))
        .collect();
    let line = || format!("{} devices: {}", found.len(), counts.join(", "));
    (found.len() > SCREEN).then(line)
}

pub(super) fn devices(found: &[Device], wide: bool) -> Table {
    let mut columns = vec![
        whole("NAME"),
        whole("STATE"),
        cut("LABELS"),
        cut("HOMES"),
        whole("LAST HEARD"),
    ];
    if wide {
        columns.extend([
            whole("HEARD BY"),
            whole("CERTIFICATE UNTIL"),
            whole("VERSION"),
            whole("ID"),
        ]);
    }
    let mut table = Table::new(columns, "no devices");
    for device in found {
        let or_dash = |text: &Option<String>| words::or_dash(text.as_deref().unwrap_or_default());
        let state = match &device.copied {
            // Neither of the two is the device that was let in, until somebody has looked.
            Some(_) => Cell::from(format!("{}, copied", device.state.word())).in_colour("31"),
            None => Cell::from(device.state.word()).in_colour(words::colour(device.state)),
        };
        let mut row: Vec<Cell> = vec![
            device.name.as_str().into(),
            state,
            words::labels(&device.labels, device.pending_labels.as_ref()).into(),
            words::or_dash(&device.homes.join(",")).into(),
            words::ago(device.heard.last_heard_ms).into(),
        ];
        if wide {
            row.extend([
                or_dash(&device.heard.heard_by).into(),
                or_dash(&device.papers.certificate_until).into(),
                or_dash(&device.papers.version).into(),
                device.id.as_str().into(),
            ]);
        }
        table.push(row);
    }
    table
}

fn managers(found: &[Manager], wide: bool) -> Table {
    let mut columns = vec![
        whole("NAME"),
        whole("STATE"),
        whole("REACHABLE"),
        whole("CERTIFICATE UNTIL"),
        cut("ADDRESSES"),
    ];
    if wide {
        columns.push(whole("ID"));
    }
    let mut table = Table::new(columns, "no managers");
    for manager in found {
        let (state, colour) = match manager.state {
            ManagerState::Good => ("good", "32"),
            ManagerState::Lapsed => ("lapsed", "31"),
            ManagerState::Stopped => ("stopped", "31"),
            ManagerState::Pending => ("pending", "33"),
        };
        let reachable = match (manager.is_self, manager.reachable) {
            (true, _) => "this node",
            (false, true) => "yes",
            (false, false) => "no",
        };
        let mut row: Vec<Cell> = vec![
            manager.name.as_str().into(),
            Cell::from(state).in_colour(colour),
            reachable.into(),
            words::or_dash(manager.certificate_until.as_deref().unwrap_or_default()).into(),
            words::or_dash(&manager.addresses.join(",")).into(),
        ];
        row.extend(wide.then(|| manager.id.as_str().into()));
        table.push(row);
    }
    table
}

fn invites(found: &[Invite], wide: bool) -> Table {
    let mut columns = vec![
        whole("ID"),
        whole("STATE"),
        whole("USED"),
        whole("EXPIRES"),
        cut("LABELS"),
        cut("FOR"),
    ];
    if wide {
        columns.extend([whole("BY"), whole("USED BY")]);
    }
    let mut table = Table::new(columns, "no invites");
    for invite in found {
        let state = match invite.state {
            InviteState::Open => "open",
            InviteState::Used => "used",
            InviteState::Expired => "expired",
            InviteState::Stopped => "stopped",
        };
        let mut row: Vec<Cell> = vec![
            invite.id.as_str().into(),
            state.into(),
            format!("{} of {}", invite.used, invite.uses).into(),
            invite.expires.as_str().into(),
            words::labels(&invite.labels, None).into(),
            if invite.for_manager {
                "manager"
            } else {
                "agent"
            }
            .into(),
        ];
        if wide {
            row.push(invite.by.as_str().into());
            row.push(words::or_dash(&invite.used_by.join(",")).into());
        }
        table.push(row);
    }
    table
}

fn requests(found: &[ManagerRequest]) -> Table {
    let columns = vec![whole("NAME"), whole("ASKED"), whole("ID")];
    let mut table = Table::new(columns, "nobody waits for the root's signature");
    for request in found {
        let cells = [&request.name, &request.asked, &request.id];
        table.push(cells.into_iter().map(|text| text.as_str().into()).collect());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{Copied, Heard, Papers, Role};

    fn device(name: &str, state: DeviceState, last_heard_ms: Option<u64>) -> Device {
        Device {
            name: name.to_owned(),
            id: format!("n-{name}"),
            state,
            role: Role::Agent,
            labels: [("site".to_owned(), "osaka".to_owned())].into(),
            pending_labels: None,
            homes: vec!["m1".to_owned(), "m2".to_owned()],
            heard: Heard {
                last_heard_ms,
                heard_by: Some("m1".to_owned()),
            },
            papers: Papers::default(),
            copied: None,
        }
    }

    #[test]
    fn devices_are_a_table_for_people() {
        let found = [
            device("amr-07", DeviceState::Ready, Some(4_100)),
            device("edge-1", DeviceState::Pending, None),
        ];
        let expect = "\
NAME    STATE    LABELS      HOMES  LAST HEARD
amr-07  ready    site=osaka  m1,m2  4 s ago
edge-1  pending  site=osaka  m1,m2  never
";
        assert_eq!(devices(&found, false).render(Some(80), false), expect);
        let wide = devices(&found, true).render(None, false);
        assert!(
            wide.contains("CERTIFICATE UNTIL") && wide.contains("n-amr-07"),
            "{wide}"
        );
        assert_eq!(devices(&[], false).render(None, false), "no devices\n");
    }

    #[test]
    fn a_device_whose_key_two_machines_have_is_marked() {
        let mut copied = device("amr-07", DeviceState::Ready, Some(4_100));
        copied.copied = Some(Copied::default());
        let expect = "\
NAME    STATE          LABELS      HOMES  LAST HEARD
amr-07  ready, copied  site=osaka  m1,m2  4 s ago
";
        assert_eq!(devices(&[copied], false).render(Some(80), false), expect);
    }

    #[test]
    fn a_long_list_ends_with_its_sum() {
        let few: Vec<Device> = vec![device("amr-07", DeviceState::Ready, None)];
        assert_eq!(summary(&few), None);
        let mut many = vec![device("amr", DeviceState::Ready, None); 30];
        many.push(device("edge", DeviceState::Stopped, None));
        let expect = "31 devices: 30 ready, 1 stopped";
        assert_eq!(summary(&many).as_deref(), Some(expect));
    }

    #[test]
    fn devices_are_flat_objects_for_scripts() {
        let value = serde_json::to_value([device("amr-07", DeviceState::Ready, Some(4_100))]);
        let value = value.expect("it is JSON");
        assert_eq!(value[0]["name"], "amr-07");
        assert_eq!(value[0]["state"], "ready");
        assert_eq!(value[0]["last_heard_ms"], 4_100);
        assert_eq!(value[0]["certificate_until"], serde_json::Value::Null);
    }
}
