//! What a first message may carry before anything is known to be fresh: reads, and intents that bear
//! a run id.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::codec::{Bytes, Wire};
use crate::ident::Hash;

/// Requests in one first message.
pub const EARLY_REQUESTS_MAX: usize = 8;
/// Their bytes together.
pub const EARLY_BYTES_MAX: usize = 16 * 1024;
/// What each side says with its handshake: the digest of what it trusts.
pub const GREETING_BYTES_MAX: usize = 1024;

/// A request that does no harm when it arrives twice. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Early {
    /// A question; its answer can be read by nobody but the asker.
    Read(Bytes),
    /// A signed intent; whoever performs it does so at most once for each run id.
    Intent {
        /// The run id, never zero.
        run_id: u128,
        /// The intent, as signed.
        intent: Bytes,
    },
}

impl Early {
    fn bytes(&self) -> &Bytes {
        match self {
            Self::Read(bytes) | Self::Intent { intent: bytes, .. } => bytes,
        }
    }
}

/// Why early requests were refused: when they are handed in, and when they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EarlyError {
    /// More than a first message may carry.
    #[error("early data: {count} requests, at most 8 are allowed; send the others once it is open")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// More bytes than a first message may carry.
    #[error("early data: {bytes} bytes, at most 16384 are allowed; send it once it is open")]
    TooLong {
        /// How many.
        bytes: usize,
    },
    /// Nothing to do.
    #[error("early data: an empty request")]
    Empty,
    /// It could be performed twice.
    #[error("early data: an intent without a run id; only what has one may be sent early")]
    RunId,
    /// Whoever is first met has no early data.
    #[error("early data: the peer's key is not known; send it once it is open")]
    FirstContact,
}

/// Whether these requests may stand in a first message.
pub(super) fn check(requests: &[Early]) -> Result<(), EarlyError> {
    if requests.len() > EARLY_REQUESTS_MAX {
        return Err(EarlyError::TooMany {
            count: requests.len(),
        });
    }
    let lengths = requests.iter().map(|request| request.bytes().len());
    let bytes = lengths.fold(0, usize::saturating_add);
    if bytes > EARLY_BYTES_MAX {
        return Err(EarlyError::TooLong { bytes });
    }
    for request in requests {
        if request.bytes().is_empty() {
            return Err(EarlyError::Empty);
        }
        if matches!(request, Early::Intent { run_id: 0, .. }) {
            return Err(EarlyError::RunId);
        }
    }
    Ok(())
}

/// The payload of a handshake message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) greeting: Bytes,
    #[serde(deserialize_with = "few")]
    pub(super) early: Vec<Early>,
}

impl Wire for Hello {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = GREETING_BYTES_MAX + EARLY_BYTES_MAX + 512;
    const WHAT: &'static str = "handshake payload";
}

/// A list whose claimed length is not believed.
fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Early>, D::Error> {
    struct Few;
    impl<'de> Visitor<'de> for Few {
        type Value = Vec<Early>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a few early requests")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Early>, A::Error> {
            let mut requests = Vec::new();
            while let Some(request) = items.next_element()? {
                if requests.len() == EARLY_REQUESTS_MAX {
                    return Err(A::Error::custom("more than 8 early requests"));
                }
                requests.push(request);
            }
            Ok(requests)
        }
    }
    deserializer.deserialize_seq(Few)
}

/// The first messages that members lately sent to this node: one that comes again is refused.
///
/// It is bounded and gone after a restart; what then gets through is a read, or an intent whose run
/// id is already known. Only messages of members enter, so a stranger cannot push them out.
#[derive(Clone, Debug)]
pub struct EarlyWindow {
    capacity: usize,
    seen: BTreeSet<[u8; 16]>,
    order: VecDeque<[u8; 16]>,
}

impl EarlyWindow {
    /// A window over the last `capacity` first messages.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            seen: BTreeSet::new(),
            order: VecDeque::new(),
        }
    }

    /// How many first messages are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn has(&self, frame: &[u8]) -> bool {
        self.seen.contains(&Hash::of(frame).half())
    }

    pub(super) fn remember(&mut self, frame: &[u8]) {
        let mark = Hash::of(frame).half();
        if !self.seen.insert(mark) {
            return;
        }
        self.order.push_back(mark);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        assert!(self.seen.len() == self.order.len(), "each mark is in both");
    }
}
