//! A document keeps its bytes, and each rule that it can break is broken once.

use std::collections::BTreeMap;

use super::{
    Action, ConfigDocument, FileFormat, FileSource, FileSpec, Hooks, ListRule, Probe, RolloutSpec,
    SecretTexts, Secrets, Wave,
};
use crate::codec::{self, Name};
use crate::config::resolve::{Class, Layer, Resolver};
use crate::config::value::tests::{map, path, text};
use crate::config::value::{KeyPath, Tokens, Value};
use crate::crypto::seal::SealedValue;
use crate::ident::{FleetId, Hash};
use crate::prng::Prng;
use crate::selector::Selector;

fn file(path: &str, source: FileSource) -> FileSpec {
    FileSpec {
        path: path.to_owned(),
        source,
        mode: Some(0o644),
        owner: Some("nav".to_owned()),
        group: None,
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn probe(exec: &[&str], within_ms: u64) -> Option<Probe> {
    let exec = words(exec);
    Some(Probe { exec, within_ms })
}

/// A document that says something of everything.
fn document() -> ConfigDocument {
    let name = |text| Name::new(text).expect("a name");
    let (from, format) = (path("nav"), FileFormat::Yaml);
    let (hash, bytes) = (Hash([7; 32]), 1024);
    let texts = codec::encode(&SecretTexts(vec!["hunter2".to_owned()]));
    let (sealed, _) =
        SealedValue::seal(&FleetId([1; 32]), b"nav", &texts, &mut Prng::from_number(1));
    ConfigDocument {
        by: "alice".to_owned(),
        priority: 10,
        values: Tokens::of(&map([
            (
                "nav",
                map([("lidar", map([("port", text("/dev/ttyUSB0"))]))]),
            ),
            ("speed", map([("$from", text("nav.speed"))])),
        ])),
        lists: BTreeMap::from([(path("nav.zones"), ListRule::Merge)]),
        files: vec![
            file("/etc/nav/params.yaml", FileSource::Tree { from, format }),
            file("/etc/nav/map.pgm", FileSource::Content { hash, bytes }),
        ],
        secrets: Some(Secrets {
            paths: vec![path("wifi.psk")],
            sealed,
        }),
        hooks: Hooks {
            run_as: Some(name("nav")),
            check: probe(&["navctl", "check"], 10_000),
            on_change: vec![
                Action::Exec(words(&["/usr/bin/navctl", "reload"])),
                Action::Restart("nav.service".to_owned()),
                Action::Reload("lidar.service".to_owned()),
            ],
            healthy: probe(&["navctl", "health"], 30_000),
            confirm_ms: Some(60_000),
        },
        rollout: Some(RolloutSpec {
            waves: vec![Wave::Count(1), Wave::Percent(10), Wave::Percent(100)],
            success_percent: 95,
            pause_ms: 30_000,
            min_available: BTreeMap::from([(name("site"), 2)]),
        }),
    }
}

#[test]
fn a_document_keeps_its_bytes() {
    let bytes = codec::encode(&document());
    assert_eq!(codec::decode::<ConfigDocument>(&bytes), Ok(document()));
    let hash = Hash::of(&bytes).to_string();
    assert_eq!((bytes.len(), &hash[..16]), (791, "23da8ca038d8ca92"));
}

#[test]
fn a_document_that_keeps_to_the_rules_passes() {
    assert_eq!(document().check(), Ok(()));
    let values = Tokens::of(&Value::empty());
    let plain = ConfigDocument {
        values,
        ..ConfigDocument::default()
    };
    assert_eq!(plain.check(), Ok(()));
}

#[test]
fn a_document_becomes_a_layer_of_its_class() {
    let select = Selector::parse("name=amr-07").expect("a selector");
    let layer = |texts: Option<&SecretTexts>| {
        let name = Name::new("nav").expect("a name");
        Layer::of(name, &select, &document(), texts).expect("values")
    };
    let texts = SecretTexts(vec!["hunter2".to_owned()]);
    let opened = layer(Some(&texts));
    assert_eq!(
        (opened.weight.class, opened.weight.priority),
        (Class::Device, 10)
    );
    assert_eq!(opened.lists, document().lists);
    let resolver = Resolver::of([opened]);
    assert_eq!(resolver.get(&path("wifi.psk")), Ok(Some(text("hunter2"))));
    assert_eq!(
        resolver.get(&path("nav.lidar.port")),
        Ok(Some(text("/dev/ttyUSB0")))
    );
    let sealed = Resolver::of([layer(None)]);
    assert_eq!(sealed.get(&path("wifi.psk")), Ok(None));
}

/// Breaks one rule, and says how.
fn refused(message: &str, breaks: impl FnOnce(&mut ConfigDocument)) {
    let mut document = document();
    breaks(&mut document);
    let error = document.check().expect_err(message);
    assert_eq!(error.to_string(), message);
}

#[test]
fn values_are_a_map_and_refer_to_places() {
    refused("value: empty", |document| {
        document.values = Tokens::default()
    });
    refused(
        "values: found a text; a map of names and values belongs here",
        |document| {
            document.values = Tokens::of(&text("nav"));
        },
    );
    refused(
        "values: a.b: $from is no path: found the end at character 3; a name belongs here",
        |document| {
            let list = Value::List(vec![map([("$from", text("c."))])]);
            document.values = Tokens::of(&map([("a", map([("b", list)]))]));
        },
    );
    refused(
        "lists: a path is longer than 32 names of 256 bytes",
        |document| {
            document
                .lists
                .insert(KeyPath(vec!["a".repeat(257)]), ListRule::Merge);
        },
    );
}

#[test]
fn secrets_have_places_of_their_own() {
    let cases: [(&[&str], &str); 8] = [
        (
            &["."],
            "secrets: .: the whole tree cannot be one secret; name a place in it",
        ),
        (
            &["a.$from"],
            "secrets: a.$from: $from is no place for a secret; refer to the secret instead",
        ),
        (
            &["nav"],
            "secrets: nav: values says something here too; leave it to one of the two",
        ),
        (
            &["nav.lidar.port.x"],
            "secrets: nav.lidar.port.x: values says something here too; leave it to one of the two",
        ),
        (
            &["speed.x"],
            "secrets: speed.x: values says something here too; leave it to one of the two",
        ),
        (
            &["a.b", "a"],
            "secrets: a.b: it stands below another secret; a secret is one text",
        ),
        (&["b", "a", "b"], "secrets: b: it is there twice"),
        (&["a"; 257], "secrets: 257; at most 256 are allowed"),
    ];
    for (places, message) in cases {
        refused(message, |document| {
            let paths = places.iter().map(|place| path(place)).collect();
            document.secrets.as_mut().expect("some").paths = paths;
        });
    }
    refused(
        "secrets: a path is longer than 32 names of 256 bytes",
        |document| {
            let long = KeyPath(vec!["a".to_owned(); 33]);
            document.secrets.as_mut().expect("some").paths = vec![long];
        },
    );
}

#[test]
fn files_have_paths_that_lead_to_one_place() {
    let dots = "the path may have no .. and no . in it, no // and no / at its end";
    let cases = [
        ("", "the path has to be absolute; begin it with /"),
        ("etc/nav", "the path has to be absolute; begin it with /"),
        ("/", dots),
        ("/etc/../root", dots),
        ("/etc/..", dots),
        ("/etc/./nav", dots),
        ("/etc//nav", dots),
        ("/etc/nav/", dots),
        ("/etc/n\nav", "the path has a control character in it"),
        ("/etc/nav/map.pgm", "it is there twice"),
        (
            "/etc/nav/map.pgm/tile",
            "it stands below another file of this document",
        ),
    ];
    for (path, problem) in cases {
        refused(&format!("files: {path:?}: {problem}"), |document| {
            document.files[0].path = path.to_owned();
        });
    }
    let long = format!("/{}", "a".repeat(4095));
    refused(
        &format!("files: {long:?}: the path has more than 4095 bytes"),
        |document| {
            document.files[0].path.clone_from(&long);
        },
    );
    refused("files: 257; at most 256 are allowed", |document| {
        let spec = document.files[0].clone();
        document.files = vec![spec; 257];
    });
    refused(
        "files: \"/etc/nav/params.yaml\": mode is beyond 7777; write permissions such as \"0644\"",
        |document| document.files[0].mode = Some(0o10000),
    );
    refused(
        "files: \"/etc/nav/params.yaml\": owner or group is empty; name a user or leave it out",
        |document| document.files[0].group = Some(String::new()),
    );
    refused(
        "files: \"/etc/nav/params.yaml\": from is longer than 32 names of 256 bytes",
        |document| {
            let from = KeyPath(vec!["a".to_owned(); 33]);
            document.files[0].source = FileSource::Tree {
                from,
                format: FileFormat::Env,
            };
        },
    );
    refused(
        "files: \"/etc/nav/map.pgm\": content is larger than 64 MiB",
        |document| {
            let (hash, bytes) = (Hash([7; 32]), 64 * 1024 * 1024 + 1);
            document.files[1].source = FileSource::Content { hash, bytes };
        },
    );
}

#[test]
fn hooks_run_something_and_end() {
    refused("onChange: 17; at most 16 are allowed", |document| {
        document.hooks.on_change = vec![Action::Reload("nav.service".to_owned()); 17];
    });
    let nothing = "names nothing to run; say a command or a unit";
    for action in [
        Action::Exec(Vec::new()),
        Action::Exec(words(&["", "a"])),
        Action::Restart(String::new()),
    ] {
        refused(&format!("onChange: {nothing}"), |document| {
            document.hooks.on_change.push(action)
        });
    }
    refused(&format!("check: {nothing}"), |document| {
        document.hooks.check = probe(&[], 1)
    });
    refused(&format!("healthy: {nothing}"), |document| {
        document.hooks.healthy = probe(&[], 1)
    });
    refused("check.within: 0 ms; 1 ms to 1 h are allowed", |document| {
        document.hooks.check = probe(&["a"], 0);
    });
    refused(
        "healthy.within: 3600001 ms; 1 ms to 1 h are allowed",
        |document| {
            document.hooks.healthy = probe(&["a"], 3_600_001);
        },
    );
    refused("confirm: 0 ms; 1 ms to 1 h are allowed", |document| {
        document.hooks.confirm_ms = Some(0)
    });
}

#[test]
fn waves_and_labels_that_are_to_stay_available_are_few() {
    let refused = |change: fn(&mut RolloutSpec)| {
        let mut document = document();
        change(document.rollout.as_mut().expect("some"));
        document.check().expect_err("too many").to_string()
    };
    let waves = refused(|spec| {
        spec.waves = (1..=64).map(Wave::Count).collect();
        spec.waves.push(Wave::Percent(100));
    });
    assert_eq!(waves, "rollout.waves: 64 are as many as there may be");
    let labels = refused(|spec| {
        let labels =
            (0..9).map(|number| (Name::new(&format!("label-{number}")).expect("a name"), 1));
        spec.min_available = labels.collect();
    });
    let expect = "rollout.minAvailable: 8 labels are as many as there may be";
    assert_eq!(labels, expect);
}

#[test]
fn waves_lead_from_few_devices_to_all() {
    use Wave::{Count, Percent};
    let further = "each has to reach further than the one before it";
    let cases: [(&[Wave], &str); 6] = [
        (
            &[],
            "rollout.waves: there is none; the last one has to reach 100%",
        ),
        (
            &[Percent(99)],
            "rollout.waves: the last one has to reach 100%",
        ),
        (
            &[Percent(100), Count(5)],
            "rollout.waves: the last one has to reach 100%",
        ),
        (
            &[Count(0), Percent(100)],
            &format!("rollout.waves: {further}"),
        ),
        (
            &[Count(5), Percent(1), Count(5), Percent(100)],
            &format!("rollout.waves: {further}"),
        ),
        (
            &[Percent(101)],
            "rollout.waves: 101%; 1% to 100% are allowed",
        ),
    ];
    for (waves, message) in cases {
        refused(message, |document| {
            document.rollout.as_mut().expect("some").waves = waves.to_vec()
        });
    }
    for found in [0, 101] {
        refused(
            &format!("rollout.success: {found}%; 1% to 100% are allowed"),
            |document| {
                document.rollout.as_mut().expect("some").success_percent = found;
            },
        );
    }
    let mut mixed = document();
    mixed.rollout.as_mut().expect("some").waves = vec![Percent(1), Count(1), Percent(100)];
    assert_eq!(mixed.check(), Ok(()));
}
