//! One run from one seed: a fleet, a storm, the calm after it, and the verdict.

use std::sync::Arc;
use std::time::Instant;

use regatta_protocol::catalog::DocumentKey;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::message::Group;
use regatta_protocol::ledger::replica::{Role, Settings};
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::certificate::Window;
use regatta_protocol::trust::statement::Statement;

use crate::bodies::papers::Papers;
use crate::config::{enrol, settled};
use crate::fleet::{self, Root};
use crate::network::{Network, NodeIndex, Weather};
use crate::node::Node;
use crate::pulled::{self, verdict};
use crate::report::Outcome;
use crate::scheme::Scheme;
use crate::world::{Manner, World};
use crate::{plan, steady};

/// What kind of fleet a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The seed.
    pub seed: u64,
    /// Nodes, managers among them.
    pub nodes: usize,
    /// Managers among them.
    pub managers: usize,
    /// Whether entries are pushed.
    pub push: bool,
    /// Which signatures.
    pub scheme: Scheme,
    /// Whether messages are encoded.
    pub encoded: bool,
    /// Whether agents write pulled ledgers, and managers read them.
    pub pulled: bool,
    /// Whether entries have bodies.
    pub bodies: bool,
    /// Whether agents adopt configuration; that needs pulled ledgers and bodies.
    pub config: bool,
}

impl Spec {
    /// Whether what is lost is sent again, as TCP and QUIC do it; one seed in four loses for good.
    #[must_use]
    pub fn streams(&self) -> bool {
        self.seed % 4 != 2
    }

    /// The usual fleet for a seed.
    #[must_use]
    pub fn of_seed(seed: u64, nodes: usize) -> Self {
        Self {
            seed,
            nodes,
            managers: managers_for(nodes),
            // One seed in four has to do without the fast path.
            push: seed % 4 != 3,
            scheme: Scheme::Cheap,
            encoded: nodes <= 20_000,
            pulled: nodes <= 200,
            bodies: nodes <= 200,
            // It costs more than all the rest together.
            config: nodes <= 200 && seed % 32 == 1,
        }
    }
}

/// Managers of a fleet of this size, where nobody says otherwise.
#[must_use]
pub fn managers_for(nodes: usize) -> usize {
    match nodes {
        0..=3 => 1,
        4..=29 => 3,
        30..=5_000 => 5,
        _ => 8,
    }
}

/// Makes the fleet and starts it; every manager is certified for a year.
#[must_use]
pub fn launch(spec: &Spec) -> World {
    launch_with(spec, |_| fleet::year())
}

/// The same with a window of its own for each manager's certificate.
#[must_use]
pub fn launch_with(spec: &Spec, window: impl Fn(usize) -> Window) -> World {
    let mut prng = Prng::from_number(spec.seed);
    let root = Root::found(spec.scheme, &mut prng);
    let mut joined = Vec::new();
    let mut nodes = Vec::with_capacity(spec.nodes);
    for index in 0..spec.managers {
        let (identity, statement) = fleet::manager(&root, index, window(index), &mut prng);
        joined.push(statement);
        nodes.push(Node::new(identity, Vec::new()));
    }
    for index in spec.managers..spec.nodes {
        let mut node = Node::new(fleet::device(&root, &mut prng), Vec::new());
        node.place.site = Some((index - spec.managers) as u32 / SITE);
        nodes.push(node);
    }
    if spec.bodies {
        certify(&root, &joined, &mut nodes);
    }
    let mut network = Network::new(nodes.len(), Weather::FAIR);
    network.set_streams(spec.streams());
    let settings = Settings {
        push: spec.push,
        ..Settings::default()
    };
    let manner = Manner {
        settings,
        encoded: spec.encoded,
        pulled: spec.pulled,
        bodies: spec.bodies,
        config: spec.config,
    };
    let mut world = World::new(root, joined, nodes, network, manner, prng);
    for index in 0..spec.nodes as NodeIndex {
        world.start(index);
    }
    if spec.config {
        enrol::all(&mut world);
    }
    world
}

/// Gives every node what it has to show to get bodies; the first manager enrols the devices.
fn certify(root: &Root, joined: &[Statement], nodes: &mut [Node]) {
    let enrols = nodes[0].identity.clone();
    for (index, node) in nodes.iter_mut().enumerate() {
        let me = &node.identity;
        let site = node.place.site.unwrap_or(0);
        node.place.papers = match joined.get(index) {
            Some(statement) => Papers::of_manager(root, joined, me, statement),
            None => Papers::of_device(root, joined, me, &enrols, index, site),
        };
        assert!(
            node.place.papers.is_some(),
            "a simulated certificate is sound"
        );
    }
}

