//! What the actors of a crew have in common while they are started, and what each is handed.

use std::sync::Arc;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use regatta_protocol::prng::Prng;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::NodePlan;
use crate::bodies::{BodiesActor, BodiesArguments, BodiesMessage};
use crate::clock::ReferenceClock;
use crate::config::{self, ConfigActor, ConfigArguments, ConfigMessage};
use crate::identity::Papers;
use crate::ledger::{LedgerActor, LedgerArguments, LedgerMessage, Tidings};
use crate::membership::{Beside, MembershipActor, MembershipArguments, MembershipMessage};
use crate::network::NetworkMessage;
use crate::pulled::{PulledActor, PulledArguments, PulledMessage, Reported};
use crate::store::Store;
use crate::switchboard::Standing;

/// A crew that is being started.
pub(super) struct Starting<'a> {
    plan: &'a NodePlan,
    supervisor: ActorCell,
    pub(super) store: Store,
    pub(super) network: ActorRef<NetworkMessage>,
    pub(super) reference: ReferenceClock,
    papers: watch::Sender<Papers>,
    entries: watch::Sender<u64>,
    bodies_came: watch::Sender<u64>,
    prng: Prng,
}

type Started<T> = Result<T, ActorProcessingErr>;

impl<'a> Starting<'a> {
    pub(super) fn new(
        plan: &'a NodePlan,
        supervisor: ActorCell,
        (store, network): (Store, ActorRef<NetworkMessage>),
        papers: Papers,
        prng: Prng,
    ) -> Self {
        Self {
            reference: ReferenceClock::new(&plan.clock),
            plan,
            supervisor,
            store,
            network,
            papers: watch::Sender::new(papers),
            entries: watch::Sender::new(0),
            bodies_came: watch::Sender::new(0),
            prng,
        }
    }

    pub(super) async fn spawn<A: Actor>(
        &self,
        actor: A,
        arguments: A::Arguments,
    ) -> Result<(ActorRef<A::Msg>, JoinHandle<()>), SpawnErr> {
        Actor::spawn_linked(None, actor, arguments, self.supervisor.clone()).await
    }

    pub(super) async fn ledger(
        &mut self,
        lost: bool,
    ) -> Started<(ActorRef<LedgerMessage>, mpsc::UnboundedReceiver<Standing>)> {
        let (switchboard, standings) = mpsc::unbounded_channel();
        let arguments = LedgerArguments {
            identity: Arc::clone(&self.plan.identity),
            tidings: Tidings {
                papers: self.papers.clone(),
                stored: self.entries.clone(),
            },
            store: self.store.clone(),
            lost,
            network: self.network.clone(),
            clock: self.plan.clock.clone(),
            reference: self.reference.clone(),
            switchboard,
            prng: self.prng.branch(),
        };
        let (ledger, _) = self.spawn(LedgerActor, arguments).await?;
        Ok((ledger, standings))
    }

    pub(super) async fn bodies(
        &mut self,
        ledger: &ActorRef<LedgerMessage>,
    ) -> Started<ActorRef<BodiesMessage>> {
        let arguments = BodiesArguments {
            fleet: self.plan.identity.fleet,
            papers: self.papers.subscribe(),
            store: self.store.clone(),
            ledger: ledger.clone(),
            network: self.network.clone(),
            clock: self.plan.clock.clone(),
            reference: self.reference.clone(),
            news: self.bodies_came.clone(),
            prng: self.prng.branch(),
        };
        Ok(self.spawn(BodiesActor, arguments).await?.0)
    }

    pub(super) async fn pulled(
        &mut self,
    ) -> Started<(ActorRef<PulledMessage>, mpsc::UnboundedReceiver<Reported>)> {
        let (reported, reports) = mpsc::unbounded_channel();
        let arguments = PulledArguments {
            fleet: self.plan.identity.fleet,
            papers: self.papers.subscribe(),
            store: self.store.clone(),
            network: self.network.clone(),
            clock: self.plan.clock.clone(),
            reference: self.reference.clone(),
            reported,
            prng: self.prng.branch(),
        };
        Ok((self.spawn(PulledActor, arguments).await?.0, reports))
    }

    pub(super) async fn membership(
        &mut self,
        ledger: &ActorRef<LedgerMessage>,
        pulled: &ActorRef<PulledMessage>,
    ) -> Started<ActorRef<MembershipMessage>> {
        let (plan, reach) = (self.plan, &self.plan.reach);
        let arguments = MembershipArguments {
            fleet: plan.identity.fleet,
            papers: self.papers.borrow().clone(),
            profile: (reach.profile, reach.keep_alive_ms),
            external: reach.settings.external.clone(),
            met: (plan.told.clone(), plan.met.clone()),
            beside: Beside {
                store: self.store.clone(),
                network: self.network.clone(),
                ledger: ledger.clone(),
                pulled: pulled.clone(),
                clock: plan.clock.clone(),
                reference: self.reference.clone(),
            },
            prng: self.prng.branch(),
        };
        Ok(self.spawn(MembershipActor, arguments).await?.0)
    }

    pub(super) fn beside_config(
        &self,
        ledger: &ActorRef<LedgerMessage>,
        (bodies, pulled): (&ActorRef<BodiesMessage>, &ActorRef<PulledMessage>),
        membership: &ActorRef<MembershipMessage>,
    ) -> config::Beside {
        config::Beside {
            store: self.store.clone(),
            ledger: ledger.clone(),
            bodies: bodies.clone(),
            pulled: pulled.clone(),
            membership: membership.clone(),
            network: self.network.clone(),
            clock: self.plan.clock.clone(),
        }
    }

    pub(super) async fn config(
        &mut self,
        beside: config::Beside,
        reported: mpsc::UnboundedReceiver<Reported>,
    ) -> Started<ActorRef<ConfigMessage>> {
        let arguments = ConfigArguments {
            fleet: self.plan.identity.fleet,
            plan: self.plan.config.clone(),
            papers: self.papers.subscribe(),
            beside,
            entries: self.entries.subscribe(),
            bodies_came: self.bodies_came.subscribe(),
            reported,
            applied: watch::Sender::new(0),
            prng: self.prng.branch(),
        };
        Ok(self.spawn(ConfigActor, arguments).await?.0)
    }
}
