//! Nodes for tests: keys from a number, an owner who admits whom its policy says, facts to wait for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ractor::{Actor, ActorRef};
use regatta_actors::network::{
    Address, Admission, Contact, Greeted, LinkStatus, MemoryNet, NetworkActor, NetworkArguments,
    NetworkEvent, NetworkKeys, NetworkLimits, NetworkMessage, NetworkSettings, NetworkTransport,
};
use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::seal::{BoxKey, BoxSecret};
use regatta_protocol::crypto::sign::{PublicKey, SecretKey, Sign};
use regatta_protocol::ident::{FleetId, NodeId};
use regatta_protocol::prng::Prng;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

static STARTS: AtomicU64 = AtomicU64::new(1);

pub const FLEET: FleetId = FleetId([7; 32]);
/// Longer than anything that is waited for; a test that hangs says what it waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a node is started with.
#[derive(Clone)]
pub struct Plan {
    pub number: u64,
    /// Another number gives the same id with other keys.
    pub keys: u64,
    pub fleet: FleetId,
    pub transport: NetworkTransport,
    pub settings: NetworkSettings,
    pub limits: NetworkLimits,
    pub events: usize,
}

/// A node's id: higher numbers have higher ids.
pub fn id(number: u64) -> NodeId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    NodeId(bytes)
}

impl Plan {
    pub fn in_memory(net: &MemoryNet, number: u64) -> Self {
        let settings = NetworkSettings {
            listen: vec![MemoryNet::address(number)],
            ..NetworkSettings::default()
        };
        Self {
            number,
            keys: number,
            fleet: FLEET,
            transport: NetworkTransport::Memory(net.port(number)),
            settings,
            // A test shares its process with all others, whose memory is none of its business.
            limits: NetworkLimits {
                process_bytes_max: None,
                ..NetworkLimits::agent()
            },
            events: 64,
        }
    }

    pub fn on_sockets(number: u64, listen: &str) -> Self {
        let settings = NetworkSettings {
            listen: vec![listen.parse().expect("an address")],
            ..NetworkSettings::default()
        };
        Self {
            transport: NetworkTransport::Sockets,
            settings,
            ..Self::in_memory(&MemoryNet::new(0), number)
        }
    }

    pub fn secrets(&self) -> (SecretKey, BoxSecret) {
        let mut prng = Prng::from_number(1_000 + self.keys);
        let sign = SecretKey::generate(&mut prng);
        (sign, BoxSecret::generate(&mut prng))
    }
}

pub type Policy = Arc<Mutex<dyn FnMut(&Greeted) -> Admission + Send>>;

pub struct Node {
    pub id: NodeId,
    pub sign_key: PublicKey,
    pub seal_key: BoxKey,
    pub actor: ActorRef<NetworkMessage>,
    pub events: mpsc::UnboundedReceiver<NetworkEvent>,
    pub address: Option<Address>,
}

/// What stands for a certificate here: id and keys, unsigned.
pub fn greeting(id: NodeId, sign: PublicKey, seal: BoxKey) -> Bytes {
    [&id.0[..], &sign.0.0, &seal.0.0].concat().into()
}

/// Admits whoever shows what it holds.
pub fn honest() -> Policy {
    Arc::new(Mutex::new(|greeted: &Greeted| {
        let shown = greeting(greeted.peer, greeted.sign_key, greeted.seal_key);
        if shown == greeted.greeting {
            Admission::Admit
        } else {
            Admission::Refuse
        }
    }))
}

/// What a network is started with.
pub fn arguments(plan: &Plan) -> (NetworkArguments, mpsc::Receiver<NetworkEvent>) {
    let (sign, seal) = plan.secrets();
    let (sign_key, seal_key) = (sign.public(), seal.public());
    let (events, told) = mpsc::channel(plan.events);
    let arguments = NetworkArguments {
        fleet: plan.fleet,
        node: id(plan.number),
        keys: NetworkKeys { sign, seal },
        greeting: greeting(id(plan.number), sign_key, seal_key),
        transport: plan.transport.clone(),
        settings: plan.settings.clone(),
        limits: plan.limits,
        // Another at each start, as the system gives it: a node that came back is told by it.
        prng: Prng::from_number(STARTS.fetch_add(1, Ordering::Relaxed)),
        events,
    };
    (arguments, told)
}

/// A node and the channel of its raw events; nobody answers greetings.
pub async fn raw(plan: &Plan) -> (Node, mpsc::Receiver<NetworkEvent>) {
    let (arguments, told) = arguments(plan);
    let (sign_key, seal_key) = (arguments.keys.sign.public(), arguments.keys.seal.public());
    let spawned = Actor::spawn(None, NetworkActor, arguments).await;
    let (actor, _) = spawned.expect("the network starts");
    let (_, none) = mpsc::unbounded_channel();
    let node = Node {
        id: id(plan.number),
        sign_key,
        seal_key,
        actor,
        events: none,
        address: None,
    };
    (node, told)
}

