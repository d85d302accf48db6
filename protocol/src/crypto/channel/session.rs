//! An open channel's keys: sealing, opening, and rotating each direction by itself.

use super::noise::{MESSAGE_BYTES_MAX, TAG_BYTES, TransportState};
use super::{ChannelError, REKEY_FRAMES_MAX, REKEY_MS};
use crate::machine::Millis;

/// A frame's first byte. Sealed kinds are bound to their length and place as well, because this byte
/// is not under the tag: a frame without content is the initiator's first (`Confirm`) or a `Rekey`.
pub(super) mod tag {
    pub(crate) const IK_FIRST: u8 = 0x01;
    pub(crate) const IK_ANSWER: u8 = 0x02;
    pub(crate) const XX_FIRST: u8 = 0x03;
    pub(crate) const XX_ANSWER: u8 = 0x04;
    pub(crate) const XX_LAST: u8 = 0x05;
    /// The responder cannot read the first message: meet as at a first contact.
    pub(crate) const REFUSAL: u8 = 0x06;
    pub(crate) const DATA: u8 = 0x10;
    pub(crate) const REKEY: u8 = 0x11;
    pub(crate) const CONFIRM: u8 = 0x12;
}

/// What a sealed frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A message of the peer's; it is in the buffer.
    Message,
    /// The last frame under the peer's old key; its next is expected under the new one.
    Rekey,
    /// The initiator holds the keys: its first message was no replay.
    Confirm,
}

/// How long a key has been in use, for operators to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAge {
    /// How often this direction was rekeyed since the handshake.
    pub epoch: u64,
    /// Milliseconds since that happened.
    pub age_ms: u64,
    /// Frames under this key.
    pub frames: u64,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    epoch: u64,
    since: Millis,
    first_used: Option<Millis>,
    frames: u64,
}

impl Key {
    fn new(epoch: u64, since: Millis) -> Self {
        Self {
            epoch,
            since,
            first_used: None,
            frames: 0,
        }
    }

    fn used(&mut self, now: Millis) {
        self.first_used.get_or_insert(now);
        self.frames = self.frames.saturating_add(1);
    }

    fn next(&self, now: Millis) -> Self {
        Self::new(self.epoch.saturating_add(1), now)
    }

    fn age(&self, now: Millis) -> KeyAge {
        KeyAge {
            epoch: self.epoch,
            age_ms: now.since(self.since),
            frames: self.frames,
        }
    }
}

pub(super) struct Session {
    transport: TransportState,
    sending: Key,
    receiving: Key,
    /// Whether the peer's first frame must be `Confirm`, and has not come yet.
    unconfirmed: bool,
    /// The most bytes that one message may have.
    payload_bytes_max: usize,
}

impl Session {
    pub(super) fn new(
        transport: TransportState,
        now: Millis,
        payload_bytes_max: usize,
        unconfirmed: bool,
    ) -> Self {
        Self {
            transport,
            sending: Key::new(0, now),
            receiving: Key::new(0, now),
            unconfirmed,
            payload_bytes_max: payload_bytes_max.min(MESSAGE_BYTES_MAX - TAG_BYTES),
        }
    }

    pub(super) fn sending(&self, now: Millis) -> KeyAge {
        self.sending.age(now)
    }

    pub(super) fn receiving(&self, now: Millis) -> KeyAge {
        self.receiving.age(now)
    }

    /// When the key that we send under has done its time.
    pub(super) fn rekey_at(&self) -> Option<Millis> {
        if self.sending.frames >= REKEY_FRAMES_MAX {
            return Some(self.sending.since);
        }
        Some(self.sending.first_used?.plus(REKEY_MS))
    }

    pub(super) fn seal_message(
        &mut self,
        now: Millis,
        payload: &[u8],
        frame: &mut Vec<u8>,
    ) -> Result<(), ChannelError> {
        if payload.is_empty() {
            return Err(ChannelError::Empty);
        }
        if payload.len() > self.payload_bytes_max {
            return Err(ChannelError::TooLong {
                length: payload.len(),
                max: self.payload_bytes_max,
            });
        }
        self.sending.used(now);
        self.seal(tag::DATA, payload, frame);
        Ok(())
    }

    pub(super) fn seal_confirm(&mut self) -> Vec<u8> {
        let mut frame = Vec::new();
        self.seal(tag::CONFIRM, &[], &mut frame);
        frame
    }

    /// The last frame under the old key.
    pub(super) fn seal_rekey(&mut self, now: Millis) -> Vec<u8> {
        let mut frame = Vec::new();
        self.seal(tag::REKEY, &[], &mut frame);
        self.transport.rekey_outgoing();
        self.sending = self.sending.next(now);
        frame
    }

    #[cfg(test)]
    pub(super) fn wear_out_key(&mut self) {
        self.sending.frames = REKEY_FRAMES_MAX;
    }

    fn seal(&mut self, tag: u8, payload: &[u8], frame: &mut Vec<u8>) {
        // A buffer that is used again is not zeroed again.
        frame.resize(1 + payload.len() + TAG_BYTES, 0);
        frame[0] = tag;
        let sealed = self.transport.write_message(payload, &mut frame[1..]);
        assert!(
            sealed == Ok(payload.len() + TAG_BYTES),
            "lengths are checked and 2^64 frames are never sent"
        );
    }

    /// Opens a frame into `payload`. One that is refused changes nothing: the genuine one still opens.
    pub(super) fn open(
        &mut self,
        now: Millis,
        frame: &[u8],
        payload: &mut Vec<u8>,
    ) -> Result<Opened, ChannelError> {
        let (tag, sealed) = frame.split_first().ok_or(ChannelError::Rejected)?;
        let length = sealed
            .len()
            .checked_sub(TAG_BYTES)
            .ok_or(ChannelError::Rejected)?;
        let opened = match *tag {
            tag::CONFIRM if length == 0 && self.unconfirmed => Opened::Confirm,
            tag::REKEY if length == 0 && !self.unconfirmed => Opened::Rekey,
            tag::DATA if length > 0 && !self.unconfirmed => Opened::Message,
            _ => return Err(ChannelError::Rejected),
        };
        if length > self.payload_bytes_max {
            return Err(ChannelError::TooLong {
                length,
                max: self.payload_bytes_max,
            });
        }
        payload.resize(length, 0);
        let written = self.transport.read_message(sealed, payload);
        written.map_err(|_| ChannelError::Rejected)?;
        match opened {
            Opened::Message => self.receiving.used(now),
            Opened::Confirm => self.unconfirmed = false,
            Opened::Rekey => {
                self.transport.rekey_incoming();
                self.receiving = self.receiving.next(now);
            }
        }
        Ok(opened)
    }
}
