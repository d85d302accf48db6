//! A member that says ten thousand things a second is held off, cut off, and harms nobody else.

use std::time::Duration;

use regatta_actors::network::NetworkMessage;
use regatta_actors::switchboard::Tag;
use regatta_protocol::codec;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::{LedgerId, LedgerKind};
use regatta_protocol::ledger::message::{Message, Want};
use regatta_protocol::membership::message::MembershipMessage;
use regatta_simulations::live::LiveFleet;
use tokio::time::{Instant, sleep};

/// A member floods with so many messages each millisecond.
const EACH_MS: usize = 10;
/// It is cut off within that time.
const CUT: Duration = Duration::from_secs(10);

/// What a flood is made of: the stream, and one message.
fn floods() -> Vec<(&'static str, Tag, Vec<u8>)> {
    let ledger = LedgerId {
        author: NodeId([7; 16]),
        kind: LedgerKind::Fleet,
        scope: None,
    };
    let want = Want {
        ledger,
        wanted: Hash::of(b"nobody has this"),
        have: Vec::new(),
    };
    let keep_alive = MembershipMessage::KeepAlive {
        boot: 1,
        sequence: 1,
    };
    vec![
        ("garbage to the ledger", Tag::Ledger, vec![0xff; 200]),
        ("garbage to membership", Tag::Membership, vec![0xff; 200]),
        ("garbage to contacts", Tag::Contacts, vec![0xff; 200]),
        ("garbage about papers", Tag::Papers, vec![0xff; 200]),
        ("keep-alives", Tag::Membership, codec::encode(&keep_alive)),
        (
            "pulls",
            Tag::Ledger,
            codec::encode(&Message::Pull(vec![want])),
        ),
        ("feeds", Tag::Ledger, codec::encode(&Message::Feed(true))),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_member_that_floods_is_cut_off_and_the_others_go_on() {
    for (seed, (what, tag, bytes)) in (1..).zip(floods()) {
        let mut fleet = LiveFleet::found(seed, 2).await;
        fleet.join_many(2).await;
        fleet.ready(0, 2).await;
        let (manager, flooder) = (fleet.nodes[0].id, fleet.nodes[2].id);
        let handles = fleet.nodes[2].handles().await;
        let began = Instant::now();
        let mut cut = None;
        while began.elapsed() < CUT && cut.is_none() {
            for _ in 0..EACH_MS {
                let message = NetworkMessage::Send {
                    to: manager,
                    tag: tag.number(),
                    bytes: bytes.clone(),
                };
                handles.network.cast(message).expect("it runs");
            }
            sleep(Duration::from_millis(1)).await;
            if !fleet.links(0).await.contains(&flooder) {
                cut = Some(began.elapsed());
            }
        }
        assert!(
            cut.is_some(),
            "{what}: still there after {:?}",
            began.elapsed()
        );
        let said = fleet.label(0, "amr-02", ("shelf", "9")).await;
        said.unwrap_or_else(|error| panic!("{what}: {error}"));
        let labelled = async |fleet: &LiveFleet| fleet.certified(3).await.contains("shelf=9");
        fleet.within(CUT, what, labelled).await;
    }
}
