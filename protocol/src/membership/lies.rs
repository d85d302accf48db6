//! Replays, forgeries, floods and plain nonsense: what a peer may send, and what must come of it.

use super::harness::{Cheap, identity, key_of};
use super::message::{Batch, MembershipMessage, Presence, Profile, Sighting, SignedPresence};
use super::presence::PresenceState;
use super::{HangUpReason, Membership, MembershipEffect, MembershipEvent, MisbehaviourReason};
use crate::ident::{FleetId, NodeId};
use crate::machine::{Machine, Millis};
use crate::prng::Prng;

const NOW: Millis = Millis(10_000);
const MANAGER: NodeId = NodeId([1; 16]);
const OTHER: NodeId = NodeId([2; 16]);
const DEVICE: NodeId = NodeId([3; 16]);

fn say(boot: u64, sequence: u64, wall: u64) -> Presence {
    Presence {
        node: DEVICE,
        boot,
        sequence,
        wall: Millis(wall),
        homes: vec![MANAGER],
        puller: Some(MANAGER),
        keep_alive_ms: 30_000,
        profile: Profile::Normal,
    }
}

fn seal(presence: &Presence, by: NodeId) -> SignedPresence {
    SignedPresence::seal(presence, &FleetId([7; 32]), &Cheap(key_of(by)))
}

fn connected(peer: NodeId, is_manager: bool) -> MembershipEvent {
    MembershipEvent::Connected {
        peer,
        is_manager,
        key: key_of(peer),
        lan: false,
    }
}

fn received(from: NodeId, message: MembershipMessage) -> MembershipEvent {
    MembershipEvent::Received { from, message }
}

/// A manager with a link to another manager and to a device.
fn manager() -> Membership {
    let me = identity(MANAGER, true, Profile::Normal);
    let mut manager = Membership::new(me, Prng::from_number(1));
    let mut out = Vec::new();
    for event in [connected(OTHER, true), connected(DEVICE, false)] {
        manager.handle(NOW, event, &mut out);
    }
    manager
}

fn give(manager: &mut Membership, from: NodeId, said: SignedPresence) -> Vec<MembershipEffect> {
    let mut out = Vec::new();
    manager.handle(
        NOW,
        received(from, MembershipMessage::Presence(said)),
        &mut out,
    );
    out
}

#[test]
fn a_replayed_presence_changes_nothing() {
    let mut manager = manager();
    let (old, new) = (seal(&say(5, 1, 100), DEVICE), seal(&say(5, 2, 200), DEVICE));
    assert!(
        give(&mut manager, DEVICE, new.clone())
            .contains(&MembershipEffect::StartPulling { device: DEVICE })
    );
    let mut moved = say(5, 1, 100);
    moved.puller = None;
    for (from, replay) in [
        (DEVICE, old.clone()),
        (OTHER, old),
        (OTHER, new),
        // An earlier boot from somebody else: its clock was behind.
        (OTHER, seal(&say(4, 9, 150), DEVICE)),
        (DEVICE, seal(&moved, DEVICE)),
    ] {
        let out = give(&mut manager, from, replay);
        assert!(out.is_empty(), "{out:?}");
    }
    assert_eq!(manager.counts().stale, 4);
    assert_eq!(manager.state_of(DEVICE, NOW).puller, Some(MANAGER));
}

#[test]
fn a_forged_presence_is_refused_and_its_bringer_named() {
    let mut manager = manager();
    let forged = MembershipEffect::Misbehaved {
        peer: OTHER,
        reason: MisbehaviourReason::ForgedPresence,
    };
    let out = give(&mut manager, OTHER, seal(&say(5, 1, 100), OTHER));
    assert_eq!(out, vec![forged]);
    // A device cannot speak for another one either, not even with its words.
    let mut other = say(5, 1, 100);
    other.node = OTHER;
    let out = give(&mut manager, DEVICE, seal(&other, OTHER));
    assert!(matches!(out[..], [MembershipEffect::Misbehaved { peer, .. }] if peer == DEVICE));
    assert!(manager.state_of(DEVICE, NOW).homes.is_empty());
}

#[test]
fn a_presence_without_a_key_is_dropped_and_asked_for_when_the_key_comes() {
    let mut manager = manager();
    let stranger = NodeId([9; 16]);
    let mut said = say(1, 1, 1);
    said.node = stranger;
    let boot = 77;
    let batch = Batch {
        observer: OTHER,
        boot,
        after: 0,
        upto: 1,
        latest: 1,
        sightings: vec![Sighting {
            node: stranger,
            version: 1,
            up: true,
            heard_ago_ms: 0,
            presence: Some(seal(&said, stranger)),
        }],
    };
    let row = super::message::Row {
        observer: OTHER,
        boot,
        version: 1,
        heard_ago_ms: 0,
    };
    let mut out = Vec::new();
    let ping = MembershipMessage::Ping {
        rows: vec![row],
        lacks: vec![],
    };
    manager.handle(NOW, received(OTHER, ping), &mut out);
    manager.handle(
        NOW,
        received(OTHER, MembershipMessage::Batch(batch)),
        &mut out,
    );
    assert_eq!(manager.counts().unverified, 1);
    let view = manager.state_of(stranger, NOW);
    assert_eq!((view.state, view.homes.len()), (PresenceState::Ready, 0));
    out.clear();
    let key = key_of(stranger);
    manager.handle(
        NOW,
        MembershipEvent::Known {
            node: stranger,
            key,
        },
        &mut out,
    );
    let message = MembershipMessage::GetPresence { node: stranger };
    assert_eq!(out, vec![MembershipEffect::Send { to: OTHER, message }]);
    give(&mut manager, OTHER, seal(&said, stranger));
    assert_eq!(manager.state_of(stranger, NOW).homes, vec![MANAGER]);
}

