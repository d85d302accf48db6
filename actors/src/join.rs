//! The joiner's side: hands in a request, holds the answer against the root that the invite pins, and
//! meets its future home managers. No store and no crew yet: what comes of it is for its caller to keep.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorRef};
use regatta_protocol::codec::{self, Bytes, Name};
use regatta_protocol::contacts::SignedContact;
use regatta_protocol::crypto::sign::{Ed25519, Verify};
use regatta_protocol::ident::{FleetId, NodeId, Serial};
use regatta_protocol::ledger::holdings::Holdings;
use regatta_protocol::limits::HOMES_MAX;
use regatta_protocol::machine::Millis;
use regatta_protocol::membership::homes::weight;
use regatta_protocol::prng::Prng;
use regatta_protocol::trust::certificate::{Certificate, NodeKeys};
use regatta_protocol::trust::invite::answer::JoinAnswer;
use regatta_protocol::trust::invite::join::{PinError, SignedJoin};
use regatta_protocol::trust::invite::token::Token;
use regatta_protocol::trust::papers;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::crew::Reach;
use crate::identity::{NodeIdentity, NodeSecrets, Papers};
use crate::membership::Met;
use crate::network::{
    Address, Admission, Contact, JoinError, NetworkActor, NetworkArguments, NetworkEvent,
    NetworkMessage, Path,
};

/// How long a joiner waits for its homes to answer; it is a member without it.
const MEETING: Duration = Duration::from_secs(5);
/// The first pause before it asks again; it doubles.
const ASK_AGAIN: Duration = Duration::from_millis(500);
const ASK_AGAIN_MAX: Duration = Duration::from_secs(5);
const EVENTS_MAX: usize = 64;

/// What a joiner brings.
pub struct JoinArguments {
    /// Its invite.
    pub token: Token,
    /// What it wants to be called.
    pub name: Name,
    /// Its new keys.
    pub secrets: Arc<NodeSecrets>,
    /// How it reaches others.
    pub reach: Reach,
    /// What its clock shows.
    pub wall: Millis,
    /// Randomness.
    pub prng: Prng,
}

/// A new member.
#[derive(Debug)]
pub struct NewMember {
    /// Who it is.
    pub identity: NodeIdentity,
    /// What it is.
    pub certificate: Certificate,
    /// The fleet's name.
    pub fleet_name: Name,
    /// Where managers are.
    pub contacts: Vec<SignedContact>,
    /// The manager that let it in.
    pub met: Option<Met>,
}

/// What came of asking.
#[derive(Debug)]
pub enum Asked {
    /// It is a member.
    Joined(Box<NewMember>),
    /// The root has to sign its certificate first.
    Waits {
        /// What it will be called.
        name: Name,
        /// The certificate that waits.
        serial: Serial,
    },
}

/// Why a node did not join.
#[derive(Debug, Error)]
pub enum AskError {
    /// The token does not hold what it should.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// Nobody answered.
    #[error("{0}; is a manager reachable from here at {1}?")]
    Unreachable(JoinError, String),
    /// The manager said no.
    #[error("{0}")]
    Refused(String),
    /// What answered is no answer.
    #[error("the node that answers speaks another version: {0}")]
    Strange(String),
    /// The network did not start.
    #[error("{0}")]
    Network(String),
}

/// A home manager that answered.
#[derive(Clone, Debug)]
pub struct Home {
    /// What it is called.
    pub name: Name,
    /// How it was reached.
    pub path: Path,
    /// The way there and back.
    pub rtt: Duration,
}

async fn network(
    fleet: FleetId,
    node: NodeId,
    greeting: Bytes,
    secrets: &NodeSecrets,
    reach: &Reach,
    prng: &mut Prng,
) -> Result<(ActorRef<NetworkMessage>, mpsc::Receiver<NetworkEvent>), AskError> {
    let (events, told) = mpsc::channel(EVENTS_MAX);
    let mut settings = reach.settings.clone();
    // It only dials out.
    (settings.listen, settings.lan, settings.relay) = (Vec::new(), false, false);
    let arguments = NetworkArguments {
        fleet,
        node,
        keys: secrets.for_network(),
        greeting,
        transport: reach.transport.clone(),
        settings,
        limits: reach.limits,
        prng: prng.branch(),
        events,
    };
    let spawned = Actor::spawn(None, NetworkActor, arguments).await;
    let (actor, _) = spawned.map_err(|error| AskError::Network(error.to_string()))?;
    Ok((actor, told))
}

