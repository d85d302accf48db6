//! Rollouts: what the manager that drives them does.

use std::collections::{BTreeMap, BTreeSet};

use ractor::ActorProcessingErr;
use regatta_protocol::catalog::{CONFIG, HeldRevision, ROLLOUT, RevisionId};
use regatta_protocol::codec::{self, Bytes, Name};
use regatta_protocol::config::document::ConfigDocument;
use regatta_protocol::config::rollout::{
    Advance, DeviceFacts, RolloutDocument, RolloutState, Unread, advance, can, next_word, turn,
};
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::bodies::root_of;
use regatta_protocol::ledger::entry::{BodyRef, EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::machine::Millis;
use regatta_protocol::membership::presence::PresenceState;
use regatta_protocol::selector::{Labels, Selector};
use regatta_protocol::trust::certificate::Capability;
use regatta_protocol::trust::roll::Roll;
use tokio::sync::oneshot;

use super::ConfigMessage;
use super::state::ConfigState;
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

/// A change that goes out in waves, and is not over.
#[derive(Clone, Debug)]
struct Staged {
    of: RevisionId,
    name: Name,
    select: Selector,
    body: BodyRef,
    base: Option<RevisionId>,
}

/// Whose progress is asked for: a revision, its document, and whom that selects.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The revision.
    pub of: RevisionId,
    /// Its document's name.
    pub name: Name,
    /// Whom it selects.
    pub select: Selector,
}

/// How far a change has gone out, as its driver sees it.
#[derive(Clone, Debug)]
pub struct Progressed {
    /// Every selected device.
    pub devices: Vec<DeviceFacts>,
    /// Reference time at which this was so.
    pub now: Millis,
}

impl Staged {
    fn progress(&self) -> Progress {
        Progress {
            of: self.of,
            name: self.name.clone(),
            select: self.select.clone(),
        }
    }
}

/// What the ledger says of one of them now.
struct Course {
    found: Result<Option<RolloutDocument>, Unread>,
    devices: BTreeMap<NodeId, Labels>,
    /// Whether it is this manager's turn to write the next word.
    mine: bool,
}

