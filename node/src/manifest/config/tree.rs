//! `values`: any map, as a tree of values.

use std::collections::BTreeMap;

use regatta_protocol::config::value::{DEPTH_MAX, KEY_BYTES_MAX, Value};

use crate::manifest::field::Field;
use crate::manifest::yaml::Data;

/// The tree; none where something in it cannot be kept.
pub(super) fn values(field: &Field<'_>) -> Option<Value> {
    if !matches!(field.node.data, Data::Map(_)) {
        field.unfit("a map of what devices are to be told");
        return None;
    }
    value(field, 1)
}

/// What stands at a place.
pub(in crate::manifest) fn value(field: &Field<'_>, depth: usize) -> Option<Value> {
    match &field.node.data {
        Data::Scalar(scalar) => match scalar.value() {
            Ok(value) => Some(value),
            Err(error) => {
                field.wrong(error);
                None
            }
        },
        Data::List(_) | Data::Map(_) if depth > DEPTH_MAX => {
            field.wrong(format!(
                "lists and maps stand more than {DEPTH_MAX} deep in each other"
            ));
            None
        }
        Data::List(_) => {
            let items = field.items("a list")?;
            let items: Vec<_> = items.iter().map(|item| value(item, depth + 1)).collect();
            items.into_iter().collect::<Option<_>>().map(Value::List)
        }
        Data::Map(_) => {
            let mut map = BTreeMap::new();
            let mut whole = true;
            for (entry, field) in field.entries("a map")? {
                if entry.name.len() > KEY_BYTES_MAX {
                    let bytes = entry.name.len();
                    let detail =
                        format!("a name of {bytes} bytes; at most {KEY_BYTES_MAX} are allowed");
                    field.report.wrong(entry.at, &field.path, detail);
                    whole = false;
                    continue;
                }
                match value(&field, depth + 1) {
                    Some(value) => drop(map.insert(entry.name.clone(), value)),
                    None => whole = false,
                }
            }
            whole.then_some(Value::Map(map))
        }
    }
}
