//! Any bytes to each side of a channel, in each of its states: nothing panics, no message comes out.

use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::channel::{Channel, EarlyWindow, Effect, Parties, read_hello};
use regatta_protocol::crypto::seal::BoxSecret;
use regatta_protocol::ident::{FleetId, NodeId};
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;

const FLEET: FleetId = FleetId([7; 32]);
const NOW: Millis = Millis(1000);

pub fn run(bytes: &[u8]) {
    // What a member can say once its message is decrypted, and the frame itself.
    let _ = read_hello(bytes);
    let mut prng = Prng::from_number(1);
    let a = BoxSecret::generate(&mut prng);
    let b = BoxSecret::generate(&mut prng);
    let (id_a, id_b) = (NodeId([1; 16]), NodeId([2; 16]));
    for known in [true, false] {
        let here = Parties::control(FLEET, id_a, id_b, &a, known.then(|| b.public()));
        let there = Parties::control(FLEET, id_b, id_a, &b, known.then(|| a.public()));
        let mut out = Vec::new();

        // As a first frame, and as what follows it.
        let (mut right, _) = respond(&there, bytes);
        right.receive(NOW, bytes, &mut out);
        assert!(!right.is_open());

        // As the answer to a genuine first frame, and as what follows a genuine one.
        let (mut left, first) = begin(&here);
        left.receive(NOW, bytes, &mut out);
        assert!(!left.is_open());
        let (mut right, answer) = respond(&there, &first);
        right.receive(NOW, bytes, &mut out);
        assert!(!right.is_open());

        // As a frame of an open channel.
        let (mut left, _) = begin(&here);
        left.receive(NOW, &answer, &mut out);
        assert!(left.is_open());
        left.receive(NOW, bytes, &mut out);
        let said = |effect: &Effect| matches!(effect, Effect::Message(_));
        assert!(!out.iter().any(said));
    }
}

fn begin(parties: &Parties<'_>) -> (Channel, Vec<u8>) {
    let mut out = Vec::new();
    let channel = Channel::initiate(
        NOW,
        parties,
        Bytes::default(),
        Vec::new(),
        &mut Prng::from_number(2),
        &mut out,
    );
    (channel.expect("begins"), sent(&out))
}

fn respond(parties: &Parties<'_>, first: &[u8]) -> (Channel, Vec<u8>) {
    let mut out = Vec::new();
    let channel = Channel::respond(
        NOW,
        parties,
        Bytes::default(),
        first,
        &mut EarlyWindow::new(4),
        &mut Prng::from_number(3),
        &mut out,
    );
    (channel, sent(&out))
}

fn sent(out: &[Effect]) -> Vec<u8> {
    let sent = out.iter().find_map(|effect| match effect {
        Effect::Send(frame) => Some(frame.clone()),
        _ => None,
    });
    sent.expect("a frame")
}
