//! What crosses inside a session's frames: the owner's messages in pieces, and the link's own words.

use regatta_protocol::limits::CONTROL_FRAME_BYTES_MAX;

/// What a frame carries of a message, beside two bytes that say what it is.
pub(super) const PIECE_BYTES_MAX: usize = CONTROL_FRAME_BYTES_MAX - 2;

/// Why one side ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// It has no use for it.
    HungUp,
    /// It does not admit the other.
    Refused,
    /// Another session with the same peer stays.
    Duplicate,
    /// The other sent what nobody may send.
    Malformed,
}

/// One frame's content. Append-only: kinds are numbers on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// The last piece of a message, or all of it.
    End { tag: u8, piece: &'a [u8] },
    /// A piece of a message that goes on in the next frame.
    Piece { tag: u8, piece: &'a [u8] },
    /// Are you there?
    Ping(u64),
    /// Yes.
    Pong(u64),
    /// This side admits the other.
    Admitted(Standing),
    /// The lower id takes this session: number `number`, after `after` where that is to hand over.
    Commit { number: u32, after: u32 },
    /// The higher id has taken it; it had begun so many sessions by then.
    Committed { begun: u64 },
    /// The last frame of a session that another one follows.
    Last,
    /// The session is over.
    Bye(Farewell),
}

/// What a side says about itself when it admits the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Drawn anew at each start of its network.
    pub(super) instance: u64,
    /// Its how many-eth session this is, where it began it; else how many it has begun.
    pub(super) begun: u64,
    /// The session with this peer that it holds, 0 where none.
    pub(super) holds: u32,
}

const END: u8 = 0;
const PIECE: u8 = 1;
const PING: u8 = 2;
const PONG: u8 = 3;
const ADMITTED: u8 = 4;
const COMMIT: u8 = 5;
const COMMITTED: u8 = 6;
const LAST: u8 = 7;
const BYE: u8 = 8;

impl<'a> Word<'a> {
    pub(super) fn write(&self) -> Vec<u8> {
        let joined = |kind: u8, parts: &[&[u8]]| {
            let mut bytes = vec![kind];
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
            bytes
        };
        match *self {
            Self::End { tag, piece } => joined(END, &[&[tag], piece]),
            Self::Piece { tag, piece } => joined(PIECE, &[&[tag], piece]),
            Self::Ping(mark) => joined(PING, &[&mark.to_le_bytes()]),
            Self::Pong(mark) => joined(PONG, &[&mark.to_le_bytes()]),
            Self::Admitted(Standing {
                instance,
                begun,
                holds,
            }) => joined(
                ADMITTED,
                &[
                    &instance.to_le_bytes(),
                    &begun.to_le_bytes(),
                    &holds.to_le_bytes(),
                ],
            ),
            Self::Commit { number, after } => {
                joined(COMMIT, &[&number.to_le_bytes(), &after.to_le_bytes()])
            }
            Self::Committed { begun } => joined(COMMITTED, &[&begun.to_le_bytes()]),
            Self::Last => vec![LAST],
            Self::Bye(farewell) => {
                let why = match farewell {
                    Farewell::HungUp => 0,
                    Farewell::Refused => 1,
                    Farewell::Duplicate => 2,
                    Farewell::Malformed => 3,
                };
                vec![BYE, why]
            }
        }
    }

    /// Reads one; none where it is no word of ours.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let word = match *kind {
            END | PIECE => {
                let (tag, piece) = rest.split_first()?;
                let tag = *tag;
                return Some(if *kind == END {
                    Self::End { tag, piece }
                } else {
                    Self::Piece { tag, piece }
                });
            }
            PING => Self::Ping(u64::from_le_bytes(rest.try_into().ok()?)),
            PONG => Self::Pong(u64::from_le_bytes(rest.try_into().ok()?)),
            ADMITTED => {
                let (instance, rest) = rest.split_first_chunk()?;
                let (begun, holds) = rest.split_first_chunk()?;
                Self::Admitted(Standing {
                    instance: u64::from_le_bytes(*instance),
                    begun: u64::from_le_bytes(*begun),
                    holds: u32::from_le_bytes(holds.try_into().ok()?),
                })
            }
            COMMIT => {
                let (number, after) = rest.split_first_chunk()?;
                Self::Commit {
                    number: u32::from_le_bytes(*number),
                    after: u32::from_le_bytes(after.try_into().ok()?),
                }
            }
            COMMITTED => Self::Committed {
                begun: u64::from_le_bytes(rest.try_into().ok()?),
            },
            LAST if rest.is_empty() => Self::Last,
            BYE => Self::Bye(match rest {
                [0] => Farewell::HungUp,
                [1] => Farewell::Refused,
                [2] => Farewell::Duplicate,
                [3] => Farewell::Malformed,
                _ => return None,
            }),
            _ => return None,
        };
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::{Farewell, Standing, Word};

    #[test]
    fn words_read_back_as_written_and_their_bytes_stay() {
        let standing = Standing {
            instance: 1,
            begun: 2,
            holds: 3,
        };
        let golden: [(Word<'_>, &[u8]); 9] = [
            (
                Word::End {
                    tag: 9,
                    piece: b"a",
                },
                b"\x00\x09a",
            ),
            (Word::Piece { tag: 9, piece: b"" }, b"\x01\x09"),
            (Word::Ping(5), b"\x02\x05\0\0\0\0\0\0\0"),
            (Word::Pong(5), b"\x03\x05\0\0\0\0\0\0\0"),
            (
                Word::Admitted(standing),
                b"\x04\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0",
            ),
            (
                Word::Commit {
                    number: 7,
                    after: 6,
                },
                b"\x05\x07\0\0\0\x06\0\0\0",
            ),
            (Word::Committed { begun: 4 }, b"\x06\x04\0\0\0\0\0\0\0"),
            (Word::Last, b"\x07"),
            (Word::Bye(Farewell::Malformed), b"\x08\x03"),
        ];
        for (word, bytes) in golden {
            assert_eq!(word.write(), bytes);
            assert_eq!(Word::read(bytes), Some(word));
        }
    }

    #[test]
    fn what_is_too_long_or_too_short_is_no_word() {
        for bytes in [
            &b""[..],
            b"\x00",
            b"\x02\x01",
            b"\x07\x00",
            b"\x08\x04",
            b"\xff",
        ] {
            assert_eq!(Word::read(bytes), None);
        }
        let long = [Word::Ping(5).write(), vec![0]].concat();
        assert_eq!(Word::read(&long), None);
    }
}
