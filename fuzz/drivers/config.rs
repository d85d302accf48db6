//! Any bodies are a few documents, words on rollouts or reports, or errors; what devices and managers
//! make of them is the same by whatever way it was come to, and small.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::codec::{self, Name, Wire};
use regatta_protocol::config::adoption::AdoptionState;
use regatta_protocol::config::document::{ConfigDocument, FileSource, SecretTexts};
use regatta_protocol::config::outcome::Outcome;
use regatta_protocol::config::resolve::{Changed, Layer, Resolution, Resolver};
use regatta_protocol::config::rollout::{DeviceFacts, Found, RolloutDocument, advance, effective};
use regatta_protocol::config::value::{KeyPath, Tokens, Value};
use regatta_protocol::ident::NodeId;
use regatta_protocol::machine::Millis;
use regatta_protocol::report::Record;
use regatta_protocol::selector::{Labels, Selector};

/// Bodies are cut here: where a real one has these five bytes in a row, it is two.
const BETWEEN: &[u8] = b"\n--\n\xa5";
const BODIES_MAX: usize = 8;
/// Places that are looked at after each change.
const PROBES_MAX: usize = 12;
/// One of each class.
const SELECTORS: [&str; 3] = ["", "role=amr", "name=amr-07"];
const NOW: Millis = Millis(1_000_000);

pub fn run(bytes: &[u8]) {
    let bodies = bodies(bytes);
    let mut documents = Vec::new();
    let mut rollouts = Vec::new();
    for body in bodies {
        reads_back::<Record>(body);
        reads_back::<Outcome>(body);
        if let Some(state) = reads_back::<AdoptionState>(body) {
            assert!(state.target().len() <= state.good.len() + changed(&state));
        }
        rollouts.extend(reads_back::<RolloutDocument>(body));
        let document = reads_back::<ConfigDocument>(body);
        documents.extend(document.filter(|document| document.check().is_ok()));
        path(body);
    }
    resolve(&documents);
    roll(&rollouts);
}

fn bodies(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut bodies = Vec::new();
    while bodies.len() + 1 < BODIES_MAX {
        let mut places = bytes.windows(BETWEEN.len());
        let Some(at) = places.position(|place| place == BETWEEN) else {
            break;
        };
        bodies.push(&bytes[..at]);
        bytes = &bytes[at + BETWEEN.len()..];
    }
    bodies.push(bytes);
    bodies
}

/// A map may come in any order and be written in its own, so the value is what reads back.
fn reads_back<T: Wire + PartialEq>(bytes: &[u8]) -> Option<T> {
    let value = codec::decode::<T>(bytes).ok()?;
    let again = codec::decode::<T>(&codec::encode(&value));
    assert!(again.is_ok_and(|again| again == value));
    Some(value)
}

fn changed(state: &AdoptionState) -> usize {
    let attempt = state.attempt.as_ref();
    attempt.map_or(0, |attempt| attempt.changes.len())
}

/// Operators type paths, and documents name them in references.
fn path(body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else {
        return;
    };
    match KeyPath::parse(text) {
        Ok(path) => {
            assert!(path.is_bounded());
            assert_eq!(KeyPath::parse(&path.to_string()), Ok(path));
        }
        Err(error) => assert!(error.at() <= text.chars().count() + 1),
    }
}

fn layer(index: usize, name: usize, document: &ConfigDocument) -> Layer {
    let select = Selector::parse(SELECTORS[index % SELECTORS.len()]).expect("a selector");
    let name = Name::new(&format!("document-{name}")).expect("a name");
    let secrets = document.secrets.iter().flat_map(|secrets| &secrets.paths);
    let texts = SecretTexts(secrets.map(|path| format!("{path} is secret")).collect());
    Layer::of(name, &select, document, Some(&texts)).expect("it was checked")
}

/// Puts all, gives the first a new weight, takes one, replaces another: after each the tree is the one
/// that is made anew, and nothing changed that was not said to.
fn resolve(documents: &[ConfigDocument]) {
    let probes = probes(documents);
    let mut resolver = Resolver::new();
    let mut held: BTreeMap<Name, Layer> = BTreeMap::new();
    let mut before = read(&resolver, &probes);
    let first = documents.first().map(|document| layer(1, 0, document));
    let last = documents.last().map(|document| layer(0, 0, document));
    let layers = documents.iter().enumerate();
    let layers = layers.map(|(index, document)| layer(index, index, document));
    for layer in layers.chain(first).chain(last) {
        held.insert(layer.weight.name.clone(), layer.clone());
        let changed = resolver.put(layer);
        before = compare(&resolver, &held, &probes, (&before, &changed));
    }
    for name in held.keys().cloned().collect::<Vec<_>>() {
        held.remove(&name);
        let changed = resolver.take(&name);
        before = compare(&resolver, &held, &probes, (&before, &changed));
    }
    assert_eq!(resolver.get(&KeyPath::root()), Ok(Some(Value::empty())));
}

