//! Ledgers for one device alone: agents name theirs, managers compare all by a tree of hashes.

use crate::ident::{Hash, NodeId};
use crate::ledger::digest::BUCKETS;
use crate::ledger::message::{Digest, Group, Message};
use crate::ledger::replica::{Effect, Replica, Role};

/// Scopes that one message lists.
const LISTED_MAX: usize = 512;

impl Replica {
    /// Compares the scopes that a digest tells of; true where all agree.
    pub(super) fn compare_scopes(
        &mut self,
        from: NodeId,
        theirs: &Digest,
        out: &mut Vec<Effect>,
    ) -> bool {
        let (digests, chains) = self.holdings.scopes();
        let mut same = true;
        let root = theirs.scopes.filter(|_| self.me.role == Role::Manager);
        if root.is_some_and(|root| root != digests.scopes(chains)) {
            same = false;
            let message = Message::Buckets(digests.buckets(chains));
            out.push(Effect::Send {
                to: vec![from],
                message,
            });
        }
        for (device, hash) in theirs.own_scopes.iter().take(LISTED_MAX) {
            let group = Group::Scope(*device);
            if !self.may_have(&from, group) || !self.wants(group) {
                continue;
            }
            if *hash != self.holdings.digest(group) {
                same = false;
                // Whoever does not name its scopes cannot compare: it is asked to answer.
                self.send_heads(from, group, true, out);
            }
        }
        same
    }

    pub(super) fn on_buckets(&mut self, from: NodeId, theirs: &[Hash], out: &mut Vec<Effect>) {
        let between_managers =
            self.me.role == Role::Manager && self.may_have(&from, Group::Managers);
        if !between_managers || theirs.len() != BUCKETS {
            self.counters.misplaced += 1;
            return;
        }
        let (digests, chains) = self.holdings.scopes();
        let ours = digests.buckets(chains);
        let differing = (0..=u8::MAX)
            .zip(ours.iter().zip(theirs))
            .filter(|(_, (a, b))| a != b);
        for (bucket, _) in differing {
            let scopes = digests.bucket(bucket, chains);
            send_bucket(from, bucket, &scopes, true, out);
        }
    }

    pub(super) fn on_bucket(
        &mut self,
        from: NodeId,
        bucket: u8,
        theirs: &[(NodeId, Hash)],
        answer: bool,
        out: &mut Vec<Effect>,
    ) {
        let in_place = theirs.iter().all(|(device, _)| device.0[0] == bucket);
        let between_managers =
            self.me.role == Role::Manager && self.may_have(&from, Group::Managers);
        if !between_managers || !in_place {
            self.counters.misplaced += 1;
            return;
        }
        let (digests, chains) = self.holdings.scopes();
        let ours = digests.bucket(bucket, chains);
        for (device, hash) in theirs.iter().take(LISTED_MAX) {
            if !ours.contains(&(*device, *hash)) {
                self.send_heads(from, Group::Scope(*device), true, out);
            }
        }
        if answer {
            let unlisted: Vec<(NodeId, Hash)> = ours
                .into_iter()
                .filter(|(device, _)| !theirs.iter().any(|(listed, _)| listed == device))
                .collect();
            send_bucket(from, bucket, &unlisted, false, out);
        }
    }
}

fn send_bucket(
    to: NodeId,
    bucket: u8,
    scopes: &[(NodeId, Hash)],
    answer: bool,
    out: &mut Vec<Effect>,
) {
    for (index, page) in scopes.chunks(LISTED_MAX).enumerate() {
        // Only the first page asks for an answer: the other side knows its own scopes by then.
        let answer = answer && index == 0;
        let message = Message::Bucket {
            bucket,
            scopes: page.to_vec(),
            answer,
        };
        out.push(Effect::Send {
            to: vec![to],
            message,
        });
    }
    if scopes.is_empty() && answer {
        let message = Message::Bucket {
            bucket,
            scopes: Vec::new(),
            answer,
        };
        out.push(Effect::Send {
            to: vec![to],
            message,
        });
    }
}
