//! What a link has for its owner: messages put together from pieces, in order, at the owner's pace.

use std::collections::VecDeque;
use std::time::Duration;

use regatta_protocol::crypto::channel::Direction;
use regatta_protocol::ident::NodeId;
use tokio::sync::mpsc;

use crate::network::limits::MESSAGE_BYTES_MAX;
use crate::network::{DownReason, NetworkEvent, Path};

/// Events that wait before reading pauses.
const WAITING_MAX: usize = 8;

/// Events of one link on their way to its owner.
pub(super) struct Inbox {
    peer: NodeId,
    waiting: VecDeque<NetworkEvent>,
    /// A message of which some pieces are here.
    partial: Option<(u8, Vec<u8>)>,
    path: Option<Path>,
}

impl Inbox {
    pub(super) fn new(peer: NodeId) -> Self {
        Self {
            peer,
            waiting: VecDeque::new(),
            partial: None,
            path: None,
        }
    }

    /// Whether another frame may be read: what it brings, one or two events, has a place.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX
    }

    /// A session is in use.
    pub(super) fn up(&mut self, path: Path, rtt: Duration) {
        let peer = self.peer;
        let event = match &self.path {
            None => {
                tracing::debug!(%peer, address = %path.address, relayed = path.relayed, "link is up");
                let path = path.clone();
                NetworkEvent::Up { peer, path, rtt }
            }
            Some(before) if *before != path => {
                tracing::debug!(%peer, address = %path.address, "link goes on over another path");
                let path = path.clone();
                NetworkEvent::PathChanged { peer, path }
            }
            Some(_) => NetworkEvent::KeyEpoch {
                peer,
                direction: Direction::Sending,
                epoch: 0,
            },
        };
        self.path = Some(path);
        self.waiting.push_back(event);
    }

    pub(super) fn key(&mut self, direction: Direction, epoch: u64) {
        let peer = self.peer;
        self.waiting.push_back(NetworkEvent::KeyEpoch {
            peer,
            direction,
            epoch,
        });
    }

    /// A piece of a message. Pieces of two messages never mix, and none is longer than its cap.
    pub(super) fn piece(&mut self, tag: u8, piece: &[u8], last: bool) -> Result<(), DownReason> {
        let (began, mut bytes) = self.partial.take().unwrap_or((tag, Vec::new()));
        if began != tag || bytes.len() + piece.len() > MESSAGE_BYTES_MAX {
            return Err(DownReason::Malformed);
        }
        bytes.extend_from_slice(piece);
        if !last {
            if piece.is_empty() {
                return Err(DownReason::Malformed);
            }
            self.partial = Some((tag, bytes));
            return Ok(());
        }
        let peer = self.peer;
        self.waiting
            .push_back(NetworkEvent::Frame { peer, tag, bytes });
        Ok(())
    }

    /// Hands on what comes next, once the owner has room; never ready where there is nothing.
    /// False where the owner is gone.
    pub(super) async fn deliver(&mut self, events: &mpsc::Sender<NetworkEvent>) -> bool {
        if self.waiting.is_empty() {
            return std::future::pending().await;
        }
        let Ok(place) = events.reserve().await else {
            return false;
        };
        if let Some(event) = self.waiting.pop_front() {
            place.send(event);
        }
        true
    }

    /// Hands on all that waits, and that the link is down.
    pub(super) async fn close(&mut self, events: &mpsc::Sender<NetworkEvent>, reason: DownReason) {
        if self.path.is_none() {
            return;
        }
        let peer = self.peer;
        self.waiting.push_back(NetworkEvent::Down { peer, reason });
        while !self.waiting.is_empty() && self.deliver(events).await {}
    }
}
