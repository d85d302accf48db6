//! What YAML is taken for, what is refused where, and that what is written reads back.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{prop_assert_eq, proptest};
use regatta_protocol::config::value::{Float, Value};

use super::{Data, NODES_MAX, Node, parse, write};

fn one(text: &str) -> Node {
    let (documents, refused) = parse(text.as_bytes());
    assert_eq!(refused, [], "{text:?}");
    assert_eq!(documents.len(), 1, "{text:?}");
    documents.into_iter().next().expect("one")
}

fn refused(text: &str) -> Vec<String> {
    let (_, refused) = parse(text.as_bytes());
    let shown = refused
        .iter()
        .map(|one| format!("{}:{}: {}", one.at.line, one.at.column, one.detail));
    shown.collect()
}

fn value(node: &Node) -> Result<Value, String> {
    match &node.data {
        Data::Scalar(scalar) => scalar.value(),
        Data::List(items) => items
            .iter()
            .map(value)
            .collect::<Result<_, _>>()
            .map(Value::List),
        Data::Map(entries) => {
            let entries = entries.iter();
            let each = entries.map(|entry| Ok((entry.name.clone(), value(&entry.value)?)));
            each.collect::<Result<_, _>>().map(Value::Map)
        }
    }
}

fn scalar(text: &str) -> Result<Value, String> {
    value(one(&format!("a: {text}")).get("a").expect("it is there"))
}

#[test]
fn plain_scalars_mean_what_the_core_schema_says() {
    let text = |text: &str| Value::Text(text.to_owned());
    let float = |number: f64| Float::new(number).map(Value::Float).expect("a number");
    for (written, expect) in [
        ("", Value::Null),
        ("~", Value::Null),
        ("null", Value::Null),
        ("true", Value::Bool(true)),
        ("FALSE", Value::Bool(false)),
        ("no", text("no")),
        ("on", text("on")),
        ("Yes", text("Yes")),
        ("2026-01-02", text("2026-01-02")),
        ("12:30:45", text("12:30:45")),
        ("1_000", text("1_000")),
        ("+", text("+")),
        (".", text(".")),
        ("e5", text("e5")),
        ("0", Value::Int(0)),
        ("-0", Value::Int(0)),
        ("+7", Value::Int(7)),
        ("0x1F", Value::Int(31)),
        ("0o17", Value::Int(15)),
        ("-9223372036854775808", Value::Int(i64::MIN)),
        ("1.5", float(1.5)),
        ("1.", float(1.0)),
        (".5", float(0.5)),
        ("1e3", float(1000.0)),
        ("-.inf", float(f64::NEG_INFINITY)),
        ("\"3\"", text("3")),
        ("'it''s'", text("it's")),
        ("!!str 3", text("3")),
        ("! 3", text("3")),
        ("!!int \"3\"", Value::Int(3)),
        ("|-\n  b\n  c\n", text("b\nc")),
        (">\n  b\n  c\n", text("b c\n")),
    ] {
        assert_eq!(scalar(written), Ok(expect), "{written:?}");
    }
    for (written, expect) in [
        (
            "9223372036854775808",
            "9223372036854775808 is beyond what a whole number can be",
        ),
        ("0xFFFFFFFFFFFFFFFF", "0xFFFFFFFFFFFFFFFF is beyond"),
        (
            "0644",
            "0644 begins with a zero, which some take for octal; put it in quotes, or",
        ),
        (
            "1e999",
            "1e999 is larger than a number can be; put it in quotes",
        ),
        (
            ".nan",
            ".nan is no number; leave it out, or put it in quotes",
        ),
    ] {
        let said = scalar(written).expect_err(written);
        assert!(said.starts_with(expect), "{written:?}: {said}");
    }
}

#[test]
fn names_are_texts_and_places_are_kept() {
    let node = one("# first\n1: a\ntrue: b\n\"é\": [x, {y: z}]\n");
    let names: Vec<_> = node
        .entries()
        .iter()
        .map(|entry| entry.name.as_str())
        .collect();
    assert_eq!(names, ["1", "true", "é"]);
    let list = node.get("é").expect("it is there");
    assert_eq!((list.at.line, list.at.column), (4, 6));
    let inner = list.items()[1].get("y").expect("it is there");
    assert_eq!((inner.at.line, inner.at.column), (4, 14));
}

#[test]
fn anchors_are_copied_and_merged() {
    let node =
        one("base: &b {x: 1, y: 2}\nmine: {<<: *b, x: 3}\nmore: {<<: [{z: 1}, *b]}\n\"<<\": 4\n");
    let read = |name: &str| value(node.get(name).expect("it is there")).expect("fine");
    let map = |entries: &[(&str, i64)]| {
        let entries = entries.iter();
        Value::Map(
            entries
                .map(|(name, number)| ((*name).to_owned(), Value::Int(*number)))
                .collect(),
        )
    };
    assert_eq!(read("mine"), map(&[("x", 3), ("y", 2)]));
    assert_eq!(read("more"), map(&[("x", 1), ("y", 2), ("z", 1)]));
    assert_eq!(read("<<"), Value::Int(4));
}

#[test]
fn json_is_yaml() {
    let node = one("{\n\t\"a\": [1, 2.5, null],\n\t\"b\": {\"c\": \"\\u00e9\\n\"}\n}\n");
    let read = value(&node).expect("fine");
    let written = "a:\n  - 1\n  - 2.5\n  - null\nb:\n  c: \"é\\n\"\n";
    assert_eq!(write::value(&read), written);
}

