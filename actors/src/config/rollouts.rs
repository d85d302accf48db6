//! Rollouts: what a device knows of them, and what the manager that drives them does.

use std::collections::{BTreeMap, BTreeSet};

use ractor::ActorProcessingErr;
use regatta_protocol::catalog::{
    CONFIG, Catalog, DocumentKey, HeldRevision, ROLLOUT, Revision, RevisionId,
};
use regatta_protocol::codec::{self, Bytes, Name};
use regatta_protocol::config::document::ConfigDocument;
use regatta_protocol::config::rollout::{
    Advance, DeviceFacts, RolloutDocument, RolloutState, WALK_MAX, advance, effective,
};
use regatta_protocol::config::selection::Reach;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::bodies::root_of;
use regatta_protocol::ledger::entry::{BodyRef, EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::machine::Millis;
use regatta_protocol::membership::presence::PresenceState;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::roll::Roll;
use tokio::sync::oneshot;

use super::ConfigMessage;
use super::state::ConfigState;
use crate::acts::config::selected;
use crate::bodies::{BodiesMessage, kept};
use crate::ledger::{LedgerMessage, LedgerView};
use crate::membership::MembershipMessage;

/// How long a manager listens after its start before it drives anything: whom it has not heard yet would
/// not count.
const LISTENS_MS: u64 = 10_000;
/// How often a rollout is looked at that nothing else moves.
const LOOK_MS: u64 = 5_000;
/// How long reports are gathered before it is looked at what follows.
const GATHER_MS: u64 = 100;

/// The rollouts that are known, by the revision that goes out: every head of each, for they may have been
/// written on two sides of a partition.
#[derive(Clone, Debug, Default)]
pub struct Rollouts {
    known: BTreeMap<RevisionId, RolloutDocument>,
}

/// The name of a revision's rollout: each has its own, so that what went out long ago stays known.
#[must_use]
pub fn key_of(of: &RevisionId) -> DocumentKey {
    let name = format!("{}-{}", of.entry, of.place);
    DocumentKey {
        scope: None,
        kind: ROLLOUT,
        name: Name::new(&name).expect("digits and a dash are a name"),
    }
}

/// The heads of a revision's rollout, with where their words are.
fn heads(catalog: &Catalog, of: &RevisionId) -> Vec<(RevisionId, BodyRef)> {
    let heads = catalog.heads(&key_of(of));
    let ids = heads
        .into_iter()
        .flat_map(|heads| std::iter::once(&heads.winner).chain(&heads.conflicts));
    let held = ids.filter_map(|id| Some((*id, catalog.revision(id)?.body?)));
    held.collect()
}

impl Rollouts {
    /// A revision's rollout as it is in effect: none where none is held; an error where its words are not
    /// here, with where they are.
    pub fn of(
        &self,
        catalog: &Catalog,
        of: &RevisionId,
    ) -> Result<Option<RolloutDocument>, Vec<(RevisionId, BodyRef)>> {
        let heads = heads(catalog, of);
        let lacks = |(id, _): &&(RevisionId, BodyRef)| !self.known.contains_key(id);
        let missing: Vec<_> = heads.iter().filter(lacks).copied().collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let known = heads.iter().filter_map(|(id, _)| self.known.get(id));
        let known: Vec<RolloutDocument> = known.filter(|it| it.of == *of).cloned().collect();
        Ok(effective(&known))
    }

    /// How far a revision has come for a device.
    #[must_use]
    pub fn reach(
        &self,
        catalog: &Catalog,
        of: &RevisionId,
        (node, labels): (&NodeId, &Labels),
    ) -> Reach {
        match self.of(catalog, of) {
            Err(_) => Reach::Unknown,
            Ok(Some(rollout)) if rollout.is_open(node, labels) => Reach::Here,
            Ok(Some(rollout)) => Reach::NotYet { base: rollout.base },
            Ok(None) => {
                let replaces = catalog.revision(of).map(|held| &held.revision.replaces);
                let base = replaces.and_then(|replaces| replaces.first().copied());
                Reach::NotYet { base }
            }
        }
    }

    /// A rollout, taken back: to the last revision before it that had gone out to everybody, for one that
    /// was stopped half its way may be one that devices refuse. None where it is over; an error where words
    /// of those before it were not read, with where they are.
    pub fn aborted(
        &self,
        catalog: &Catalog,
        rollout: &RolloutDocument,
        by: &str,
    ) -> Result<Option<RolloutDocument>, Vec<(RevisionId, BodyRef)>> {
        let mut base = rollout.base;
        for _ in 0..WALK_MAX {
            let Some((id, held)) = base.and_then(|id| Some((id, catalog.revision(&id)?))) else {
                break;
            };
            match self.of(catalog, &id)? {
                Some(before) if before.state != RolloutState::Complete => base = before.base,
                None if held.revision.staged => base = held.revision.replaces.first().copied(),
                _ => break,
            }
        }
        let aborted = rollout.aborted(by);
        Ok(aborted.map(|aborted| RolloutDocument { base, ..aborted }))
    }

    pub(super) fn take(&mut self, id: RevisionId, document: RolloutDocument) {
        self.known.insert(id, document);
    }
}

/// A change that goes out in waves, and is not over.
#[derive(Clone, Debug)]
struct Staged {
    of: RevisionId,
    name: Name,
    select: Selector,
    body: BodyRef,
    base: Option<RevisionId>,
}

/// What the ledger says of changes that go out in waves.
struct Going {
    staged: Vec<Staged>,
    rollouts: Vec<(RevisionId, BodyRef)>,
}

fn going(view: &LedgerView<'_>) -> Going {
    let catalog = view.replica.holdings().catalog();
    let mut going = Going {
        staged: Vec::new(),
        rollouts: Vec::new(),
    };
    for (key, held_by) in catalog.documents() {
        if key.kind == ROLLOUT {
            let ids = std::iter::once(&held_by.winner).chain(&held_by.conflicts);
            let held = ids.filter_map(|id| Some((*id, catalog.revision(id)?.body?)));
            going.rollouts.extend(held);
            continue;
        }
        let winner = catalog.revision(&held_by.winner);
        let Some((held, body)) = winner.and_then(|held| Some((held, held.body?))) else {
            continue;
        };
        if key.kind == CONFIG && held.revision.staged && !held.revision.deletes {
            going.staged.push(staged(held_by.winner, held, body));
        }
    }
    going
}

fn staged(of: RevisionId, held: &HeldRevision, body: BodyRef) -> Staged {
    Staged {
        of,
        name: held.revision.name.clone(),
        select: held.revision.select.clone(),
        body,
        base: held.revision.replaces.first().copied(),
    }
}

/// Which manager drives a rollout: of those that are heard the one whose turn it is by both names.
pub(super) fn drives(of: &RevisionId, me: NodeId, others: &BTreeSet<NodeId>) -> bool {
    let turn = |node: &NodeId| {
        let mut bytes = of.entry.0.to_vec();
        bytes.extend_from_slice(&of.place.to_le_bytes());
        bytes.extend_from_slice(&node.0);
        Hash::of(&bytes)
    };
    let own = turn(&me);
    others.iter().all(|other| turn(other) > own)
}

/// Who is heard, in reference time.
pub(super) type Heard = BTreeMap<NodeId, (bool, Option<Millis>)>;

impl ConfigState {
    /// Reads the words of rollouts that are here, and asks for those that are not.
    pub(super) async fn learn_rollouts(
        &mut self,
        missing: Vec<(RevisionId, BodyRef)>,
    ) -> Result<bool, ActorProcessingErr> {
        let (mut learned, mut wanted) = (false, Vec::new());
        for (id, body) in missing {
            let read = self
                .driven
                .beside
                .store
                .read(move |reader| kept::body(reader, &body.hash));
            match read
                .await?
                .map(|bytes| codec::decode::<RolloutDocument>(&bytes))
            {
                Some(Ok(document)) => {
                    self.rollouts.take(id, document);
                    learned = true;
                }
                Some(Err(error)) => tracing::warn!(%error, "a rollout cannot be read"),
                None => wanted.push(body),
            }
        }
        self.want(wanted);
        Ok(learned)
    }

    /// Reads the words of every rollout that is held.
    pub(super) async fn learn_all_rollouts(&mut self) -> Result<(), ActorProcessingErr> {
        let going = self.look(going).await?;
        self.learn_new_rollouts(going.rollouts).await
    }

    async fn learn_new_rollouts(
        &mut self,
        held: Vec<(RevisionId, BodyRef)>,
    ) -> Result<(), ActorProcessingErr> {
        let known = &mut self.rollouts.known;
        // Of what was replaced nothing is kept.
        known.retain(|id, _| held.iter().any(|(held, _)| held == id));
        let missing = held.into_iter().filter(|(id, _)| !known.contains_key(id));
        let missing = missing.collect();
        self.learn_rollouts(missing).await?;
        Ok(())
    }

    /// Looks soon at what follows for the rollouts.
    pub(super) fn drive_soon(&mut self) {
        self.drive_at(GATHER_MS);
    }

    fn drive_at(&mut self, after_ms: u64) {
        let clock = &self.driven.beside.clock;
        let at = Some(clock.now().plus(after_ms));
        let myself = &self.driven.myself;
        self.driving
            .alarm
            .set(clock, at, myself, || ConfigMessage::Drive);
    }

    /// What follows for the rollouts that this manager drives.
    pub(super) async fn drive(&mut self) -> Result<(), ActorProcessingErr> {
        self.driving.alarm.rang();
        self.hand_out_keys().await?;
        if !self.driven.papers.borrow().is_manager() || self.driving.writes > 0 {
            return Ok(());
        }
        let going = self.look(going).await?;
        if going.staged.is_empty() {
            return Ok(());
        }
        self.learn_new_rollouts(going.rollouts).await?;
        let now = self.driven.beside.clock.now();
        let listens = self.driving.begun.plus(LISTENS_MS);
        if now < listens {
            self.drive_at(listens.since(now));
            return Ok(());
        }
        let mut next_look = None;
        for staged in going.staged {
            let look = self.drive_one(staged).await?;
            next_look = match (next_look, look) {
                (Some(one), Some(other)) => Some(std::cmp::min::<u64>(one, other)),
                (one, other) => one.or(other),
            };
        }
        if let Some(after_ms) = next_look {
            self.drive_at(after_ms);
        }
        Ok(())
    }

    /// One rollout; after which time it is to be looked at again.
    async fn drive_one(&mut self, staged: Staged) -> Result<Option<u64>, ActorProcessingErr> {
        let of = staged.of;
        let rollouts = self.rollouts.clone();
        let found = self
            .look(move |view| {
                let catalog = view.replica.holdings().catalog();
                let now = view.replica.reference(view.now);
                (rollouts.of(catalog, &of), now)
            })
            .await?;
        let (Ok(found), now) = found else {
            // Its words are on their way.
            return Ok(Some(LOOK_MS));
        };
        let (managers, heard) = self.hear(now).await?;
        let me = self.driven.opener.node;
        if !drives(&of, me, &managers) {
            return Ok(Some(LOOK_MS));
        }
        let Some(found) = found else {
            let Some(words) = self.words(staged.body).await? else {
                return Ok(Some(LOOK_MS));
            };
            if let Some(spec) = words.rollout {
                let begins = RolloutDocument::start(of, staged.base, spec, now);
                let advanced = advance(&begins, &self.facts(&staged, &heard).await?, now);
                self.write_rollout(staged, advanced.next.unwrap_or(begins));
            }
            return Ok(Some(LOOK_MS));
        };
        let facts = self.facts(&staged, &heard).await?;
        let Advance { next, wake_at, .. } = advance(&found, &facts, now);
        if let Some(next) = next {
            tracing::info!(config = %staged.name, wave = next.wave, state = ?next.state, "rollout");
            self.write_rollout(staged, next);
        }
        let wakes = wake_at.map(|at| at.since(now).max(1));
        let running = found.state == RolloutState::Running;
        Ok(running.then(|| wakes.unwrap_or(LOOK_MS).min(LOOK_MS)))
    }

    async fn words(&self, body: BodyRef) -> Result<Option<ConfigDocument>, ActorProcessingErr> {
        let read = self
            .driven
            .beside
            .store
            .read(move |reader| kept::body(reader, &body.hash));
        let words = read
            .await?
            .map(|bytes| codec::decode::<ConfigDocument>(&bytes));
        Ok(words.and_then(Result::ok))
    }

    /// Other managers that are heard, and what is known of devices' presence.
    pub(super) async fn hear(
        &self,
        now: Millis,
    ) -> Result<(BTreeSet<NodeId>, Heard), ActorProcessingErr> {
        let nodes = self.look(|view| {
            let devices = Roll::of(view.replica.holdings()).devices();
            devices.iter().map(|it| it.node).collect::<Vec<_>>()
        });
        let nodes = nodes.await?;
        let (answer, answered) = oneshot::channel();
        let look = MembershipMessage::Look(Box::new(move |view| {
            let managers = view.links.iter().filter(|(_, link)| link.is_manager);
            let managers: BTreeSet<NodeId> = managers.map(|(node, _)| *node).collect();
            let heard = nodes.into_iter().map(|node| {
                let seen = view.machine.state_of(node, view.now);
                let ago = seen.heard_ago_ms;
                let heard = ago.map(|ago| Millis(now.0.saturating_sub(ago)));
                (node, (seen.state == PresenceState::Ready, heard))
            });
            // Who is gone does not need to know.
            let _ = answer.send((managers, heard.collect()));
        }));
        self.driven.beside.membership.cast(look)?;
        Ok(answered.await?)
    }

    async fn facts(
        &self,
        staged: &Staged,
        heard: &Heard,
    ) -> Result<Vec<DeviceFacts>, ActorProcessingErr> {
        let select = staged.select.clone();
        let devices = self.look(move |view| selected(view, &select));
        let facts = devices.await?.into_iter().map(|(node, labels)| {
            let (ready, heard) = heard.get(&node).copied().unwrap_or((false, None));
            let standing = self.reports.standing(&node, &staged.name);
            let outcome = standing.and_then(|standing| standing.found(&staged.of));
            DeviceFacts {
                node,
                labels,
                ready,
                heard,
                outcome,
            }
        });
        Ok(facts.collect())
    }

    /// Writes the next word on a rollout, beside the actor.
    fn write_rollout(&mut self, staged: Staged, document: RolloutDocument) {
        self.driving.writes += 1;
        let (ledger, bodies) = (
            self.driven.beside.ledger.clone(),
            self.driven.beside.bodies.clone(),
        );
        let myself = self.driven.myself.clone();
        tokio::spawn(async move {
            let (answer, kept) = oneshot::channel();
            let draft = draft_of(&staged.of, &staged.select, &document);
            // Those that are gone are started again together with this one.
            let _ = bodies.cast(BodiesMessage::Keep {
                hash: draft.hash,
                body: draft.bytes.clone(),
                answer,
            });
            if kept.await.is_ok_and(|kept| kept.is_ok()) {
                let (answer, written) = oneshot::channel();
                let decide = Box::new(move |view: &LedgerView<'_>| vec![draft.write(view)]);
                // As above.
                let _ = ledger.cast(LedgerMessage::Write { decide, answer });
                if let Ok(Err(error)) = written.await {
                    tracing::warn!(%error, "the next wave of a rollout is not written");
                }
            }
            // As above.
            let _ = myself.cast(ConfigMessage::RolloutWritten);
        });
    }
}

/// A word on a rollout that is to be written.
#[derive(Clone, Debug)]
pub struct RolloutDraft {
    of: RevisionId,
    select: Selector,
    /// The name of its words.
    pub hash: Hash,
    /// Its words.
    pub bytes: Bytes,
}

/// The next word on a rollout.
#[must_use]
pub fn draft_of(of: &RevisionId, select: &Selector, document: &RolloutDocument) -> RolloutDraft {
    let bytes = Bytes::from(codec::encode(document));
    RolloutDraft {
        of: *of,
        select: select.clone(),
        hash: root_of(&bytes),
        bytes,
    }
}

impl RolloutDraft {
    /// As an entry, in the place of all that is held of it now.
    #[must_use]
    pub fn write(&self, view: &LedgerView<'_>) -> Draft {
        let catalog = view.replica.holdings().catalog();
        let key = key_of(&self.of);
        let replaces = catalog.to_replace(&key);
        let versions = replaces.iter().filter_map(|id| catalog.revision(id));
        let last = versions.map(|held| held.revision.version).max();
        let revision = Revision {
            kind: ROLLOUT,
            name: key.name,
            replaces,
            select: self.select.clone(),
            deletes: false,
            version: last.unwrap_or(0).saturating_add(1),
            staged: false,
            body: None,
        };
        let payload = codec::encode(&revision);
        let mut draft = Draft::new(0, LedgerKind::Fleet, EntryKind::REVISION, payload);
        draft.body = Some(BodyRef {
            hash: self.hash,
            bytes: self.bytes.len() as u64,
            carried: false,
        });
        draft.riding = Some(self.bytes.clone());
        draft
    }
}
