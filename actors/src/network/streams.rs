//! Plain streams on a connection of our choice: who may open which, and how many at once.
//!
//! libp2p-stream would open on a random connection to the peer, does not say on which connection a
//! stream came, drops streams that come faster than they are taken, and offers every protocol to
//! everybody. Here a connection that has not been admitted is offered `control` and `join` alone.

mod handler;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::behaviour::ConnectionClosed;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, StreamProtocol};
use regatta_protocol::ident::FleetId;
use tokio::sync::Semaphore;

use self::handler::Handler;
pub(super) use self::handler::{PeerStream, StreamError};
use crate::network::limits::STREAMS_PER_PEER_MAX;

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The session of two members.
    Control,
    /// A stranger's one request.
    Join,
    /// Plain bytes between two members that have a session.
    Bulk,
}

/// The names of the protocols; the fleet is in each, so nothing begins between two fleets.
#[derive(Clone, Debug)]
pub(super) struct Protocols([StreamProtocol; 3]);

impl Protocols {
    pub(super) fn of(fleet: FleetId) -> Self {
        let name = |what: &str| {
            let name = format!("/regatta/{fleet}/{what}/1");
            StreamProtocol::try_from_owned(name).expect("the name begins with a slash")
        };
        Self([name("control"), name("join"), name("bulk")])
    }

    fn name(&self, class: Class) -> StreamProtocol {
        let [control, join, bulk] = &self.0;
        match class {
            Class::Control => control.clone(),
            Class::Join => join.clone(),
            Class::Bulk => bulk.clone(),
        }
    }

    fn class(&self, name: &StreamProtocol) -> Option<Class> {
        let classes = [Class::Control, Class::Join, Class::Bulk];
        let mut known = self.0.iter().zip(classes);
        known.find_map(|(known, class)| (known == name).then_some(class))
    }
}

/// A stream that was asked for and is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// What came of a connection's streams.
#[derive(Debug)]
pub(super) enum StreamEvent {
    /// The peer opened a stream.
    Inbound {
        connection: ConnectionId,
        class: Class,
        stream: PeerStream,
    },
    /// What a ticket asked for.
    Opened {
        ticket: Ticket,
        result: Result<PeerStream, StreamError>,
    },
    /// The peer opened more streams than it may; the excess is closed.
    TooMany { connection: ConnectionId },
}

type Due = ToSwarm<StreamEvent, handler::Order>;

pub(super) struct Streams {
    protocols: Protocols,
    due: VecDeque<Due>,
    /// One for each peer, over all of its connections.
    permits: HashMap<PeerId, (Arc<Semaphore>, usize)>,
    asked: HashMap<ConnectionId, Vec<Ticket>>,
    tickets: u64,
}

impl Streams {
    pub(super) fn new(protocols: Protocols) -> Self {
        Self {
            protocols,
            due: VecDeque::new(),
            permits: HashMap::new(),
            asked: HashMap::new(),
            tickets: 0,
        }
    }

    /// Asks for a stream on this connection; `Opened` answers in any case.
    pub(super) fn open(&mut self, peer: PeerId, connection: ConnectionId, class: Class) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        if let Some(asked) = self.asked.get_mut(&connection) {
            asked.push(ticket);
            self.order(peer, connection, handler::Order::Open { class, ticket });
        } else {
            self.answer(ticket, Err(StreamError::Gone));
        }
        ticket
    }

    /// From now on the peer may open bulk streams on this connection, and joins no more.
    pub(super) fn admit(&mut self, peer: PeerId, connection: ConnectionId) {
        self.order(peer, connection, handler::Order::Admit);
    }

    fn order(&mut self, peer_id: PeerId, connection: ConnectionId, event: handler::Order) {
        self.due.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::One(connection),
            event,
        });
    }

    fn answer(&mut self, ticket: Ticket, result: Result<PeerStream, StreamError>) {
        let event = StreamEvent::Opened { ticket, result };
        self.due.push_back(ToSwarm::GenerateEvent(event));
    }

    fn begin(&mut self, peer: PeerId) -> Handler {
        let fresh = || (Arc::new(Semaphore::new(STREAMS_PER_PEER_MAX)), 0);
        let (permits, _) = self.permits.entry(peer).or_insert_with(fresh);
        Handler::new(self.protocols.clone(), Arc::clone(permits))
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = StreamEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.begin(peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.begin(peer))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                self.asked.insert(established.connection_id, Vec::new());
                if let Some((_, count)) = self.permits.get_mut(&established.peer_id) {
                    *count += 1;
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                connection_id,
                peer_id,
                remaining_established,
                ..
            }) => {
                for ticket in self.asked.remove(&connection_id).unwrap_or_default() {
                    self.answer(ticket, Err(StreamError::Gone));
                }
                if remaining_established == 0 {
                    self.permits.remove(&peer_id);
                }
            }
            // A connection that another behaviour denied leaves its peer's permits behind.
            FromSwarm::ListenFailure(_) | FromSwarm::DialFailure(_) => {
                self.permits
                    .retain(|_, (permits, count)| *count > 0 || Arc::strong_count(permits) > 1);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            handler::Report::Inbound { class, stream } => {
                self.due
                    .push_back(ToSwarm::GenerateEvent(StreamEvent::Inbound {
                        connection,
                        class,
                        stream,
                    }));
            }
            handler::Report::Opened { ticket, result } => {
                if let Some(asked) = self.asked.get_mut(&connection) {
                    asked.retain(|one| *one != ticket);
                }
                self.answer(ticket, result);
            }
            handler::Report::TooMany => {
                let event = StreamEvent::TooMany { connection };
                self.due.push_back(ToSwarm::GenerateEvent(event));
            }
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<StreamEvent, THandlerInEvent<Self>>> {
        match self.due.pop_front() {
            Some(due) => Poll::Ready(due),
            // Whatever fills `due` is called by the swarm or right before it is polled.
            None => Poll::Pending,
        }
    }
}
