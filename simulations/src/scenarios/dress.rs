//! Steps about bodies: written, asked for, handed out wrong.

use regatta_protocol::catalog::DocumentKey;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::bodies::root_of;
use regatta_protocol::selector::Selector;

use crate::bodies::papers::device_name;
use crate::network::NodeIndex;
use crate::plan::bodies::{Body, bytes, give, lie, want};
use crate::run::document;
use crate::scenarios::player::Play;
use crate::scenarios::step::{Label, Readers, Step, Who};

/// Carries out a step about bodies.
pub fn carry_out(play: &mut Play, step: &Step) {
    match *step {
        Step::WriteBody(who, readers, length, rides, label) => {
            write(play, who, readers, (length, rides), label);
        }
        Step::AskFor(who, label) => {
            let nosy = play.id(who);
            play.world.invariants.hostile.insert(nosy);
            if let Some((hash, length)) = play.bodies.get(label).copied() {
                want(&mut play.world, who as NodeIndex, hash, length);
            }
        }
        Step::Lie(who, lies) => lie(&mut play.world, who as NodeIndex, lies),
        _ => {}
    }
}

fn write(
    play: &mut Play,
    who: Who,
    readers: Readers,
    (length, rides): (usize, bool),
    label: Label,
) {
    let scope: Option<NodeId> = match readers {
        Readers::Scoped(device) => Some(play.id(device)),
        Readers::Everybody | Readers::Named(_) => None,
    };
    let select = match readers {
        Readers::Named(device) => {
            let text = format!("name={}", device_name(device));
            Selector::parse(&text).unwrap_or_else(|_| Selector::everything())
        }
        Readers::Everybody | Readers::Scoped(_) => Selector::everything(),
    };
    let key = DocumentKey {
        scope,
        ..document(label)
    };
    let Some(draft) = play.revision(who, &key) else {
        return;
    };
    let bytes = bytes(&mut play.world, length);
    let hash = root_of(&bytes);
    play.bodies.insert(label, (hash, bytes.len() as u64));
    let body = Body {
        bytes,
        select,
        rides,
    };
    let draft = give(&mut play.world, who as NodeIndex, draft, body);
    play.write_as(who, draft, label);
}
