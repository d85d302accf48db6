//! Exact bytes for each format, that they read back as written, and what each format refuses.

use std::collections::BTreeMap;

use regatta_protocol::config::document::FileFormat;
use regatta_protocol::config::value::{Float, KeyPath, Value};

use super::render;

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.map(|(key, value)| (key.to_owned(), value));
    Value::Map(BTreeMap::from(entries))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn float(number: f64) -> Value {
    Value::Float(Float::new(number).expect("a number"))
}

fn list<const N: usize>(values: [Value; N]) -> Value {
    Value::List(values.to_vec())
}

fn nav() -> KeyPath {
    KeyPath::parse("nav").expect("a path")
}

fn written(value: &Value, format: FileFormat) -> String {
    let bytes = render(value, &nav(), format).expect("it fits");
    String::from_utf8(bytes).expect("text")
}

fn refused(value: &Value, format: FileFormat) -> String {
    render(value, &nav(), format)
        .expect_err("it does not fit")
        .to_string()
}

/// Something of everything that all formats but the plainest can say.
fn sample() -> Value {
    map([
        ("ports", list([Value::Int(1), Value::Int(2)])),
        (
            "lidar",
            map([("name", text("käse \"x\"")), ("on", Value::Bool(true))]),
        ),
        ("speed", float(1.0)),
        ("zones", list([map([("id", Value::Int(-7))])])),
    ])
}

#[test]
fn json_has_exact_bytes() {
    let expected = r#"{
  "lidar": {
    "name": "käse \"x\"",
    "on": true
  },
  "ports": [
    1,
    2
  ],
  "speed": 1.0,
  "zones": [
    {
      "id": -7
    }
  ]
}
"#;
    assert_eq!(written(&sample(), FileFormat::Json), expected);
    assert_eq!(
        written(&list([Value::Null]), FileFormat::Json),
        "[\n  null\n]\n"
    );
    assert_eq!(
        refused(
            &map([("a", list([float(f64::INFINITY)]))]),
            FileFormat::Json
        ),
        "nav.a: a number cannot be written as JSON; an infinite number has no form there; write a finite one"
    );
}

#[test]
fn yaml_has_exact_bytes() {
    let expected = "\
lidar:
  name: käse \"x\"
  \"on\": true
ports:
- 1
- 2
speed: 1.0
zones:
- id: -7
";
    assert_eq!(written(&sample(), FileFormat::Yaml), expected);
    assert_eq!(written(&Value::empty(), FileFormat::Yaml), "{}\n");
    assert_eq!(written(&text("nav"), FileFormat::Yaml), "nav\n");
    // Readers of YAML 1.1 take a number without a dot in it for a text.
    let numbers = list([float(1e300), float(-2.5e-9), float(f64::INFINITY)]);
    assert_eq!(
        written(&numbers, FileFormat::Yaml),
        "- 1.0e+300\n- -2.5e-9\n- .inf\n"
    );
}

/// What a reader of YAML makes of it, through serde's own model of it.
fn yaml_read(text: &str) -> serde_json::Value {
    serde_saphyr::from_str(text).expect("YAML")
}

#[test]
fn yaml_reads_back_as_written() {
    let texts = [
        "no",
        "yes",
        "on",
        "y",
        "true",
        "null",
        "~",
        "",
        " ",
        " a ",
        "1e3",
        "0x1F",
        "0o7",
        "1_000",
        "12:30:45",
        "2024-01-01",
        ".inf",
        "nan",
        "-",
        "- a",
        "a: b",
        "a #b",
        "#a",
        "[a]",
        "{a}",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "|",
        ">",
        "'a'",
        "\"a\"",
        "a\nb",
        "a\n",
        "\na",
        "a\r\nb",
        "\t",
        "a\tb",
        "<<",
        "---",
        "...",
        "käse",
        "日本",
        "🦀",
        "\u{0}",
        "\u{1b}[0m",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\\n",
    ];
    for text in texts
        .map(ToOwned::to_owned)
        .into_iter()
        .chain(["long words ".repeat(40)])
    {
        let value = Value::Map(BTreeMap::from([(text.clone(), Value::Text(text.clone()))]));
        let yaml = written(&value, FileFormat::Yaml);
        assert_eq!(
            yaml_read(&yaml),
            serde_json::json!({ text.clone(): text }),
            "{yaml:?}"
        );
    }
    let all = map([
        ("all", sample()),
        ("none", list([Value::Null, Value::empty()])),
    ]);
    let json: serde_json::Value =
        serde_json::from_str(&written(&all, FileFormat::Json)).expect("JSON");
    assert_eq!(yaml_read(&written(&all, FileFormat::Yaml)), json);
}

