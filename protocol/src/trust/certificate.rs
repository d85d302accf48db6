//! Certificates: who a node is, what it may do, and until when.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{self, Bytes, DecodeError, Name, Wire};
use crate::crypto::channel::GREETING_BYTES_MAX;
use crate::crypto::seal::BoxKey;
use crate::crypto::sign::{Context, PublicKey, Sign, Signature};
use crate::ident::{FleetId, Hash, NodeId, Serial};
use crate::limits::{
    CERTIFICATE_BYTES_MAX, DEVICE_CERTIFICATE_MS_MAX, NAME_BYTES_MAX, OPERATOR_CERTIFICATE_MS_MAX,
};
use crate::machine::Millis;
use crate::selector::{Labels, Selector};

/// Ranks, lowest first: the order decides who may judge and whose revision wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rank {
    /// A robot, an edge box, a server.
    Device,
    /// A person.
    Operator,
    /// A node that may write.
    Manager,
    /// The fleet's own key, kept off line.
    Root,
}

impl fmt::Display for Rank {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Device => "device",
            Self::Operator => "operator",
            Self::Manager => "manager",
            Self::Root => "root",
        })
    }
}

/// What a certificate may allow. Append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Capability {
    /// Write documents.
    ConfigWrite,
    /// Run commands.
    ExecRun,
    /// Open terminals.
    ShellOpen,
    /// Read what devices measured.
    TelemetryRead,
    /// Admit and renew devices.
    DeviceEnrol,
    /// Stop operators, devices and invites.
    Stop,
    /// Keep what devices report.
    Hold,
    /// Carry what is scoped to other devices.
    Carry,
    /// Relay traffic of others.
    Relay,
    /// Say what time it is.
    Time,
    /// Sign certificates for operators.
    Delegate,
    /// Wrap secrets for devices.
    SecretWrap,
}

impl Capability {
    /// All that there are.
    pub const ALL: [Self; 12] = [
        Self::ConfigWrite,
        Self::ExecRun,
        Self::ShellOpen,
        Self::TelemetryRead,
        Self::DeviceEnrol,
        Self::Stop,
        Self::Hold,
        Self::Carry,
        Self::Relay,
        Self::Time,
        Self::Delegate,
        Self::SecretWrap,
    ];
}

/// A word that is no capability.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{word:?}: it is none of {}", Capability::ALL.map(|it| it.to_string()).join(", "))]
pub struct UnknownCapability {
    word: String,
}

impl FromStr for Capability {
    type Err = UnknownCapability;

    fn from_str(word: &str) -> Result<Self, UnknownCapability> {
        let found = Self::ALL.into_iter().find(|it| it.to_string() == word);
        found.ok_or_else(|| UnknownCapability {
            word: word.chars().take(NAME_BYTES_MAX).collect(),
        })
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::ConfigWrite => "config.write",
            Self::ExecRun => "exec.run",
            Self::ShellOpen => "shell.open",
            Self::TelemetryRead => "telemetry.read",
            Self::DeviceEnrol => "device.enrol",
            Self::Stop => "stop",
            Self::Hold => "hold",
            Self::Carry => "carry",
            Self::Relay => "relay",
            Self::Time => "time",
            Self::Delegate => "delegate",
            Self::SecretWrap => "secret.wrap",
        })
    }
}

/// One thing that is allowed, to whom, and as which local users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What.
    pub capability: Capability,
    /// On which devices.
    pub selector: Selector,
    /// As which users of the device; none listed means every user.
    pub run_as: Vec<Name>,
}

impl Grant {
    /// A capability on every device, as every user.
    #[must_use]
    pub fn everywhere(capability: Capability) -> Self {
        Self {
            capability,
            selector: Selector::everything(),
            run_as: Vec::new(),
        }
    }

    /// Whether whatever `self` allows, `wider` allows too.
    #[must_use]
    pub fn is_within(&self, wider: &Self) -> bool {
        let users_within = wider.run_as.is_empty()
            || (!self.run_as.is_empty()
                && self.run_as.iter().all(|user| wider.run_as.contains(user)));
        self.capability == wider.capability
            && self.selector.implies(&wider.selector)
            && users_within
    }
}

/// Who signed a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Issuer {
    /// The root document of this number.
    Root(u32),
    /// The holder of this certificate.
    Certificate(Serial),
}

/// When something counts, both ends included, by wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// The first millisecond.
    pub from: Millis,
    /// The last millisecond.
    pub to: Millis,
}

impl Window {
    /// Whether `at` lies within.
    #[must_use]
    pub fn contains(&self, at: Millis) -> bool {
        self.from <= at && at <= self.to
    }

    /// How long it is.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.to.since(self.from)
    }
}

/// The keys of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeKeys {
    /// Checks what it signs.
    pub sign: PublicKey,
    /// Seals to it, and names it in handshakes.
    pub seal: BoxKey,
}

/// A certificate's bytes, of which a greeting is full: around them are its version, two lengths of
/// lists and the length of the bytes, and one signature.
const PRESENTED_BYTES_MAX: usize = GREETING_BYTES_MAX - 1 - 3 * 8 - 65;

/// What is signed: a node's id and keys, its name and labels, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Who signs it.
    pub issuer: Issuer,
    /// The node's id, which stays when keys rotate.
    pub node: NodeId,
    /// What people call it.
    pub name: Name,
    /// Its rank.
    pub rank: Rank,
    /// Its keys.
    pub keys: NodeKeys,
    /// Its labels.
    pub labels: Labels,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// When it is valid.
    pub window: Window,
}

