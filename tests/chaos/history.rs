//! What operators were told was saved, and whether it is there: a judge that shares no code with nodes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::machine::Machine;

/// One thing that was asked for, in the order of asking.
#[derive(Clone, Debug)]
struct Write {
    /// At which manager.
    at: String,
    /// Whether it was said that it is saved; what was not may be there or not.
    acknowledged: bool,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Label {
        device: String,
        key: String,
        value: String,
    },
    Stop {
        device: String,
    },
    Invite {
        id: String,
    },
    StopInvite {
        id: String,
    },
}

/// All that was asked for.
#[derive(Clone, Debug, Default)]
pub struct History {
    writes: Vec<Write>,
}

impl History {
    fn note(&mut self, at: &Machine, acknowledged: bool, what: What) -> bool {
        self.writes.push(Write {
            at: at.name.clone(),
            acknowledged,
            what,
        });
        acknowledged
    }

    /// Has a device labelled, and says whether that was acknowledged.
    pub fn label(&mut self, at: &Machine, device: &str, key: &str, value: &str) -> bool {
        let done = at.run(&["label", device, &format!("{key}={value}")]);
        let what = What::Label {
            device: device.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        self.note(at, done.status.success(), what)
    }

    /// Has a device stopped.
    pub fn stop(&mut self, at: &Machine, device: &str) -> bool {
        let done = at.run(&["revoke", device]);
        let device = device.to_owned();
        self.note(at, done.status.success(), What::Stop { device })
    }

    /// Gives an invite, and says its id.
    pub fn invite(&mut self, at: &Machine) -> Option<String> {
        let given = at.ask(&["invite", "--label", "site=nara"]).ok()?;
        let id = given["id"].as_str()?.to_owned();
        self.note(at, true, What::Invite { id: id.clone() });
        Some(id)
    }

    /// Has an invite stopped.
    pub fn stop_invite(&mut self, at: &Machine, id: &str) -> bool {
        let done = at.run(&["revoke", id]);
        let id = id.to_owned();
        self.note(at, done.status.success(), What::StopInvite { id })
    }

    /// How many were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.writes.iter().filter(|it| it.acknowledged).count()
    }

    /// What of another was asked for as well.
    pub fn join(&mut self, other: Self) {
        self.writes.extend(other.writes);
    }

    /// What was acknowledged and is not there, as `machine` has it now.
    pub fn lost(&self, machine: &Machine) -> Result<Vec<String>, String> {
        let devices = by("name", &machine.ask(&["get", "devices"])?);
        let invites = by("id", &machine.ask(&["get", "invites"])?);
        let mut lost = Vec::new();
        for ((device, key), may) in self.labels() {
            let is = devices
                .get(&device)
                .map(|it| it["labels"][&key].as_str().unwrap_or("nothing"));
            if !is.is_some_and(|is| may.iter().any(|may| may == is)) {
                lost.push(format!(
                    "{}: label {key} of {device} is {is:?}, not one of {may:?}",
                    machine.name
                ));
            }
        }
        for write in self.writes.iter().filter(|it| it.acknowledged) {
            let missing = match &write.what {
                What::Label { .. } => false,
                What::Stop { device } => {
                    devices.get(device).is_none_or(|it| it["state"] != "stopped")
                }
                What::Invite { id } => !invites.contains_key(id),
                What::StopInvite { id } => {
                    invites.get(id).is_none_or(|it| it["state"] != "stopped")
                }
            };
            if missing {
                lost.push(format!("{}: {write:?}", machine.name));
            }
        }
        Ok(lost)
    }

    /// What each label may be in the end: of each writer the last value that it was told is saved, or one
    /// that it asked for after that. Where no write was acknowledged, nothing can be lost.
    fn labels(&self) -> BTreeMap<(String, String), Vec<String>> {
        let mut may: BTreeMap<(String, String), BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for write in &self.writes {
            let What::Label { device, key, value } = &write.what else {
                continue;
            };
            let writers = may.entry((device.clone(), key.clone())).or_default();
            match writers.get_mut(&write.at) {
                Some(values) => {
                    if write.acknowledged {
                        values.clear();
                    }
                    values.push(value.clone());
                }
                None if write.acknowledged => {
                    writers.insert(write.at.clone(), vec![value.clone()]);
                }
                None => {}
            }
        }
        let flat = may
            .into_iter()
            .map(|(label, writers)| (label, writers.into_values().flatten().collect::<Vec<_>>()));
        flat.filter(|(_, values)| !values.is_empty()).collect()
    }
}

/// The rows of a list, by one of their fields.
fn by(field: &str, list: &Value) -> BTreeMap<String, Value> {
    let rows = list.as_array().into_iter().flatten();
    let named = rows.filter_map(|row| Some((row[field].as_str()?.to_owned(), row.clone())));
    named.collect()
}
