//! Every rule can fail: each is shown something bad, and something that only looks bad.

use super::manifests::point_the_right_way;
use super::text::{
    Measured, columns_of, fields_of_structs, has_a_name_that_says_something,
    ignores_no_test_without_a_reason, is_no_mod_file, leaves_nothing_over, lines_of,
    names_no_folder_of_one_machine, names_no_wrapped_crate, opens_with_a_sentence, ratchet,
};
use super::tree::{Source, workspace};

type Rule = fn(&Source) -> Vec<String>;

/// Breaks the rule once, at this line.
fn bad(rule: Rule, path: &str, text: &str, line: usize) {
    let broken = rule(&Source::new(path, text));
    assert_eq!(
        broken.len(),
        1,
        "{path}: {text:?} breaks the rule once: {broken:?}"
    );
    let place = format!("{path}:{line}: ");
    assert!(
        broken[0].starts_with(&place),
        "{:?} names {place:?}",
        broken[0]
    );
}

fn good(rule: Rule, path: &str, text: &str) {
    let broken = rule(&Source::new(path, text));
    assert!(
        broken.is_empty(),
        "{path}: {text:?} breaks no rule: {broken:?}"
    );
}

#[test]
fn the_whole_tree_is_walked() {
    let paths: Vec<String> = workspace().into_iter().map(|source| source.path).collect();
    for path in [
        ".ci/run",
        "Cargo.toml",
        "README.md",
        "actors/src/lib.rs",
        "node/src/main.rs",
        "protocol/src/codec.rs",
        "simulations/src/lib.rs",
        "tests/tidy.rs",
    ] {
        assert!(
            paths.iter().any(|found| found == path),
            "{path} was not found in {paths:?}"
        );
    }
    assert!(
        !paths.iter().any(|path| path.starts_with("target/")),
        "what cargo builds is no source"
    );
}

#[test]
fn openings() {
    bad(opens_with_a_sentence, "a.rs", "", 1);
    bad(
        opens_with_a_sentence,
        "a.rs",
        "use b::c;\n//! Too late.\n",
        1,
    );
    bad(
        opens_with_a_sentence,
        "a.rs",
        "//! No sentence\n\n//! Not this one.\n",
        1,
    );
    good(opens_with_a_sentence, "a.rs", "//! A sentence.\n");
    good(
        opens_with_a_sentence,
        "a.rs",
        "//! One over\n//! two lines.\n//!\n//! More\n",
    );
}

#[test]
fn ratchets() {
    let at = |size| Measured {
        place: "a.rs:1".to_owned(),
        name: "a.rs".to_owned(),
        size,
    };
    let judge = |size, exceptions: &[(&str, usize)]| ratchet(&[at(size)], 10, exceptions, "lines");
    assert!(judge(10, &[]).is_empty());
    assert_eq!(
        judge(11, &[]),
        ["a.rs:1: a.rs has 11 lines, at most 10 are allowed"]
    );
    assert!(judge(12, &[("a.rs", 12)]).is_empty());
    assert!(judge(13, &[("a.rs", 12)])[0].contains("at most 12 are allowed"));
    assert!(judge(11, &[("a.rs", 12)])[0].contains("its exception still allows 12"));
    assert_eq!(
        judge(1, &[("b.rs", 12)]),
        ["b.rs: is gone: remove its exception for lines"]
    );
}

#[test]
fn sizes() {
    let source = Source::new("a.rs", "//! A.\n\n");
    assert_eq!(lines_of(&source).size, 2);
    let wide = columns_of(&Source::new("a.rs", "//! A.\néééééééé\n"));
    assert_eq!((wide.place.as_str(), wide.size), ("a.rs:2", 8));
    let fields = |text: &str| -> Vec<(String, String, usize)> {
        let found = fields_of_structs(&Source::new("a.rs", text));
        found
            .into_iter()
            .map(|one| (one.place, one.name, one.size))
            .collect()
    };
    let one = |line: usize, name: &str, size| {
        vec![(format!("a.rs:{line}"), format!("a.rs: {name}"), size)]
    };
    let plain =
        "pub struct Plain {\n    /// a: b\n    pub a: u8,\n    pub(crate) b: fn(u8) -> c::D,\n}\n";
    assert_eq!(fields(plain), one(1, "Plain", 2));
    let bound =
        "struct Bound<T>\nwhere\n    T: Copy,\n{\n    #[x(y: z)]\n    r#type: T,\n}\na: u8\n";
    assert_eq!(fields(bound), one(1, "Bound", 1));
    let inner =
        "    struct Inner {\n        a: (\n            u8,\n        ),\n    }\n    b: u8,\n";
    assert_eq!(fields(inner), one(1, "Inner", 1));
    for none in [
        "struct Unit;\n",
        "pub struct Tuple(u8);\n",
        "struct NodeSettings {\n    a: u8,\n}\n",
        "// struct Remark {\n",
        "let x = \"struct Text {\";\n",
    ] {
        assert_eq!(fields(none), [], "{none:?}");
    }
}

