//! The real binary, run as an operator runs it: what it prints, where, and how it ends.

#[path = "cli/access.rs"]
mod access;
#[path = "cli/answers.rs"]
mod answers;
#[path = "cli/fleet.rs"]
mod fleet;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/node.rs"]
mod node;
#[path = "cli/settings.rs"]
mod settings;
#[path = "cli/usage.rs"]
mod usage;

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use regatta_node::exit::Exit;

fn regatta() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_regatta"));
    command.stdin(Stdio::null()).env_clear();
    command
}

fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Output {
    regatta()
        .args(arguments)
        .output()
        .expect("the binary that cargo just built starts")
}

/// With a text on standard input.
fn run_with(arguments: &[&str], input: &str) -> Output {
    let mut command = regatta();
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // It may have ended without reading.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("messages are UTF-8")
}

/// Ends with `exit`, prints nothing, and says `expect` in one line on standard error.
fn fails(output: &Output, exit: Exit, expect: &str) {
    let said = text(&output.stderr);
    assert_eq!(code(output), Some(i32::from(exit.code())), "{said}");
    assert!(output.stdout.is_empty(), "standard output is for answers");
    assert!(!said.contains('\u{1b}'), "{said:?}");
    assert_eq!(said.matches('\n').count(), 1, "one line: {said:?}");
    assert!(
        said.starts_with("regatta: ") && said.ends_with('\n'),
        "{said:?}"
    );
    assert!(said.contains(expect), "{said:?} says {expect:?}");
}

/// Every command that is shown, with its parents: `["root", "sign"]`.
fn commands() -> Vec<Vec<String>> {
    fn add(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
        for inner in command
            .get_subcommands()
            .filter(|inner| !inner.is_hide_set())
        {
            let path: Vec<String> = path
                .iter()
                .cloned()
                .chain([inner.get_name().to_owned()])
                .collect();
            found.push(path.clone());
            add(inner, &path, found);
        }
    }
    let mut found = Vec::new();
    add(&regatta_node::cli::command(), &[], &mut found);
    found
}

#[test]
fn version_is_the_packages() {
    for flag in ["--version", "-V"] {
        let output = run(&[flag]);
        assert_eq!(code(&output), Some(0));
        let expect = format!("regatta {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(text(&output.stdout), expect);
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    for arguments in [
        &["--help"] as &[&str],
        &["man"],
        &["completion", "bash"],
        &["settings"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = regatta().args(arguments).stdout(writer).output();
        let output = output.expect("the binary starts");
        assert_eq!(
            code(&output),
            Some(i32::from(Exit::ALL.code())),
            "{arguments:?}"
        );
        assert!(
            output.stderr.is_empty(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let full = File::options().write(true).open("/dev/full");
    let full = full.expect("a device that is always full");
    let output = regatta().arg("--help").stdout(full).output();
    let output = output.expect("the binary starts");
    assert_eq!(code(&output), Some(i32::from(Exit::ALL_FAILED.code())));
    assert!(text(&output.stderr).starts_with("regatta: cannot write the output: "));
}

#[test]
fn a_usage_error_is_one_even_when_nobody_can_read_it() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = regatta().arg("zzzz").stderr(writer).output();
    let output = output.expect("the binary starts");
    assert_eq!(code(&output), Some(i32::from(Exit::USAGE.code())));
}
