//! Carries out the steps of a scenario and checks what they expect.

use std::collections::BTreeMap;

use regatta_protocol::catalog::{DocumentKey, RevisionId, RevisionSet};
use regatta_protocol::codec;
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::ident::{Hash, Incarnation, NodeId, Serial};
use regatta_protocol::ledger::chain::Head;
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerId, LedgerKind};
use regatta_protocol::ledger::replica::author::{Draft, Identity};
use regatta_protocol::prng::Prng;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::certificate::{
    Capability, Certificate, Issuer, NodeKeys, Rank, Window,
};
use regatta_protocol::trust::enrolment::Enrolment;
use regatta_protocol::trust::invite::join::{JoinRequest, SignedJoin};
use regatta_protocol::trust::invite::{InviteTerms, SignedInvite};
use regatta_protocol::trust::record::verdict_id;
use regatta_protocol::trust::verdict::VerdictId;

use crate::fleet::{self, EPOCH};
use crate::invariants::Violation;
use crate::network::NodeIndex;
use crate::plan;
use crate::run::{self, Spec, document};
use crate::scenarios::configured;
use crate::scenarios::dress;
use crate::scenarios::expect;
use crate::scenarios::secrets;
use crate::scenarios::steal;
use crate::scenarios::step::{Label, Scenario, Step, Who};
use crate::scheme::Scheme;
use crate::world::World;

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Played {
    /// What was broken.
    pub violations: Vec<Violation>,
    /// A digest over all that happened.
    pub trace: u64,
    /// Events that machines handled.
    pub events: u64,
}

/// A scenario under way.
#[derive(Debug)]
pub struct Play {
    /// The world.
    pub world: World,
    /// Entries by their names.
    pub entries: BTreeMap<String, Written>,
    /// Bodies by their names, with their lengths.
    pub bodies: BTreeMap<Label, (Hash, u64)>,
    /// Orders by their names.
    pub orders: BTreeMap<Label, VerdictId>,
    /// Identities as they were at the beginning: what thieves took.
    pub taken: Vec<Identity>,
    /// Words that there were on a rollout when the manager that drove it stopped.
    pub died: usize,
}

/// An entry that has a name.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Its ledger.
    pub ledger: LedgerId,
    /// Its head.
    pub head: Head,
    /// Its place in a set.
    pub place: u16,
    /// What stands before it.
    pub previous: Hash,
}

impl Written {
    /// The entry under its name.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        Self {
            ledger: entry.header.ledger,
            head: crate::forge::head_of(entry),
            place: 0,
            previous: entry.header.previous,
        }
    }

    /// The revision that it is.
    #[must_use]
    pub fn revision(&self) -> RevisionId {
        RevisionId {
            entry: Serial(self.head.hash.half()),
            place: self.place,
        }
    }
}

/// Plays a scenario from its beginning to its end.
#[must_use]
pub fn play(scenario: &Scenario, seed: u64, scheme: Scheme) -> Played {
    let spec = Spec {
        seed,
        nodes: scenario.managers + scenario.agents,
        managers: scenario.managers,
        push: !seed.is_multiple_of(4),
        scheme,
        encoded: true,
        pulled: scenario.has_config(),
        bodies: scenario.has_bodies(),
        config: scenario.has_config(),
    };
    let lives = scenario.lives;
    let world = run::launch_with(&spec, |index| {
        let life = lives.iter().find(|(who, _)| *who == index);
        life.map_or(fleet::year(), |(_, life)| Window {
            from: EPOCH,
            to: EPOCH.plus(*life),
        })
    });
    let taken = world
        .nodes
        .iter()
        .map(|node| node.identity.clone())
        .collect();
    let mut play = Play {
        world,
        entries: BTreeMap::new(),
        bodies: BTreeMap::new(),
        orders: BTreeMap::new(),
        taken,
        died: 0,
    };
    play.world.run_until(run::SETTLED_AFTER);
    for (number, step) in scenario.steps.iter().enumerate() {
        play.step(step);
        if let Err(what) = expect::check(&mut play, step) {
            let what = format!("{}, step {}: {step:?}: {what}", scenario.name, number + 1);
            play.world.invariants.broken(play.world.now, 0, what);
        }
    }
    Played {
        violations: std::mem::take(&mut play.world.invariants.violations),
        trace: play.world.done.trace,
        events: play.world.done.events,
    }
}

impl Play {
    /// A node's id.
    #[must_use]
    pub fn id(&self, who: Who) -> NodeId {
        self.taken[who].node
    }

