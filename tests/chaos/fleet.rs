//! A fleet in a lab, founded, joined and asked as an operator does it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::facts::{holds, until};
use super::lab::Lab;
use super::machine::Machine;

/// A fleet of this size has formed, or come together again, within that time.
pub const FORMS: Duration = Duration::from_secs(30);

/// The fleet, whose machines go before the lab that they stand in.
#[derive(Debug)]
pub struct Fleet {
    /// Managers first, in the order of their joining.
    pub machines: Vec<Machine>,
    /// How many are managers.
    pub managers: usize,
    /// Those that are let in no more, so nobody waits for them.
    pub out: Vec<String>,
    /// Where they stand.
    pub lab: Lab,
    root_key: PathBuf,
}

impl Fleet {
    /// Founded by its first manager, which runs.
    pub fn found(mut lab: Lab, name: &str, manager: &str) -> Self {
        let first = lab.machine(manager);
        Self::found_on(lab, name, first)
    }

    /// The same, on a machine that was made before.
    pub fn found_on(lab: Lab, name: &str, mut first: Machine) -> Self {
        let root_key = lab.folder().join(format!("{name}-root.key"));
        let key = root_key.to_string_lossy().into_owned();
        let manager = first.name.clone();
        first.ok(&["init", name, "--name", &manager, "--root-key", &key]);
        first.up();
        Self {
            machines: vec![first],
            managers: 1,
            out: Vec::new(),
            lab,
            root_key,
        }
    }

    /// So many managers `m1`, `m2` and agents `a1`, `a2`, all ready everywhere.
    pub fn formed(lab: Lab, managers: usize, agents: usize) -> Self {
        let mut fleet = Self::found(lab, "acme", "m1");
        for number in 2..=managers {
            fleet.manager(&format!("m{number}"));
        }
        for number in 1..=agents {
            fleet.agent(&format!("a{number}"));
        }
        fleet.all_ready(FORMS);
        fleet.agreed(FORMS);
        fleet
    }

    /// One of its machines.
    pub fn get(&self, name: &str) -> &Machine {
        let found = self.machines.iter().find(|it| it.name == name);
        found.unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// The same, to start or kill.
    pub fn get_mut(&mut self, name: &str) -> &mut Machine {
        let found = self.machines.iter_mut().find(|it| it.name == name);
        found.unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// Several of its machines.
    pub fn some(&self, names: &[&str]) -> Vec<&Machine> {
        names.iter().map(|name| self.get(name)).collect()
    }

    /// The managers.
    pub fn managers(&self) -> &[Machine] {
        &self.machines[..self.managers]
    }

    /// The agents.
    pub fn agents(&self) -> &[Machine] {
        &self.machines[self.managers..]
    }

    fn is_in(&self, machine: &Machine) -> bool {
        !self.out.contains(&machine.name)
    }

    /// A token in a file: secrets are no arguments.
    pub fn token(&self, invite: &Value) -> String {
        let id = invite["id"].as_str().expect("invites have ids");
        let path = self.lab.folder().join(format!("{id}.invite"));
        let token = invite["invite"].as_str().expect("invites have tokens");
        std::fs::write(&path, token).expect("a file for the token");
        format!("@{}", path.display())
    }

    /// Another manager: the root signs its invite, and then what it asks for.
    pub fn manager(&mut self, name: &str) {
        assert_eq!(self.managers, self.machines.len(), "managers come first");
        let mut new = self.lab.machine(name);
        let first = &self.machines[0];
        let key = self.root_key.to_string_lossy().into_owned();
        let token = self.token(&first.json(&["invite", "--manager", "--root-key", &key]));
        let mut joining = new.regatta(&[], &["join", &token, "--name", name]);
        joining.stdout(Stdio::null()).stderr(Stdio::null());
        let mut joining = joining.spawn().expect("nsenter started before");
        until(&format!("{name} waits for the root"), FORMS, || {
            let waiting = first.ask(&["get", "requests"])?;
            let named = |it: &Value| it["name"] == name;
            let found = waiting.as_array().is_some_and(|it| it.iter().any(named));
            holds(found, || waiting.to_string())
        });
        first.ok(&["root", "sign", name, "--yes", "--root-key", &key]);
        let (status, _) = until(&format!("{name} has joined"), FORMS, || {
            let ended = joining.try_wait().expect("it is ours");
            ended.ok_or_else(|| "it still asks".to_owned())
        });
        assert!(status.success(), "{name} did not join: {status}");
        new.up();
        self.machines.push(new);
        self.managers += 1;
    }

    /// A machine with an invite for an agent, which did not use it yet.
    pub fn invited(&mut self, name: &str) -> (Machine, String) {
        let invite = self.machines[0].json(&["invite", "--label", "site=osaka"]);
        let token = self.token(&invite);
        (self.lab.machine(name), token)
    }

    /// Another agent.
    pub fn agent(&mut self, name: &str) {
        let (mut new, token) = self.invited(name);
        new.ok(&["join", &token, "--name", name]);
        new.up();
        self.machines.push(new);
    }

    /// Waits until every manager hears every agent, and says how long that took.
    pub fn all_ready(&self, limit: Duration) -> Duration {
        let (_, took) = until("every manager hears every agent", limit, || {
            for manager in self.managers() {
                for agent in self.agents().iter().filter(|it| self.is_in(it)) {
                    let state = state(manager, &agent.name)?;
                    holds(state == "ready", || {
                        format!("{}: {} is {state}", manager.name, agent.name)
                    })?;
                }
            }
            Ok(())
        });
        took
    }

    /// Waits until all machines have one digest, and says how long that took.
    pub fn agreed(&self, limit: Duration) -> Duration {
        let (_, took) = until("one digest everywhere", limit, || {
            let those = self.machines.iter().filter(|it| self.is_in(it));
            let digests = those.map(digest).collect::<Result<Vec<Value>, String>>()?;
            holds(digests.iter().all(|it| *it == digests[0]), || {
                format!("{digests:?}")
            })
        });
        took
    }
}

/// The digest of what a node holds.
pub fn digest(machine: &Machine) -> Result<Value, String> {
    Ok(machine.ask(&["status"])?["ledgers"]["digest"].take())
}

/// What a machine says of a device.
pub fn device(asked: &Machine, name: &str) -> Result<Value, String> {
    let found = asked.ask(&["get", "devices"])?;
    let found = found.as_array().into_iter().flatten();
    let found = found.into_iter().find(|it| it["name"] == name);
    let found = found.ok_or_else(|| format!("{} knows no {name}", asked.name))?;
    Ok(found.clone())
}

/// In which state a machine says that a device is.
pub fn state(asked: &Machine, name: &str) -> Result<String, String> {
    let device = device(asked, name)?;
    let state = device["state"].as_str().ok_or("a device has a state")?;
    Ok(state.to_owned())
}
