//! Help, man pages and completions: each command has them, and they fit.

use super::{code, commands, run, text};

#[test]
fn every_command_has_help_that_fits_80_columns() {
    let mut all = commands();
    assert!(all.len() >= 20, "{all:?}");
    all.push(Vec::new());
    for command in all {
        for flag in ["--help", "-h"] {
            let mut arguments = command.clone();
            arguments.push(flag.to_owned());
            let output = run(&arguments);
            assert_eq!(code(&output), Some(0), "{arguments:?}");
            assert!(output.stderr.is_empty(), "{arguments:?}");
            let help = text(&output.stdout);
            let usage = format!(
                "Usage: {}",
                [&["regatta".to_owned()], &command[..]].concat().join(" ")
            );
            assert!(help.contains(&usage), "{help}");
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{arguments:?}: {line}");
            }
            assert!(!help.contains("__names"), "{help}");
        }
    }
}

#[test]
fn the_exit_codes_are_in_the_help() {
    let help = text(&run(&["--help"]).stdout);
    for code in [" 0  ", " 1  ", " 2  ", "64  ", "69  ", "70  "] {
        assert!(help.contains(code), "{code}: {help}");
    }
}

#[test]
fn the_man_page_names_every_command_and_each_has_its_own() {
    let page = text(&run(&["man"]).stdout);
    for command in commands().iter().filter(|command| command.len() == 1) {
        let name = &command[0];
        assert!(page.contains(&format!("regatta\\-{name}(1)")), "{name}");
        let output = run(&["man", name]);
        assert_eq!(code(&output), Some(0), "{name}");
        assert!(
            text(&output.stdout).contains(&format!("regatta\\-{name}")),
            "{name}"
        );
    }
    assert!(!page.contains("names(1)"), "hidden commands have none");
}

#[test]
fn man_pages_are_written_into_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("man1");
    let output = run(&["man", "--dir", &path.display().to_string()]);
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    for page in ["regatta.1", "regatta-get.1", "regatta-root-sign.1"] {
        assert!(path.join(page).exists(), "{page}");
    }
}

#[test]
fn completions_know_every_command_and_ask_for_names() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completion", shell]);
        assert_eq!(code(&output), Some(0), "{shell}");
        let script = text(&output.stdout);
        for command in commands().iter().filter(|command| command.len() == 1) {
            assert!(script.contains(command[0].as_str()), "{shell}: {command:?}");
        }
        assert!(
            script.contains("$(regatta __names") || script.contains("(regatta __names"),
            "{shell}"
        );
    }
}

#[test]
fn bash_reads_its_completions() {
    let script = text(&run(&["completion", "bash"]).stdout);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("regatta.bash");
    std::fs::write(&path, script).expect("written");
    // A machine without bash has nobody who would read them.
    let Ok(output) = std::process::Command::new("bash")
        .arg("-n")
        .arg(&path)
        .output()
    else {
        return;
    };
    assert!(output.status.success(), "{}", text(&output.stderr));
}
