//! The handshake's messages: `IK` in two, with early data in the first; `XX` in three, without any.

use super::early::{self, Hello};
use super::noise::{HandshakeState, NoiseError, Pattern, Setup, TAG_BYTES, TransportState};
use super::session::tag;
use super::{
    ChannelError, CloseReason, Early, EarlyError, EarlyWindow, GREETING_BYTES_MAX,
    HANDSHAKE_MS_MAX, Parties,
};
use crate::codec::{self, Bytes, Wire};
use crate::crypto::seal::BoxKey;
use crate::ident::{Hash, NodeId};
use crate::machine::Millis;
use crate::prng::Prng;

/// Tag, ephemeral and static key, two tags, and what is said with them.
const FRAME_BYTES_MAX: usize = 1 + 32 + 32 + 2 * TAG_BYTES + Hello::BYTES_MAX;

/// In the prologue: another version is another protocol, and no handshake between them succeeds.
const LABEL: &[u8] = b"regatta/v1/channel";

fn prologue(parties: &Parties<'_>, initiator: &NodeId, responder: &NodeId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + LABEL.len() + 32 + 16 + 16);
    bytes.push(u8::try_from(LABEL.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(LABEL);
    bytes.extend_from_slice(&parties.fleet.0);
    bytes.extend_from_slice(&initiator.0);
    bytes.extend_from_slice(&responder.0);
    bytes
}

/// A handshake that waits for the peer's next message.
pub(super) struct Shaking {
    noise: HandshakeState,
    pattern: Pattern,
    initiator: bool,
    /// What we say, where we have not said it yet.
    greeting: Bytes,
    payload_bytes_max: usize,
    pub(super) deadline: Millis,
}

/// Both sides have the keys.
pub(super) struct Finished {
    pub(super) transport: TransportState,
    pub(super) remote: BoxKey,
    /// What the peer said.
    pub(super) greeting: Bytes,
    pub(super) pattern: Pattern,
    /// The message that the peer needs to have them too.
    pub(super) last: Option<Vec<u8>>,
    pub(super) payload_bytes_max: usize,
}

/// What a first frame leads to.
pub(super) enum Answer {
    /// `IK`: we have the keys; the peer has still to show that it does.
    Unconfirmed {
        frame: Vec<u8>,
        finished: Box<Finished>,
        early: Vec<Early>,
    },
    /// `XX`: its third message is awaited.
    Shaking {
        frame: Vec<u8>,
        shaking: Box<Shaking>,
    },
}

impl Shaking {
    pub(super) fn initiate(
        now: Millis,
        parties: &Parties<'_>,
        greeting: Bytes,
        early: Vec<Early>,
        prng: &mut Prng,
    ) -> Result<(Self, Vec<u8>), ChannelError> {
        if greeting.len() > GREETING_BYTES_MAX {
            return Err(ChannelError::Greeting {
                length: greeting.len(),
            });
        }
        early::check(&early)?;
        let prologue = prologue(parties, &parties.local, &parties.remote);
        let pattern = if parties.remote_key.is_some() {
            Pattern::IK
        } else if early.is_empty() {
            Pattern::XX
        } else {
            return Err(EarlyError::FirstContact.into());
        };
        let setup = Setup {
            pattern,
            prologue: &prologue,
            secret: Some(parties.secret.expose()),
            remote: parties.remote_key.as_ref().map(|key| &key.0.0),
        };
        let weak = |_: NoiseError| ChannelError::WeakKey;
        let mut noise = setup.initiator(prng).map_err(weak)?;
        let (tag, payload) = if pattern == Pattern::IK {
            let greeting = greeting.clone();
            let hello = codec::encode(&Hello { greeting, early });
            (tag::IK_FIRST, hello)
        } else {
            // It would cross in the open.
            (tag::XX_FIRST, Vec::new())
        };
        let frame = write(&mut noise, tag, &payload).map_err(weak)?;
        let shaking = Self {
            noise,
            pattern,
            initiator: true,
            greeting,
            payload_bytes_max: parties.payload_bytes_max,
            deadline: now.plus(HANDSHAKE_MS_MAX),
        };
        Ok((shaking, frame))
    }

    /// Takes the peer's next message, the last one that we wait for.
    pub(super) fn receive(mut self, frame: &[u8]) -> Result<Finished, CloseReason> {
        let awaited = match (self.pattern, self.initiator) {
            (Pattern::IK, true) => tag::IK_ANSWER,
            (Pattern::XX, true) => tag::XX_ANSWER,
            _ => tag::XX_LAST,
        };
        if self.initiator && frame == [tag::REFUSAL] {
            return Err(CloseReason::Refused);
        }
        let (greeting, early) = read_hello(&read(&mut self.noise, awaited, frame)?)?;
        if !early.is_empty() {
            return Err(CloseReason::Handshake);
        }
        let mut last = None;
        if awaited == tag::XX_ANSWER {
            let ours = Hello {
                greeting: self.greeting,
                early: Vec::new(),
            };
            let message = write(&mut self.noise, tag::XX_LAST, &codec::encode(&ours));
            last = Some(message.map_err(|_| CloseReason::Handshake)?);
        }
        finish(
            self.noise,
            self.pattern,
            greeting,
            last,
            self.payload_bytes_max,
        )
    }
}

/// Answers a first frame.
pub(super) fn respond(
    now: Millis,
    parties: &Parties<'_>,
    greeting: Bytes,
    first: &[u8],
    window: &mut EarlyWindow,
    prng: &mut Prng,
) -> Result<Answer, CloseReason> {
    assert!(
        greeting.len() <= GREETING_BYTES_MAX,
        "our own greeting keeps to its limit"
    );
    let pattern = match first.first() {
        Some(&tag::IK_FIRST) => Pattern::IK,
        Some(&tag::XX_FIRST) => Pattern::XX,
        _ => return Err(CloseReason::Handshake),
    };
    let setup = Setup {
        pattern,
        prologue: &prologue(parties, &parties.remote, &parties.local),
        secret: Some(parties.secret.expose()),
        remote: None,
    };
    let noise = setup.responder(prng);
    let mut noise = noise.map_err(|_| CloseReason::Handshake)?;
    let ours = codec::encode(&Hello {
        greeting,
        early: Vec::new(),
    });
    let unwritable = |_: NoiseError| CloseReason::Handshake;
    if pattern == Pattern::XX {
        if !read(&mut noise, tag::XX_FIRST, first)?.is_empty() {
            return Err(CloseReason::Handshake);
        }
        let frame = write(&mut noise, tag::XX_ANSWER, &ours).map_err(unwritable)?;
        let shaking = Box::new(Shaking {
            noise,
            pattern,
            initiator: false,
            greeting: Bytes::default(),
            payload_bytes_max: parties.payload_bytes_max,
            deadline: now.plus(HANDSHAKE_MS_MAX),
        });
        return Ok(Answer::Shaking { frame, shaking });
    }
    // Before the curve is asked: a replay costs us a hash.
    if window.has(first) {
        return Err(CloseReason::Replayed);
    }
    let (theirs, early) = read_hello(&read(&mut noise, tag::IK_FIRST, first)?)?;
    let frame = write(&mut noise, tag::IK_ANSWER, &ours).map_err(unwritable)?;
    let max = parties.payload_bytes_max;
    let finished = finish(noise, pattern, theirs, None, max)?;
    if parties.remote_key == Some(finished.remote) {
        window.remember(first);
    }
    Ok(Answer::Unconfirmed {
        frame,
        finished: Box::new(finished),
        early,
    })
}

fn finish(
    noise: HandshakeState,
    pattern: Pattern,
    greeting: Bytes,
    last: Option<Vec<u8>>,
    payload_bytes_max: usize,
) -> Result<Finished, CloseReason> {
    let mut remote = [0; 32];
    let shown = noise.get_remote_static().ok_or(CloseReason::Handshake)?;
    assert!(shown.len() == remote.len(), "X25519 keys have 32 bytes");
    remote.copy_from_slice(shown);
    let transport = noise.into_transport_mode();
    Ok(Finished {
        transport: transport.map_err(|_| CloseReason::Handshake)?,
        remote: BoxKey(Hash(remote)),
        greeting,
        pattern,
        last,
        payload_bytes_max,
    })
}

fn write(noise: &mut HandshakeState, tag: u8, payload: &[u8]) -> Result<Vec<u8>, NoiseError> {
    let mut frame = vec![0; FRAME_BYTES_MAX];
    frame[0] = tag;
    let written = noise.write_message(payload, &mut frame[1..])?;
    frame.truncate(1 + written);
    Ok(frame)
}

fn read(noise: &mut HandshakeState, awaited: u8, frame: &[u8]) -> Result<Vec<u8>, CloseReason> {
    let (tag, message) = frame.split_first().ok_or(CloseReason::Handshake)?;
    if *tag != awaited || frame.len() > FRAME_BYTES_MAX {
        return Err(CloseReason::Handshake);
    }
    let mut payload = vec![0; message.len()];
    let length = noise
        .read_message(message, &mut payload)
        .map_err(|_| CloseReason::Handshake)?;
    payload.truncate(length);
    Ok(payload)
}

/// What a member may put into a handshake message: its greeting and its early requests.
///
/// # Errors
/// When the bytes are no such thing, or something may not be sent early.
pub fn read_hello(payload: &[u8]) -> Result<(Bytes, Vec<Early>), CloseReason> {
    let hello: Hello = codec::decode(payload).map_err(|_| CloseReason::Handshake)?;
    if hello.greeting.len() > GREETING_BYTES_MAX {
        return Err(CloseReason::Handshake);
    }
    early::check(&hello.early).map_err(|_| CloseReason::Handshake)?;
    Ok((hello.greeting, hello.early))
}
