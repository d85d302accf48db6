//! What joining, or founding, left: the fleet, its root, the certificate, where managers were.

use std::sync::Arc;

use regatta_actors::identity::{NodeIdentity, NodeSecrets};
use regatta_actors::membership::Met;
use regatta_protocol::contacts::SignedContact;
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::crypto::sign::PublicKey;
use regatta_protocol::trust::certificate::{Certificate, NodeKeys};
use serde::{Deserialize, Serialize};

use crate::folder::files;
use crate::folder::{FolderError, StateFolder};
use crate::text::{TextError, from_text, to_text};

/// A node's membership.
#[derive(Clone, Debug)]
pub struct Membership {
    /// Who it is.
    pub identity: NodeIdentity,
    /// What its first certificate says.
    pub certificate: Certificate,
    /// The fleet's name, for people.
    pub fleet_name: String,
    /// Where managers were.
    pub contacts: Vec<SignedContact>,
    /// Whom it met.
    pub met: Vec<Met>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberFile {
    fleet_name: String,
    name: String,
    fleet: String,
    root: String,
    certificate: String,
    statements: Vec<String>,
    contacts: Vec<String>,
    #[serde(default)]
    met: Vec<MetFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetFile {
    node: String,
    sign: String,
    seal: String,
    addresses: Vec<String>,
}

impl MemberFile {
    fn of(member: &Membership) -> Self {
        let identity = &member.identity;
        let met = member.met.iter().map(|met| MetFile {
            node: met.node.to_string(),
            sign: met.keys.sign.0.to_string(),
            seal: met.keys.seal.0.to_string(),
            addresses: met.addresses.iter().map(ToString::to_string).collect(),
        });
        Self {
            fleet_name: member.fleet_name.clone(),
            name: member.certificate.name.to_string(),
            fleet: identity.fleet.to_string(),
            root: to_text(&identity.root),
            certificate: to_text(&identity.certificate),
            statements: identity.statements.iter().map(to_text).collect(),
            contacts: member.contacts.iter().map(to_text).collect(),
            met: met.collect(),
        }
    }

    fn read(self, secrets: Arc<NodeSecrets>) -> Result<Membership, Box<dyn std::error::Error>> {
        let signed: regatta_protocol::trust::certificate::SignedCertificate =
            from_text(&self.certificate)?;
        let statements: Result<Vec<_>, TextError> =
            self.statements.iter().map(|it| from_text(it)).collect();
        let contacts: Result<Vec<_>, TextError> =
            self.contacts.iter().map(|it| from_text(it)).collect();
        let met: Result<Vec<Met>, Box<dyn std::error::Error>> =
            self.met.into_iter().map(MetFile::read).collect();
        Ok(Membership {
            certificate: signed.decode()?,
            identity: NodeIdentity {
                fleet: self.fleet.parse()?,
                root: from_text(&self.root)?,
                statements: statements?,
                certificate: signed,
                secrets,
            },
            fleet_name: self.fleet_name,
            contacts: contacts?,
            met: met?,
        })
    }
}

impl MetFile {
    fn read(self) -> Result<Met, Box<dyn std::error::Error>> {
        Ok(Met {
            node: self.node.parse()?,
            keys: NodeKeys {
                sign: PublicKey(self.sign.parse()?),
                seal: BoxKey(self.seal.parse()?),
            },
            // One of a later build that this one does not understand is of no use here.
            addresses: self
                .addresses
                .iter()
                .filter_map(|it| it.parse().ok())
                .collect(),
        })
    }
}

impl StateFolder {
    fn member_path(&self) -> std::path::PathBuf {
        self.identity().join("member.toml")
    }

    /// The node's membership.
    ///
    /// # Errors
    /// When it has none, or what is there cannot be read.
    pub fn member(&self) -> Result<Membership, FolderError> {
        let path = self.member_path();
        let (true, Some(secrets)) = (self.has(&path)?, self.keys()?) else {
            let path = self.path().to_owned();
            return Err(FolderError::NoMember { path });
        };
        let text = files::read(&path)?;
        let broken = |why: String| FolderError::Broken {
            path: path.clone(),
            why,
        };
        let file: MemberFile = toml::from_str(&text).map_err(|error| broken(error.to_string()))?;
        let member = file
            .read(secrets)
            .map_err(|error| broken(error.to_string()))?;
        if member.certificate.keys != member.identity.secrets.public() {
            return Err(broken(
                "its certificate is for other keys than keys.toml".to_owned(),
            ));
        }
        Ok(member)
    }

    /// Keeps a membership, durably.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn keep_member(&self, member: &Membership) -> Result<(), FolderError> {
        let path = self.member_path();
        let text =
            toml::to_string(&MemberFile::of(member)).map_err(|error| FolderError::Broken {
                path: path.clone(),
                why: error.to_string(),
            })?;
        files::write(&path, text.as_bytes())
    }

    /// Refuses a folder that belongs to a fleet already.
    ///
    /// # Errors
    /// Who it is; or what of it cannot be read.
    pub fn refuse_members(&self) -> Result<(), FolderError> {
        match self.member() {
            Ok(member) => Err(FolderError::Taken {
                path: self.path().to_owned(),
                name: member.certificate.name.to_string(),
                fleet: member.fleet_name,
            }),
            Err(FolderError::NoMember { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
