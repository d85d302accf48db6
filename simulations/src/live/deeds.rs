//! What operators of a fleet of whole nodes do, and what each node then holds.

use std::collections::{BTreeMap, BTreeSet};

use regatta_actors::acts::{self, ActError, Given, InviteAsk, Saved, Target};
use regatta_actors::crew::Handles;
use regatta_actors::ledger::LedgerView;
use regatta_protocol::codec::{self, Bytes};
use regatta_protocol::crypto::sign::{Context, Sign};
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::{LedgerId, LedgerKind};
use regatta_protocol::limits::DAY_MS;
use regatta_protocol::trust::certificate::KeySignature;
use regatta_protocol::trust::invite::token::Token;
use regatta_protocol::trust::roll::Roll;
use regatta_protocol::trust::statement::{SignedOrder, Statement};
use regatta_protocol::trust::steward;
use regatta_protocol::trust::verdict::{Ruling, Subject, Verdict};

use crate::live::LiveFleet;

/// All that a node holds of what it should hold like others: the same on every manager, and but for
/// the managers' own ledgers the same on every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What follows from it.
    pub state: Hash,
    /// The leaves of every ledger that all nodes hold.
    pub common: BTreeMap<LedgerId, BTreeSet<Hash>>,
    /// The same of the managers' own.
    pub managers: BTreeMap<LedgerId, BTreeSet<Hash>>,
}

impl Held {
    fn of(view: &LedgerView<'_>) -> Self {
        let holdings = view.replica.holdings();
        let unscoped = holdings
            .chains()
            .iter()
            .filter(|(id, _)| id.scope.is_none());
        let leaves = unscoped.map(|(id, chain)| {
            let leaves: BTreeSet<Hash> = chain.leaves().map(|head| head.hash).collect();
            (*id, leaves)
        });
        let is_managers = |id: &LedgerId| id.kind == LedgerKind::Managers;
        let (managers, common) = leaves.partition(|(id, _)| is_managers(id));
        Self {
            state: holdings.state_digest(),
            common,
            managers,
        }
    }
}

impl LiveFleet {
    /// Reads a node's ledger.
    ///
    /// # Panics
    /// When the node is down.
    pub async fn look<T: Send + 'static>(
        &self,
        place: usize,
        look: impl Fn(&LedgerView<'_>) -> T + Clone + Send + 'static,
    ) -> T {
        loop {
            let handles = self.nodes[place].handles().await;
            // While its actors are being started again nobody answers.
            match acts::look(&handles, look.clone()).await {
                Ok(seen) => return seen,
                Err(_) => tokio::time::sleep(crate::live::LOOK_EVERY).await,
            }
        }
    }

    /// All that a node holds.
    pub async fn held(&self, place: usize) -> Held {
        self.look(place, Held::of).await
    }

