//! Settings from all four layers, and everything that can be wrong with them.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use regatta_protocol::trust::certificate::Capability;

use super::keys::KEYS;
use super::{Flags, LogFormat, Origins, Profile, Relay, Settings, Source, load_with};

fn loaded(
    state: &Path,
    environment: &[(&str, &str)],
    flags: Flags,
) -> Result<(Settings, Origins), String> {
    let environment = environment
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load_with(state, None, environment, flags).map_err(|error| error.to_string())
}

fn of_file(text: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("regatta.toml"), text).expect("written");
    let place = format!("{}/", folder.path().display());
    let read = loaded(folder.path(), &[], Flags::default());
    read.map(|(settings, _)| settings)
        .map_err(|error| error.replace(&place, ""))
}

#[test]
fn without_any_file_the_defaults_hold() {
    let settings = of_file("").expect("defaults are right");
    assert_eq!(settings.name, None);
    assert_eq!(settings.network.listen.len(), 4);
    assert!(settings.network.lan);
    assert_eq!(settings.network.relay, Relay::Auto);
    assert_eq!(settings.network.keep_alive_ms, None);
    assert!(settings.control.socket.ends_with("control.sock"));
    assert_eq!(settings.log.format, LogFormat::Auto);
    assert_eq!(settings.metrics.listen, None);
    assert_eq!(settings.store.free_min_bytes, 16 * 1024 * 1024);
}

