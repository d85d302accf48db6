//! `regatta apply`: writes documents, all of them or none, and says first whom they are for.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use regatta_protocol::config::value::KeyPath;

use super::console::{Console, Done, Failure};
use super::output::table::{Cell, Table, cut, whole};
use super::output::{self, Format, words};
use super::place::Place;
use crate::control::api::{Applied, ApplyAsk, DocumentChange};
use crate::control::client::Client;
use crate::exit::Exit;
use crate::manifest::secret::{self, SecretSource, Ways};
use crate::manifest::sources::{self, Source};
use crate::manifest::{self, Body, Manifest};

/// What `-f` names, for this command and for `diff`.
#[derive(Args, Debug)]
pub struct Files {
    /// A file, a folder whose .yaml, .yml and .json files are read, or - for standard input
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR|-", required = true)]
    files: Vec<String>,
}

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    files: Files,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before the whole fleet is changed
    #[arg(long)]
    yes: bool,
    /// Write only if this version is there; 0: if the document is not. NAME= may be left out of one
    #[arg(long, value_name = "NAME=VERSION")]
    expect: Vec<String>,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl Files {
    /// Reads all of them; what looks wrong and may be right is said.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn read(
        &self,
        known: &[KeyPath],
        console: &mut Console<'_>,
    ) -> Result<Vec<Manifest>, Failure> {
        let sources: Vec<Source> = self.files.iter().map(|it| it.as_str().into()).collect();
        let read = sources::read(&sources, &mut console.input, known);
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                let lines = error.to_string();
                let mut lines: Vec<&str> = lines.lines().collect();
                // The last one ends the command; each stands on its own line.
                let last = lines.pop().unwrap_or_default().to_owned();
                lines.iter().for_each(|line| console.say(line));
                return Err(Failure::usage(last));
            }
        };
        for warning in &read.warnings {
            console.say(&format!("warning: {warning}"));
        }
        Ok(read.manifests)
    }
}

/// What a manager is asked to write.
///
/// # Errors
/// When a secret cannot be read.
pub fn to_ask(manifests: &[Manifest], console: &mut Console<'_>) -> Result<ApplyAsk, Failure> {
    let mut ask = ApplyAsk::default();
    for manifest in manifests {
        let Body::Config(config) = &manifest.body;
        ask.manifests.push_str("---\n");
        // What is sent has no paths of this machine: files are named by their contents.
        let text = manifest::write_here(&manifest.name, config, &|_| None);
        ask.manifests.push_str(&text);
        if let Some((path, _)) = config
            .secrets
            .iter()
            .find(|(_, from)| *from == SecretSource::Sealed)
        {
            let why = format!(
                "{}: the secret {path} is sealed for the version that was there; name its source, such \
                 as {{from: env:NAME}}",
                manifest.place
            );
            return Err(Failure::usage(why));
        }
        let texts = secrets(&config.secrets, console)
            .map_err(|error| Failure::usage(format!("{}: {error}", manifest.place)))?;
        if !texts.is_empty() {
            ask.secrets.insert(manifest.name.to_string(), texts);
        }
    }
    Ok(ask)
}

fn secrets(
    sources: &[(KeyPath, SecretSource)],
    console: &mut Console<'_>,
) -> Result<BTreeMap<String, String>, secret::SecretError> {
    let mut stdin = || {
        let mut bytes = Vec::new();
        console.input.read_to_end(&mut bytes).map(|_| bytes)
    };
    let opened = secret::open(
        sources,
        &mut Ways {
            environment: &|name| std::env::var(name),
            file: &|path: &Path| std::fs::read(path),
            stdin: Some(&mut stdin),
        },
    )?;
    let texts = opened.into_iter();
    Ok(texts
        .map(|(path, text)| (path.to_string(), text.expose().to_owned()))
        .collect())
}

