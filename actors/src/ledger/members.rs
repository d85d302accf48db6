//! Members: whose certificate somebody shows, whether he still stands, and who gets a new one.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use ractor::{ActorProcessingErr, ActorRef};
use regatta_protocol::allowance::{Allowance, Rate};
use regatta_protocol::codec;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::ledger::replica::Event;
use regatta_protocol::membership::homes::RosterManager;
use regatta_protocol::membership::roster;
use regatta_protocol::trust::authority::Credentials;
use regatta_protocol::trust::certificate::{Certificate, Rank, SignedCertificate};
use regatta_protocol::trust::invite::join::Admitter;
use regatta_protocol::trust::papers::renewal;
use regatta_protocol::trust::papers::{self, Greeting, PapersMessage, Shown};
use regatta_protocol::trust::roll::Roll;

use crate::bodies::BodiesMessage;
use crate::ledger::Recognised;
use crate::ledger::standing::info;
use crate::ledger::state::LedgerState;
use crate::membership::MembershipMessage;
use crate::network::NetworkMessage;
use crate::switchboard::Tag;

/// Messages about certificates that a peer may send: each costs signatures.
const PAPERS: Rate = Rate {
    burst: 16,
    every_ms: 5_000,
};
/// Certificates that are remembered of members that are gone, to show what they bore.
const KNOWN_MAX: usize = 65_536;

/// Managers whose certificate lapsed, as far as this node knows, and whom nobody stopped.
fn lapsed(holdings: &Holdings) -> impl Iterator<Item = &Certificate> {
    let (record, judgement) = (holdings.record(), holdings.judgement());
    let lapsed = judgement.lapsed.keys();
    let certificates = lapsed.filter_map(|serial| record.managers().get(serial));
    certificates.filter(|it| !judgement.stopped_keys.contains(&it.keys.sign))
}

impl LedgerState {
    /// Membership runs: it is told what it cannot know by itself.
    pub(super) fn introduce(
        &mut self,
        membership: ActorRef<MembershipMessage>,
        bodies: ActorRef<BodiesMessage>,
    ) {
        self.around.membership = Some(membership);
        self.around.bodies = Some(bodies);
        self.tell_managers();
        if !self.papers.is_manager() {
            return;
        }
        for enrolled in Roll::of(self.machine.holdings()).devices() {
            self.around.tell_membership(MembershipMessage::Known {
                node: enrolled.node,
                key: enrolled.certificate.keys.sign,
            });
        }
    }

    fn tell_managers(&self) {
        let holdings = self.machine.holdings();
        let (mut roster, mut keys) = (roster::roster(holdings), roster::keys(holdings));
        let is_other = |it: &RosterManager| it.id != self.papers.node();
        if !self.papers.is_manager() || !roster.iter().any(is_other) {
            // Whoever was away for long knows of no renewal: it asks those whom it knew.
            for lapsed in lapsed(holdings) {
                if let Entry::Vacant(place) = keys.entry(lapsed.node) {
                    place.insert(lapsed.keys.sign);
                    roster.push(RosterManager {
                        id: lapsed.node,
                        home: true,
                        hold: false,
                        relay: false,
                    });
                }
            }
            roster.sort_by_key(|manager| manager.id);
        }
        self.around.tell_membership(MembershipMessage::Managers {
            roster: roster.into(),
            keys,
        });
    }

    /// Somebody showed keys and a greeting in a handshake: who it is, where it is a member.
    pub(super) async fn greeted(
        &mut self,
        shown: &Shown,
        greeting: &[u8],
    ) -> Result<Option<Recognised>, ActorProcessingErr> {
        match codec::decode(greeting) {
            Ok(Greeting(chain)) => self.recognise(shown, &chain).await,
            Err(error) => {
                self.refuses(shown.node, &error);
                Ok(None)
            }
        }
    }

    async fn recognise(
        &mut self,
        shown: &Shown,
        chain: &[SignedCertificate],
    ) -> Result<Option<Recognised>, ActorProcessingErr> {
        if let Some(statement) = papers::to_learn(self.machine.holdings(), chain) {
            // A manager whose certificate has not come with the ledgers yet brings it itself.
            self.run(Event::Learned(statement)).await?;
        }
        let now = self.machine.reference(self.around.clock.now());
        match papers::recognise(self.machine.holdings(), shown, chain, now) {
            Ok(member) => {
                if let Some(denial) = &member.renewable {
                    tracing::info!(peer = %shown.node, %denial, "admitted to be renewed");
                }
                let whole = !member.is_restricted() && self.is_whole();
                let credentials = member.credentials;
                if self.members.contains_key(&shown.node) {
                    self.presented(shown.node, Arc::clone(&credentials)).await?;
                }
                Ok(Some(Recognised { credentials, whole }))
            }
            Err(denial) => {
                self.refuses(shown.node, &denial);
                Ok(None)
            }
        }
    }

    fn refuses(&mut self, peer: NodeId, why: &dyn std::fmt::Display) {
        let now = self.around.clock.now();
        self.duty.refusals.say(peer, now, why);
    }

