//! Rules about the manifests: protocol <- actors <- node, and nothing shipped on simulations.

use super::tree::Source;

/// Which of our crates each may stand on, whatever the section.
const STANDS_ON: [(&str, &[&str]); 7] = [
    ("protocol", &[]),
    ("actors", &["regatta-protocol"]),
    ("node", &["regatta-actors", "regatta-protocol"]),
    ("simulations", &["regatta-protocol"]),
    ("fuzz", &["regatta-protocol"]),
    ("patches/futures-timer", &[]),
    ("patches/web-time", &[]),
];

/// Besides, where they are optional: the one-process fleet of real nodes is behind a feature.
const OPTIONAL_IN_SIMULATIONS: [&str; 2] = ["regatta-actors", "regatta-node"];

/// Clocks, sockets, threads, disks and the system's randomness: protocol decides and never acts.
const NOT_IN_PROTOCOL: [&str; 9] = [
    "async-std",
    "futures",
    "getrandom",
    "libp2p",
    "mio",
    "ractor",
    "sled",
    "smol",
    "tokio",
];

/// For tests alone, and so never in what ships: whole nodes in one process.
const IN_TESTS: (&str, &str) = ("node", "regatta-simulations");

struct Dependency {
    line: usize,
    /// For tests and benchmarks alone.
    dev: bool,
    /// The package's own name, also where it was renamed.
    package: String,
    optional: bool,
}

pub fn point_the_right_way(manifest: &Source) -> Vec<String> {
    let Some(member) = manifest.path.strip_suffix("/Cargo.toml") else {
        return Vec::new();
    };
    let Some((_, allowed)) = STANDS_ON.into_iter().find(|(name, _)| *name == member) else {
        return vec![manifest.broken(1, "a new crate states in tests/tidy what it stands on")];
    };
    let mut broken = Vec::new();
    for dependency in dependencies(manifest) {
        let package = dependency.package.as_str();
        let fleet = member == "simulations"
            && dependency.optional
            && OPTIONAL_IN_SIMULATIONS.contains(&package);
        let tests = dependency.dev && (member, package) == IN_TESTS;
        if package.starts_with("regatta") && !allowed.contains(&package) && !fleet && !tests {
            let rule = format!(
                "{member} may not stand on {package}: protocol <- actors <- node, and simulations \
                 on protocol"
            );
            broken.push(manifest.broken(dependency.line, &rule));
        }
        let family = |name: &&str| package == *name || package.starts_with(&format!("{name}-"));
        if member == "protocol" && NOT_IN_PROTOCOL.iter().any(family) {
            let rule = format!("protocol decides without IO: {package} belongs in actors");
            broken.push(manifest.broken(dependency.line, &rule));
        }
    }
    broken
}

/// Everything under any `…dependencies` table, as both of TOML's spellings give it.
fn dependencies(manifest: &Source) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    let mut section = "";
    for (line, text) in manifest.lines() {
        let text = text.split('#').next().unwrap_or_default().trim();
        if let Some(header) = text.strip_prefix('[') {
            section = header.trim_end_matches(']');
            let table = section.rsplit_once("dependencies.").map(|(_, name)| name);
            found.extend(table.map(|name| Dependency {
                line,
                dev: section.contains("dev-dependencies"),
                package: name.trim_matches('"').to_owned(),
                optional: false,
            }));
            continue;
        }
        let Some((key, value)) = text.split_once('=') else {
            continue;
        };
        if section.ends_with("dependencies") {
            let (name, dotted) = key.trim().split_once('.').unwrap_or((key.trim(), ""));
            found.push(Dependency {
                line,
                dev: section.contains("dev-dependencies"),
                package: renamed(value).unwrap_or(name.trim_matches('"')).to_owned(),
                optional: value.contains("optional = true") || dotted == "optional",
            });
        } else if section.contains("dependencies.")
            && let Some(last) = found.last_mut()
        {
            match key.trim() {
                "package" => last.package = value.trim().trim_matches('"').to_owned(),
                "optional" => last.optional = value.trim() == "true",
                _ => {}
            }
        }
    }
    found
}

fn renamed(value: &str) -> Option<&str> {
    let (_, after) = value.split_once("package = \"")?;
    after.split('"').next()
}
