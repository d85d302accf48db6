//! Bounds the connections that have begun and not yet shown a key: a newcomer pushes out the oldest.
//!
//! Whoever opens a thousand connections and says nothing holds every place for as long as a
//! handshake may take, if a full house turns newcomers away. Here an honest handshake needs a place
//! for a few round trips only, and gets it.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::{Multiaddr, PeerId, Transport};
use tokio::sync::oneshot;

type Secured = (PeerId, StreamMuxerBox);

/// A transport whose listeners have so many places.
pub(super) struct Doorway {
    inner: Boxed<Secured>,
    places: usize,
    /// Dropped to push one out; closed by those that came through or gave up.
    pending: VecDeque<oneshot::Sender<()>>,
}

impl Doorway {
    pub(super) fn new(inner: Boxed<Secured>, places: usize) -> Self {
        Self {
            inner,
            places,
            pending: VecDeque::new(),
        }
    }

    fn enter(&mut self) -> oneshot::Receiver<()> {
        self.pending.retain(|pending| !pending.is_closed());
        if self.pending.len() >= self.places {
            self.pending.pop_front();
        }
        let (place, pushed) = oneshot::channel();
        self.pending.push_back(place);
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
        Poll::Ready(event.map_upgrade(|upgrade| {
            let pushed = self.enter();
            async move {
                match select(upgrade, pushed).await {
                    Either::Left((secured, _)) => secured,
                    Either::Right(_) => {
                        let why = "made room for a newcomer before it had shown a key";
                        Err(io::Error::new(io::ErrorKind::ConnectionAborted, why))
                    }
                }
            }
            .boxed()
        }))
    }
}
