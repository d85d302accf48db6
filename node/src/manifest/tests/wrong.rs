//! Manifests that are wrong, and what is said of each: the exact text, with line and column.

use std::fs;

use regatta_protocol::limits::FILE_BYTES_MAX;

use super::{config, folder, of_text, with_spec};
use crate::manifest::read;

/// Each with the line and column where an editor should go.
#[test]
fn what_is_wrong_with_a_document_is_told_with_its_place() {
    for (text, expect) in [
        ("", "nav.yaml:1:1: no document in it"),
        ("# nothing\n", "nav.yaml:1:1: no document in it"),
        (
            "- a\n",
            "nav.yaml:1:1: found a list; a map with apiVersion, kind, metadata and spec belongs here",
        ),
        ("a: [\n", "nav.yaml:1:4: no YAML: unclosed bracket '['"),
        (
            "apiVersion: regatta/v2\nkind: config\nmetadata: {name: a b}\nspec: {select: \"\"}\n",
            "nav.yaml:1:13: apiVersion: \"regatta/v2\" is not known; did you mean \"regatta/v1\"?\n\
             nav.yaml:2:7: kind: \"config\" is not known; did you mean \"Config\"?\n\
             nav.yaml:3:18: metadata.name: a name has ' ' at character 2; \
             letters, digits, '-', '_', '.' and '/' are allowed",
        ),
        (
            "kind: Deployment\nspek: {}\n",
            "nav.yaml:1:1: apiVersion: missing; write \"apiVersion: regatta/v1\"\n\
             nav.yaml:1:1: metadata: missing; write \"metadata: {name: …}\"\n\
             nav.yaml:1:1: spec: missing; it says what the document is for\n\
             nav.yaml:1:7: kind: \"Deployment\" is not known; known here: Config\n\
             nav.yaml:2:1: spek: unknown field; did you mean \"spec\"?",
        ),
        (
            "apiVersion: regatta/v1\nkind: Config\nmetadata: {name: nav, labels: {a: b}}\nspec: {select: x}\nkind: \
             Config\n",
            "nav.yaml:3:23: metadata.labels: unknown field; known here: name\n\
             nav.yaml:5:1: kind: stands here twice, first in line 2; keep one of them",
        ),
        (
            "apiVersion: regatta/v1\nkind: Config\nmetadata: {name: nav}\nspec: {}\n",
            "nav.yaml:4:7: spec.select: missing; write a selector such as role=amr, or \"\" for every device",
        ),
    ] {
        assert_eq!(of_text(text).map(|_| ()), Err(expect.to_owned()), "{text}");
    }
}

#[test]
fn a_selectors_error_points_into_it() {
    for (written, place) in [
        ("role=amr,,x", "5:20"),
        ("\"role=amr,,x\"", "5:21"),
        ("'role=amr,,x'", "5:21"),
        // Where characters of the file are not those of the text, the text's begin has to do.
        ("\"role=amr\\x2c,x\"", "5:11"),
        (">-\n    role=amr,,x", "6:5"),
    ] {
        let text = with_spec("").replace("select: \"\"", &format!("select: {written}"));
        let said = of_text(&text).expect_err(written);
        let expect =
            format!("nav.yaml:{place}: spec.select: selector: found ',' at character 10; ");
        assert!(said.starts_with(&expect), "{written}: {said}");
    }
}

