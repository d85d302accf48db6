//! How fast a channel shakes hands, seals and opens, and how fast a selector selects.
//!
//! `DIVAN_BYTES_FORMAT=binary cargo bench -p regatta-protocol --bench channel`. Bytes are counted once
//! for seal and open together: that is what one core carries that does both ends' work.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use regatta_protocol::codec::{Bytes, Name};
use regatta_protocol::crypto::channel::{Channel, EarlyWindow, Effect, PAYLOAD_BYTES_MAX, Parties};
use regatta_protocol::crypto::seal::{BoxSecret, Purpose, SealContext, open, seal};
use regatta_protocol::ident::{FleetId, NodeId};
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;
use regatta_protocol::selector::{Labels, Selector};

const FLEET: FleetId = FleetId([7; 32]);
const NOW: Millis = Millis(1000);
const LENGTHS: [usize; 5] = [64, 1024, 16 * 1024, 32 * 1024, PAYLOAD_BYTES_MAX];

fn main() {
    divan::main();
}

fn keys() -> (BoxSecret, BoxSecret) {
    let mut prng = Prng::from_number(1);
    (
        BoxSecret::generate(&mut prng),
        BoxSecret::generate(&mut prng),
    )
}

fn sent(out: &mut Vec<Effect>) -> Vec<Vec<u8>> {
    let frames = out.drain(..).filter_map(|effect| match effect {
        Effect::Send(frame) => Some(frame),
        _ => None,
    });
    frames.collect()
}

/// One handshake of IK, both sides: three frames.
fn meet(a: &BoxSecret, b: &BoxSecret, prng: &mut Prng) -> (Channel, Channel) {
    let (id_a, id_b) = (NodeId([1; 16]), NodeId([2; 16]));
    let mut here = Parties::control(FLEET, id_a, id_b, a, Some(b.public()));
    let mut there = Parties::control(FLEET, id_b, id_a, b, Some(a.public()));
    here.payload_bytes_max = PAYLOAD_BYTES_MAX;
    there.payload_bytes_max = PAYLOAD_BYTES_MAX;
    let mut out = Vec::new();
    let left = Channel::initiate(NOW, &here, Bytes::default(), Vec::new(), prng, &mut out);
    let mut left = left.expect("a good key");
    let first = sent(&mut out).remove(0);
    let window = &mut EarlyWindow::new(1);
    let mut right = Channel::respond(
        NOW,
        &there,
        Bytes::default(),
        &first,
        window,
        prng,
        &mut out,
    );
    let answer = sent(&mut out).remove(0);
    left.receive(NOW, &answer, &mut out);
    let confirm = sent(&mut out).remove(0);
    right.receive(NOW, &confirm, &mut out);
    assert!(left.is_open() && right.is_open());
    (left, right)
}

#[divan::bench]
fn handshake_ik_both_sides(bencher: Bencher<'_, '_>) {
    let (a, b) = keys();
    let mut prng = Prng::from_number(2);
    bencher.bench_local(|| meet(&a, &b, &mut prng));
}

#[divan::bench(args = LENGTHS)]
fn seal_and_open(bencher: Bencher<'_, '_>, length: usize) {
    let (a, b) = keys();
    let (mut left, mut right) = meet(&a, &b, &mut Prng::from_number(3));
    let message = vec![0x5a; length];
    let (mut frame, mut payload) = (Vec::new(), Vec::new());
    bencher.counter(BytesCount::new(length)).bench_local(|| {
        left.seal_into(NOW, black_box(&message), &mut frame)
            .expect("seals");
        right.open_into(NOW, &frame, &mut payload).expect("opens")
    });
}

#[divan::bench(args = LENGTHS)]
fn seal_alone(bencher: Bencher<'_, '_>, length: usize) {
    let (a, b) = keys();
    let (mut left, _) = meet(&a, &b, &mut Prng::from_number(3));
    let message = vec![0x5a; length];
    let mut frame = Vec::new();
    bencher
        .counter(BytesCount::new(length))
        .bench_local(|| left.seal_into(NOW, black_box(&message), &mut frame));
}

/// The same by events, with a buffer for each frame and message.
#[divan::bench(args = LENGTHS)]
fn send_and_receive(bencher: Bencher<'_, '_>, length: usize) {
    let (a, b) = keys();
    let (mut left, mut right) = meet(&a, &b, &mut Prng::from_number(3));
    let message = vec![0x5a; length];
    let mut out = Vec::new();
    bencher.counter(BytesCount::new(length)).bench_local(|| {
        left.send(NOW, black_box(&message), &mut out)
            .expect("sends");
        for frame in sent(&mut out) {
            right.receive(NOW, &frame, &mut out);
        }
        out.clear();
    });
}

/// A body to one who asked for it: a handshake of one message for each.
#[divan::bench(args = [32, 16 * 1024, 1024 * 1024])]
fn seal_and_open_one_way(bencher: Bencher<'_, '_>, length: usize) {
    let (a, _) = keys();
    let mut prng = Prng::from_number(4);
    let context = SealContext {
        fleet: &FLEET,
        purpose: Purpose::Body,
        detail: b"body",
    };
    let body = vec![0x5a; length];
    bencher.counter(BytesCount::new(length)).bench_local(|| {
        let sealed = seal(&a.public(), &context, &body, &mut prng).expect("a good key");
        open(&a, &context, &sealed, length).expect("opens")
    });
}

#[divan::bench]
fn rekey_both_sides(bencher: Bencher<'_, '_>) {
    let (a, b) = keys();
    let (mut left, mut right) = meet(&a, &b, &mut Prng::from_number(5));
    let mut out = Vec::new();
    bencher.bench_local(|| {
        left.rekey(NOW, &mut out).expect("open");
        for frame in sent(&mut out) {
            right.receive(NOW, &frame, &mut out);
        }
        out.clear();
    });
}

const SELECTOR: &str = "site=osaka,role!=dock,arch in (arm64,amd64),zone notin (a,b),gpu,!canary";

#[divan::bench]
fn selector_parses(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| Selector::parse(black_box(SELECTOR)));
}

#[divan::bench]
fn selector_matches(bencher: Bencher<'_, '_>) {
    let selector = Selector::parse(SELECTOR).expect("a selector");
    let name = |text: &str| Name::new(text).expect("a name");
    let pairs = [
        ("site", "osaka"),
        ("role", "arm"),
        ("arch", "arm64"),
        ("zone", "c"),
        ("gpu", "yes"),
        ("line", "7"),
    ];
    let pairs = pairs.map(|(key, value)| (name(key), name(value)));
    let labels = Labels::from_pairs(pairs).expect("labels");
    assert!(selector.matches(&labels));
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| selector.matches(black_box(&labels)));
}
