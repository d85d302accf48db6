//! `kind: Config`: from its fields to the document that the fleet gets.

mod check;
pub(super) mod files;
pub(super) mod hooks;
mod refs;
mod rollout;
pub(super) mod tree;

use std::collections::BTreeMap;

use regatta_protocol::codec::{self, Wire};
use regatta_protocol::config::document::{ConfigDocument, ListRule};
use regatta_protocol::config::value::{KeyPath, Tokens, Value};
use regatta_protocol::ident::Hash;
use regatta_protocol::selector::Selector;

use super::Around;
use super::content::Content;
use super::field::{Field, Fields, key_path};
use super::secret::{self, SecretSource};

/// All fields of a configuration document, in the order in which they are written.
pub(super) const FIELDS: [&str; 12] = [
    "select", "priority", "values", "lists", "files", "secrets", "as", "check", "onChange",
    "healthy", "confirm", "rollout",
];

/// A configuration document as it was read: what is sent, and what has to go before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whom it is for.
    pub select: Selector,
    /// What it says. Nobody is named in it, and its secrets are not: whoever sends it does both.
    pub document: ConfigDocument,
    /// The contents of its files that this machine has, to be uploaded first.
    pub contents: BTreeMap<Hash, Content>,
    /// Where its secrets are to be had; see [`super::secret::open`].
    pub secrets: Vec<(KeyPath, SecretSource)>,
}

impl Config {
    /// The places that it says something of.
    pub(super) fn set(&self) -> Set<'_> {
        Set {
            values: self
                .document
                .values
                .read()
                .unwrap_or_else(|_| Value::empty()),
            secrets: &self.secrets,
        }
    }
}

/// The places that a document says something of.
pub(super) struct Set<'a> {
    values: Value,
    secrets: &'a [(KeyPath, SecretSource)],
}

impl Set<'_> {
    pub(super) fn has(&self, path: &KeyPath) -> bool {
        let mut secrets = self.secrets.iter();
        self.values.at(path).is_some() || secrets.any(|(secret, _)| secret.overlaps(path))
    }
}

pub(super) fn read(spec: &Field<'_>, around: &Around<'_>) -> Option<Config> {
    let before = spec.report.count();
    let fields = spec.fields(&FIELDS)?;
    let values = fields.get("values").and_then(tree::values);
    let files = files::read(&fields, around);
    let secrets = fields
        .get("secrets")
        .map(|field| secret::read(field, around.folder))
        .unwrap_or_default();
    let config = Config {
        select: select(&fields).unwrap_or_default(),
        document: ConfigDocument {
            by: String::new(),
            priority: fields
                .get("priority")
                .and_then(|field| field.integer(i32::MIN, i32::MAX))
                .unwrap_or_default(),
            values: Tokens::of(&Value::empty()),
            lists: fields.get("lists").map(lists).unwrap_or_default(),
            files: files.specs,
            secrets: None,
            hooks: hooks::read(&fields),
            rollout: fields.get("rollout").and_then(rollout::read),
        },
        contents: files.contents,
        secrets,
    };
    let values = values.unwrap_or_else(Value::empty);
    check::document(&fields, &config, &values, around.known);
    if spec.report.count() > before {
        return None;
    }
    finished(spec, config, &values)
}

/// Puts the values in, where they fit.
fn finished(spec: &Field<'_>, mut config: Config, values: &Value) -> Option<Config> {
    config.document.values = Tokens::of(values);
    if !codec::fits(&config.document) {
        spec.wrong(format!(
            "makes a document of more than {} bytes; split it, or give large texts as content of files",
            ConfigDocument::BYTES_MAX
        ));
        return None;
    }
    Some(config)
}

fn select(fields: &Fields<'_>) -> Option<Selector> {
    let advice = "write a selector such as role=amr, or \"\" for every device";
    let field = fields.need("select", advice)?;
    let text = field.text("a selector such as role=amr,site!=dock")?;
    match Selector::parse(text) {
        Ok(selector) => Some(selector),
        Err(error) => {
            let within = field
                .scalar()
                .and_then(|scalar| scalar.mark_of(error.at() - 1));
            let at = within.unwrap_or(field.node.at);
            field.report.wrong(at, &field.path, error.to_string());
            None
        }
    }
}

fn lists(field: &Field<'_>) -> BTreeMap<KeyPath, ListRule> {
    const BELONGS: &str = "merge or replace";
    let rule = |field: &Field<'_>| {
        field.read(BELONGS, |text| match text {
            "merge" => Ok(ListRule::Merge),
            "replace" => Ok(ListRule::Replace),
            other => Err(format!("{other:?} is neither merge nor replace")),
        })
    };
    if field.scalar().is_some() {
        let whole = rule(field).map(|rule| (KeyPath::default(), rule));
        return whole.into_iter().collect();
    }
    let belongs = "merge or replace, or a map of places to these words,";
    let entries = field.entries(belongs).unwrap_or_default();
    let each = entries.into_iter().filter_map(|(entry, field)| {
        let path = key_path(&entry.name).map_err(|error| field.wrong(error));
        Some((path.ok()?, rule(&field)?))
    });
    each.collect()
}
