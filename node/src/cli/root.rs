//! `regatta root`: what only the root key can do.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use regatta_protocol::codec::{self, Bytes, Name};
use regatta_protocol::crypto::sign::{Context, SecretKey, Sign as _};
use regatta_protocol::ident::{FleetId, Serial};
use regatta_protocol::machine::Millis;
use regatta_protocol::selector::Labels;
use regatta_protocol::trust::certificate::{
    Certificate, Issuer, KeySignature, Rank, SignedCertificate,
};
use regatta_protocol::trust::enrolment::change::GivenInvite;
use regatta_protocol::trust::founding::{manager_grants, rotate as rotation};
use regatta_protocol::trust::invite::join::serial_of;
use regatta_protocol::trust::invite::token::Token;
use regatta_protocol::trust::invite::{InviteTerms, SignedInvite};
use regatta_protocol::trust::root::{KeySet, RootDocument, SignedRoot};
use regatta_protocol::trust::statement::{SignedOrder, Statement};
use regatta_protocol::trust::verdict::{Ruling, Subject, Verdict};

use super::console::{Console, Done, Failure};
use super::place::Place;
use super::{targets, token};
use crate::control::api::{
    FleetInfo, InviteAsk, Manager, ManagerRequest, ManagerState, Moment, SignedInviteText,
    StatementText, moment,
};
use crate::control::client::Client;
use crate::exit::Exit;
use crate::machine;
use crate::root_key::{RootKey, signers};
use crate::text::{from_text, to_text};

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What to do with it.
    #[command(subcommand)]
    pub what: What,
}

/// What the root does.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Sign what waits for the root: a request of a node that becomes a manager
    Sign(Sign),
    /// Stop managers: what they wrote until now counts, and nothing after
    Revoke(Revoke),
    /// Change to the keys that the root committed to, and commit to the next
    Rotate(Rotate),
}

/// `root sign`.
#[derive(Args, Debug)]
pub struct Sign {
    /// A request by its node's name or id, by the serial that `regatta join` shows, or
    /// its text: - is standard input, @FILE a file
    #[arg(value_name = "NAME|-|@FILE", required = true)]
    pub requests: Vec<String>,
    /// Do not ask whether what is shown is meant
    #[arg(long)]
    pub yes: bool,
    /// The file with the root key; may be repeated where several have to sign
    #[arg(long, value_name = "FILE", required = true)]
    pub root_key: Vec<PathBuf>,
    /// Write what was signed to a file instead of handing it to this machine's node
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
}

/// `root revoke`.
#[derive(Args, Debug)]
pub struct Revoke {
    /// The managers, by name or id
    #[arg(value_name = "MANAGER", required = true)]
    pub managers: Vec<String>,
    /// The file with the root key; may be repeated where several have to sign
    #[arg(long, value_name = "FILE", required = true)]
    pub root_key: Vec<PathBuf>,
    /// Why, for whoever reads it later
    #[arg(long)]
    pub reason: Option<String>,
}

/// `root rotate`.
#[derive(Args, Debug)]
pub struct Rotate {
    /// The file with today's root key
    #[arg(long, value_name = "FILE")]
    pub root_key: PathBuf,
    /// The file with the key that today's root committed to
    #[arg(long, value_name = "FILE")]
    pub next_key: PathBuf,
    /// Where to put the key after that, which is committed to now
    #[arg(long, value_name = "FILE")]
    pub new_key: Option<PathBuf>,
}

/// An invite that the root signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootInvite {
    /// The token, secret included: for the joiner alone.
    pub token: String,
    /// Its id.
    pub id: String,
    /// When it expires.
    pub expires: Moment,
    /// What the fleet is told of it.
    pub record: SignedInviteText,
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::refused(error.to_string())
}

/// The root document in force, and the fleet's id.
fn root_of(fleet: &FleetInfo) -> Result<(SignedRoot, RootDocument, FleetId), Failure> {
    let signed: SignedRoot = from_text(&fleet.root).map_err(wrong)?;
    let document = codec::decode(&signed.bytes).map_err(wrong)?;
    let id = fleet.id.parse().map_err(wrong)?;
    Ok((signed, document, id))
}

