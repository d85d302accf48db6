//! Meetings: begun on a stream that we opened, or on one that somebody opened to us.

use futures::AsyncReadExt;
use libp2p::swarm::ConnectionId;
use regatta_protocol::crypto::channel::{Channel, ChannelError, CloseReason, Effect, Parties};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::ident::NodeId;
use tokio::time::{Instant, timeout};

use super::Engine;
use super::joins::Caller;
use super::state::{Asked, MeetingFacts, give, report};
use crate::network::limits::{ADMISSION, MEETINGS_PER_CONNECTION_MAX, NEGOTIATION};
use crate::network::meeting::{Agenda, Cause, Failure, MeetingId, Minutes, is_refused_key, meet};
use crate::network::session::{Reader, Session, Writer, halves};
use crate::network::streams::{Class, PeerStream, StreamError};
use crate::network::wire::{HEADER_BYTES, WireError, header, read_header};
use crate::network::{Admission, DialError, DownReason, Greeted, NetworkEvent, identity};

impl Engine {
    /// What a ticket asked for is there, or is not.
    pub(super) fn opened(&mut self, asked: Asked, result: Result<PeerStream, StreamError>) {
        match (asked, result) {
            (
                Asked::Control {
                    peer,
                    connection,
                    cause,
                    seal_key,
                },
                Ok(stream),
            ) => self.approach(peer, connection, cause, seal_key, stream),
            (
                Asked::Control {
                    peer,
                    connection,
                    cause,
                    ..
                },
                Err(error),
            ) => {
                let reason = match error {
                    StreamError::NotOffered => DialError::OtherFleet,
                    error => DialError::Unreachable(error.to_string()),
                };
                self.not_met(peer, connection, cause, reason);
            }
            (Asked::Bulk { protocol, answer }, result) => {
                self.bulk_opened(protocol, answer, result);
            }
            (Asked::Join(joiner), result) => self.join_opened(*joiner, result),
        }
    }

    /// A meeting of ours did not come about.
    fn not_met(&mut self, peer: NodeId, connection: ConnectionId, cause: Cause, reason: DialError) {
        if cause == Cause::Renewal {
            tracing::warn!(%peer, %reason, "the session was not renewed; trying again in a minute");
            return self.renew_again(peer);
        }
        let strange = self.connections.map.get(&connection);
        if strange.is_some_and(|held| held.admitted.is_none()) {
            self.swarm.close_connection(connection);
        }
        self.dial_over(peer, connection, reason);
    }

    fn approach(
        &mut self,
        peer: NodeId,
        connection: ConnectionId,
        cause: Cause,
        seal_key: Option<BoxKey>,
        stream: PeerStream,
    ) {
        let at = self.peers.get_mut(&peer);
        let early = at.map(|at| std::mem::take(&mut at.early));
        let early = early.filter(|_| seal_key.is_some() && cause == Cause::Contact);
        let own = &mut self.own;
        let parties = Parties::control(own.fleet, own.node, peer, &own.secret, seal_key);
        let mut effects = Vec::new();
        let mut initiate = |early| {
            Channel::initiate(
                own.clock.now(),
                &parties,
                own.greeting.clone(),
                early,
                &mut own.chance.prng,
                &mut effects,
            )
        };
        let channel = initiate(early.unwrap_or_default()).or_else(|error| match error {
            ChannelError::Early(error) => {
                tracing::error!(%peer, %error, "requests cannot go with the first message");
                initiate(Vec::new())
            }
            error => Err(error),
        });
        let Ok(channel) = channel else {
            // A key for which everybody knows the shared secret: no node's.
            let reason = DialError::Handshake(CloseReason::Handshake);
            return self.not_met(peer, connection, cause, reason);
        };
        own.counters.begun += 1;
        let (reader, mut writer) = halves(stream);
        writer.push_raw(&header(own.node));
        let met = Met {
            peer,
            connection,
            cause,
            began_here: true,
            keyed: seal_key.is_some(),
        };
        self.connections.dialled.remove(&connection);
        self.hold(&met, channel, effects, reader, writer);
    }

