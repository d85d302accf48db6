//! Bulk streams: opened on the connection that the link uses, accepted from members alone.

use libp2p::swarm::ConnectionId;
use regatta_protocol::ident::NodeId;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Engine;
use super::joins::Caller;
use super::state::{Asked, give, report};
use crate::network::limits::{BULK_NAME_BYTES_MAX, NEGOTIATION};
use crate::network::streams::{Class, PeerStream, StreamError};
use crate::network::{BulkError, BulkStream, NetworkEvent};

type Answer = oneshot::Sender<Result<BulkStream, BulkError>>;

impl Engine {
    pub(super) fn open_bulk(&mut self, peer: NodeId, protocol: String, answer: Answer) {
        if protocol.is_empty() || protocol.len() > BULK_NAME_BYTES_MAX {
            give(answer, Err(BulkError::Name));
            return;
        }
        let link = self.peers.get(&peer).and_then(|at| at.link.as_ref());
        let link = link.filter(|link| link.up && !link.ending);
        let connection = link.map(|link| link.route.connection);
        let held = connection.and_then(|connection| self.connections.map.get(&connection));
        let (Some(connection), Some(held)) = (connection, held) else {
            give(answer, Err(BulkError::NotUp));
            return;
        };
        let streams = &mut self.swarm.behaviour_mut().streams;
        let ticket = streams.open(held.peer_id, connection, Class::Bulk);
        self.asked.insert(ticket, Asked::Bulk { protocol, answer });
    }

    pub(super) fn bulk_opened(
        &mut self,
        protocol: String,
        answer: Answer,
        result: Result<PeerStream, StreamError>,
    ) {
        let refused = |why: String| Err(BulkError::Refused(why));
        match result {
            Ok(stream) => {
                self.tasks.set.spawn(async move {
                    let begun = timeout(NEGOTIATION, BulkStream::begin(stream, &protocol)).await;
                    give(
                        answer,
                        match begun {
                            Ok(Ok(stream)) => Ok(stream),
                            Ok(Err(error)) => refused(error.to_string()),
                            Err(_) => refused("the peer does not read".to_owned()),
                        },
                    );
                });
            }
            Err(error) => {
                give(answer, refused(error.to_string()));
            }
        }
    }

    pub(super) fn bulk_called(&mut self, connection: ConnectionId, stream: PeerStream) {
        let callers = self.tasks.callers.clone();
        self.tasks.set.spawn(async move {
            if let Ok(Ok((protocol, stream))) =
                timeout(NEGOTIATION, BulkStream::accept(stream)).await
            {
                report(
                    &callers,
                    Caller::Bulk {
                        connection,
                        protocol,
                        stream,
                    },
                );
            }
        });
    }

    /// A member said what its stream is for.
    pub(super) fn bulk_begun(
        &mut self,
        connection: ConnectionId,
        protocol: String,
        stream: BulkStream,
    ) {
        let held = self.connections.map.get(&connection);
        if let Some(peer) = held.and_then(|held| held.admitted) {
            self.outbox.push_soft(NetworkEvent::Bulk {
                peer,
                protocol,
                stream,
            });
        }
    }
}