    /// The entry of a name; one that nobody has where its write was refused.
    #[must_use]
    pub fn written(&self, label: Label) -> Written {
        let nowhere = LedgerId {
            kind: LedgerKind::Fleet,
            scope: None,
            author: NodeId::ZERO,
        };
        let hash = Hash([0xee; 32]);
        let head = Head {
            number: u64::MAX,
            incarnation: Incarnation::ZERO,
            hash,
        };
        let missing = Written {
            ledger: nowhere,
            head,
            place: 0,
            previous: Hash::ZERO,
        };
        self.entries.get(label).copied().unwrap_or(missing)
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Wait(ms) => self.world.run_until(self.world.now.plus(ms)),
            Step::Night(ms) => self.night(ms),
            Step::Agree(_) | Step::Equal(_) => {}
            Step::Apart(_) | Step::Heal => self.cut(step),
            Step::Crash(who) => self.world.crash(who as NodeIndex),
            Step::Start(who) => self.world.start(who as NodeIndex),
            Step::CrashAfter(who, effects) => {
                self.world.nodes[who].crash_after = Some(effects);
            }
            Step::Backup(who) => {
                self.world.nodes[who].place.backup = Some(self.world.nodes[who].disk.clone());
            }
            Step::Restore(who) | Step::Wipe(who) => self.lose_disk(step, who),
            Step::Clock(who, off_ms) => self.world.set_clock(who as NodeIndex, off_ms),
            Step::Steal(theft) => steal::carry_out(self, &theft),
            Step::NewKey(who, by) => self.new_key(who, by, None),
            Step::NewKeyWithout(who, by, lacks) => self.new_key(who, by, Some(lacks)),
            Step::Mute(from, to) => self.world.network.cut(from as NodeIndex, to as NodeIndex),
            Step::Flood(from, to, _) | Step::Forge(from, to, _) => {
                steal::pester(self, step, from, to)
            }
            Step::WriteMany(who, name, count, label) => {
                for _ in 0..count {
                    self.write(&Step::Write(who, name, label));
                }
            }
            Step::RootStop(..) | Step::RootGood(..) => steal::order(self, step),
            Step::Config(step) => configured::carry_out(self, &step),
            Step::WriteBody(..) | Step::AskFor(..) | Step::Lie(..) => dress::carry_out(self, step),
            _ => self.write(step),
        }
    }

    /// Everybody who is up goes down for so long, and has some seconds to find the others again.
    fn night(&mut self, ms: u64) {
        let up = |world: &World, index: &NodeIndex| world.nodes[*index as usize].is_up();
        let nodes = 0..self.world.nodes.len() as NodeIndex;
        let nodes: Vec<NodeIndex> = nodes.filter(|index| up(&self.world, index)).collect();
        nodes.iter().for_each(|index| self.world.crash(*index));
        self.world.run_until(self.world.now.plus(ms));
        nodes.iter().for_each(|index| self.world.start(*index));
        self.world.run_until(self.world.now.plus(5_000));
    }

    fn cut(&mut self, step: &Step) {
        self.world.network.heal();
        if let Step::Apart(nodes) = step {
            nodes
                .iter()
                .for_each(|who| self.world.network.set_side(*who as NodeIndex, 1));
        }
        self.world.links_changed();
    }

    fn lose_disk(&mut self, step: &Step, who: Who) {
        self.world.crash(who as NodeIndex);
        let backup = match step {
            Step::Restore(_) => self.world.nodes[who]
                .place
                .backup
                .take()
                .unwrap_or_default(),
            _ => crate::disk::Disk::default(),
        };
        self.world.nodes[who].disk = backup;
        self.world
            .invariants
            .disk_lost(who as NodeIndex, &self.world.nodes[who]);
        self.world.start(who as NodeIndex);
    }

    fn write(&mut self, step: &Step) {
        let wall = self.world.nodes[0].wall(self.world.now);
        let (who, label, draft) = match *step {
            Step::Write(who, name, label) => (who, label, self.revision(who, &document(name))),
            Step::WriteFor(who, device, label) => {
                let key = DocumentKey {
                    scope: Some(self.id(device)),
                    ..document("own")
                };
                (who, label, self.revision(who, &key))
            }
            Step::WriteExpiring(who, name, after_ms, label) => {
                let draft = self.revision(who, &document(name));
                (
                    who,
                    label,
                    draft.map(|draft| Draft {
                        expires: Some(wall.plus(after_ms)),
                        ..draft
                    }),
                )
            }
            Step::Delete(who, name, label) => (who, label, self.deletion(who, name)),
            Step::WriteSet(who, names, label) => (who, label, self.set(who, &names)),
            Step::Testify(who, label) => (
                who,
                label,
                plan::testimony_draft(&self.world, who as NodeIndex),
            ),
            Step::Renew(who, peer, until) => {
                (who, "", steal::renewal(self, peer, wall.plus(until)))
            }
            Step::Stop(who, device, label) => (who, label, Some(steal::stop(self, device))),
            Step::Allow(who, device, order, label) => {
                (who, label, Some(steal::allow(self, device, &[order])))
            }
            Step::Enrol(who, key) => (who, "", Some(self.enrolment(key, 0))),
            Step::EnrolForged(who, key) => (who, "", Some(self.enrolment(key, 1))),
            Step::Wrap(who, device, label) => (who, "", secrets::wrap(self, device, label)),
            Step::WriteUnknown(who, critical, label) => (who, label, Some(unknown(critical))),
            _ => return,
        };
        if let Some(draft) = draft {
            self.write_as(who, draft, label);
        }
    }

    /// A device is enrolled by the scenario's only invite, which the first manager gave for one use
    /// and whose one-time key has number 0.
    fn enrolment(&self, key: u8, one_time: u64) -> Draft {
        let (root, issuer) = (&self.world.root, &self.taken[0]);
        let mut prng = Prng::from_number(u64::from(key));
        let own = root.new_key(&mut prng);
        let keys = [0, one_time].map(|number| root.new_key(&mut Prng::from_number(number)));
        let [invites, one_time] = keys;
        let certificate = Certificate {
            issuer: Issuer::Certificate(Serial([key; 16])),
            node: NodeId([key; 16]),
            name: fleet::name("amr-07"),
            rank: Rank::Device,
            keys: NodeKeys {
                sign: own.public(),
                seal: BoxKey(Hash([key; 32])),
            },
            labels: Labels::none(),
            grants: Vec::new(),
            window: fleet::year(),
        };
        let terms = InviteTerms {
            fleet: root.fleet,
            key: invites.public(),
            rank: Rank::Device,
            labels: Labels::none(),
            grants: Vec::new(),
            uses: 1,
            not_after: fleet::year().to,
            issuer: Issuer::Certificate(issuer.serial),
            name: None,
            replaces: None,
        };
        let request = JoinRequest {
            invite: SignedInvite::sign(&terms, &[(0, issuer.signer.as_ref())]),
            name: certificate.name.clone(),
            keys: certificate.keys,
        };
        let signed = SignedJoin::sign(&request, &root.fleet, one_time.as_ref(), own.as_ref());
        let enrolment = Enrolment {
            invite: request.invite.id(),
            uses: terms.uses,
            certificate: codec::encode(&certificate).into(),
            replaces: None,
            request: Some(signed),
        };
        let content = codec::encode(&enrolment);
        Draft::fitting(0, LedgerKind::Managers, EntryKind::ENROLMENT, content)
    }

    /// Has a manager write, and gives the entry its name; a draft that is refused gets none.
    pub fn write_as(&mut self, who: Who, draft: Draft, label: Label) {
        let before = self.world.nodes[who].disk.entries().len();
        self.world.write(who as NodeIndex, draft);
        let author = self.id(who);
        let entries = self.world.nodes[who].disk.entries();
        let written = entries[before..]
            .iter()
            .find(|entry| entry.header.ledger.author == author);
        let Some(entry) = written else { return };
        self.orders.insert(label, verdict_id(&entry.hash, 0));
        let written = Written::of(entry);
        self.entries.insert(label.to_owned(), written);
        self.entries.insert(
            format!("{label}+1"),
            Written {
                place: 1,
                ..written
            },
        );
    }

    /// The next revision of a document, as a manager would write it.
    pub fn revision(&self, who: Who, key: &DocumentKey) -> Option<Draft> {
        plan::revision_draft(&self.world, who as NodeIndex, key)
    }

    fn deletion(&self, who: Who, name: &str) -> Option<Draft> {
        let draft = self.revision(who, &document(name))?;
        let mut revision: regatta_protocol::catalog::Revision =
            codec::decode(&draft.payload).ok()?;
        revision.deletes = true;
        Some(Draft {
            payload: codec::encode(&revision).into(),
            ..draft
        })
    }

    fn set(&self, who: Who, names: &[&str]) -> Option<Draft> {
        let revisions: Option<Vec<_>> = names
            .iter()
            .map(|name| codec::decode(&self.revision(who, &document(name))?.payload).ok())
            .collect();
        let content = codec::encode(&RevisionSet(revisions?));
        Some(Draft::fitting(
            0,
            LedgerKind::Fleet,
            EntryKind::SET,
            content,
        ))
    }

    /// The root certifies a new key; its owner takes it once it is published.
    fn new_key(&mut self, who: Who, by: Who, lacks: Option<Capability>) {
        let mut prng = self.world.prng().branch();
        let key = self.world.root.new_key(&mut prng);
        let name = format!("m{}", who + 1);
        let mut grants = fleet::manager_grants();
        grants.retain(|grant| Some(grant.capability) != lacks);
        let root = &self.world.root;
        let statement = root.certify_for(self.id(who), key.as_ref(), &name, fleet::year(), grants);
        let serial = fleet::serial_of(&statement);
        let draft = steal::statement(&statement);
        self.write_as(by, draft, "");
        self.world.run_until(self.world.now.plus(3_000));
        let node = &mut self.world.nodes[who];
        let identity = Identity {
            serial,
            signer: key,
            ..node.identity.clone()
        };
        node.identity = identity.clone();
        if let Some(replica) = node.replica.as_mut() {
            replica.set_identity(identity);
        }
        // Two keys write one ledger from here on, and the old one may be in other hands.
        let id = self.id(who);
        self.world.invariants.suspects.insert(id);
    }
}

/// What a later build may write.
fn unknown(critical: bool) -> Draft {
    let kind = EntryKind {
        code: 999,
        critical,
    };
    Draft::new(0, LedgerKind::Fleet, kind, b"of a later build".to_vec())
}
