//! Certificates for operators: what a manager lets a person do, and until when.

use regatta_actors::acts::{self, ActError};
use regatta_protocol::codec::{self, Name};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::crypto::sign::PublicKey;
use regatta_protocol::ident::{Hash, NodeId};
use regatta_protocol::ledger::entry::{EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;
use regatta_protocol::selector::{Labels, Selector, SelectorError};
use regatta_protocol::trust::certificate::{
    Capability, Certificate, Grant, Issuer, NodeKeys, Rank, SignedCertificate, Window,
};
use regatta_protocol::trust::enrolment::Enrolment;
use regatta_protocol::trust::founding::EARLY_MS;
use regatta_protocol::trust::verdict::InviteId;

use super::{Desk, note, problem, saved};
use crate::control::api::{GrantAsk, Granted, Problem, moment};
use crate::control::server::Caller;
use crate::text::to_text;

/// What was asked for, read once.
struct Wanted {
    name: Name,
    key: PublicKey,
    grants: Vec<Grant>,
    ttl_ms: u64,
}

fn wanted(ask: &GrantAsk) -> Result<Wanted, Problem> {
    let usage =
        |what: &str, error: &dyn std::fmt::Display| Problem::usage(format!("{what}: {error}"));
    let name = Name::new(&ask.to).map_err(|error| usage("the operator's name", &error))?;
    let key: Hash = ask.key.parse().map_err(|_| {
        let found = ask.key.len();
        let why = format!("an Ed25519 public key has 64 hexadecimal digits, this has {found}");
        usage("the operator's key", &why)
    })?;
    let selector: Selector = ask
        .selector
        .parse()
        .map_err(|error: SelectorError| Problem::usage(error.to_string()))?;
    let run_as: Result<Vec<Name>, _> = ask.run_as.iter().map(|user| Name::new(user)).collect();
    let run_as = run_as.map_err(|error| usage("a user to run as", &error))?;
    if ask.capabilities.is_empty() {
        return Err(Problem::usage("no capability to grant, such as exec.run"));
    }
    let mut grants = Vec::new();
    for text in &ask.capabilities {
        let capability: Capability = text.parse().map_err(|error| usage("capability", &error))?;
        grants.push(Grant {
            capability,
            selector: selector.clone(),
            run_as: run_as.clone(),
        });
    }
    Ok(Wanted {
        name,
        key: PublicKey(key),
        grants,
        ttl_ms: ask.ttl_ms,
    })
}

impl Desk {
    /// Signs a certificate for an operator.
    ///
    /// # Errors
    /// See [`Desk`].
    pub async fn grant(&self, caller: &Caller, ask: GrantAsk) -> Result<Granted, Problem> {
        let wanted = wanted(&ask)?;
        let mut capabilities = wanted.grants.iter().map(|grant| grant.capability);
        if let Some(lacks) = capabilities.find(|it| !caller.may(*it)) {
            return Err(Problem::refused(format!(
                "{caller} may not grant {lacks}: it is not among its capabilities under control.users"
            )));
        }
        let handles = self.handles()?;
        let node = NodeId(Prng::from_seed((handles.entropy)()).bytes());
        let written = acts::write(handles, move |view| {
            let now = view.replica.reference(view.now);
            let own = &view.papers.certificate;
            let from = Millis(now.0.saturating_sub(EARLY_MS)).max(own.window.from);
            let certificate = Certificate {
                issuer: Issuer::Certificate(view.papers.serial),
                node,
                name: wanted.name,
                rank: Rank::Operator,
                keys: NodeKeys {
                    sign: wanted.key,
                    // Nothing is sealed to a person, and no channel leads to one.
                    seal: BoxKey(Hash::ZERO),
                },
                labels: Labels::none(),
                grants: wanted.grants,
                window: Window {
                    from,
                    to: now.plus(wanted.ttl_ms),
                },
            };
            let refused = |why: &dyn std::fmt::Display| ActError::Invalid(why.to_string());
            certificate
                .check_issued_by(own)
                .map_err(|error| refused(&error))?;
            if !codec::fits(&certificate) {
                return Err(refused(
                    &"the selector or the users are too long for a certificate",
                ));
            }
            let fleet = view.replica.holdings().record().fleet();
            let signer = view.papers.signer();
            let signed = SignedCertificate::sign(&certificate, &fleet, &[(0, signer.as_ref())]);
            // On the roll, so that whoever holds it can be stopped by name.
            let enrolment = Enrolment {
                invite: InviteId(signed.serial()),
                uses: 1,
                certificate: codec::encode(&certificate).into(),
                replaces: None,
                request: None,
            };
            let content = codec::encode(&enrolment);
            let kind = EntryKind::ENROLMENT;
            let draft = Draft::fitting(0, LedgerKind::Managers, kind, content);
            Ok((vec![draft], (signed, certificate.window.to)))
        });
        let written = written.await.map_err(problem)?;
        let what = format!("{} may {}", ask.to, ask.capabilities.join(", "));
        note(caller, &what);
        let kept = saved(&written, self.manager_count().await?, what);
        let (signed, until) = &written.gives;
        Ok(Granted {
            certificate: to_text(signed),
            id: signed.serial().to_string(),
            until: moment(until.0),
            saved: kept,
        })
    }
}
