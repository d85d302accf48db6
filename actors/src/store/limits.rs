//! Every limit of the store, named once, each with its reason.

/// A key: the longest that an owner builds is a table's scope, an author and two numbers.
pub const KEY_BYTES_MAX: usize = 128;
/// A value: larger things are stored by pieces by their owner.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// What one batch may hold with its framing: two of the largest values, or thousands of entries.
pub const BATCH_BYTES_MAX: usize = 3 * 1024 * 1024;
/// What one fdatasync makes durable at once: bounds memory and how long the first caller waits.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of batches that wait in the mailbox; who comes later waits before it sends.
pub const QUEUED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Reads that run at once, each on a thread of the blocking pool.
pub const READS_MAX: usize = 8;
/// A segment is sealed when the next frame would pass this; small, so that a device's card is asked
/// to rewrite little and a damaged segment takes little with it.
pub const SEGMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Sealed segments of which less than this share of a thousand is live are rewritten.
pub const LIVE_PER_MILLE_MIN: u64 = 500;
/// What one step of a compaction reads before it lets waiting batches go first.
pub const COMPACTION_STEP_BYTES: u64 = 1024 * 1024;
/// Free space below which ordinary writes are refused: what is left belongs to deletes, compaction,
/// trust, and to whatever else shares the disk.
pub const FREE_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// A file that holds space for important writes when others have filled the disk.
pub const BALLAST_BYTES: u64 = 8 * 1024 * 1024;
/// Segments with damage that are kept for a person to look at; the oldest goes first.
pub const SET_ASIDE_MAX: usize = 4;
/// Files of segments that are open for reading at once: a node may have no more than 64 descriptors.
pub const OPEN_SEGMENTS_MAX: usize = 8;
/// Changes of the index that are gathered before they are written while segments are replayed.
pub const REPLAY_CHANGES_MAX: usize = 4096;
/// How much is read at once from a segment; frames that are longer are read whole.
pub const READ_AHEAD_BYTES: usize = 256 * 1024;
/// How long opening sled may take before its folder is put aside and the index rebuilt.
pub const SLED_OPEN_MS_MAX: u64 = 20_000;
/// What sled may cache: an agent aims at 20 MiB for everything.
pub const SLED_CACHE_BYTES: u64 = 1024 * 1024;
/// How often sled writes what it has: what it lacks after a crash is read back from the segments.
pub const SLED_FLUSH_MS: u64 = 30_000;

/// The sizes that a test makes smaller; a node uses the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// [`SEGMENT_BYTES_MAX`].
    pub segment: u64,
    /// [`COMPACTION_STEP_BYTES`].
    pub compaction_step: u64,
    /// [`FREE_BYTES_MIN`].
    pub free_min: u64,
    /// [`BALLAST_BYTES`].
    pub ballast: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            segment: SEGMENT_BYTES_MAX,
            compaction_step: COMPACTION_STEP_BYTES,
            free_min: FREE_BYTES_MIN,
            ballast: BALLAST_BYTES,
        }
    }
}
