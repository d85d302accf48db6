//! What thieves sign, and what the root and the managers say about it.

use regatta_protocol::catalog::Revision;
use regatta_protocol::clock::Stamp;
use regatta_protocol::codec;
use regatta_protocol::ident::Incarnation;
use regatta_protocol::ledger::chain::Head;
use regatta_protocol::ledger::entry::{EntryKind, LedgerId, LedgerKind};
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::machine::Millis;
use regatta_protocol::selector::Selector;
use regatta_protocol::trust::statement::Statement;
use regatta_protocol::trust::verdict::{
    JudgedLedger, Ruling, Subject, Verdict, VerdictId, Verdicts,
};

use crate::fleet;
use crate::forge::{self, Forged};
use crate::network::NodeIndex;
use crate::scenarios::player::{Play, Written};
use crate::scenarios::step::{After, Label, Says, Step, Theft, Who};

/// Signs what a thief signs, and hands it to a node as a push of one of its peers.
pub fn carry_out(play: &mut Play, theft: &Theft) {
    let (ledger_kind, kind, content) = said(play, theft);
    let victim = play.taken[theft.key_of].clone();
    let author = match theft.after {
        After::TipOf(who) => play.id(who),
        _ => victim.node,
    };
    let ledger = LedgerId {
        kind: ledger_kind,
        scope: None,
        author,
    };
    let (before, incarnation) = place(play, theft, &ledger);
    let wall = fleet::EPOCH
        .plus(play.world.now.0)
        .0
        .saturating_add_signed(theft.off_ms);
    let forged = Forged {
        ledger,
        signer: victim.serial,
        incarnation,
        before,
        stamp: Stamp::at(Millis(wall)),
    };
    let fleet = play.world.root.fleet;
    let entry = forge::entry(&forged, kind, content, &fleet, victim.signer.as_ref());
    play.world.invariants.suspects.insert(victim.node);
    play.world.invariants.signed(entry.hash);
    play.entries
        .insert(theft.label.to_owned(), Written::of(&entry));
    let to = theft.to as NodeIndex;
    let from = play.world.nodes[theft.to].links.keys().next().copied();
    let message = Message::Push {
        hops: 0,
        parcels: vec![entry.parcel],
    };
    match from {
        Some(from) => play.world.inject(from, to, &message),
        None => play.world.invariants.broken(
            play.world.now,
            to,
            "the scenario gives a theft to a node without links".to_owned(),
        ),
    }
    play.world.run_until(play.world.now.plus(1_000));
}

/// A member sends more than any member needs, or what nobody signed.
pub fn pester(play: &mut Play, step: &Step, from: Who, to: Who) {
    let (message, count) = match *step {
        Step::Flood(_, _, count) => (Message::Feed(false), count),
        Step::Forge(_, _, count) => {
            let victim = play.taken[0].clone();
            let ledger = LedgerId {
                kind: LedgerKind::Fleet,
                scope: None,
                author: victim.node,
            };
            let forged = Forged {
                ledger,
                signer: victim.serial,
                incarnation: Incarnation([0x77; 8]),
                before: None,
                stamp: Stamp::at(fleet::EPOCH.plus(play.world.now.0)),
            };
            let mut prng = play.world.prng().branch();
            let key = play.world.root.new_key(&mut prng);
            let fleet = play.world.root.fleet;
            let content = b"signed by nobody".to_vec();
            let entry = forge::entry(&forged, EntryKind::WRAP, content, &fleet, key.as_ref());
            let parcels = vec![entry.parcel];
            (Message::Push { hops: 0, parcels }, count)
        }
        _ => return,
    };
    let liar = play.id(from);
    play.world.invariants.hostile.insert(liar);
    play.world.connect(from as NodeIndex, to as NodeIndex);
    for _ in 0..count {
        play.world
            .inject(from as NodeIndex, to as NodeIndex, &message);
    }
    play.world.run_until(play.world.now.plus(1_000));
}

fn said(play: &Play, theft: &Theft) -> (LedgerKind, EntryKind, Vec<u8>) {
    let verdicts = |verdict| codec::encode(&Verdicts(vec![verdict]));
    match theft.says {
        Says::Revision(name, replaces) => {
            let revision = Revision {
                kind: 1,
                name: fleet::name(name),
                replaces: replaces
                    .iter()
                    .map(|label| play.written(label).revision())
                    .collect(),
                select: Selector::everything(),
                deletes: false,
                version: 1,
                staged: false,
                body: None,
            };
            (
                LedgerKind::Fleet,
                EntryKind::REVISION,
                codec::encode(&revision),
            )
        }
        Says::Testimony(peer, heads) => {
            let verdict = Verdict {
                ledgers: judged(play, heads),
                ..verdict(play, peer, Ruling::Good)
            };
            (LedgerKind::Trust, EntryKind::VERDICT, verdicts(verdict))
        }
        Says::Stop(device) => {
            let verdict = verdict(play, device, Ruling::Stopped);
            (LedgerKind::Trust, EntryKind::VERDICT, verdicts(verdict))
        }
        Says::Allow(device, orders) => {
            let verdict = Verdict {
                replaces: replaced(play, orders),
                ..verdict(play, device, Ruling::Good)
            };
            (LedgerKind::Trust, EntryKind::VERDICT, verdicts(verdict))
        }
    }
}

