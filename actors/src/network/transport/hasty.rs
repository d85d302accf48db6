//! Connections that close within their time, whether or not the peer takes the farewell.
//!
//! A connection counts against its peer's until it is closed, and closing waits until what is still
//! to be sent has been sent. Whoever never reads could keep its places, and everybody's, that way.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent};
use tokio::time::{Sleep, sleep};

/// How long a farewell may take.
const CLOSING: Duration = Duration::from_secs(2);

/// A connection that closes within [`CLOSING`].
pub(super) struct Hasty {
    inner: StreamMuxerBox,
    closing: Option<Pin<Box<Sleep>>>,
}

impl Hasty {
    pub(super) fn new(inner: StreamMuxerBox) -> Self {
        let closing = None;
        Self { inner, closing }
    }
}

impl StreamMuxer for Hasty {
    type Substream = <StreamMuxerBox as StreamMuxer>::Substream;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        Pin::new(&mut self.inner).poll_inbound(context)
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        Pin::new(&mut self.inner).poll_outbound(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(closed) = Pin::new(&mut self.inner).poll_close(context) {
            return Poll::Ready(closed);
        }
        let closing = self.closing.get_or_insert_with(|| Box::pin(sleep(CLOSING)));
        let late = || Err(io::ErrorKind::TimedOut.into());
        closing.as_mut().poll(context).map(|()| late())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.inner).poll(context)
    }
}
