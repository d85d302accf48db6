//! The one function that answers "may this author do this to a node with these labels at this
//! time", and what it needs to know of the author.

use thiserror::Error;

use crate::clock::utc::Utc;
use crate::codec::{self, DecodeError, Name};
use crate::crypto::sign::Context;
use crate::ident::Serial;
use crate::limits::CERTIFICATE_CHAIN_DEPTH_MAX;
use crate::machine::Millis;
use crate::selector::Labels;
use crate::trust::certificate::{
    Capability, Certificate, Grant, IssueError, Issuer, Rank, SignedCertificate,
};
use crate::trust::fold::Judgement;
use crate::trust::record::Record;

/// An author whose signatures were checked: its certificate, then each issuer's, up to a manager
/// that the root signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials(Vec<(Serial, Certificate)>);

impl Credentials {
    /// The author's own certificate.
    ///
    /// # Panics
    /// Never: credentials are made with one certificate at least.
    #[must_use]
    pub fn own(&self) -> &Certificate {
        assert!(!self.0.is_empty(), "credentials without a certificate");
        &self.0[0].1
    }

    /// The author's own serial.
    #[must_use]
    pub fn serial(&self) -> Serial {
        self.0[0].0
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What.
    pub capability: Capability,
    /// To a node with these labels.
    pub labels: &'a Labels,
    /// As this user of the node, where a user matters.
    pub run_as: Option<&'a Name>,
    /// When, in reference time.
    pub at: Millis,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Denial {
    /// Nothing was presented, or too much.
    #[error("{found} certificates presented; 1 to {CERTIFICATE_CHAIN_DEPTH_MAX} are needed")]
    Depth {
        /// How many.
        found: usize,
    },
    /// A certificate does not decode.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The issuer is not known here.
    #[error("certificate {serial} of '{name}': its issuer is not known here")]
    UnknownIssuer {
        /// The certificate.
        serial: Serial,
        /// Its holder.
        name: Name,
    },
    /// The issuer did not sign it.
    #[error("certificate {serial} of '{name}': the signature is not its issuer's")]
    Signature {
        /// The certificate.
        serial: Serial,
        /// Its holder.
        name: Name,
    },
    /// The issuer may not sign such a certificate.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// Not valid yet.
    #[error("certificate of '{name}' is not valid before {}", Utc(*from))]
    Early {
        /// Its holder.
        name: Name,
        /// The beginning.
        from: Millis,
    },
    /// Not valid any more.
    #[error("certificate of '{name}' lapsed at {}; it can be renewed", Utc(*to))]
    Lapsed {
        /// Its holder.
        name: Name,
        /// The end.
        to: Millis,
    },
    /// Stopped by an order.
    #[error("'{name}' is stopped by an order")]
    Stopped {
        /// Its holder.
        name: Name,
    },
    /// An issuer of it is stopped, so it needs another's signature.
    #[error(
        "the certificate of '{name}' was signed by '{issuer}', who is stopped; it can be renewed"
    )]
    IssuerStopped {
        /// Its holder.
        name: Name,
        /// Who signed it.
        issuer: Name,
    },
    /// The capability is missing, or not for such a node.
    #[error("'{name}' does not have {capability} on this device")]
    Lacks {
        /// Who.
        name: Name,
        /// What is missing.
        capability: Capability,
    },
    /// Not as this user.
    #[error("'{name}' may not act as user '{user}' on this device")]
    RunAs {
        /// Who.
        name: Name,
        /// The user.
        user: Name,
    },
    /// There is something critical in the ledgers that this build does not know.
    #[error("an entry of an unknown critical kind is in force; update this node before it acts")]
    UnknownCritical,
}

impl Denial {
    /// Whether a renewal would mend it: then renewal and the exchange of ledgers stay open.
    #[must_use]
    pub fn is_renewable(&self) -> bool {
        matches!(self, Self::Lapsed { .. } | Self::IssuerStopped { .. })
    }
}