/// Signs an invite for a manager with the root keys in these files.
///
/// # Errors
/// When a file holds no key of this fleet's root, or too few sign.
pub fn sign_invite(
    fleet: &FleetInfo,
    ask: &InviteAsk,
    root_key: &[PathBuf],
) -> Result<RootInvite, Failure> {
    let (_, document, id) = root_of(fleet)?;
    let keys = RootKey::read_all(root_key).map_err(wrong)?;
    let signers = signers(&document, &keys).map_err(wrong)?;
    let secret = SecretKey::generate(&mut machine::prng());
    let mut labels = Labels::none();
    for (key, value) in &ask.labels {
        let (key, value) = (
            Name::new(key).map_err(wrong)?,
            Name::new(value).map_err(wrong)?,
        );
        labels.insert(key, value).map_err(wrong)?;
    }
    let terms = InviteTerms {
        fleet: id,
        key: secret.public(),
        rank: Rank::Manager,
        labels,
        grants: manager_grants(),
        uses: ask.uses,
        not_after: Millis(fleet.reference_ms).plus(ask.ttl_ms),
        issuer: Issuer::Root(document.number),
        name: None,
        replaces: None,
    };
    if !codec::fits(&terms) {
        return Err(wrong(
            "the labels are too long for an invite; give fewer or shorter ones",
        ));
    }
    let invite = SignedInvite::sign(&terms, &signers);
    let token = Token::new(invite.clone(), &secret, fleet.addresses.clone(), None);
    Ok(RootInvite {
        token: token.map_err(wrong)?.to_text().to_string(),
        id: invite.id().0.to_string(),
        expires: moment(terms.not_after.0),
        record: SignedInviteText {
            text: to_text(&GivenInvite { invite }),
        },
    })
}

/// Signs, judges or rotates.
///
/// # Errors
/// When a key does not fit, or the node does not take what was signed.
pub async fn run(arguments: Arguments, place: &Place, console: &mut Console<'_>) -> Done {
    let client = place.client();
    let fleet = client.fleet().await?;
    match arguments.what {
        What::Sign(sign) => sign_requests(sign, &fleet, &client, console).await,
        What::Revoke(revoke) => stop_managers(revoke, &fleet, &client, console).await,
        What::Rotate(rotate) => change_keys(rotate, &fleet, &client, console).await,
    }
}

/// Hands what was signed to this machine's node, or writes it to a file.
async fn bring(
    statement: &Statement,
    to: Option<&PathBuf>,
    client: &Client,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let text = StatementText {
        text: to_text(statement),
    };
    match to {
        Some(path) => {
            std::fs::write(path, format!("{}\n", text.text))
                .map_err(|error| wrong(format!("writing {}: {error}", path.display())))?;
            console.say(&format!("written to {}", path.display()));
        }
        None => {
            let saved = client.statement(&text).await?;
            targets::said(console, &saved)?;
        }
    }
    Ok(())
}

/// The waiting request that is meant by a name, an id or a serial. Of two for one name or one node
/// only the serial tells which was made by the machine that its owner stands at.
fn asked_for<'a>(
    waiting: &'a [ManagerRequest],
    asked: &str,
) -> Result<Option<&'a ManagerRequest>, Failure> {
    for request in waiting {
        if serial(request)? == asked {
            return Ok(Some(request));
        }
    }
    let found = waiting
        .iter()
        .filter(|it| it.name == asked || it.id == asked);
    let found: Vec<&ManagerRequest> = found.collect();
    let Some(first) = found.first() else {
        return Ok(None);
    };
    let alike = waiting
        .iter()
        .filter(|it| it.name == first.name || it.id == first.id);
    let serials: Result<Vec<String>, Failure> = alike.map(serial).collect();
    let serials = serials?;
    if serials.len() > 1 {
        return Err(wrong(format!(
            "{} requests bear that name or id; give the serial that `regatta join` shows: {}",
            serials.len(),
            serials.join(", ")
        )));
    }
    Ok(Some(first))
}

