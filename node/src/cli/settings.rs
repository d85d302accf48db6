//! `regatta settings`: each setting of a node, and where it came from.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value as Json, json};

use super::console::{Console, Done, Failure};
use super::output::table::{Table, cut, whole};
use super::output::{self, Format};
use super::place::Place;
use super::up::Over;
use crate::exit::Exit;
use crate::settings::{self, Origins, Source, Value};

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The settings file, if not regatta.toml in the state folder
    #[arg(
        long,
        value_name = "FILE",
        env = "REGATTA_SETTINGS",
        hide_env_values = true
    )]
    settings: Option<PathBuf>,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    over: Over,
}

/// Reads and checks what `regatta up` would, and shows it.
///
/// # Errors
/// When a file or a value is wrong: says where, and what would be right.
pub fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let flags = arguments.over.flags(place);
    let loaded = settings::load(&place.state_dir, arguments.settings.as_deref(), flags);
    let (_, origins) = loaded.map_err(|error| Failure::usage(error.to_string()))?;
    for variable in origins.ignored() {
        console.say(&format!(
            "{variable} is set, but is no setting; `regatta settings -o json` names those that are"
        ));
    }
    match arguments.output {
        Format::Json => output::json(console.out, &data(&origins, place))?,
        Format::Yaml => output::yaml(console.out, &data(&origins, place))?,
        Format::Table | Format::Wide => {
            let columns = console
                .screen
                .columns
                .filter(|_| arguments.output == Format::Table);
            let text = table(&origins, place).render(columns, false);
            console.out.write_all(text.as_bytes())?;
        }
    }
    Ok(Exit::ALL)
}

fn table(origins: &Origins, place: &Place) -> Table {
    let mut table = Table::new(vec![whole("KEY"), cut("VALUE"), cut("FROM")], "no settings");
    table.push(vec![
        "state_dir".into(),
        place.state_dir.to_string_lossy().into_owned().into(),
        place.whence().into(),
    ]);
    for (key, origin) in origins.each() {
        let value = match &origin.value {
            Value::Text(text) => super::output::words::or_dash(text),
            other => as_json(other).to_string(),
        };
        table.push(vec![
            key.into(),
            value.into(),
            origin.source.to_string().into(),
        ]);
    }
    table
}

fn data(origins: &Origins, place: &Place) -> Vec<Json> {
    let one = |(key, origin): (&str, &settings::Origin)| {
        let variable = settings::keys::find(key).and_then(settings::keys::variable);
        let kind = match origin.source {
            Source::Default => "default",
            Source::File { .. } => "file",
            Source::Environment(_) => "environment",
            Source::Flag(_) => "flag",
        };
        json!({
            "key": key,
            "value": as_json(&origin.value),
            "source": kind,
            "from": origin.source.to_string(),
            "environment": variable,
        })
    };
    let from = place.whence();
    // No key of a file: the file lies in it.
    let folder = json!({
        "key": "state_dir",
        "value": place.state_dir,
        "source": match from {
            "default" => "default",
            "--state-dir" => "flag",
            _ => "environment",
        },
        "from": from,
        "environment": "REGATTA_STATE_DIR",
    });
    let rest = origins.each().map(one);
    std::iter::once(folder).chain(rest).collect()
}

fn as_json(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::List(items) => json!(items),
        Value::Switch(on) => json!(on),
        Value::Map(map) => json!(map),
    }
}
