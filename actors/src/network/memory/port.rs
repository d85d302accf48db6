//! libp2p's view of a place in the network in memory: listening, dialling, connections that arrive.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, Ready, ready};
use libp2p::Multiaddr;
use libp2p::Transport;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::pipe::{End, connection};
use super::{BACKLOG, MemoryNet, MemoryPort};

/// Return addresses of diallers, above all addresses of nodes.
const RETURN_ADDRESSES: u64 = 1 << 48;

/// A connection that somebody dialled, and its return address.
pub(super) type Arrival = (End, u64);

/// One node's transport.
pub(in crate::network) struct MemoryTransport {
    port: MemoryPort,
    listener: Option<(ListenerId, mpsc::Receiver<Arrival>)>,
    events: VecDeque<TransportEvent<Ready<io::Result<End>>, io::Error>>,
}

impl MemoryTransport {
    pub(in crate::network) fn new(port: MemoryPort) -> Self {
        Self {
            port,
            listener: None,
            events: VecDeque::new(),
        }
    }
}

/// `/memory/N`, perhaps with the peer's name behind it.
fn number_of(address: &Multiaddr) -> Option<u64> {
    let mut parts = address.iter();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::Memory(number)), None | Some(Protocol::P2p(_)), None) => Some(number),
        _ => None,
    }
}

async fn dial(net: MemoryNet, from: u64, to: u64) -> io::Result<End> {
    net.carries(from, to).await;
    let there_and_back = net.delay(from, to) + net.delay(to, from);
    sleep(there_and_back).await;
    net.carries(from, to).await;
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let (listener, number) = {
        let mut fabric = net.lock();
        fabric.dialled += 1;
        let listener = fabric.listeners.get(&to).cloned();
        (listener.ok_or_else(refused)?, fabric.dialled)
    };
    let (ours, theirs) = connection(&net, from, to);
    let arrival = (theirs, RETURN_ADDRESSES + number);
    listener.send(arrival).await.map_err(|_| refused())?;
    Ok(ours)
}

impl Transport for MemoryTransport {
    type Output = End;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<End>>;
    type Dial = BoxFuture<'static, io::Result<End>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        let number = number_of(&address);
        let number = number.ok_or(TransportError::MultiaddrNotSupported(address.clone()))?;
        let mut fabric = self.port.net.lock();
        let taken = fabric.listeners.get(&number);
        if number != self.port.number || taken.is_some_and(|taken| !taken.is_closed()) {
            let in_use = io::Error::from(io::ErrorKind::AddrInUse);
            return Err(TransportError::Other(in_use));
        }
        let (sender, receiver) = mpsc::channel(BACKLOG);
        fabric.listeners.insert(number, sender);
        self.listener = Some((id, receiver));
        self.events.push_back(TransportEvent::NewAddress {
            listener_id: id,
            listen_addr: address,
        });
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let ours = self.listener.take_if(|(listener, _)| *listener == id);
        if ours.is_some() {
            self.events.push_back(TransportEvent::ListenerClosed {
                listener_id: id,
                reason: Ok(()),
            });
        }
        ours.is_some()
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let to = number_of(&address).ok_or(TransportError::MultiaddrNotSupported(address))?;
        Ok(dial(self.port.net.clone(), self.port.number, to).boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        let own = self.port.number;
        let Some((id, receiver)) = &mut self.listener else {
            return Poll::Pending;
        };
        let Poll::Ready(Some((end, from))) = receiver.poll_recv(context) else {
            return Poll::Pending;
        };
        Poll::Ready(TransportEvent::Incoming {
            listener_id: *id,
            upgrade: ready(Ok(end)),
            local_addr: Multiaddr::empty().with(Protocol::Memory(own)),
            send_back_addr: Multiaddr::empty().with(Protocol::Memory(from)),
        })
    }
}