fn serial(request: &ManagerRequest) -> Result<String, Failure> {
    let certificate: Certificate = from_text(&request.request).map_err(wrong)?;
    Ok(serial_of(&certificate).to_string())
}

/// What the root is about to sign, to be compared with what the joiner shows.
fn shown(certificate: &Certificate) -> String {
    let (from, to) = (certificate.window.from.0, certificate.window.to.0);
    format!(
        "{} as a manager: node {}, serial {}, key {}, {} grants, from {} until {}",
        certificate.name,
        certificate.node,
        serial_of(certificate),
        &certificate.keys.sign.0.to_string()[..16],
        certificate.grants.len(),
        moment(from),
        moment(to)
    )
}

async fn sign_requests(
    sign: Sign,
    fleet: &FleetInfo,
    client: &Client,
    console: &mut Console<'_>,
) -> Done {
    let (_, document, id) = root_of(fleet)?;
    let keys = RootKey::read_all(&sign.root_key).map_err(wrong)?;
    let signers = signers(&document, &keys).map_err(wrong)?;
    let waiting = client.requests().await?;
    for asked in &sign.requests {
        let text = match asked_for(&waiting, asked)? {
            Some(request) => request.request.clone(),
            None if asked == "-" || asked.starts_with('@') => token::read(asked, console)?,
            None => {
                return Err(wrong(format!(
                    "no node called {asked} waits for the root; `regatta get requests` lists them"
                )));
            }
        };
        let certificate: Certificate = from_text(&text).map_err(wrong)?;
        let by_root = certificate.issuer == Issuer::Root(document.number);
        if certificate.rank != Rank::Manager || !by_root {
            return Err(wrong(format!(
                "the request of {} is not for this root to sign; have it join anew",
                certificate.name
            )));
        }
        let what = shown(&certificate);
        if sign.yes {
            console.say(&format!("signing {what}"));
        } else {
            console.confirm(&format!("sign {what}"))?;
        }
        let signed = SignedCertificate::sign(&certificate, &id, &signers);
        bring(
            &Statement::Certify(signed),
            sign.to.as_ref(),
            client,
            console,
        )
        .await?;
    }
    Ok(Exit::ALL)
}

async fn stop_managers(
    revoke: Revoke,
    fleet: &FleetInfo,
    client: &Client,
    console: &mut Console<'_>,
) -> Done {
    let (_, document, id) = root_of(fleet)?;
    let keys = RootKey::read_all(&revoke.root_key).map_err(wrong)?;
    let signers = signers(&document, &keys).map_err(wrong)?;
    let known = client.managers().await?;
    let good = known.iter().filter(|it| it.state == ManagerState::Good);
    let named = |it: &Manager| {
        revoke
            .managers
            .iter()
            .any(|text| *text == it.name || *text == it.id)
    };
    if good.into_iter().all(named) {
        return Err(wrong(
            "no manager would be left, and nobody could join any more: add another one first, by \
             `regatta invite --manager`",
        ));
    }
    for name in &revoke.managers {
        let subject = fleet
            .managers
            .iter()
            .find(|it| it.name == *name || it.id == *name);
        let Some(manager) = subject else {
            return Err(wrong(format!(
                "no manager is called {name}; `regatta get managers` lists them"
            )));
        };
        let mut verdict: Verdict = from_text(&manager.verdict).map_err(wrong)?;
        let is_meant = match verdict.subject {
            Subject::Holder { node, .. } => node.to_string() == manager.id,
            Subject::Invite(_) => false,
        };
        if !is_meant || verdict.ruling != Ruling::Stopped {
            return Err(wrong(format!(
                "what this node gave to sign does not stop {name}; use another manager"
            )));
        }
        verdict.reason = revoke.reason.clone().unwrap_or_default();
        let bytes = Bytes::from(codec::encode(&verdict));
        let signatures = signers.iter().map(|(key, signer)| KeySignature {
            key: *key,
            signature: signer.sign(Context::Statement, &id, &bytes),
        });
        let order = SignedOrder {
            root: document.number,
            signatures: signatures.collect(),
            bytes,
        };
        bring(&Statement::Order(order), None, client, console).await?;
    }
    Ok(Exit::ALL)
}

