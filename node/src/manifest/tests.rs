//! Manifests as operators write them: what is read of good ones, and the way back.

mod wrong;

use std::fs;
use std::path::Path;

use proptest::prelude::any;
use proptest::proptest;
use regatta_protocol::config::document::{
    Action, ConfigDocument, FileFormat, FileSource, ListRule, Probe, RolloutSpec, Wave,
};
use regatta_protocol::config::value::{KeyPath, Value};
use regatta_protocol::ledger::bodies::root_of;

use super::secret::SecretSource;
use super::{Body, Config, ContentSource, Manifest, Manifests, read, write, write_here};

/// The document that the guide shows.
const NAV: &str = "\
apiVersion: regatta/v1
kind: Config
metadata: {name: nav}
spec:
  select: role=amr
  priority: 10
  values: {nav: {max_velocity: 3, lidar: {port: /dev/ttyUSB0}}, hosts: [a]}
  lists: {hosts: merge}
  files:
    - {path: /etc/nav/params.yaml, from: nav, format: yaml, mode: \"0644\", owner: nav}
    - {path: /etc/nav/map.pgm, content: ./map.pgm}
    - {path: /etc/nav/motd, content: {inline: \"hello\\n\"}, group: nav}
  secrets: {wifi_psk: {from: env:WIFI_PSK}, vpn.key: {from: file:vpn.key}}
  as: nav
  check: {exec: [navctl, check, $REGATTA_STAGED, 5], within: 10s}
  onChange: [{restart: nav.service}, {exec: [/usr/bin/navctl, reload]}, {reload: a@1.service}]
  healthy: {exec: [navctl, health]}
  confirm: 60s
  rollout: {waves: [1, 10%, 100%], success: 95%, pause: 30s, minAvailable: {site: 2}}
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("map.pgm"), b"P5 map").expect("written");
    folder
}

fn of_text(text: &str) -> Result<Manifests, String> {
    let folder = folder();
    let read = read("nav.yaml", text.as_bytes(), folder.path(), &[]);
    let hidden = format!("{}/", folder.path().display());
    read.map_err(|error| error.to_string().replace(&hidden, ""))
}

fn config(manifest: &Manifest) -> &Config {
    match &manifest.body {
        Body::Config(config) => config,
    }
}

fn path(text: &str) -> KeyPath {
    KeyPath::parse(text).expect("a path")
}

/// A document of one name whose spec these lines are.
fn with_spec(spec: &str) -> String {
    let head =
        "apiVersion: regatta/v1\nkind: Config\nmetadata: {name: nav}\nspec:\n  select: \"\"\n";
    let lines = spec.lines().map(|line| format!("  {line}\n"));
    head.to_owned() + &lines.collect::<String>()
}

#[test]
fn the_guides_document_is_read() {
    let folder = folder();
    let all = read("nav.yaml", NAV.as_bytes(), folder.path(), &[]).expect("right");
    assert_eq!(all.warnings, []);
    let [manifest] = all.manifests.as_slice() else {
        panic!("one document: {all:?}");
    };
    assert_eq!(manifest.name.as_str(), "nav");
    assert_eq!(manifest.place.to_string(), "nav.yaml:1:1");
    let config = config(manifest);
    assert_eq!(config.select.to_string(), "role=amr");
    let document = &config.document;
    assert_eq!((document.by.as_str(), document.priority), ("", 10));
    let values = document.values.read().expect("values");
    assert_eq!(values.at(&path("nav.max_velocity")), Some(&Value::Int(3)));
    assert_eq!(document.lists[&path("hosts")], ListRule::Merge);
    assert_eq!(document.secrets, None);
    let sources = [
        (
            path("vpn.key"),
            SecretSource::File(folder.path().join("vpn.key")),
        ),
        (
            path("wifi_psk"),
            SecretSource::Environment("WIFI_PSK".to_owned()),
        ),
    ];
    assert_eq!(config.secrets, sources);
}

#[test]
fn the_guides_files_are_read_and_their_contents_named() {
    let all = of_text(NAV).expect("right");
    let config = config(&all.manifests[0]);
    let [params, map, motd] = config.document.files.as_slice() else {
        panic!("three files: {:?}", config.document.files);
    };
    let from = path("nav");
    let format = FileFormat::Yaml;
    assert_eq!(params.source, FileSource::Tree { from, format });
    assert_eq!(
        (params.mode, params.owner.as_deref()),
        (Some(0o644), Some("nav"))
    );
    let hash = root_of(b"P5 map");
    assert_eq!(map.source, FileSource::Content { hash, bytes: 6 });
    assert!(
        matches!(&config.contents[&hash].source, ContentSource::File(path) if path.ends_with("map.pgm"))
    );
    let hash = root_of(b"hello\n");
    assert_eq!(motd.source, FileSource::Content { hash, bytes: 6 });
    assert_eq!(motd.group.as_deref(), Some("nav"));
    assert_eq!(
        config.contents[&hash].read(&hash).expect("here"),
        b"hello\n"
    );
}

#[test]
fn the_guides_hooks_and_rollout_are_read() {
    let all = of_text(NAV).expect("right");
    let ConfigDocument { hooks, rollout, .. } = &config(&all.manifests[0]).document;
    assert_eq!(hooks.run_as.as_ref().map(|name| name.as_str()), Some("nav"));
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let check = Probe {
        exec: words(&["navctl", "check", "$REGATTA_STAGED", "5"]),
        within_ms: 10_000,
    };
    assert_eq!(hooks.check, Some(check));
    assert_eq!(
        hooks.healthy.as_ref().map(|probe| probe.within_ms),
        Some(30_000)
    );
    let actions = [
        Action::Restart("nav.service".to_owned()),
        Action::Exec(words(&["/usr/bin/navctl", "reload"])),
        Action::Reload("a@1.service".to_owned()),
    ];
    assert_eq!(hooks.on_change, actions);
    assert_eq!(hooks.confirm_ms, Some(60_000));
    let RolloutSpec {
        waves,
        success_percent,
        pause_ms,
        min_available,
    } = rollout.as_ref().expect("it has one");
    assert_eq!(
        *waves,
        [Wave::Count(1), Wave::Percent(10), Wave::Percent(100)]
    );
    assert_eq!((*success_percent, *pause_ms), (95, 30_000));
    assert_eq!(
        min_available
            .iter()
            .map(|(label, least)| (label.as_str(), *least))
            .collect::<Vec<_>>(),
        [("site", 2)]
    );
}

#[test]
fn what_is_written_reads_back_as_the_same_document() {
    let all = of_text(NAV).expect("right");
    let first = config(&all.manifests[0]);
    let name = &all.manifests[0].name;
    let text = write_here(name, first, &|_| None);
    let again = of_text(&text).expect("what was written is right");
    assert_eq!(
        config(&again.manifests[0]).document,
        first.document,
        "{text}"
    );
    assert_eq!(config(&again.manifests[0]).select, first.select);
    let expect = "\
apiVersion: regatta/v1
kind: Config
metadata:
  name: nav
spec:
  select: role=amr
  priority: 10
  values:
    hosts:
      - a
    nav:
      lidar:
        port: /dev/ttyUSB0
      max_velocity: 3
  lists:
    hosts: merge
  files:
    - path: /etc/nav/params.yaml
      from: nav
      mode: \"0644\"
      owner: nav
    - path: /etc/nav/map.pgm
      content:
        hash: \"MAP\"
        bytes: 6
    - path: /etc/nav/motd
      content:
        hash: \"MOTD\"
        bytes: 6
      group: nav
  as: nav
  check:
    exec:
      - navctl
      - check
      - \"$REGATTA_STAGED\"
      - \"5\"
    within: 10s
  onChange:
    - restart: nav.service
    - exec:
        - /usr/bin/navctl
        - reload
    - reload: a@1.service
  healthy:
    exec:
      - navctl
      - health
    within: 30s
  confirm: 1m
  rollout:
    waves:
      - 1
      - 10%
      - 100%
    success: 95%
    pause: 30s
    minAvailable:
      site: 2
";
    let expect = expect.replace("MOTD", &root_of(b"hello\n").to_string());
    let expect = expect.replace("MAP", &root_of(b"P5 map").to_string());
    assert_eq!(write(name, &first.select, &first.document), expect);
}

#[test]
fn a_content_that_changed_since_is_not_taken_for_the_old_one() {
    let folder = folder();
    let text = with_spec("files: [{path: /a, content: map.pgm}]");
    let all = read("nav.yaml", text.as_bytes(), folder.path(), &[]).expect("right");
    let (hash, content) = config(&all.manifests[0])
        .contents
        .first_key_value()
        .expect("one");
    assert_eq!(content.read(hash).expect("the same"), b"P5 map");
    fs::write(folder.path().join("map.pgm"), b"P5 other").expect("written");
    let error = content.read(hash).expect_err("another");
    assert_eq!(
        error.to_string(),
        "changed while it was applied; apply again"
    );
}

#[test]
fn what_only_another_document_can_set_is_warned_of() {
    let warned = |text: &str, known: &[KeyPath]| {
        let all = read("nav.yaml", text.as_bytes(), Path::new(""), known).expect("right");
        all.warnings
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let text = with_spec(
        "values: {a: {$from: net.host}, b: {$from: a.x}}\n\
         lists: {hosts: merge}\n\
         secrets: {wifi.psk: {from: stdin}}\n\
         files: [{path: /a.yaml, from: nav}, {path: /b.yaml, from: wifi}, {path: /c.yaml, from: a.y}]",
    );
    let lists = "nav.yaml:7:11: spec.lists: this document has no list at hosts";
    let nav = "nav.yaml:9:33: spec.files[0].from: nothing here sets nav; another document has to";
    let host = "nav.yaml:6:15: spec.values.a: nothing here sets net.host; another document has to";
    assert_eq!(warned(&text, &[]), [host, nav, lists]);
    assert_eq!(warned(&text, &[path("net"), path("nav.x")]), [lists]);
    let other = with_spec("values: {nav: {}, net: {host: h}}").replace("name: nav", "name: base");
    assert_eq!(
        warned(&format!("{text}---\n{other}"), &[]),
        [lists],
        "another in the same file"
    );
}

proptest! {
    /// Whatever a slip of the hand makes of a good document: an answer, and one with places.
    #[test]
    fn no_change_of_a_good_document_brings_it_down(
        at in any::<proptest::sample::Index>(),
        cut in 0_usize..8,
        put in "[-:?,\\[\\]{}#&*!|>'\"%@`a1~<\\. \\n\\t\\\\]{0,4}",
    ) {
        let characters: Vec<char> = NAV.chars().collect();
        let at = at.index(characters.len());
        let end = (at + cut).min(characters.len());
        let changed: String = characters[..at].iter().collect::<String>() + &put
            + &characters[end..].iter().collect::<String>();
        match read("nav.yaml", changed.as_bytes(), Path::new("/nowhere"), &[]) {
            Ok(all) => {
                for manifest in &all.manifests {
                    let config = config(manifest);
                    let text = write_here(&manifest.name, config, &|_| None);
                    let again = read("x", text.as_bytes(), Path::new(""), &[]);
                    let again = again.unwrap_or_else(|error| panic!("{error}\n{text}"));
                    assert_eq!(self::config(&again.manifests[0]).document, config.document);
                }
            }
            Err(error) => assert!(!error.problems.is_empty()),
        }
    }

    #[test]
    fn no_bytes_bring_it_down(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let read = read("x", &bytes, Path::new("/nowhere"), &[]);
        assert!(read.is_err(), "random bytes are no manifest");
    }
}