    /// Which of these entries a node does not hold.
    pub async fn missing(&self, place: usize, entries: &[Hash]) -> Vec<Hash> {
        let entries = entries.to_vec();
        let missing = move |view: &LedgerView<'_>| {
            let chains = view.replica.holdings().chains();
            let held = |entry: &Hash| chains.values().any(|chain| chain.find(entry).is_some());
            entries.iter().filter(|it| !held(it)).copied().collect()
        };
        self.look(place, missing).await
    }

    /// The latest number that each author has issued in each ledger, as a node holds them, and whether
    /// any of them was issued twice.
    pub async fn numbers(&self, place: usize) -> (BTreeMap<LedgerId, u64>, bool) {
        let numbers = |view: &LedgerView<'_>| {
            let chains = view.replica.holdings().chains();
            let mut twice = false;
            let last = chains.iter().map(|(id, chain)| {
                let mut issued = BTreeSet::new();
                for (_, link) in chain.links() {
                    twice |= !issued.insert((link.incarnation, link.number));
                }
                (*id, issued.last().map_or(0, |(_, number)| *number))
            });
            let last = last.collect();
            (last, twice)
        };
        self.look(place, numbers).await
    }

    /// Sets a label at a manager.
    ///
    /// # Errors
    /// Why not.
    pub async fn label(
        &self,
        manager: usize,
        device: &str,
        (key, value): (&str, &str),
    ) -> Result<Saved<Target>, ActError> {
        let set = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let handles = self.nodes[manager].handles().await;
        acts::relabel(&handles, device.to_owned(), set, Vec::new()).await
    }

    /// The labels that a manager has assigned to a device, as far as this one knows.
    pub async fn assigned(&self, manager: usize, device: &str) -> String {
        let device = device.to_owned();
        let labels = move |view: &LedgerView<'_>| {
            let roll = Roll::of(view.replica.holdings());
            let named = roll.named(&device).into_iter().next();
            let found = named.and_then(|node| roll.device(&node));
            found.map_or_else(String::new, |it| it.labels.to_string())
        };
        self.look(manager, labels).await
    }

    /// The labels in a node's own certificate.
    pub async fn certified(&self, place: usize) -> String {
        let labels = |view: &LedgerView<'_>| view.papers.certificate.labels.to_string();
        self.look(place, labels).await
    }

    /// Stops a device at a manager.
    ///
    /// # Errors
    /// Why not.
    pub async fn revoke(&self, manager: usize, device: &str) -> Result<Saved<Target>, ActError> {
        let handles = self.nodes[manager].handles().await;
        acts::revoke(&handles, device.to_owned(), "stolen".to_owned()).await
    }

    /// Says at a manager that a device is gone for good.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn forget(&self, manager: usize, device: &str) {
        let handles = self.nodes[manager].handles().await;
        let forgotten = acts::forget(&handles, device.to_owned()).await;
        forgotten.expect("a manager may forget a device");
    }

    /// The root stops a manager with all that it wrote, and another one carries the order.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn root_stops(&self, place: usize, carrier: usize) {
        let node = self.nodes[place].id;
        let verdict = self.look(carrier, move |view| {
            let holdings = view.replica.holdings();
            let mut managers = holdings.record().managers().iter();
            let (serial, _) = managers.find(|(_, it)| it.node == node).expect("a manager");
            Verdict {
                subject: Subject::Holder {
                    serial: *serial,
                    node,
                },
                ruling: Ruling::Stopped,
                ledgers: steward::counting_ledgers(holdings, &node),
                replaces: Vec::new(),
                until: None,
                reason: "stolen".to_owned(),
            }
        });
        let bytes = Bytes::from(codec::encode(&verdict.await));
        let fleet = self.root.fleet;
        let signature = self.root.key.sign(Context::Statement, &fleet, &bytes);
        let order = SignedOrder {
            root: 1,
            bytes,
            signatures: vec![KeySignature { key: 0, signature }],
        };
        let handles = self.nodes[carrier].handles().await;
        let carried = acts::carry(&handles, Statement::Order(order)).await;
        carried.expect("the root may stop a manager");
    }

    /// Whom a node has for a member with whom there is a link, whatever is open to it.
    pub async fn members(&self, place: usize) -> BTreeSet<NodeId> {
        self.look(place, |view| view.members.keys().copied().collect())
            .await
    }

    /// Whether a node knows that another is stopped.
    pub async fn knows_stopped(&self, place: usize, node: NodeId) -> bool {
        let stopped = move |view: &LedgerView<'_>| {
            let judgement = view.replica.holdings().judgement();
            judgement.stopped_nodes.contains(&node)
        };
        self.look(place, stopped).await
    }

    /// To whom a node has links.
    ///
    /// # Panics
    /// When membership does not run.
    pub async fn links(&self, place: usize) -> BTreeSet<NodeId> {
        let handles = self.nodes[place].handles().await;
        let links = acts::look_around(&handles, |view| view.links.keys().copied().collect());
        links.await.unwrap_or_default()
    }

    /// The neighbours of a node that both sides agreed on.
    pub async fn neighbours(&self, place: usize) -> Vec<NodeId> {
        let handles = self.nodes[place].handles().await;
        let neighbours = acts::look_around(&handles, |view| view.machine.neighbours());
        neighbours.await.unwrap_or_default()
    }

    /// Waits until a node knows where it can be reached, as an invite has to say.
    ///
    /// # Panics
    /// When it does not listen.
    pub async fn listens(&self, place: usize) {
        let listens = async |fleet: &Self| {
            let handles = fleet.nodes[place].handles().await;
            let own = acts::look_around(&handles, |view| view.own.worth_telling().len());
            own.await.is_ok_and(|count| count > 0)
        };
        self.until("an address", listens).await;
    }

    /// Gives an invite that is good for so long.
    ///
    /// # Errors
    /// Why not.
    pub async fn try_invite(
        &self,
        manager: usize,
        uses: u32,
        ttl_ms: u64,
    ) -> Result<Token, ActError> {
        self.listens(manager).await;
        let handles = self.nodes[manager].handles().await;
        let given = self.give(&handles, uses, ttl_ms).await?;
        Ok(given.gives.token)
    }

    /// The same with actors that may fail meanwhile, and what was written.
    ///
    /// # Errors
    /// Why not.
    pub async fn give(
        &self,
        handles: &Handles,
        uses: u32,
        ttl_ms: u64,
    ) -> Result<Saved<Given>, ActError> {
        let ask = InviteAsk {
            uses,
            ttl_ms,
            ..InviteAsk::default()
        };
        acts::invite(handles, ask).await
    }

    /// Gives an invite at a manager that is good for a day.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn invite(&self, manager: usize, uses: u32) -> Token {
        let given = self.try_invite(manager, uses, DAY_MS).await;
        given.expect("a manager may invite")
    }

    /// Cuts a node's power: its disk then holds what `seed` leaves of it.
    pub async fn cut_power(&mut self, place: usize, seed: u64) {
        let net = self.net.clone();
        self.nodes[place].cut_power(&net, seed).await;
    }
}