async fn change_keys(
    rotate: Rotate,
    fleet: &FleetInfo,
    client: &Client,
    console: &mut Console<'_>,
) -> Done {
    let (signed, document, id) = root_of(fleet)?;
    if document.keys.keys.len() != 1 {
        return Err(wrong("this version rotates roots with one key only"));
    }
    let now = RootKey::read(&rotate.root_key).map_err(wrong)?;
    signers(&document, std::slice::from_ref(&now)).map_err(wrong)?;
    let next = RootKey::read(&rotate.next_key).map_err(wrong)?;
    if KeySet::single(next.key.public()).commitment() != document.next {
        return Err(wrong(format!(
            "{} is not the key that the root committed to; it was made with the present one",
            rotate.next_key.display()
        )));
    }
    let after = SecretKey::generate(&mut machine::prng());
    let path = rotate.new_key.unwrap_or_else(|| {
        PathBuf::from(format!("{}-root-{}.key", fleet.name, document.number + 2))
    });
    let about = format!(
        "The key that follows the root key of the fleet '{}'.",
        fleet.name
    );
    RootKey::write(&path, &about, &after).map_err(wrong)?;
    let keeps: Result<Vec<Serial>, _> = fleet.keeps.iter().map(|it| it.parse()).collect();
    let keeps = keeps.map_err(wrong)?.into_iter().map(|it| it.0).collect();
    let keys = (&now.key, &next.key, &after);
    let at = Millis(fleet.reference_ms);
    let statement = rotation(&signed, &document, keys, keeps, (&id, at));
    bring(&statement, None, client, console).await?;
    console.say(&format!(
        "{} is the root key now; {} is the one after it, keep both off line and apart",
        rotate.next_key.display(),
        path.display()
    ));
    Ok(Exit::ALL)
}

#[cfg(test)]
mod tests {
    use regatta_protocol::crypto::seal::BoxKey;
    use regatta_protocol::crypto::sign::PublicKey;
    use regatta_protocol::ident::{Hash, NodeId};
    use regatta_protocol::trust::certificate::{NodeKeys, Window};

    use super::*;

    fn request(name: &str, number: u8, key: u8) -> ManagerRequest {
        let certificate = Certificate {
            issuer: Issuer::Root(1),
            node: NodeId([number; 16]),
            name: Name::new(name).expect("a name"),
            rank: Rank::Manager,
            keys: NodeKeys {
                sign: PublicKey(Hash([key; 32])),
                seal: BoxKey(Hash([key; 32])),
            },
            labels: Labels::none(),
            grants: Vec::new(),
            window: Window {
                from: Millis(1),
                to: Millis(2),
            },
        };
        ManagerRequest {
            name: name.to_owned(),
            id: certificate.node.to_string(),
            request: to_text(&certificate),
            asked: moment(1),
        }
    }

    #[test]
    fn of_two_requests_for_one_name_or_node_only_the_serial_tells() {
        let waiting = [
            request("m2", 2, 20),
            request("m2", 9, 90),
            request("m3", 3, 30),
            request("m4", 4, 40),
            request("m5", 4, 50),
        ];
        let found = |asked: &str| asked_for(&waiting, asked);
        for asked in ["m2", "m4", waiting[0].id.as_str(), waiting[4].id.as_str()] {
            assert!(found(asked).is_err(), "{asked}");
        }
        for meant in &waiting {
            let by_serial = serial(meant).expect("a certificate");
            assert_eq!(found(&by_serial).expect("one"), Some(meant));
        }
        assert_eq!(found("m3").expect("one"), Some(&waiting[2]));
        assert_eq!(found("m6").expect("none"), None);
    }
}