/// Checks presented certificates up to a manager that the root signed: signatures and whether each
/// issuer might sign such a thing at all. Whether they hold at some time, [`may`] says.
///
/// # Errors
/// The first certificate that fails, and why.
pub fn recognise(record: &Record, presented: &[SignedCertificate]) -> Result<Credentials, Denial> {
    let found = presented.len();
    if found == 0 || found > CERTIFICATE_CHAIN_DEPTH_MAX {
        return Err(Denial::Depth { found });
    }
    let mut chain: Vec<(Serial, Certificate)> = Vec::with_capacity(found + 1);
    for signed in presented {
        chain.push((signed.serial(), signed.decode()?));
    }
    let (last_serial, last) = &chain[found - 1];
    match last.issuer {
        Issuer::Root(_) if record.managers().contains_key(last_serial) => {}
        Issuer::Root(_) => return Err(unknown_issuer(*last_serial, last)),
        Issuer::Certificate(serial) => match record.managers().get(&serial) {
            Some(manager) => chain.push((serial, manager.clone())),
            None => return Err(unknown_issuer(*last_serial, last)),
        },
    }
    for (index, pair) in chain.windows(2).enumerate() {
        let [(serial, certificate), (issuer_serial, issuer)] = pair else {
            continue;
        };
        if certificate.issuer != Issuer::Certificate(*issuer_serial) {
            return Err(unknown_issuer(*serial, certificate));
        }
        let signed = presented[index].signatures.iter().take(1).any(|signed| {
            record.verify().verify(
                &issuer.keys.sign,
                Context::Certificate,
                &record.fleet(),
                &presented[index].bytes,
                &signed.signature,
            )
        });
        if !signed {
            return Err(Denial::Signature {
                serial: *serial,
                name: certificate.name.clone(),
            });
        }
        certificate.check_issued_by(issuer)?;
    }
    Ok(Credentials(chain))
}

fn unknown_issuer(serial: Serial, certificate: &Certificate) -> Denial {
    Denial::UnknownIssuer {
        serial,
        name: certificate.name.clone(),
    }
}

/// The credentials of a manager whose certificate is published.
#[must_use]
pub fn manager(record: &Record, serial: &Serial) -> Option<Credentials> {
    record
        .managers()
        .get(serial)
        .map(|certificate| Credentials(vec![(*serial, certificate.clone())]))
}

/// The credentials of a certificate that this node took for its own: its signature was checked then.
/// None where its issuer is not known here, or not any more.
#[must_use]
pub fn taken(record: &Record, own: &Certificate) -> Option<Credentials> {
    let serial = SignedCertificate::serial_of(&codec::encode(own));
    match own.issuer {
        Issuer::Root(_) => manager(record, &serial),
        Issuer::Certificate(by) => {
            let mut chain = manager(record, &by)?;
            chain.0.insert(0, (serial, own.clone()));
            Some(chain)
        }
    }
}

/// Whether somebody is a member now: nothing in its chain is stopped, early or lapsed.
///
/// # Errors
/// Why it is not; [`Denial::is_renewable`] tells what still stays open.
pub fn stands(judgement: &Judgement, who: &Credentials, at: Millis) -> Result<(), Denial> {
    let name = || who.own().name.clone();
    let own = who.own();
    if is_stopped(judgement, own) {
        return Err(Denial::Stopped { name: name() });
    }
    for (serial, certificate) in &who.0 {
        let to = judgement.end_of(serial, certificate);
        if at < certificate.window.from {
            let from = certificate.window.from;
            return Err(Denial::Early {
                name: certificate.name.clone(),
                from,
            });
        }
        if is_stopped(judgement, certificate) {
            return Err(Denial::IssuerStopped {
                name: name(),
                issuer: certificate.name.clone(),
            });
        }
        if at > to {
            return Err(Denial::Lapsed {
                name: certificate.name.clone(),
                to,
            });
        }
    }
    Ok(())
}

fn is_stopped(judgement: &Judgement, certificate: &Certificate) -> bool {
    match certificate.rank {
        Rank::Manager | Rank::Root => judgement.stopped_keys.contains(&certificate.keys.sign),
        Rank::Operator | Rank::Device => judgement.stopped_nodes.contains(&certificate.node),
    }
}

/// Whether `who` may do what is asked. Everybody in its chain must have the capability for such a
/// node, so nobody can hand on what he does not have.
///
/// # Errors
/// Why not.
pub fn may(judgement: &Judgement, who: &Credentials, ask: &Ask<'_>) -> Result<(), Denial> {
    stands(judgement, who, ask.at)?;
    for (_, certificate) in &who.0 {
        let on_node: Vec<&Grant> = certificate
            .grants
            .iter()
            .filter(|grant| grant.capability == ask.capability)
            .filter(|grant| grant.selector.matches(ask.labels))
            .collect();
        if on_node.is_empty() {
            let (name, capability) = (certificate.name.clone(), ask.capability);
            return Err(Denial::Lacks { name, capability });
        }
        if let Some(user) = ask.run_as {
            let allowed = |grant: &&Grant| grant.run_as.is_empty() || grant.run_as.contains(user);
            if !on_node.iter().any(allowed) {
                let name = certificate.name.clone();
                return Err(Denial::RunAs {
                    name,
                    user: user.clone(),
                });
            }
        }
    }
    Ok(())
}