/// Agents that are on one local network.
const SITE: u32 = 8;

/// What two nodes have to agree on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct View {
    trust: Hash,
    fleet: Hash,
    managers: Option<Hash>,
    state: Hash,
}

fn view_of(node: &mut Node, with_managers: bool, state: bool) -> Option<View> {
    let replica = node.replica.as_mut()?;
    Some(View {
        trust: replica.digest(Group::Trust),
        fleet: replica.digest(Group::Fleet),
        managers: with_managers.then(|| replica.digest(Group::Managers)),
        state: if state {
            replica.holdings().state_digest()
        } else {
            Hash::ZERO
        },
    })
}

/// Whether nodes that are up differ: in what they hold, or, where `state` is asked for, in what they
/// draw from it. Stops at the first two that do.
#[must_use]
pub fn differ(world: &mut World, state: bool) -> bool {
    let (mut first, mut first_manager) = (None, None);
    for node in &mut world.nodes {
        if let Some(view) = view_of(node, false, state)
            && *first.get_or_insert_with(|| view.clone()) != view
        {
            return true;
        }
        if node.is_manager()
            && let Some(view) = view_of(node, true, false)
            && *first_manager.get_or_insert_with(|| view.clone()) != view
        {
            return true;
        }
    }
    scopes_differing(world) > 0
}

/// Devices whose managers, and whose own copy, hold different entries scoped to them.
fn scopes_differing(world: &mut World) -> usize {
    let managers = world.managers();
    let mut differing = 0;
    for device in 0..world.nodes.len() {
        let group = Group::Scope(world.nodes[device].identity.node);
        let mut hashes: Vec<Hash> = Vec::new();
        let holders = managers.iter().map(|index| *index as usize).chain([device]);
        for index in holders {
            if let Some(replica) = world.nodes[index].replica.as_mut() {
                hashes.push(replica.digest(group));
            }
        }
        hashes.dedup();
        differing += usize::from(hashes.len() > 1);
    }
    differing
}

/// Who differs in what, for the report of a run that never agreed.
#[must_use]
pub fn disagreement(world: &mut World) -> Vec<String> {
    let now = world.now;
    let mut lines = Vec::new();
    for (index, node) in world.nodes.iter_mut().enumerate() {
        let with_managers = node.is_manager();
        let Some(view) = view_of(node, with_managers, true) else {
            continue;
        };
        let Some(replica) = node.replica.as_ref() else {
            continue;
        };
        let ahead = replica.reference(now).0 as i64 - fleet::EPOCH.plus(now.0).0 as i64;
        lines.push(format!(
            "node {index}: trust {:?} fleet {:?} state {:?}, {} entries, {} links, {ahead} ms ahead",
            view.trust,
            view.fleet,
            view.state,
            replica.holdings().entries(),
            node.links.len(),
        ));
        if lines.len() >= 24 {
            break;
        }
    }
    lines.push(format!("{} scopes differ", scopes_differing(world)));
    lines
}

/// Runs until all hold the same, and where `state` is asked for draw the same from it; how long it
/// took, or none within the time.
pub fn converge(world: &mut World, within_ms: u64, state: bool) -> Option<u64> {
    let start = world.now;
    loop {
        if !differ(world, state) {
            return Some(world.now.since(start));
        }
        if world.now.since(start) >= within_ms {
            return None;
        }
        world.run_until(world.now.plus(250));
    }
}

/// What has to hold once all agree.
pub fn check_complete(world: &mut World) {
    let mut broken: Vec<(NodeIndex, String)> = Vec::new();
    let managers = world.managers();
    for (hash, known) in &world.invariants.acknowledged {
        // An entry is as durable as the disks of those who were said to hold it.
        for index in managers.iter().filter(|_| !known.holders.is_empty()) {
            let node = &world.nodes[*index as usize];
            if node.is_up() && !node.disk.has(hash) {
                let copies = known.holders.len();
                let what = format!("I1: {hash:?} is lost although {copies} disks should have it");
                broken.push((*index, what));
            }
        }
    }
    let step = (world.nodes.len() / 64).max(1);
    for index in (0..world.nodes.len()).step_by(step) {
        if let Some(what) = rebuilt_differs(world, index) {
            broken.push((index as NodeIndex, what));
        }
    }
    if let Some(what) = plan::winners_differ(world) {
        broken.push((0, what));
    }
    for (index, what) in broken {
        world.invariants.broken(world.now, index, what);
    }
}

