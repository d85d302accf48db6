//! Asking neighbours for a long body, of which those that fetch it too have shares.

use std::collections::BTreeSet;

use super::Search;
use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::message::BodyMessage;
use crate::ledger::bodies::{Bodies, Step};
use crate::limits::BODY_SHARERS_MAX;

impl Search {
    /// Asks a neighbour for what it hands out itself; it does not ask on.
    fn ask_itself(&mut self, step: &mut Step<'_>, peer: NodeId) {
        self.asked.insert(peer, true);
        let message = BodyMessage::Request {
            hops_left: 0,
            request: self.request.clone(),
        };
        step.send(peer, message);
    }
}

impl Bodies {
    /// Asks every neighbour whether it hands out a long body itself; none of these asks on.
    pub(super) fn ask_around(&mut self, step: &mut Step<'_>, hash: Hash) {
        let peers = self.candidates(&BTreeSet::new());
        let fetch = self.fetches.0.get_mut(&hash);
        let Some(search) = fetch.and_then(|fetch| fetch.search.as_mut()) else {
            return;
        };
        for node in peers {
            if search.asked.len() < BODY_SHARERS_MAX && !search.asked.contains_key(&node) {
                search.ask_itself(step, node);
            }
        }
    }

    /// A neighbour wants a body that is fetched here too: it may have a share of it soon.
    pub(in crate::ledger::bodies) fn ask_back(
        &mut self,
        step: &mut Step<'_>,
        hash: &Hash,
        peer: NodeId,
    ) {
        let fetch = self.fetches.0.get_mut(hash);
        // Whoever gave something wrong, or promised and gave nothing, is asked by a search of its own.
        let fetch = fetch.filter(|fetch| !fetch.suspects.contains(&peer));
        let Some(search) = fetch.and_then(|fetch| fetch.search.as_mut()) else {
            return;
        };
        let open = search.asked.get(&peer) == Some(&true) || search.later.contains(&peer);
        let room = search.asked.len() < BODY_SHARERS_MAX || search.asked.contains_key(&peer);
        if !open && room {
            search.ask_itself(step, peer);
        }
    }
}
