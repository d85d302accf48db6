//! The engine: one task that owns the swarm, and one loop over all that can happen to it.
//!
//! Nothing in here waits: what would (reading a header, a handshake, a farewell) is a task of its
//! own, which the engine owns and which ends with it. What these tell comes back on one channel for
//! each kind.

mod bulks;
mod connections;
mod joins;
mod links;
mod meetings;
mod outbox;
mod relays;
mod state;

use std::collections::{BTreeMap, HashMap};

use futures::StreamExt;
use libp2p::Swarm;
use libp2p::swarm;
use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::channel::GREETING_BYTES_MAX;
use regatta_protocol::ident::NodeId;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use self::connections::Connections;
use self::joins::{Caller, Joins};
use self::outbox::Outbox;
use self::relays::Reservation;
use self::state::{Asked, Due, MeetingFacts, Own, Peer, Tasks, give};
use crate::network::behaviour::{Behaviour, BehaviourEvent};
use crate::network::limits::{IDLE_CONNECTION, LEAVING, NEGOTIATING_STREAMS_MAX};
use crate::network::link::LinkNews;
use crate::network::meeting::{MeetingId, Minutes};
use crate::network::streams::{StreamEvent, Ticket};
use crate::network::{
    DownReason, NetworkArguments, NetworkError, NetworkMessage, identity, transport,
};

type SwarmEvent = swarm::SwarmEvent<BehaviourEvent>;

/// What the engine's own tasks tell it.
pub(super) struct Told {
    minutes: mpsc::UnboundedReceiver<Minutes>,
    news: mpsc::UnboundedReceiver<LinkNews>,
    callers: mpsc::UnboundedReceiver<Caller>,
}

/// Everything that can wake the engine.
enum Woken {
    Message(Option<NetworkMessage>),
    Swarm(Box<SwarmEvent>),
    Minutes(Minutes),
    News(LinkNews),
    Caller(Caller),
    Delivered(bool),
    Time,
    TaskEnded,
}

pub(super) struct Engine {
    swarm: Swarm<Behaviour>,
    own: Own,
    peers: BTreeMap<NodeId, Peer>,
    meetings: BTreeMap<MeetingId, MeetingFacts>,
    connections: Connections,
    asked: HashMap<Ticket, Asked>,
    relays: BTreeMap<NodeId, Reservation>,
    joins: Joins,
    outbox: Outbox,
    tasks: Tasks,
}

