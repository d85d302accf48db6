//! A libp2p node that keeps to no rule above its transport.

use std::time::Duration;

use futures::StreamExt;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{Config, ConnectionId, SwarmEvent};
use libp2p::{PeerId, Swarm};
use tokio::time::timeout;

use super::members::{Plan, arguments};
use crate::network::behaviour::{Behaviour, BehaviourEvent, Members};
use crate::network::streams::{Class, PeerStream, StreamError, StreamEvent};
use crate::network::{Address, MemoryNet, NetworkEvent, identity, transport};

pub(super) struct Rogue {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) at: Option<(PeerId, ConnectionId)>,
    _events: tokio::sync::mpsc::Receiver<NetworkEvent>,
}

impl Rogue {
    /// A stranger with keys and a place of its own.
    pub(super) fn new(net: &MemoryNet, number: u64) -> Self {
        Self::planned(&Plan::in_memory(net, number))
    }

    pub(super) fn planned(plan: &Plan) -> Self {
        let (arguments, events) = arguments(plan);
        let keypair = identity::keypair(&arguments.keys.sign).expect("a key");
        let (transport, relay) =
            transport::build(&arguments.transport, &keypair).expect("in memory");
        let behaviour = Behaviour::new(&arguments, &keypair, relay, &Members::default());
        let config =
            Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(3_600));
        let peer = keypair.public().to_peer_id();
        let swarm = Swarm::new(transport, behaviour.expect("in memory"), peer, config);
        Self {
            swarm,
            at: None,
            _events: events,
        }
    }

    /// A connection with a key of its own, as everybody may make one.
    pub(super) async fn connect(&mut self, address: &Address) {
        let options = DialOpts::unknown_peer_id()
            .address(address.0.clone())
            .build();
        self.swarm.dial(options).expect("dials");
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished {
                    peer_id,
                    connection_id,
                    ..
                } => {
                    self.at = Some((peer_id, connection_id));
                    return;
                }
                SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
    }

    pub(super) async fn open(&mut self, class: Class) -> Result<PeerStream, StreamError> {
        let (peer, connection) = self.at.expect("connected");
        let streams = &mut self.swarm.behaviour_mut().streams;
        let asked = streams.open(peer, connection, class);
        loop {
            let event = self.swarm.select_next_some().await;
            if let SwarmEvent::Behaviour(BehaviourEvent::Streams(StreamEvent::Opened {
                ticket,
                result,
            })) = event
                && ticket == asked
            {
                return result;
            }
        }
    }

    /// Waits until the other side has closed the connection.
    pub(super) async fn closed(&mut self) {
        let closing = async {
            while self.swarm.is_connected(&self.at.expect("connected").0) {
                self.swarm.select_next_some().await;
            }
        };
        let closed = timeout(Duration::from_secs(60), closing).await;
        assert!(closed.is_ok(), "the connection was left open");
    }
}
