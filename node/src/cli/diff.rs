//! `regatta diff`: what applying documents would change, in them and on a device.

use clap::Args;
use similar::{ChangeTag, TextDiff};

use super::apply::{Files, to_ask};
use super::console::{Console, Done};
use super::place::Place;
use crate::control::api::ProblemKind;
use crate::control::client::{Client, ClientError};
use crate::exit::Exit;
use crate::manifest::{self, Body, Manifest};

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    files: Files,
    /// Show what changes in this device's effective tree, not in the documents
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
}

/// Lines around a change that are shown.
const AROUND: usize = 2;

/// Compares.
///
/// # Errors
/// When anything is wrong with the documents, or the node does not answer.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let client = place.client();
    let manifests = arguments.files.read(&[], console)?;
    if let Some(device) = &arguments.device {
        let ask = to_ask(&manifests, console)?;
        let preview = client.preview(device, &ask).await?;
        let (before, after) = (yaml(&preview.before), yaml(&preview.after));
        let differs = compare(console, (device, &before), (device, &after))?;
        if !differs {
            console.say(&format!("nothing changes on {device}"));
        }
        return Ok(Exit::ALL);
    }
    let mut differs = false;
    for manifest in &manifests {
        let there = there(&client, manifest).await?;
        let Body::Config(config) = &manifest.body;
        let here = manifest::write_here(&manifest.name, config, &|_| None);
        let (name, before) = match there {
            Some((version, text)) => (format!("config/{}@{version}", manifest.name), text),
            None => ("nothing".to_owned(), String::new()),
        };
        let here = without_sources(&here);
        let new = manifest.place.to_string();
        differs |= compare(console, (&name, &before), (&new, &here))?;
    }
    if !differs {
        console.say("nothing would change");
    }
    Ok(Exit::ALL)
}

fn yaml(value: &serde_json::Value) -> String {
    super::output::yaml_text(value)
}

/// Where a secret comes from is not kept: it is sealed whatever it was.
fn without_sources(text: &str) -> String {
    let mut lines = Vec::new();
    let mut within = false;
    for line in text.lines() {
        if line.starts_with("  secrets:") {
            within = true;
        } else if !line.starts_with("    ") {
            within = false;
        }
        match line.split_once("from:").filter(|_| within) {
            Some((before, _)) => lines.push(format!("{before}from: sealed")),
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

async fn there(client: &Client, manifest: &Manifest) -> Result<Option<(u32, String)>, ClientError> {
    match client.config(manifest.name.as_str()).await {
        Ok(detail) => Ok(Some((detail.summary.version, detail.manifest))),
        Err(ClientError::Problem(problem)) if problem.kind == ProblemKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Shows what differs; whether anything does.
fn compare(
    console: &mut Console<'_>,
    (old, before): (&str, &str),
    (new, after): (&str, &str),
) -> std::io::Result<bool> {
    if before == after {
        return Ok(false);
    }
    let coloured = |code: &str, line: &str| match console.screen.colour {
        true => format!("\u{1b}[{code}m{line}\u{1b}[0m"),
        false => line.to_owned(),
    };
    let diff = TextDiff::from_lines(before, after);
    let mut text = format!("--- {old}\n+++ {new}\n");
    for group in diff.grouped_ops(AROUND) {
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = change.value().trim_end_matches('\n');
            text += &match change.tag() {
                ChangeTag::Delete => coloured("31", &format!("-{line}")),
                ChangeTag::Insert => coloured("32", &format!("+{line}")),
                ChangeTag::Equal => format!(" {line}"),
            };
            text.push('\n');
        }
    }
    console.out.write_all(text.as_bytes())?;
    Ok(true)
}
