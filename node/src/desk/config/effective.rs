//! What the documents make of one device, and why: worked out here, so that it can be asked of a device
//! that is off.

use std::collections::BTreeMap;

use regatta_actors::acts;
use regatta_actors::acts::{ActError, find_target};
use regatta_actors::config;
use regatta_actors::ledger::LedgerView;
use regatta_protocol::catalog::RevisionId;
use regatta_protocol::codec::Name;
use regatta_protocol::config::document::ConfigDocument;
use regatta_protocol::config::resolve::{Layer, MASK, Resolver, Standing};
use regatta_protocol::config::selection::Selection;
use regatta_protocol::config::value::{KeyPath, Value};
use regatta_protocol::ident::NodeId;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::roll::Enrolled;

use super::versions::Version;
use crate::control::api::{
    ApplyAsk, Asked, Effective, Explanation, LocalValue, Preview, Problem, RetryAsk, Saying, moment,
};
use crate::control::server::Caller;
use crate::desk::names::names;
use crate::desk::{Desk, note, problem};

/// A device's tree, and what it is made of.
struct Made {
    node: NodeId,
    labels: Labels,
    resolver: Resolver,
    versions: BTreeMap<String, (Version, String)>,
    missing: Vec<String>,
}

/// A device's id and labels, by what an operator calls it.
fn device(view: &LedgerView<'_>, text: &str) -> Result<(NodeId, Labels), ActError> {
    let target = find_target(view, text)?;
    let labels = target.enrolled.as_ref().map(Enrolled::seen_by_selectors);
    let unknown = || ActError::Unknown {
        what: "device",
        name: text.to_owned(),
    };
    Ok((target.node, labels.ok_or_else(unknown)?))
}

/// A value as JSON, which every program reads.
pub(crate) fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(bool) => (*bool).into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => number.get().into(),
        Value::Text(text) => text.clone().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (key.clone(), json(value)));
            entries.collect()
        }
    }
}

fn path(text: &str) -> Result<KeyPath, Problem> {
    if text.is_empty() {
        return Ok(KeyPath::root());
    }
    KeyPath::parse(text).map_err(|error| Problem::usage(error.to_string()))
}

/// What a document says of the tree, secrets masked.
fn layer<'a>(
    name: &Name,
    select: &Selector,
    words: &'a ConfigDocument,
    secrets: impl IntoIterator<Item = &'a KeyPath>,
) -> Result<Layer, Problem> {
    let layer = Layer::of(name.clone(), select, words, None);
    let mut layer = layer.map_err(|error| Problem::bug(error.to_string()))?;
    let sealed = words.secrets.iter().flat_map(|secrets| &secrets.paths);
    let masked = sealed.chain(secrets);
    layer.secrets = masked.map(|path| (path.clone(), MASK.to_owned())).collect();
    Ok(layer)
}

fn whole(resolver: &Resolver) -> Result<serde_json::Value, Problem> {
    let tree = resolver.shown(&KeyPath::root());
    let tree = tree.map_err(|error| Problem::refused(error.to_string()))?;
    Ok(json(&tree.unwrap_or_else(Value::empty)))
}