/// Reads, asks what it would do, confirms where it is much, and does it.
///
/// # Errors
/// When anything is wrong; then nothing was written.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let client = place.client();
    let manifests = arguments.files.read(&[], console)?;
    let mut ask = to_ask(&manifests, console)?;
    ask.expect = expected(&arguments.expect, &manifests)?;
    ask.dry_run = true;
    let planned = client.apply(&ask).await?;
    for change in planned.documents.iter().filter(|it| !it.deleted) {
        if change.devices.is_empty() {
            console.say(&format!(
                "warning: config/{} matches no device now; it waits for one that it matches",
                change.name
            ));
        }
    }
    if arguments.dry_run {
        return show(&planned, arguments.output, console);
    }
    let open = planned.documents.iter().filter(|it| !it.unchanged);
    let touched: std::collections::BTreeSet<&String> = open
        .flat_map(|it| it.devices.iter().chain(&it.leaves))
        .collect();
    let fleet = client.devices(None).await?.len();
    if !arguments.yes && touched.len() > 1 && touched.len() >= fleet {
        console.confirm(&format!(
            "apply changes the configuration of the whole fleet ({} devices)",
            touched.len()
        ))?;
    }
    keep_contents(&manifests, &client).await?;
    ask.dry_run = false;
    // What was planned is what is written, or nothing.
    for change in &planned.documents {
        let before = change.before.unwrap_or(0);
        ask.expect.entry(change.name.clone()).or_insert(before);
    }
    let applied = client.apply(&ask).await?;
    show(&applied, arguments.output, console)
}

async fn keep_contents(manifests: &[Manifest], client: &Client) -> Result<(), Failure> {
    for manifest in manifests {
        let Body::Config(config) = &manifest.body;
        for (hash, content) in &config.contents {
            let bytes = content.read(hash);
            let bytes =
                bytes.map_err(|error| Failure::refused(format!("{}: {error}", manifest.place)))?;
            client.keep_body(bytes).await?;
        }
    }
    Ok(())
}

fn expected(typed: &[String], manifests: &[Manifest]) -> Result<BTreeMap<String, u32>, Failure> {
    let mut expected = BTreeMap::new();
    for text in typed {
        let (name, version) = match text.split_once('=') {
            Some((name, version)) => (name.to_owned(), version),
            None if manifests.len() == 1 => (manifests[0].name.to_string(), text.as_str()),
            None => {
                let why =
                    format!("--expect {text}: there are several documents; write NAME=VERSION");
                return Err(Failure::usage(why));
            }
        };
        if !manifests.iter().any(|it| it.name.as_str() == name) {
            let why = format!("--expect {text}: no document here is called '{name}'");
            return Err(Failure::usage(why));
        }
        let version = version.trim_start_matches('@').parse();
        let version = version.map_err(|_| {
            Failure::usage(format!(
                "--expect {text}: a version is a number, such as 12"
            ))
        })?;
        expected.insert(name, version);
    }
    Ok(expected)
}

fn word(change: &DocumentChange) -> (&'static str, &'static str) {
    match change {
        DocumentChange { deleted: true, .. } => ("deleted", "31"),
        DocumentChange {
            unchanged: true, ..
        } => ("unchanged", "90"),
        DocumentChange { before: None, .. } => ("created", "32"),
        _ => ("changed", "33"),
    }
}

/// Shows what was done, or would be.
///
/// # Errors
/// When the output cannot be written.
pub fn show(applied: &Applied, format: Format, console: &mut Console<'_>) -> Done {
    output::show(console, format, applied, |applied| {
        let columns = vec![
            whole("CONFIG"),
            whole("CHANGE"),
            whole("VERSION"),
            whole("DEVICES"),
            cut("FOR"),
        ];
        let mut table = Table::new(columns, "nothing to do");
        for change in &applied.documents {
            let (word, colour) = word(change);
            let version = match change.before {
                Some(before) if !change.unchanged => format!("{before} -> {}", change.version),
                _ => change.version.to_string(),
            };
            let leaves = match change.leaves.len() {
                0 => String::new(),
                _ => format!(" (no more: {})", change.leaves.join(",")),
            };
            let devices = words::or_dash(&change.devices.join(","));
            table.push(vec![
                change.name.as_str().into(),
                Cell::from(word).in_colour(colour),
                version.into(),
                change.devices.len().to_string().into(),
                format!("{devices}{leaves}").into(),
            ]);
        }
        table
    })?;
    if let (Some(saved), true) = (&applied.saved, format.is_table()) {
        match saved.saved {
            true => console.say(&format!(
                "saved, on {} of {} managers; `regatta get configs` shows how far devices are",
                saved.copies, saved.managers
            )),
            false => console.say("nothing changed"),
        }
    } else if applied.saved.is_none() && format.is_table() {
        console.say("nothing was written (--dry-run)");
    }
    Ok(Exit::ALL)
}
