//! Who answers on the LAN whose key nobody has named yet.
//!
//! A sighting is told once and not again while the other one stays; so it is kept until it is known
//! whose key it is.

use std::collections::{BTreeMap, VecDeque};

use regatta_protocol::crypto::sign::PublicKey;

use crate::network::Address;

/// Keys of strangers that are remembered: anybody on the LAN can make them up.
const STRANGERS_MAX: usize = 256;

/// Where strangers were seen.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    seen: BTreeMap<PublicKey, Vec<Address>>,
    /// The latest last.
    order: VecDeque<PublicKey>,
}

impl Sightings {
    /// Keeps where somebody was seen; of too many those are dropped that were seen first.
    pub(super) fn keep(&mut self, key: PublicKey, addresses: Vec<Address>) {
        if self.seen.insert(key, addresses).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > STRANGERS_MAX
            && let Some(first) = self.order.pop_front()
        {
            self.seen.remove(&first);
        }
    }

    /// Where the owner of this key was seen, now that somebody knows who that is.
    pub(super) fn take(&mut self, key: &PublicKey) -> Option<Vec<Address>> {
        let addresses = self.seen.remove(key)?;
        self.order.retain(|kept| kept != key);
        Some(addresses)
    }
}

#[cfg(test)]
mod tests {
    use regatta_protocol::crypto::sign::{SecretKey, Sign};
    use regatta_protocol::prng::Prng;

    use super::{STRANGERS_MAX, Sightings};
    use crate::network::MemoryNet;

    #[test]
    fn the_latest_strangers_are_remembered_until_they_are_known() {
        let mut prng = Prng::from_number(1);
        let mut sightings = Sightings::default();
        let keys: Vec<_> = (0..=STRANGERS_MAX as u64)
            .map(|_| SecretKey::generate(&mut prng).public())
            .collect();
        for (number, key) in (1..).zip(&keys) {
            sightings.keep(*key, vec![MemoryNet::address(number)]);
            sightings.keep(*key, vec![MemoryNet::address(1000 + number)]);
        }
        assert_eq!(
            sightings.take(&keys[0]),
            None,
            "there were too many after it"
        );
        assert_eq!(
            sightings.take(&keys[1]),
            Some(vec![MemoryNet::address(1002)])
        );
        assert_eq!(sightings.take(&keys[1]), None, "it is known now");
        assert_eq!(
            (sightings.seen.len(), sightings.order.len()),
            (STRANGERS_MAX - 1, STRANGERS_MAX - 1)
        );
    }
}
