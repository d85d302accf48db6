//! What documents make of a device: explained, shown, compared, and read by programs on it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;

use regatta_node::exit::Exit;
use serde_json::{Value, json};

use super::super::super::{code, fails, regatta, text};
use super::super::line;
use super::{Site, config, nav};

fn explained(site: &Site, path: &str) -> Vec<String> {
    let said = site.fleet.does("m1", &["explain", "amr-01", path]);
    // What stands behind the selector is who wrote it and when, which differs from run to run.
    let cut = |line: &str| {
        line.split_once(", ")
            .map_or(line, |(before, _)| before)
            .to_owned()
    };
    said.lines().map(cut).collect()
}

#[test]
fn a_value_says_where_it_comes_from() {
    let site = Site::with(&[("amr-01", &["role=amr"])]);
    let base =
        "select: ''\npriority: 1000\nvalues: {nav: {max_velocity: 5, gears: [1]}, motd: hello}";
    site.applies(&config("base", base));
    site.applies(&nav(3, ""));
    site.until_is("nav", "amr-01", "applied");
    site.until_is("base", "amr-01", "applied");
    assert_eq!(
        explained(&site, "nav.max_velocity"),
        [
            "3 <- config/nav@1 (role=amr",
            "overrides 5 <- config/base@1 (all devices"
        ]
    );
    assert_eq!(
        explained(&site, "motd"),
        ["\"hello\" <- config/base@1 (all devices"]
    );
    let nothing = site.fleet.run("m1", &["explain", "amr-01", "nav.nothing"]);
    assert_eq!(code(&nothing), Some(2));
    assert_eq!(
        text(&nothing.stdout),
        "nothing sets nav.nothing on amr-01\n"
    );
    let nobody = site.fleet.run("m1", &["explain", "amr-09", "nav"]);
    fails(
        &nobody,
        Exit::ALL_FAILED,
        "no device is called 'amr-09'; `regatta get devices` lists them",
    );
    let wrong = site.fleet.run("m1", &["explain", "amr-01", "nav..x"]);
    fails(
        &wrong,
        Exit::USAGE,
        "path: found '.' at character 5; a name belongs here",
    );
    let found = site
        .fleet
        .json("m1", &["explain", "amr-01", "nav.max_velocity"]);
    assert_eq!(
        (&found["value"], &found["note"]),
        (&json!(3), &Value::Null),
        "{found}"
    );
    assert_eq!(found["said"][1]["document"], "base");
    assert_eq!(found["said"][1]["state"], "hidden");
    shown_and_compared(&site);
    read_on_the_device(&site);
}

fn shown_and_compared(site: &Site) {
    let tree = json!({"motd": "hello", "nav": {"gears": [1], "max_velocity": 3}});
    assert_eq!(site.fleet.json("m1", &["config", "show", "amr-01"]), tree);
    assert_eq!(
        site.fleet
            .json("m1", &["config", "show", "amr-01", "nav.gears"]),
        json!([1])
    );
    let yaml = site.fleet.does("m1", &["config", "show", "amr-01", "nav"]);
    assert_eq!(yaml, "gears:\n  - 1\nmax_velocity: 3\n");
    fs::write(site.fleet.path("nav.yaml"), nav(4, "")).expect("written");
    let diff = site.fleet.does("m1", &["diff", "-f", "nav.yaml"]);
    assert!(
        diff.starts_with("--- config/nav@1\n+++ nav.yaml:"),
        "{diff}"
    );
    assert!(
        diff.contains("-      max_velocity: 3\n+      max_velocity: 4\n"),
        "{diff}"
    );
    let on_device = ["diff", "-f", "nav.yaml", "--device", "amr-01"];
    let diff = site.fleet.does("m1", &on_device);
    assert!(diff.starts_with("--- amr-01\n+++ amr-01\n"), "{diff}");
    assert!(
        diff.contains("-  max_velocity: 3\n+  max_velocity: 4\n"),
        "{diff}"
    );
    fs::write(site.fleet.path("nav.yaml"), nav(3, "")).expect("written");
    let same = site.fleet.run("m1", &["diff", "-f", "nav.yaml"]);
    assert_eq!(text(&same.stderr), "regatta: nothing would change\n");
    let same = site.fleet.run("m1", &on_device);
    assert_eq!(text(&same.stderr), "regatta: nothing changes on amr-01\n");
    assert!(same.stdout.is_empty());
}

/// Programs read values, and are told of each new one.
fn read_on_the_device(site: &Site) {
    let get = |path: &str| site.fleet.does("amr-01", &["config", "get", path]);
    assert_eq!(get("nav.max_velocity"), "3\n");
    assert_eq!(get("motd"), "hello\n");
    assert_eq!(
        site.fleet.json("amr-01", &["config", "get", "nav.gears"]),
        json!([1])
    );
    let nothing = site.fleet.run("amr-01", &["config", "get", "nothing"]);
    fails(
        &nothing,
        Exit::ALL_FAILED,
        "nothing is set at nothing on this node",
    );
    let mut watch = regatta();
    watch.args(["config", "watch", "nav.max_velocity", "--state-dir"]);
    watch
        .arg(site.fleet.path("amr-01"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut watch = watch.spawn().expect("the binary starts");
    let (tell, told) = channel();
    let out = watch.stdout.take().expect("a pipe");
    thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            // Nobody waits for later ones.
            let _ = tell.send(line);
        }
    });
    assert_eq!(line(&told), "3");
    for velocity in [6, 7] {
        site.applies(&nav(velocity, ""));
        assert_eq!(line(&told), velocity.to_string());
    }
    // What does not touch it is not told.
    site.applies(&config("base", "select: ''\nvalues: {motd: good-bye}"));
    site.until_is("base", "amr-01", "applied");
    site.fleet.does("m1", &["delete", "config", "nav"]);
    assert_eq!(line(&told), "null");
    watch.kill().expect("it runs");
    watch.wait().expect("it ends");
    let left: Vec<String> = told.iter().collect();
    assert_eq!(left, [""; 0], "each value once");
}
