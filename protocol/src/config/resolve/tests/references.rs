//! References stand for what is at another place, and say where they lead nowhere.

use super::super::{Changed, ResolveError, Resolver};
use super::{layer, map, merging, name, noted, path, stacked, text, tree, whole, with_secret};
use crate::config::document::ListRule;
use crate::config::value::{KeyPath, Value};

#[test]
fn a_reference_stands_for_what_is_at_another_place() {
    let cases: [(&str, &[&str], &str, &str); 9] = [
        ("a value", &["a=1; b=$a"], "b", "1"),
        ("through two", &["a=1; b=$a; c=$b"], "c", "1"),
        ("of another layer", &["b=$a", "a=2"], "b", "2"),
        ("in a list", &["a=1; l=[$a 5]"], "l", "[1 5]"),
        ("below a reference", &["t.p=1; a=$t"], "a.p", "1"),
        ("beside its own place", &["t.p=1; t.q=$t.p"], "t.q", "1"),
        ("over a map, whole", &["a.x=1; t=7", "a=$t"], "a", "7"),
        ("hidden by a map", &["t=7; a=$t", "a=5"], "a", "5"),
        (
            "through itself, to the end",
            &["t.p=1; t.q=$a.p; a=$t"],
            "a.q",
            "1",
        ),
    ];
    for (rule, layers, place, expected) in cases {
        assert_eq!(
            stacked(layers).get(&path(place)),
            Ok(Some(noted(expected))),
            "{rule}"
        );
    }
    let resolver = stacked(&["t.p=1; t.q=2; a=$t"]);
    assert_eq!(whole(&resolver), tree("t.p=1; t.q=2; a.p=1; a.q=2"));
    assert_eq!(resolver.get(&path("a.none")), Ok(None));
    let hidden = stacked(&["t=7; a=$t", "a.x=1"]);
    assert_eq!(hidden.get(&path("a")), Ok(Some(tree("x=1"))));
}

#[test]
fn only_a_map_of_one_text_is_a_reference() {
    let number = map([("$from", Value::Int(1))]);
    let two = map([("$from", text("a")), ("x", Value::Int(1))]);
    for value in [number, two] {
        let mut document = layer("d", 0, "a=1");
        document.values = map([("r", value.clone())]);
        let resolver = Resolver::of([document]);
        assert_eq!(resolver.get(&path("r")), Ok(Some(value)));
    }
}

#[test]
fn a_reference_to_a_secret_is_as_secret() {
    let resolver = Resolver::of([with_secret(layer("d", 0, "b=$psk"), "psk", "hunter2")]);
    assert_eq!(resolver.get(&path("b")), Ok(Some(text("hunter2"))));
    assert_eq!(resolver.shown(&path("b")), Ok(Some(text("(secret)"))));
}

#[test]
fn a_reference_that_leads_nowhere_says_where_it_stands() {
    let deep = (0..40).map(|index| format!("r{index}=$r{};", index + 1));
    let deep: String = deep.chain(["r40=1".to_owned()]).collect();
    let cases = [
        (
            "a=$b; b=$a",
            "a",
            "a: $from leads around in a circle: b -> a -> b; have one of them say a value",
        ),
        (
            "a=$a",
            "a",
            "a: $from leads around in a circle: a -> a; have one of them say a value",
        ),
        (
            "a=$a.b",
            "a",
            "a: $from leads around in a circle: a -> a.b; have one of them say a value",
        ),
        (
            "a.x=$a",
            ".",
            "a.x: $from leads around in a circle: a -> a; have one of them say a value",
        ),
        (
            "a=$b.x; b=$a.x",
            "a",
            "b: $from leads on more than 32 times, or too deep; name the last place itself",
        ),
        (
            "a=$gone.x",
            ".",
            "a: $from names gone.x, and nothing is there; set it, or name another place",
        ),
        (
            "a=null; b.c=$a",
            "b",
            "b.c: $from names a, and nothing is there; set it, or name another place",
        ),
        (
            "a=$b..c",
            "a",
            "a: $from is no path: found '.' at character 3; a name belongs here",
        ),
        (
            &deep,
            "r0",
            "r32: $from leads on more than 32 times, or too deep; name the last place itself",
        ),
    ];
    for (notes, place, message) in cases {
        let error = stacked(&[notes]).get(&path(place)).expect_err(notes);
        assert_eq!(error.to_string(), message, "{notes}");
    }
}

#[test]
fn few_references_do_not_make_much_of_little() {
    let doubled = (0..30).map(|index| format!("r{index}=[$r{0} $r{0}];", index + 1));
    let notes: String = doubled.chain(["r30=1".to_owned()]).collect();
    let error = stacked(&[&notes]).get(&path("r0")).expect_err("too large");
    assert!(matches!(error, ResolveError::TooLarge { .. }), "{error}");
    // A long text, many times.
    let long = "x".repeat(1024 * 1024);
    let notes = format!("t={long}; l=[{}]", "$t ".repeat(100));
    let error = stacked(&[&notes]).get(&path("l")).expect_err("too large");
    assert_eq!(error, ResolveError::TooLarge { at: path("t") });
    // Each leads on into a map, and the last is deeper than a value may be.
    let deeper = (0..20).map(|index| format!("r{index}.a.b=$r{};", index + 1));
    let notes: String = deeper.chain(["r20=1".to_owned()]).collect();
    let error = stacked(&[&notes]).get(&path("r0")).expect_err("too deep");
    assert!(matches!(error, ResolveError::TooDeep { .. }), "{error}");
}

#[test]
fn what_was_read_tells_which_changes_matter() {
    let mut resolver = stacked(&["nav.speed=$base.speed; nav.l=[$m]; m=1; base.speed=3; z=1"]);
    let touched = |resolver: &Resolver, changed: &Changed| {
        let read = resolver.resolve(&path("nav")).reads;
        read.iter().any(|place| changed.touches(place))
    };
    let places = resolver.resolve(&path("nav")).reads;
    let places: Vec<_> = places.iter().map(KeyPath::to_string).collect();
    assert_eq!(places, ["base.speed", "m", "nav"]);
    let changed = resolver.put(layer("d9", 9, "base.speed=4"));
    assert!(touched(&resolver, &changed));
    let changed = resolver.put(layer("d8", 8, "z=2"));
    assert!(!touched(&resolver, &changed));
    let changed = resolver.put(layer("d7", 9, "base.speed=null"));
    assert!(changed.is_empty(), "d9 weighs more");
    // What is missing is read too: when it comes, it matters.
    resolver.take(&name("d9"));
    assert!(resolver.get(&path("nav")).is_err());
    let changed = resolver.take(&name("d7"));
    assert!(touched(&resolver, &changed));
}

#[test]
fn references_in_merged_lists_are_followed() {
    let upper = merging(layer("upper", 2, "l=[$a 2]"), &[(".", ListRule::Merge)]);
    let resolver = Resolver::of([layer("lower", 1, "a=7; l=[1]"), upper]);
    assert_eq!(resolver.get(&path("l")), Ok(Some(noted("[1 7 2]"))));
}
