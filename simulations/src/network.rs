//! The fake network: it encodes every message, counts bytes, delays, loses, doubles and cuts.

use std::collections::{BTreeMap, BTreeSet};

use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;

/// A node's place in the world.
pub type NodeIndex = u32;

/// How a link treats what is sent over it.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The least delay.
    pub delay_ms: u64,
    /// Added at random, so that messages overtake each other.
    pub jitter_ms: u64,
    /// Lost, of a million.
    pub loss: u32,
    /// Doubled, of a million.
    pub doubled: u32,
}

impl Weather {
    /// A local network without faults.
    pub const FAIR: Self = Self {
        delay_ms: 1,
        jitter_ms: 2,
        loss: 0,
        doubled: 0,
    };
    /// 30 % loss, 300 ms delay with jitter, reordering, duplicates.
    pub const FOUL: Self = Self {
        delay_ms: 150,
        jitter_ms: 300,
        loss: 300_000,
        doubled: 50_000,
    };
}

/// More than this waiting in front of a slow link is lost.
const QUEUE_MS_MAX: u64 = 30_000;

/// What a slow link can send, and until when it is busy.
#[derive(Clone, Copy, Debug)]
struct Slow {
    bytes_per_second: u64,
    busy_until: Millis,
}

/// Who can be heard by whom, and how.
#[derive(Clone, Debug)]
pub struct Network {
    weather: Weather,
    /// Directions that carry nothing.
    cut: BTreeSet<(NodeIndex, NodeIndex)>,
    /// The side that a node is on; sides do not hear each other.
    sides: Vec<u8>,
    /// A node that hears every side.
    bridge: Option<NodeIndex>,
    /// Nodes whose link carries little.
    slow: BTreeMap<NodeIndex, Slow>,
    /// Whether what is lost is sent again, as a stream's transport does it; else it is gone.
    streams: bool,
    /// What was carried.
    pub carried: Carried,
}

/// How long a stream's transport waits before it sends a lost segment again.
const RESENT_AFTER_MS: u64 = 300;

/// What the network carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Messages sent.
    pub messages: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Messages lost, by chance or by a cut.
    pub lost: u64,
}

impl Network {
    /// A network of `nodes`, without cuts.
    #[must_use]
    pub fn new(nodes: usize, weather: Weather) -> Self {
        Self {
            weather,
            cut: BTreeSet::new(),
            sides: vec![0; nodes],
            bridge: None,
            slow: BTreeMap::new(),
            streams: true,
            carried: Carried::default(),
        }
    }

    /// Makes room for a node that came later.
    pub fn add_node(&mut self) {
        self.sides.push(0);
    }

    /// Whether lost messages are sent again by the transport.
    pub fn set_streams(&mut self, streams: bool) {
        self.streams = streams;
    }

    /// Changes the weather.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Puts a node on a side.
    pub fn set_side(&mut self, node: NodeIndex, side: u8) {
        self.sides[node as usize] = side;
    }

    /// A node that hears every side.
    pub fn set_bridge(&mut self, node: Option<NodeIndex>) {
        self.bridge = node;
    }

    /// Cuts one direction.
    pub fn cut(&mut self, from: NodeIndex, to: NodeIndex) {
        self.cut.insert((from, to));
    }

    /// Lets what a node sends pass at so many bytes a second.
    pub fn slow(&mut self, node: NodeIndex, bytes_per_second: u64) {
        let slow = Slow {
            bytes_per_second: bytes_per_second.max(1),
            busy_until: Millis(0),
        };
        self.slow.insert(node, slow);
    }

    /// Heals everything.
    pub fn heal(&mut self) {
        self.slow.clear();
        self.cut.clear();
        self.sides.fill(0);
        self.bridge = None;
    }

    /// Whether what `from` sends can reach `to`.
    #[must_use]
    pub fn carries(&self, from: NodeIndex, to: NodeIndex) -> bool {
        let bridged = self.bridge == Some(from) || self.bridge == Some(to);
        (bridged || self.sides[from as usize] == self.sides[to as usize])
            && !self.cut.contains(&(from, to))
    }

    /// The delays after which copies of one message arrive; none where it is lost.
    pub fn delays(
        &mut self,
        from: NodeIndex,
        to: NodeIndex,
        bytes: usize,
        now: Millis,
        prng: &mut Prng,
    ) -> [Option<u64>; 2] {
        self.carried.messages += 1;
        self.carried.bytes += bytes as u64;
        let weather = self.weather;
        if !self.carries(from, to) {
            self.carried.lost += 1;
            return [None, None];
        }
        let mut again_after = 0;
        while weather.loss > 0 && prng.chance(weather.loss) {
            self.carried.lost += 1;
            if !self.streams {
                return [None, None];
            }
            again_after += RESENT_AFTER_MS;
        }
        let Some(queued) = self.queued(from, bytes, now) else {
            self.carried.lost += 1;
            return [None, None];
        };
        let waits = queued + again_after + weather.delay_ms;
        let delay = |prng: &mut Prng| waits + prng.below(weather.jitter_ms + 1);
        let first = delay(prng);
        let again = (weather.doubled > 0 && prng.chance(weather.doubled)).then(|| delay(prng));
        [Some(first), again]
    }

    /// How long bytes wait before they are on their way; none where too many wait already.
    fn queued(&mut self, from: NodeIndex, bytes: usize, now: Millis) -> Option<u64> {
        if self.slow.is_empty() {
            return Some(0);
        }
        let Some(slow) = self.slow.get_mut(&from) else {
            return Some(0);
        };
        let takes = bytes as u64 * 1000 / slow.bytes_per_second;
        let sent_at = slow.busy_until.max(now).plus(takes);
        let wait = sent_at.since(now);
        if wait > QUEUE_MS_MAX {
            return None;
        }
        slow.busy_until = sent_at;
        Some(wait)
    }
}
