//! `as`, `check`, `onChange`, `healthy` and `confirm`: what a device runs.

use regatta_protocol::config::document::{Action, Hooks, Probe};

use crate::manifest::field::{Field, Fields};
use crate::manifest::yaml::Scalar;

/// How long a command may take where nobody says it.
pub(in crate::manifest) const WITHIN_MS: u64 = 30_000;

pub(super) fn read(fields: &Fields<'_>) -> Hooks {
    Hooks {
        run_as: fields
            .get("as")
            .and_then(|field| field.name("the name of a user on the device")),
        check: fields.get("check").and_then(probe),
        on_change: fields.get("onChange").map(actions).unwrap_or_default(),
        healthy: fields.get("healthy").and_then(probe),
        confirm_ms: fields.get("confirm").and_then(Field::span),
    }
}

fn probe(field: &Field<'_>) -> Option<Probe> {
    let fields = field.fields(&["exec", "within"])?;
    let within = match fields.get("within") {
        Some(within) => within.span(),
        None => Some(WITHIN_MS),
    };
    let exec = fields.need("exec", "it is the command to run");
    Some(Probe {
        exec: exec.and_then(command)?,
        within_ms: within?,
    })
}

fn actions(field: &Field<'_>) -> Vec<Action> {
    let items = field.items("a list of restart, reload and exec");
    let items = items.unwrap_or_default();
    items.iter().filter_map(action).collect()
}

fn action(field: &Field<'_>) -> Option<Action> {
    let fields = field.fields(&["exec", "restart", "reload"])?;
    let given = (
        fields.get("exec"),
        fields.get("restart"),
        fields.get("reload"),
    );
    match given {
        (Some(exec), None, None) => command(exec).map(Action::Exec),
        (None, Some(restart), None) => unit(restart).map(Action::Restart),
        (None, None, Some(reload)) => unit(reload).map(Action::Reload),
        _ => {
            field.wrong("takes exactly one of exec, restart and reload; write several items for several steps");
            None
        }
    }
}

/// A command and its arguments. Numbers among them are taken as they are written.
fn command(field: &Field<'_>) -> Option<Vec<String>> {
    const BELONGS: &str = "a list such as [\"navctl\", \"reload\"]";
    if let Some(text) = field.scalar() {
        field.wrong(format!(
            "found {}; no shell runs it, so {BELONGS} belongs here, or [\"sh\", \"-c\", \"…\"]",
            text.what()
        ));
        return None;
    }
    let items = field.items(BELONGS)?;
    let word = |item: &Field<'_>| {
        let found = item.scalar().map(|scalar: &Scalar| scalar.text.clone());
        match found {
            None => item.unfit("a word of the command"),
            Some(text) if text.contains('\0') => {
                item.wrong("has a zero byte, which no command can be given");
                return None;
            }
            Some(_) => {}
        }
        found
    };
    let words: Vec<_> = items.iter().map(word).collect();
    let words: Vec<String> = words.into_iter().collect::<Option<_>>()?;
    if words.first().is_none_or(String::is_empty) {
        field.wrong(format!("names no command; {BELONGS} belongs here"));
        return None;
    }
    Some(words)
}

/// A unit of the service manager.
fn unit(field: &Field<'_>) -> Option<String> {
    let text = field.text("a unit's name, such as nav.service,")?;
    let allowed = |found: char| found.is_ascii_alphanumeric() || ":-_.\\@".contains(found);
    if text.is_empty() || text.starts_with('-') || !text.chars().all(allowed) {
        field.wrong(format!(
            "{text:?} is no unit's name; write it as nav.service or nav@1.service"
        ));
        return None;
    }
    Some(text.to_owned())
}