    pub(super) async fn peer_up(
        &mut self,
        peer: NodeId,
        credentials: Arc<Credentials>,
    ) -> Result<(), ActorProcessingErr> {
        // It may have been stopped while its handshake was under way.
        let is_whole = match self.may_stay(peer, &credentials) {
            Ok(is_whole) => is_whole,
            Err(denial) => {
                tracing::warn!(%peer, %denial, "hanging up");
                self.around.tell_network(NetworkMessage::HangUp { peer });
                return Ok(());
            }
        };
        if !is_whole {
            let since = self.around.clock.now();
            self.driven.standing.restricted.insert(peer, since);
        }
        let info = info(peer, &credentials, is_whole);
        self.run(Event::PeerUp(info)).await?;
        self.presented(peer, credentials).await?;
        self.tell_whether_whole(peer);
        Ok(())
    }

    async fn presented(
        &mut self,
        peer: NodeId,
        credentials: Arc<Credentials>,
    ) -> Result<(), ActorProcessingErr> {
        self.members.insert(peer, Arc::clone(&credentials));
        if self.known.len() >= KNOWN_MAX {
            self.known.pop_first();
        }
        self.known.insert(peer, Arc::clone(&credentials));
        let is_whole = self.stands(&credentials).is_ok();
        let info = info(peer, &credentials, is_whole);
        self.run(Event::Presented { peer, credentials }).await?;
        self.run(Event::PeerChanged(info)).await?;
        self.look_at_member(peer).await?;
        self.renew(peer, false);
        Ok(())
    }

    pub(super) async fn peer_down(&mut self, peer: NodeId) -> Result<(), ActorProcessingErr> {
        self.driven.standing.restricted.remove(&peer);
        self.driven.reads.remove(&peer);
        self.driven.papers.remove(&peer);
        if self.members.remove(&peer).is_none() {
            return Ok(());
        }
        self.run(Event::PeerDown(peer)).await
    }

    /// Who is stopped, lapsed or certified has changed.
    pub(super) fn judged(&mut self) {
        self.tell_managers();
        self.ask_for_a_look();
        self.duties_now();
    }

    /// Time alone changes who is due for a new certificate.
    pub(super) fn renew_members(&mut self) {
        let roll = Roll::of(self.machine.holdings());
        for peer in self.members.keys() {
            self.renew_by(&roll, *peer, false);
        }
    }

    /// Signs a new certificate for a device, where one is due; whether it was sent one.
    pub(super) fn renew(&self, peer: NodeId, asked: bool) -> bool {
        self.renew_by(&Roll::of(self.machine.holdings()), peer, asked)
    }

    fn renew_by(&self, roll: &Roll<'_>, peer: NodeId, asked: bool) -> bool {
        let Some(credentials) = self.members.get(&peer) else {
            return false;
        };
        if !self.papers.is_manager() {
            return false;
        }
        let me = Admitter {
            serial: self.papers.serial,
            certificate: &self.papers.certificate,
        };
        let Some(certificate) = renewal::renewal(roll, me, credentials, asked) else {
            return false;
        };
        tracing::info!(name = %certificate.name, labels = %certificate.labels, "renewing");
        let signed = self.certify(&certificate);
        self.say(peer, &PapersMessage::Renewed(signed));
        true
    }

    fn say(&self, to: NodeId, message: &PapersMessage) {
        self.around.tell_network(NetworkMessage::Send {
            to,
            tag: Tag::Papers.number(),
            bytes: codec::encode(message),
        });
    }

    /// Shows the node's new certificate to everybody with whom there is a link.
    pub(super) fn present(&self) {
        let message = PapersMessage::Present(vec![self.papers.signed.clone()]);
        for peer in self.members.keys() {
            self.say(*peer, &message);
        }
    }

    /// Asks a manager that is connected for a new certificate.
    pub(super) fn ask_renewal(&self) -> Option<NodeId> {
        let is_manager = |credentials: &Arc<Credentials>| credentials.own().rank == Rank::Manager;
        let mut managers = self.members.iter().filter(|(_, it)| is_manager(it));
        let (manager, _) = managers.next()?;
        self.say(*manager, &PapersMessage::Renew);
        Some(*manager)
    }

    /// A member says something about certificates.
    pub(super) async fn papers_came(
        &mut self,
        from: NodeId,
        bytes: &[u8],
    ) -> Result<(), ActorProcessingErr> {
        let now = self.around.clock.now();
        let allowance = self.driven.papers.entry(from);
        if !allowance
            .or_insert_with(|| Allowance::new(PAPERS, now))
            .take(now)
        {
            return self.run(Event::Malformed { from }).await;
        }
        let Ok(message) = codec::decode(bytes) else {
            return self.run(Event::Malformed { from }).await;
        };
        match message {
            PapersMessage::Present(chain) => {
                let Some(known) = self.members.get(&from) else {
                    return Ok(());
                };
                let shown = Shown {
                    node: from,
                    keys: known.own().keys,
                };
                self.recognise(&shown, &chain).await?;
            }
            PapersMessage::Renew => {
                self.renew(from, true);
            }
            PapersMessage::Renewed(signed) => {
                let holdings = self.machine.holdings();
                match renewal::accept_renewed(holdings, &self.papers.certificate, &signed) {
                    Ok(certificate) => {
                        let days = certificate.window.length() / regatta_protocol::limits::DAY_MS;
                        tracing::info!(labels = %certificate.labels, days, "renewed");
                        self.take_certificate(signed).await?;
                    }
                    Err(error) => tracing::debug!(%from, %error, "a renewal is not taken"),
                }
            }
        }
        Ok(())
    }
}
