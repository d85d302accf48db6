//! Files of a device, and commands that documents have run there: what holds when one of them fails.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use super::super::super::{code, text};
use super::{Site, config, files_below, nav, params};

const PARAMS: &str = "/opt/nav/params.yaml";

/// A hook that appends what the file says to a log.
fn logs(site: &Site) -> String {
    let (file, log) = (site.disk("amr-01", PARAMS), site.fleet.path("hooks.log"));
    let script = format!("cat {} >> {}", file.display(), log.display());
    format!("onChange: [{{exec: [sh, -c, '{script}']}}]")
}

fn hook_log(site: &Site) -> String {
    fs::read_to_string(site.fleet.path("hooks.log")).unwrap_or_default()
}

/// Nothing of an attempt is left: neither in the node's folder nor beside the file.
fn is_tidy(site: &Site) {
    site.fleet.until("nothing is left of attempts", |_| {
        site.left_in("amr-01", "attempts").is_empty()
    });
    let mut found = Vec::new();
    files_below(site.disk("amr-01", ""), &mut found);
    found.retain(|path| path.to_string_lossy().contains("regatta-new"));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn what_fails_is_taken_back_and_what_holds_is_not_touched() {
    let site = Site::with(&[("amr-01", &["role=amr"])]);
    let hook = logs(&site);
    site.applies(&nav(1, &hook));
    site.until_is("nav", "amr-01", "applied");
    assert_eq!(hook_log(&site), params(1), "once for a change");
    fs::set_permissions(
        site.disk("amr-01", PARAMS),
        fs::Permissions::from_mode(0o640),
    )
    .expect("ours");
    // A check that fails: nothing is written, no hook runs.
    let check = "check: {exec: [sh, -c, 'grep -q 2$ $REGATTA_STAGED/opt/nav/params.yaml && echo too fast >&2; \
                 exit 3']}";
    site.applies(&nav(2, &format!("{hook}\n{check}")));
    let why = site.fault("nav", "amr-01");
    assert!(why.starts_with("check of nav: sh -c grep"), "{why}");
    assert!(why.ends_with("exit code 3: too fast"), "{why}");
    assert_eq!(site.file("amr-01", PARAMS), params(1));
    assert_eq!(hook_log(&site), params(1));
    is_tidy(&site);
    // A hook that fails: the old file again, and the hook with it.
    let broken = format!("{hook}\nhealthy: {{exec: ['true']}}")
        .replace("log'", "log; grep -v 3$ < /dev/null'");
    site.applies(&nav(3, &broken));
    let why = site.fault("nav", "amr-01");
    assert!(
        why.starts_with("hook of nav: sh -c cat") && why.ends_with("exit code 1"),
        "{why}"
    );
    assert_eq!(site.file("amr-01", PARAMS), params(1));
    assert_eq!(hook_log(&site), [params(1), params(3), params(1)].concat());
    // A probe that never is well.
    site.applies(&nav(
        4,
        &format!("{hook}\nhealthy: {{exec: [sh, -c, echo no wheels; exit 9], within: 300ms}}"),
    ));
    let why = site.fault("nav", "amr-01");
    assert!(
        why.starts_with("healthy of nav: sh -c echo no wheels"),
        "{why}"
    );
    assert!(why.ends_with("exit code 9: no wheels"), "{why}");
    assert_eq!(site.target("nav", "amr-01")["holds"], 1);
    assert_eq!(site.file("amr-01", PARAMS), params(1));
    assert_eq!(hook_log(&site), [1, 3, 1, 4, 1].map(params).concat());
    let mode = fs::metadata(site.disk("amr-01", PARAMS))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640, "as somebody set it");
    let note = site
        .fleet
        .does("m1", &["explain", "amr-01", "nav.max_velocity"]);
    let expect = "the device did not take nav@4: healthy of nav: sh -c echo no wheels; exit 9: exit code 9: no \
                  wheels; nav@1 holds there\n";
    assert!(note.ends_with(expect), "{note}");
    assert_eq!(
        site.fleet
            .does("amr-01", &["config", "get", "nav.max_velocity"]),
        "1\n"
    );
    let table = site.fleet.does("m1", &["get", "configs"]);
    let row: Vec<&str> = table
        .lines()
        .nth(1)
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(
        row,
        ["nav", "4", "role=amr", "1", "0", "0", "1", "0"],
        "{table}"
    );
    is_tidy(&site);
    // And a good one after all that.
    site.applies(&nav(5, &hook));
    site.until_is("nav", "amr-01", "applied");
    assert_eq!(hook_log(&site), [1, 3, 1, 4, 1, 5].map(params).concat());
    no_manager_is_heard(&site);
}

