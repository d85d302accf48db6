//! What a member that went bad sends.

use regatta_protocol::catalog::Revision;
use regatta_protocol::clock::Stamp;
use regatta_protocol::codec;
use regatta_protocol::ident::Incarnation;
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerId, LedgerKind};
use regatta_protocol::ledger::message::Message;
use regatta_protocol::selector::Selector;

use crate::fleet;
use crate::forge::{self, Forged};
use crate::network::NodeIndex;
use crate::plan::{Act, NAMES, any};
use crate::world::World;

/// Entries that nobody signed, or that were sent long ago, from a member that went bad.
pub(super) fn attack(world: &mut World, act: Act) {
    let from = any(world);
    let links: Vec<NodeIndex> = world.nodes[from as usize].links.keys().copied().collect();
    if links.is_empty() {
        return;
    }
    let at = world.prng().below(links.len() as u64) as usize;
    let to = links[at];
    let liar = world.nodes[from as usize].identity.node;
    world.invariants.hostile.insert(liar);
    let parcels = match act {
        Act::Forge => vec![forged(world).parcel],
        _ => world.nodes[from as usize]
            .disk
            .entries()
            .iter()
            .rev()
            .take(4)
            .map(|entry| entry.parcel.clone())
            .collect(),
    };
    world.inject(from, to, &Message::Push { hops: 0, parcels });
}

/// An entry in a manager's name, signed with another key.
fn forged(world: &mut World) -> Entry {
    let managers = world.managers();
    let at = world.prng().below(managers.len() as u64) as usize;
    let victim = world.nodes[managers[at] as usize].identity.clone();
    let key = {
        let mut prng = world.prng().branch();
        world.root.new_key(&mut prng)
    };
    let ledger = LedgerId {
        kind: LedgerKind::Fleet,
        scope: None,
        author: victim.node,
    };
    let tip = world.nodes[managers[at] as usize]
        .replica
        .as_ref()
        .and_then(|replica| replica.holdings().chains().get(&ledger)?.tip());
    let forged = Forged {
        ledger,
        signer: victim.serial,
        incarnation: tip.map_or(Incarnation([7; 8]), |head| head.incarnation),
        before: tip,
        stamp: Stamp::at(fleet::EPOCH.plus(world.now.0)),
    };
    let revision = Revision {
        kind: 1,
        name: fleet::name(NAMES[0]),
        replaces: Vec::new(),
        select: Selector::everything(),
        deletes: true,
        version: 1,
        staged: false,
        body: None,
    };
    let fleet = world.root.fleet;
    forge::entry(
        &forged,
        EntryKind::REVISION,
        codec::encode(&revision),
        &fleet,
        key.as_ref(),
    )
}
