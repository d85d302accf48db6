//! Whole nodes in one process and in virtual time: every actor, libp2p and the segments of the store
//! as they ship, over a network and disks in memory that a test cuts, slows, tears and fills.
//!
//! What runs here is not replayed from a seed, because libp2p draws randomness of its own; rules are
//! tortured in [`crate::world`], here it is seen whether the actors keep them.

mod deeds;
mod log;
mod node;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use regatta_actors::acts;
use regatta_actors::identity::{NodeIdentity, NodeSecrets};
use regatta_actors::join::{Asked, JoinArguments, join};
use regatta_actors::network::MemoryNet;
use regatta_protocol::crypto::seal::BoxSecret;
use regatta_protocol::crypto::sign::SecretKey;
use regatta_protocol::ident::NodeId;
use regatta_protocol::machine::Millis;
use regatta_protocol::membership::presence::PresenceState;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::certificate::Certificate;
use regatta_protocol::trust::founding::{self, Founded};
use regatta_protocol::trust::invite::token::Token;
use regatta_protocol::trust::statement::Statement;
use tokio::time::{Instant, sleep};

pub use self::deeds::Held;
pub use self::node::LiveNode;
use crate::fleet::{EPOCH, name};

/// Longer than anything that is waited for, in virtual time.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often a fact that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A fleet of whole nodes.
pub struct LiveFleet {
    /// The network between them; nodes have the numbers of their places, counted from 1.
    pub net: MemoryNet,
    /// The root, off line in life, at hand here.
    pub root: Founded,
    /// The nodes, managers first.
    pub nodes: Vec<LiveNode>,
    /// How far the clocks of joiners are off.
    pub skew_ms: i64,
    /// Randomness for what tests make up.
    pub prng: Prng,
    started: Instant,
    /// Time that passed while nobody was there to see it.
    passed: Duration,
}

impl LiveFleet {
    /// Founds a fleet with so many managers, and starts them. To be called in paused time.
    pub async fn found(seed: u64, managers: usize) -> Self {
        Self::found_with(seed, managers, |_, _| {}).await
    }

    /// The same with managers whose certificates are as `change` makes them, by their places.
    pub async fn found_with(
        seed: u64,
        managers: usize,
        change: impl Fn(usize, &mut Certificate),
    ) -> Self {
        log::show();
        let mut prng = Prng::from_number(seed);
        let root = founding::found(name("acme"), EPOCH, &mut prng);
        let mut certified = Vec::new();
        for number in 1..=managers {
            let secrets = secrets(&mut prng);
            let mut certificate = founding::manager_certificate(
                1,
                NodeId(prng.bytes()),
                name(&format!("m{number}")),
                secrets.public(),
                EPOCH,
            );
            change(number - 1, &mut certificate);
            let signed = founding::certify(&certificate, &root.fleet, &root.key);
            certified.push((secrets, signed));
        }
        let statements: Vec<Statement> = certified
            .iter()
            .map(|(_, signed)| Statement::Certify(signed.clone()))
            .collect();
        let mut fleet = Self {
            net: MemoryNet::new(seed),
            root,
            nodes: Vec::new(),
            skew_ms: 0,
            started: Instant::now(),
            passed: Duration::ZERO,
            prng,
        };
        for (secrets, certificate) in certified {
            let identity = NodeIdentity {
                fleet: fleet.root.fleet,
                root: fleet.root.root.clone(),
                statements: statements.clone(),
                certificate,
                secrets: Arc::new(secrets),
            };
            fleet.add(identity, Vec::new(), Vec::new());
        }
        fleet.introduce(managers);
        for place in 0..managers {
            fleet.start(place).await;
        }
        fleet
    }

    /// Tells each manager where the others are, as an operator does by joining them one after another.
    fn introduce(&mut self, managers: usize) {
        let mets: Vec<_> = (0..managers).map(|place| self.nodes[place].met()).collect();
        for node in &mut self.nodes {
            node.met = mets
                .iter()
                .filter(|met| met.node != node.id)
                .cloned()
                .collect();
        }
    }

