//! Selectors and labels: tables of texts and errors, and properties for all of them.

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};
use serde::{Deserialize, Serialize};

use super::{LABEL_NAME, Labels, LabelsError, Selector};
use crate::codec::{self, Name, Wire};
use crate::limits::{LABELS_MAX, SELECTOR_BYTES_MAX};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wired {
    selector: Selector,
    labels: Labels,
}

impl Wire for Wired {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 8192;
    const WHAT: &'static str = "test";
}

/// The same on the wire, without the rules.
#[derive(Serialize, Deserialize)]
struct Raw {
    selector: String,
    labels: Vec<(String, String)>,
}

impl Wire for Raw {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 8192;
    const WHAT: &'static str = "test";
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().map(|(key, value)| (name(key), name(value)))).expect("labels")
}

fn selector(text: &str) -> Selector {
    text.parse().expect("a selector")
}

#[test]
fn each_form_selects_what_it_says() {
    let robot = labels(&[("site", "osaka"), ("role", "arm"), ("arch", "arm64")]);
    let cases = [
        ("", true),
        ("  ", true),
        ("site=osaka", true),
        ("site == osaka", true),
        ("site=kobe", false),
        ("role!=dock", true),
        ("role != arm", false),
        ("zone!=a", true),
        ("arch in (arm64,amd64)", true),
        ("arch in( amd64 )", false),
        ("arch notin (amd64,riscv)", true),
        ("zone notin (a,b)", true),
        ("zone in (a,b)", false),
        ("site", true),
        ("gpu", false),
        ("!gpu", true),
        ("! site", false),
        ("site=osaka,role!=dock,arch in (arm64,amd64),!gpu", true),
        ("site=osaka,gpu", false),
        ("in", false),
        ("in in (in)", false),
    ];
    for (text, expected) in cases {
        assert_eq!(selector(text).matches(&robot), expected, "{text}");
    }
}

#[test]
fn a_text_has_one_canonical_form() {
    let cases = [
        ("", ""),
        (" b , a ", "a,b"),
        ("a==x", "a=x"),
        ("a in (x)", "a=x"),
        ("a notin (x)", "a!=x"),
        ("a in(y, x,y)", "a in (x,y)"),
        ("!a,a=in,a,a", "a=in,a,!a"),
    ];
    for (text, canonical) in cases {
        assert_eq!(selector(text).to_string(), canonical, "{text}");
        assert_eq!(selector(canonical), selector(text), "{text}");
    }
}

