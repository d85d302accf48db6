//! One connection in memory: two directions, each an ordered flight of segments.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::{AsyncRead, AsyncWrite, StreamExt};
use tokio::time::{Instant, Sleep, sleep_until};

use super::MemoryNet;

/// What a direction holds before its writer has to wait, like a kernel's buffer.
const FLIGHT_BYTES_MAX: usize = 128 * 1024;

/// One direction.
struct Pipe {
    from: u64,
    to: u64,
    flight: Mutex<Flight>,
}

#[derive(Default)]
struct Flight {
    segments: VecDeque<(Option<Instant>, Vec<u8>)>,
    bytes: usize,
    latest: Option<Instant>,
    /// The writer is gone: after what is in flight the stream ends.
    ended: bool,
    /// The reader is gone: nobody will take what is written.
    deserted: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(from: u64, to: u64) -> Arc<Self> {
        let flight = Mutex::default();
        Arc::new(Self { from, to, flight })
    }

    fn lock(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end of a connection.
pub(in crate::network) struct End {
    net: MemoryNet,
    reading: Arc<Pipe>,
    writing: Arc<Pipe>,
    /// Until the first segment in flight arrives.
    arrival: Option<Pin<Box<Sleep>>>,
    /// Wakes on changes of what is cut.
    changes: Pin<Box<dyn futures::Stream<Item = ()> + Send>>,
}

/// Both ends of a new connection, the dialler's first.
pub(super) fn connection(net: &MemoryNet, dialler: u64, listener: u64) -> (End, End) {
    let there = Pipe::new(dialler, listener);
    let back = Pipe::new(listener, dialler);
    let end = |reading: &Arc<Pipe>, writing: &Arc<Pipe>| End {
        net: net.clone(),
        reading: Arc::clone(reading),
        writing: Arc::clone(writing),
        arrival: None,
        changes: Box::pin(futures::stream::unfold(
            net.changed.subscribe(),
            |mut changed| async move {
                changed.changed().await.ok()?;
                Some(((), changed))
            },
        )),
    };
    (end(&back, &there), end(&there, &back))
}

impl End {
    /// Leaves a waker with the network where this direction is cut.
    fn waits_for_healing(&mut self, context: &mut Context<'_>) -> bool {
        while self.net.is_cut(self.reading.from, self.reading.to) {
            if self.changes.poll_next_unpin(context).is_pending() {
                return true;
            }
        }
        false
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.waits_for_healing(context) {
            return Poll::Pending;
        }
        let pipe = Arc::clone(&self.reading);
        let mut flight = pipe.lock();
        loop {
            let Some((due, segment)) = flight.segments.front_mut() else {
                if flight.ended {
                    return Poll::Ready(Ok(0));
                }
                flight.reader = Some(context.waker().clone());
                return Poll::Pending;
            };
            if let Some(at) = due.filter(|due| *due > Instant::now()) {
                let arrival = self
                    .arrival
                    .get_or_insert_with(|| Box::pin(sleep_until(at)));
                if arrival.deadline() != at {
                    arrival.as_mut().reset(at);
                }
                if arrival.as_mut().poll(context).is_pending() {
                    flight.reader = Some(context.waker().clone());
                    return Poll::Pending;
                }
                continue;
            }
            let taken = segment.len().min(out.len());
            out[..taken].copy_from_slice(&segment[..taken]);
            segment.drain(..taken);
            if segment.is_empty() {
                flight.segments.pop_front();
            }
            flight.bytes -= taken;
            if let Some(writer) = flight.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Ok(taken));
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let delay = self.net.delay(self.writing.from, self.writing.to);
        // No reset gets through to whoever is cut off: he goes on writing until his buffer is full.
        let told = !self.net.is_cut(self.reading.from, self.reading.to);
        let mut flight = self.writing.lock();
        if flight.ended || (flight.deserted && told) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = FLIGHT_BYTES_MAX - flight.bytes.min(FLIGHT_BYTES_MAX);
        let taken = bytes.len().min(room);
        if taken == 0 && !bytes.is_empty() {
            flight.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        // Segments arrive in the order in which they left, like a stream's.
        let at = Instant::now() + delay;
        let at = flight.latest.map_or(at, |latest| latest.max(at));
        flight.latest = Some(at);
        flight
            .segments
            .push_back((Some(at), bytes[..taken].to_vec()));
        flight.bytes += taken;
        if let Some(reader) = flight.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        end(&mut self.writing.lock());
        Poll::Ready(Ok(()))
    }
}

fn end(flight: &mut Flight) {
    flight.ended = true;
    if let Some(reader) = flight.reader.take() {
        reader.wake();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        end(&mut self.writing.lock());
        let mut flight = self.reading.lock();
        flight.deserted = true;
        if let Some(writer) = flight.writer.take() {
            writer.wake();
        }
    }
}
