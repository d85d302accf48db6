//! Ordered, reliable streams: frames with a length before them, delays, and streams that break.

use std::collections::VecDeque;

use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;

/// The longest frame that an end takes; a length beyond it ends the stream.
pub const FRAME_BYTES_MAX: usize = 40 * 1024;

/// One end of one stream: the dialler's is side 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndId {
    /// Which stream; later ones have higher numbers.
    pub stream: u32,
    /// Which side of it.
    pub side: u8,
}

impl EndId {
    /// The other end of the same stream.
    #[must_use]
    pub fn other(self) -> Self {
        Self {
            side: 1 - self.side,
            ..self
        }
    }
}

/// Bytes in flight.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// When they arrive.
    pub at: Millis,
    /// What arrives.
    pub bytes: Vec<u8>,
    /// Whether the stream ends here.
    pub last: bool,
}

/// One direction of a stream.
#[derive(Clone, Debug, Default)]
pub struct Pipe {
    /// What is in flight, in order.
    pub flight: VecDeque<Parcel>,
    /// Whether somebody changed what it carries.
    pub tampered: bool,
    latest: Millis,
    ended: bool,
}

impl Pipe {
    /// Puts bytes into the pipe; gives the time of arrival, none where the stream has ended.
    pub fn push(&mut self, now: Millis, delay_ms: u64, bytes: Vec<u8>) -> Option<Millis> {
        if self.ended {
            return None;
        }
        let at = now.plus(delay_ms).max(self.latest);
        self.latest = at;
        let last = false;
        self.flight.push_back(Parcel { at, bytes, last });
        Some(at)
    }

    /// Ends the stream after what is in flight.
    pub fn end(&mut self, now: Millis, delay_ms: u64) -> Option<Millis> {
        let at = self.push(now, delay_ms, Vec::new())?;
        self.ended = true;
        self.flight.back_mut()?.last = true;
        Some(at)
    }

    /// Loses what is in flight from a random byte on.
    pub fn cut(&mut self, prng: &mut Prng) {
        if self.ended {
            return;
        }
        let kept = usize::try_from(prng.below(self.flight.len() as u64 + 1)).unwrap_or(0);
        self.flight.truncate(kept);
        if let Some(torn) = self.flight.back_mut() {
            let length = prng.below(torn.bytes.len() as u64 + 1);
            torn.bytes.truncate(usize::try_from(length).unwrap_or(0));
        }
    }

    /// What has arrived.
    pub fn pop(&mut self, now: Millis) -> Option<Parcel> {
        if self.flight.front()?.at > now {
            return None;
        }
        self.flight.pop_front()
    }
}

/// A frame as it crosses.
#[must_use]
pub fn framed(frame: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + frame.len());
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(frame);
    bytes
}

/// Takes the next whole frame out of what has arrived.
///
/// # Errors
/// When its length is more than any frame has.
pub fn next_frame(inbox: &mut Vec<u8>) -> Result<Option<Vec<u8>>, usize> {
    let Some(length) = inbox.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(length);
    }
    if inbox.len() < 4 + length {
        return Ok(None);
    }
    let frame = inbox[4..4 + length].to_vec();
    inbox.drain(..4 + length);
    Ok(Some(frame))
}

#[cfg(test)]
mod tests {
    use super::{framed, next_frame};

    #[test]
    fn a_frame_is_taken_once_it_is_whole() {
        let mut inbox = framed(b"hoist");
        let rest = inbox.split_off(6);
        assert_eq!(next_frame(&mut inbox), Ok(None));
        inbox.extend(rest);
        assert_eq!(next_frame(&mut inbox), Ok(Some(b"hoist".to_vec())));
        assert!(inbox.is_empty());
        let mut absurd = vec![0xff; 4];
        assert!(next_frame(&mut absurd).is_err());
    }
}