/// Line 6 is the first of what is given.
const SPECS: [(&str, &str); 31] = [
    (
        "selct: x",
        "6:3: spec.selct: unknown field; did you mean \"select\"?",
    ),
    (
        "onchange: []",
        "6:3: spec.onchange: unknown field; did you mean \"onChange\"?",
    ),
    (
        "zzz: 1",
        "6:3: spec.zzz: unknown field; known here: select, priority, values, lists, files, secrets, as, check, \
         onChange, healthy, confirm, rollout",
    ),
    (
        "priority: high",
        "6:13: spec.priority: found \"high\"; a whole number from -2147483648 to 2147483647 belongs here",
    ),
    (
        "priority: 3000000000",
        "6:13: spec.priority: found 3000000000 (a number); a whole number from -2147483648 to 2147483647 belongs \
         here",
    ),
    (
        "values: [1]",
        "6:11: spec.values: found a list; a map of what devices are to be told belongs here",
    ),
    (
        "values:\n  a: {b: 99999999999999999999}",
        "7:12: spec.values.a.b: 99999999999999999999 is beyond what a whole number can be (-9223372036854775808 \
         to 9223372036854775807); put it in quotes to keep it as a text",
    ),
    (
        "values: {a: 1, b.c: 2, a: 3}",
        "6:26: spec.values.a: stands here twice, first in line 6; keep one of them",
    ),
    (
        "values: {1: a, \"1\": b}",
        "6:18: spec.values.1: stands here twice, first in line 6; keep one of them",
    ),
    (
        "values: {a.b: [.nan]}",
        "6:18: spec.values.\"a.b\"[0]: .nan is no number; leave it out, or put it in quotes",
    ),
    (
        "lists: mix",
        "6:10: spec.lists: \"mix\" is neither merge nor replace",
    ),
    (
        "lists: {a.: merge}",
        "6:15: spec.lists.\"a.\": path: found the end at character 3; a name belongs here",
    ),
    (
        "lists: [a]",
        "6:10: spec.lists: found a list; merge or replace, or a map of places to these words, belongs here",
    ),
    (
        "as: root user",
        "6:7: spec.as: a name has ' ' at character 5; letters, digits, '-', '_', '.' and '/' are allowed",
    ),
    (
        "confirm: 60",
        "6:12: spec.confirm: \"60\": that is no length of time; write it as 90s, 30m, 24h or 7d",
    ),
    (
        "check: {within: 3s}",
        "6:10: spec.check.exec: missing; it is the command to run",
    ),
    (
        "check: {exec: navctl check}",
        "6:17: spec.check.exec: found \"navctl check\"; no shell runs it, so a list such as [\"navctl\", \
         \"reload\"] belongs here, or [\"sh\", \"-c\", \"…\"]",
    ),
    (
        "check: {exec: []}",
        "6:17: spec.check.exec: names no command; a list such as [\"navctl\", \"reload\"] belongs here",
    ),
    (
        "check: {exec: [a, [b]]}",
        "6:21: spec.check.exec[1]: found a list; a word of the command belongs here",
    ),
    (
        "check: {exec: [a], within: 0s}",
        "6:30: spec.check.within: \"0s\": that is no time at all; write it as 90s, 30m, 24h or 7d",
    ),
    (
        "onChange: [{restart: a, reload: b}]",
        "6:14: spec.onChange[0]: takes exactly one of exec, restart and reload; write several items for several \
         steps",
    ),
    (
        "onChange: [{restart: a b}]",
        "6:24: spec.onChange[0].restart: \"a b\" is no unit's name; write it as nav.service or nav@1.service",
    ),
    (
        "onChange: {restart: a}",
        "6:13: spec.onChange: found a map; a list of restart, reload and exec belongs here",
    ),
    (
        "rollout: {}",
        "6:12: spec.rollout.waves: missing; write how far each reaches, such as [\"1\", \"10%\", \"100%\"]",
    ),
    (
        "rollout: {waves: [0, 100%]}",
        "6:21: spec.rollout.waves[0]: \"0\" is no wave; write a number of devices from 1, or a share from 1% to \
         100%",
    ),
    (
        "rollout: {waves: [10%, 101%]}",
        "6:26: spec.rollout.waves[1]: \"101%\" is no share; write it as 1% to 100%",
    ),
    (
        "rollout: {waves: [20%, 10%, 100%]}",
        "6:26: spec.rollout.waves[1]: reaches no further than the wave before it; each wave says how far it \
         reaches in all",
    ),
    (
        "rollout: {waves: [1, 10%]}",
        "6:20: spec.rollout.waves: the last wave has to be \"100%\", or some devices would never get it",
    ),
    (
        "rollout: {waves: [100%], success: 95}",
        "6:37: spec.rollout.success: \"95\" is no share; write it as 0% to 100%",
    ),
    (
        "rollout: {waves: [100%], minAvailable: {a b: 1}}",
        "6:48: spec.rollout.minAvailable.\"a b\": a name has ' ' at character 2; letters, digits, '-', '_', '.' \
         and '/' are allowed",
    ),
    (
        "rollout: {waves: [100%], minAvailable: {site: -1}}",
        "6:49: spec.rollout.minAvailable.site: found -1 (a number); a whole number from 0 to 4294967295 belongs \
         here",
    ),
];

