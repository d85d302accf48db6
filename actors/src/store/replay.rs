//! Going through one segment at opening: what is whole, what was torn by a crash, what is damaged.
//!
//! A crash tears only what was never acknowledged, at the end of the last segment, and that is cut
//! off. Anything else is damage. The two are told apart by what is known to have been durable: each
//! frame says where its commit began, and the mark says how far the last sync went.

use std::io;
use std::sync::Arc;

use super::disk::DiskFile;
use super::error::StoreError;
use super::frame::{
    FRAME_HEADER_BYTES, FrameHeader, Kind, SEGMENT_HEADER_BYTES, SegmentHeader, decode_segments,
};
use super::log::segment_name;
use super::scan::{Found, Scanner};

/// What a crash left at the end of the log, which nobody was promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub segment: u32,
    /// From where on it was cut off.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Something that was durable and is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u32,
    /// From where on.
    pub offset: u64,
    /// What it is.
    pub what: Harm,
}

/// What a damage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The segment's header does not hold; its frames may be whole.
    Header,
    /// Bytes in the middle are no frames, or frames are missing.
    Frames,
    /// The end is missing.
    End,
    /// The whole file is missing.
    Missing,
    /// A record that the index knew of is nowhere.
    Records,
}

/// What is known before a segment is gone through.
pub struct Expected {
    /// The segment's number.
    pub segment: u32,
    /// From where on frames are wanted; those before were taken in an earlier life.
    pub wanted: u64,
    /// Whether it is the newest: then its end may have been torn.
    pub newest: bool,
    /// The number of the first frame of the next segment, where that is known.
    pub next_first: Option<u64>,
    /// This frame, and all before it, were durable once.
    pub durable: u64,
    /// Whether a sync failed after that one: then what is seen behind it may be nowhere but in memory,
    /// and nobody was promised it.
    pub sync_failed: bool,
    /// The last frame of the segment before, or zero.
    pub last: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The last whole frame that counts.
    pub last: u64,
    /// The end of it.
    pub end: u64,
    /// Whether it is a seal.
    pub sealed: bool,
    /// Frames that were handed on.
    pub frames: u64,
    /// Which segments there were before this one, by the last frame that says so.
    pub older: Option<Vec<u32>>,
    /// Damage.
    pub damaged: Vec<Damage>,
    /// What was torn.
    pub cut: Option<Cut>,
}

/// Reads the header of a segment.
pub fn header(file: &dyn DiskFile) -> io::Result<[u8; SEGMENT_HEADER_BYTES]> {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Hands every frame that counts to `each`, in order.
pub fn replay(
    file: &Arc<dyn DiskFile>,
    salt: [u8; 8],
    known: Option<SegmentHeader>,
    expected: &Expected,
    mut each: impl FnMut(u64, &FrameHeader, &[u8]) -> Result<(), StoreError>,
) -> Result<Outcome, StoreError> {
    let io = |error| StoreError::io("reading", &segment_name(expected.segment), &error);
    let start = SEGMENT_HEADER_BYTES as u64;
    let mut scanner = Scanner::new(Arc::clone(file), salt, start).map_err(io)?;
    let mut outcome = Outcome {
        last: known.map_or(expected.last, |header| header.first.saturating_sub(1)),
        end: start.min(scanner.length()),
        ..Outcome::default()
    };
    let damage = |offset, what| Damage {
        segment: expected.segment,
        offset,
        what,
    };
    if known.is_none() {
        outcome.damaged.push(damage(0, Harm::Header));
    }
    // Where the stretch began that holds no frame which counts.
    let mut bad: Option<u64> = None;
    let mut durable = None;
    loop {
        let (offset, frame, payload) = match scanner.next().map_err(io)? {
            Found::End => break,
            Found::Bad { offset } => {
                bad.get_or_insert(offset);
                continue;
            }
            Found::Frame {
                offset,
                header,
                payload,
            } => (offset, header, payload),
        };
        let stale = frame.sequence <= outcome.last
            || expected
                .next_first
                .is_some_and(|first| frame.sequence >= first);
        if stale || outcome.sealed {
            bad.get_or_insert(offset);
            continue;
        }
        if expected.newest && expected.sync_failed && frame.sequence > expected.durable {
            bad.get_or_insert(offset);
            break;
        }
        let follows =
            frame.sequence == outcome.last + 1 || (known.is_none() && outcome.frames == 0);
        if bad.is_some() || !follows {
            let from = bad.take().unwrap_or(offset);
            if expected.newest {
                durable.get_or_insert(durable_behind(file, salt, from).map_err(io)?);
                if outcome.last >= expected.durable.max(durable.unwrap_or(0)) {
                    bad = Some(from);
                    break;
                }
            }
            outcome.damaged.push(damage(from, Harm::Frames));
        }
        outcome.last = frame.sequence;
        outcome.sealed = frame.kind == Kind::Seal;
        if frame.kind == Kind::Segments {
            outcome.older = Some(decode_segments(payload).collect());
        }
        let end = offset + (FRAME_HEADER_BYTES + payload.len()) as u64;
        if end > expected.wanted {
            each(offset, &frame, payload)?;
        }
        outcome.frames += 1;
        outcome.end = end;
    }
    outcome.conclude(expected, bad.is_some(), scanner.length());
    Ok(outcome)
}

impl Outcome {
    /// What the end of the segment means; `bad` when bytes there are no frames.
    fn conclude(&mut self, expected: &Expected, bad: bool, length: u64) {
        let segment = expected.segment;
        let offset = self.end;
        let mut damage = |what| {
            self.damaged.push(Damage {
                segment,
                offset,
                what,
            });
        };
        if self.sealed {
            if bad {
                damage(Harm::Frames);
            }
        } else if !expected.newest || self.last < expected.durable {
            damage(Harm::End);
        } else if bad {
            self.cut = Some(Cut {
                segment,
                offset,
                bytes: length.saturating_sub(offset),
            });
        }
    }
}

/// The last frame that was durable when some frame behind `offset` was written.
fn durable_behind(file: &Arc<dyn DiskFile>, salt: [u8; 8], offset: u64) -> io::Result<u64> {
    let mut scanner = Scanner::new(Arc::clone(file), salt, offset)?;
    let mut durable = 0;
    loop {
        match scanner.next()? {
            Found::End => return Ok(durable),
            Found::Bad { .. } => {}
            Found::Frame { header, .. } => durable = durable.max(header.group.saturating_sub(1)),
        }
    }
}