/// What a node holds equals the fold over its disk, read in another order.
fn rebuilt_differs(world: &World, index: usize) -> Option<String> {
    let node = &world.nodes[index];
    let replica = node.replica.as_ref()?;
    let mut holdings = world.root.joined(&world.joined);
    holdings.restore_all(node.disk.entries().iter().map(Arc::as_ref));
    holdings.settle(replica.reference(world.now));
    let same = holdings.state_digest() == replica.holdings().state_digest()
        && holdings.entries() == replica.holdings().entries();
    (!same).then(|| "I2: the state is not the fold over what is stored".to_owned())
}

/// The fleet's name of a document of the simulator.
#[must_use]
pub fn document(name: &str) -> DocumentKey {
    DocumentKey {
        scope: None,
        kind: 1,
        name: fleet::name(name),
    }
}

/// Whether a node is a manager that is up.
#[must_use]
pub fn is_writer(node: &Node) -> bool {
    node.identity.role == Role::Manager && node.is_up()
}

/// How long a healed fleet may take to hold the same: the transport notices, dials, compares.
const EQUAL_WITHIN_MS: u64 = 300_000;
/// How long it may take to draw the same from it: words on the time that were wrong have to age.
const AGREE_WITHIN_MS: u64 = 20 * 60_000;

/// How long everybody may take to have its bodies: what failed is wanted again after half a minute.
const BODIES_WITHIN_MS: u64 = 300_000;

/// How long configuration may take until every device has what is for it, and managers know.
const SETTLED_WITHIN_MS: u64 = 20 * 60_000;

/// How long pulled ledgers may take until all is read and copied: what failed is tried again within
/// five minutes.
const DRAINED_WITHIN_MS: u64 = 60 * 60_000;

/// A whole run: launch, storm, calm, agreement, the last checks.
#[must_use]
pub fn whole(spec: &Spec, minutes: u64) -> Outcome {
    let started = Instant::now();
    let mut world = launch(spec);
    world.run_until(SETTLED_AFTER);
    let happened = plan::storm(&mut world, SETTLED_AFTER.plus(minutes * 60_000));
    plan::calm(&mut world);
    let over = world.now;
    pulled::produce_all(&mut world);
    let mut calm = steady::wait(&mut world, EQUAL_WITHIN_MS);
    if calm.equal_ms.is_some() && converge(&mut world, AGREE_WITHIN_MS, true).is_some() {
        calm.converged_ms = Some(world.now.since(over));
    }
    let mut disagreement = steady::lasting_complaints(&mut world);
    if calm.converged_ms.is_some() {
        calm.bodies_ms = world.wait_for_bodies(BODIES_WITHIN_MS);
        world.invariants.bodies_mut().count();
        calm.copies = steady::work(&mut world);
        disagreement.extend(calm.copies.complaint(spec.streams()));
        disagreement.extend(steady::bodies_lacking(&mut world, BODIES_WITHIN_MS));
        disagreement.extend(steady::lasting_complaints(&mut world));
        let again = converge(&mut world, AGREE_WITHIN_MS, true);
        calm.converged_ms = calm.converged_ms.filter(|_| again.is_some());
        calm.settled_ms = settled::wait(&mut world, SETTLED_WITHIN_MS);
        if calm.settled_ms.is_none() {
            disagreement.extend(settled::complaints(&world).into_iter().take(12));
        }
        check_complete(&mut world);
    }
    calm.drained_ms = verdict::drain(&mut world, DRAINED_WITHIN_MS);
    if let Some(what) = verdict::not_drained(&world) {
        disagreement.push(what);
    }
    if let Some((node, what)) = world.body_wrong() {
        world.invariants.broken(world.now, node, what);
    }
    if let Some((node, what)) = verdict::wrong(&world) {
        world.invariants.broken(world.now, node, what);
    }
    if calm.converged_ms.is_none() {
        disagreement.extend(self::disagreement(&mut world));
    }
    Outcome {
        spec: *spec,
        happened,
        done: world.done,
        carried: world.network.carried,
        seen: world.invariants.seen(),
        calm,
        pulled: spec.pulled.then(|| verdict::figures(&world)),
        disagreement,
        violations: std::mem::take(&mut world.invariants.violations),
        took: started.elapsed(),
    }
}

/// Time that passes before anything is done to a fleet, so that it is connected.
pub const SETTLED_AFTER: Millis = Millis(5_000);

#[cfg(test)]
mod tests {
    use super::{Spec, whole};

    #[test]
    fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
        let trace = |seed| whole(&Spec::of_seed(seed, 8), 2).done.trace;
        assert_eq!(trace(1), trace(1));
        assert_ne!(trace(1), trace(2));
    }

    #[test]
    fn a_fleet_comes_through_a_storm() {
        for seed in 1..=6 {
            let outcome = whole(&Spec::of_seed(seed, 12), 3);
            assert!(outcome.is_good(), "{outcome}");
        }
    }
}