/// What the ledger says of changes that go out in waves.
struct Going {
    staged: Vec<Staged>,
    rollouts: Unread,
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

/// Who is heard.
#[derive(Clone, Debug)]
pub(super) struct Hearing {
    /// Managers, this one among them.
    pub(super) managers: BTreeSet<NodeId>,
    /// Whether a node is ready, and when it was heard last, in reference time.
    nodes: BTreeMap<NodeId, (bool, Option<Millis>)>,
    /// Reference time at which that was so.
    now: Millis,
}

impl ConfigState {
    /// Reads the words of rollouts that are here, and asks for those that are not.
    pub(super) async fn learn_rollouts(
        &mut self,
        missing: Unread,
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

    async fn learn_new_rollouts(&mut self, held: Unread) -> Result<(), ActorProcessingErr> {
        self.rollouts.keep_only(held.iter().map(|(id, _)| *id));
        let new = held
            .into_iter()
            .filter(|(id, _)| !self.rollouts.has_read(id));
        let new = new.collect();
        self.learn_rollouts(new).await?;
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
        let hearing = self.hear().await?;
        let mut next_look = None;
        for staged in going.staged {
            let look = self.drive_one(staged, &hearing).await?;
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

    /// Where a rollout stands. Its next word is for that manager to write whose turn it is among those that
    /// are heard and may write for every device that it selects.
    async fn course(
        &self,
        staged: &Staged,
        hearing: &Hearing,
    ) -> Result<Course, ActorProcessingErr> {
        let (of, select) = (staged.of, staged.select.clone());
        let (rollouts, managers) = (self.rollouts.clone(), hearing.managers.clone());
        let me = self.driven.opener.node;
        let course = self.look(move |view| {
            let holdings = view.replica.holdings();
            let devices = Roll::of(holdings).selected(&select);
            let labels: Vec<Labels> = devices.values().cloned().collect();
            let may = |manager: &NodeId| can(holdings, manager, Capability::ConfigWrite, &labels);
            Course {
                found: rollouts.of(holdings, &of, &labels),
                devices,
                mine: turn(&of, managers.into_iter().filter(may)) == Some(me),
            }
        });
        course.await
    }

    /// One rollout; after which time it is to be looked at again.
    async fn drive_one(
        &mut self,
        staged: Staged,
        hearing: &Hearing,
    ) -> Result<Option<u64>, ActorProcessingErr> {
        let mut course = self.course(&staged, hearing).await?;
        while let Err(unread) = &course.found {
            if !self.learn_rollouts(unread.clone()).await? {
                // Its words are on their way.
                return Ok(Some(LOOK_MS));
            }
            course = self.course(&staged, hearing).await?;
        }
        let (true, Ok(found)) = (course.mine, course.found) else {
            return Ok(Some(LOOK_MS));
        };
        let now = hearing.now;
        let facts = self.facts(&staged.progress(), course.devices, hearing);
        let Some(found) = found else {
            let Some(words) = self.words(staged.body).await? else {
                return Ok(Some(LOOK_MS));
            };
            if let Some(spec) = words.rollout {
                let begins = RolloutDocument::start(staged.of, staged.base, spec, now);
                let advanced = advance(&begins, &facts, now);
                self.write_rollout(staged, advanced.next.unwrap_or(begins));
            }
            return Ok(Some(LOOK_MS));
        };
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
        // What breaks the rules, whoever wrote it, goes out in no waves.
        Ok(words.and_then(Result::ok).filter(|it| it.check().is_ok()))
    }

    /// Who is heard now.
    pub(super) async fn hear(&self) -> Result<Hearing, ActorProcessingErr> {
        let known = self.look(|view| {
            let devices = Roll::of(view.replica.holdings()).devices();
            let nodes: Vec<NodeId> = devices.iter().map(|it| it.node).collect();
            (nodes, view.replica.reference(view.now))
        });
        let (known, now) = known.await?;
        let me = self.driven.opener.node;
        let (answer, answered) = oneshot::channel();
        let look = MembershipMessage::Look(Box::new(move |view| {
            let managers = view.links.iter().filter(|(_, link)| link.is_manager);
            let managers = managers.map(|(node, _)| *node).chain([me]).collect();
            let nodes = known.into_iter().map(|node| {
                let seen = view.machine.state_of(node, view.now);
                let ago = seen.heard_ago_ms;
                let heard = ago.map(|ago| Millis(now.0.saturating_sub(ago)));
                (node, (seen.state == PresenceState::Ready, heard))
            });
            let nodes = nodes.collect();
            // Who is gone does not need to know.
            let _ = answer.send(Hearing {
                managers,
                nodes,
                now,
            });
        }));
        self.driven.beside.membership.cast(look)?;
        Ok(answered.await?)
    }

    fn facts(
        &self,
        asked: &Progress,
        devices: BTreeMap<NodeId, Labels>,
        hearing: &Hearing,
    ) -> Vec<DeviceFacts> {
        let facts = devices.into_iter().map(|(node, labels)| {
            let (ready, heard) = hearing.nodes.get(&node).copied().unwrap_or((false, None));
            let standing = self.reports.standing(&node, &asked.name);
            let outcome = standing.and_then(|standing| standing.found(&asked.of));
            DeviceFacts {
                node,
                labels,
                ready,
                heard,
                outcome,
            }
        });
        facts.collect()
    }

    /// How far a change has gone out.
    pub(super) async fn progressed(
        &self,
        asked: Progress,
    ) -> Result<Progressed, ActorProcessingErr> {
        let select = asked.select.clone();
        let devices = self.look(move |view| Roll::of(view.replica.holdings()).selected(&select));
        let (devices, hearing) = (devices.await?, self.hear().await?);
        Ok(Progressed {
            devices: self.facts(&asked, devices, &hearing),
            now: hearing.now,
        })
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
            let draft = draft_of(&staged.of, &document);
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
    /// The name of its words.
    pub hash: Hash,
    /// Its words.
    pub bytes: Bytes,
}

/// The next word on a rollout.
#[must_use]
pub fn draft_of(of: &RevisionId, document: &RolloutDocument) -> RolloutDraft {
    let bytes = Bytes::from(codec::encode(document));
    RolloutDraft {
        of: *of,
        hash: root_of(&bytes),
        bytes,
    }
}

impl RolloutDraft {
    /// As an entry, in the place of all that is held of it now.
    #[must_use]
    pub fn write(&self, view: &LedgerView<'_>) -> Draft {
        let revision = next_word(view.replica.holdings().catalog(), &self.of);
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
