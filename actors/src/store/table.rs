//! The tables of the store: a closed list whose numbers are on disk.

/// Which kind of thing a key names. Numbers are never reused and new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Table {
    /// Entries of ledgers that are gossiped.
    Entries = 1,
    /// Floors of reference time.
    Floors = 2,
    /// Whom membership wants to find again.
    Remembered = 3,
    /// Pieces of bodies.
    Bodies = 4,
    /// What a device has produced and not yet released.
    SpoolEntries = 5,
    /// The state of each spool.
    SpoolStates = 6,
    /// What a manager has read from devices.
    StreamItems = 7,
    /// How far a manager has read.
    StreamStates = 8,
    /// Roots, certificates and verdicts: written when the disk is full, too.
    Trust = 9,
    /// The node itself: its id, the incarnations that it has opened, ports that it chose.
    Node = 10,
    /// Runs of commands: what was accepted, started, ended.
    Runs = 11,
    /// What is adopted of the configuration, and what was before it.
    Adopted = 12,
    /// Where members can be reached.
    Contacts = 13,
}

impl Table {
    /// The number on disk.
    #[must_use]
    pub const fn tag(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_disk_stay() {
        let tables = [
            (Table::Entries, 1),
            (Table::Floors, 2),
            (Table::Remembered, 3),
            (Table::Bodies, 4),
            (Table::SpoolEntries, 5),
            (Table::SpoolStates, 6),
            (Table::StreamItems, 7),
            (Table::StreamStates, 8),
            (Table::Trust, 9),
            (Table::Node, 10),
            (Table::Runs, 11),
            (Table::Adopted, 12),
            (Table::Contacts, 13),
        ];
        for (table, tag) in tables {
            assert_eq!(table.tag(), tag, "{table:?}");
        }
    }
}
