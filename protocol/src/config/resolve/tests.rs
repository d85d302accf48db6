//! The rules of the effective tree, each in a table.

mod oracle;
mod references;

use std::collections::BTreeMap;

use super::{Class, Layer, MASK, Resolver, Standing, Weight};
use crate::codec::Name;
use crate::config::document::ListRule;
use crate::config::value::tests::{map, path, text};
use crate::config::value::{KeyPath, Value};
use crate::selector::Selector;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// A value as it is noted in these tables: `null`, `7`, `[1 2]`, `{}`, `$place` or a text.
fn noted(value: &str) -> Value {
    if let Some(place) = value.strip_prefix('$') {
        return map([("$from", text(place))]);
    }
    if let Some(items) = value
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return Value::List(items.split_whitespace().map(noted).collect());
    }
    match (value, value.parse()) {
        ("null", _) => Value::Null,
        ("{}", _) => Value::empty(),
        (_, Ok(number)) => Value::Int(number),
        _ => text(value),
    }
}

/// The map that `nav.speed=3; nav.ports=[a b]` notes.
fn tree(notes: &str) -> Value {
    let mut tree = Value::empty();
    for note in notes.split(';').filter(|note| !note.trim().is_empty()) {
        let (place, value) = note.split_once('=').expect("a place and a value");
        let mut at = &mut tree;
        for key in path(place.trim()).segments() {
            let Value::Map(entries) = at else {
                panic!("{place} is below a value")
            };
            at = entries.entry(key.to_owned()).or_insert_with(Value::empty);
        }
        *at = noted(value.trim());
    }
    tree
}

/// A layer of a document that selects by labels.
fn layer(document: &str, priority: i32, notes: &str) -> Layer {
    Layer {
        weight: Weight {
            class: Class::Labels,
            priority,
            name: name(document),
        },
        values: tree(notes),
        lists: BTreeMap::new(),
        secrets: BTreeMap::new(),
    }
}

fn merging(mut layer: Layer, rules: &[(&str, ListRule)]) -> Layer {
    layer.lists = rules
        .iter()
        .map(|(place, rule)| (path(place), *rule))
        .collect();
    layer
}

fn with_secret(mut layer: Layer, place: &str, secret: &str) -> Layer {
    layer.secrets.insert(path(place), secret.to_owned());
    layer
}

/// Layers by rising priority, each noted.
fn stacked(layers: &[&str]) -> Resolver {
    let layers = layers.iter().enumerate();
    Resolver::of(layers.map(|(index, notes)| {
        let priority = i32::try_from(index).expect("a few");
        layer(&format!("d{index}"), priority, notes)
    }))
}

fn whole(resolver: &Resolver) -> Value {
    let value = resolver.get(&KeyPath::root()).expect("resolves");
    value.expect("the whole tree is always there")
}

#[test]
fn layers_of_more_weight_hold() {
    let cases: [(&str, &[&str], &str); 13] = [
        ("no document", &[], ""),
        ("maps go together", &["a.x=1", "a.y=2"], "a.x=1; a.y=2"),
        (
            "the later value holds",
            &["a.x=1; a.y=1", "a.x=2"],
            "a.x=2; a.y=1",
        ),
        ("a list replaces", &["l=[1 2]", "l=[3]"], "l=[3]"),
        ("a value hides a map", &["a.x=1", "a=5"], "a=5"),
        ("a map hides a value", &["a=5", "a.x=1"], "a.x=1"),
        ("an empty map hides a value", &["a=5", "a={}"], "a={}"),
        ("an empty map hides no map", &["a.x=1", "a={}"], "a.x=1"),
        (
            "what was hidden stays so",
            &["a.x=1", "a=5", "a.y=2"],
            "a.y=2",
        ),
        (
            "null takes a value away",
            &["a.x=1; a.y=1", "a.x=null"],
            "a.y=1",
        ),
        (
            "null takes all below away",
            &["a.x=1; b=1", "a=null"],
            "b=1",
        ),
        ("null leaves room", &["a.x=1", "a=null", "a.y=2"], "a.y=2"),
        ("null alone is nothing", &["a.x=null"], "a={}"),
    ];
    for (rule, layers, expected) in cases {
        assert_eq!(whole(&stacked(layers)), tree(expected), "{rule}");
    }
}

