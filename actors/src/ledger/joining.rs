//! Letting somebody in: the rules are `trust::invite`'s, here its words are signed, kept and sent.

use ractor::ActorProcessingErr;
use regatta_protocol::codec::{self, Bytes};
use regatta_protocol::crypto::sign::Context;
use regatta_protocol::ident::NodeId;
use regatta_protocol::ledger::entry::{Entry, EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::Event;
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::trust::certificate::{
    Certificate, Issuer, KeySignature, Rank, SignedCertificate,
};
use regatta_protocol::trust::enrolment::Enrolment;
use regatta_protocol::trust::enrolment::change::GivenInvite;
use regatta_protocol::trust::invite::answer::{JoinAnswer, Welcome};
use regatta_protocol::trust::invite::join::{Admitter, SignedJoin, admit, serial_of};
use regatta_protocol::trust::roll::Roll;
use regatta_protocol::trust::statement::Statement;
use tokio::sync::oneshot;

use crate::ledger::state::LedgerState;
use crate::membership::MembershipMessage;

/// What became of somebody who asked to join.
enum Outcome {
    /// It is let in, or told why not.
    Answer(JoinAnswer),
    /// It has its certificate, once its enrolment is kept.
    Certified(SignedCertificate, Written),
    /// The root has to sign, and its enrolment is to be kept.
    Waits(JoinAnswer, Written),
}

/// What is written before the joiner is answered.
type Written = (Option<GivenInvite>, Option<Enrolment>);

impl LedgerState {
    /// A stranger asks to join.
    pub(super) async fn join_asked(
        &mut self,
        bytes: &Bytes,
        answer: oneshot::Sender<Bytes>,
    ) -> Result<(), ActorProcessingErr> {
        // An invite is good to its last moment, and not to the one when something came last.
        self.run(Event::Wake).await?;
        let (said, (given, enrolment)) = match self.admit(bytes) {
            Outcome::Answer(said) => (Ok(said), (None, None)),
            Outcome::Waits(said, written) => (Ok(said), written),
            Outcome::Certified(certificate, written) => (Err(certificate), written),
        };
        let said = match said {
            Ok(said) => said,
            Err(certificate) => {
                let holdings = self.machine.holdings();
                let welcome = Welcome::new(holdings, self.papers.serial, certificate);
                JoinAnswer::Admitted(Box::new(welcome))
            }
        };
        if let Some(given) = given {
            let content = codec::encode(&given);
            let draft = Draft::fitting(0, LedgerKind::Managers, EntryKind::INVITE, content);
            self.write_unasked(draft).await?;
        }
        match enrolment {
            Some(enrolment) => {
                let content = codec::encode(&enrolment);
                let draft = Draft::fitting(0, LedgerKind::Managers, EntryKind::ENROLMENT, content);
                self.write_for_joiner(draft, said, answer).await
            }
            None => {
                // Its enrolment may still be on its way to the disk.
                self.once_kept(|ledger| ledger.tell_joiner(said, answer));
                Ok(())
            }
        }
    }

    fn admit(&mut self, bytes: &Bytes) -> Outcome {
        let refused = |why: String| {
            tracing::info!(why, "a joiner is refused");
            Outcome::Answer(JoinAnswer::Refused(why))
        };
        if !self.papers.is_manager() {
            return refused("this node is no manager; use an address of one".to_owned());
        }
        if self.disk_full {
            return refused(
                "the manager's disk is full; try another, or make room there".to_owned(),
            );
        }
        let request: SignedJoin = match codec::decode(bytes) {
            Ok(request) => request,
            Err(error) => return refused(error.to_string()),
        };
        let me = Admitter {
            serial: self.papers.serial,
            certificate: &self.papers.certificate,
        };
        let node = NodeId(self.driven.prng.bytes());
        let admission = match admit(self.machine.holdings(), me, &request, node) {
            Ok(admission) => admission,
            Err(refusal) => return refused(refusal.to_string()),
        };
        let certificate = admission.certificate;
        let written = (admission.given, admission.enrolment);
        if certificate.rank != Rank::Manager {
            tracing::info!(name = %certificate.name, node = %certificate.node, "a device joins");
            return Outcome::Certified(self.certify(&certificate), written);
        }
        let serial = serial_of(&certificate);
        if let Some(signed) = self.signed_by_root(&certificate) {
            return Outcome::Certified(signed, written);
        }
        let name = certificate.name;
        // It asks again every second or two: the first time is news.
        match &written.1 {
            Some(_) => tracing::info!(%name, "a manager waits for the root's signature"),
            None => tracing::debug!(%name, "a manager still waits for the root's signature"),
        }
        Outcome::Waits(JoinAnswer::Waits { name, serial }, written)
    }

    /// Signs a device's certificate with this manager's key.
    pub(super) fn certify(&self, certificate: &Certificate) -> SignedCertificate {
        assert_eq!(
            certificate.issuer,
            Issuer::Certificate(self.papers.serial),
            "a certificate that another is to sign"
        );
        let bytes = Bytes::from(codec::encode(certificate));
        let fleet = self.machine.holdings().record().fleet();
        let signer = self.papers.signer();
        let signature = signer.sign(Context::Certificate, &fleet, &bytes);
        SignedCertificate {
            bytes,
            signatures: vec![KeySignature { key: 0, signature }],
        }
    }

    /// The same certificate as the root signed it, where it has.
    fn signed_by_root(&self, certificate: &Certificate) -> Option<SignedCertificate> {
        let serial = serial_of(certificate);
        let mut statements = self.machine.holdings().record().statements();
        statements.find_map(|statement| match statement {
            Statement::Certify(signed) if signed.serial() == serial => Some(signed.clone()),
            _ => None,
        })
    }

    /// Adds where managers are, and answers.
    pub(super) fn tell_joiner(&self, said: JoinAnswer, answer: oneshot::Sender<Bytes>) {
        let (welcome, membership) = match (said, &self.around.membership) {
            (JoinAnswer::Admitted(welcome), Some(membership)) => (welcome, membership),
            (said, _) => {
                // Whoever broke off asks again.
                let _ = answer.send(codec::encode(&said).into());
                return;
            }
        };
        let look = MembershipMessage::Look(Box::new(move |view| {
            let welcome = welcome.with_contacts(view.contacts.of_managers());
            let said = JoinAnswer::Admitted(Box::new(welcome));
            let _ = answer.send(codec::encode(&said).into());
        }));
        // One that is gone is started again together with this actor.
        let _ = membership.cast(look);
    }

    /// Somebody was enrolled, here or elsewhere. Its invite may have been used once too often, which is
    /// for managers to look at soon.
    pub(super) fn enrolled(&mut self, entry: &Entry) {
        self.duties_now();
        let content = regatta_protocol::trust::record::content(entry);
        let enrolment = content.and_then(|bytes| codec::decode::<Enrolment>(bytes).ok());
        let certificate =
            enrolment.and_then(|it| codec::decode::<Certificate>(&it.certificate).ok());
        let node = certificate.map(|certificate| certificate.node);
        self.driven.enrolled.extend(node);
    }

    /// Membership learns the keys of those that were enrolled: what the roll says of them, whatever
    /// the last enrolment says that came. Of whom nothing counts yet is looked at again.
    pub(super) fn tell_enrolled(&mut self) {
        if self.driven.enrolled.is_empty() {
            return;
        }
        let roll = Roll::of(self.machine.holdings());
        let around = &self.around;
        self.driven.enrolled.retain(|node| {
            let Some(held) = roll.latest(node) else {
                return true;
            };
            around.tell_membership(MembershipMessage::Known {
                node: *node,
                key: *held.key(),
            });
            false
        });
    }
}
