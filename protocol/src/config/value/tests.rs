//! Values and paths read back as written, keep their bytes, and nothing hostile passes for one.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};

use super::{DEPTH_MAX, Float, KeyPath, Tokens, TokensError, Value};
use crate::codec::{self, Wire};
use crate::ident::Hash;

impl Wire for Tokens {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 64 * 1024;
    const WHAT: &'static str = "tokens";
}

/// A map of these.
pub(crate) fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.map(|(key, value)| (key.to_owned(), value));
    Value::Map(BTreeMap::from(entries))
}

/// A text.
pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The path that a text names.
pub(crate) fn path(text: &str) -> KeyPath {
    KeyPath::parse(text).expect("a path")
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter_map("a number", |it| Float::new(it).map(Value::Float)),
        ".{0,6}".prop_map(Value::Text),
    ]
}

fn any_value() -> BoxedStrategy<Value> {
    let nested = leaf().prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::List),
            btree_map(".{0,4}", inner, 0..5).prop_map(Value::Map),
        ]
    });
    nested.boxed()
}

proptest! {
    #[test]
    fn a_value_reads_back_as_written(value in any_value()) {
        let bytes = codec::encode(&Tokens::of(&value));
        let tokens = codec::decode::<Tokens>(&bytes).expect("decodes");
        prop_assert_eq!(tokens.read(), Ok(value));
    }

    #[test]
    fn a_path_reads_back_as_written(names in vec("[a-z]{1,3}|.{0,4}|[\\x00-\\x7f]{0,3}", 0..5)) {
        let path = KeyPath(names);
        prop_assert_eq!(KeyPath::parse(&path.to_string()), Ok(path));
    }

    /// Whatever is no row gives an error; whatever is one is the row of its value, byte for byte.
    #[test]
    fn hostile_tokens_are_refused_or_mean_one_value(
        codes in vec(prop_oneof![3 => 5_u8..9, 1 => 0_u8..5], 0..60),
    ) {
        let mut bytes = vec![1];
        bytes.extend((codes.len() as u64).to_le_bytes());
        for code in codes {
            bytes.extend(u32::from(code).to_le_bytes());
            match code {
                1 => bytes.push(1),
                2 | 3 => bytes.extend(7_u64.to_le_bytes()),
                4 | 7 => {
                    bytes.extend(1_u64.to_le_bytes());
                    bytes.push(b'a' + (bytes.len() % 20) as u8);
                }
                _ => {}
            }
        }
        let tokens = codec::decode::<Tokens>(&bytes).expect("decodes");
        if let Ok(value) = tokens.read() {
            prop_assert_eq!(Tokens::of(&value), tokens);
        }
    }
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |inner, _| Value::List(vec![inner]))
}

#[test]
fn a_value_is_as_deep_as_it_may_be_and_no_deeper() {
    let deepest = nested(DEPTH_MAX);
    assert_eq!(Tokens::of(&deepest).read(), Ok(deepest));
    let at = DEPTH_MAX + 1;
    let deeper = Tokens::of(&nested(at));
    assert_eq!(deeper.read(), Err(TokensError::TooDeep { at }));
}

/// The bytes of a row of tokens, each as its code and what follows it.
fn row(tokens: &[(u32, &[u8])]) -> Tokens {
    let mut bytes = vec![1];
    bytes.extend((tokens.len() as u64).to_le_bytes());
    for (code, payload) in tokens {
        bytes.extend(code.to_le_bytes());
        bytes.extend_from_slice(payload);
    }
    codec::decode(&bytes).expect("decodes")
}