#[test]
fn what_is_wrong_with_a_spec_is_told_with_its_place() {
    for (spec, expect) in SPECS {
        let said = of_text(&with_spec(spec));
        assert_eq!(
            said.map(|_| ()),
            Err(format!("nav.yaml:{expect}")),
            "{spec}"
        );
    }
}

/// In line 6, which begins with `  files: [ {`. FROM stands for what is right of a file.
const FILES: [(&str, &str); 20] = [
    (
        "from: x",
        "6:12: spec.files[0].path: missing; say where on the device, such as /etc/nav/params.yaml",
    ),
    (
        "path: etc/a.yaml, from: x",
        "6:19: spec.files[0].path: \"etc/a.yaml\" is not absolute; begin it with /",
    ),
    (
        "path: /etc/../a.yaml, from: x",
        "6:19: spec.files[0].path: \"/etc/../a.yaml\" goes by \"..\", \".\" or \"//\"; write it straight",
    ),
    (
        "path: /etc/, from: x",
        "6:19: spec.files[0].path: \"/etc/\" names a folder; name a file in it",
    ),
    (
        "path: /a.conf, from: x",
        "6:12: spec.files[0]: the ending of \"/a.conf\" says no format; write format: yaml, json, toml, env or \
         text",
    ),
    (
        "path: /a.conf, from: x, format: ini",
        "6:45: spec.files[0].format: \"ini\" is no format; known here: yaml, json, toml, env or text",
    ),
    (
        "path: /a.yaml, from: x..y",
        "6:34: spec.files[0].from: path: found '.' at character 3; a name belongs here",
    ),
    (
        "path: /a.yaml",
        "6:12: spec.files[0]: has neither of from and content; write from: a place in the tree, or content: a file",
    ),
    (
        "path: /a.yaml, from: x, content: ./map.pgm",
        "6:12: spec.files[0]: has both of from and content; write from: a place in the tree, or content: a file",
    ),
    (
        "path: /a, content: ./none",
        "6:32: spec.files[0].content: \"./none\" cannot be taken: No such file or directory (os error 2)",
    ),
    (
        "path: /a, content: .",
        "6:32: spec.files[0].content: \".\" cannot be taken: is no file",
    ),
    (
        "path: /a, content: ./map.pgm, format: yaml",
        "6:51: spec.files[0].format: contents are written as they are; leave the format out",
    ),
    (
        "path: /a, content: {}",
        "6:32: spec.files[0].content: takes a path, {inline: text}, or \
         {hash: …, bytes: …} of what the fleet has",
    ),
    (
        "path: /a, content: {hash: ab, bytes: 1}",
        "6:39: spec.files[0].content.hash: a hash has 64 hexadecimal digits, this has 2",
    ),
    (
        "FROM, mode: abc",
        "6:43: spec.files[0].mode: \"abc\" is no permission; write it as four octal digits, such as \"0644\"",
    ),
    (
        "FROM, mode: 644",
        "6:43: spec.files[0].mode: \"644\" is no permission; write it as four octal digits, such as \"0644\"",
    ),
    (
        "FROM, mode: \"4755\"",
        "6:43: spec.files[0].mode: \"4755\" would have programs run as the file's owner; begin it with 0",
    ),
    (
        "FROM, owner: 1000",
        "6:44: spec.files[0].owner: found 1000 (a number); a name, such as nav, in quotes where it looks like a \
         number, belongs here",
    ),
    (
        "FROM, owner: \"a:b\"",
        "6:44: spec.files[0].owner: \"a:b\" is no name of a user or a group",
    ),
    (
        "FROM}, {FROM",
        "6:38: spec.files[1]: \"/a.yaml\" is written twice, first in line 6; keep one of them",
    ),
];

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place() {
    for (file, expect) in FILES {
        let file = file.replace("FROM", "path: /a.yaml, from: x");
        let said = of_text(&with_spec(&format!("files: [ {{{file}}}]")));
        assert_eq!(
            said.map(|_| ()),
            Err(format!("nav.yaml:{expect}")),
            "{file}"
        );
    }
    let plain = of_text(&with_spec(
        "values: {x: 1}\nfiles: [{path: /a.yaml, from: x, mode: 0640}]",
    ));
    let plain = plain.expect("four octal digits need no quotes");
    assert_eq!(
        config(&plain.manifests[0]).document.files[0].mode,
        Some(0o640)
    );
}

