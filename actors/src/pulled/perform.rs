//! What spool and cursor ask for, done.

use regatta_protocol::codec;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::cursor::CursorEffect;
use regatta_protocol::ledger::entry::Entry;
use regatta_protocol::ledger::spool::message::{Item, PullMessage};
use regatta_protocol::ledger::spool::position::Span;
use regatta_protocol::ledger::spool::{Part, SpoolEffect};

use super::state::{Behind, PulledState, Reported};
use super::{PulledMessage, kept};
use crate::network::NetworkMessage;
use crate::switchboard::Tag;

impl PulledState {
    pub(super) fn perform(&mut self, behind: Behind) {
        match behind {
            Behind::Spool(effect) => self.perform_spool(effect),
            Behind::Cursor(effect) => self.perform_cursor(effect),
            Behind::Stored {
                ledger,
                token,
                generation,
                entries,
            } => {
                for entry in entries {
                    self.tell(generation, entry);
                }
                // An actor that is gone needs no telling.
                let _ = self
                    .around
                    .myself
                    .cast(PulledMessage::Stored { ledger, token });
            }
            Behind::Reported(entry) => {
                if !self.reporters.is_empty() {
                    // Who no longer waits does not need to know.
                    let _ = self.reporters.remove(0).send(entry.hash);
                }
                // A node reads its own report from the beginning.
                self.tell(0, *entry);
            }
        }
    }

    fn tell(&self, generation: u32, entry: Entry) {
        // Whoever listens is started again together with this actor, and reads the store.
        let _ = self.around.reported.send(Reported { generation, entry });
    }

    fn perform_spool(&mut self, effect: SpoolEffect) {
        match effect {
            // They went to the store when they were asked for.
            SpoolEffect::Append { .. } | SpoolEffect::Keep { .. } => {}
            SpoolEffect::Look { number } => {
                let (store, myself) = (self.around.store.clone(), self.around.myself.clone());
                let (kind, span) = (self.ledger.kind, single(number));
                tokio::spawn(async move {
                    let parts = vec![Part::Entries(span)];
                    let read = store.read(move |reader| kept::parts(reader, kind, parts));
                    let found = read.await.ok().and_then(|items| items.into_iter().next());
                    if let Some(Item::Entry(parcel)) = found {
                        let hash = Hash::of(&parcel.header);
                        // One that is gone is started again.
                        let _ = myself.cast(PulledMessage::Looked { number, hash });
                    }
                });
            }
            SpoolEffect::Serve { to, message, parts } => self.serve(to, *message, parts),
            SpoolEffect::Send { to, message } => self.send(to, &message),
            SpoolEffect::KnownFurther { by, cursor } => {
                tracing::warn!(%by, number = cursor.number, "a manager has read more of this \
                    node's reports than this disk has; it was restored from an older state");
            }
            SpoolEffect::Refused(error) => {
                tracing::error!(%error, "a report could not be written");
                if !self.reporters.is_empty() {
                    self.reporters.remove(0);
                }
            }
            SpoolEffect::Misbehaved { peer, reason } => self.misbehaved(peer, &reason),
            SpoolEffect::Freed { .. } => {}
            SpoolEffect::Dropped { span, reason } => {
                tracing::warn!(
                    from = span.from,
                    to = span.to,
                    ?reason,
                    "reports were dropped"
                );
            }
        }
    }

    /// Puts a batch together where that may block, and sends it.
    fn serve(&self, to: NodeId, message: PullMessage, parts: Vec<Part>) {
        let (store, myself) = (self.around.store.clone(), self.around.myself.clone());
        let (network, kind) = (self.around.network.clone(), self.ledger.kind);
        tokio::spawn(async move {
            let read = store.read(move |reader| kept::parts(reader, kind, parts));
            match read.await {
                Ok(items) => {
                    let message = message.with_items(items);
                    // Those that are gone are started again together.
                    let _ = network.cast(NetworkMessage::Send {
                        to,
                        tag: Tag::Pulled.number(),
                        bytes: codec::encode(&message),
                    });
                }
                // It is asked for again.
                Err(error) => {
                    tracing::warn!(%error, "reports that a manager asks for are not read")
                }
            }
            // As above.
            let _ = myself.cast(PulledMessage::Served { to });
        });
    }

    fn perform_cursor(&mut self, effect: CursorEffect) {
        match effect {
            // It went to the store when it was asked for.
            CursorEffect::Store { .. } => {}
            CursorEffect::Serve {
                to,
                message,
                generation,
                span,
            } => {
                let (store, myself) = (self.around.store.clone(), self.around.myself.clone());
                let (network, me) = (self.around.network.clone(), self.ledger.author);
                tokio::spawn(async move {
                    let ledger = message.ledger();
                    let read = store
                        .read(move |reader| kept::read_stream(reader, &ledger, generation, span));
                    let Ok(items) = read.await else {
                        return;
                    };
                    let message = message.with_items(items);
                    // Those that are gone are started again together.
                    let _ = match to == me {
                        true => {
                            let message = Box::new(message);
                            myself.cast(PulledMessage::ReadBack { message }).is_ok()
                        }
                        false => network
                            .cast(NetworkMessage::Send {
                                to,
                                tag: Tag::Pulled.number(),
                                bytes: codec::encode(&message),
                            })
                            .is_ok(),
                    };
                });
            }
            CursorEffect::Send { to, message } => self.send(to, &message),
            CursorEffect::Generation { ledger, cause, .. } => {
                tracing::warn!(device = %ledger.author, ?cause, "a device lost what it had \
                    reported; what was read of it is kept");
            }
            CursorEffect::MissingElsewhere {
                ledger, numbers, ..
            } => {
                tracing::warn!(device = %ledger.author, numbers, "reports are held by managers \
                    that cannot be reached alone");
            }
            CursorEffect::Saturated { ledger } => {
                tracing::warn!(device = %ledger.author, "too much of its reports is missing");
            }
            CursorEffect::Misbehaved { peer, reason } => self.misbehaved(peer, &reason),
        }
    }

    fn misbehaved(&self, peer: NodeId, reason: &dyn std::fmt::Debug) {
        tracing::warn!(%peer, ?reason, "hanging up on a member that does what none does");
        self.tell_network(NetworkMessage::HangUp { peer });
    }
}

fn single(number: u64) -> Span {
    Span {
        from: number,
        to: number,
    }
}
