//! What will happen, by time; among equal times in the order in which it was asked for.

use std::collections::BTreeMap;

use regatta_protocol::machine::Millis;

/// Milliseconds that the wheel reaches ahead; what is later waits in a map.
const WHEEL_MS: usize = 1 << 14;
/// The end of a list of cells.
const NONE: u32 = u32::MAX;

/// A wheel of one slot a millisecond for what is near, and a map for what is far.
///
/// What lies on the wheel is kept in cells that are used again and again, so that the memory which
/// a run walks through is as much as waits at one time, not as much as ever waited in any slot.
#[derive(Debug)]
pub struct Queue<T> {
    slots: Vec<Slot>,
    /// One bit a slot: whether it holds anything.
    occupied: Vec<u64>,
    cells: Vec<Cell<T>>,
    /// The first cell that is free.
    free: u32,
    /// The earliest time that a slot may hold something for.
    at: u64,
    near: usize,
    /// Later than the wheel reaches, always.
    far: BTreeMap<u64, Vec<T>>,
}

/// The first and last of a list of cells.
#[derive(Clone, Copy, Debug)]
struct Slot {
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Cell<T> {
    what: Option<T>,
    next: u32,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let empty = Slot {
            first: NONE,
            last: NONE,
        };
        Self {
            slots: vec![empty; WHEEL_MS],
            occupied: vec![0; WHEEL_MS / 64],
            cells: Vec::new(),
            free: NONE,
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
            self.put(slot(at), what);
        } else {
            self.far.entry(at).or_default().push(what);
        }
    }

    fn put(&mut self, slot: usize, what: T) {
        let cell = self.cell(what);
        let list = &mut self.slots[slot];
        if list.first == NONE {
            list.first = cell;
            self.occupied[slot / 64] |= 1 << (slot % 64);
        } else {
            self.cells[list.last as usize].next = cell;
        }
        list.last = cell;
        self.near += 1;
    }

    /// A cell that holds this, and after which nothing comes.
    fn cell(&mut self, what: T) -> u32 {
        let cell = Cell {
            what: Some(what),
            next: NONE,
        };
        if let Some(free) = self.cells.get_mut(self.free as usize) {
            let index = self.free;
            self.free = free.next;
            *free = cell;
            return index;
        }
        let index = u32::try_from(self.cells.len()).unwrap_or(NONE);
        assert!(
            index < NONE,
            "more waits at one time than cells are numbered"
        );
        self.cells.push(cell);
        index
    }

    /// Takes all that is next, if it is due by `until`, into `batch`; gives its time. What is pushed
    /// for that same time afterwards comes next.
    pub fn take(&mut self, until: Millis, batch: &mut Vec<T>) -> Option<Millis> {
        let next = if self.near > 0 {
            self.next_occupied()
        } else {
            *self.far.first_key_value()?.0
        };
        if next > until.0 {
            if self.near > 0 {
                self.go_on_to(self.at.max(until.0 + 1));
            }
            return None;
        }
        self.go_on_to(next);
        let slot = slot(next);
        let mut index = self.slots[slot].first;
        self.slots[slot].first = NONE;
        self.occupied[slot / 64] &= !(1 << (slot % 64));
        while let Some(cell) = self.cells.get_mut(index as usize) {
            batch.extend(cell.what.take());
            self.near -= 1;
            let next = std::mem::replace(&mut cell.next, self.free);
            self.free = index;
            index = next;
        }
        Some(Millis(next))
    }

    /// The time of the first slot that holds anything; there is one.
    fn next_occupied(&self) -> u64 {
        let start = slot(self.at);
        let words = self.occupied.len();
        let first = self.occupied[start / 64] & (u64::MAX << (start % 64));
        let found = if first == 0 {
            let after = (1..=words).map(|ahead| (start / 64 + ahead) % words);
            let mut taken = after.filter(|word| self.occupied[*word] != 0);
            taken.next().map(|word| (word, self.occupied[word]))
        } else {
            Some((start / 64, first))
        };
        let Some((word, bits)) = found else {
            return self.at;
        };
        let slot = word * 64 + bits.trailing_zeros() as usize;
        self.at + ((slot + WHEEL_MS - start) % WHEEL_MS) as u64
    }

    /// Nothing is due before `at`: moves what has come near onto the wheel.
    fn go_on_to(&mut self, at: u64) {
        self.at = at;
        let end = self.at + WHEEL_MS as u64;
        while let Some(entry) = self.far.first_entry().filter(|entry| *entry.key() < end) {
            let (at, what) = entry.remove_entry();
            for what in what {
                self.put(slot(at), what);
            }
        }
    }
}

fn slot(at: u64) -> usize {
    usize::try_from(at % WHEEL_MS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use regatta_protocol::machine::Millis;
    use regatta_protocol::prng::Prng;

    use super::Queue;

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

    /// The same by the simplest means.
    #[test]
    fn it_gives_what_a_sorted_list_would() {
        let mut prng = Prng::from_number(7);
        let (mut queue, mut model) = (Queue::default(), BTreeMap::<u64, Vec<u64>>::new());
        let (mut now, mut batch) = (0, Vec::new());
        for what in 0..30_000 {
            let ahead = 1 + match prng.below(4) {
                0 => prng.below(60_000),
                1 => prng.below(17_000),
                _ => prng.below(30),
            };
            queue.push(Millis(now + ahead), what);
            model.entry(now + ahead).or_default().push(what);
            if prng.chance(300_000) {
                continue;
            }
            now += prng.below(40);
            while let Some(at) = queue.take(Millis(now), &mut batch) {
                let first = model.pop_first();
                assert_eq!(first, Some((at.0, std::mem::take(&mut batch))));
            }
            assert!(model.keys().all(|at| *at > now));
        }
    }
}
