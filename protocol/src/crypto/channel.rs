//! The Noise channel between two members, as a state machine.
//!
//! Frames go in and out in stream order; `IK` where the initiator knows the responder's key, `XX`
//! where it does not. Each direction rotates its key by itself: the last frame under a key is
//! `Rekey`. A responder of `IK` may answer at once, but believes in its peer only when the first
//! frame under the new keys has come, because a first message can be a replay.

mod early;
mod event;
mod handshake;
pub(crate) mod noise;
mod session;
mod steps;

use std::fmt;

pub use self::early::{
    EARLY_BYTES_MAX, EARLY_REQUESTS_MAX, Early, EarlyError, EarlyWindow, GREETING_BYTES_MAX,
};
pub use self::event::{ChannelError, CloseReason, Direction, Effect, Event};
use self::handshake::Shaking;
pub use self::handshake::read_hello;
use self::session::Session;
pub use self::session::{KeyAge, Opened};
use crate::codec::Bytes;
use crate::crypto::seal::{BoxKey, BoxSecret};
use crate::ident::{FleetId, NodeId};
use crate::limits::CONTROL_FRAME_BYTES_MAX;
use crate::machine::{Machine, Millis};
use crate::prng::Prng;

/// How long a handshake may take.
pub const HANDSHAKE_MS_MAX: u64 = 10_000;
/// How long a key is used before the direction's next one.
pub const REKEY_MS: u64 = 10 * 60 * 1000;
/// How many messages a key seals at most: far below what AES-GCM allows.
pub const REKEY_FRAMES_MAX: u64 = 1 << 22;
/// When a new handshake is due, so that a stolen key is worth an hour.
pub const RENEW_MS: u64 = 60 * 60 * 1000;
/// Refused frames in a row after which the channel closes: a frame was lost, nothing will open again.
pub const REJECTED_IN_A_ROW_MAX: u32 = 16;
/// What a frame adds to its payload.
pub const FRAME_OVERHEAD_BYTES: usize = 1 + noise::TAG_BYTES;
/// The most that one frame can carry, where both ends allow more than control traffic.
pub const PAYLOAD_BYTES_MAX: usize = noise::MESSAGE_BYTES_MAX - noise::TAG_BYTES;

/// Between whom a channel is; both must say the same, or no handshake succeeds.
#[derive(Clone, Copy, Debug)]
pub struct Parties<'a> {
    /// The fleet of both.
    pub fleet: FleetId,
    /// This node.
    pub local: NodeId,
    /// The other.
    pub remote: NodeId,
    /// This node's key.
    pub secret: &'a BoxSecret,
    /// The key that the other's certificate binds, if it is known.
    pub remote_key: Option<BoxKey>,
    /// The most bytes of one message, [`CONTROL_FRAME_BYTES_MAX`] for control traffic; at most
    /// [`PAYLOAD_BYTES_MAX`].
    pub payload_bytes_max: usize,
}

impl<'a> Parties<'a> {
    /// A channel for control traffic.
    #[must_use]
    pub fn control(
        fleet: FleetId,
        local: NodeId,
        remote: NodeId,
        secret: &'a BoxSecret,
        remote_key: Option<BoxKey>,
    ) -> Self {
        Self {
            fleet,
            local,
            remote,
            secret,
            remote_key,
            payload_bytes_max: CONTROL_FRAME_BYTES_MAX,
        }
    }
}

/// One channel, of either side.
pub struct Channel {
    state: State,
    remote_key: Option<BoxKey>,
    renewal: Option<Millis>,
    rejected: u64,
    rejected_in_a_row: u32,
}

enum State {
    /// Waiting for the peer's next handshake message.
    Shaking(Box<Shaking>),
    /// The responder of `IK`, until its peer has shown that it holds the keys.
    Unconfirmed(Box<Unconfirmed>),
    Open(Box<Session>),
    Closed,
}

struct Unconfirmed {
    session: Session,
    deadline: Millis,
    greeting: Bytes,
}

