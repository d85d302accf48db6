//! Whatever comes and goes in whatever order: the tree is the one that a plain merge makes.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::{BoxedStrategy, Just, Strategy, prop_assert, prop_assert_eq, prop_oneof};
use proptest::proptest;

use super::super::{Class, Layer, Resolver, Standing, Weight};
use super::{name, whole};
use crate::codec::Name;
use crate::config::document::ListRule;
use crate::config::value::{KeyPath, Value};

/// What holds when `upper` is laid over `lower`, read off the rules and nothing else.
fn over(lower: Option<Value>, upper: &Value, at: &KeyPath, layer: &Layer) -> Option<Value> {
    match upper {
        Value::Null => None,
        Value::Map(entries) => {
            let mut merged = match lower {
                Some(Value::Map(entries)) => entries,
                _ => BTreeMap::new(),
            };
            for (key, value) in entries {
                let there = merged.remove(key);
                if let Some(value) = over(there, value, &at.child(key), layer) {
                    merged.insert(key.clone(), value);
                }
            }
            Some(Value::Map(merged))
        }
        Value::List(items) => {
            let prefixes = (0..=at.0.len())
                .rev()
                .map(|end| KeyPath(at.0[..end].to_vec()));
            let rule = prefixes
                .filter_map(|prefix| layer.lists.get(&prefix))
                .next();
            match (lower, rule) {
                (Some(Value::List(held)), Some(ListRule::Merge)) => {
                    let new = items.iter().filter(|item| !held.contains(item)).cloned();
                    Some(Value::List(held.iter().cloned().chain(new).collect()))
                }
                _ => Some(upper.clone()),
            }
        }
        _ => Some(upper.clone()),
    }
}

fn plain(layers: &BTreeMap<Name, Layer>) -> Value {
    let mut rising: Vec<_> = layers.values().collect();
    rising.sort_by_key(|layer| &layer.weight);
    let mut merged = Value::empty();
    for layer in rising {
        let over = over(Some(merged), &layer.values, &KeyPath::root(), layer);
        merged = over.expect("all are maps");
    }
    merged
}

fn a_value() -> BoxedStrategy<Value> {
    let number = || (0_i64..3).prop_map(Value::Int);
    let leaf = prop_oneof![
        2 => number(),
        1 => Just(Value::Null),
        2 => vec(number(), 0..3).prop_map(Value::List),
    ];
    let nested = leaf.prop_recursive(3, 12, 3, |inner| {
        btree_map("[abc]", inner, 0..4).prop_map(Value::Map)
    });
    nested.boxed()
}

fn a_place() -> impl Strategy<Value = KeyPath> {
    vec("[abc]", 0..3).prop_map(KeyPath)
}

fn a_layer() -> impl Strategy<Value = Layer> {
    let class = prop_oneof![
        Just(Class::Everything),
        Just(Class::Labels),
        Just(Class::Device)
    ];
    let rule = prop_oneof![Just(ListRule::Merge), Just(ListRule::Replace)];
    let values = btree_map("[abc]", a_value(), 0..4).prop_map(Value::Map);
    let parts = (
        "[d-i]",
        class,
        0..2,
        values,
        btree_map(a_place(), rule, 0..3),
    );
    parts.prop_map(|(document, class, priority, values, lists)| Layer {
        weight: Weight {
            class,
            priority,
            name: name(&document),
        },
        values,
        lists,
        secrets: BTreeMap::new(),
    })
}

#[derive(Clone, Debug)]
enum Step {
    Put(Layer),
    Take(String),
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![3 => a_layer().prop_map(Step::Put), 1 => "[d-i]".prop_map(Step::Take)]
}

/// The places at which two trees differ.
fn differing(one: Option<&Value>, other: Option<&Value>, at: &KeyPath, found: &mut Vec<KeyPath>) {
    match (one, other) {
        (Some(Value::Map(one)), Some(Value::Map(other))) => {
            for key in one.keys().chain(other.keys()) {
                differing(one.get(key), other.get(key), &at.child(key), found);
            }
        }
        (one, other) if one == other => {}
        _ => found.push(at.clone()),
    }
}

/// All places of a tree.
fn places(value: &Value, at: &KeyPath, found: &mut Vec<KeyPath>) {
    found.push(at.clone());
    if let Value::Map(entries) = value {
        for (key, value) in entries {
            places(value, &at.child(key), found);
        }
    }
}

proptest! {
    #[test]
    fn the_tree_is_what_a_plain_merge_makes(steps in vec(a_step(), 1..16)) {
        let (mut resolver, mut layers) = (Resolver::new(), BTreeMap::new());
        for step in steps {
            let before = whole(&resolver);
            let changed = match step {
                Step::Put(layer) => {
                    layers.insert(layer.weight.name.clone(), layer.clone());
                    resolver.put(layer)
                }
                Step::Take(document) => {
                    layers.remove(&name(&document));
                    resolver.take(&name(&document))
                }
            };
            let after = whole(&resolver);
            prop_assert_eq!(&after, &plain(&layers));
            let mut places = Vec::new();
            differing(Some(&before), Some(&after), &KeyPath::root(), &mut places);
            for place in places {
                // At it or above it: a change is never named narrower than it is.
                let named = changed.places().any(|changed| place.starts_with(changed));
                prop_assert!(named, "{} changed, said were {:?}", place, changed);
            }
        }
        let at_once = Resolver::of(layers.into_values());
        prop_assert_eq!(whole(&at_once), whole(&resolver));
        prop_assert_eq!(at_once.trie.len(), resolver.trie.len());
    }

    /// Each place is got as it stands in the whole, is explained by whoever holds it, and its leaves
    /// name the same document.
    #[test]
    fn every_place_is_got_and_explained(layers in vec(a_layer(), 1..8)) {
        let resolver = Resolver::of(layers);
        let whole = whole(&resolver);
        let mut all = Vec::new();
        places(&whole, &KeyPath::root(), &mut all);
        for place in &all {
            prop_assert_eq!(resolver.get(place), Ok(whole.at(place).cloned()));
            let said = resolver.explain(place);
            let holding = said.first().expect("somebody said it");
            prop_assert_eq!(holding.standing, Standing::Holds);
            prop_assert_eq!(&holding.at, place);
            let falling = said.is_sorted_by(|one, other| one.weight > other.weight);
            prop_assert!(falling, "{:?}", said);
            let held = said.iter().filter(|said| said.standing == Standing::Holds);
            prop_assert_eq!(held.count(), 1);
        }
        for leaf in resolver.leaves() {
            prop_assert_eq!(whole.at(&leaf.path), Some(&leaf.value));
            let said = resolver.explain(&leaf.path);
            prop_assert_eq!(&said[0].weight.name, &leaf.document);
        }
    }
}
