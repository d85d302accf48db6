//! `regatta settings`: each value with the place that it came from, each mistake with its line.

use std::fs;

use regatta_node::exit::Exit;
use serde_json::Value;

use super::{code, fails, regatta, run, text};

#[test]
fn each_value_says_where_it_came_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("regatta.toml");
    fs::write(
        &file,
        "name = \"m1\"\n[network]\nlan = false\nrelay = \"on\"\n",
    )
    .expect("written");
    let mut command = regatta();
    command.arg("settings").args(["-o", "json", "--lan", "on"]);
    command.arg("--state-dir").arg(folder.path());
    command
        .env("REGATTA_NETWORK_RELAY", "off")
        .env("REGATTA_TYPO", "1");
    let output = command.output().expect("it starts");
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("REGATTA_TYPO is set, but is no setting"));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let of = |key: &str| {
        let all = found.as_array().expect("an array at the top");
        let one = all.iter().find(|one| one["key"] == key).expect(key);
        (
            one["value"].clone(),
            one["source"].clone(),
            one["from"].clone(),
        )
    };
    let place = format!("{}:1:1", file.display());
    assert_eq!(of("name"), ("m1".into(), "file".into(), place.into()));
    let variable = "REGATTA_NETWORK_RELAY";
    assert_eq!(
        of("network.relay"),
        ("off".into(), "environment".into(), variable.into())
    );
    assert_eq!(
        of("network.lan"),
        (true.into(), "flag".into(), "--lan".into())
    );
    assert_eq!(
        of("log.level"),
        ("info".into(), "default".into(), "default".into())
    );
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine.toml");
    fs::write(&file, "# mine\n[network]\nlisen = []\n").expect("written");
    let file = file.display().to_string();
    let expect = format!("{file}:3:1: unknown key `network.lisen`: did you mean `network.listen`");
    let state = folder.path().display().to_string();
    for command in ["settings", "up"] {
        let output = run(&[command, "--settings", &file, "--state-dir", &state]);
        fails(&output, Exit::USAGE, &expect);
    }
}

#[test]
fn people_get_a_table_and_scripts_get_yaml() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().display().to_string();
    let table = text(&run(&["settings", "--state-dir", &state]).stdout);
    assert!(table.starts_with("KEY "), "{table}");
    assert!(table.contains("control.group       regatta"), "{table}");
    let yaml = text(&run(&["settings", "-o", "yaml", "--state-dir", &state]).stdout);
    assert!(yaml.contains("  key: control.group\n"), "{yaml}");
}