impl Engine {
    /// A network that listens where it was told. Must be called within a runtime.
    pub(super) fn new(arguments: NetworkArguments) -> Result<(Self, Told), NetworkError> {
        arguments.check()?;
        let keypair = identity::keypair(&arguments.keys.sign)?;
        let (transport, relay_client) = transport::build(&arguments.transport, &keypair)?;
        let connections = Connections::default();
        let behaviour = Behaviour::new(&arguments, &keypair, relay_client, &connections.members)?;
        let config = swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(IDLE_CONNECTION)
            .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS_MAX);
        let peer = keypair.public().to_peer_id();
        let swarm = Swarm::new(transport, behaviour, peer, config);
        let (minutes, minutes_told) = mpsc::unbounded_channel();
        let (news, news_told) = mpsc::unbounded_channel();
        let (callers, callers_told) = mpsc::unbounded_channel();
        let settings = arguments.settings.clone();
        let mut engine = Self {
            swarm,
            peers: BTreeMap::new(),
            meetings: BTreeMap::new(),
            connections,
            asked: HashMap::new(),
            relays: BTreeMap::new(),
            joins: Joins::new(),
            outbox: Outbox::new(arguments.events.clone()),
            tasks: Tasks::new(minutes, news, callers),
            own: Own::new(arguments),
        };
        for address in &settings.external {
            engine.swarm.add_external_address(address.0.clone());
        }
        for address in settings.listen {
            engine.listen(address);
        }
        let told = Told {
            minutes: minutes_told,
            news: news_told,
            callers: callers_told,
        };
        Ok((engine, told))
    }

    /// Runs until nobody takes its events any more, or nobody can tell it anything.
    pub(super) async fn run(
        mut self,
        mut told: Told,
        mut messages: mpsc::UnboundedReceiver<NetworkMessage>,
    ) {
        loop {
            let woken = self.sleep(&mut told, &mut messages).await;
            match woken {
                Woken::Message(None) => return self.leave(&mut told).await,
                Woken::Delivered(false) => return,
                Woken::Message(Some(message)) => self.message(message),
                Woken::Swarm(event) => self.swarm_event(*event),
                Woken::Minutes(minutes) => self.minutes(minutes),
                Woken::News(news) => self.news(news),
                Woken::Caller(caller) => self.caller(caller),
                Woken::Time => self.time(),
                Woken::Delivered(true) | Woken::TaskEnded => {}
            }
        }
    }

    /// Says farewell to all peers, as far as they take it at once.
    async fn leave(mut self, told: &mut Told) {
        let peers: Vec<NodeId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.stop(peer, DownReason::HungUp);
        }
        let left = async {
            while self.peers.values().any(|at| at.link.is_some()) {
                match told.news.recv().await {
                    Some(LinkNews::Ended { peer }) => drop(self.peers.remove(&peer)),
                    Some(_) => {}
                    None => return,
                }
            }
            // What was written last is still on its way through the connections.
            let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
            for peer in peers {
                // One that is gone since it was listed needs no farewell.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            while self.swarm.network_info().num_peers() > 0 {
                self.swarm.select_next_some().await;
            }
        };
        if timeout(LEAVING, left).await.is_err() {
            tracing::debug!("some peers did not take a farewell");
        }
    }

    fn set_greeting(&mut self, greeting: Bytes) {
        let length = greeting.len();
        if length > GREETING_BYTES_MAX {
            tracing::error!(
                length,
                "a certificate of more than 1024 bytes fits into no handshake"
            );
        } else {
            self.own.greeting = greeting;
        }
    }

    async fn sleep(
        &mut self,
        told: &mut Told,
        messages: &mut mpsc::UnboundedReceiver<NetworkMessage>,
    ) -> Woken {
        let wake_at = self.tasks.timers.next();
        tokio::select! {
            message = messages.recv() => Woken::Message(message),
            event = self.swarm.select_next_some() => Woken::Swarm(Box::new(event)),
            Some(minutes) = told.minutes.recv() => Woken::Minutes(minutes),
            Some(news) = told.news.recv() => Woken::News(news),
            Some(caller) = told.callers.recv() => Woken::Caller(caller),
            delivered = self.outbox.deliver() => Woken::Delivered(delivered),
            () = sleep_until(wake_at) => Woken::Time,
            Some(ended) = self.tasks.set.join_next() => {
                // A bug in a task is the engine's: its owner starts the whole network again.
                if let Err(error) = ended
                    && error.is_panic()
                {
                    std::panic::resume_unwind(error.into_panic());
                }
                Woken::TaskEnded
            }
        }
    }

    fn message(&mut self, message: NetworkMessage) {
        match message {
            NetworkMessage::Dial(contact) => self.dial(contact),
            NetworkMessage::HangUp { peer } => self.hang_up(peer),
            NetworkMessage::Send { to, tag, bytes } => self.send(to, tag, bytes),
            NetworkMessage::OpenBulk {
                peer,
                protocol,
                answer,
            } => self.open_bulk(peer, protocol, answer),
            NetworkMessage::Listen { address } => self.listen(address),
            NetworkMessage::GetAddresses { answer } => {
                give(answer, self.addresses());
            }
            NetworkMessage::GetLinks { answer } => {
                give(answer, self.links());
            }
            NetworkMessage::Ping { peer, answer } => self.ping(peer, answer),
            NetworkMessage::ReserveRelay { via } => self.reserve(via),
            NetworkMessage::SetGreeting { greeting } => self.set_greeting(greeting),
            NetworkMessage::Join {
                addresses,
                bytes,
                answer,
            } => self.join(addresses, bytes, answer),
            NetworkMessage::Alive(answer) => {
                // The watchdog waits no longer than it does.
                let _ = answer.send(());
            }
            NetworkMessage::EngineEnded { .. } => {}
        }
    }

    fn time(&mut self) {
        let now = Instant::now();
        while let Some(due) = self.tasks.timers.due(now) {
            match due {
                Due::Admission(connection) => self.admission_over(connection),
                Due::Renew(peer) => self.renew(peer),
                Due::Reserve(via) => self.reserve_again(via),
            }
        }
    }

    fn streams(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Inbound {
                connection,
                class,
                stream,
            } => self.called(connection, class, stream),
            StreamEvent::Opened { ticket, result } => {
                if let Some(asked) = self.asked.remove(&ticket) {
                    self.opened(asked, result);
                }
            }
            StreamEvent::TooMany { connection } => {
                self.malformed(connection, "more than 64 streams at once");
            }
        }
    }
}
