//! A hundred whole nodes live an hour among cuts, heals and power cuts.

use std::collections::BTreeMap;
use std::time::Duration;

use regatta_actors::acts;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::limits::{HOMES_MAX, NEIGHBOURS_MAX};
use regatta_protocol::membership::presence::PresenceState;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::certificate::Rank;
use regatta_protocol::trust::roll::Roll;
use regatta_simulations::live::LiveFleet;
use tokio::time::{Instant, sleep};

const MANAGERS: usize = 3;
const NODES: usize = 100;

fn below(prng: &mut Prng, count: usize) -> usize {
    usize::try_from(prng.below(count as u64)).unwrap_or(0)
}

/// An hour that a seed drew, and what was done in it.
struct Hour {
    prng: Prng,
    /// The entries of every label that was acknowledged.
    acknowledged: Vec<Hash>,
    restarts: usize,
    /// The actors of each node, as they were started last.
    crews: Vec<String>,
}

/// Names the actors of a node: others have another name.
async fn crew(fleet: &LiveFleet, place: usize) -> String {
    let handles = fleet.nodes[place].handles().await;
    handles.membership.get_id().to_string()
}

impl Hour {
    async fn step(&mut self, fleet: &mut LiveFleet) {
        match self.prng.below(6) {
            0 => fleet.net.heal_all(),
            1 => {
                let prng = &mut self.prng;
                let some: Vec<usize> = (0..10).map(|_| below(prng, NODES)).collect();
                let others: Vec<usize> = (0..NODES).filter(|it| !some.contains(it)).collect();
                fleet.cut(&some, &others);
            }
            2 | 3 => {
                let victim = below(&mut self.prng, NODES);
                fleet.cut_power(victim, self.prng.next_u64()).await;
                sleep(Duration::from_secs(self.prng.below(30))).await;
                fleet.start(victim).await;
                self.crews[victim] = crew(fleet, victim).await;
                self.restarts += 1;
            }
            _ => {
                let manager = below(&mut self.prng, MANAGERS);
                let device = device(MANAGERS + below(&mut self.prng, NODES - MANAGERS));
                let value = format!("s{}", self.acknowledged.len());
                let saved = fleet.label(manager, &device, ("site", &value)).await;
                let entries = saved.expect("a manager may label").entries;
                assert!(!entries.is_empty(), "another value is written");
                self.acknowledged.extend(entries);
            }
        }
        sleep(Duration::from_secs(5 + self.prng.below(40))).await;
    }
}

/// The device at this place.
fn device(place: usize) -> String {
    format!("amr-{:02}", place - MANAGERS + 1)
}

/// Which nodes a manager does not take for ready, and how many it takes for two machines.
async fn amiss(fleet: &LiveFleet, manager: usize) -> (Vec<usize>, usize) {
    let ids: Vec<NodeId> = fleet.nodes.iter().map(|it| it.id).collect();
    let handles = fleet.nodes[manager].handles().await;
    let amiss = acts::look_around(&handles, move |view| {
        let states = ids.iter().map(|id| view.machine.state_of(*id, view.now));
        let states: Vec<_> = states.collect();
        let away = (0..states.len()).filter(|it| states[*it].state != PresenceState::Ready);
        let twins = states.iter().filter(|it| it.twin.is_some()).count();
        (away.collect(), twins)
    });
    amiss.await.expect("membership runs")
}

async fn is_one_fleet(fleet: &LiveFleet, hour: &Hour) {
    for manager in 0..MANAGERS {
        let all = async |fleet: &LiveFleet| amiss(fleet, manager).await.0.is_empty();
        let took = fleet
            .within(Duration::from_secs(120), "everybody", all)
            .await;
        println!("manager {manager} has everybody after {took:?}");
        assert_eq!(amiss(fleet, manager).await.1, 0, "nobody is two machines");
        assert_eq!(fleet.missing(manager, &hour.acknowledged).await, []);
        let members = fleet.look(manager, |view| {
            let devices = Roll::of(view.replica.holdings()).devices();
            let devices = devices.iter().filter(|it| it.rank() == Rank::Device);
            devices.filter(|it| it.is_live() && !it.contested).count()
        });
        assert_eq!(members.await, NODES - MANAGERS);
    }
    let mut labels = BTreeMap::new();
    for place in MANAGERS..NODES {
        let assigned = fleet.assigned(0, &device(place)).await;
        let certified = async |fleet: &LiveFleet| fleet.certified(place).await == assigned;
        fleet
            .within(Duration::from_secs(120), "its label", certified)
            .await;
        *labels.entry(assigned).or_insert(0) += 1;
        // Homes, neighbours, and whoever is on its way in or out.
        let links = fleet.links(place).await;
        assert!(
            links.len() <= HOMES_MAX + NEIGHBOURS_MAX + 2,
            "{place}: {links:?}"
        );
        let managers = fleet.nodes[..MANAGERS].iter();
        assert!(
            managers.filter(|it| links.contains(&it.id)).count() >= 1,
            "{place}: {links:?}"
        );
        assert!(fleet.neighbours(place).await.len() <= NEIGHBOURS_MAX);
    }
    assert!(labels.len() > 10, "labels were given: {labels:?}");
    for place in 0..NODES {
        assert_eq!(
            crew(fleet, place).await,
            hour.crews[place],
            "actors of {place} failed"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_nodes_live_an_hour_and_are_one_fleet_at_its_end() {
    let mut fleet = LiveFleet::found(1, MANAGERS).await;
    fleet.join_many(NODES - MANAGERS).await;
    let mut hour = Hour {
        prng: Prng::from_number(1),
        acknowledged: Vec::new(),
        restarts: 0,
        crews: Vec::new(),
    };
    for place in 0..NODES {
        fleet.ready(0, place).await;
        hour.crews.push(crew(&fleet, place).await);
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3_600) {
        hour.step(&mut fleet).await;
    }
    fleet.net.heal_all();
    let all: Vec<usize> = (0..NODES).collect();
    let one = async |fleet: &LiveFleet| fleet.agree(&all).await;
    let took = fleet
        .within(Duration::from_secs(60), "one fleet", one)
        .await;
    let (labels, restarts) = (hour.acknowledged.len(), hour.restarts);
    println!("{labels} labels, {restarts} power cuts, one fleet within {took:?}");
    assert!(labels > 20 && restarts > 20, "an hour's work");
    is_one_fleet(&fleet, &hour).await;
}
