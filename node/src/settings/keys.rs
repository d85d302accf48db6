//! Every key that the program knows, with its default: files, environment and arguments go by it.

/// What a key's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text; empty where that says "not set".
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Texts; in the environment with commas between.
    List,
    /// `true` or `false`.
    Switch,
    /// Lists by names, which no variable of the environment can say.
    Map,
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// With its section: `network.listen`.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// As one would write it in the environment.
    pub default: &'static str,
}

const fn key(name: &'static str, kind: Kind, default: &'static str) -> Key {
    Key {
        name,
        kind,
        default,
    }
}

/// All of them, in the order in which they are shown.
pub const KEYS: [Key; 18] = [
    key("name", Kind::Text, ""),
    key(
        "network.listen",
        Kind::List,
        "/ip4/0.0.0.0/udp/4700/quic-v1,/ip4/0.0.0.0/tcp/4700,/ip6/::/udp/4700/quic-v1,\
         /ip6/::/tcp/4700",
    ),
    key("network.external", Kind::List, ""),
    key("network.lan", Kind::Switch, "true"),
    key("network.relay", Kind::Word(&["auto", "on", "off"]), "auto"),
    key(
        "network.profile",
        Kind::Word(&["normal", "metered"]),
        "normal",
    ),
    key("network.keep_alive", Kind::Text, "auto"),
    key("control.socket", Kind::Text, ""),
    key("control.group", Kind::Text, "regatta"),
    key("control.users", Kind::Map, ""),
    key("log.level", Kind::Text, "info"),
    key("log.format", Kind::Word(&["auto", "human", "json"]), "auto"),
    key("metrics.listen", Kind::Text, ""),
    key("store.free_min", Kind::Text, "16MiB"),
    key("files.root", Kind::Text, "/"),
    key("files.allow", Kind::List, "/opt"),
    key("services.restart", Kind::List, "systemctl,restart,{unit}"),
    key("services.reload", Kind::List, "systemctl,reload,{unit}"),
];

/// The key of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether names of keys begin with this section.
#[must_use]
pub fn is_section(name: &str) -> bool {
    let within = |key: &Key| {
        key.name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    KEYS.iter().any(within)
}

/// The variable of the environment that sets it; none where none can.
#[must_use]
pub fn variable(key: &Key) -> Option<String> {
    let name = || format!("REGATTA_{}", key.name.replace('.', "_").to_uppercase());
    (key.kind != Kind::Map).then(name)
}

/// The known key that looks most like this one, by whole name or without its section.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    const LIKE_MIN: f64 = 0.7;
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let like = |key: &Key| {
        strsim::jaro_winkler(key.name, name).max(strsim::jaro_winkler(&last(key.name), &last(name)))
    };
    let best = KEYS.iter().max_by(|a, b| like(a).total_cmp(&like(b)))?;
    (like(best) >= LIKE_MIN).then_some(best.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_once_and_found_by_their_look() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(
                KEYS[index + 1..].iter().all(|other| other.name != key.name),
                "{}",
                key.name
            );
        }
        assert_eq!(nearest("network.lisen"), Some("network.listen"));
        assert_eq!(nearest("keepalive"), Some("network.keep_alive"));
        assert_eq!(nearest("zzz"), None);
        assert!(is_section("network") && !is_section("net") && !is_section("name"));
        let users = find("control.users").and_then(variable);
        assert_eq!(users, None);
    }
}
