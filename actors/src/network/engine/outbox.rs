//! The engine's events on their way to its owner, who may be slow without stopping the swarm.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::network::NetworkEvent;
use crate::network::limits::SOFT_EVENTS_MAX;

pub(super) struct Outbox {
    /// Also handed to links, which tell their owner of frames themselves.
    pub(super) events: mpsc::Sender<NetworkEvent>,
    waiting: VecDeque<NetworkEvent>,
}

impl Outbox {
    pub(super) fn new(events: mpsc::Sender<NetworkEvent>) -> Self {
        Self {
            events,
            waiting: VecDeque::new(),
        }
    }

    /// An event that must arrive; there is at most one for each meeting, dial or listener.
    pub(super) fn push(&mut self, event: NetworkEvent) {
        self.waiting.push_back(event);
    }

    /// An event that is dropped where its owner is far behind.
    pub(super) fn push_soft(&mut self, event: NetworkEvent) {
        if self.waiting.len() < SOFT_EVENTS_MAX {
            self.waiting.push_back(event);
        }
    }

    /// Hands on what comes next; never ready where there is nothing. False where the owner is gone.
    pub(super) async fn deliver(&mut self) -> bool {
        if self.waiting.is_empty() {
            self.events.closed().await;
            return false;
        }
        let Ok(place) = self.events.reserve().await else {
            return false;
        };
        if let Some(event) = self.waiting.pop_front() {
            place.send(event);
        }
        true
    }
}
