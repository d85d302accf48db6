//! How fast a device makes its effective tree out of many documents, and takes a change of one in.
//!
//! `cargo bench -p regatta-protocol --bench config`. A thousand documents say a hundred keys each: half
//! of them about what others speak of too, half about what nobody else does.

use std::collections::BTreeMap;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use regatta_protocol::codec::Name;
use regatta_protocol::config::resolve::{Class, Layer, Resolver, Weight};
use regatta_protocol::config::value::{KeyPath, Tokens, Value};

const DOCUMENTS: usize = 1_000;
const KEYS: usize = 100;

fn main() {
    divan::main();
}

fn map(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Map(entries.into_iter().collect())
}

/// `system-S.part-D.key-K` for what is its own, `system-S.shared.key-K` for what it shares.
fn layer(document: usize, first: i64) -> Layer {
    let keys = |count: usize| {
        let key = move |key: usize| {
            let number = first + i64::try_from(key).expect("a few");
            let value = match key % 3 {
                0 => Value::Int(number),
                1 => Value::Text(format!("value {number} of document {document}")),
                _ => Value::List(vec![Value::Int(number), Value::Bool(true)]),
            };
            (format!("key-{key}"), value)
        };
        map((0..count).map(key))
    };
    let system = map([
        (format!("part-{document}"), keys(KEYS / 2)),
        ("shared".to_owned(), keys(KEYS / 2)),
    ]);
    let name = Name::new(&format!("document-{document}")).expect("a name");
    Layer {
        weight: Weight {
            class: Class::Labels,
            priority: i32::try_from(document % 7).expect("a few"),
            name,
        },
        values: map([(format!("system-{}", document % 20), system)]),
        lists: BTreeMap::new(),
        secrets: BTreeMap::new(),
    }
}

fn layers() -> Vec<Layer> {
    (0..DOCUMENTS).map(|document| layer(document, 0)).collect()
}

/// From values as they come off the disk to the whole tree as a value.
#[divan::bench(sample_count = 20)]
fn resolve_100_000_keys_of_1_000_documents(bencher: Bencher) {
    bencher
        .counter(ItemsCount::new(DOCUMENTS * KEYS))
        .with_inputs(layers)
        .bench_local_values(|layers| {
            let resolver = Resolver::of(layers);
            let tree = resolver.get(&KeyPath::root());
            (tree.expect("nothing refers to anything"), resolver)
        });
}

/// The same from the rows of tokens that the documents' bodies hold.
#[divan::bench(sample_count = 20)]
fn resolve_from_tokens(bencher: Bencher) {
    let rows = layers()
        .into_iter()
        .map(|layer| (Tokens::of(&layer.values), layer.weight));
    let rows: Vec<_> = rows.collect();
    bencher
        .counter(ItemsCount::new(DOCUMENTS * KEYS))
        .bench_local(|| {
            let layers = rows.iter().map(|(row, weight)| Layer {
                weight: weight.clone(),
                values: row.read().expect("a value"),
                lists: BTreeMap::new(),
                secrets: BTreeMap::new(),
            });
            let resolver = Resolver::of(layers);
            let tree = resolver.get(&KeyPath::root());
            (tree.expect("nothing refers to anything"), resolver)
        });
}

/// One document of a thousand comes with one key changed, and the map around that key is read anew.
#[divan::bench(sample_count = 200)]
fn change_one_key_and_read_its_part(bencher: Bencher) {
    let mut resolver = Resolver::of(layers());
    let part = KeyPath::parse("system-7.part-7").expect("a path");
    let changed_key = part.child("key-0");
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            let mut changed = layer(7, 0);
            *place(&mut changed.values, &changed_key) = Value::Int(-number);
            changed
        })
        .bench_local_values(|layer| {
            let changed = resolver.put(layer);
            assert!(changed.places().eq([&changed_key]), "only that key");
            black_box(resolver.get(&part))
        });
}

fn place<'a>(tree: &'a mut Value, path: &KeyPath) -> &'a mut Value {
    path.segments().fold(tree, |value, key| match value {
        Value::Map(entries) => entries.get_mut(key).expect("it is there"),
        _ => panic!("{path} is below a value"),
    })
}
