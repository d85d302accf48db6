//! Whatever is typed wrongly gets one line that says what, and where to read more; nothing is done.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use regatta_node::exit::Exit;

use super::{commands, fails, run, run_with};

#[test]
fn wrong_arguments_are_usage_errors_in_one_line() {
    for (arguments, expect) in [
        (&[] as &[&str], "a command is missing; see `regatta --help`"),
        (&[""], "unrecognized subcommand ''"),
        (
            &["zzzz"],
            "unrecognized subcommand 'zzzz'; see `regatta --help`",
        ),
        (
            &["stauts"],
            "similar subcommands exist: 'settings', 'status'",
        ),
        (&["--versoin"], "unexpected argument '--versoin'"),
        (
            &["demo", "--agents", "0"],
            "0 is not in 1..=50; see `regatta demo --help`",
        ),
        (&["init"], "<FLEET>; see `regatta init --help`"),
        (&["up", "--role", "boss"], "it is either manager or agent"),
        (&["up", "--lan", "maybe"], "it is either on or off"),
        (
            &["up", "--listen", "nowhere"],
            "--listen: network.listen: \"nowhere\" is not an address",
        ),
        (&["invite", "--label", "osaka"], "write it as KEY=VALUE"),
        (
            &["invite", "--label", "a=1", "--label", "a=2"],
            "label \"a\" is given twice",
        ),
        (&["invite", "--uses", "0"], "0 is not in 1.."),
        (
            &["invite", "--ttl", "soon"],
            "write it as 90s, 30m, 24h or 7d",
        ),
        (&["invite", "--manager"], "--root-key <FILE>"),
        (&["join"], "see `regatta join --help`"),
        (&["join", "x", "--timeout", "0s"], "that is no time at all"),
        (&["get"], "<WHAT>"),
        (
            &["get", "devices", "-o", "xml"],
            "[possible values: table, wide, json, yaml]",
        ),
        (&["get", "managers", "-l", "a=b"], "-l selects devices"),
        (&["describe", "device"], "<NAME>"),
        (&["label", "amr-07"], "KEY=VALUE sets a label"),
        (&["label", "amr-07", "a=1", "amr-08"], "names first"),
        (&["revoke"], "give names, or -l SELECTOR"),
        (&["revoke", "amr-07", "-l", "a=b"], "not both (amr-07)"),
        (&["forget"], "give names, or -l SELECTOR"),
        (&["replace"], "<NAME>"),
        (&["grant", "exec.run"], "--to <OPERATOR>"),
        (&["ping"], "<NAME>"),
        (
            &["ping", "a", "--count", "0"],
            "0 is not in 1..=1000; see `regatta ping --help`",
        ),
        (&["ping", "a", "--interval", "1ms"], "between 100ms and 60s"),
        (&["path"], "<NAME>"),
        (&["root"], "see `regatta root --help`"),
        (&["root", "sign", "m2"], "--root-key <FILE>"),
        (&["root", "rotate"], "--next-key <FILE>"),
        (
            &["completion", "tcsh"],
            "[possible values: bash, zsh, fish]",
        ),
        (&["man", "zzzz"], "there is no command \"zzzz\""),
    ] {
        fails(&run(arguments), Exit::USAGE, expect);
    }
}

#[test]
fn no_command_takes_what_it_does_not_know() {
    for mut command in commands() {
        command.push("--zzzz".to_owned());
        fails(&run(&command), Exit::USAGE, "--zzzz");
    }
}

#[test]
fn what_was_typed_cannot_break_the_line() {
    fails(
        &run(&["up\nregatta: all is well"]),
        Exit::USAGE,
        "subcommand",
    );
    fails(&run(&["get", "\u{1b}[2J"]), Exit::USAGE, "invalid value '");
    fails(
        &run(&[OsStr::from_bytes(b"up\xff")]),
        Exit::USAGE,
        "'up\u{fffd}'",
    );
}

#[test]
fn a_token_is_read_from_standard_input_and_from_files() {
    fails(
        &run_with(&["join", "-"], " \n"),
        Exit::USAGE,
        "standard input is empty",
    );
    let long = "A".repeat(20_000);
    fails(
        &run_with(&["join", "-"], &long),
        Exit::USAGE,
        "standard input has more than 16384 bytes",
    );
    fails(
        &run(&["join", "@/nonexistent/token"]),
        Exit::ALL_FAILED,
        "cannot read /nonexistent/token",
    );
}
