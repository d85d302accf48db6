//! Plain byte streams between two members, for what is too much for messages.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{AsyncRead as _, AsyncReadExt, AsyncWrite as _, AsyncWriteExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::network::limits::BULK_NAME_BYTES_MAX;
use crate::network::streams::PeerStream;

/// A byte stream to a member; its transport is encrypted from end to end, through relays too.
pub struct BulkStream(PeerStream);

impl BulkStream {
    /// Says what it is for.
    pub(super) async fn begin(mut stream: PeerStream, protocol: &str) -> io::Result<Self> {
        let length = u8::try_from(protocol.len()).unwrap_or(0);
        stream.write_all(&[length]).await?;
        stream.write_all(protocol.as_bytes()).await?;
        stream.flush().await?;
        Ok(Self(stream))
    }

    /// Reads what it is for.
    pub(super) async fn accept(mut stream: PeerStream) -> io::Result<(String, Self)> {
        let refused = || io::Error::from(io::ErrorKind::InvalidData);
        let mut length = [0];
        stream.read_exact(&mut length).await?;
        let length = usize::from(length[0]);
        if length == 0 || length > BULK_NAME_BYTES_MAX {
            return Err(refused());
        }
        let mut name = vec![0; length];
        stream.read_exact(&mut name).await?;
        let name = String::from_utf8(name).map_err(|_| refused())?;
        Ok((name, Self(stream)))
    }
}

impl fmt::Debug for BulkStream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("BulkStream")
    }
}

impl AsyncRead for BulkStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.0).poll_read(context, out.initialize_unfilled());
        read.map_ok(|read| out.advance(read))
    }
}

impl AsyncWrite for BulkStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}