#[test]
fn a_row_that_is_no_value_says_where() {
    type Row<'a> = &'a [(u32, &'a [u8])];
    fn key(name: &[u8]) -> (u32, &[u8]) {
        (7, name)
    }
    let name = |text: &str| {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes
    };
    let (a, b, long) = (name("a"), name("b"), name(&"k".repeat(257)));
    let (null, list, entries, end): (_, _, _, (u32, &[u8])) =
        ((0, &[][..]), (5, &[][..]), (6, &[][..]), (8, &[]));
    let cases: [(Row<'_>, TokensError); 12] = [
        (&[], TokensError::Empty),
        (&[end], TokensError::Misplaced { at: 1 }),
        (&[key(&a)], TokensError::Misplaced { at: 1 }),
        (&[null, null], TokensError::Misplaced { at: 2 }),
        (&[list, key(&a)], TokensError::Misplaced { at: 2 }),
        (&[list, null], TokensError::Unended),
        (&[entries, null], TokensError::Misplaced { at: 2 }),
        (&[entries, list], TokensError::Misplaced { at: 2 }),
        (
            &[entries, key(&a), key(&b)],
            TokensError::Misplaced { at: 3 },
        ),
        (&[entries, key(&a), end], TokensError::Misplaced { at: 3 }),
        (
            &[entries, key(&b), null, key(&a), null, end],
            TokensError::Key {
                key: "a".to_owned(),
                at: 4,
            },
        ),
        (
            &[entries, key(&long)],
            TokensError::LongKey { length: 257, at: 2 },
        ),
    ];
    for (tokens, error) in cases {
        assert_eq!(row(tokens).read(), Err(error), "{tokens:?}");
    }
    let twice = row(&[entries, key(&a), null, key(&a), null, end]).read();
    let error = twice.expect_err("there twice").to_string();
    assert_eq!(
        error,
        "value: the name \"a\" at token 4 is out of order or there twice"
    );
}

#[test]
fn a_number_that_is_none_is_refused() {
    assert_eq!(Float::new(f64::NAN), None);
    let mut bytes = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0];
    bytes.extend(f64::NAN.to_bits().to_le_bytes());
    assert!(codec::decode::<Tokens>(&bytes).is_err());
}

#[test]
fn a_value_keeps_its_bytes() {
    let half = Float::new(0.5).expect("a number");
    let value = map([
        ("empty", Value::empty()),
        ("flags", Value::List(vec![Value::Bool(true), Value::Null])),
        ("name", text("käse")),
        (
            "nav",
            map([("max", Value::Int(-3)), ("share", Value::Float(half))]),
        ),
    ]);
    let bytes = codec::encode(&Tokens::of(&value));
    let hash = Hash::of(&bytes).to_string();
    assert_eq!((bytes.len(), &hash[..16]), (188, "80837d5026e607bc"));
}

#[test]
fn paths_are_written_and_read() {
    let names = |names: &[&str]| KeyPath(names.iter().map(|name| (*name).to_owned()).collect());
    let cases: [(&str, KeyPath); 6] = [
        (".", KeyPath::root()),
        ("nav.lidar.port", names(&["nav", "lidar", "port"])),
        ("net.\"eth0.1\".mtu", names(&["net", "eth0.1", "mtu"])),
        ("\"\".\"a b\"", names(&["", "a b"])),
        (r#""say \"\\\"""#, names(&["say \"\\\""])),
        (r#""\n\r\t\u{1b}""#, names(&["\n\r\t\u{1b}"])),
    ];
    for (text, path) in cases {
        assert_eq!(KeyPath::parse(text).as_ref(), Ok(&path));
        assert_eq!(path.to_string(), text);
    }
    assert_eq!(KeyPath::parse("\"plain\""), Ok(names(&["plain"])));
}

#[test]
fn a_wrong_path_points_at_the_character() {
    let (long, deep) = ("k".repeat(257), vec!["a"; 33].join("."));
    let cases = [
        ("", 1, "found the end at character 1; a name belongs here"),
        ("a.", 3, "found the end at character 3; a name belongs here"),
        ("a..b", 3, "found '.' at character 3; a name belongs here"),
        (
            "a b",
            2,
            "found ' ' at character 2; a dot or the end belongs here",
        ),
        (
            "ä.\"b",
            5,
            "found the end at character 5; a closing quote belongs here",
        ),
        (
            "\"a\"b",
            4,
            "found 'b' at character 4; a dot or the end belongs here",
        ),
        (
            "\"\\x\"",
            3,
            r#"found 'x' at character 3; one of \" \\ \n \r \t \u{hex} belongs here"#,
        ),
        ("\"\\u1\"", 4, "found '1' at character 4; { belongs here"),
        (
            "\"\\u{d800}\"",
            9,
            "found '}' at character 9; a character's number belongs here",
        ),
        (
            "\"\\u{fffffffff}\"",
            12,
            "found 'f' at character 12; } or a hexadecimal digit belongs here",
        ),
        (
            &long,
            1,
            "a name of 257 bytes begins at character 1; at most 256 are allowed",
        ),
        (
            &deep,
            65,
            "one name too many begins at character 65; at most 32 are allowed",
        ),
    ];
    for (text, at, message) in cases {
        let error = KeyPath::parse(text).expect_err(text);
        assert_eq!(
            (error.at(), error.to_string()),
            (at, format!("path: {message}"))
        );
    }
}

#[test]
fn paths_know_what_is_below_them() {
    let (nav, port) = (path("nav"), path("nav.port"));
    assert_eq!(nav.child("port"), port);
    assert_eq!(port.parent(), Some(nav.clone()));
    assert_eq!(KeyPath::root().parent(), None);
    assert!(port.starts_with(&nav) && nav.starts_with(&nav) && !nav.starts_with(&port));
    assert!(nav.overlaps(&port) && port.overlaps(&nav) && !path("navy").overlaps(&nav));
    assert_eq!(port.segments().collect::<Vec<_>>(), ["nav", "port"]);
    assert!(KeyPath::root().is_empty() && !nav.is_empty());
    assert!(nav.is_bounded() && !KeyPath(vec!["k".repeat(257)]).is_bounded());
}

#[test]
fn a_place_is_found_through_maps_only() {
    let value = map([("nav", map([("ports", Value::List(vec![Value::Int(1)]))]))]);
    assert_eq!(value.at(&KeyPath::root()), Some(&value));
    assert!(value.at(&path("nav.ports")).is_some());
    assert_eq!(value.at(&path("nav.ports.0")), None);
    assert_eq!(value.at(&path("other")), None);
}
