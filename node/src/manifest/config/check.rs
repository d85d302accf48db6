//! Whether the parts of one document fit together. What other documents may set is only warned of.

use regatta_protocol::config::value::{KeyPath, Value};

use super::Config;
use super::refs::Refs;
use crate::manifest::field::{Field, Fields};

/// What a document is checked with.
struct Checked<'a> {
    config: &'a Config,
    values: &'a Value,
    refs: Refs<'a>,
    known: &'a [KeyPath],
}

pub(super) fn document(fields: &Fields<'_>, config: &Config, values: &Value, known: &[KeyPath]) {
    let checked = Checked {
        config,
        values,
        refs: fields.get("values").map(Refs::of).unwrap_or_default(),
        known,
    };
    checked.refs.refuse_cycles();
    checked.warn_of_targets();
    if let Some(files) = fields.get("files") {
        checked.warn_of_sources(files);
    }
    if let Some(lists) = fields.get("lists") {
        checked.warn_of_lists(lists);
    }
    if let Some(secrets) = fields.get("secrets") {
        checked.refuse_doubles(secrets);
    }
}

impl Checked<'_> {
    /// Whether a place is set by this document, as far as can be seen, or by another that is known.
    fn is_set(&self, path: &KeyPath) -> bool {
        self.values.at(path).is_some()
            || self.refs.reaches(path)
            || self.known.iter().any(|known| known.overlaps(path))
            || self
                .config
                .secrets
                .iter()
                .any(|(secret, _)| secret.overlaps(path))
    }

    fn warn_of_targets(&self) {
        for one in self.refs.all() {
            if !self.is_set(&one.target) {
                let field = &one.field;
                field.report.want(field.node.at, &field.path, &one.target);
            }
        }
    }

    fn warn_of_sources(&self, files: &Field<'_>) {
        for (index, item) in files.node.items().iter().enumerate() {
            let Some(from) = item.get("from") else {
                continue;
            };
            let Some(path) = from.text().and_then(|text| KeyPath::parse(text).ok()) else {
                continue;
            };
            if !self.is_set(&path) {
                let at = format!("{}[{index}].from", files.path);
                files.report.want(from.at, &at, &path);
            }
        }
    }

    fn warn_of_lists(&self, lists: &Field<'_>) {
        for entry in lists.node.entries() {
            let path = KeyPath::parse(&entry.name);
            if let Ok(path) = path
                && self.values.at(&path).is_none()
            {
                let detail = format!("this document has no list at {path}");
                lists.report.warn(entry.at, &lists.path, detail);
            }
        }
    }

    /// What stands above a place and is no map.
    fn in_the_way(&self, path: &KeyPath) -> Option<KeyPath> {
        let above = (1..path.0.len()).map(|depth| KeyPath(path.0[..depth].to_vec()));
        let mut above = above.filter(|above| self.values.at(above).is_some());
        above.find(|above| !matches!(self.values.at(above), Some(Value::Map(_))))
    }

    fn refuse_doubles(&self, secrets: &Field<'_>) {
        for entry in secrets.node.entries() {
            let Ok(path) = KeyPath::parse(&entry.name) else {
                continue;
            };
            let field = secrets.inner(&entry.name, &entry.value);
            if !path.is_empty() && self.values.at(&path).is_some() {
                let detail = "is set by values too; a secret stands in values never in clear";
                secrets.report.wrong(entry.at, &field.path, detail);
            } else if let Some(above) = self.in_the_way(&path) {
                let detail =
                    format!("values set {above}, and not to a map; nothing can stand below it");
                secrets.report.wrong(entry.at, &field.path, detail);
            }
        }
    }
}
