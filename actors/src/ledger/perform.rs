//! What the replica asks for, done.

use std::sync::Arc;

use ractor::ActorProcessingErr;
use regatta_protocol::codec;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::replica::{Effect, Event, answer};
use regatta_protocol::limits::DAY_MS;
use regatta_protocol::trust::steward::Steward;
use tokio::sync::Semaphore;

use crate::ledger::LedgerMessage;
use crate::ledger::state::LedgerState;
use crate::ledger::stored::parcels;
use crate::membership::MembershipMessage;
use crate::network::NetworkMessage;
use crate::switchboard::Tag;

/// Answers that are read for one peer at once; a replica has 32 pulls under way at most.
const READS_PER_PEER_MAX: usize = 64;
/// How often a manager looks at its duties when nothing happens.
const DUTIES_EVERY_MS: u64 = 60_000;

impl LedgerState {
    pub(super) fn perform(&mut self, effect: Effect) -> Result<(), ActorProcessingErr> {
        match effect {
            // Both went to the store when they were asked for.
            Effect::Store(_) | Effect::StoreFloor(_) => {}
            Effect::Send { to, message } => {
                let bytes = codec::encode(&message);
                for to in to {
                    self.around.tell_network(NetworkMessage::Send {
                        to,
                        tag: Tag::Ledger.number(),
                        bytes: bytes.clone(),
                    });
                }
            }
            Effect::SendStored {
                to,
                wanted,
                entries,
                more,
            } => self.send_stored(to, wanted, entries, more),
            Effect::HangUp { peer, reason } => {
                tracing::warn!(%peer, ?reason, "hanging up on a member that does what none does");
                self.around.tell_network(NetworkMessage::HangUp { peer });
            }
            Effect::Agreed(peer) => tracing::debug!(%peer, "trust is in step"),
            Effect::Judged => self.judged(),
            Effect::NewsHops { peer, hops } => {
                let message = MembershipMessage::NewsHops { peer, hops };
                self.around.tell_membership(message);
            }
            Effect::FeederFailed(peer) => {
                let message = MembershipMessage::FeederFailed { peer };
                self.around.tell_membership(message);
            }
            Effect::Written { draft, entry } => self.written(draft, entry),
            Effect::Refused { draft, refusal } => self.refused(draft, refusal),
            Effect::Replicated { entry, copies, .. } => {
                self.copies.send_modify(|known| {
                    // Of one that is no longer counted nobody waits to hear.
                    known.entry(entry).and_modify(|count| *count = copies);
                });
            }
            Effect::Alarm(alarm) => self.trouble(alarm),
        }
        Ok(())
    }

    /// Reads entries where that may block, and sends them. Who asks for more at once than any replica
    /// does asks the rest again later.
    fn send_stored(&mut self, to: NodeId, wanted: Hash, entries: Vec<Hash>, more: bool) {
        let reads = self.driven.reads.entry(to);
        let reads = reads.or_insert_with(|| Arc::new(Semaphore::new(READS_PER_PEER_MAX)));
        let Ok(permit) = Arc::clone(reads).try_acquire_owned() else {
            tracing::debug!(peer = %to, "asks for more at once than is read for it");
            return;
        };
        let (store, network) = (self.around.store.clone(), self.around.network.clone());
        // The store lets a few reads run at once; who asks for more than it may is hung up on.
        tokio::spawn(async move {
            let read = store.read(move |reader| parcels(reader, &entries)).await;
            let _permit = permit;
            match read {
                Ok(parcels) => {
                    for message in answer(wanted, parcels, more) {
                        // One that is gone is started again together with its crew.
                        let _ = network.cast(NetworkMessage::Send {
                            to,
                            tag: Tag::Ledger.number(),
                            bytes: codec::encode(&message),
                        });
                    }
                }
                // The peer asks another, or again.
                Err(error) => tracing::warn!(%error, "entries that a peer asked for were not read"),
            }
        });
    }

    /// A message of another replica.
    pub(super) async fn received(
        &mut self,
        from: NodeId,
        bytes: &[u8],
    ) -> Result<(), ActorProcessingErr> {
        let event = match codec::decode::<Message>(bytes) {
            Ok(message) => Event::Received { from, message },
            Err(_) => Event::Malformed { from },
        };
        self.run(event).await?;
        self.ask_for_a_look_at_the_waiting();
        Ok(())
    }

    /// By its timer: what does not announce itself.
    pub(super) async fn look_around(&mut self) -> Result<(), ActorProcessingErr> {
        if let Some(wall) = self.around.watch.look(&self.around.clock) {
            tracing::warn!(?wall, "the clock of this machine was set");
            self.run(Event::Clock { wall }).await?;
        }
        let (store, myself) = (self.around.store.clone(), self.around.myself.clone());
        tokio::spawn(async move {
            // A store that is closed has ended, and its crew with it.
            if let Ok(health) = store.health().await {
                let _ = myself.cast(LedgerMessage::DiskFull(health.nearly_full));
            }
        });
        // What is held is settled as of now, or a node that hears of nobody would let in, renew and
        // judge as of the day on which it last heard.
        self.run(Event::Wake).await?;
        self.look_at_members().await?;
        self.do_duties().await
    }

    /// What a manager writes unasked: it is a function of what is held.
    async fn do_duties(&mut self) -> Result<(), ActorProcessingErr> {
        let now = self.around.clock.now();
        if self.duty.due.is_some_and(|due| now < due) {
            return Ok(());
        }
        self.duty.due = Some(now.plus(DUTIES_EVERY_MS));
        self.renew_members();
        let steward = Steward {
            node: self.papers.node(),
            serial: self.papers.serial,
        };
        let holdings = self.machine.holdings();
        self.duty.notices.retain(|notice| notice.holds(holdings));
        let duties = steward.duties(holdings, &mut self.duty.done);
        for notice in duties.notices {
            let days = notice.end.since(self.machine.reference(now)) / DAY_MS;
            tracing::warn!(name = %notice.name, days, "a manager's certificate will lapse; renew it");
            self.duty
                .notices
                .retain(|known| known.serial != notice.serial);
            self.duty.notices.push(notice);
        }
        if self.papers.is_manager() && !self.disk_full {
            for draft in duties.drafts {
                self.write_unasked(draft).await?;
            }
        }
        Ok(())
    }

    /// What is judged has changed: look at the duties at once.
    pub(super) fn duties_now(&mut self) {
        self.duty.due = None;
    }
}
