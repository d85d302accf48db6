//! What steps expect, checked on every node that it concerns.

use std::collections::BTreeSet;
use std::sync::Arc;

use regatta_protocol::catalog::Heads;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::entry::{Entry, LedgerId, LedgerKind};
use regatta_protocol::ledger::replica::Replica;

use crate::fleet::EPOCH;
use crate::network::NodeIndex;
use crate::node::Node;
use crate::run::{self, document};
use crate::scenarios::configured;
use crate::scenarios::player::Play;
use crate::scenarios::secrets;
use crate::scenarios::step::{Step, Who};

/// Checks what a step expects.
///
/// # Errors
/// What was found instead.
pub fn check(play: &mut Play, step: &Step) -> Result<(), String> {
    match *step {
        Step::Agree(ms) => agree(play, ms, true),
        Step::Equal(ms) => agree(play, ms, false),
        Step::Winner(name, label) => {
            let wanted = play.written(label).revision();
            everywhere(play, |node, replica| {
                let heads = replica.holdings().catalog().heads(&document(name));
                expect(
                    node,
                    heads.map(|heads| heads.winner) == Some(wanted),
                    &heads,
                )
            })
        }
        Step::WinnerOn(who, name, label) => {
            let wanted = play.written(label).revision();
            on(play, who, |node, replica| {
                let heads = replica.holdings().catalog().heads(&document(name));
                expect(
                    node,
                    heads.map(|heads| heads.winner) == Some(wanted),
                    &heads,
                )
            })
        }
        Step::Nothing(name) => everywhere(play, |node, replica| {
            let heads = replica.holdings().catalog().heads(&document(name));
            expect(node, heads.is_none(), &heads)
        }),
        Step::Conflicts(name, count) => everywhere(play, |node, replica| {
            let heads = replica.holdings().catalog().heads(&document(name));
            expect(node, heads.map(conflicts) == Some(count), &heads)
        }),
        Step::Stopped(who, stopped) => {
            let device = play.id(who);
            everywhere(play, |node, replica| {
                let found = replica
                    .holdings()
                    .judgement()
                    .stopped_nodes
                    .contains(&device);
                expect(node, found == stopped, &found)
            })
        }
        Step::ManagerStopped(who, stopped) => {
            let key = play.taken[who].signer.public();
            everywhere(play, |node, replica| {
                let found = replica.holdings().judgement().stopped_keys.contains(&key);
                expect(node, found == stopped, &found)
            })
        }
        Step::Config(step) => configured::check(play, &step),
        _ => check_more(play, step),
    }
}

fn check_more(play: &mut Play, step: &Step) -> Result<(), String> {
    match *step {
        Step::Contested(count) => {
            for manager in play.world.managers() {
                on(play, manager as Who, |node, replica| {
                    let found = {
                        let holdings = replica.holdings();
                        holdings.contested().len()
                    };
                    expect(node, found == count, &found)
                })?;
            }
            Ok(())
        }
        Step::Near(who, ms) => {
            let now = play.world.now;
            on(play, who, |node, replica| {
                let (found, wanted) = (replica.reference(now).0, EPOCH.plus(now.0).0);
                expect(node, found.abs_diff(wanted) <= ms, &found.abs_diff(wanted))
            })
        }
        Step::Holds(who, label, holds) => {
            let hash = play.written(label).head.hash;
            let found = play.world.nodes[who].disk.has(&hash);
            expect(who, found == holds, &found)
        }
        Step::Opens(device, label, opens) => secrets::check_opens(play, device, label, opens),
        Step::Critical(known) => everywhere(play, |node, replica| {
            let found = replica.holdings().has_unknown_critical();
            expect(node, found == known, &found)
        }),
        Step::HungUp => {
            let found = play.world.invariants.seen().hung_up;
            expect(0, found > 0, &found)
        }
        Step::Forked(who) => {
            let ledger = LedgerId {
                kind: LedgerKind::Fleet,
                scope: None,
                author: play.id(who),
            };
            everywhere(play, |node, replica| {
                let chain = replica.holdings().chains().get(&ledger);
                expect(
                    node,
                    chain.is_some_and(|chain| !chain.forked().is_empty()),
                    &"no fork",
                )
            })
        }
        _ => check_bodies(play, step),
    }
}

fn check_bodies(play: &mut Play, step: &Step) -> Result<(), String> {
    match *step {
        Step::Bodies(ms) => match play.world.wait_for_bodies(ms) {
            Some(_) => play.world.body_wrong().map_or(Ok(()), |(node, what)| {
                Err(format!("on node {node}: {what}"))
            }),
            None => Err(format!(
                "not within {ms} ms: {:?}",
                play.world.body_missing()
            )),
        },
        Step::HasBody(who, label, has) => {
            let body = play.bodies.get(label);
            let disk = &play.world.nodes[who].disk.bodies;
            let found = body.is_some_and(|(hash, _)| disk.has(hash));
            expect(who, found == has, &found)
        }
        Step::LiarFound => {
            let found = play.world.invariants.seen().bodies.liars;
            expect(0, found > 0, &found)
        }
        _ => Ok(()),
    }
}

fn conflicts(heads: &Heads) -> usize {
    heads.conflicts.len()
}

fn agree(play: &mut Play, ms: u64, state: bool) -> Result<(), String> {
    match run::converge(&mut play.world, ms, state) {
        Some(_) => same_on_disk(play),
        None => Err(format!(
            "not within {ms} ms: {:#?}",
            run::disagreement(&mut play.world)
        )),
    }
}

/// Nodes that agree by their own account hold the same, counted here without their digests.
fn same_on_disk(play: &Play) -> Result<(), String> {
    let for_all = |entry: &&Arc<Entry>| {
        let ledger = entry.header.ledger;
        ledger.kind == LedgerKind::Trust
            || (ledger.kind == LedgerKind::Fleet && ledger.scope.is_none())
    };
    let mut first: Option<BTreeSet<Hash>> = None;
    for (index, node) in play
        .world
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.is_up())
    {
        let entries = node.disk.entries().iter().filter(for_all);
        let held: BTreeSet<Hash> = entries.map(|entry| entry.hash).collect();
        let first = first.get_or_insert_with(|| held.clone());
        if *first != held {
            let differing = first.symmetric_difference(&held).count();
            return Err(format!(
                "node {index} agrees with the first, and {differing} entries differ"
            ));
        }
    }
    Ok(())
}

fn everywhere(
    play: &Play,
    check: impl Fn(usize, &Replica) -> Result<(), String>,
) -> Result<(), String> {
    let up = |node: &Node| node.is_up();
    let nodes = play
        .world
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| up(node));
    for (index, node) in nodes {
        if let Some(replica) = &node.replica {
            check(index, replica)?;
        }
    }
    Ok(())
}

fn on(
    play: &Play,
    who: Who,
    check: impl Fn(usize, &Replica) -> Result<(), String>,
) -> Result<(), String> {
    match &play.world.nodes[who].replica {
        Some(replica) => check(who, replica),
        None => Err(format!("node {} is down", who as NodeIndex)),
    }
}

fn expect(node: usize, holds: bool, found: &impl std::fmt::Debug) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(format!("on node {node} found {found:?}"))
    }
}
