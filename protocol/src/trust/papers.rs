//! What members show each other: in the greeting of each channel, and whenever a certificate is
//! new. Renewing them is in [`renewal`].

pub mod renewal;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, DecodeError, Name, Wire};
use crate::crypto::channel::GREETING_BYTES_MAX;
use crate::crypto::sign::Context;
use crate::ident::NodeId;
use crate::ledger::holdings::Holdings;
use crate::limits::CONTROL_FRAME_BYTES_MAX;
use crate::machine::Millis;
use crate::trust::authority::{self, Credentials, Denial};
use crate::trust::certificate::{Issuer, NodeKeys, Rank, SignedCertificate};
use crate::trust::statement::Statement;

/// What each side says with its handshake: its own certificate, then its issuers' as far as the
/// other may not know them. One is enough for a manager, and for whom a manager signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting(pub Vec<SignedCertificate>);

impl Wire for Greeting {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = GREETING_BYTES_MAX;
    const WHAT: &'static str = "greeting";
}

impl Greeting {
    /// Its bytes, to be shown.
    ///
    /// # Errors
    /// When it is longer than a greeting may be: too many labels or grants, or too long a chain.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DecodeError> {
        if codec::fits(self) {
            return Ok(codec::encode(self));
        }
        Err(DecodeError::TooLong {
            what: Self::WHAT,
            length: codec::encoded_len(self),
            cap: Self::BYTES_MAX,
        })
    }
}

/// What members say of certificates on an open channel. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PapersMessage {
    /// I have a new certificate: what a greeting would show. From whoever was renewed, to all.
    Present(Vec<SignedCertificate>),
    /// Here is your new certificate. From a manager, to a device.
    Renewed(SignedCertificate),
    /// Please renew the certificate that you have seen. From a device, to a manager.
    Renew,
}

impl Wire for PapersMessage {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = CONTROL_FRAME_BYTES_MAX;
    const WHAT: &'static str = "papers message";
}

/// Who is at the other end, as the handshake proved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The id under which it came.
    pub node: NodeId,
    /// The keys that it holds.
    pub keys: NodeKeys,
}

/// A member that was recognised.
#[derive(Clone, Debug)]
pub struct Member {
    /// What its certificates say.
    pub credentials: Arc<Credentials>,
    /// Why it may only be renewed and exchange ledgers, and nothing else, where that is so.
    pub renewable: Option<Denial>,
}

impl Member {
    /// Whether only renewal and the exchange of ledgers are open to it.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        self.renewable.is_some()
    }
}

/// Why somebody is not recognised.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unrecognised {
    /// The bytes are no greeting.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The certificates do not hold, or not now.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// Somebody else's certificate.
    #[error("the certificate of '{name}' is for node {found}, not for {shown}; show your own")]
    Node {
        /// Its holder's name.
        name: Name,
        /// The node in it.
        found: NodeId,
        /// The node that came.
        shown: NodeId,
    },
    /// Other keys than those of the channel.
    #[error("the certificate of '{name}' is for other keys than this channel's; show your latest")]
    Keys {
        /// Its holder's name.
        name: Name,
    },
}

/// Recognises a member by its greeting; `at` is reference time.
///
/// # Errors
/// Why it is no member now.
pub fn recognise_greeting(
    holdings: &Holdings,
    shown: &Shown,
    greeting: &[u8],
    at: Millis,
) -> Result<Member, Unrecognised> {
    let Greeting(chain) = codec::decode(greeting)?;
    recognise(holdings, shown, &chain, at)
}

/// Recognises a member by certificates that it showed; `at` is reference time. Whose certificate
/// lapsed, or whose issuer is stopped, is recognised and restricted.
///
/// # Errors
/// Why it is no member now.
pub fn recognise(
    holdings: &Holdings,
    shown: &Shown,
    chain: &[SignedCertificate],
    at: Millis,
) -> Result<Member, Unrecognised> {
    let credentials = authority::recognise(holdings.record(), chain)?;
    let own = credentials.own();
    let name = || own.name.clone();
    if own.node != shown.node {
        return Err(Unrecognised::Node {
            name: name(),
            found: own.node,
            shown: shown.node,
        });
    }
    if own.keys != shown.keys {
        return Err(Unrecognised::Keys { name: name() });
    }
    let renewable = match authority::stands(holdings.judgement(), &credentials, at) {
        Ok(()) => None,
        Err(denial) if denial.is_renewable() => Some(denial),
        Err(denial) => return Err(denial.into()),
    };
    Ok(Member {
        credentials: Arc::new(credentials),
        renewable,
    })
}

/// What has to be learnt before certificates can be recognised: a manager's that the root signed and
/// no ledger brought here yet, as of one that was certified a moment ago. It goes to the replica as
/// [`crate::ledger::replica::Event::Learned`]. None where there is nothing new, or the root did not
/// sign it.
#[must_use]
pub fn to_learn(holdings: &Holdings, chain: &[SignedCertificate]) -> Option<Statement> {
    let record = holdings.record();
    let signed = chain.last()?;
    let certificate = signed.decode().ok()?;
    let Issuer::Root(number) = certificate.issuer else {
        return None;
    };
    let serial = signed.serial();
    if certificate.rank != Rank::Manager || record.certified().contains_key(&serial) {
        return None;
    }
    let (verify, context) = (record.verify(), Context::Certificate);
    let signatures = &signed.signatures;
    let signers = record
        .roots()
        .signers_of(number, verify, context, &signed.bytes, signatures);
    let speaks = record.roots().speaks(&signers, &serial.0);
    speaks.then(|| Statement::Certify(signed.clone()))
}
