//! The actors of one node, in the order in which they need each other, and what they are handed.

mod starting;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, Message, RpcReplyPort};
use regatta_protocol::contacts::SignedContact;
use regatta_protocol::membership::message::Profile;
use regatta_protocol::prng::Prng;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::bodies::BodiesMessage;
use crate::clock::{Clock, ReferenceClock};
use crate::config::{ConfigMessage, ConfigPlan};
use crate::control::{ControlActor, ControlArguments, ControlMessage, Service};
use crate::crew::starting::Starting;
use crate::identity::{NodeIdentity, Papers};
use crate::ledger::{LedgerMessage, current_papers};
use crate::membership::{MembershipMessage, Met};
use crate::network::{
    NetworkActor, NetworkArguments, NetworkLimits, NetworkMessage, NetworkSettings,
    NetworkTransport,
};
use crate::pulled::PulledMessage;
use crate::store::disk::Disk;
use crate::store::index::OpenedIndex;
use crate::store::{Opened, Sizes, Store, StoreError, StoreMessage};
use crate::supervisor::{Crew, Fatal, Member, Waiting};
use crate::switchboard::{SwitchboardActor, SwitchboardArguments, SwitchboardMessage};

/// Events of the network that wait for the switchboard.
const EVENTS_MAX: usize = 256;
/// How long the last job of the store before may keep the disk, when the crew is started again.
const RELEASED_WITHIN: Duration = Duration::from_secs(5);
/// The same for a node's first crew: another process that has the disk is said soon.
const FREE_WITHIN: Duration = Duration::from_secs(1);
/// How often it is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A disk, and how its index is opened where that may block.
pub struct Ground {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Opens the index.
    pub index: Box<dyn FnOnce() -> OpenedIndex + Send>,
    /// How much is left free on it.
    pub sizes: Sizes,
}

/// Opens the disk anew at each start of the crew.
pub type OpenGround = Arc<dyn Fn() -> Result<Ground, StoreError> + Send + Sync>;

/// 32 random bytes, others at each call.
pub type Entropy = Arc<dyn Fn() -> [u8; 32] + Send + Sync>;

/// How a node reaches others.
#[derive(Clone)]
pub struct Reach {
    /// Over what.
    pub transport: NetworkTransport,
    /// What it does unasked.
    pub settings: NetworkSettings,
    /// Its bounds.
    pub limits: NetworkLimits,
    /// How freely its link may be used.
    pub profile: Profile,
    /// How often its homes are to hear it.
    pub keep_alive_ms: u32,
}

/// Everything that a node is started with.
#[derive(Clone)]
pub struct NodePlan {
    /// Who it is.
    pub identity: Arc<NodeIdentity>,
    /// Where members were when it joined.
    pub told: Vec<SignedContact>,
    /// Whom it met then.
    pub met: Vec<Met>,
    /// Whether its store was open before: then an empty one is a loss.
    pub begun: bool,
    /// Its disk.
    pub ground: OpenGround,
    /// How it reaches others.
    pub reach: Reach,
    /// Its clocks.
    pub clock: Clock,
    /// Its randomness.
    pub entropy: Entropy,
    /// How it lets itself be configured.
    pub config: ConfigPlan,
    /// Serves its operators, where it has any.
    pub service: Option<Service>,
}

/// The actors of a node that runs; others after each restart of the crew.
#[derive(Clone)]
pub struct Handles {
    /// What is kept.
    pub store: Store,
    /// Links.
    pub network: ActorRef<NetworkMessage>,
    /// What is held.
    pub ledger: ActorRef<LedgerMessage>,
    /// Who is there.
    pub membership: ActorRef<MembershipMessage>,
    /// Documents and files by hash.
    pub bodies: ActorRef<BodiesMessage>,
    /// What is configured.
    pub config: ActorRef<ConfigMessage>,
    /// Its clocks.
    pub clock: Clock,
    /// What time it is.
    pub reference: ReferenceClock,
    /// Randomness.
    pub entropy: Entropy,
}

impl fmt::Debug for Handles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Handles")
    }
}

/// Starts a node's actors.
#[derive(Clone)]
pub struct NodeCrew {
    plan: Arc<NodePlan>,
    restarts: Arc<AtomicBool>,
    handles: watch::Sender<Option<Handles>>,
}

impl NodeCrew {
    /// The crew of a node, and where its actors are told; none while they are being started again.
    #[must_use]
    pub fn new(plan: NodePlan) -> (Self, watch::Receiver<Option<Handles>>) {
        let (handles, told) = watch::channel(None);
        let (plan, restarts) = (Arc::new(plan), Arc::default());
        let crew = Self {
            plan,
            restarts,
            handles,
        };
        (crew, told)
    }
}

impl Crew for NodeCrew {
    fn start(&self, supervisor: ActorCell) -> Waiting<Result<Vec<Member>, ActorProcessingErr>> {
        let (plan, handles) = (Arc::clone(&self.plan), self.handles.clone());
        // Nobody is to ask the old ones any more.
        handles.send_replace(None);
        let again = self.restarts.swap(true, Ordering::Relaxed);
        Box::pin(async move {
            let ground = ground(&plan, again).await?;
            let (members, started) = start(&plan, ground, supervisor).await?;
            handles.send_replace(Some(started));
            Ok(members)
        })
    }
}