#[test]
fn values_are_read() {
    let text = "\
name = \"m1\"
[network]
listen = [\"/ip4/127.0.0.1/tcp/4711\"]
lan = false
profile = \"metered\"
keep_alive = \"10m\"
[control.users]
ana = [\"device.enrol\", \"stop\"]
bo = []
[metrics]
listen = \"[::1]:9470\"
";
    let settings = of_file(text).expect("right");
    assert_eq!(
        settings.name.map(|name| name.to_string()).as_deref(),
        Some("m1")
    );
    assert_eq!(settings.network.listen.len(), 1);
    assert!(!settings.network.lan);
    assert_eq!(settings.network.profile, Profile::Metered);
    assert_eq!(settings.network.keep_alive_ms, Some(600_000));
    let ana = [Capability::DeviceEnrol, Capability::Stop];
    assert_eq!(settings.control.users["ana"], ana);
    assert!(settings.control.users["bo"].is_empty());
    assert!(settings.metrics.listen.is_some());
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, expect) in [
        (
            "[network]\nlisen = []",
            "regatta.toml:2:1: unknown key `network.lisen`: did you mean `network.listen`",
        ),
        (
            "[netwrk]\nlisten = []",
            "regatta.toml:1:2: unknown key `netwrk`: ",
        ),
        (
            "zzz = 1",
            "regatta.toml:1:1: unknown key `zzz`: `regatta settings` lists",
        ),
        (
            "network = 3",
            "regatta.toml:1:11: `network` is a section: write [network]",
        ),
        (
            "[network]\n  lan = \"yes\"",
            "regatta.toml:2:9: network.lan takes true or false, not this string",
        ),
        (
            "network.relay = \"maybe\"",
            "regatta.toml:1:17: network.relay is one of \"auto\", \"on\", \"off\"",
        ),
        (
            "[network]\nlisten = [\"/ip4/1.2.3.4/tcp/1\", 3]",
            "regatta.toml:2:33: network.listen takes lists",
        ),
        (
            "[network]\nlisten = [\"nowhere\"]",
            "regatta.toml:2:1: network.listen: \"nowhere\" is not an address",
        ),
        (
            "name = \"a b\"",
            "regatta.toml:1:1: name: a name has ' ' at character 2",
        ),
        (
            "[control]\nusers.ana = [\"fly\"]",
            "control.users: ana cannot have \"fly\": it is none of config.write",
        ),
        (
            "[metrics]\nlisten = \"0.0.0.0:1\"",
            "regatta.toml:2:1: metrics.listen: \"0.0.0.0:1\" is not a loopback",
        ),
        (
            "[store]\nfree_min = \"1 MiB\"",
            "regatta.toml:2:1: store.free_min: \"1 MiB\" is not a size",
        ),
        (
            "[network]\nkeep_alive = \"1s\"",
            "regatta.toml:2:1: network.keep_alive: is \"auto\", or from 5s",
        ),
        (
            "[log]\nlevel = \"loud\"",
            "regatta.toml:2:1: log.level: \"loud\" is not error, warn",
        ),
        ("name = ", "regatta.toml:1:"),
        (
            "name = \"a\"\nname = \"b\"",
            "regatta.toml:2:1: duplicate key",
        ),
    ] {
        let said = of_file(text).expect_err(text);
        assert!(
            said.starts_with(expect) || said.contains(expect),
            "{text:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_later_layer_goes_before_an_earlier_one_and_all_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("regatta.toml");
    let beside = folder.path().join("regatta.toml.d");
    fs::create_dir(&beside).expect("made");
    fs::write(
        &file,
        "name = \"file\"\n[network]\nlan = false\nrelay = \"on\"\n",
    )
    .expect("written");
    fs::write(beside.join("20-b.toml"), "[log]\nlevel = \"debug\"\n").expect("written");
    fs::write(
        beside.join("10-a.toml"),
        "[log]\nlevel = \"trace\"\nformat = \"json\"\n",
    )
    .expect("written");
    fs::write(beside.join("notes.txt"), "no settings").expect("written");
    let mut flags = Flags::default();
    flags.text("network.profile", "--profile", "metered");
    let environment = [
        ("REGATTA_NETWORK_RELAY", "off"),
        ("REGATTA_NETWORK_PROFILE", "normal"),
        ("REGATTA_STATE_DIR", "/elsewhere"),
        ("REGATTA_PORT", "tcp://10.0.0.1:80"),
        ("PATH", "/bin"),
    ];
    let (settings, origins) = loaded(folder.path(), &environment, flags).expect("right");
    assert_eq!(settings.network.relay, Relay::Off);
    assert_eq!(settings.network.profile, Profile::Metered);
    let from = |key: &str| origins.of(key).source.to_string();
    assert_eq!(from("name"), format!("{}:1:1", file.display()));
    assert_eq!(from("network.lan"), format!("{}:3:1", file.display()));
    assert_eq!(from("network.relay"), "REGATTA_NETWORK_RELAY");
    assert_eq!(from("network.profile"), "--profile");
    assert_eq!(
        from("log.level"),
        format!("{}:2:1", beside.join("20-b.toml").display())
    );
    assert_eq!(
        from("log.format"),
        format!("{}:3:1", beside.join("10-a.toml").display())
    );
    assert_eq!(origins.of("network.listen").source, Source::Default);
    assert_eq!(origins.ignored(), ["REGATTA_PORT"]);
    assert_eq!(origins.each().count(), KEYS.len());
}

#[test]
fn the_environment_is_checked_as_files_are() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, value, expect) in [
        (
            "REGATTA_NETWORK_LAN",
            "perhaps",
            "REGATTA_NETWORK_LAN: \"perhaps\" is neither true nor false",
        ),
        (
            "REGATTA_NETWORK_RELAY",
            "x",
            "REGATTA_NETWORK_RELAY: \"x\" is not one of auto, on, off",
        ),
        (
            "REGATTA_LOG_LEVEL",
            "x",
            "REGATTA_LOG_LEVEL: log.level: \"x\" is not",
        ),
    ] {
        let said = loaded(folder.path(), &[(name, value)], Flags::default()).expect_err(name);
        assert!(said.starts_with(expect), "{said}");
    }
    let listen = [(
        "REGATTA_NETWORK_LISTEN",
        "/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2",
    )];
    let (settings, _) = loaded(folder.path(), &listen, Flags::default()).expect("right");
    assert_eq!(settings.network.listen.len(), 2);
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let named = folder.path().join("mine.toml");
    let read = load_with(folder.path(), Some(&named), [], Flags::default());
    let said = read.expect_err("it is not there").to_string();
    assert!(said.contains("mine.toml: cannot be read: "), "{said}");
}

/// Every key, live, in the files that are examples.
fn keys_of(name: &str) -> (Settings, Vec<&'static str>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../configs")
        .join(name);
    let read = load_with(
        Path::new("/var/lib/regatta"),
        Some(&path),
        [],
        Flags::default(),
    );
    let (settings, origins) = read.unwrap_or_else(|error| panic!("{error}"));
    let set = origins
        .each()
        .filter(|(_, origin)| origin.source != Source::Default);
    let set = set.map(|(key, _)| key).collect();
    (settings, set)
}

#[test]
fn the_examples_have_every_key_and_are_read() {
    for name in ["manager.toml", "agent.toml"] {
        let (_, set) = keys_of(name);
        let missing: Vec<_> = KEYS.iter().filter(|key| !set.contains(&key.name)).collect();
        assert!(missing.is_empty(), "{name} lacks {missing:?}");
    }
    let (manager, _) = keys_of("manager.toml");
    let (defaults, _) =
        loaded(Path::new("/var/lib/regatta"), &[], Flags::default()).expect("defaults");
    assert_eq!(manager, defaults, "manager.toml shows the defaults");
}

#[test]
fn the_labs_nodes_do_not_meet_on_a_port() {
    let mut listened = Vec::new();
    for name in ["lab/m1.toml", "lab/a1.toml", "lab/a2.toml"] {
        let (settings, _) = keys_of(name);
        assert!(settings.name.is_some(), "{name}");
        listened.extend(settings.network.listen.iter().map(ToString::to_string));
    }
    let count = listened.len();
    listened.sort();
    listened.dedup();
    assert_eq!(listened.len(), count, "{listened:?}");
}

#[test]
fn the_unit_starts_a_node_as_the_command_line_wants_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/regatta.service");
    let unit = fs::read_to_string(path).expect("it is there");
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let words: Vec<&str> = line.expect("it starts something").split(' ').collect();
    assert!(words[0].ends_with("/regatta"), "{words:?}");
    let parsed = crate::cli::command().try_get_matches_from(&words);
    assert_eq!(parsed.expect("understood").subcommand_name(), Some("up"));
    for expect in [
        "Type=notify",
        "WatchdogSec=",
        "User=regatta",
        "Group=regatta",
    ] {
        assert!(
            unit.lines().any(|line| line.starts_with(expect)),
            "{expect}"
        );
    }
}