    fn add(
        &mut self,
        identity: NodeIdentity,
        contacts: Vec<regatta_protocol::contacts::SignedContact>,
        met: Vec<regatta_actors::membership::Met>,
    ) -> usize {
        let number = self.nodes.len() as u64 + 1;
        let port = self.net.port(number);
        let node = LiveNode::new(number, identity, (contacts, met), port, self.prng.branch());
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// What wall clocks show that are right.
    #[must_use]
    pub fn wall(&self) -> Millis {
        let passed = (self.started.elapsed() + self.passed).as_millis();
        EPOCH.plus(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// Time passes while every node is off: months cost nothing.
    ///
    /// # Panics
    /// When a node is up, whose clock would go wrong.
    pub fn pass(&mut self, time: Duration) {
        assert!(!self.nodes.iter().any(LiveNode::is_up), "a node is up");
        self.passed += time;
    }

    /// The same until so long before a moment.
    ///
    /// # Panics
    /// When a node is up, or the moment is past.
    pub fn pass_until(&mut self, before: Duration, moment: Millis) {
        let left = Duration::from_millis(moment.since(self.wall()));
        self.pass(left.checked_sub(before).expect("the moment is past"));
    }

    /// Stops every node that is up, as operators do.
    pub async fn stop_all(&mut self) {
        for node in &mut self.nodes {
            node.stop().await;
        }
    }

    /// Starts every node.
    pub async fn start_all(&mut self) {
        for place in 0..self.nodes.len() {
            self.start(place).await;
        }
    }

    /// Starts a node from its disk.
    pub async fn start(&mut self, place: usize) {
        let wall = self.wall();
        self.nodes[place].start(wall).await;
    }

    /// Has a new device join, from a place of its own in the network; it is not started yet.
    ///
    /// # Errors
    /// What it was told.
    pub async fn join(&mut self, token: &Token, device: &str) -> Result<usize, String> {
        Ok(self.join_as(token, device, None).await?.0)
    }

    /// The same with keys that it has already; gives them back.
    ///
    /// # Errors
    /// What it was told.
    pub async fn join_as(
        &mut self,
        token: &Token,
        device: &str,
        keys: Option<Arc<NodeSecrets>>,
    ) -> Result<(usize, Arc<NodeSecrets>), String> {
        let (outcome, keys) = self.ask(token, device, keys).await;
        Ok((outcome?, keys))
    }

    /// The same, and gives the keys back whatever came of it.
    pub async fn ask(
        &mut self,
        token: &Token,
        device: &str,
        keys: Option<Arc<NodeSecrets>>,
    ) -> (Result<usize, String>, Arc<NodeSecrets>) {
        let keys = keys.unwrap_or_else(|| Arc::new(secrets(&mut self.prng)));
        let number = self.nodes.len() as u64 + 1;
        let mut arguments = JoinArguments {
            token: token.clone(),
            name: name(device),
            secrets: Arc::clone(&keys),
            reach: node::reach(self.net.port(number), number),
            wall: Millis(self.wall().0.saturating_add_signed(self.skew_ms)),
            prng: self.prng.branch(),
        };
        let outcome = match join(&mut arguments, PATIENCE, |_| {}).await {
            Ok(Asked::Joined(member)) => {
                let met = member.met.into_iter().collect();
                Ok(self.add(member.identity, member.contacts, met))
            }
            Ok(Asked::Waits { name, .. }) => Err(format!("{name} waits for the root")),
            Err(error) => Err(error.to_string()),
        };
        (outcome, keys)
    }

    /// Adds a node that did not join, under whatever identity; it knows where all others are.
    pub fn bring(&mut self, identity: NodeIdentity) -> usize {
        let met = self.nodes.iter().map(LiveNode::met).collect();
        self.add(identity, Vec::new(), met)
    }

    /// Adds devices that run.
    ///
    /// # Panics
    /// When one is not let in.
    pub async fn join_many(&mut self, count: usize) {
        let token = self
            .invite(0, u32::try_from(count).unwrap_or(u32::MAX))
            .await;
        for number in 1..=count {
            let joined = self.join(&token, &format!("amr-{number:02}")).await;
            let place = joined.expect("a good invite lets in");
            self.start(place).await;
        }
    }

    /// Waits for a fact.
    ///
    /// # Panics
    /// When it does not come about.
    pub async fn until(&self, what: &str, holds: impl AsyncFnMut(&Self) -> bool) {
        self.within(PATIENCE, what, holds).await;
    }

    /// Waits for a fact that has to come about soon, and says how long it took.
    ///
    /// # Panics
    /// When it does not.
    pub async fn within(
        &self,
        patience: Duration,
        what: &str,
        mut holds: impl AsyncFnMut(&Self) -> bool,
    ) -> Duration {
        let began = Instant::now();
        while !holds(self).await {
            assert!(began.elapsed() < patience, "waited for {what} in vain");
            sleep(LOOK_EVERY).await;
        }
        began.elapsed()
    }

    /// Whether all of these nodes hold the same: managers everything, others what is for all.
    pub async fn agree(&self, places: &[usize]) -> bool {
        let mut first: Option<Held> = None;
        let mut manager: Option<Held> = None;
        for place in places {
            let held = self.held(*place).await;
            let known = first.get_or_insert_with(|| held.clone());
            if (known.state, &known.common) != (held.state, &held.common) {
                return false;
            }
            if self.nodes[*place].is_manager() {
                let known = manager.get_or_insert_with(|| held.clone());
                if known.managers != held.managers {
                    return false;
                }
            }
        }
        true
    }

    /// Waits until all of these nodes hold the same, and says what the first one holds.
    ///
    /// # Panics
    /// When they do not come to agree.
    pub async fn agreed(&self, places: &[usize]) -> Held {
        let what = format!("agreement of {places:?}");
        self.until(&what, async |fleet: &Self| fleet.agree(places).await)
            .await;
        self.held(places[0]).await
    }

    /// Waits until a manager says that a node is ready.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn ready(&self, manager: usize, place: usize) {
        let what = format!("node {} ready at {}", place + 1, manager + 1);
        self.until(&what, async |fleet: &Self| {
            fleet.state(manager, place).await == PresenceState::Ready
        })
        .await;
    }

    /// What a manager says of a node.
    pub async fn state(&self, manager: usize, place: usize) -> PresenceState {
        let id = self.nodes[place].id;
        let handles = self.nodes[manager].handles().await;
        let said = acts::look_around(&handles, move |view| {
            view.machine.state_of(id, view.now).state
        });
        said.await.unwrap_or(PresenceState::Unknown)
    }

    /// Cuts or heals the links between two groups.
    pub fn cut(&self, ones: &[usize], others: &[usize]) {
        for one in ones {
            for other in others {
                self.net.cut(*one as u64 + 1, *other as u64 + 1);
            }
        }
    }
}

fn secrets(prng: &mut Prng) -> NodeSecrets {
    NodeSecrets {
        sign: SecretKey::generate(prng),
        seal: BoxSecret::generate(prng),
    }
}

/// How far a node's clock is off.
pub(crate) fn steady() -> Arc<AtomicI64> {
    Arc::new(AtomicI64::new(0))
}