impl Desk {
    /// A device's tree before and after documents are written; nothing is.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn preview(
        &self,
        caller: &Caller,
        device: &str,
        ask: ApplyAsk,
    ) -> Result<Preview, Problem> {
        let mut made = self.make(device).await?;
        let before = whole(&made.resolver)?;
        for put in self.read(caller, ask).await? {
            match &put.document {
                Some(words) if put.select.matches(&made.labels) => {
                    let layer = layer(&put.name, &put.select, words, put.secrets.keys())?;
                    made.resolver.put(layer);
                }
                _ => {
                    made.resolver.take(&put.name);
                }
            }
        }
        Ok(Preview {
            device: device.to_owned(),
            before,
            after: whole(&made.resolver)?,
        })
    }

    async fn make(&self, name: &str) -> Result<Made, Problem> {
        let asked = name.to_owned();
        let rollouts = config::rollouts(&self.handles()?.config);
        let rollouts = rollouts.await.map_err(problem)?;
        let selected = acts::look(self.handles()?, move |view| {
            let (node, labels) = device(view, &asked)?;
            let (holdings, names) = (view.replica.holdings(), names(view));
            let selection = Selection::of(holdings, &labels, |_, id| {
                rollouts.reach(holdings, id, (&node, &labels))
            });
            let version = |id: &RevisionId| {
                let held = holdings.catalog().revision(id)?;
                Some(Version::of(view, &names, id, held))
            };
            let take = selection.take.iter();
            let versions = take.filter_map(|it| version(&it.chosen.revision));
            Ok((node, labels.clone(), versions.collect::<Vec<Version>>()))
        });
        let (node, labels, versions) = selected.await.map_err(problem)?.map_err(problem)?;
        let mut made = Made {
            node,
            labels,
            resolver: Resolver::new(),
            versions: BTreeMap::new(),
            missing: Vec::new(),
        };
        for version in versions {
            let name = version.name.to_string();
            let Some(words) = self.words_of(&version).await? else {
                made.missing.push(name);
                continue;
            };
            let layer = layer(&version.name, &version.select, &words, [])?;
            made.resolver.put(layer);
            made.versions.insert(name, (version, words.by));
        }
        Ok(made)
    }

    /// A device's configuration, as the documents say it.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn effective(&self, device: &str, at: Option<&str>) -> Result<Effective, Problem> {
        let made = self.make(device).await?;
        let at = path(at.unwrap_or_default())?;
        let tree = made.resolver.shown(&at);
        let tree = tree.map_err(|error| Problem::refused(error.to_string()))?;
        let tree = tree.unwrap_or_else(Value::empty);
        let documents = made.versions.into_iter();
        Ok(Effective {
            device: device.to_owned(),
            tree: json(&tree),
            documents: documents
                .map(|(name, (version, _))| (name, version.version))
                .collect(),
            missing: made.missing,
        })
    }

    /// Who says what about a place in a device's tree.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn explain(&self, device: &str, at: &str) -> Result<Explanation, Problem> {
        let made = self.make(device).await?;
        let place = path(at)?;
        let value = made.resolver.shown(&place);
        let value = value.map_err(|error| Problem::refused(error.to_string()))?;
        let mut said = Vec::new();
        for saying in made.resolver.explain(&place) {
            let Some((version, by)) = made.versions.get(saying.weight.name.as_str()) else {
                continue;
            };
            let state = match saying.standing {
                Standing::Holds => "holds",
                Standing::Merged => "merged",
                Standing::Hides => "hides",
                Standing::Hidden => "hidden",
            };
            said.push(Saying {
                document: version.name.to_string(),
                version: version.version,
                select: version.select.to_string(),
                by: by.clone(),
                at: moment(version.at.0),
                value: json(&saying.value),
                state: state.to_owned(),
            });
        }
        let first = made.resolver.explain(&place).into_iter().next();
        let holds = first.map(|it| it.weight.name.to_string());
        let note = self.note_on(made.node, holds, &made.versions).await?;
        Ok(Explanation {
            device: device.to_owned(),
            path: at.to_owned(),
            value: value.as_ref().map(json),
            said,
            note,
        })
    }

    /// What the device itself says, where it is not there yet.
    async fn note_on(
        &self,
        node: NodeId,
        document: Option<String>,
        versions: &BTreeMap<String, (Version, String)>,
    ) -> Result<Option<String>, Problem> {
        let Some((name, (version, _))) = document.and_then(|name| versions.get_key_value(&name))
        else {
            return Ok(None);
        };
        let asked = version.name.clone();
        let standing = config::look(&self.handles()?.config, move |view| {
            view.reports.standing(&node, &asked).cloned()
        });
        let standing = standing.await.map_err(problem)?;
        let holds = standing.as_ref().and_then(|it| it.holds);
        let number = version.version;
        Ok(match (standing, holds) {
            (_, Some((id, _))) if id == version.id => None,
            (Some(standing), holds) if standing.last.revision == Some(version.id) => {
                let fault = standing
                    .fault
                    .map(|fault| fault.to_string())
                    .unwrap_or_default();
                let there = holds.map_or_else(
                    || "nothing of it holds there".to_owned(),
                    |(_, held)| format!("{name}@{held} holds there"),
                );
                Some(format!(
                    "the device did not take {name}@{number}: {fault}; {there}"
                ))
            }
            (_, Some((_, held))) => Some(format!(
                "the device has {name}@{held} still; {name}@{number} is pending"
            )),
            (_, None) => Some(format!("the device has not reported {name}@{number} yet")),
        })
    }

    /// What holds on this node itself, in clear: for the programs on it.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn local_value(&self, at: &str) -> Result<LocalValue, Problem> {
        let place = path(at)?;
        let value = config::look(&self.handles()?.config, move |view| {
            view.tree.resolver().get(&place)
        });
        let value = value.await.map_err(problem)?;
        let value = value.map_err(|error| Problem::refused(error.to_string()))?;
        Ok(LocalValue {
            path: at.to_owned(),
            value: value.as_ref().map(json),
        })
    }

    /// Has this node try again what it refused or took back.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn retry(&self, caller: &Caller, ask: RetryAsk) -> Result<Asked, Problem> {
        let name = ask.document.as_deref().map(super::name).transpose()?;
        let asked = name.clone();
        let found = config::look(&self.handles()?.config, move |view| {
            let refused = &view.adoption.refused;
            match &asked {
                Some(name) => usize::from(refused.contains_key(name)),
                None => refused.len(),
            }
        });
        let found = found.await.map_err(problem)?;
        let stuck = config::look(&self.handles()?.config, |view| {
            let attempt = view.adoption.attempt.as_ref();
            attempt.is_some_and(|attempt| attempt.stuck.is_some())
        });
        if found == 0 && !stuck.await.map_err(problem)? {
            let what = match &name {
                Some(name) => format!("config/{name} was not refused or taken back here"),
                None => "nothing was refused or taken back here".to_owned(),
            };
            return Err(Problem::refused(what));
        }
        let what = match &name {
            Some(name) => format!("config/{name} is tried again"),
            None => format!("{found} refused documents are tried again"),
        };
        let gone = |_| problem(acts::ActError::Gone);
        let config = &self.handles()?.config;
        config
            .cast(config::ConfigMessage::Retry(name))
            .map_err(gone)?;
        note(caller, &what);
        Ok(Asked { what })
    }

    /// Counted up whenever what holds on this node has changed.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn local_changes(&self) -> Result<tokio::sync::watch::Receiver<u64>, Problem> {
        let changes = config::look(&self.handles()?.config, |view| view.applied.clone());
        changes.await.map_err(problem)
    }
}
