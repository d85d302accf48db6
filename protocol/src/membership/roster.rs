//! The managers as the trust fold names them, for whoever looks for homes.

use std::collections::BTreeMap;

use crate::crypto::sign::PublicKey;
use crate::ident::NodeId;
use crate::ledger::holdings::Holdings;
use crate::membership::homes::RosterManager;
use crate::trust::certificate::{Capability, Certificate};

/// Certificates of managers that are neither stopped nor lapsed.
fn standing(holdings: &Holdings) -> impl Iterator<Item = &Certificate> {
    let judgement = holdings.judgement();
    let managers = holdings.record().managers().iter();
    managers
        .filter(|(serial, certificate)| {
            let stopped = judgement.stopped_keys.contains(&certificate.keys.sign);
            !stopped && !judgement.lapsed.contains_key(serial)
        })
        .map(|(_, certificate)| certificate)
}

/// The managers, each once.
#[must_use]
pub fn roster(holdings: &Holdings) -> Vec<RosterManager> {
    let mut roster: BTreeMap<NodeId, RosterManager> = BTreeMap::new();
    for certificate in standing(holdings) {
        let can = |capability| {
            let mut grants = certificate.grants.iter();
            grants.any(|grant| grant.capability == capability)
        };
        let manager = RosterManager {
            id: certificate.node,
            home: true,
            hold: can(Capability::Hold),
            relay: can(Capability::Relay),
        };
        roster.insert(certificate.node, manager);
    }
    roster.into_values().collect()
}

/// The keys of the same managers; of one with several certificates the key of the latest.
#[must_use]
pub fn keys(holdings: &Holdings) -> BTreeMap<NodeId, PublicKey> {
    let mut latest: BTreeMap<NodeId, &Certificate> = BTreeMap::new();
    for certificate in standing(holdings) {
        let known = latest.entry(certificate.node).or_insert(certificate);
        if known.window.from < certificate.window.from {
            *known = certificate;
        }
    }
    let keys = latest.into_iter();
    keys.map(|(node, certificate)| (node, certificate.keys.sign))
        .collect()
}