#[test]
fn names() {
    let rule = has_a_name_that_says_something;
    bad(rule, "actors/src/util.rs", "//! A.\n", 1);
    bad(rule, "actors/src/helpers/disk.rs", "//! A.\n", 1);
    bad(rule, "a.rs", "//! A.\nmod common;\n", 2);
    bad(rule, "a.rs", "//! A.\npub(crate) mod misc {\n", 2);
    bad(
        rule,
        "x/Cargo.toml",
        "[package]\nname = \"regatta-core\"\n",
        2,
    );
    good(
        rule,
        "a.rs",
        "//! A.\nuse core::fmt;\nmod commonplace;\nlet utils = 1;\n",
    );
    good(rule, "x/Cargo.toml", "[package]\nname = \"regatta-node\"\n");
    bad(is_no_mod_file, "actors/src/exec/mod.rs", "//! A.\n", 1);
    good(is_no_mod_file, "actors/src/exec.rs", "//! A.\n");
}

#[test]
fn wrapped_crates() {
    let rule = names_no_wrapped_crate;
    // Filled in here, so that this file does not break the rule itself.
    let bincode = |text: &str| text.replace('@', "bincode");
    let snow = |text: &str| text.replace('@', "snow");
    let main = "node/src/main.rs";
    let codec = "protocol/src/codec.rs";
    let seal = "protocol/src/crypto/channel/noise.rs";
    bad(rule, main, &bincode("//! A.\nuse @::Options;\n"), 2);
    bad(rule, codec, &snow("let a = @::Builder::new();\n"), 1);
    bad(rule, seal, &bincode("pub use @;\n"), 1);
    good(rule, codec, &bincode("use @::Options;\n"));
    good(rule, seal, &snow("use @::Builder;\n"));
    good(rule, main, &bincode("// @::Options bounds nothing\n"));
    good(rule, main, &snow("let @ = \"@\";\nlet a = in_@::new();\n"));
    // A folder wraps whatever lies in it, and nothing that only begins like it.
    let libp2p = |text: &str| text.replace('@', "libp2p");
    good(
        rule,
        "actors/src/network/engine/links.rs",
        &libp2p("use @::Swarm;\n"),
    );
    bad(rule, "actors/src/network.rs", &libp2p("use @::Swarm;\n"), 1);
    bad(
        rule,
        "actors/src/networks/a.rs",
        &libp2p("use @::Swarm;\n"),
        1,
    );
}

#[test]
fn words_that_do_not_belong() {
    let attribute = concat!("#[", "ignore");
    bad(
        ignores_no_test_without_a_reason,
        "a.rs",
        &format!("{attribute}]\n"),
        1,
    );
    bad(
        ignores_no_test_without_a_reason,
        "a.rs",
        &format!("\n    {attribute} = \"\"]\n"),
        2,
    );
    good(
        ignores_no_test_without_a_reason,
        "a.rs",
        &format!("{attribute} = \"slow\"]\n"),
    );

    for word in [
        concat!("to", "do!()"),
        concat!("// FIX", "ME"),
        concat!("// X", "XX: a"),
    ] {
        bad(leaves_nothing_over, "a.rs", &format!("//! A.\n{word}\n"), 2);
    }
    bad(
        leaves_nothing_over,
        "README.md",
        concat!("To", "do: TO", "DO\n"),
        1,
    );
    good(leaves_nothing_over, "run.sh", "mktemp -d XXXXXX\n");

    bad(
        names_no_folder_of_one_machine,
        "README.md",
        "a\ncd /tmp/regatta\n",
        2,
    );
    good(
        names_no_folder_of_one_machine,
        "README.md",
        "cd tmp; ls /etc/regatta\n",
    );
}

#[test]
fn dependencies() {
    let rule = point_the_right_way;
    for (member, line) in [
        ("protocol", "regatta-actors.workspace = true"),
        ("protocol", "tokio = \"1\""),
        (
            "protocol",
            "time = { package = \"tokio\", version = \"1\" }",
        ),
        ("protocol", "libp2p-noise = \"0.47\""),
        ("actors", "regatta-node = { path = \"../node\" }"),
        ("actors", "regatta-simulations.workspace = true"),
        ("simulations", "regatta-node.workspace = true"),
    ] {
        let path = format!("{member}/Cargo.toml");
        for section in [
            "dependencies",
            "dev-dependencies",
            "target.'cfg(unix)'.dependencies",
        ] {
            bad(
                rule,
                &path,
                &format!("[{section}]\nserde = \"1\"\n{line}\n"),
                3,
            );
        }
    }
    bad(
        rule,
        "protocol/Cargo.toml",
        "[dependencies.tokio]\nversion = \"1\"\n",
        1,
    );
    bad(
        rule,
        "protocol/Cargo.toml",
        "[dependencies.time]\npackage = \"tokio\"\n",
        1,
    );
    bad(rule, "newcomer/Cargo.toml", "[package]\n", 1);
    good(
        rule,
        "Cargo.toml",
        "[workspace.dependencies]\ntokio = \"1\"\n",
    );
    good(
        rule,
        "protocol/Cargo.toml",
        "[dependencies]\n# tokio = \"1\"\n[package]\ntokio = \"1\"\n",
    );
    good(
        rule,
        "actors/Cargo.toml",
        "[dependencies]\ntokio = \"1\"\nregatta-protocol.workspace = true\n",
    );
    let simulations = "regatta-simulations.workspace = true";
    let tests = format!("[dev-dependencies]\n{simulations}\n");
    good(rule, "node/Cargo.toml", &tests);
    let shipped = format!("[dependencies]\n{simulations}\n");
    bad(rule, "node/Cargo.toml", &shipped, 2);
    let fleet = "[dependencies]\nregatta-node = { workspace = true, optional = true }\n";
    good(rule, "simulations/Cargo.toml", fleet);
    bad(rule, "actors/Cargo.toml", fleet, 2);
}
