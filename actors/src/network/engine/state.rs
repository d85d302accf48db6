//! What the engine remembers: of itself, of each peer, of what it asked for and when to look again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::channel::{Early, EarlyWindow};
use regatta_protocol::crypto::seal::{BoxKey, BoxSecret};
use regatta_protocol::ident::{FleetId, NodeId};
use regatta_protocol::prng::Prng;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::joins::{Caller, Joiner};
use crate::network::choice::Present;
use crate::network::link::{LinkNews, Order, Outgoing};
use crate::network::meeting::{Agenda, Cause, MeetingId, Minutes, Ready};
use crate::network::session::{Clock, Route};
use crate::network::word::Standing;
use crate::network::{BulkError, BulkStream, NetworkArguments, NetworkLimits};

/// First messages of members that are remembered, so that one which comes again is refused.
const EARLY_WINDOW: usize = 1024;

/// Who this node is.
pub(super) struct Own {
    pub(super) fleet: FleetId,
    pub(super) node: NodeId,
    pub(super) secret: BoxSecret,
    pub(super) greeting: Bytes,
    pub(super) limits: NetworkLimits,
    pub(super) relays: bool,
    pub(super) chance: Chance,
    pub(super) clock: Clock,
    /// Sessions begun so far, and the last number that one was given.
    pub(super) counters: Counters,
    /// Places for bytes that wait for all peers.
    pub(super) in_flight: Arc<Semaphore>,
}

/// What is drawn, and what is remembered so that it is not taken twice.
pub(super) struct Chance {
    pub(super) prng: Prng,
    pub(super) window: EarlyWindow,
    /// Of this start.
    pub(super) instance: u64,
}

/// Numbers that only grow.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) begun: u64,
    pub(super) sessions: u32,
    pub(super) meetings: u64,
}

impl Own {
    pub(super) fn new(arguments: NetworkArguments) -> Self {
        let mut prng = arguments.prng;
        let instance = prng.next_u64();
        let window = EarlyWindow::new(EARLY_WINDOW);
        let in_flight = arguments.limits.in_flight_bytes_max;
        Self {
            fleet: arguments.fleet,
            node: arguments.node,
            secret: arguments.keys.seal,
            greeting: arguments.greeting,
            limits: arguments.limits,
            relays: arguments.settings.relay,
            chance: Chance {
                prng,
                window,
                instance,
            },
            clock: Clock(Instant::now()),
            counters: Counters::default(),
            in_flight: Arc::new(Semaphore::new(in_flight.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// What this node says of itself to a peer of which it holds this session.
    pub(super) fn standing(&self, holds: u32) -> Standing {
        Standing {
            instance: self.chance.instance,
            begun: self.counters.begun,
            holds,
        }
    }
}

/// What is known of a peer, for as long as there is something with it.
#[derive(Default)]
pub(super) struct Peer {
    pub(super) known: Option<Known>,
    /// The connection on which the present dial stands or falls.
    pub(super) dialling: Option<ConnectionId>,
    pub(super) link: Option<LinkHandle>,
    /// What the present dial is to ask in its first message.
    pub(super) early: Vec<Early>,
    /// Sessions that wait for the present one to be settled, or to end.
    pub(super) parked: Vec<Ready>,
}

/// A peer's keys, as the owner gave them.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) peer_id: PeerId,
    pub(super) seal_key: Option<BoxKey>,
}

/// The engine's end of a link.
pub(super) struct LinkHandle {
    pub(super) present: Present,
    pub(super) route: Route,
    pub(super) rtt: Duration,
    pub(super) outgoing: mpsc::Sender<Outgoing>,
    pub(super) places: Arc<Semaphore>,
    pub(super) orders: mpsc::UnboundedSender<Order>,
    /// It was told to stop, and has not ended yet.
    pub(super) ending: bool,
    /// Whether its owner has been told that it is up.
    pub(super) up: bool,
}

/// A meeting that is being held.
pub(super) struct MeetingFacts {
    pub(super) agenda: Agenda,
    pub(super) route: Route,
    pub(super) peer_id: PeerId,
    /// Whether the peer's key was known.
    pub(super) keyed: bool,
}

/// What a stream is wanted for.
pub(super) enum Asked {
    Control {
        peer: NodeId,
        connection: ConnectionId,
        cause: Cause,
        /// The key to make the channel to.
        seal_key: Option<BoxKey>,
    },
    Bulk {
        protocol: String,
        answer: oneshot::Sender<Result<BulkStream, BulkError>>,
    },
    Join(Box<Joiner>),
}

/// What the engine looks at again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Admission(ConnectionId),
    Renew(NodeId),
    Reserve(NodeId),
}

/// When.
#[derive(Default)]
pub(super) struct Timers {
    at: BTreeMap<(Instant, u64), Due>,
    count: u64,
}

impl Timers {
    pub(super) fn add(&mut self, after: Duration, due: Due) {
        self.count += 1;
        self.at.insert((Instant::now() + after, self.count), due);
    }

    /// When to wake at the latest.
    pub(super) fn next(&self) -> Instant {
        let first = self.at.first_key_value().map(|((at, _), _)| *at);
        first.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    /// The next one whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let first = self.at.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

/// The engine's tasks, and how they tell it.
pub(super) struct Tasks {
    pub(super) set: JoinSet<()>,
    pub(super) minutes: mpsc::UnboundedSender<Minutes>,
    pub(super) news: mpsc::UnboundedSender<LinkNews>,
    pub(super) callers: mpsc::UnboundedSender<Caller>,
    pub(super) timers: Timers,
}

impl Tasks {
    pub(super) fn new(
        minutes: mpsc::UnboundedSender<Minutes>,
        news: mpsc::UnboundedSender<LinkNews>,
        callers: mpsc::UnboundedSender<Caller>,
    ) -> Self {
        Self {
            set: JoinSet::new(),
            minutes,
            news,
            callers,
            timers: Timers::default(),
        }
    }
}

/// Answers a question. Whoever asked may be gone, and then nobody misses the answer.
pub(super) fn give<T>(answer: oneshot::Sender<T>, what: T) {
    let _ = answer.send(what);
}

/// Tells the engine what came of a call. It ends its tasks before itself, so it is gone only where
/// the node's network ends, and with it whatever was called.
pub(super) fn report(engine: &mpsc::UnboundedSender<Caller>, caller: Caller) {
    let _ = engine.send(caller);
}

impl MeetingFacts {
    pub(super) fn id(&self) -> MeetingId {
        self.agenda.id
    }
}
