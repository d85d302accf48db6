//! One session: the Noise channel's machine, and the stream that it runs over.

use futures::AsyncReadExt;
use futures::io::{ReadHalf, WriteHalf};
use libp2p::swarm::ConnectionId;
use regatta_protocol::crypto::channel::{Channel, ChannelError, Effect};
use regatta_protocol::machine::Millis;
use tokio::time::Instant;

use crate::network::Path;
use crate::network::streams::PeerStream;
use crate::network::wire::{FrameReader, FrameWriter};
use crate::network::word::Word;

/// The machines' clock: milliseconds since the network began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(pub(super) Instant);

impl Clock {
    pub(super) fn now(self) -> Millis {
        Millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn instant(self, at: Millis) -> Instant {
        self.0 + std::time::Duration::from_millis(at.0)
    }
}

/// A connection as a session sees it.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) connection: ConnectionId,
    pub(super) path: Path,
}

pub(super) type Reader = FrameReader<ReadHalf<PeerStream>>;
pub(super) type Writer = FrameWriter<WriteHalf<PeerStream>>;

/// A stream in two halves.
pub(super) fn halves(stream: PeerStream) -> (Reader, Writer) {
    let (reading, writing) = stream.split();
    (FrameReader::new(reading), FrameWriter::new(writing))
}

/// One session of two members.
pub(super) struct Session {
    /// What the lower id calls it; 0 until it is taken.
    pub(super) number: u32,
    pub(super) route: Route,
    pub(super) channel: Channel,
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    /// Whether the peer has said its last word on it.
    pub(super) heard_last: bool,
    /// Whether we have.
    pub(super) said_last: bool,
}

impl Session {
    pub(super) fn new(route: Route, channel: Channel, reader: Reader, writer: Writer) -> Self {
        Self {
            number: 0,
            route,
            channel,
            reader,
            writer,
            heard_last: false,
            said_last: false,
        }
    }

    /// Seals a word and queues its frame; what else follows is in `out`.
    pub(super) fn say(
        &mut self,
        now: Millis,
        word: &Word<'_>,
        out: &mut Vec<Effect>,
    ) -> Result<(), ChannelError> {
        let from = out.len();
        self.channel.send(now, &word.write(), out)?;
        self.queue(from, out);
        Ok(())
    }

    /// Queues the frames among `out` from `from` on, and leaves the rest there.
    pub(super) fn queue(&mut self, from: usize, out: &mut Vec<Effect>) {
        let effects: Vec<Effect> = out.drain(from..).collect();
        for effect in effects {
            match effect {
                Effect::Send(frame) => self.writer.push(&frame),
                other => out.push(other),
            }
        }
    }

    /// Takes the peer's next frame; what follows is in `out`.
    pub(super) fn take(&mut self, now: Millis, frame: &[u8], out: &mut Vec<Effect>) {
        let from = out.len();
        self.channel.receive(now, frame, out);
        self.queue(from, out);
    }
}
