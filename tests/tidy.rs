//! Style rules as ordinary tests: each names the file, the line and the rule, and each can fail.

#[path = "tidy/manifests.rs"]
mod manifests;
#[path = "tidy/samples.rs"]
mod samples;
#[path = "tidy/text.rs"]
mod text;
#[path = "tidy/tree.rs"]
mod tree;

use tree::{Source, workspace};

/// Files above the limit today, as `path`. Entries shrink and go; none comes.
const LONG_FILES: [(&str, usize); 0] = [];

/// Files with a line above the limit today, as `path`. Entries shrink and go; none comes.
const WIDE_FILES: [(&str, usize); 1] = [("protocol/src/ledger/entry.rs", 121)];

/// Structs above the limit today, as `path: Name`. Entries shrink and go; none comes.
const WIDE_STRUCTS: [(&str, usize); 1] = [
    // The envelope of every entry, whole from the start because it cannot grow later.
    ("protocol/src/ledger/entry.rs: Header", 12),
];

fn obeyed(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

fn each(extension: &str, rule: fn(&Source) -> Vec<String>) {
    let sources = workspace();
    let judged: Vec<_> = sources
        .iter()
        .filter(|source| source.is(extension))
        .collect();
    assert!(
        !judged.is_empty(),
        "no .{extension} file was found to judge"
    );
    obeyed(&judged.into_iter().flat_map(rule).collect::<Vec<_>>());
}

fn measured(measure: fn(&Source) -> Vec<text::Measured>) -> Vec<text::Measured> {
    let sources = workspace();
    let rust = sources.iter().filter(|source| source.is("rs"));
    let found: Vec<_> = rust.flat_map(measure).collect();
    assert!(!found.is_empty(), "nothing was found to judge");
    found
}

#[test]
fn files_open_with_a_sentence() {
    each("rs", text::opens_with_a_sentence);
}

#[test]
fn files_are_at_most_500_lines_long() {
    let found = measured(|source| vec![text::lines_of(source)]);
    obeyed(&text::ratchet(
        &found,
        text::LINES_MAX,
        &LONG_FILES,
        "lines",
    ));
}

#[test]
fn structs_have_at_most_ten_fields() {
    let found = measured(text::fields_of_structs);
    obeyed(&text::ratchet(
        &found,
        text::FIELDS_MAX,
        &WIDE_STRUCTS,
        "fields",
    ));
}

#[test]
fn names_say_something() {
    each("rs", text::has_a_name_that_says_something);
    each("toml", text::has_a_name_that_says_something);
}

#[test]
fn modules_are_files_beside_folders() {
    each("rs", text::is_no_mod_file);
}

#[test]
fn wrapped_crates_are_named_by_their_wrappers_alone() {
    each("rs", text::names_no_wrapped_crate);
}

#[test]
fn ignored_tests_say_why() {
    each("rs", text::ignores_no_test_without_a_reason);
}

#[test]
fn nothing_is_left_over() {
    let sources = workspace();
    obeyed(
        &sources
            .iter()
            .flat_map(text::leaves_nothing_over)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn documents_name_no_folder_of_one_machine() {
    each("md", text::names_no_folder_of_one_machine);
}

#[test]
fn lines_are_at_most_120_columns_wide() {
    let found = measured(|source| vec![text::columns_of(source)]);
    obeyed(&text::ratchet(
        &found,
        text::COLUMNS_MAX,
        &WIDE_FILES,
        "columns",
    ));
}

#[test]
fn dependencies_point_the_right_way() {
    each("toml", manifests::point_the_right_way);
}

#[test]
fn readme_gives_the_commands_that_ci_runs() {
    let sources = workspace();
    let text = |path: &str| {
        let source = sources.iter().find(|source| source.path == path);
        &source
            .unwrap_or_else(|| panic!("{path} does not exist"))
            .text
    };
    for command in ["cargo test --workspace", ".ci/run"] {
        assert!(
            text("README.md").contains(command),
            "README.md does not give `{command}`"
        );
    }
    assert!(
        text(".ci/run")
            .lines()
            .any(|line| line.trim() == "cargo test --workspace"),
        ".ci/run runs README.md's test command word for word"
    );
}