#[test]
fn class_weighs_more_than_priority_and_priority_more_than_name() {
    let selectors = [
        ("", Class::Everything),
        ("site=osaka", Class::Labels),
        ("name!=amr-07", Class::Labels),
        ("name", Class::Labels),
        ("name=amr-07", Class::Device),
        ("site=osaka,name in (amr-07,amr-08)", Class::Device),
    ];
    for (select, class) in selectors {
        let select = Selector::parse(select).expect("a selector");
        assert_eq!(Class::of(&select), class, "{select}");
    }
    let weight = |class, priority, document| Weight {
        class,
        priority,
        name: name(document),
    };
    let rising = [
        weight(Class::Everything, 9, "z"),
        weight(Class::Labels, -1, "z"),
        weight(Class::Labels, 8, "a"),
        weight(Class::Labels, 8, "b"),
        weight(Class::Device, -9, "a"),
    ];
    assert!(rising.is_sorted_by(|lower, upper| lower < upper));
}

#[test]
fn lists_are_merged_where_the_nearest_rule_says_so() {
    use ListRule::{Merge, Replace};
    type Rules = &'static [(&'static str, ListRule)];
    let cases: [(Rules, &str, &str, &str); 9] = [
        (&[], "a.l=[1 2]", "a.l=[2 3]", "a.l=[2 3]"),
        (&[("a.l", Merge)], "a.l=[1 2]", "a.l=[2 3]", "a.l=[1 2 3]"),
        (&[("a", Merge)], "a.l=[1 2]", "a.l=[2 3]", "a.l=[1 2 3]"),
        (&[(".", Merge)], "a.l=[1 2]", "a.l=[2 3]", "a.l=[1 2 3]"),
        (
            &[(".", Merge), ("a", Replace)],
            "a.l=[1]",
            "a.l=[2]",
            "a.l=[2]",
        ),
        (
            &[("a.l", Merge), ("a", Replace)],
            "a.l=[1]",
            "a.l=[2]",
            "a.l=[1 2]",
        ),
        (&[("b", Merge)], "a.l=[1]", "a.l=[2]", "a.l=[2]"),
        (&[("a", Merge)], "a.l=5", "a.l=[2 2]", "a.l=[2 2]"),
        (&[("a", Merge)], "a.l=[1 1]", "a.l=[3 3]", "a.l=[1 1 3 3]"),
    ];
    for (rules, lower, upper, expected) in cases {
        let layers = [
            layer("lower", 1, lower),
            merging(layer("upper", 2, upper), rules),
        ];
        assert_eq!(
            whole(&Resolver::of(layers)),
            tree(expected),
            "{rules:?} {lower} {upper}"
        );
    }
    let all = |notes| {
        let layers = notes_of(notes);
        let layers = layers.map(|layer| merging(layer, &[(".", Merge)]));
        whole(&Resolver::of(layers))
    };
    assert_eq!(
        all(["l=[1]", "l=[2]", "l=[1 3]"]),
        tree("l=[1 2 3]"),
        "three in a row"
    );
    assert_eq!(
        all(["l=[1]", "l.x=2", "l=[3]"]),
        tree("l=[3]"),
        "a map lies between"
    );
    assert_eq!(
        all(["l=[1]", "l=null", "l=[3]"]),
        tree("l=[3]"),
        "null lies between"
    );
    assert_eq!(
        all(["a.l=[1]", "a=5", "a.l=[3]"]),
        tree("a.l=[3]"),
        "a value lies above"
    );
}

#[test]
fn what_comes_between_two_lists_that_go_together_is_a_change() {
    for between in ["a.l=5", "a.l=null", "a.l.x=1"] {
        let merged = |priority, list| {
            let layer = layer(&format!("d{priority}"), priority, list);
            merging(layer, &[("a", ListRule::Merge)])
        };
        let mut resolver = Resolver::of([merged(1, "a.l=[1]"), merged(3, "a.l=[2]")]);
        assert_eq!(whole(&resolver), tree("a.l=[1 2]"));
        let changed = resolver.put(layer("d2", 2, between));
        assert_eq!(whole(&resolver), tree("a.l=[2]"), "{between}");
        assert!(changed.touches(&path("a.l")), "{between}: {changed:?}");
        let changed = resolver.take(&name("d2"));
        assert!(changed.touches(&path("a.l")), "{between}: {changed:?}");
    }
}

fn notes_of(notes: [&str; 3]) -> [Layer; 3] {
    let mut priority = 0;
    notes.map(|notes| {
        priority += 1;
        layer(&format!("d{priority}"), priority, notes)
    })
}