#[test]
fn both_ends_of_crossing_dials_count_once() {
    let mut manager = manager();
    let before = manager.counts();
    let mut out = Vec::new();
    manager.handle(NOW, connected(DEVICE, false), &mut out);
    manager.handle(NOW, connected(OTHER, true), &mut out);
    assert_eq!((manager.counts(), out), (before, vec![]));
}

#[test]
fn any_message_from_anybody_is_survived() {
    let mut prng = Prng::from_number(99);
    let me = [
        identity(MANAGER, true, Profile::Normal),
        identity(MANAGER, false, Profile::Normal),
        identity(MANAGER, false, Profile::Metered),
    ];
    for (seed, me) in (0..).zip(me) {
        let mut machine = Membership::new(me, Prng::from_number(seed));
        let mut out = Vec::new();
        let peers: Vec<NodeId> = (2..12).map(|n| NodeId([n; 16])).collect();
        for step in 0..30_000_u64 {
            let now = Millis(step * 300);
            let from = peers[usize::try_from(prng.below(10)).expect("small")];
            let is_manager = from.0[0].is_multiple_of(2);
            let event = match prng.below(20) {
                0 => connected(from, is_manager),
                1 => MembershipEvent::Disconnected { peer: from },
                2 => MembershipEvent::DialFailed { peer: from },
                3 => MembershipEvent::LanSeen { peer: from },
                4 => MembershipEvent::FeederFailed { peer: from },
                5 => MembershipEvent::NewsHops {
                    peer: from,
                    hops: 3,
                },
                6 => MembershipEvent::Forget { node: from },
                _ => received(from, arbitrary(&mut prng, &peers)),
            };
            machine.handle(now, event, &mut out);
            assert!(machine.neighbours().len() <= 4 && machine.homes().len() <= 2);
            assert!(machine.wake_at().is_none_or(|at| at > now), "it would spin");
            out.clear();
        }
    }
}

fn arbitrary(prng: &mut Prng, peers: &[NodeId]) -> MembershipMessage {
    let node = peers[usize::try_from(prng.below(10)).expect("small")];
    let small = prng.below(4);
    let mut said = say(small, prng.below(5), prng.below(100));
    said.node = node;
    said.keep_alive_ms = u32::try_from(prng.below(1 << 32)).expect("in range");
    let row = super::message::Row {
        observer: node,
        boot: small,
        version: prng.below(6),
        heard_ago_ms: prng.next_u64() >> prng.below(64),
    };
    let sighting = Sighting {
        node: DEVICE,
        version: prng.below(6),
        up: prng.chance(500_000),
        heard_ago_ms: prng.next_u64() >> prng.below(64),
        presence: Some(seal(&said, node)),
    };
    match prng.below(13) {
        0 => MembershipMessage::Presence(seal(&said, node)),
        1 => MembershipMessage::KeepAlive {
            boot: small,
            sequence: small,
        },
        2 => MembershipMessage::KeepAliveAck {
            have: prng.chance(500_000),
        },
        3 => MembershipMessage::Ping {
            rows: vec![row, row],
            lacks: vec![node],
        },
        4 => MembershipMessage::Batch(Batch {
            observer: node,
            boot: small,
            after: prng.below(4),
            upto: prng.next_u64() >> prng.below(64),
            latest: u64::MAX,
            sightings: vec![sighting],
        }),
        5 => MembershipMessage::Want {
            observer: node,
            boot: small,
            after: small,
        },
        6 => MembershipMessage::GetPresence { node },
        7 => MembershipMessage::Seek { round: u32::MAX },
        8 => MembershipMessage::Suggest {
            peers: peers.to_vec(),
        },
        9 => MembershipMessage::NeighbourAsk { have: 0 },
        10 => MembershipMessage::NeighbourAnswer {
            accepted: prng.chance(500_000),
        },
        11 => MembershipMessage::NeighbourLeave {
            instead: Some(node),
        },
        _ => MembershipMessage::Doubt { manager: node },
    }
}

#[test]
fn a_flood_is_named_once_and_cut_off() {
    let mut manager = manager();
    let mut out = Vec::new();
    for step in 0..10_000_u64 {
        let now = Millis(NOW.0 + step / 10);
        let message = MembershipMessage::Seek { round: 0 };
        manager.handle(now, received(DEVICE, message), &mut out);
    }
    let named = MembershipEffect::Misbehaved {
        peer: DEVICE,
        reason: MisbehaviourReason::Flood,
    };
    let cut = MembershipEffect::HangUp {
        peer: DEVICE,
        reason: HangUpReason::Flood,
    };
    assert_eq!(out.iter().filter(|effect| **effect == named).count(), 1);
    assert_eq!(out.iter().filter(|effect| **effect == cut).count(), 1);
    assert!(manager.counts().strays > 9_000);
}
