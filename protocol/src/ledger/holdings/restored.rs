//! Taking back what this node stored itself: its signatures were checked then.

use crate::ledger::entry::{Entry, LedgerKind};
use crate::ledger::holdings::{Holdings, Offered};

impl Holdings {
    /// Takes back one entry.
    pub fn restore(&mut self, entry: &Entry) -> Offered {
        if entry.header.ledger.kind == LedgerKind::Trust {
            self.behind.root |= self.record.take_carried(entry);
        }
        match self.record.key_of(&entry.header.signer) {
            Some(key) => self.append(entry, key),
            None => Offered::UnknownSigner,
        }
    }

    /// Takes back all, in the order in which they were stored: trust before all else.
    pub fn restore_all<'a>(&mut self, entries: impl Iterator<Item = &'a Entry> + Clone) {
        let is_trust = |entry: &&Entry| entry.header.ledger.kind == LedgerKind::Trust;
        let trust = entries.clone().filter(is_trust);
        for entry in trust.chain(entries.filter(|entry| !is_trust(entry))) {
            self.restore(entry);
        }
    }
}