#[test]
fn only_a_place_that_is_there_is_got() {
    let resolver = stacked(&["nav.x=1; nav.l=[1 2]", "gone=1", "gone=null"]);
    let cases = [
        ("nav.x", Some(noted("1"))),
        ("nav", Some(tree("x=1; l=[1 2]"))),
        ("nav.x.y", None),
        ("nav.l.0", None),
        ("nav.y", None),
        ("gone", None),
        ("gone.x", None),
    ];
    for (place, expected) in cases {
        assert_eq!(resolver.get(&path(place)), Ok(expected), "{place}");
    }
}

#[test]
fn secrets_are_got_in_clear_and_shown_masked() {
    let base = layer("base", 1, "wifi=off; ssid=yard");
    let secret = with_secret(layer("secret", 2, "wifi.band=5"), "wifi.psk", "hunter2");
    let mut resolver = Resolver::of([base, secret.clone()]);
    assert_eq!(
        whole(&resolver),
        tree("wifi.band=5; wifi.psk=hunter2; ssid=yard")
    );
    let shown = resolver.shown(&KeyPath::root()).expect("resolves");
    assert_eq!(
        shown,
        Some(tree("wifi.band=5; wifi.psk=(secret); ssid=yard"))
    );
    let said = resolver.explain(&path("wifi.psk"));
    assert_eq!(said[0].value, text(MASK));
    assert_eq!(
        resolver.explain(&path("wifi"))[0].value,
        tree("band=5; psk=(secret)")
    );
    let leaves = resolver.leaves();
    let psk = leaves.iter().find(|leaf| leaf.path == path("wifi.psk"));
    assert_eq!(
        psk.map(|leaf| (&leaf.value, leaf.secret)),
        Some((&text(MASK), true))
    );
    assert!(!format!("{secret:?}").contains("hunter2"));

    // Another secret, and a text in its place, are changes of just that place.
    let other = with_secret(layer("secret", 2, "wifi.band=5"), "wifi.psk", "other");
    assert_eq!(places(&resolver.put(other)), ["wifi.psk"]);
    let clear = layer("secret", 2, "wifi.band=5; wifi.psk=other");
    assert_eq!(places(&resolver.put(clear)), ["wifi.psk"]);
    assert_eq!(resolver.shown(&path("wifi.psk")), Ok(Some(text("other"))));
}

fn places(changed: &super::Changed) -> Vec<String> {
    changed.places().map(KeyPath::to_string).collect()
}

#[test]
fn a_change_names_the_places_that_it_touches() {
    let mut resolver = stacked(&["a.x=1; a.y=1; b=1", "a.x=2"]);
    let mut put =
        |document: &str, priority, notes| places(&resolver.put(layer(document, priority, notes)));
    let nothing: [&str; 0] = [];
    assert_eq!(put("d0", 0, "a.x=1; a.y=1; b=1"), nothing, "the same again");
    assert_eq!(
        put("d0", 0, "a.x=7; a.y=1; b=1"),
        nothing,
        "what another hides"
    );
    assert_eq!(put("d0", 0, "a.x=7; a.y=2; b=1"), ["a.y"]);
    assert_eq!(put("d0", 0, "a.x=7; a.y=2"), ["b"]);
    assert_eq!(
        put("d0", 1, "a.x=7; a.y=2"),
        ["a.y"],
        "a new weight that hides no more"
    );
    assert_eq!(
        put("d0", 2, "a.x=7; a.y=2"),
        ["a.x", "a.y"],
        "a new weight that does"
    );
    assert_eq!(put("d2", 3, "a=null"), ["a"]);
    assert_eq!(put("d2", 3, "a={}; c.d={}"), ["a", "c", "c.d"]);
    let changed = resolver.take(&name("d2"));
    assert_eq!(places(&changed), ["c", "c.d"]);
    assert!(changed.touches(&path("c.d.e")) && changed.touches(&KeyPath::root()));
    assert!(!changed.touches(&path("a")));
    assert!(resolver.take(&name("d2")).is_empty());
}

#[test]
fn many_changes_are_named_by_what_is_above_them() {
    let notes = |value: usize| -> String {
        let keys = (0..100).map(|index| format!("nav.k{index}={value};"));
        keys.chain(["top=1".to_owned()]).collect()
    };
    let mut resolver = Resolver::of([layer("d", 0, &notes(0)), layer("e", 1, "nav={}")]);
    assert_eq!(places(&resolver.put(layer("d", 0, &notes(1)))), ["nav"]);
}

