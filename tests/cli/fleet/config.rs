//! Configuration on real nodes and real files: what is typed, what devices write, what is said of both.

#[path = "config/adopting.rs"]
mod adopting;
#[path = "config/import.rs"]
mod import;
#[path = "config/secrets.rs"]
mod secrets;
#[path = "config/typed.rs"]
mod typed;
#[path = "config/values.rs"]
mod values;
#[path = "config/waves.rs"]
mod waves;

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use super::super::{code, run_with, text};
use super::Fleet;

/// A manager, and devices with folders that stand for their disks.
struct Site {
    fleet: Fleet,
}

impl Site {
    /// Devices with labels, all ready.
    fn with(devices: &[(&str, &[&str])]) -> Self {
        let mut site = Self {
            fleet: Fleet::found(),
        };
        for (name, labels) in devices {
            site.join(name, labels);
        }
        for (name, _) in devices {
            site.fleet.until_ready(name);
        }
        site
    }

    /// Another one, which is not waited for.
    fn join(&mut self, name: &str, labels: &[&str]) {
        let flags = labels.iter().flat_map(|label| ["--label", *label]);
        let token = self.fleet.invite(&flags.collect::<Vec<_>>());
        self.fleet.does(name, &["join", &token, "--name", name]);
        let root = self.disk(name, "");
        std::fs::create_dir_all(&root).expect("a folder");
        let settings = format!("[files]\nroot = {:?}\n", root.display().to_string());
        let path = self.fleet.path(name).join("regatta.toml");
        std::fs::write(path, settings).expect("written");
        self.fleet.start(name);
    }

    /// Where a device has what documents call by this path.
    fn disk(&self, device: &str, path: &str) -> PathBuf {
        let root = self.fleet.path(&format!("disk-{device}"));
        root.join(path.trim_start_matches('/'))
    }

    /// What a device's file says; nothing where it is not there.
    fn file(&self, device: &str, path: &str) -> String {
        std::fs::read_to_string(self.disk(device, path)).unwrap_or_default()
    }

    /// Applies what stands on standard input.
    fn tries(&self, documents: &str, flags: &[&str]) -> Output {
        let state = self.fleet.path("m1").display().to_string();
        let arguments = ["apply", "-f", "-", "--state-dir", &state];
        run_with(&[&arguments, flags].concat(), documents)
    }

    /// The same, which has to work; gives what it printed.
    fn applies(&self, documents: &str) -> String {
        let output = self.tries(documents, &["--yes"]);
        let said = text(&output.stderr);
        assert_eq!(code(&output), Some(0), "{documents}: {said}");
        text(&output.stdout)
    }

    /// What the manager says of a document on a device.
    fn target(&self, config: &str, device: &str) -> Value {
        let detail = self.fleet.json("m1", &["describe", "config", config]);
        let targets = detail["targets"].as_array().expect("an array").iter();
        let found = targets.into_iter().find(|it| it["name"] == device);
        found.cloned().unwrap_or_default()
    }

    /// Waits until a device reports that the version which holds in the fleet is in a state there.
    fn until_is(&self, config: &str, device: &str, state: &str) -> Value {
        let what = format!("config/{config} is {state} on {device}");
        self.fleet.until(&what, |_| {
            let found = self.target(config, device)["state"].clone();
            // One that failed does not become well by waiting.
            assert!(
                found != "failed" || state == "failed",
                "{}",
                self.target(config, device)
            );
            found == state
        });
        self.target(config, device)
    }

    /// Waits for a failure, and gives what is said of it.
    fn fault(&self, config: &str, device: &str) -> String {
        let target = self.until_is(config, device, "failed");
        target["why"].as_str().unwrap_or_default().to_owned()
    }

    /// What stands under a folder of a device's state, however deep.
    fn left_in(&self, device: &str, folder: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        files_below(self.fleet.path(device).join(folder), &mut found);
        found
    }
}

/// Every file below a folder.
fn files_below(folder: PathBuf, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(entry.path(), found),
            _ => found.push(entry.path()),
        }
    }
}

/// A document whose spec these lines are.
fn config(name: &str, spec: &str) -> String {
    let head =
        format!("---\napiVersion: regatta/v1\nkind: Config\nmetadata: {{name: {name}}}\nspec:\n");
    let lines = spec.lines().map(|line| format!("  {line}\n"));
    head + &lines.collect::<String>()
}

/// One that shows a velocity in a file.
fn nav(velocity: u32, more: &str) -> String {
    let spec = format!(
        "select: role=amr\nvalues: {{nav: {{max_velocity: {velocity}}}}}\n\
         files: [{{path: /opt/nav/params.yaml, from: nav}}]\n{more}"
    );
    config("nav", &spec)
}

/// What its file says then.
fn params(velocity: u32) -> String {
    format!("max_velocity: {velocity}\n")
}
