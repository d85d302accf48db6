//! Writing: what somebody of this node has to say, and what he is told of it.

use std::collections::{BTreeMap, VecDeque};

use ractor::ActorProcessingErr;
use regatta_protocol::codec::Bytes;
use regatta_protocol::ident::Hash;
use regatta_protocol::ledger::entry::LedgerKind;
use regatta_protocol::ledger::replica::Event;
use regatta_protocol::ledger::replica::author::{Draft, Refusal};
use regatta_protocol::trust::invite::answer::JoinAnswer;
use tokio::sync::oneshot;

use crate::ledger::Decide;
use crate::ledger::state::{LedgerState, WriteError};

/// Own entries whose copies are counted; the latest ones.
const COUNTED_MAX: usize = 1024;

type Answer = oneshot::Sender<Result<Vec<Hash>, WriteError>>;

/// Who waits for what is being written.
enum Waiting {
    /// A writer, for this and the entries after it.
    Writer(u64),
    /// A joiner, for what it is told once its enrolment is kept.
    Joiner(Box<JoinAnswer>, oneshot::Sender<Bytes>),
}

struct Writer {
    left: usize,
    written: Vec<Hash>,
    answer: Answer,
}

/// Drafts on their way through the replica and the store.
#[derive(Default)]
pub(super) struct Drafts {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    writers: BTreeMap<u64, Writer>,
    /// Own entries whose copies are counted, the oldest first.
    counted: VecDeque<Hash>,
}

impl Drafts {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl LedgerState {
    /// Writes what `decide` makes of what is held at this moment.
    pub(super) async fn write(
        &mut self,
        decide: Decide,
        answer: Answer,
    ) -> Result<(), ActorProcessingErr> {
        let drafts = decide(&self.view());
        let is_trust = |draft: &Draft| draft.ledger == LedgerKind::Trust;
        if self.disk_full && !drafts.iter().all(is_trust) {
            // Who no longer waits does not need to know.
            let _ = answer.send(Err(WriteError::Full));
            return Ok(());
        }
        if drafts.is_empty() {
            // It is so already, perhaps by a write that is still on its way.
            self.once_kept(|_| {
                let _ = answer.send(Ok(Vec::new()));
            });
            return Ok(());
        }
        let writer = self.drafts.number();
        let waits = Writer {
            left: drafts.len(),
            written: Vec::new(),
            answer,
        };
        self.drafts.writers.insert(writer, waits);
        for mut draft in drafts {
            draft.id = self.drafts.number();
            self.drafts
                .waiting
                .insert(draft.id, Waiting::Writer(writer));
            self.run(Event::Write(draft)).await?;
        }
        Ok(())
    }

    /// Writes what nobody waits for.
    pub(super) async fn write_unasked(
        &mut self,
        mut draft: Draft,
    ) -> Result<(), ActorProcessingErr> {
        draft.id = self.drafts.number();
        self.run(Event::Write(draft)).await
    }

    /// Writes an enrolment, and tells the joiner once it is kept.
    pub(super) async fn write_for_joiner(
        &mut self,
        mut draft: Draft,
        said: JoinAnswer,
        answer: oneshot::Sender<Bytes>,
    ) -> Result<(), ActorProcessingErr> {
        draft.id = self.drafts.number();
        self.drafts
            .waiting
            .insert(draft.id, Waiting::Joiner(Box::new(said), answer));
        self.run(Event::Write(draft)).await
    }

    /// An own entry is durable here.
    pub(super) fn written(&mut self, draft: u64, entry: Hash) {
        self.drafts.counted.push_back(entry);
        let oldest = match self.drafts.counted.len() > COUNTED_MAX {
            true => self.drafts.counted.pop_front(),
            false => None,
        };
        self.copies.send_modify(|copies| {
            copies.insert(entry, 1);
            if let Some(oldest) = oldest {
                copies.remove(&oldest);
            }
        });
        match self.drafts.waiting.remove(&draft) {
            Some(Waiting::Writer(number)) => {
                let Some(writer) = self.drafts.writers.get_mut(&number) else {
                    return;
                };
                writer.written.push(entry);
                writer.left -= 1;
                if writer.left == 0
                    && let Some(writer) = self.drafts.writers.remove(&number)
                {
                    // Who no longer waits does not need to know.
                    let _ = writer.answer.send(Ok(writer.written));
                }
            }
            Some(Waiting::Joiner(said, answer)) => self.tell_joiner(*said, answer),
            None => {}
        }
    }

    /// An own entry was not taken.
    pub(super) fn refused(&mut self, draft: u64, refusal: Refusal) {
        match self.drafts.waiting.remove(&draft) {
            Some(Waiting::Writer(number)) => {
                if let Some(writer) = self.drafts.writers.remove(&number) {
                    // Who no longer waits does not need to know.
                    let _ = writer.answer.send(Err(refusal.into()));
                }
            }
            Some(Waiting::Joiner(_, answer)) => {
                tracing::warn!(%refusal, "a joiner could not be let in");
                drop(answer);
            }
            None => tracing::warn!(%refusal, "what this node had to say was not taken"),
        }
    }
}