impl Wire for Certificate {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = CERTIFICATE_BYTES_MAX;
    const WHAT: &'static str = "certificate";
}

/// One signature of several: which key of the signer's list, and what it signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeySignature {
    /// Index of the key in the signer's list.
    pub key: u8,
    /// The signature.
    pub signature: Signature,
}

/// A certificate as it travels: its bytes as they were signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCertificate {
    /// The certificate's bytes.
    pub bytes: Bytes,
    /// The issuer's signatures: one of a manager, as many as its threshold of a root.
    pub signatures: Vec<KeySignature>,
}

impl Wire for SignedCertificate {
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = CERTIFICATE_BYTES_MAX + 2048;
    const WHAT: &'static str = "signed certificate";
}

impl SignedCertificate {
    /// Signs a certificate with a manager's key, or with the keys of a root in their order.
    #[must_use]
    pub fn sign(certificate: &Certificate, fleet: &FleetId, signers: &[(u8, &dyn Sign)]) -> Self {
        let bytes = Bytes::from(codec::encode(certificate));
        let sign = |(key, signer): &(u8, &dyn Sign)| KeySignature {
            key: *key,
            signature: signer.sign(Context::Certificate, fleet, &bytes),
        };
        Self {
            signatures: signers.iter().map(sign).collect(),
            bytes,
        }
    }

    /// Its name.
    #[must_use]
    pub fn serial(&self) -> Serial {
        Self::serial_of(&self.bytes)
    }

    /// The name of the certificate with these bytes, whether it is signed or not.
    #[must_use]
    pub fn serial_of(bytes: &[u8]) -> Serial {
        Serial(Hash::of(bytes).half())
    }

    /// What it says; its signatures are for [`crate::trust::fold`] to check.
    ///
    /// # Errors
    /// When the bytes are no certificate.
    pub fn decode(&self) -> Result<Certificate, DecodeError> {
        codec::decode(&self.bytes)
    }
}

/// A certificate that no issuer may sign.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IssueError {
    /// The rank is not below the issuer's.
    #[error("rank {issuer} cannot sign a certificate for rank {subject}; only a higher rank can")]
    Rank {
        /// The issuer's rank.
        issuer: Rank,
        /// The subject's rank.
        subject: Rank,
    },
    /// The issuer lacks the capability to sign such certificates.
    #[error(
        "signing a certificate for rank {subject} needs {needed}, which the issuer does not have"
    )]
    Capability {
        /// The subject's rank.
        subject: Rank,
        /// What the issuer would need.
        needed: Capability,
    },
    /// A grant reaches further than the issuer's own.
    #[error("the grant of {capability} on '{selector}' is wider than what the issuer has")]
    Wider {
        /// What is granted.
        capability: Capability,
        /// On which devices.
        selector: String,
    },
    /// It would live too long.
    #[error("a certificate of rank {subject} may be valid for {days_max} days at most")]
    Long {
        /// The subject's rank.
        subject: Rank,
        /// The most days.
        days_max: u64,
    },
    /// It would be valid before or after its issuer is.
    #[error("a certificate cannot be valid outside its issuer's own validity")]
    Window,
}

impl Certificate {
    /// Whether its holder may admit devices with these labels, and renew, relabel and forget them.
    #[must_use]
    pub fn may_enrol(&self, labels: &Labels) -> bool {
        let mut grants = self.grants.iter();
        grants.any(|grant| {
            grant.capability == Capability::DeviceEnrol && grant.selector.matches(labels)
        })
    }

    /// The same with other labels.
    #[must_use]
    pub fn with_labels(&self, labels: &Labels) -> Self {
        Self {
            labels: labels.clone(),
            ..self.clone()
        }
    }

    /// Whether it can be shown in a greeting, once one key signed it. What cannot be shown opens no
    /// channel, so no device gets such a one.
    #[must_use]
    pub fn is_presentable(&self) -> bool {
        codec::encoded_len(self) <= PRESENTED_BYTES_MAX
    }

    /// Whether the holder of `issuer` may sign this: lower, narrower, shorter.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check_issued_by(&self, issuer: &Self) -> Result<(), IssueError> {
        let subject = self.rank;
        if issuer.rank <= subject || issuer.rank != Rank::Manager {
            return Err(IssueError::Rank {
                issuer: issuer.rank,
                subject,
            });
        }
        let (needed, has) = if subject == Rank::Device {
            (Capability::DeviceEnrol, issuer.may_enrol(&self.labels))
        } else {
            let mut grants = issuer.grants.iter();
            let has = grants.any(|grant| grant.capability == Capability::Delegate);
            (Capability::Delegate, has)
        };
        if !has {
            return Err(IssueError::Capability { subject, needed });
        }
        let wider = |grant: &&Grant| !issuer.grants.iter().any(|own| grant.is_within(own));
        if let Some(grant) = self.grants.iter().find(wider) {
            return Err(IssueError::Wider {
                capability: grant.capability,
                selector: grant.selector.to_string(),
            });
        }
        let longest = match subject {
            Rank::Device => DEVICE_CERTIFICATE_MS_MAX,
            _ => OPERATOR_CERTIFICATE_MS_MAX,
        };
        if self.window.length() > longest {
            let days_max = longest / crate::limits::DAY_MS;
            return Err(IssueError::Long { subject, days_max });
        }
        if self.window.from < issuer.window.from {
            return Err(IssueError::Window);
        }
        Ok(())
    }
}