impl Channel {
    /// Begins a channel: `IK` where the peer's key is known, else `XX`. `greeting` is what the peer
    /// is told with the handshake, `early` what it is asked in the first message.
    ///
    /// # Errors
    /// When the greeting or the early requests are not allowed, or the peer's key is a weak one.
    pub fn initiate(
        now: Millis,
        parties: &Parties<'_>,
        greeting: Bytes,
        early: Vec<Early>,
        prng: &mut Prng,
        out: &mut Vec<Effect>,
    ) -> Result<Self, ChannelError> {
        let (shaking, first) = Shaking::initiate(now, parties, greeting, early, prng)?;
        out.push(Effect::Send(first));
        Ok(Self::in_state(State::Shaking(Box::new(shaking))))
    }

    /// Answers a peer's first frame; `window` is this node's, over all its channels. A frame that is
    /// none gives a channel that is closed, and says so in `out`.
    pub fn respond(
        now: Millis,
        parties: &Parties<'_>,
        greeting: Bytes,
        first: &[u8],
        window: &mut EarlyWindow,
        prng: &mut Prng,
        out: &mut Vec<Effect>,
    ) -> Self {
        let mut channel = Self::in_state(State::Closed);
        match handshake::respond(now, parties, greeting, first, window, prng) {
            Ok(answer) => channel.answer(now, parties.remote_key, answer, out),
            Err(reason) => {
                out.push(Effect::Send(vec![session::tag::REFUSAL]));
                out.push(Effect::Closed { reason });
            }
        }
        channel
    }

    /// Seals a message into `frame`, whose old content goes. Frames are sent in the order in which
    /// they were sealed. [`Channel::send`] rotates a worn-out key by itself, this leaves it to `Wake`.
    ///
    /// # Errors
    /// When it is not open, or the message is empty or too long.
    pub fn seal_into(
        &mut self,
        now: Millis,
        payload: &[u8],
        frame: &mut Vec<u8>,
    ) -> Result<(), ChannelError> {
        let session = self.session_mut().ok_or(ChannelError::NotOpen)?;
        session.seal_message(now, payload, frame)
    }

    /// Opens a frame of an open channel into `payload`, whose old content goes; `Event::Frame` does
    /// the same with a buffer of its own, counts, and closes what cannot be read any more.
    ///
    /// # Errors
    /// When it does not open: then nothing has changed, and the genuine frame still does.
    pub fn open_into(
        &mut self,
        now: Millis,
        frame: &[u8],
        payload: &mut Vec<u8>,
    ) -> Result<Opened, ChannelError> {
        match &mut self.state {
            State::Open(session) => session.open(now, frame, payload),
            _ => Err(ChannelError::NotOpen),
        }
    }

    /// Sends a message, under the next key where this one has done its time.
    ///
    /// # Errors
    /// When it is not open, or the message is empty or too long.
    pub fn send(
        &mut self,
        now: Millis,
        payload: &[u8],
        out: &mut Vec<Effect>,
    ) -> Result<(), ChannelError> {
        self.rekey_if_due(now, out);
        let mut frame = Vec::new();
        self.seal_into(now, payload, &mut frame)?;
        out.push(Effect::Send(frame));
        Ok(())
    }

    /// Changes the sending key now.
    ///
    /// # Errors
    /// When it is not open.
    pub fn rekey(&mut self, now: Millis, out: &mut Vec<Effect>) -> Result<(), ChannelError> {
        let session = self.session_mut().ok_or(ChannelError::NotOpen)?;
        out.push(Effect::Send(session.seal_rekey(now)));
        out.push(Effect::RekeyDone {
            direction: Direction::Sending,
            epoch: session.sending(now).epoch,
        });
        Ok(())
    }

