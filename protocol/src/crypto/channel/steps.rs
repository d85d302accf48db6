//! How a channel goes on: from the handshake to open, and from frame to frame.

use super::event::{ChannelError, CloseReason, Direction, Effect};
use super::handshake::{Answer, Finished};
use super::noise::Pattern;
use super::session::{Opened, Session};
use super::{Channel, HANDSHAKE_MS_MAX, REJECTED_IN_A_ROW_MAX, RENEW_MS, State, Unconfirmed};
use crate::codec::Bytes;
use crate::crypto::seal::BoxKey;
use crate::machine::Millis;

impl Channel {
    /// Sends the answer to a first frame, and hands on what came with it.
    pub(super) fn answer(
        &mut self,
        now: Millis,
        expected: Option<BoxKey>,
        answer: Answer,
        out: &mut Vec<Effect>,
    ) {
        let (finished, early) = match answer {
            Answer::Shaking { frame, shaking } => {
                out.push(Effect::Send(frame));
                self.state = State::Shaking(shaking);
                return;
            }
            Answer::Unconfirmed {
                frame,
                finished,
                early,
            } => {
                out.push(Effect::Send(frame));
                (finished, early)
            }
        };
        let Finished {
            transport,
            remote,
            greeting,
            payload_bytes_max,
            ..
        } = *finished;
        self.remote_key = Some(remote);
        if expected != Some(remote) && !early.is_empty() {
            let count = early.len();
            out.push(Effect::EarlyRefused { remote, count });
        } else if !early.is_empty() {
            out.push(Effect::Early {
                remote,
                greeting: greeting.clone(),
                requests: early,
            });
        }
        self.state = State::Unconfirmed(Box::new(Unconfirmed {
            session: Session::new(transport, now, payload_bytes_max, true),
            deadline: now.plus(HANDSHAKE_MS_MAX),
            greeting,
        }));
    }

    /// The last handshake message has been read.
    pub(super) fn finish(&mut self, now: Millis, finished: Finished, out: &mut Vec<Effect>) {
        let max = finished.payload_bytes_max;
        let mut session = Session::new(finished.transport, now, max, false);
        self.remote_key = Some(finished.remote);
        out.extend(finished.last.map(Effect::Send));
        if finished.pattern == Pattern::IK {
            out.push(Effect::Send(session.seal_confirm()));
        }
        let first_contact = finished.pattern == Pattern::XX;
        self.open(now, session, first_contact, finished.greeting, out);
    }

    pub(super) fn open(
        &mut self,
        now: Millis,
        session: Session,
        first_contact: bool,
        greeting: Bytes,
        out: &mut Vec<Effect>,
    ) {
        self.state = State::Open(Box::new(session));
        self.renewal = Some(now.plus(RENEW_MS));
        self.rejected_in_a_row = 0;
        out.extend(self.remote_key.map(|remote| Effect::Opened {
            remote,
            first_contact,
            greeting,
        }));
    }

    /// What a frame of an open channel turned out to be.
    pub(super) fn opened(
        &mut self,
        opened: Result<Opened, ChannelError>,
        epoch: u64,
        payload: Vec<u8>,
        out: &mut Vec<Effect>,
    ) {
        match opened {
            Ok(Opened::Message) => out.push(Effect::Message(payload.into())),
            Ok(Opened::Rekey) => out.push(Effect::RekeyDone {
                direction: Direction::Receiving,
                epoch,
            }),
            Ok(Opened::Confirm) => {}
            Err(_) => return self.reject(out),
        }
        self.rejected_in_a_row = 0;
    }

    pub(super) fn reject(&mut self, out: &mut Vec<Effect>) {
        self.rejected = self.rejected.saturating_add(1);
        self.rejected_in_a_row += 1;
        if self.rejected_in_a_row >= REJECTED_IN_A_ROW_MAX {
            self.close(CloseReason::Unreadable, out);
        }
    }
}