/// A node whose owner admits whom `policy` says; it listens when this returns.
pub async fn with_policy(plan: &Plan, policy: Policy) -> Node {
    let (mut node, mut told) = raw(plan).await;
    let (log, events) = mpsc::unbounded_channel();
    node.events = events;
    tokio::spawn(async move {
        while let Some(event) = told.recv().await {
            match event {
                NetworkEvent::Greeted(greeted) => {
                    let said = (policy.lock().expect("policies do not panic"))(&greeted);
                    let _ = greeted.answer.send(said);
                }
                event => {
                    if log.send(event).is_err() {
                        return;
                    }
                }
            }
        }
    });
    if !plan.settings.listen.is_empty() {
        let address = node.until("listening", |event| match event {
            NetworkEvent::Listening { address } => Some(address),
            _ => None,
        });
        node.address = Some(address.await);
    }
    node
}

pub async fn start(plan: &Plan) -> Node {
    with_policy(plan, honest()).await
}

/// Two nodes of one network in memory.
pub async fn pair(net: &MemoryNet) -> (Node, Node) {
    let one = start(&Plan::in_memory(net, 1)).await;
    (one, start(&Plan::in_memory(net, 2)).await)
}

impl Node {
    /// Waits for an event, and drops those before it.
    pub async fn until<T>(&mut self, what: &str, wanted: impl Fn(NetworkEvent) -> Option<T>) -> T {
        let found = timeout(PATIENCE, async {
            loop {
                let event = self.events.recv().await;
                let event = event.unwrap_or_else(|| panic!("{}: ended, no {what}", self.id));
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        });
        let found = found.await;
        found.unwrap_or_else(|_| panic!("{}: waited for {what} in vain", self.id))
    }

    pub fn tell(&self, message: NetworkMessage) {
        self.actor.cast(message).expect("the network runs");
    }

    /// How others reach this node, with or without its channel key.
    pub fn contact(&self, keyed: bool) -> Contact {
        Contact {
            peer: self.id,
            sign_key: self.sign_key,
            seal_key: keyed.then_some(self.seal_key),
            addresses: self.address.iter().cloned().collect(),
            early: Vec::new(),
        }
    }

    pub fn dial(&self, to: &Node, keyed: bool) {
        self.tell(NetworkMessage::Dial(to.contact(keyed)));
    }

    pub fn send(&self, to: &Node, tag: u8, bytes: &[u8]) {
        let (to, bytes) = (to.id, bytes.to_vec());
        self.tell(NetworkMessage::Send { to, tag, bytes });
    }

    /// Waits until there is a link to `peer`; whether it is relayed.
    pub async fn up(&mut self, peer: NodeId) -> bool {
        self.until("up", |event| match event {
            NetworkEvent::Up {
                peer: found, path, ..
            } if found == peer => Some(path.relayed),
            _ => None,
        })
        .await
    }

    pub async fn down(&mut self, peer: NodeId) -> regatta_actors::network::DownReason {
        self.until("down", |event| match event {
            NetworkEvent::Down {
                peer: found,
                reason,
            } if found == peer => Some(reason),
            _ => None,
        })
        .await
    }

    pub async fn frame(&mut self) -> (NodeId, u8, Vec<u8>) {
        self.until("a frame", |event| match event {
            NetworkEvent::Frame { peer, tag, bytes } => Some((peer, tag, bytes)),
            _ => None,
        })
        .await
    }

    pub async fn dial_failed(&mut self) -> regatta_actors::network::DialError {
        self.until("a failed dial", |event| match event {
            NetworkEvent::DialFailed { reason, .. } => Some(reason),
            NetworkEvent::Up { .. } => panic!("a link that should not be"),
            _ => None,
        })
        .await
    }

    pub async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> NetworkMessage) -> T {
        let (answer, answered) = oneshot::channel();
        self.tell(question(answer));
        let answered = timeout(PATIENCE, answered).await;
        answered.expect("in time").expect("an answer")
    }

    pub async fn links(&self) -> Vec<LinkStatus> {
        self.ask(|answer| NetworkMessage::GetLinks { answer }).await
    }

    /// As a crash ends it: nothing is said to anybody.
    pub async fn kill(self) {
        let killed = self.actor.kill_and_wait(None).await;
        killed.expect("it ends");
    }

    pub async fn stop(self) {
        let stopped = self.actor.stop_and_wait(None, None).await;
        stopped.expect("it stops");
    }
}

/// Both have a link to each other.
pub async fn both_up(one: &mut Node, other: &mut Node) {
    let (first, second) = (one.id, other.id);
    tokio::join!(one.up(second), other.up(first));
}
