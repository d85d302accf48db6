//! `regatta describe`: all that is known of one device, manager or invite.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::console::{Console, Done, Failure};
use super::get::configs;
use super::output::{self, Format, words};
use super::place::Place;
use crate::control::api::{DeviceDetail, one_line};
use crate::exit::Exit;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What kind of thing
    #[arg(value_enum)]
    what: What,
    /// Its name, its id, or a prefix of its id that no other has
    #[arg(value_name = "NAME")]
    name: String,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// A device
    Device,
    /// A manager
    Manager,
    /// An invite, by its id
    Invite,
    /// A configuration document, device by device
    Config,
}

/// Asks and shows.
///
/// # Errors
/// When there is no such thing, or the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let Arguments {
        what,
        name,
        output: format,
    } = arguments;
    let client = place.client();
    match what {
        What::Device => {
            let detail = client.device(&name).await?;
            if format.is_table() {
                console.out.write_all(text(&detail).as_bytes())?;
                return Ok(Exit::ALL);
            }
            data(console, format, &detail)
        }
        What::Config => {
            let detail = client.config(&name).await?;
            if !format.is_table() {
                return data(console, format, &detail);
            }
            console.out.write_all(detail.manifest.as_bytes())?;
            writeln!(console.out)?;
            let columns = console.screen.columns.filter(|_| format == Format::Table);
            let table = configs::targets(&detail).render(columns, console.screen.colour);
            console.out.write_all(table.as_bytes())?;
            Ok(Exit::ALL)
        }
        What::Manager => {
            let found = client.managers().await?;
            let one = only(found, "manager", &name, |one| (&one.name, &one.id))?;
            data(console, format, &one)
        }
        What::Invite => {
            let found = client.invites().await?;
            let one = only(found, "invite", &name, |one| (&one.id, &one.id))?;
            data(console, format, &one)
        }
    }
}

/// The one thing of this name, or id, or with this prefix of an id.
fn only<T>(
    found: Vec<T>,
    kind: &str,
    name: &str,
    names: impl Fn(&T) -> (&String, &String),
) -> Result<T, Failure> {
    let exact = |one: &T| names(one).0 == name || names(one).1 == name;
    let exactly = found.iter().any(exact);
    let mut those = found.into_iter().filter(|one| match exactly {
        true => exact(one),
        false => names(one).1.starts_with(name),
    });
    match (those.next(), those.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Failure::refused(format!(
            "there is no {kind} {name:?}; see `regatta get {kind}s`"
        ))),
        (Some(_), Some(_)) => Err(Failure::refused(format!(
            "{name:?} is more than one {kind}; give its whole id"
        ))),
    }
}

/// YAML is readable enough for what has no layout of its own.
fn data<T: Serialize>(console: &mut Console<'_>, format: Format, value: &T) -> Done {
    match format {
        Format::Json => output::json(console.out, value)?,
        _ => output::yaml(console.out, value)?,
    }
    Ok(Exit::ALL)
}

/// A device for a person.
fn text(detail: &DeviceDetail) -> String {
    let device = &detail.device;
    let unknown = || "unknown".to_owned();
    let heard = match &device.heard.heard_by {
        Some(by) => format!("{} by {by}", words::ago(device.heard.last_heard_ms)),
        None => words::ago(device.heard.last_heard_ms),
    };
    let mut rows = vec![
        ("name", device.name.clone()),
        ("id", device.id.clone()),
        ("state", device.state.word().to_owned()),
        ("role", device.role.to_string()),
        (
            "labels",
            words::labels(&device.labels, device.pending_labels.as_ref()),
        ),
        ("homes", words::or_dash(&device.homes.join(", "))),
        ("last heard", heard),
        (
            "enrolled",
            device.papers.enrolled.clone().unwrap_or_else(unknown),
        ),
        (
            "certificate",
            device
                .papers
                .certificate_until
                .as_ref()
                .map_or_else(unknown, |until| format!("until {until}")),
        ),
        (
            "version",
            device.papers.version.clone().unwrap_or_else(unknown),
        ),
    ];
    if let Some(enrolment) = &detail.enrolment {
        let by = format!(
            "invite {}, admitted by {} at {}",
            enrolment.invite, enrolment.by, enrolment.when
        );
        rows.push(("enrolment", by));
    }
    let keys = detail.keys.iter();
    rows.extend(keys.map(|key| ("key", format!("{} {}", key.kind, key.fingerprint))));
    if let Some(path) = &detail.path {
        rows.push(("path", super::path::line(path)));
    }
    rows.extend(
        detail
            .conflicts
            .iter()
            .map(|text| ("conflict", text.clone())),
    );
    rows.extend(detail.notes.iter().map(|text| ("note", text.clone())));
    let lines = rows
        .iter()
        .map(|(key, value)| format!("{key:<11}  {}\n", one_line(value)));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::{
        Device, DeviceState, Enrolment, Heard, KeyPrint, Papers, PathKind, PathReport, Role,
    };

    #[test]
    fn a_device_is_told_line_by_line() {
        let detail = DeviceDetail {
            device: Device {
                name: "amr-07".to_owned(),
                id: "n-77".to_owned(),
                state: DeviceState::Unknown,
                role: Role::Agent,
                labels: [("site".to_owned(), "osaka".to_owned())].into(),
                pending_labels: Some([("site".to_owned(), "kyoto".to_owned())].into()),
                homes: vec!["m1".to_owned()],
                heard: Heard {
                    last_heard_ms: Some(61_000),
                    heard_by: Some("m2".to_owned()),
                },
                papers: Papers::default(),
                copied: None,
            },
            keys: vec![KeyPrint {
                kind: "sign".to_owned(),
                fingerprint: "ab12".to_owned(),
            }],
            enrolment: Some(Enrolment {
                invite: "i-1".to_owned(),
                by: "m1".to_owned(),
                when: "2026-01-01T00:00:00Z".to_owned(),
            }),
            path: Some(PathReport {
                path: PathKind::Relayed,
                address: "/ip4/10.0.0.1/udp/4700/quic-v1".to_owned(),
                via: Some("m1".to_owned()),
                rtt_us: Some(2_100),
                hops: Vec::new(),
            }),
            conflicts: vec!["its key is in use in two places".to_owned()],
            notes: Vec::new(),
        };
        let expect = "\
name         amr-07
id           n-77
state        unknown
role         agent
labels       site=osaka (pending: site=kyoto)
homes        m1
last heard   1 min ago by m2
enrolled     unknown
certificate  unknown
version      unknown
enrolment    invite i-1, admitted by m1 at 2026-01-01T00:00:00Z
key          sign ab12
path         relayed through m1, 2.1 ms, /ip4/10.0.0.1/udp/4700/quic-v1
conflict     its key is in use in two places
";
        assert_eq!(text(&detail), expect);
    }

    #[test]
    fn one_is_found_by_name_id_or_prefix_and_two_are_told() {
        let found = || {
            vec![
                ("m1".to_owned(), "n-aa".to_owned()),
                ("m2".to_owned(), "n-ab".to_owned()),
            ]
        };
        let names = |one: &(String, String)| -> String { one.0.clone() };
        let pick = |name: &str| only(found(), "manager", name, |one| (&one.0, &one.1));
        assert_eq!(pick("m2").ok().as_ref().map(names).as_deref(), Some("m2"));
        assert_eq!(pick("n-aa").ok().as_ref().map(names).as_deref(), Some("m1"));
        assert!(pick("n-a").is_err(), "two");
        assert!(pick("x").is_err(), "none");
    }
}