/// Stops the manager's process where it stands, or has it go on: its address stays what it was.
fn frozen(site: &Site, signal: &str) {
    let manager = site.fleet.up.iter().find(|(name, _)| name == "m1");
    let id = manager.expect("it runs").1.child.id().to_string();
    let sent = Command::new("kill").args(["-s", signal, &id]).status();
    assert!(sent.is_ok_and(|status| status.success()), "sent");
}

/// A change that cuts the device off goes back by itself, and that is told once somebody listens again.
fn no_manager_is_heard(site: &Site) {
    let (hook, [begun, go]) = held_up(site);
    let hooks = format!("{hook}\nconfirm: 2s");
    site.applies(&nav(6, &hooks));
    site.fleet.until("its hook runs", |_| begun.exists());
    assert_eq!(site.file("amr-01", PARAMS), params(6));
    frozen(site, "STOP");
    fs::write(go, "").expect("written");
    site.fleet.until("it is taken back", |_| {
        site.file("amr-01", PARAMS) == params(5)
    });
    frozen(site, "CONT");
    let why = site.fault("nav", "amr-01");
    assert_eq!(why, "confirm: no manager was heard within 2000 ms");
    // With a manager it holds.
    site.applies(&nav(7, "confirm: 20s"));
    site.until_is("nav", "amr-01", "applied");
    is_tidy(site);
}

#[test]
fn a_device_refuses_what_lies_outside_and_takes_large_files_by_their_contents() {
    let site = Site::with(&[("amr-01", &["role=amr"])]);
    let outside = "select: role=amr\nvalues: {a: 1}\nfiles: [{path: /etc/nav/a.yaml, from: a}]";
    site.applies(&config("out", outside));
    let why = site.fault("out", "amr-01");
    assert!(why.starts_with(
        "staging: /etc/nav/a.yaml: outside of what this device lets be configured (/opt, "
    ));
    let shown = site.fleet.does("m1", &["describe", "config", "out"]);
    assert!(
        shown.contains("amr-01  failed") && shown.contains("/etc/nav/a.yaml: outside of"),
        "{shown}"
    );
    assert!(!site.disk("amr-01", "/etc").exists());
    // A link on the way that leads out, and one in the file's own place.
    fs::create_dir_all(site.disk("amr-01", "/etc")).expect("a folder");
    fs::create_dir_all(site.disk("amr-01", "/opt")).expect("a folder");
    symlink("../etc", site.disk("amr-01", "/opt/way")).expect("a link");
    fs::write(site.disk("amr-01", "/etc/passwd"), "root\n").expect("written");
    symlink("../etc/passwd", site.disk("amr-01", "/opt/a.yaml")).expect("a link");
    for (path, why) in [
        (
            "/opt/way/passwd.yaml",
            "a symbolic link on the way leads out of /opt",
        ),
        (
            "/opt/way/deeper/a.yaml",
            "a symbolic link on the way leads out of /opt",
        ),
        ("/opt/a.yaml", "a symbolic link is there, no file"),
    ] {
        site.applies(&config("out", &outside.replace("/etc/nav/a.yaml", path)));
        let said = site.fault("out", "amr-01");
        assert!(said.contains(why), "{path}: {said}");
    }
    let etc = fs::read_dir(site.disk("amr-01", "/etc"))
        .expect("there")
        .count();
    assert_eq!(
        (etc, site.file("amr-01", "/etc/passwd").as_str()),
        (1, "root\n")
    );
    site.fleet.does("m1", &["delete", "config", "out"]);
    a_large_file(&site);
}

