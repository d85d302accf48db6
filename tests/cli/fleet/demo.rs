//! `regatta demo`, twice in one folder, at once and one after the other, and where it cannot be.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use regatta_node::exit::Exit;

use super::super::{code, fails, regatta, text};
use super::interrupt;

fn demo(folder: &Path) -> Command {
    let mut command = regatta();
    command.args(["demo", "--agents", "2", "--dir"]).arg(folder);
    command
}

/// Starts it, and gives what it printed until it runs.
fn runs(folder: &Path) -> (Child, String) {
    let mut command = demo(folder);
    let log = folder.join("stderr");
    let err = std::fs::File::create(&log).expect("a file");
    command.stdout(Stdio::piped()).stderr(err);
    let mut child = command.spawn().expect("it starts");
    let lines = BufReader::new(child.stdout.as_mut().expect("a pipe")).lines();
    let mut printed = String::new();
    for line in lines.map_while(Result::ok) {
        printed.push_str(&line);
        printed.push('\n');
        if line.starts_with("What its nodes say") {
            break;
        }
    }
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    (child, format!("{said}{printed}"))
}

fn ends(mut child: Child) {
    interrupt(&child);
    let ended = child.wait().expect("it ends");
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn a_demo_goes_on_in_its_folder_and_only_once_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, printed) = runs(folder.path());
    assert!(printed.contains("amr-02  ready"), "{printed}");
    let m1 = folder.path().join("m1");
    let hint = format!("export REGATTA_STATE_DIR={}", m1.display());
    assert!(printed.contains(&hint), "{printed}");
    let second = demo(folder.path()).output().expect("it starts");
    assert_eq!(code(&second), Some(i32::from(Exit::ALL_FAILED.code())));
    assert!(text(&second.stderr).contains("is in use by process"));
    let mut revoke = regatta();
    revoke.args(["revoke", "amr-02", "--state-dir"]).arg(&m1);
    assert_eq!(code(&revoke.output().expect("it starts")), Some(0));
    ends(first);
    // Who was revoked is not waited for.
    let (again, printed) = runs(folder.path());
    assert!(printed.contains("amr-01  ready"), "{printed}");
    assert!(printed.contains("amr-02  stopped"), "{printed}");
    ends(again);
}

#[test]
fn a_demo_that_is_stopped_early_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = regatta();
    command.args(["demo", "--agents", "50"]);
    command.env("TMPDIR", folder.path());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    assert!(said.next().is_some(), "it has begun");
    interrupt(&child);
    assert_eq!(child.wait().expect("it ends").code(), Some(2));
    let last = said.map_while(Result::ok).last();
    assert_eq!(
        last.as_deref(),
        Some("regatta: stopped before it was ready")
    );
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    let output = demo(&file.join("demo")).output().expect("it starts");
    fails(
        &output,
        Exit::ALL_FAILED,
        &format!("making the folder {}", file.display()),
    );
}