fn member<M: Message>(
    name: &'static str,
    actor: &ActorRef<M>,
    ask: impl Fn(RpcReplyPort<()>) -> M + Send + Sync + 'static,
) -> Member {
    let asked = actor.clone();
    Member {
        name,
        cell: actor.get_cell(),
        ask: Arc::new(move |answer| asked.cast(ask(answer)).is_ok()),
    }
}

/// The disk, once nobody has it: after a failure of the crew the store's last job may still be at it.
async fn ground(plan: &NodePlan, again: bool) -> Result<Ground, StoreError> {
    let patience = if again { RELEASED_WITHIN } else { FREE_WITHIN };
    let until = Instant::now() + patience;
    loop {
        match (plan.ground)() {
            Err(StoreError::Locked { .. }) if Instant::now() < until => {}
            outcome => return outcome,
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn start(
    plan: &NodePlan,
    ground: Ground,
    supervisor: ActorCell,
) -> Result<(Vec<Member>, Handles), ActorProcessingErr> {
    let mut prng = Prng::from_seed((plan.entropy)());
    let (store, opened) = open(ground, &mut prng, &supervisor).await?;
    let lost = !opened.damaged.is_empty() || (opened.fresh && plan.begun);
    let papers = current_papers(&plan.identity, &store).await?;
    let (events, told) = mpsc::channel(EVENTS_MAX);
    let arguments = network(plan, &papers, &mut prng, events);
    let spawned = Actor::spawn_linked(None, NetworkActor, arguments, supervisor.clone());
    let (network, _) = spawned.await?;
    let mut starting = Starting::new(plan, supervisor, (store, network), papers, prng);
    let (ledger, standings) = starting.ledger(lost).await?;
    let bodies = starting.bodies(&ledger).await?;
    let (pulled, reports) = starting.pulled().await?;
    let membership = starting.membership(&ledger, &pulled).await?;
    ledger.cast(LedgerMessage::Introduce {
        membership: membership.clone(),
        bodies: bodies.clone(),
    })?;
    let beside = starting.beside_config(&ledger, (&bodies, &pulled), &membership);
    let config = starting.config(beside, reports).await?;
    let arguments = SwitchboardArguments {
        events: told,
        standings,
        ledger: ledger.clone(),
        membership: membership.clone(),
        bodies: bodies.clone(),
        pulled: pulled.clone(),
    };
    let (switchboard, _) = starting.spawn(SwitchboardActor, arguments).await?;
    let mut members = vec![
        store_member(&starting.store),
        member("network", &starting.network, NetworkMessage::Alive),
        member("ledger", &ledger, LedgerMessage::Ping),
        member("bodies", &bodies, BodiesMessage::Ping),
        member("pulled", &pulled, PulledMessage::Ping),
        member("membership", &membership, MembershipMessage::Ping),
        member("config", &config, ConfigMessage::Ping),
        member("switchboard", &switchboard, SwitchboardMessage::Ping),
    ];
    let handles = Handles {
        store: starting.store.clone(),
        network: starting.network.clone(),
        ledger,
        membership,
        bodies,
        config,
        clock: plan.clock.clone(),
        reference: starting.reference.clone(),
        entropy: Arc::clone(&plan.entropy),
    };
    if let Some(service) = &plan.service {
        let arguments = ControlArguments {
            service: Arc::clone(service),
            handles: handles.clone(),
        };
        let (control, _) = starting.spawn(ControlActor, arguments).await?;
        members.push(member("control", &control, ControlMessage::Ping));
    }
    Ok((members, handles))
}

fn store_member(store: &Store) -> Member {
    let asked = store.actor();
    Member {
        name: "store",
        cell: asked.get_cell(),
        ask: Arc::new(move |answer| asked.cast(StoreMessage::Ping(answer)).is_ok()),
    }
}

async fn open(
    Ground { disk, index, sizes }: Ground,
    prng: &mut Prng,
    supervisor: &ActorCell,
) -> Result<(Store, Opened), ActorProcessingErr> {
    let salt = prng.bytes();
    let (store, opened) = Store::open(disk, index, (salt, sizes), Some(supervisor.clone()))
        .await
        .map_err(|error| match error {
            StoreError::Version { .. } => ActorProcessingErr::from(Fatal(error.to_string())),
            error => error.into(),
        })?;
    for note in &opened.notes {
        tracing::warn!(note, "the store's index");
    }
    if let Some(cut) = &opened.cut {
        tracing::info!(
            ?cut,
            "what a crash had torn was cut off; nobody had been promised it"
        );
    }
    for damage in &opened.damaged {
        tracing::error!(
            ?damage,
            "stored bytes are damaged; peers give back what they have"
        );
    }
    Ok((store, opened))
}

fn network(
    plan: &NodePlan,
    papers: &Papers,
    prng: &mut Prng,
    events: mpsc::Sender<crate::network::NetworkEvent>,
) -> NetworkArguments {
    NetworkArguments {
        fleet: plan.identity.fleet,
        node: papers.node(),
        keys: papers.secrets().for_network(),
        greeting: papers.greeting(),
        transport: plan.reach.transport.clone(),
        settings: plan.reach.settings.clone(),
        limits: plan.reach.limits,
        prng: prng.branch(),
        events,
    }
}
