//! Asking neighbours for a long body, of which those that fetch it too have shares.

use std::collections::BTreeSet;

use crate::ident::{Hash, NodeId};
use crate::ledger::bodies::message::BodyMessage;
use crate::ledger::bodies::{Bodies, Step};
use crate::limits::BODY_SHARERS_MAX;

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
                search.asked.insert(node, true);
                let request = search.request.clone();
                step.send(
                    node,
                    BodyMessage::Request {
                        hops_left: 0,
                        request,
                    },
                );
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
        let Some(search) = fetch.and_then(|fetch| fetch.search.as_mut()) else {
            return;
        };
        let open = search.asked.get(&peer) == Some(&true) || search.later.contains(&peer);
        let room = search.asked.len() < BODY_SHARERS_MAX || search.asked.contains_key(&peer);
        if !open && room {
            search.asked.insert(peer, true);
            let request = search.request.clone();
            step.send(
                peer,
                BodyMessage::Request {
                    hops_left: 0,
                    request,
                },
            );
        }
    }
}
