//! Bounds the connections that have begun and not yet shown a key.
//!
//! Who has to make room, and when, [`Places`] says. A limit of libp2p's would turn the newest away:
//! whoever opens a thousand connections and says nothing would close the door to everybody.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::{Multiaddr, PeerId, Transport};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::network::places::{Entry, Origin, Places};

type Secured = (PeerId, StreamMuxerBox);

/// A transport whose listeners have so many places.
pub(super) struct Doorway {
    inner: Boxed<Secured>,
    /// Dropped to push one out; closed by those that came through or gave up.
    pending: Places<oneshot::Sender<()>>,
}

impl Doorway {
    pub(super) fn new(inner: Boxed<Secured>, places: usize) -> Self {
        Self {
            inner,
            pending: Places::new(places),
        }
    }

    /// A place for somebody; what it is given ends at once where there is none.
    fn enter(&mut self, from: &Multiaddr) -> oneshot::Receiver<()> {
        self.pending.retain(|pending| !pending.is_closed());
        let (place, pushed) = oneshot::channel();
        let entry = self.pending.enter(place, Origin::of(from), Instant::now());
        if let Entry::Instead(other) = entry {
            drop(other);
        }
        pushed
    }
}

impl Transport for Doorway {
    type Output = Secured;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Secured>>;
    type Dial = <Boxed<Secured> as Transport>::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        self.inner.dial(address, options)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        let event = ready!(Pin::new(&mut self.inner).poll(context));
        let from = match &event {
            TransportEvent::Incoming { send_back_addr, .. } => send_back_addr.clone(),
            _ => Multiaddr::empty(),
        };
        Poll::Ready(event.map_upgrade(|upgrade| {
            let pushed = self.enter(&from);
            async move {
                match select(upgrade, pushed).await {
                    Either::Left((secured, _)) => secured,
                    Either::Right(_) => {
                        let why = "no place for it: others had not yet shown their keys";
                        Err(io::Error::new(io::ErrorKind::ConnectionAborted, why))
                    }
                }
            }
            .boxed()
        }))
    }
}
