//! What will happen, by time; among equal times in the order in which it was asked for.

use std::collections::BTreeMap;

use regatta_protocol::machine::Millis;

/// Milliseconds that the wheel reaches ahead; what is later waits in a map.
const WHEEL_MS: usize = 1 << 14;

/// A wheel of one slot a millisecond for what is near, and a map for what is far.
#[derive(Debug)]
pub struct Queue<T> {
    slots: Vec<Vec<T>>,
    /// The earliest time that a slot may hold something for.
    at: u64,
    near: usize,
    far: BTreeMap<u64, Vec<T>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let slots = std::iter::repeat_with(Vec::new).take(WHEEL_MS).collect();
        Self {
            slots,
            at: 0,
            near: 0,
            far: BTreeMap::new(),
        }
    }
}

impl<T> Queue<T> {
    /// Lets something happen at `at`, or now where that is past.
    pub fn push(&mut self, at: Millis, what: T) {
        let at = at.0.max(self.at);
        if at - self.at < WHEEL_MS as u64 {
            self.near += 1;
            self.slots[slot(at)].push(what);
        } else {
            self.far.entry(at).or_default().push(what);
        }
    }

    /// Takes all that is next, if it is due by `until`, into `batch`; gives its time. What is pushed
    /// for that same time afterwards comes next.
    pub fn take(&mut self, until: Millis, batch: &mut Vec<T>) -> Option<Millis> {
        loop {
            if self.near == 0 {
                let first = *self.far.first_key_value()?.0;
                if first > until.0 {
                    return None;
                }
                self.at = first;
                self.fetch();
            }
            while self.at <= until.0 {
                let found = &mut self.slots[slot(self.at)];
                if !found.is_empty() {
                    self.near -= found.len();
                    std::mem::swap(found, batch);
                    return Some(Millis(self.at));
                }
                self.at += 1;
                self.fetch();
                if self.near == 0 {
                    break;
                }
            }
            if self.at > until.0 {
                return None;
            }
        }
    }

    /// Moves what has come near onto the wheel.
    fn fetch(&mut self) {
        let end = self.at + WHEEL_MS as u64;
        while let Some(entry) = self.far.first_entry().filter(|entry| *entry.key() < end) {
            let (at, what) = entry.remove_entry();
            self.near += what.len();
            // Whatever the slot holds was pushed later than this.
            let after = std::mem::replace(&mut self.slots[slot(at)], what);
            self.slots[slot(at)].extend(after);
        }
    }
}

fn slot(at: u64) -> usize {
    usize::try_from(at % WHEEL_MS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Queue;
    use regatta_protocol::machine::Millis;

    #[test]
    fn what_is_near_and_what_is_far_come_in_order() {
        let mut queue = Queue::default();
        for (at, what) in [
            (70_000, 4),
            (5, 1),
            (40_000, 3),
            (5, 2),
            (70_000, 5),
            (900_000, 6),
        ] {
            queue.push(Millis(at), what);
        }
        let mut seen = Vec::new();
        let mut batch = Vec::new();
        while let Some(at) = queue.take(Millis(800_000), &mut batch) {
            seen.extend(batch.drain(..).map(|what| (at.0, what)));
        }
        assert_eq!(
            seen,
            [(5, 1), (5, 2), (40_000, 3), (70_000, 4), (70_000, 5)]
        );
        assert_eq!(queue.take(Millis(899_999), &mut batch), None);
        queue.push(Millis(3), 7);
        assert!(queue.take(Millis(900_000), &mut batch).is_some());
        assert_eq!(batch, [7]);
    }
}