fn a_large_file(site: &Site) {
    let bytes: Vec<u8> = (0..5_000_000_u32)
        .map(|it| it.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    fs::write(site.fleet.path("map.pgm"), &bytes).expect("written");
    let map =
        "select: role=amr\nfiles: [{path: /opt/nav/map.pgm, content: ./map.pgm, mode: '0600'}]";
    fs::write(site.fleet.path("map.yaml"), config("map", map)).expect("written");
    site.fleet.does("m1", &["apply", "-f", "map.yaml"]);
    site.until_is("map", "amr-01", "applied");
    let path = site.disk("amr-01", "/opt/nav/map.pgm");
    assert!(fs::read(&path).is_ok_and(|found| found == bytes));
    assert_eq!(
        fs::metadata(&path).expect("there").permissions().mode() & 0o777,
        0o600
    );
    // The fleet has it now, so its name is enough.
    let described = site.fleet.does("m1", &["describe", "config", "map"]);
    let manifest = described
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .replace("map.pgm", "copy.pgm");
    site.applies(&manifest.replace("name: map", "name: copy"));
    site.until_is("copy", "amr-01", "applied");
    assert!(fs::read(site.disk("amr-01", "/opt/nav/copy.pgm")).is_ok_and(|found| found == bytes));
}

/// A hook that is busy until a file is there, and the file that says that it began.
fn held_up(site: &Site) -> (String, [PathBuf; 2]) {
    let [begun, go] = ["begun", "go"].map(|name| site.fleet.path(name));
    let script = format!(
        "touch {}; while ! test -e {}; do sleep 0.05; done",
        begun.display(),
        go.display()
    );
    (
        format!("onChange: [{{exec: [sh, -c, '{script}']}}]"),
        [begun, go],
    )
}

/// What came meanwhile is tried next, with all of its words.
#[test]
fn a_document_that_comes_while_another_is_tried_is_not_forgotten() {
    let site = Site::with(&[("amr-01", &["role=amr"])]);
    let (hook, [begun, go]) = held_up(&site);
    site.applies(&nav(1, &hook));
    site.fleet.until("its hook runs", |_| begun.exists());
    site.applies(&config(
        "next",
        "select: role=amr\nfiles: [{path: /opt/next, content: {inline: next}}]",
    ));
    site.fleet.until("the next one is there", |fleet| {
        let status = |node: &str| fleet.json(node, &["status"])["ledgers"]["digest"].take();
        status("m1") == status("amr-01")
    });
    fs::write(go, "").expect("written");
    site.until_is("nav", "amr-01", "applied");
    site.until_is("next", "amr-01", "applied");
    assert_eq!(site.file("amr-01", "/opt/next"), "next");
}

/// Its unfinished copy has a name too, and what cannot be removed again holds up everything else.
#[test]
fn a_name_as_long_as_disks_take_holds_up_nothing() {
    let site = Site::with(&[("amr-01", &["role=amr"])]);
    let (longest, longer) = ("n".repeat(255), "n".repeat(256));
    for (name, long) in [("longest", &longest), ("longer", &longer)] {
        let spec =
            format!("select: role=amr\nfiles: [{{path: /opt/{long}, content: {{inline: a}}}}]");
        site.applies(&config(name, &spec));
    }
    site.until_is("longest", "amr-01", "applied");
    let why = site.fault("longer", "amr-01");
    assert!(why.starts_with("staging: /opt/nnn"), "{why}");
    site.applies(&nav(1, ""));
    site.until_is("nav", "amr-01", "applied");
    site.fleet.does("m1", &["delete", "config", "longest"]);
    let path = site.disk("amr-01", "/opt").join(longest);
    site.fleet.until("it is gone", |_| !path.exists());
    is_tidy(&site);
}

/// Devices would wait for it for ever, and nobody would know for what.
#[test]
fn a_content_that_the_fleet_does_not_have_is_refused_and_not_waited_for() {
    let site = Site::with(&[]);
    let hash = "ab".repeat(32);
    let content = format!("{{hash: \"{hash}\", bytes: 5}}");
    let document = config(
        "none",
        &format!("select: role=amr\nfiles: [{{path: /opt/x, content: {content}}}]"),
    );
    let refused = site.tries(&document, &[]);
    let said = text(&refused.stderr);
    let why = format!(
        "regatta: config/none: /opt/x: this manager has no content {hash} of 5 bytes; apply the file itself, or \
         do it on a manager that has it\n"
    );
    assert!(said.ends_with(&why), "{said}");
    assert_eq!(code(&refused), Some(2));
    assert_eq!(
        site.fleet.json("m1", &["get", "configs"]),
        serde_json::json!([])
    );
}

#[test]
fn a_file_that_is_changed_by_hand_is_shown_and_left_alone() {
    let site = Site::with(&[("amr-01", &["role=amr"])]);
    let none = site.fleet.does("m1", &["get", "drift"]);
    assert_eq!(none, "no file was changed by hand\n");
    site.applies(&nav(1, ""));
    site.until_is("nav", "amr-01", "applied");
    let path = site.disk("amr-01", PARAMS);
    fs::write(&path, "max_velocity: 99\n").expect("ours");
    let drift = || site.fleet.json("m1", &["get", "drift"]);
    site.fleet.until("it is shown", |_| {
        drift().as_array().is_some_and(|all| all.len() == 1)
    });
    let expect =
        serde_json::json!([{"device": "amr-01", "path": PARAMS, "document": "nav", "gone": false}]);
    assert_eq!(drift(), expect);
    assert_eq!(
        fs::read_to_string(&path).expect("there"),
        "max_velocity: 99\n",
        "left alone"
    );
    // The next change of it sets it right.
    site.applies(&nav(2, ""));
    site.until_is("nav", "amr-01", "applied");
    assert_eq!(fs::read_to_string(&path).expect("there"), params(2));
}