#[test]
fn a_content_larger_than_a_file_may_be_is_refused_unread() {
    let folder = folder();
    let large = fs::File::create(folder.path().join("large")).expect("made");
    large.set_len(FILE_BYTES_MAX + 1).expect("a sparse file");
    let text = with_spec("files: [{path: /a, content: large}]");
    let said = read("nav.yaml", text.as_bytes(), folder.path(), &[]).expect_err("too large");
    let said = said.to_string();
    assert!(
        said.ends_with(
            "\"large\" cannot be taken: has 67108865 bytes or more; at most 67108864 are allowed"
        ),
        "{said}"
    );
}

#[test]
fn references_that_lead_back_to_themselves_are_refused() {
    let cycle = |at: &str, way: &str| {
        format!("nav.yaml:{at}: \"$from\" leads back to itself: {way}; say one of them outright")
    };
    for (values, expect) in [
        ("a: {$from: a}", cycle("6:15: spec.values.a", "a -> a")),
        ("a: {$from: .}", cycle("6:15: spec.values.a", "a -> .")),
        (
            "a: {b: {$from: a}}",
            cycle("6:19: spec.values.a.b", "a.b -> a"),
        ),
        (
            "a: {$from: b}, b: {$from: a}",
            cycle("6:15: spec.values.a", "a -> b -> a"),
        ),
        (
            "a: {x: {$from: b}}, b: {y: {$from: a.x}}",
            cycle("6:19: spec.values.a.x", "a.x -> b -> a.x"),
        ),
        (
            "a: [{$from: b}], b: {$from: a}",
            cycle("6:16: spec.values.a[0]", "a -> b -> a"),
        ),
        ("a: {$from: a.b}", cycle("6:15: spec.values.a", "a -> a.b")),
        (
            "a: {$from: b, c: 1}",
            "nav.yaml:6:15: spec.values.a: \"$from\" stands alone in its map; what it takes \
         replaces the map"
                .to_owned(),
        ),
        (
            "a: {$from: [b]}",
            "nav.yaml:6:15: spec.values.a: \"$from\" takes a place in the tree, such as \
         net.host"
                .to_owned(),
        ),
    ] {
        let said = of_text(&with_spec(&format!("values: {{{values}}}")));
        assert_eq!(said.map(|_| ()), Err(expect), "{values}");
    }
    for values in [
        "a: {$from: b}, b: {$from: c}, c: 1",
        // Through `a`, but into a part of `b` that is outright.
        "a: {$from: b}, b: {x: {$from: a.y}, y: 3}",
        "a: [{$from: b}, {$from: b}], b: {x: 1}",
    ] {
        let read = of_text(&with_spec(&format!("values: {{{values}}}"))).expect(values);
        assert_eq!(read.warnings, [], "{values}");
    }
}

#[test]
fn several_documents_and_all_their_errors_are_told_at_once() {
    let bad = with_spec("priority: x\nconfirm: y");
    let text = format!(
        "{bad}---\na: [\n---\n{}",
        bad.replace("name: nav", "name: base")
    );
    let said = of_text(&text).expect_err("wrong");
    let places: Vec<_> = said
        .lines()
        .map(|line| line.split(": ").next().unwrap_or_default())
        .collect();
    let expect = ["6:13", "7:12", "9:4", "16:13", "17:12"].map(|place| format!("nav.yaml:{place}"));
    assert_eq!(places, expect, "{said}");

    let many: String = (0..50)
        .map(|number| format!("field{number}: x\n"))
        .collect();
    let said = of_text(&with_spec(&many)).expect_err("wrong");
    assert_eq!(said.lines().count(), 21, "{said}");
    assert!(said.ends_with("\nand 30 more"), "{said}");

    let twice = format!("{}---\n{}", with_spec(""), with_spec("priority: 1"));
    let said = of_text(&twice).expect_err("wrong");
    assert_eq!(
        said,
        "nav.yaml:7:1: metadata.name: Config \"nav\" stands at nav.yaml:1:1 too; keep one of them"
    );
}

#[test]
fn a_document_larger_than_one_may_be_is_refused() {
    let text = with_spec(&format!("values: {{a: \"{}\"}}", "x".repeat(1024 * 1024)));
    let said = of_text(&text).expect_err("too large");
    assert_eq!(
        said,
        "nav.yaml:5:3: spec: makes a document of more than 1048576 bytes; split it, or give large texts as content \
         of files"
    );
}
