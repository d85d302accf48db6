//! `apply` and what belongs to it: what is said of good documents and of wrong ones, all or nothing.

use std::fs;

use regatta_node::exit::Exit;
use serde_json::{Value, json};

use super::super::super::{code, fails, run_with, text};
use super::{Site, config, nav, params};

/// What happened to each document, as a script reads it.
fn changes(output: &Value) -> Vec<(String, Value, Value)> {
    let documents = output["documents"].as_array().expect("an array").iter();
    documents
        .map(|it| {
            let name = it["name"].as_str().unwrap_or_default().to_owned();
            (name, it["before"].clone(), it["version"].clone())
        })
        .collect()
}

fn names(site: &Site) -> Vec<String> {
    let configs = site.fleet.json("m1", &["get", "configs"]);
    let configs = configs.as_array().expect("an array").iter();
    configs
        .map(|it| it["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn documents_are_created_changed_and_left_as_they_are() {
    let site = Site::with(&[("amr-01", &["role=amr"])]);
    let path = site.fleet.path("nav.yaml");
    fs::write(&path, nav(3, "")).expect("written");
    let apply = ["apply", "-f", "nav.yaml"];
    let dry = site
        .fleet
        .does("m1", &[&apply[..], &["--dry-run"]].concat());
    assert!(
        dry.contains("nav     created  1        1        amr-01\n"),
        "{dry}"
    );
    assert_eq!(names(&site), [""; 0], "nothing was written");
    let done = site.fleet.run("m1", &apply);
    assert_eq!(text(&done.stdout), dry, "what was planned is what was done");
    let said =
        "regatta: saved, on 1 of 1 managers; `regatta get configs` shows how far devices are\n";
    assert_eq!(text(&done.stderr), said);
    site.until_is("nav", "amr-01", "applied");
    assert_eq!(site.file("amr-01", "/opt/nav/params.yaml"), params(3));
    let again = site.fleet.run("m1", &apply);
    assert!(
        text(&again.stdout).contains("nav     unchanged  1"),
        "{}",
        text(&again.stdout)
    );
    assert_eq!(
        (code(&again), text(&again.stderr)),
        (Some(0), "regatta: nothing changed\n".to_owned())
    );
    let changed = site.applies(&nav(4, ""));
    assert!(
        changed.contains("nav     changed  1 -> 2   1        amr-01\n"),
        "{changed}"
    );
    site.until_is("nav", "amr-01", "applied");
    assert_eq!(site.file("amr-01", "/opt/nav/params.yaml"), params(4));
    // A folder with what else lies in one.
    let folder = site.fleet.path("fleet");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("a.yaml"), nav(5, "")).expect("written");
    fs::write(
        folder.join("b.yml"),
        config("base", "select: ''\nvalues: {a: 1}"),
    )
    .expect("written");
    fs::write(folder.join("notes.txt"), "not: [yaml").expect("written");
    let found = site.fleet.json("m1", &["apply", "-f", "fleet"]);
    let expect = [
        ("nav".to_owned(), json!(2), json!(3)),
        ("base".to_owned(), Value::Null, json!(1)),
    ];
    assert_eq!(changes(&found), expect);
    assert_eq!(found["saved"]["saved"], true, "{found}");
    assert_eq!(found["documents"][1]["devices"], json!(["amr-01"]));
    site.until_is("nav", "amr-01", "applied");
    site.until_is("base", "amr-01", "applied");
    what_is_expected_has_to_be_there(&site);
    nobody_is_selected(&site);
    it_goes(&site);
}

fn what_is_expected_has_to_be_there(site: &Site) {
    let stale = site.tries(&nav(6, ""), &["--expect", "2"]);
    let why = "regatta: config/nav: version 2 was expected, and version 3 is there; look at what changed: \
               `regatta history config nav`\n";
    fails(
        &stale,
        Exit::ALL_FAILED,
        why.trim_start_matches("regatta: "),
    );
    let there = site.tries(&nav(6, ""), &["--expect", "nav=0"]);
    fails(
        &there,
        Exit::ALL_FAILED,
        "version 0 was expected, and version 3 is there",
    );
    let both = nav(6, "") + &config("new", "select: ''\nvalues: {b: 1}");
    let one = site.tries(&both, &["--expect", "new=4"]);
    fails(
        &one,
        Exit::ALL_FAILED,
        "config/new: version 4 was expected, and it is not there",
    );
    for (flag, why) in [
        (
            "3",
            "--expect 3: there are several documents; write NAME=VERSION",
        ),
        ("old=3", "--expect old=3: no document here is called 'old'"),
        ("nav=x", "--expect nav=x: a version is a number, such as 12"),
    ] {
        fails(&site.tries(&both, &["--expect", flag]), Exit::USAGE, why);
    }
    let mut left = names(site);
    left.sort();
    assert_eq!(left, ["base", "nav"], "of all this nothing was written");
    assert_eq!(site.file("amr-01", "/opt/nav/params.yaml"), params(5));
    let now = site.tries(&nav(6, ""), &["--expect", "3"]);
    assert_eq!(code(&now), Some(0), "{}", text(&now.stderr));
    site.until_is("nav", "amr-01", "applied");
}

fn nobody_is_selected(site: &Site) {
    let other = config("other", "select: role=forklift\nvalues: {a: 2}");
    let dry = site.tries(&other, &["--dry-run"]);
    let warning =
        "regatta: warning: config/other matches no device now; it waits for one that it matches\n";
    let said = text(&dry.stderr);
    assert!(said.starts_with(warning), "{said}");
    assert!(
        said.ends_with("regatta: nothing was written (--dry-run)\n"),
        "{said}"
    );
    let done = site.tries(&other, &[]);
    assert_eq!(code(&done), Some(0));
    assert!(text(&done.stderr).starts_with(warning));
    let shown = site.fleet.does("m1", &["describe", "config", "other"]);
    assert!(shown.ends_with("no device matches it now\n"), "{shown}");
}

/// Versions, going back to one, and no more of it.
fn it_goes(site: &Site) {
    let history = site.fleet.json("m1", &["history", "config", "nav"]);
    let history = history.as_array().expect("an array");
    let of = |key: &str| history.iter().map(|it| it[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("version"), [4, 3, 2, 1]);
    assert_eq!(of("state"), ["holds", "replaced", "replaced", "replaced"]);
    assert_eq!(of("select"), ["role=amr"; 4]);
    let none = site
        .fleet
        .run("m1", &["rollback", "config", "nav", "--to", "9"]);
    let why = "config/nav has no version 9; the last one is 4: `regatta history config nav`";
    fails(&none, Exit::ALL_FAILED, why);
    let dry = site.fleet.json(
        "m1",
        &["rollback", "config", "nav", "--to", "1", "--dry-run"],
    );
    assert_eq!(
        (&dry["saved"], &dry["documents"][0]["version"]),
        (&Value::Null, &json!(5))
    );
    let back = site
        .fleet
        .json("m1", &["rollback", "config", "nav", "--to", "1"]);
    assert_eq!(back["documents"][0]["version"], 5);
    site.until_is("nav", "amr-01", "applied");
    assert_eq!(site.file("amr-01", "/opt/nav/params.yaml"), params(3));
    let gone = site.fleet.run("m1", &["delete", "config", "nothing"]);
    fails(&gone, Exit::ALL_FAILED, "nothing");
    let both = site
        .fleet
        .run("m1", &["delete", "config", "nav", "nothing"]);
    assert_eq!(code(&both), Some(2), "all or nothing");
    let dry = site
        .fleet
        .does("m1", &["delete", "config", "nav", "--dry-run"]);
    assert!(
        dry.contains("deleted") && dry.contains("(no more: amr-01)"),
        "{dry}"
    );
    assert!(site.disk("amr-01", "/opt/nav/params.yaml").exists());
    site.fleet.does("m1", &["delete", "config", "nav"]);
    site.fleet.until("the file is gone", |_| {
        !site.disk("amr-01", "/opt/nav/params.yaml").exists()
    });
    let gone = site.fleet.run("m1", &["describe", "config", "nav"]);
    fails(
        &gone,
        Exit::ALL_FAILED,
        "no config is called 'nav'; `regatta get configs` lists them",
    );
    let history = site.fleet.json("m1", &["history", "config", "nav"]);
    assert_eq!(
        (&history[0]["version"], &history[0]["state"]),
        (&json!(6), &json!("deletes"))
    );
    let to = site
        .fleet
        .run("m1", &["rollback", "config", "nav", "--to", "6"]);
    fails(
        &to,
        Exit::ALL_FAILED,
        "version 6 of config/nav is its deletion",
    );
    let back = site
        .fleet
        .json("m1", &["rollback", "config", "nav", "--to", "4"]);
    assert_eq!(back["documents"][0]["version"], 7);
    site.until_is("nav", "amr-01", "applied");
    assert_eq!(site.file("amr-01", "/opt/nav/params.yaml"), params(6));
}

/// What is wrong with a document that came on standard input, with its place.
const WRONG: [(&str, &str); 10] = [
    ("a: [\n", "stdin:1:4: no YAML: unclosed bracket '['"),
    ("", "stdin:1:1: no document in it"),
    (
        "apiVersion: regatta/v1\nkind: Config\nmetadata: {name: nav}\nspec: {values: {a: 1}}\n",
        "stdin:4:7: spec.select: missing; write a selector such as role=amr, or \"\" for every device",
    ),
    (
        "apiVersion: regatta/v1\nkind: Config\nmetadata: {name: nav}\nspec: {select: '', onchange: []}\n",
        "stdin:4:20: spec.onchange: unknown field; did you mean \"onChange\"?",
    ),
    (
        "apiVersion: regatta/v1\nkind: Config\nmetadata: {name: nav}\nspec:\n  select: ''\n  files:\n    \
         - {path: /opt/a.yaml, from: a, mode: \"4755\"}\n",
        "stdin:7:42: spec.files[0].mode: \"4755\" would have programs run as the file's owner; begin it with 0",
    ),
    (
        "apiVersion: regatta/v1\nkind: Config\nmetadata: {name: nav}\nspec:\n  select: ''\n  files:\n    \
         - {path: /opt/../etc/a.yaml, from: a}\n",
        "stdin:7:14: spec.files[0].path: \"/opt/../etc/a.yaml\" goes by \"..\", \".\" or \"//\"; write it straight",
    ),
    (
        "apiVersion: regatta/v1\nkind: Config\nmetadata: {name: nav}\nspec: {select: 'role=amr,,x'}\n",
        "stdin:4:26: spec.select: selector: found ',' at character 10; ",
    ),
    (
        "apiVersion: regatta/v1\nkind: Config\nmetadata: {name: nav}\nspec: {select: '', confirm: 60}\n",
        "stdin:4:29: spec.confirm: \"60\": that is no length of time; write it as 90s, 30m, 24h or 7d",
    ),
    (
        "apiVersion: regatta/v1\nkind: Config\nmetadata: {name: nav}\n\
         spec: {select: '', values: {a: {$from: b}, b: {$from: a}}}\n",
        "spec.values",
    ),
    (
        "apiVersion: regatta/v1\nkind: Config\nmetadata: {name: nav}\n\
         spec: {select: '', secrets: {psk: {from: env:REGATTA_IS_NOT_SET}}}\n",
        "secret psk: env:REGATTA_IS_NOT_SET is not set; export it first",
    ),
];

#[test]
fn wrong_documents_are_refused_with_their_place_and_nothing_of_the_others_is_written() {
    let site = Site::with(&[("amr-01", &["role=amr"])]);
    for (document, why) in WRONG {
        fails(&site.tries(document, &[]), Exit::USAGE, why);
        if !document.is_empty() {
            let after = config("good", "select: ''\nvalues: {a: 1}") + "---\n" + document;
            assert_eq!(code(&site.tries(&after, &[])), Some(64), "{document}");
        }
    }
    // Two that are wrong, each on its own line.
    let two = config("a", "select: ''\nprioritty: 1") + &config("a b", "select: ''");
    let said = text(&site.tries(&two, &[]).stderr);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(
        lines[0].contains("spec.prioritty: unknown field; did you mean \"priority\"?"),
        "{said}"
    );
    assert!(
        lines[1].contains("metadata.name: a name has ' ' at character 2"),
        "{said}"
    );
    let twice = config("a", "select: ''") + &config("a", "select: ''");
    assert_eq!(code(&site.tries(&twice, &[])), Some(64), "one name, twice");
    // A folder with one bad file among good ones.
    let folder = site.fleet.path("fleet");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("a.yaml"), nav(5, "")).expect("written");
    fs::write(folder.join("b.yaml"), "kind: [").expect("written");
    let refused = site.fleet.run("m1", &["apply", "-f", "fleet"]);
    fails(
        &refused,
        Exit::USAGE,
        "b.yaml:1:7: no YAML: unclosed bracket '['",
    );
    let nowhere = site.fleet.run("m1", &["apply", "-f", "nowhere.yaml"]);
    fails(&nowhere, Exit::USAGE, "nowhere.yaml");
    // Longer than a file may be: said before anything is sent.
    let large = fs::File::create(site.fleet.path("map.pgm")).expect("a file");
    large.set_len(64 * 1024 * 1024 + 1).expect("a sparse file");
    let map = config(
        "map",
        "select: ''\nfiles: [{path: /opt/map.pgm, content: ./map.pgm}]",
    );
    fs::write(site.fleet.path("map.yaml"), map).expect("written");
    let refused = site.fleet.run("m1", &["apply", "-f", "map.yaml"]);
    let why = "spec.files[0].content: \"./map.pgm\" cannot be taken: has 67108865 bytes or more; \
               at most 67108864 are allowed";
    fails(&refused, Exit::USAGE, why);
    assert_eq!(names(&site), [""; 0], "of all this nothing was written");
}

#[test]
fn an_agent_and_a_node_that_does_not_run_say_so() {
    let site = Site::with(&[("amr-01", &["role=amr"])]);
    fs::write(site.fleet.path("nav.yaml"), nav(3, "")).expect("written");
    for command in [
        &["apply", "-f", "nav.yaml"] as &[&str],
        &["get", "configs"],
        &["get", "drift"],
    ] {
        let refused = site.fleet.run("amr-01", command);
        let said = text(&refused.stderr);
        let known = [
            "this node is no manager; do it on one",
            "this node is an agent",
        ];
        assert!(
            known.iter().any(|it| said.contains(it)),
            "{command:?}: {said}"
        );
        assert_eq!(code(&refused), Some(2));
    }
    let nowhere = site.fleet.path("nowhere").display().to_string();
    let away = run_with(&["apply", "-f", "-", "--state-dir", &nowhere], &nav(3, ""));
    fails(&away, Exit::UNREACHABLE, "");
}