    /// Somebody opened a stream to us.
    pub(super) fn called(&mut self, connection: ConnectionId, class: Class, stream: PeerStream) {
        let Some(held) = self.connections.map.get_mut(&connection) else {
            return;
        };
        match class {
            Class::Control => {
                // One more than these is dropped: a session, and the one that is to follow it.
                if held.meetings < MEETINGS_PER_CONNECTION_MAX {
                    held.meetings += 1;
                    let callers = self.tasks.callers.clone();
                    self.tasks.set.spawn(async move {
                        let knocked = timeout(NEGOTIATION, knock(stream)).await;
                        let caller = match knocked {
                            Ok(Ok((from, first, reader, writer))) => Caller::Knocked {
                                connection,
                                from,
                                first,
                                reader: Box::new(reader),
                                writer: Box::new(writer),
                            },
                            Ok(Err(what)) => Caller::Broken { connection, what },
                            Err(_) => Caller::Broken {
                                connection,
                                what: Some("nothing within 5 s of opening a control stream"),
                            },
                        };
                        report(&callers, caller);
                    });
                }
            }
            Class::Join => self.join_called(connection, stream),
            Class::Bulk => self.bulk_called(connection, stream),
        }
    }

    pub(super) fn knocked(
        &mut self,
        connection: ConnectionId,
        from: NodeId,
        first: &[u8],
        reader: Reader,
        writer: Writer,
    ) {
        if from == self.own.node {
            self.meeting_over(connection);
            return self.malformed(connection, "a header that bears this node's own id");
        }
        let key = self.acquaintance(from, connection);
        let own = &mut self.own;
        let parties = Parties::control(own.fleet, own.node, from, &own.secret, key);
        let mut effects = Vec::new();
        let channel = Channel::respond(
            own.clock.now(),
            &parties,
            own.greeting.clone(),
            first,
            &mut own.chance.window,
            &mut own.chance.prng,
            &mut effects,
        );
        let met = Met {
            peer: from,
            connection,
            cause: Cause::Contact,
            began_here: false,
            keyed: false,
        };
        self.meeting_over(connection);
        self.hold(&met, channel, effects, reader, writer);
    }

    fn hold(
        &mut self,
        met: &Met,
        channel: Channel,
        effects: Vec<Effect>,
        reader: Reader,
        writer: Writer,
    ) {
        let Some(held) = self.connections.map.get_mut(&met.connection) else {
            return;
        };
        held.meetings += 1;
        let until = match held.admitted {
            None if !met.began_here => held.since + ADMISSION,
            _ => Instant::now() + ADMISSION,
        };
        self.own.counters.meetings += 1;
        let link = self.peers.get(&met.peer).and_then(|at| at.link.as_ref());
        let holds = link.filter(|link| !link.ending);
        let holds = holds.map_or(0, |link| link.present.number);
        let agenda = Agenda {
            id: MeetingId(self.own.counters.meetings),
            peer: met.peer,
            began_here: met.began_here,
            cause: met.cause,
            standing: self.own.standing(holds),
            decides: self.own.node < met.peer,
            until,
        };
        let session = Session::new(held.route.clone(), channel, reader, writer);
        let facts = MeetingFacts {
            agenda: agenda.clone(),
            route: held.route.clone(),
            peer_id: held.peer_id,
            keyed: met.keyed,
        };
        self.meetings.insert(facts.id(), facts);
        let (clock, minutes) = (self.own.clock, self.tasks.minutes.clone());
        self.tasks
            .set
            .spawn(meet(agenda, session, effects, clock, minutes));
    }

    /// A meeting on this connection is over, whatever came of it.
    pub(super) fn meeting_over(&mut self, connection: ConnectionId) {
        if let Some(held) = self.connections.map.get_mut(&connection) {
            held.meetings = held.meetings.saturating_sub(1);
        }
    }