/// What a joiner may tell its operator while it waits.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Nobody answered, or the one who did is busy: it asks again.
    AsksAgain(&'a AskError),
    /// The root has to sign first: it asks again.
    WaitsForRoot {
        /// What it will be called.
        name: &'a Name,
        /// The certificate that waits.
        serial: Serial,
    },
}

/// Asks until it is let in, refused, or out of patience.
///
/// # Errors
/// Why the node is no member.
pub async fn join(
    arguments: &mut JoinArguments,
    patience: Duration,
    mut tell: impl FnMut(Progress<'_>),
) -> Result<Asked, AskError> {
    let until = Instant::now() + patience;
    let mut pause = ASK_AGAIN;
    loop {
        let asked = ask_to_join(arguments).await;
        let tired = Instant::now() + pause >= until;
        match asked {
            Ok(Asked::Waits { name, serial }) if !tired => {
                let name = &name;
                tell(Progress::WaitsForRoot { name, serial });
            }
            Err(error @ AskError::Unreachable(..)) if !tired => tell(Progress::AsksAgain(&error)),
            asked => return asked,
        }
        sleep(pause).await;
        pause = (2 * pause).min(ASK_AGAIN_MAX);
    }
}

/// Asks once to be let in.
///
/// # Errors
/// Why the node is no member.
pub async fn ask_to_join(arguments: &mut JoinArguments) -> Result<Asked, AskError> {
    let JoinArguments {
        token,
        name,
        secrets,
        reach,
        wall,
        prng,
    } = arguments;
    let fleet = token.pinned(*wall).map_err(PinError::from)?;
    let keys = secrets.public();
    let request = SignedJoin::ask(token, name.clone(), keys, &secrets.sign)
        .map_err(|error| AskError::Strange(error.to_string()))?;
    let addresses: Vec<Address> = token
        .addresses
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    let node = NodeId(prng.bytes());
    let (network, mut told) = network(fleet, node, Bytes::default(), secrets, reach, prng).await?;
    // Nothing that it tells matters here, and it tells no faster than it is heard.
    let hearing = tokio::spawn(async move { while told.recv().await.is_some() {} });
    let (answer, answered) = oneshot::channel();
    let join = NetworkMessage::Join {
        addresses: addresses.clone(),
        bytes: codec::encode(&request).into(),
        answer,
    };
    let sent = network.cast(join);
    let said = answered.await;
    network.stop(None);
    hearing.abort();
    sent.map_err(|error| AskError::Network(error.to_string()))?;
    let said = said.map_err(|_| AskError::Network("the network ended".to_owned()))?;
    let said = said.map_err(|error| AskError::Unreachable(error, token.addresses.join(", ")))?;
    let said: JoinAnswer =
        codec::decode(&said).map_err(|error| AskError::Strange(error.to_string()))?;
    let welcome = match said {
        JoinAnswer::Admitted(welcome) => welcome,
        JoinAnswer::Waits { name, serial } => return Ok(Asked::Waits { name, serial }),
        JoinAnswer::Refused(why) => return Err(AskError::Refused(why)),
    };
    let verify: Arc<dyn Verify> = Arc::new(Ed25519);
    let joined = welcome.accept(token, *wall, &keys, verify)?;
    let met = Met {
        node: joined.by.node,
        keys: joined.by.keys,
        addresses,
    };
    Ok(Asked::Joined(Box::new(NewMember {
        identity: NodeIdentity {
            fleet,
            root: welcome.root,
            statements: welcome.statements,
            certificate: welcome.certificate,
            secrets: Arc::clone(secrets),
        },
        certificate: joined.certificate,
        fleet_name: joined.record.roots().current().name.clone(),
        contacts: welcome.contacts,
        met: Some(met),
    })))
}

/// Meets the managers that the new member prefers as homes, and measures the way to them. Gives those
/// that answered, best first.
///
/// # Errors
/// When the network does not start.
pub async fn meet_homes(
    member: &NewMember,
    reach: &Reach,
    wall: Millis,
    prng: &mut Prng,
) -> Result<Vec<Home>, AskError> {
    let identity = &member.identity;
    let own = Papers::read(identity.certificate.clone(), &identity.secrets)
        .map_err(|error| AskError::Strange(error.to_string()))?;
    let mut holdings = identity
        .holdings()
        .map_err(|error| AskError::Pin(error.into()))?;
    holdings.settle(wall);
    let mut managers = contacts(member, &holdings);
    managers.sort_by_key(|contact| std::cmp::Reverse(weight(&own.node(), &contact.peer)));
    managers.truncate(HOMES_MAX);
    let greeting = own.greeting();
    let (network, mut told) = network(
        identity.fleet,
        own.node(),
        greeting,
        &identity.secrets,
        reach,
        prng,
    )
    .await?;
    let mut expected = managers.len();
    for contact in managers {
        // One that ended tells nothing, and the wait below ends at once.
        let _ = network.cast(NetworkMessage::Dial(contact));
    }
    let mut homes = Vec::new();
    // Who answers later than that is met when the node is started.
    let _ = timeout(MEETING, async {
        while expected > 0 {
            match told.recv().await {
                Some(NetworkEvent::Greeted(greeted)) => {
                    let shown = papers::Shown {
                        node: greeted.peer,
                        keys: NodeKeys {
                            sign: greeted.sign_key,
                            seal: greeted.seal_key,
                        },
                    };
                    let member =
                        papers::recognise_greeting(&holdings, &shown, &greeted.greeting, wall);
                    let said = match member {
                        Ok(_) => Admission::Admit,
                        Err(_) => Admission::Refuse,
                    };
                    // Whoever broke off needs no answer.
                    let _ = greeted.answer.send(said);
                }
                Some(NetworkEvent::Up { peer, path, rtt }) => {
                    expected -= 1;
                    let mut managers = holdings.record().managers().values();
                    if let Some(manager) = managers.find(|it| it.node == peer) {
                        let name = manager.name.clone();
                        homes.push(Home { name, path, rtt });
                    }
                }
                Some(NetworkEvent::DialFailed { .. }) => expected -= 1,
                Some(_) => {}
                None => return,
            }
        }
    })
    .await;
    network.stop(None);
    homes.sort_by_key(|home| home.rtt);
    Ok(homes)
}

/// Managers with their addresses: as they said themselves, and as the one was reached that let it in.
fn contacts(member: &NewMember, holdings: &Holdings) -> Vec<Contact> {
    let mut contacts: Vec<Contact> = Vec::new();
    for signed in &member.contacts {
        let Some(said) = signed.open(&member.identity.fleet, &Ed25519) else {
            continue;
        };
        let mut managers = holdings.record().managers().values();
        if managers.any(|it| it.node == said.node && it.keys == said.keys) {
            contacts.push(Contact {
                peer: said.node,
                sign_key: said.keys.sign,
                seal_key: Some(said.keys.seal),
                addresses: said
                    .addresses
                    .iter()
                    .filter_map(|it| it.parse().ok())
                    .collect(),
                early: Vec::new(),
            });
        }
    }
    if let Some(met) = &member.met {
        match contacts.iter_mut().find(|it| it.peer == met.node) {
            Some(contact) => contact.addresses.extend(met.addresses.iter().cloned()),
            None => contacts.push(Contact {
                peer: met.node,
                sign_key: met.keys.sign,
                seal_key: Some(met.keys.seal),
                addresses: met.addresses.clone(),
                early: Vec::new(),
            }),
        }
    }
    contacts
}