#[test]
fn documents_are_read_one_after_the_other() {
    let (documents, refused) = parse(b"\xef\xbb\xbfa: 1\r\n---\r\n---\nb: 2\n...\n# nothing\n");
    assert_eq!(refused, []);
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[1].at.line, 4);
}

#[test]
fn what_is_no_yaml_is_told_with_its_place_and_the_next_document_is_read() {
    let said = refused("a: [1\n---\nb: 2\n---\nc: \"x\n");
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0], "1:4: no YAML: unclosed bracket '['");
    for (text, expect) in [
        (
            "a:\n\tb: 1\n",
            "2:2: no YAML: tabs disallowed within this context (block indentation); indent with spaces",
        ),
        ("a: *x\n", "1:4: no YAML: "),
        (
            "a: &x [*x]\n",
            "1:8: this alias stands inside of what it names",
        ),
        (
            "a: !home 3\n",
            "1:4: the tag !home means nothing here; leave it out",
        ),
        (
            "a: !!binary aGk=\n",
            "1:4: the tag !!binary means nothing here; leave it out",
        ),
        (
            "a: !!set {x}\n",
            "1:4: the tag !!set means nothing here; leave it out",
        ),
        (
            "? [a]\n: 1\n",
            "1:3: a list or a map cannot be a name; write a text",
        ),
        (": 1\n", "1:1: a name is missing before ':'"),
        (
            "a: {<<: 3}\n",
            "1:5: \"<<\" takes a map, or a list of maps, such as *base",
        ),
    ] {
        let said = refused(text);
        let first = said.first().expect(text);
        assert!(first.starts_with(expect), "{text:?}: {first}");
        assert_eq!(said.len(), 1, "{text:?}: {said:?}");
    }
    let (_, said) = parse(b"a: 1\nbc: \xff\n");
    let place = (said[0].at.line, said[0].at.column);
    assert_eq!(place, (2, 5));
    assert_eq!(said[0].detail, "is not UTF-8 here; save the file as UTF-8");
}

#[test]
fn small_files_cannot_become_large_trees() {
    // Each line doubles the one before it, nine times over.
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        let all = [before.as_str(); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{all}]\n"));
    }
    let said = refused(&laughs);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains(&format!("more than {NODES_MAX} values")),
        "{said:?}"
    );

    let long = format!(
        "a: &a \"{}\"\nb: [{}]\n",
        "x".repeat(100_000),
        "*a, ".repeat(1000)
    );
    assert!(
        refused(&long)[0].contains("bytes of text"),
        "texts are counted as well"
    );

    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(refused(&deep(40)), Vec::<String>::new());
    let said = refused(&deep(41));
    assert_eq!(
        said,
        ["1:41: lists and maps stand more than 40 deep in each other"]
    );
    let aliased = format!(
        "- &a {}\n- {}",
        deep(30),
        "[".repeat(20) + "*a" + &"]".repeat(20)
    );
    assert!(
        refused(&aliased)[0].contains("deep in each other"),
        "{:?}",
        refused(&aliased)
    );
    assert!(!refused(&deep(100_000)).is_empty());

    let (_, said) = parse(&vec![b' '; 8 * 1024 * 1024 + 1]);
    assert_eq!(
        said[0].detail,
        "has 8388609 bytes; at most 8388608 are read"
    );
}

#[test]
fn values_are_written_in_blocks_and_in_quotes_where_it_matters() {
    let text = "\
empty: {}
list:
  - 1
  -
    - 2.0
  - name: x
    on: \"no\"
  - []
map:
  \"1\": 10%
  a.b: 30s
  address: \"10.0.0.1\"
  date: \"2026-01-02\"
  path: /etc/nav/params.yaml
  script: |
    #!/bin/sh
    exec \"$@\"
  select: role=amr,site!=dock
  strange: \"\\u0007 \\\" \\\\ \\t\"
none: null
"
    .replace("    on:", "    \"on\":");
    let read = value(&one(&text)).expect("fine");
    assert_eq!(write::value(&read), text);
}

fn values() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![
        any::<String>(),
        "[ -~\\n\\t]{0,12}",
        Just("null".to_owned()),
        Just("-".to_owned()),
        Just("--- a\n".to_owned()),
        Just(" b\n\n c\n".to_owned()),
        Just("b\n  c\n\n d".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(|number| Float::new(number).map_or(Value::Null, Value::Float)),
        texts.prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            proptest::collection::btree_map("[ -~é\\n]{0,8}", inner, 0..5).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(wanted in values()) {
        let text = write::value(&Value::List(vec![wanted.clone()]));
        let node = one(&text);
        prop_assert_eq!(value(&node), Ok(Value::List(vec![wanted])), "{}", text);
    }

    #[test]
    fn no_bytes_bring_it_down(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (documents, _) = parse(&bytes);
        drop(documents);
    }

    #[test]
    fn nothing_that_looks_like_yaml_brings_it_down(text in "[-:?,\\[\\]{}#&*!|>'\"%@`a1~<\\. \\n\\t]{0,60}") {
        let (documents, refused) = parse(text.as_bytes());
        for node in &documents {
            if let Ok(value) = value(node) {
                one(&write::value(&Value::List(vec![value])));
            }
        }
        drop(refused);
    }
}