    pub(super) fn minutes(&mut self, minutes: Minutes) {
        match minutes {
            Minutes::Greeted {
                id,
                seal_key,
                greeting,
                answer,
            } => {
                let Some(facts) = self.meetings.get(&id) else {
                    return;
                };
                let held = self.connections.map.get(&facts.route.connection);
                let admitted = held.and_then(|held| held.admitted);
                let Some(sign_key) = identity::sign_key(&facts.peer_id) else {
                    // An answer that is dropped is a refusal: no node has another kind of key.
                    give(answer, Admission::Refuse);
                    return;
                };
                let peer = facts.agenda.peer;
                self.outbox.push(NetworkEvent::Greeted(Box::new(Greeted {
                    peer,
                    sign_key,
                    seal_key,
                    greeting,
                    path: facts.route.path.clone(),
                    renewal: admitted == Some(peer),
                    answer,
                })));
            }
            Minutes::Early { id, requests } => {
                if let Some(facts) = self.meetings.get(&id) {
                    let peer = facts.agenda.peer;
                    self.outbox
                        .push_soft(NetworkEvent::Early { peer, requests });
                }
            }
            Minutes::Ready(ready) => {
                self.meetings.remove(&ready.agenda.id);
                self.meeting_over(ready.session.route.connection);
                self.ready(*ready);
            }
            Minutes::Failed { id, failure } => {
                if let Some(facts) = self.meetings.remove(&id) {
                    self.failed(&facts, &failure);
                }
            }
        }
    }

    fn failed(&mut self, facts: &MeetingFacts, failure: &Failure) {
        let (peer, connection) = (facts.agenda.peer, facts.route.connection);
        self.meeting_over(connection);
        tracing::debug!(%peer, ?failure, "a meeting came to nothing");
        if let Failure::Malformed(what) = failure {
            self.malformed(connection, what);
        }
        // The peer has another key than we know: meet it as at a first contact.
        if facts.agenda.began_here && facts.keyed && is_refused_key(failure) {
            let streams = &mut self.swarm.behaviour_mut().streams;
            let ticket = streams.open(facts.peer_id, connection, Class::Control);
            self.asked.insert(
                ticket,
                Asked::Control {
                    peer,
                    connection,
                    cause: facts.agenda.cause,
                    seal_key: None,
                },
            );
            return;
        }
        let refused = [DialError::RefusedHere, DialError::RefusedThere];
        let refused = refused.map(Failure::Dial).contains(failure);
        if *failure == Failure::Dial(DialError::RefusedHere) {
            let held = self.connections.acquainted.get(&peer);
            if held.is_some_and(|(peer_id, _)| *peer_id == facts.peer_id) {
                self.connections.acquainted.remove(&peer);
            }
        }
        let link = self.peers.get(&peer).and_then(|at| at.link.as_ref());
        // Only on the link's own connection: another's lie must not end what stands.
        if refused && link.is_some_and(|link| link.route.connection == connection) {
            return self.stop(peer, DownReason::Refused);
        }
        if facts.agenda.began_here {
            let reason = match failure {
                Failure::Dial(reason) => reason.clone(),
                Failure::Duplicate | Failure::Malformed(_) => DialError::BrokenOff,
            };
            self.not_met(peer, connection, facts.agenda.cause, reason);
        } else if refused {
            self.swarm.close_connection(connection);
        }
    }
}

/// Between whom, where and why.
struct Met {
    peer: NodeId,
    connection: ConnectionId,
    cause: Cause,
    began_here: bool,
    keyed: bool,
}

type Knock = (NodeId, Vec<u8>, Reader, Writer);

/// Reads who calls, and its first frame; the error says what it did wrong, where it did.
async fn knock(mut stream: PeerStream) -> Result<Knock, Option<&'static str>> {
    let mut bytes = [0; HEADER_BYTES];
    stream.read_exact(&mut bytes).await.map_err(|_| None)?;
    let from = read_header(&bytes).ok_or(Some("a header of another version"))?;
    let (mut reader, writer) = halves(stream);
    let first = reader.next().await.map_err(|error| match error {
        WireError::Length(_) => Some("a frame of a length that none has"),
        _ => None,
    })?;
    Ok((from, first, reader, writer))
}