#[test]
fn a_wrong_text_is_pointed_at() {
    let cases = [
        (
            "site=",
            "selector: found the end at character 6; a value, such as osaka, belongs here",
            "site=\n     ^",
        ),
        (
            "site=os aka",
            "selector: found 'a' at character 9; ',' or the end belongs here",
            "site=os aka\n        ^",
        ),
        (
            "a,,b",
            "selector: found ',' at character 3; a requirement, such as site=osaka or !canary, belongs here",
            "a,,b\n  ^",
        ),
        (
            "a,\t",
            "selector: found the end at character 4; a requirement, such as site=osaka or !canary, belongs here",
            "a, \n   ^",
        ),
        (
            "!=a",
            "selector: found '=' at character 2; a label's key, such as site, belongs here",
            "!=a\n ^",
        ),
        (
            "a within (b)",
            "selector: found 'w' at character 3; ',', '=', '!=', 'in (…)', 'notin (…)' or the end belongs here",
            "a within (b)\n  ^",
        ),
        (
            "a!b",
            "selector: found '!' at character 2; ',', '=', '!=', 'in (…)', 'notin (…)' or the end belongs here",
            "a!b\n ^",
        ),
        (
            "a in b",
            "selector: found 'b' at character 6; '(' and a list of values belongs here",
            "a in b\n     ^",
        ),
        (
            "a in ()",
            "selector: found ')' at character 7; a value, such as osaka, belongs here",
            "a in ()\n      ^",
        ),
        (
            "a in (b",
            "selector: found the end at character 8; ',' or ')' belongs here",
            "a in (b\n       ^",
        ),
        (
            "räume=1",
            "selector: found 'ä' at character 2; ',', '=', '!=', 'in (…)', 'notin (…)' or the end belongs here",
            "räume=1\n ^",
        ),
    ];
    for (text, message, pointed) in cases {
        let error = Selector::parse(text).expect_err(text);
        assert_eq!(error.to_string(), message);
        assert_eq!(error.pointed(text), pointed);
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let text = format!("a{}", ",a".repeat(SELECTOR_BYTES_MAX / 2));
    let error = Selector::parse(&text).expect_err("too long");
    assert_eq!(error.at(), SELECTOR_BYTES_MAX + 1);
    assert_eq!(
        error.to_string(),
        "selector: 1025 bytes; at most 1024 are allowed"
    );
    let key = "k".repeat(65);
    let error = Selector::parse(&format!("a,{key}=1")).expect_err("long key");
    assert_eq!(
        error.to_string(),
        "selector: a key of 65 bytes begins at character 3; at most 64 are allowed"
    );
    // Each `in(` is written `in (`, so this one would be too long to be read again.
    let keys: Vec<String> = (0..85).map(|n| format!("{n:03} in(a,b)")).collect();
    let error = Selector::parse(&keys.join(",")).expect_err("grows");
    assert_eq!(
        error.to_string(),
        "selector: 1104 bytes; at most 1024 are allowed"
    );
}

#[test]
fn a_narrower_selector_implies_a_wider_one() {
    let cases = [
        ("a=1", "", true),
        ("", "a=1", false),
        ("a=1,b=2", "a=1", true),
        ("a=1", "a=1,b=2", false),
        ("a=1", "a in (1,2)", true),
        ("a in (1,2)", "a=1", false),
        ("a in (1,2),a!=2", "a=1", true),
        ("a=1", "a!=2", true),
        ("a=1", "a!=1", false),
        ("a=1", "a", true),
        ("a!=1", "a", false),
        ("a notin (1,2)", "a!=1", true),
        ("a!=1", "a notin (1,2)", false),
        ("a!=1,a!=2", "a notin (1,2)", true),
        ("!a", "a!=1", true),
        ("a!=1", "!a", false),
        ("!a", "!a", true),
        ("!a", "a", false),
        ("a", "a", true),
        ("a", "a=1", false),
    ];
    for (narrow, wide, expected) in cases {
        assert_eq!(
            selector(narrow).implies(&selector(wide)),
            expected,
            "{narrow} implies {wide}"
        );
    }
}

#[test]
fn a_device_can_be_named_by_a_selector() {
    let robot = labels(&[("site", "osaka")]);
    assert!(!selector("name=r1").matches(&robot));
    assert!(selector("name=r1,site=osaka").matches(&robot.with_name(&name("r1"))));
    let mut robot = robot;
    assert_eq!(
        robot.insert(name(LABEL_NAME), name("r2")),
        Err(LabelsError::Reserved)
    );
}

#[test]
fn labels_are_few_and_each_key_is_there_once() {
    let pair = |n: usize| (name(&format!("k{n:02}")), name("v"));
    let full = Labels::from_pairs((0..LABELS_MAX).map(pair)).expect("as many as allowed");
    assert_eq!(
        Labels::from_pairs((0..=LABELS_MAX).map(pair)),
        Err(LabelsError::TooMany)
    );
    assert_eq!(
        Labels::from_pairs([pair(1), pair(1)]),
        Err(LabelsError::Twice { key: name("k01") })
    );
    assert_eq!(full.with_name(&name("r1")).len(), LABELS_MAX + 1);
}

#[test]
fn what_breaks_a_rule_does_not_decode() {
    let wire = |selector: &str, pairs: &[(&str, &str)]| {
        let bytes = codec::encode(&Raw {
            selector: selector.to_owned(),
            labels: pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        });
        codec::decode::<Wired>(&bytes)
    };
    let fine = wire("a  = 1", &[("a", "1"), ("b", "2")]).expect("decodes");
    assert_eq!(fine.selector.to_string(), "a=1");
    assert_eq!(fine.labels.to_string(), "a=1,b=2");
    assert!(wire("a=", &[]).is_err());
    assert!(wire(&"a".repeat(1025), &[]).is_err());
    assert!(wire("", &[("a", "1"), ("a", "2")]).is_err());
    assert!(wire("", &[("b", "1"), ("a", "2")]).is_err());
    assert!(wire("", &[("", "1")]).is_err());
    assert!(wire("", &[("a", "ä")]).is_err());
    let keys: Vec<String> = (0..=LABELS_MAX).map(|n| format!("{n:02}")).collect();
    let many: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "v")).collect();
    assert!(wire("", &many).is_err());
    assert!(wire("", &many[1..]).is_ok());
}

fn any_labels() -> impl Strategy<Value = Labels> {
    btree_map("[abc]", "[123]", 0..4).prop_map(|pairs| {
        let pairs = pairs.iter().map(|(key, value)| (name(key), name(value)));
        Labels::from_pairs(pairs).expect("labels")
    })
}

fn any_selector() -> impl Strategy<Value = Selector> {
    let requirement =
        "[abc]|![abc]|[abc](=|!=|==| = )[123]|[abc] (in|notin) \\([123](, ?[123]){0,2}\\)";
    vec(requirement, 0..4).prop_map(|parts| selector(&parts.join(",")))
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(selector in any_selector(), labels in any_labels()) {
        prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector.clone()));
        let wired = Wired { selector, labels };
        prop_assert_eq!(codec::decode::<Wired>(&codec::encode(&wired)), Ok(wired));
    }

    #[test]
    fn implied_means_matched(
        narrow in any_selector(),
        wide in any_selector(),
        devices in vec(any_labels(), 1..8),
    ) {
        if narrow.implies(&wide) {
            for labels in &devices {
                prop_assert!(!narrow.matches(labels) || wide.matches(labels));
            }
        }
        prop_assert!(narrow.implies(&narrow));
        prop_assert!(narrow.implies(&Selector::everything()));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}|[a-c=!(), in]{0,40}") {
        match Selector::parse(&text) {
            Ok(selector) => {
                prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector));
            }
            Err(error) => {
                prop_assert!(error.at() <= text.chars().count() + 1);
                prop_assert!(error.pointed(&text).ends_with('^'));
            }
        }
    }
}
