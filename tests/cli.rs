//! The real binary, run as an operator runs it: what it prints, where, and how it ends.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
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

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// Ends with `USAGE`, prints nothing, and says `expect` in one line on standard error.
fn refuses<S: AsRef<OsStr>>(arguments: &[S], expect: &str) {
    let output = run(arguments);
    let said = String::from_utf8(output.stderr.clone()).expect("messages are UTF-8");
    assert_eq!(code(&output), Some(i32::from(Exit::USAGE.code())), "{said}");
    assert!(output.stdout.is_empty(), "standard output is for answers");
    assert_eq!(said.matches('\n').count(), 1, "one line: {said:?}");
    assert!(said.ends_with('\n'), "{said:?}");
    assert!(
        said.starts_with("regatta: this build holds the deciding core only; "),
        "{said:?}"
    );
    assert!(said.contains(expect), "{said:?} says {expect:?}");
}

#[test]
fn version_is_the_packages() {
    for flag in ["--version", "-V"] {
        let output = run(&[flag]);
        assert_eq!(code(&output), Some(0));
        let expect = format!("regatta {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), expect);
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn help_says_what_stands_and_fits_a_terminal() {
    for flag in ["--help", "-h"] {
        let output = run(&[flag]);
        assert_eq!(code(&output), Some(0));
        let help = String::from_utf8(output.stdout).expect("help is UTF-8");
        assert!(help.contains("This build holds the deciding core only"));
        assert!(help.contains("--version") && help.contains("--help"));
        assert!(help.lines().all(|line| line.chars().count() <= 100));
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn anything_else_is_a_usage_error_in_one_line() {
    refuses::<&str>(&[], "it has no commands yet, see `regatta --help`");
    refuses(&["up"], "it does not know \"up\"");
    refuses(&[""], "it does not know \"\"");
    refuses(&["--versoin"], "it does not know \"--versoin\"");
    refuses(
        &["--help", "up"],
        "it does not know \"up\" after \"--help\"",
    );
}

#[test]
fn what_was_typed_cannot_break_the_line() {
    refuses(
        &["up\nregatta: all is well"],
        "\"up\\nregatta: all is well\"",
    );
    refuses(&["\u{1b}[2J"], "\"\\u{1b}[2J\"");
    refuses(&[OsStr::from_bytes(b"up\xff")], "\"up\u{fffd}\"");
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = regatta().arg("--help").stdout(writer).output();
    let output = output.expect("the binary starts");
    assert_eq!(code(&output), Some(i32::from(Exit::ALL.code())));
    assert!(output.stderr.is_empty());
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let full = File::options().write(true).open("/dev/full");
    let full = full.expect("a device that is always full");
    let output = regatta().arg("--help").stdout(full).output();
    let output = output.expect("the binary starts");
    assert_eq!(code(&output), Some(i32::from(Exit::ALL_FAILED.code())));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("regatta: cannot write the output: "),
        "{said}"
    );
}

#[test]
fn a_usage_error_is_one_even_when_nobody_can_read_it() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = regatta().arg("up").stderr(writer).output();
    let output = output.expect("the binary starts");
    assert_eq!(code(&output), Some(i32::from(Exit::USAGE.code())));
}
