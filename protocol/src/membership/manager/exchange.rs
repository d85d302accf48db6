//! How managers tell each other what they saw: rows in every ping, changes pushed, gaps asked for.
//!
//! The truth is the version that a row names: who holds less asks, so a lost push costs a ping's
//! time. What one manager cannot hear itself another passes on, with the true age of the last word.

use crate::ident::NodeId;
use crate::limits::MANAGER_LINKS_MAX;
use crate::membership::manager::{Manager, Share};
use crate::membership::message::{Batch, MembershipMessage, Row, Sighting};
use crate::membership::presence::{Moment, OBSERVER_FRESH_MS, Table};
use crate::membership::{Context, MembershipEffect, MisbehaviourReason};

/// A question for sightings that nobody answered is asked again after this.
const WANT_MS: u64 = 2_000;
/// Whom we have not heard for so long, a ping and a half, others are asked about: they answer before
/// [`OBSERVER_FRESH_MS`] have passed, so nothing flickers.
const LACKS_MS: u64 = 3_000;

/// Whether we hear a manager on a link of our own.
fn hears(context: &Context<'_>, manager: &NodeId) -> bool {
    let link = context.links.get(manager);
    link.is_some_and(|link| context.now.since(link.heard) < LACKS_MS)
}

impl Manager {
    /// Tells one manager that we live, and what it cannot hear itself.
    pub(super) fn send_ping(&self, context: &mut Context<'_>, to: NodeId) {
        let unheard = |id: &NodeId| !hears(context, id);
        let lacks: Vec<NodeId> = self.mesh.peers().filter(unheard).collect();
        let others = self.lacking.get(&to).map_or(&[][..], Vec::as_slice);
        let rows = self.table.rows(others, context.now);
        context.send(to, MembershipMessage::Ping { rows, lacks });
    }

    pub(super) fn pinged(
        &mut self,
        context: &mut Context<'_>,
        from: NodeId,
        rows: &[Row],
        lacks: Vec<NodeId>,
    ) {
        if rows.len().max(lacks.len()) > MANAGER_LINKS_MAX + 1 {
            return context.misbehaved(from, MisbehaviourReason::Malformed);
        }
        self.lacking.insert(from, lacks);
        for row in rows {
            let direct = row.observer == from;
            // Of those whom we hear ourselves nobody else need tell us.
            let relayed = !direct
                && row.observer != context.me.node
                && row.heard_ago_ms <= OBSERVER_FRESH_MS
                && self.mesh.knows(&row.observer)
                && !hears(context, &row.observer);
            if !direct && !relayed {
                continue;
            }
            let heard = Moment::ago(context.now, if direct { 0 } else { row.heard_ago_ms });
            let known = self.table.boot(&row.observer);
            let later = self.table.observer_heard(&row.observer) < Some(heard);
            if relayed && known.is_some_and(|boot| boot != row.boot) && !later {
                continue;
            }
            self.table.meet(row.observer, row.boot, heard);
            if known.is_some_and(|boot| boot != row.boot) || self.vouching.insert(row.observer) {
                self.wanted.remove(&row.observer);
                context
                    .out
                    .push(MembershipEffect::PresencesChanged { by: row.observer });
            }
            if row.version > self.table.version(&row.observer) {
                self.want(context, from, row.observer);
            }
        }
    }

    fn want(&mut self, context: &mut Context<'_>, from: NodeId, observer: NodeId) {
        let asked = self.wanted.get(&observer);
        let waits = asked.is_some_and(|asked| context.now.since(*asked) < WANT_MS);
        let Some(boot) = self.table.boot(&observer).filter(|_| !waits) else {
            return;
        };
        self.wanted.insert(observer, context.now);
        let after = self.table.version(&observer);
        context.send(
            from,
            MembershipMessage::Want {
                observer,
                boot,
                after,
            },
        );
    }

    pub(super) fn batch(&mut self, context: &mut Context<'_>, from: NodeId, batch: &Batch) {
        let observer = batch.observer;
        if !Table::is_sound(batch) || observer == context.me.node {
            return context.misbehaved(from, MisbehaviourReason::Malformed);
        }
        let version = self.table.version(&observer);
        let foreign = observer != from && hears(context, &observer);
        if foreign || self.table.boot(&observer) != Some(batch.boot) || batch.upto <= version {
            return;
        }
        if batch.after > version {
            return self.want(context, from, observer);
        }
        for sighting in batch.sightings.iter().filter(|s| s.version > version) {
            if !self.table.learn(observer, sighting, context.now) {
                context.counters.table_full += 1;
                continue;
            }
            // Else a node whose clock went back would never be believed after a restart.
            let node = sighting.node;
            let vouched = sighting.up
                && from == observer
                && !context.links.contains_key(&node)
                && self.table.heard_last(&node, &observer);
            if sighting.up {
                self.met_elsewhere(context, observer, sighting);
            }
            if let Some(signed) = &sighting.presence
                && self.table.signed(&sighting.node) != Some(signed)
            {
                match signed.claim() {
                    Ok(claimed) if claimed.node == sighting.node => {
                        self.take(context, from, signed.clone(), &claimed, vouched);
                    }
                    Ok(_) | Err(_) => context.misbehaved(from, MisbehaviourReason::Malformed),
                }
            }
            self.changed(context, sighting.node);
        }
        self.table.caught_up(&observer, batch.upto);
        self.wanted.remove(&observer);
        if batch.latest > batch.upto {
            self.want(context, from, observer);
        }
    }

    /// Another manager has a link to a node that has one to us: perhaps to another machine.
    fn met_elsewhere(&mut self, context: &Context<'_>, by: NodeId, sighting: &Sighting) {
        let node = sighting.node;
        let Some(link) = context.links.get(&node).filter(|link| link.guest.said != 0) else {
            return;
        };
        let ours = self.table.presence(&node).map(|said| said.boot);
        let (Some(signed), Some(key)) = (&sighting.presence, self.table.key(&node)) else {
            return;
        };
        let said = signed.claim().ok().filter(|said| said.node == node);
        let Some(said) = said else {
            return;
        };
        if Some(said.boot) == ours {
            // Until it said so on its new link, that manager told of the start before.
            return self.table.met_ours(&node, by);
        }
        if signed.is_signed_by(&key, &context.me.fleet, &*context.me.verify) {
            let met = Moment::ago(context.now, sighting.heard_ago_ms);
            let since = Moment::ago(link.since, 0);
            let start = (said.boot, by);
            self.table.met_elsewhere(node, start, met, since);
        }
    }

    /// Says of whom there are two.
    pub(super) fn look_for_twins(&mut self, context: &mut Context<'_>) {
        let links = &*context.links;
        let heard = |node: &NodeId| Some(Moment::ago(links.get(node)?.heard, 0));
        for node in self.table.twins(heard, context.now) {
            context.out.push(MembershipEffect::Cloned { node });
        }
    }

    /// Pushes one frame of what changed; who lacks more asks on at its own pace.
    pub(super) fn push(&mut self, context: &mut Context<'_>) {
        let me = context.me.node;
        let batch = self.table.batch(me, self.share.upto, context.now);
        self.share = Share {
            upto: self.table.version(&me),
            last: context.now,
            at: None,
        };
        if let Some(batch) = batch.filter(|batch| batch.upto > batch.after) {
            for to in self.linked(context) {
                context.send(to, MembershipMessage::Batch(batch.clone()));
            }
        }
    }
}