/// What documents speak of: their files' parts, their lists, secrets, the first and last names at the
/// top, and what a reference among these names.
fn probes(documents: &[ConfigDocument]) -> Vec<KeyPath> {
    let mut probes = BTreeSet::from([KeyPath::root()]);
    for document in documents {
        let files = document.files.iter().filter_map(|file| match &file.source {
            FileSource::Tree { from, .. } => Some(from.clone()),
            FileSource::Content { .. } => None,
        });
        probes.extend(files.take(2));
        probes.extend(document.lists.keys().take(2).cloned());
        let secrets = document.secrets.iter().flat_map(|secrets| &secrets.paths);
        probes.extend(secrets.take(1).cloned());
        if let Ok(Value::Map(entries)) = document.values.read() {
            let (first, last) = (entries.first_key_value(), entries.last_key_value());
            for (name, value) in first.into_iter().chain(last) {
                let top = KeyPath::root().child(name);
                if let Value::Map(inner) = value {
                    probes.extend(inner.keys().take(1).map(|name| top.child(name)));
                }
                probes.insert(top);
            }
        }
    }
    probes.into_iter().take(PROBES_MAX).collect()
}

fn read(resolver: &Resolver, probes: &[KeyPath]) -> Vec<Resolution> {
    probes.iter().map(|path| resolver.resolve(path)).collect()
}

/// What is read now.
fn compare(
    resolver: &Resolver,
    held: &BTreeMap<Name, Layer>,
    probes: &[KeyPath],
    (before, changed): (&[Resolution], &Changed),
) -> Vec<Resolution> {
    let anew = Resolver::of(held.values().cloned());
    assert!(resolver.weights().eq(anew.weights()));
    assert!(resolver.leaves() == anew.leaves());
    let now = read(resolver, probes);
    assert!(now == read(&anew, probes));
    for ((path, before), now) in probes.iter().zip(before).zip(&now) {
        assert!(resolver.explain(path) == anew.explain(path));
        let shown = resolver.shown(path);
        assert_eq!(shown.is_ok(), now.value.is_ok());
        let same = !before.reads.iter().any(|place| changed.touches(place));
        assert!(!same || before == now, "a change at {path} was not told");
        if let Ok(Some(value)) = &now.value {
            assert!(Tokens::of(value).read().as_ref() == Ok(value));
        }
        if let Err(error) = &now.value {
            assert!(!error.to_string().is_empty());
        }
    }
    now
}

/// Whatever was written of rollouts: what follows from it has room in a body, and comes to an end.
fn roll(rollouts: &[RolloutDocument]) {
    let devices = devices();
    for (index, rollout) in rollouts.iter().enumerate() {
        // Heads of one rollout are of one revision and one spec.
        let heads = rollouts[index..]
            .iter()
            .cloned()
            .map(|head| RolloutDocument {
                of: rollout.of,
                spec: rollout.spec.clone(),
                ..head
            });
        let heads: Vec<RolloutDocument> = heads.collect();
        let Some(merged) = effective(&heads) else {
            continue;
        };
        let mut said = vec![merged.clone()];
        said.extend(merged.paused("alice", &"why ".repeat(100)));
        said.extend(merged.resumed(u32::MAX, NOW));
        said.extend(merged.aborted(&"alice ".repeat(100)));
        for document in said {
            assert!(codec::fits(&document), "no room for a word of an operator");
            let over = document.paused("bob", "over").is_none();
            let mut document = document;
            for _ in 0..4 {
                for device in &devices {
                    let _whether = document.is_open(&device.node, &device.labels);
                }
                let step = advance(&document, &devices, NOW);
                assert!(step.summary.selected == 4 && step.summary.open <= 4);
                let Some(next) = step.next else { break };
                assert!(!over, "what is over goes on");
                assert!(codec::fits(&next), "no room for what follows");
                document = next;
            }
        }
    }
}

fn devices() -> Vec<DeviceFacts> {
    let device = |index: u8| DeviceFacts {
        node: NodeId([index; 16]),
        labels: labels(index),
        ready: index != 3,
        heard: (index == 3).then_some(NOW),
        outcome: [None, Some(Found::Applied), Some(Found::Failed), None][usize::from(index) % 4],
    };
    (0..4).map(device).collect()
}

fn labels(index: u8) -> Labels {
    let pair = |key: &str, value: &str| Some((Name::new(key).ok()?, Name::new(value).ok()?));
    let pairs = [
        pair("site", ["osaka", "lyon"][usize::from(index) % 2]),
        pair("a", "b"),
    ];
    Labels::from_pairs(pairs.into_iter().flatten()).expect("two labels")
}