/// What one says of a place: the document, where, the value, and what comes of it.
type Noted = (&'static str, &'static str, &'static str, Standing);

fn explained() -> Resolver {
    let merge = [(".", ListRule::Merge)];
    let base = "nav.speed=5; nav.ports=[1]; old.x=1; old.y=1; deep.a.b=1";
    let nav = "nav.speed=3; nav.ports=[2]; old=null; deep.a=7";
    Resolver::of([
        layer("base", 1, base),
        merging(layer("nav", 2, nav), &merge),
        layer("site", 3, "old.y=2; deep=null"),
    ])
}

#[test]
fn a_place_is_explained_by_all_that_speak_of_it() {
    use Standing::{Hidden, Hides, Holds, Merged};
    let speed: &[Noted] = &[
        ("nav", "nav.speed", "3", Holds),
        ("base", "nav.speed", "5", Hidden),
    ];
    let ports: &[Noted] = &[
        ("nav", "nav.ports", "[2]", Holds),
        ("base", "nav.ports", "[1]", Merged),
    ];
    let gone: &[Noted] = &[
        ("nav", "old", "null", Holds),
        ("base", "old.x", "1", Hidden),
    ];
    let again: &[Noted] = &[
        ("site", "old.y", "2", Holds),
        ("nav", "old", "null", Hides),
        ("base", "old.y", "1", Hidden),
    ];
    let deep: &[Noted] = &[
        ("site", "deep", "null", Holds),
        ("nav", "deep.a", "7", Hidden),
        ("base", "deep.a.b", "1", Hidden),
    ];
    let cases = [
        ("nav.speed", speed),
        ("nav.speed.x", speed),
        ("nav.ports", ports),
        ("old.x", gone),
        ("old.y", again),
        ("deep.a.b", deep),
        ("other", &[]),
    ];
    for (place, expected) in cases {
        let said = explained().explain(&path(place));
        let found = said.iter().map(|said| {
            let document = said.weight.name.as_str();
            (
                document,
                said.at.to_string(),
                said.value.clone(),
                said.standing,
            )
        });
        let expected = expected.iter().map(|(document, at, value, standing)| {
            (*document, (*at).to_owned(), noted(value), *standing)
        });
        assert!(found.eq(expected), "{place}: {said:?}");
    }
}

#[test]
fn a_map_is_explained_by_all_that_have_entries_in_it() {
    use Standing::{Hidden, Holds, Merged};
    let old = explained().explain(&path("old"));
    let standings: Vec<_> = old.iter().map(|said| said.standing).collect();
    assert_eq!(standings, [Holds, Hidden, Hidden]);
    assert_eq!(old[2].value, tree("x=1; y=1"));
    let whole = explained().explain(&KeyPath::root());
    let standings: Vec<_> = whole.iter().map(|said| said.standing).collect();
    assert_eq!(standings, [Holds, Merged, Merged]);
}

#[test]
fn leaves_name_the_document_that_holds() {
    let merge = [(".", ListRule::Merge)];
    let resolver = Resolver::of([
        layer("base", 1, "a.x=1; a.l=[1]; gone=1"),
        merging(
            layer("upper", 2, "a.l=[2]; gone=null; e={}; r=$a.x"),
            &merge,
        ),
    ]);
    let leaves = resolver.leaves();
    let found: Vec<_> = leaves
        .iter()
        .map(|leaf| {
            (
                leaf.path.to_string(),
                leaf.value.clone(),
                leaf.document.as_str(),
            )
        })
        .collect();
    let expected = [
        ("a.l", "[1 2]", "upper"),
        ("a.x", "1", "base"),
        ("e", "{}", "upper"),
        ("r", "$a.x", "upper"),
    ];
    let expected =
        expected.map(|(place, value, document)| (place.to_owned(), noted(value), document));
    assert_eq!(found, expected);
}

#[test]
fn what_went_leaves_nothing_behind() {
    let mut resolver = stacked(&["a.b.c=1; d=2"]);
    let before = resolver.trie.len();
    resolver.put(layer("other", 5, "a.b.x.y=1; e.f=null; d=3"));
    resolver.put(layer("other", 6, "a.q=1"));
    resolver.take(&name("other"));
    assert_eq!(resolver.trie.len(), before);
    resolver.take(&name("d0"));
    assert_eq!((resolver.trie.len(), resolver.weights().count()), (1, 0));
    assert_eq!(whole(&resolver), Value::empty());
}