    /// Takes the peer's next frame.
    pub fn receive(&mut self, now: Millis, frame: &[u8], out: &mut Vec<Effect>) {
        self.time_out(now, out);
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Shaking(shaking) => match shaking.receive(frame) {
                Ok(finished) => self.finish(now, finished, out),
                Err(reason) => out.push(Effect::Closed { reason }),
            },
            State::Unconfirmed(mut unconfirmed) => {
                let mut payload = Vec::new();
                let opened = unconfirmed.session.open(now, frame, &mut payload);
                if opened == Ok(Opened::Confirm) {
                    let Unconfirmed {
                        session, greeting, ..
                    } = *unconfirmed;
                    self.open(now, session, false, greeting, out);
                } else {
                    self.state = State::Unconfirmed(unconfirmed);
                    self.reject(out);
                }
            }
            State::Open(mut session) => {
                let mut payload = Vec::new();
                let opened = session.open(now, frame, &mut payload);
                let epoch = session.receiving(now).epoch;
                self.state = State::Open(session);
                self.opened(opened, epoch, payload, out);
            }
            State::Closed => {}
        }
    }

    /// The peer's static key, once its handshake has shown it: compare it with the certificate.
    #[must_use]
    pub fn remote_key(&self) -> Option<BoxKey> {
        self.remote_key
    }

    /// Whether the peer has shown that it holds the keys.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Number and age of the key that this node sends under.
    #[must_use]
    pub fn sending(&self, now: Millis) -> Option<KeyAge> {
        Some(self.session()?.sending(now))
    }

    /// Number and age of the key that the peer sends under.
    #[must_use]
    pub fn receiving(&self, now: Millis) -> Option<KeyAge> {
        Some(self.session()?.receiving(now))
    }

    /// Frames that did not open.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }
}

impl Channel {
    fn in_state(state: State) -> Self {
        Self {
            state,
            remote_key: None,
            renewal: None,
            rejected: 0,
            rejected_in_a_row: 0,
        }
    }

    fn session(&self) -> Option<&Session> {
        match &self.state {
            State::Open(session) => Some(session),
            State::Unconfirmed(unconfirmed) => Some(&unconfirmed.session),
            State::Shaking(_) | State::Closed => None,
        }
    }

    fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Open(session) => Some(session),
            State::Unconfirmed(unconfirmed) => Some(&mut unconfirmed.session),
            State::Shaking(_) | State::Closed => None,
        }
    }

    #[cfg(test)]
    fn wear_out_key(&mut self) {
        self.session_mut().expect("open").wear_out_key();
    }

    fn rekey_if_due(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let due = self.session().and_then(Session::rekey_at);
        if due.is_some_and(|due| now >= due) {
            let changed = self.rekey(now, out);
            assert!(changed == Ok(()), "there is a session");
        }
    }

    fn time_out(&mut self, now: Millis, out: &mut Vec<Effect>) {
        let deadline = match &self.state {
            State::Shaking(shaking) => shaking.deadline,
            State::Unconfirmed(unconfirmed) => unconfirmed.deadline,
            State::Open(_) | State::Closed => return,
        };
        if now >= deadline {
            self.close(CloseReason::TimedOut, out);
        }
    }

    fn close(&mut self, reason: CloseReason, out: &mut Vec<Effect>) {
        self.state = State::Closed;
        out.push(Effect::Closed { reason });
    }
}

impl Machine for Channel {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Millis, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Frame(frame) => self.receive(now, &frame, out),
            Event::Send(payload) => {
                if let Err(error) = self.send(now, &payload, out) {
                    out.push(Effect::Refused(error));
                }
            }
            Event::Wake => {
                self.time_out(now, out);
                self.rekey_if_due(now, out);
                if self.renewal.is_some_and(|renewal| now >= renewal) {
                    self.renewal = None;
                    out.push(Effect::RenewalDue);
                }
            }
            Event::Close => {
                if !self.is_closed() {
                    self.close(CloseReason::Asked, out);
                }
            }
        }
    }

    fn wake_at(&self) -> Option<Millis> {
        match &self.state {
            State::Shaking(shaking) => Some(shaking.deadline),
            State::Unconfirmed(unconfirmed) => Some(unconfirmed.deadline),
            State::Open(session) => {
                let times = [session.rekey_at(), self.renewal];
                times.into_iter().flatten().min()
            }
            State::Closed => None,
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Shaking(_) => "shaking hands",
            State::Unconfirmed(_) => "unconfirmed",
            State::Open(_) => "open",
            State::Closed => "closed",
        };
        write!(out, "Channel({state}, with {:?})", self.remote_key)
    }
}

#[cfg(test)]
mod tests;