fn place(play: &Play, theft: &Theft, ledger: &LedgerId) -> (Option<Head>, Incarnation) {
    let anew = Incarnation([0x66; 8]);
    let tip = play.world.nodes[theft.to]
        .replica
        .as_ref()
        .and_then(|replica| replica.holdings().chains().get(ledger)?.tip());
    match theft.after {
        After::Nothing => (None, anew),
        After::TipAnew | After::TipOf(_) => (tip, anew),
        After::Skipping => {
            let further = tip.map(|head| Head {
                number: head.number + 5,
                ..head
            });
            (further, tip.map_or(anew, |head| head.incarnation))
        }
        After::Tip => (tip, tip.map_or(anew, |head| head.incarnation)),
        After::Entry(label) => {
            let head = play.written(label).head;
            (Some(head), head.incarnation)
        }
        After::Beside(label) => {
            let beside = play.written(label);
            let before = play
                .entries
                .values()
                .map(|written| written.head)
                .find(|head| head.hash == beside.previous);
            (before, beside.head.incarnation)
        }
    }
}

fn verdict(play: &Play, who: Who, ruling: Ruling) -> Verdict {
    let identity = &play.taken[who];
    Verdict {
        subject: Subject::Holder {
            serial: identity.serial,
            node: identity.node,
        },
        ruling,
        ledgers: Vec::new(),
        replaces: Vec::new(),
        until: None,
        reason: String::new(),
    }
}

fn judged(play: &Play, labels: &[Label]) -> Vec<JudgedLedger> {
    let of = |label: &Label| {
        let written = play.written(label);
        JudgedLedger {
            kind: written.ledger.kind,
            scope: written.ledger.scope,
            heads: vec![written.head],
        }
    };
    labels.iter().map(of).collect()
}

fn replaced(play: &Play, labels: &[Label]) -> Vec<VerdictId> {
    labels
        .iter()
        .filter_map(|label| play.orders.get(label).copied())
        .collect()
}

fn draft(verdict: Verdict) -> Draft {
    let content = codec::encode(&Verdicts(vec![verdict]));
    Draft::fitting(0, LedgerKind::Trust, EntryKind::VERDICT, content)
}

/// A manager's order to stop a device, or anybody.
#[must_use]
pub fn stop(play: &Play, who: Who) -> Draft {
    draft(verdict(play, who, Ruling::Stopped))
}

/// A manager's order that a device may go on, in place of others.
#[must_use]
pub fn allow(play: &Play, who: Who, orders: &[Label]) -> Draft {
    let replaces = replaced(play, orders);
    draft(Verdict {
        replaces,
        ..verdict(play, who, Ruling::Good)
    })
}

/// Testimony that renews a peer's certificate.
#[must_use]
pub fn renewal(play: &Play, peer: Who, until: Millis) -> Option<Draft> {
    Some(draft(Verdict {
        until: Some(until),
        ..verdict(play, peer, Ruling::Good)
    }))
}

/// What the root says, carried in an entry.
#[must_use]
pub fn statement(statement: &Statement) -> Draft {
    let content = codec::encode(statement);
    Draft::fitting(0, LedgerKind::Trust, EntryKind::STATEMENT, content)
}

/// An order of the root, carried by a manager.
pub fn order(play: &mut Play, step: &Step) {
    let (by, who, heads, replaces, label, ruling) = match *step {
        Step::RootStop(by, who, heads, replaces, label) => {
            (by, who, heads, replaces, label, Ruling::Stopped)
        }
        Step::RootGood(by, who, heads, replaces, label) => {
            (by, who, heads, replaces, label, Ruling::Good)
        }
        _ => return,
    };
    let verdict = Verdict {
        ledgers: judged(play, heads),
        replaces: replaced(play, replaces),
        ..verdict(play, who, ruling)
    };
    let said = play.world.root.order(&verdict);
    let draft = statement(&said);
    play.write_as(by, draft, label);
    if let Statement::Order(order) = &said {
        play.orders.insert(label, order.id());
    }
}