#[test]
fn toml_has_exact_bytes_and_no_null() {
    let expected = "\
ports = [1, 2]
speed = 1.0

[lidar]
name = 'käse \"x\"'
on = true

[[zones]]
id = -7
";
    let written = written(&sample(), FileFormat::Toml);
    assert_eq!(written, expected);
    let read: toml::Table = written.parse().expect("TOML");
    assert_eq!(read["zones"][0]["id"].as_integer(), Some(-7));
    assert_eq!(
        refused(
            &map([("a", map([("b.c", list([Value::Null]))]))]),
            FileFormat::Toml
        ),
        "nav.a.\"b.c\": null cannot be written as TOML; leave it out, or write another format"
    );
    assert_eq!(
        refused(&text("a"), FileFormat::Toml),
        "nav: a text cannot be written as TOML; have from name a map"
    );
}

#[test]
fn an_environment_file_has_exact_bytes() {
    let value = map([
        (
            "lidar",
            map([("port", text("/dev/ttyUSB0")), ("max-range", float(2.5))]),
        ),
        ("on", Value::Bool(false)),
        ("ports", list([Value::Int(1), text("a b")])),
        ("say", text("\"$HOME\" \\ `x`\nnext")),
        ("empty", text("")),
        ("none", Value::empty()),
    ]);
    let expected = r#"EMPTY=""
LIDAR_MAX_RANGE="2.5"
LIDAR_PORT="/dev/ttyUSB0"
ON="false"
PORTS="1 a b"
SAY="\"\$HOME\" \\ \`x\`
next"
"#;
    assert_eq!(written(&value, FileFormat::Env), expected);
}

#[test]
fn what_no_variable_can_hold_is_refused_by_place() {
    let name = "a name there has letters, digits and _, and begins with no digit";
    let cases = [
        (text("a"), "nav: a text cannot be written as an environment file; have from name a map".to_owned()),
        (
            map([("a", map([("b", Value::Null)]))]),
            "nav.a.b: null cannot be written as an environment file; leave it out, or write an empty text".to_owned(),
        ),
        (
            map([("a", list([Value::empty()]))]),
            "nav.a: a list cannot be written as an environment file; a list may have texts, numbers and booleans \
             in it"
                .to_owned(),
        ),
        (map([("ä", text("a"))]), format!("nav.ä: a text cannot be written as an environment file; {name}")),
        (map([("1a", text("a"))]), format!("nav.1a: a text cannot be written as an environment file; {name}")),
        (
            map([("a", text("\0"))]),
            "nav.a: a text cannot be written as an environment file; a variable may have no control characters \
             but tabs and line ends".to_owned(),
        ),
        (
            map([("a", map([("b", text("1"))])), ("a_b", text("2"))]),
            "nav.a_b: A_B is the name of another value too; call one of them something else".to_owned(),
        ),
    ];
    for (value, message) in cases {
        assert_eq!(refused(&value, FileFormat::Env), message);
    }
}

#[test]
fn text_is_one_value_and_a_newline() {
    let cases = [
        (text("nav\nfast"), "nav\nfast\n"),
        (Value::Int(-3), "-3\n"),
        (float(1.0), "1.0\n"),
        (Value::Bool(true), "true\n"),
    ];
    for (value, expected) in cases {
        assert_eq!(written(&value, FileFormat::Text), expected);
    }
    for (value, found) in [
        (Value::Null, "null"),
        (list([]), "a list"),
        (Value::empty(), "a map"),
    ] {
        let message =
            format!("nav: {found} cannot be written as text; have from name one text or number");
        assert_eq!(refused(&value, FileFormat::Text), message);
    }
}
