//! Rules about the text of files: openings, sizes, names, and words that do not belong.

use std::collections::BTreeMap;

use super::tree::{Source, code, has_word};

pub const LINES_MAX: usize = 500;
pub const FIELDS_MAX: usize = 10;
pub const COLUMNS_MAX: usize = 120;

/// Names that say nothing: whatever lies there belongs to the thing that needs it.
const EMPTY_NAMES: [&str; 7] = [
    "common", "core", "helper", "helpers", "misc", "util", "utils",
];

/// Crates that stay behind the files, or the folders, that wrap them.
const WRAPPED: [(&str, &[&str]); 5] = [
    ("bincode", &["protocol/src/codec.rs"]),
    ("libp2p", &["actors/src/network"]),
    (
        "rustix",
        &["actors/src/store/disk/real.rs", "actors/src/config"],
    ),
    ("sled", &["actors/src/store/index/on_disk.rs"]),
    ("snow", &["protocol/src/crypto/channel/noise.rs"]),
];

/// What somebody meant to come back to; split, so that this file does not break its own rule.
const LEFT_OVER: [&str; 4] = [
    concat!("to", "do!"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];

/// Folders of one machine, which mean nothing to a reader elsewhere.
const MACHINE_FOLDERS: [&str; 4] = ["/tmp/", "/work/", "/root/", "/home/"];

pub fn opens_with_a_sentence(source: &Source) -> Vec<String> {
    let opening: Vec<&str> = source
        .text
        .lines()
        .map_while(|line| line.strip_prefix("//! "))
        .collect();
    if opening.iter().any(|line| line.ends_with(['.', ':'])) {
        return Vec::new();
    }
    vec![source.broken(
        1,
        "a file opens with one `//!` sentence that ends in a full stop",
    )]
}

/// A size that has a limit, and what it is the size of.
pub struct Measured {
    /// `path:line`.
    pub place: String,
    /// What exceptions call it, which does not move with the lines: `path` or `path: Struct`.
    pub name: String,
    pub size: usize,
}

/// Sizes against a limit and a ratchet: a table of what is above the limit today, which only shrinks.
pub fn ratchet(
    found: &[Measured],
    limit: usize,
    exceptions: &[(&str, usize)],
    unit: &str,
) -> Vec<String> {
    let exceptions: BTreeMap<&str, usize> = exceptions.iter().copied().collect();
    let mut broken = Vec::new();
    for Measured { place, name, size } in found {
        let exception = exceptions.get(name.as_str());
        let most = exception.copied().unwrap_or(limit);
        if *size > most {
            broken.push(format!(
                "{place}: {name} has {size} {unit}, at most {most} are allowed"
            ));
        } else if exception.is_some() && *size < most {
            broken.push(format!(
                "{place}: {name} has {size} {unit}, its exception still allows {most}: lower it, or \
                 remove it at {limit}"
            ));
        }
    }
    let gone = exceptions
        .keys()
        .filter(|name| !found.iter().any(|one| one.name == **name));
    broken.extend(gone.map(|name| format!("{name}: is gone: remove its exception for {unit}")));
    broken
}

pub fn lines_of(source: &Source) -> Measured {
    Measured {
        place: format!("{}:1", source.path),
        name: source.path.clone(),
        size: source.text.lines().count(),
    }
}

/// The widest line.
pub fn columns_of(source: &Source) -> Measured {
    let widths = source
        .lines()
        .map(|(number, line)| (line.chars().count(), number));
    let (size, number) = widths.max().unwrap_or((0, 1));
    Measured {
        place: format!("{}:{number}", source.path),
        name: source.path.clone(),
        size,
    }
}

/// Every struct with named fields, settings aside; relies on rustfmt's layout.
pub fn fields_of_structs(source: &Source) -> Vec<Measured> {
    let mut found: Vec<Measured> = Vec::new();
    // The indent of the struct that is being read, and whether its brace has been opened.
    let mut reading: Option<(&str, bool)> = None;
    for (number, line) in source.lines() {
        if reading.is_none() {
            let headed = line.ends_with(['{', '<', '>']) || line.ends_with(char::is_alphanumeric);
            let named = struct_name(line).filter(|name| headed && !name.ends_with("Settings"));
            if let Some(name) = named {
                reading = Some((&line[..line.len() - line.trim_start().len()], false));
                found.push(Measured {
                    place: format!("{}:{number}", source.path),
                    name: format!("{}: {name}", source.path),
                    size: 0,
                });
            }
        }
        reading = match reading {
            Some((indent, true)) if line.strip_prefix(indent) == Some("}") => None,
            Some((indent, false)) => Some((indent, line.ends_with('{'))),
            Some((indent, true)) => {
                let inner = line
                    .strip_prefix(indent)
                    .and_then(|line| line.strip_prefix("    "));
                if let Some(last) = found.last_mut() {
                    last.size += usize::from(inner.is_some_and(is_field));
                }
                reading
            }
            None => None,
        };
    }
    found
}

fn struct_name(line: &str) -> Option<&str> {
    let declaration = unpublished(code(line).trim_start());
    let name = declaration.strip_prefix("struct ")?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
    Some(&name[..end.unwrap_or(name.len())]).filter(|name| !name.is_empty())
}

/// `name: Type`, at the start of what is left of a line.
fn is_field(line: &str) -> bool {
    let Some((name, after)) = unpublished(code(line)).split_once(':') else {
        return false;
    };
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '#';
    !name.is_empty() && name.chars().all(plain) && !after.starts_with(':')
}

/// A declaration without its `pub`, `pub(crate)` or `pub(in path)`.
fn unpublished(declaration: &str) -> &str {
    let Some(rest) = declaration.strip_prefix("pub") else {
        return declaration;
    };
    match rest.strip_prefix('(') {
        Some(scoped) => scoped
            .split_once(") ")
            .map_or(declaration, |(_, rest)| rest),
        None => rest.strip_prefix(' ').unwrap_or(declaration),
    }
}

pub fn has_a_name_that_says_something(source: &Source) -> Vec<String> {
    const RULE: &str = "is a name that says nothing: put it with what it serves";
    let mut broken = Vec::new();
    let stem = source
        .path
        .rsplit_once('.')
        .map_or(source.path.as_str(), |(stem, _)| stem);
    for part in stem.split('/').filter(|part| EMPTY_NAMES.contains(part)) {
        broken.push(source.broken(1, &format!("`{part}` {RULE}")));
    }
    for (number, line) in source.lines() {
        let name = if source.is("rs") {
            module_name(line)
        } else if source.path.ends_with("Cargo.toml") {
            crate_name(line)
        } else {
            None
        };
        if let Some(name) = name.filter(|name| EMPTY_NAMES.contains(name)) {
            broken.push(source.broken(number, &format!("`{name}` {RULE}")));
        }
    }
    broken
}

fn module_name(line: &str) -> Option<&str> {
    let declaration = code(line).trim().trim_end_matches([';', '{', '}', ' ']);
    let (before, name) = declaration.rsplit_once("mod ")?;
    (before.is_empty() || before.starts_with("pub")).then_some(name)
}

fn crate_name(line: &str) -> Option<&str> {
    let (key, value) = line.split_once('=')?;
    let name = value.trim().trim_matches('"');
    (key.trim() == "name").then(|| {
        name.trim_start_matches("regatta")
            .trim_start_matches(['-', '_'])
    })
}

pub fn is_no_mod_file(source: &Source) -> Vec<String> {
    if source.path.ends_with("/mod.rs") {
        return vec![source.broken(
            1,
            "a module `foo` is `foo.rs` beside `foo/`, never `foo/mod.rs`",
        )];
    }
    Vec::new()
}

pub fn names_no_wrapped_crate(source: &Source) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, files) in WRAPPED {
        let path = source.path.as_str();
        let inside = |file: &&str| {
            let rest = path.strip_prefix(*file);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if files.iter().any(inside) {
            continue;
        }
        for (number, line) in source.lines() {
            let code = code(line);
            let used = code
                .trim_start()
                .trim_start_matches("pub ")
                .starts_with("use ");
            if has_word(code, name) && (used || code.contains(&format!("{name}::"))) {
                let rule = format!("only {} may name the crate `{name}`", files.join(" and "));
                broken.push(source.broken(number, &rule));
            }
        }
    }
    broken
}

