//! Joining, on both sides: a stranger's one request, and what it is told.
//!
//! Few at once, slow, small, timed: what is too much is closed without an answer, and the joiner
//! tries again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::AsyncReadExt;
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::DialOpts;
use regatta_protocol::codec::Bytes;
use regatta_protocol::ident::NodeId;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::Engine;
use super::state::{give, report};
use crate::network::limits::{ADDRESSES_MAX, JOIN, JOIN_BYTES_MAX, JOINS_MAX, JOINS_PER_SECOND};
use crate::network::session::{Reader, Writer};
use crate::network::streams::{PeerStream, StreamError};
use crate::network::wire::{FrameReader, FrameWriter};
use crate::network::{Address, BulkStream, JoinError, NetworkEvent};

/// What a task that listened to somebody tells the engine.
pub(super) enum Caller {
    /// Somebody said who it is, and its first frame.
    Knocked {
        connection: ConnectionId,
        from: NodeId,
        first: Vec<u8>,
        reader: Box<Reader>,
        writer: Box<Writer>,
    },
    /// Somebody broke off, or said what nobody may say.
    Broken {
        connection: ConnectionId,
        what: Option<&'static str>,
    },
    /// A member opened a bulk stream.
    Bulk {
        connection: ConnectionId,
        protocol: String,
        stream: BulkStream,
    },
    /// A stranger asks to join.
    Join {
        bytes: Bytes,
        answer: oneshot::Sender<Bytes>,
    },
    /// A stranger's request was none.
    BadJoin { connection: ConnectionId },
    /// This node's own request was not answered at this address.
    NotJoined { joiner: Box<Joiner>, why: String },
}

/// A request of ours, and where else it can be handed in.
pub(super) struct Joiner {
    bytes: Bytes,
    addresses: VecDeque<Address>,
    answer: oneshot::Sender<Result<Bytes, JoinError>>,
}

/// What is under way.
pub(super) struct Joins {
    places: Arc<Semaphore>,
    /// How many may begin now, and since when.
    tokens: f64,
    counted: Instant,
    /// Our own requests, by the connection that is dialled for them.
    pub(super) trying: HashMap<ConnectionId, Box<Joiner>>,
}

impl Joins {
    pub(super) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(JOINS_MAX)),
            tokens: f64::from(JOINS_PER_SECOND),
            counted: Instant::now(),
            trying: HashMap::new(),
        }
    }

    /// Whether another may begin now.
    fn may_begin(&mut self) -> bool {
        let most = f64::from(JOINS_PER_SECOND);
        let gained = self.counted.elapsed().as_secs_f64() * most;
        self.counted = Instant::now();
        self.tokens = (self.tokens + gained).min(most);
        let may = self.tokens >= 1.0;
        if may {
            self.tokens -= 1.0;
        }
        may
    }
}

impl Engine {
    pub(super) fn caller(&mut self, caller: Caller) {
        match caller {
            Caller::Knocked {
                connection,
                from,
                first,
                reader,
                writer,
            } => self.knocked(connection, from, &first, *reader, *writer),
            Caller::Broken { connection, what } => {
                self.meeting_over(connection);
                if let Some(what) = what {
                    self.malformed(connection, what);
                }
            }
            Caller::Bulk {
                connection,
                protocol,
                stream,
            } => self.bulk_begun(connection, protocol, stream),
            Caller::Join { bytes, answer } => {
                self.outbox
                    .push_soft(NetworkEvent::JoinAsked { bytes, answer });
            }
            Caller::BadJoin { connection } => {
                self.malformed(connection, "a join that is none");
            }
            Caller::NotJoined { joiner, why } => self.join_at_next(*joiner, why),
        }
    }

    /// A stranger opened a join stream.
    pub(super) fn join_called(&mut self, connection: ConnectionId, stream: PeerStream) {
        let place = Arc::clone(&self.joins.places).try_acquire_owned();
        let Ok(place) = place else { return };
        if !self.joins.may_begin() {
            return;
        }
        let callers = self.tasks.callers.clone();
        self.tasks.set.spawn(async move {
            let _place = place;
            let served = timeout(JOIN, serve(stream, &callers)).await;
            if served != Ok(true) {
                report(&callers, Caller::BadJoin { connection });
            }
        });
    }

    pub(super) fn join(
        &mut self,
        addresses: Vec<Address>,
        bytes: Bytes,
        answer: oneshot::Sender<Result<Bytes, JoinError>>,
    ) {
        let length = bytes.len();
        if length == 0 || length > JOIN_BYTES_MAX {
            give(answer, Err(JoinError::TooLong { length }));
            return;
        }
        let addresses = addresses.into_iter().take(ADDRESSES_MAX).collect();
        let joiner = Joiner {
            bytes,
            addresses,
            answer,
        };
        self.join_at_next(joiner, "no address is known".to_owned());
    }

    /// Hands the request in at the next address; `why` is what came of the one before.
    pub(super) fn join_at_next(&mut self, mut joiner: Joiner, why: String) {
        let Some(address) = joiner.addresses.pop_front() else {
            give(joiner.answer, Err(JoinError::Unreachable(why)));
            return;
        };
        let options = DialOpts::unknown_peer_id().address(address.0).build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.joins.trying.insert(connection, Box::new(joiner));
            }
            Err(error) => self.join_at_next(joiner, error.to_string()),
        }
    }

    pub(super) fn join_opened(&mut self, joiner: Joiner, result: Result<PeerStream, StreamError>) {
        let stream = match result {
            Ok(stream) => stream,
            Err(_) if joiner.addresses.is_empty() => {
                give(joiner.answer, Err(JoinError::NotOffered));
                return;
            }
            Err(error) => return self.join_at_next(joiner, error.to_string()),
        };
        let callers = self.tasks.callers.clone();
        self.tasks.set.spawn(async move {
            match timeout(JOIN, ask(stream, &joiner.bytes)).await {
                Ok(Some(told)) => {
                    give(joiner.answer, Ok(told));
                }
                _ if joiner.addresses.is_empty() => {
                    give(joiner.answer, Err(JoinError::NoAnswer));
                }
                _ => {
                    let why = JoinError::NoAnswer.to_string();
                    let joiner = Box::new(joiner);
                    report(&callers, Caller::NotJoined { joiner, why });
                }
            }
        });
    }
}

/// Reads a stranger's request and tells it the owner's answer. False where it was no request.
async fn serve(stream: PeerStream, callers: &mpsc::UnboundedSender<Caller>) -> bool {
    let (reading, writing) = stream.split();
    let mut reader = FrameReader::with_max(reading, JOIN_BYTES_MAX);
    let Ok(bytes) = reader.next().await else {
        return false;
    };
    let (answer, answered) = oneshot::channel();
    let bytes = bytes.into();
    report(callers, Caller::Join { bytes, answer });
    let mut writer = FrameWriter::new(writing);
    if let Ok(told) = answered.await
        && told.len() <= JOIN_BYTES_MAX
    {
        writer.push(&told);
    }
    // Where the stranger is gone nothing is lost: it asks again.
    let _ = writer.close().await;
    true
}

/// Hands a request in.
async fn ask(stream: PeerStream, bytes: &[u8]) -> Option<Bytes> {
    let (reading, writing) = stream.split();
    let mut writer = FrameWriter::new(writing);
    writer.push(bytes);
    writer.close().await.ok()?;
    let mut reader = FrameReader::with_max(reading, JOIN_BYTES_MAX);
    Some(reader.next().await.ok()?.into())
}
