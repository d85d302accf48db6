//! Places for those who have not shown yet who they are: few, and fairly shared.
//!
//! Turning newcomers away lets whoever holds all places and says nothing keep everybody out. Pushing
//! out the oldest lets a crowd that comes at once, a fleet after its manager's restart, push itself
//! out before anybody is through. So whoever comes from where most hold a place gives one up; else
//! the oldest does, once it has had its time; else the newcomer tries again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::time::Instant;

/// What an honest handshake may take before its place can be another's.
const FAIR: Duration = Duration::from_secs(2);

/// Where somebody comes from, so far as it cannot be chosen freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin(u8, u64);

impl Origin {
    pub(super) fn of(address: &Multiaddr) -> Self {
        for part in address {
            match part {
                Protocol::Ip4(ip) => return Self(4, u64::from(u32::from(ip))),
                // Whoever has one address of a network of this size has all of them.
                Protocol::Ip6(ip) => {
                    return Self(6, u64::try_from(u128::from(ip) >> 64).unwrap_or(0));
                }
                Protocol::Memory(number) => return Self(1, number >> 32),
                _ => {}
            }
        }
        Self(0, 0)
    }
}

/// Who gets a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry<K> {
    /// The newcomer.
    Free,
    /// The newcomer, for this one.
    Instead(K),
    /// Nobody: the newcomer tries again.
    Full,
}

/// So many places, the oldest first.
#[derive(Debug)]
pub(super) struct Places<K> {
    max: usize,
    held: VecDeque<(K, Origin, Instant)>,
}

impl<K> Places<K> {
    pub(super) fn new(max: usize) -> Self {
        let held = VecDeque::new();
        Self { max, held }
    }

    /// Frees the places of those that are through, or gone.
    pub(super) fn retain(&mut self, waits: impl Fn(&K) -> bool) {
        self.held.retain(|(key, ..)| waits(key));
    }

    /// Somebody comes; it holds a place afterwards, except where the house is full.
    pub(super) fn enter(&mut self, key: K, origin: Origin, now: Instant) -> Entry<K> {
        let mut entry = Entry::Free;
        if self.held.len() >= self.max {
            let Some(gone) = self
                .gives_way(origin, now)
                .and_then(|at| self.held.remove(at))
            else {
                return Entry::Full;
            };
            entry = Entry::Instead(gone.0);
        }
        self.held.push_back((key, origin, now));
        entry
    }

    fn gives_way(&self, origin: Origin, now: Instant) -> Option<usize> {
        let mut counts: BTreeMap<Origin, usize> = BTreeMap::new();
        for (_, from, _) in &self.held {
            *counts.entry(*from).or_default() += 1;
        }
        let own = counts.get(&origin).copied().unwrap_or_default();
        let (most, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        if count > own + 1 {
            return self.held.iter().position(|(_, from, _)| *from == most);
        }
        let (_, _, since) = self.held.front()?;
        (now.duration_since(*since) >= FAIR).then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, FAIR, Origin, Places};
    use tokio::time::Instant;

    fn origin(last: u8) -> Origin {
        let address = format!("/ip4/192.0.2.{last}/tcp/{}", 1_000 + u16::from(last));
        Origin::of(&address.parse().expect("an address"))
    }

    #[test]
    fn the_most_numerous_give_way() {
        let now = Instant::now();
        let mut places = Places::new(3);
        for key in 0..3 {
            assert_eq!(places.enter(key, origin(1), now), Entry::Free);
        }
        assert_eq!(places.enter(3, origin(2), now), Entry::Instead(0));
        assert_eq!(places.enter(4, origin(1), now), Entry::Full);
    }

    #[test]
    fn a_crowd_does_not_push_itself_out() {
        let now = Instant::now();
        let mut places = Places::new(2);
        places.enter(0, origin(1), now);
        places.enter(1, origin(2), now);
        assert_eq!(places.enter(2, origin(3), now), Entry::Full);
        assert_eq!(places.enter(2, origin(3), now + FAIR), Entry::Instead(0));
        places.retain(|key| *key != 1);
        assert_eq!(places.enter(4, origin(4), now), Entry::Free);
    }

    #[test]
    fn ports_make_no_other_origin() {
        let of = |text: &str| Origin::of(&text.parse().expect("an address"));
        assert_eq!(
            of("/ip4/192.0.2.1/tcp/1"),
            of("/ip4/192.0.2.1/udp/2/quic-v1")
        );
        assert_eq!(
            of("/ip6/2001:db8::1/tcp/1"),
            of("/ip6/2001:db8::ffff/tcp/1")
        );
        assert_ne!(of("/ip4/192.0.2.1/tcp/1"), of("/ip4/192.0.2.2/tcp/1"));
    }
}