pub fn ignores_no_test_without_a_reason(source: &Source) -> Vec<String> {
    let attribute = concat!("#[", "ignore");
    let bare = |line: &str| {
        line.trim_start()
            .strip_prefix(attribute)
            .is_some_and(|rest| !rest.trim_start().starts_with("= \"") || rest.contains("\"\""))
    };
    let lines = source.lines().filter(|(_, line)| bare(line));
    lines
        .map(|(number, _)| source.broken(number, "an ignored test says why: `= \"reason\"`"))
        .collect()
}

pub fn leaves_nothing_over(source: &Source) -> Vec<String> {
    let left = |line: &str| {
        LEFT_OVER
            .into_iter()
            .find(|word| match word.strip_suffix('!') {
                Some(name) => has_word(code(line), name) && code(line).contains(word),
                None => has_word(line, word),
            })
    };
    source
        .lines()
        .filter_map(|(number, line)| left(line).map(|word| (number, word)))
        .map(|(number, word)| source.broken(number, &format!("`{word}`: do it, or open an issue")))
        .collect()
}

pub fn names_no_folder_of_one_machine(source: &Source) -> Vec<String> {
    let mut broken = Vec::new();
    for (number, line) in source.lines() {
        for folder in MACHINE_FOLDERS
            .into_iter()
            .filter(|folder| line.contains(folder))
        {
            let rule =
                format!("`{folder}` is a folder of one machine; write paths from the root here");
            broken.push(source.broken(number, &rule));
        }
    }
    broken
}
