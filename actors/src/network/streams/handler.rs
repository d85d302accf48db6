//! One connection's streams: negotiated, counted against the peer's permits, handed on.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
};
use libp2p::{Stream, StreamProtocol};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Class, Protocols, Ticket};
use crate::network::limits::NEGOTIATION;

/// A stream, and its place among those that its peer may have.
#[derive(Debug)]
pub(in crate::network) struct PeerStream {
    stream: Stream,
    _permit: OwnedSemaphorePermit,
}

/// Why a stream could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(in crate::network) enum StreamError {
    /// The connection is gone.
    #[error("the connection was closed")]
    Gone,
    /// The peer does not speak it: of another fleet, or it has not admitted us.
    #[error("the peer does not offer this protocol to us; it may be of another fleet")]
    NotOffered,
    /// No agreement in time.
    #[error("the peer did not agree on a protocol within 5 s")]
    TimedOut,
    /// As many as are allowed are open.
    #[error("64 streams are open to this peer; close one first")]
    TooMany,
}

/// What the behaviour tells a connection.
#[derive(Debug)]
pub(in crate::network) enum Order {
    Open { class: Class, ticket: Ticket },
    Admit,
}

/// What a connection tells the behaviour.
#[derive(Debug)]
pub(in crate::network) enum Report {
    Inbound {
        class: Class,
        stream: PeerStream,
    },
    Opened {
        ticket: Ticket,
        result: Result<PeerStream, StreamError>,
    },
    TooMany,
}

/// Some protocols, by name alone.
#[derive(Clone, Debug)]
pub(in crate::network) struct Offer(Vec<StreamProtocol>);

impl UpgradeInfo for Offer {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Offer {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        ready(Ok((stream, name)))
    }
}

impl OutboundUpgrade<Stream> for Offer {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

type Due = ConnectionHandlerEvent<Offer, (Ticket, OwnedSemaphorePermit), Report>;

pub(in crate::network) struct Handler {
    protocols: Protocols,
    permits: Arc<Semaphore>,
    admitted: bool,
    due: VecDeque<Due>,
}

impl Handler {
    pub(super) fn new(protocols: Protocols, permits: Arc<Semaphore>) -> Self {
        Self {
            protocols,
            permits,
            admitted: false,
            due: VecDeque::new(),
        }
    }

    fn report(&mut self, report: Report) {
        let event = ConnectionHandlerEvent::NotifyBehaviour(report);
        self.due.push_back(event);
    }

    fn inbound(&mut self, stream: Stream, name: &StreamProtocol) {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let report = match (self.protocols.class(name), permit) {
            (Some(class), Ok(permit)) => {
                let _permit = permit;
                let stream = PeerStream { stream, _permit };
                Report::Inbound { class, stream }
            }
            _ => Report::TooMany,
        };
        self.report(report);
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Order;
    type ToBehaviour = Report;
    type InboundProtocol = Offer;
    type OutboundProtocol = Offer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = (Ticket, OwnedSemaphorePermit);

    fn listen_protocol(&self) -> SubstreamProtocol<Offer> {
        let second = if self.admitted {
            Class::Bulk
        } else {
            Class::Join
        };
        let names = [Class::Control, second].map(|class| self.protocols.name(class));
        SubstreamProtocol::new(Offer(names.to_vec()), ()).with_timeout(NEGOTIATION)
    }

    fn on_behaviour_event(&mut self, order: Order) {
        match order {
            Order::Admit => self.admitted = true,
            Order::Open { class, ticket } => {
                let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                    let result = Err(StreamError::TooMany);
                    return self.report(Report::Opened { ticket, result });
                };
                let offer = Offer(vec![self.protocols.name(class)]);
                let protocol =
                    SubstreamProtocol::new(offer, (ticket, permit)).with_timeout(NEGOTIATION);
                let event = ConnectionHandlerEvent::OutboundSubstreamRequest { protocol };
                self.due.push_back(event);
            }
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<Due> {
        match self.due.pop_front() {
            Some(due) => Poll::Ready(due),
            // The connection polls again after every call that can fill `due`.
            None => Poll::Pending,
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Offer, Offer, (), (Ticket, OwnedSemaphorePermit)>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, name),
                ..
            }) => self.inbound(stream, &name),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: (ticket, permit),
            }) => {
                let _permit = permit;
                let result = Ok(PeerStream { stream, _permit });
                self.report(Report::Opened { ticket, result });
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError {
                info: (ticket, _),
                error,
            }) => {
                let result = Err(match error {
                    StreamUpgradeError::Timeout => StreamError::TimedOut,
                    StreamUpgradeError::NegotiationFailed => StreamError::NotOffered,
                    StreamUpgradeError::Io(_) => StreamError::Gone,
                    StreamUpgradeError::Apply(never) => match never {},
                });
                self.report(Report::Opened { ticket, result });
            }
            _ => {}
        }
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(context, out)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}
