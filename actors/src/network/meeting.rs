//! Two nodes meet: handshake, greeting, admission by both owners, and the lower id's word.
//!
//! Nothing of the owner's crosses before the end of this. Each meeting is a task of its own and ends
//! in one of two ways: `Ready`, with a session that both sides have admitted, or `Failed`.

use std::collections::VecDeque;
use std::time::Duration;

use regatta_protocol::codec::Bytes;
use regatta_protocol::crypto::channel::{CloseReason, Early, Effect};
use regatta_protocol::crypto::seal::BoxKey;
use regatta_protocol::ident::NodeId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::network::session::{Clock, Session};
use crate::network::wire::WireError;
use crate::network::word::{Farewell, Standing, Word};
use crate::network::{Admission, DialError};

/// How long a last word may take to get out.
const FAREWELL: Duration = Duration::from_secs(1);

/// Names a meeting, for as long as this network runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MeetingId(pub(super) u64);

/// Why this meeting is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// They have no session, as far as this side knows.
    Contact,
    /// The session has done its time.
    Renewal,
    /// There is a better path.
    Path,
}

/// What is known of a meeting from its beginning.
#[derive(Clone, Debug)]
pub(super) struct Agenda {
    pub(super) id: MeetingId,
    pub(super) peer: NodeId,
    /// Whether this node began it.
    pub(super) began_here: bool,
    pub(super) cause: Cause,
    /// What this side will say of itself.
    pub(super) standing: Standing,
    /// Whether the peer's id is above ours, so that our word decides.
    pub(super) decides: bool,
    pub(super) until: Instant,
}

/// What a meeting tells the network.
pub(super) enum Minutes {
    /// The first message of a member that we know carried requests.
    Early { id: MeetingId, requests: Vec<Early> },
    /// The peer has shown its key and greeting.
    Greeted {
        id: MeetingId,
        seal_key: BoxKey,
        greeting: Bytes,
        answer: oneshot::Sender<Admission>,
    },
    /// Both have admitted each other.
    Ready(Box<Ready>),
    /// It came to nothing.
    Failed { id: MeetingId, failure: Failure },
}

/// A session that both have admitted.
pub(super) struct Ready {
    pub(super) agenda: Agenda,
    pub(super) session: Session,
    /// What the peer said of itself.
    pub(super) theirs: Standing,
    /// Where the peer decides: number and predecessor.
    pub(super) commit: Option<(u32, u32)>,
    pub(super) rtt: Duration,
}

/// Why a meeting came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// As the dialler is told.
    Dial(DialError),
    /// The peer has a session with us that stays.
    Duplicate,
    /// The peer sent what nobody may send.
    Malformed(&'static str),
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Length(_) => Self::Malformed("a frame of a length that none has"),
            WireError::Io(_) | WireError::Ended => Self::Dial(DialError::BrokenOff),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(_: std::io::Error) -> Self {
        Self::Dial(DialError::BrokenOff)
    }
}

/// What one frame brought.
enum Heard {
    Early(Vec<Early>),
    Opened(BoxKey, Bytes),
    Word(Bytes),
}

struct Meeting {
    agenda: Agenda,
    session: Session,
    heard: VecDeque<Heard>,
    clock: Clock,
    /// When something was last sent, and how long the answer took.
    asked: Instant,
    rtt: Duration,
}

/// Holds a meeting; `first` is what the channel asked for when it was made.
pub(super) async fn meet(
    agenda: Agenda,
    session: Session,
    first: Vec<Effect>,
    clock: Clock,
    minutes: mpsc::UnboundedSender<Minutes>,
) {
    let (id, until) = (agenda.id, agenda.until);
    let mut meeting = Meeting {
        agenda,
        session,
        heard: VecDeque::new(),
        clock,
        asked: Instant::now(),
        rtt: Duration::ZERO,
    };
    let held = timeout_at(until, meeting.hold(first, &minutes)).await;
    let held = held.unwrap_or(Err(Failure::Dial(DialError::BrokenOff)));
    let told = match held {
        Ok((theirs, commit)) => Minutes::Ready(Box::new(Ready {
            agenda: meeting.agenda,
            session: meeting.session,
            theirs,
            commit,
            rtt: meeting.rtt,
        })),
        Err(failure) => {
            // A refusal that was queued gets out, if the peer takes it.
            let _ = timeout(FAREWELL, meeting.session.writer.close()).await;
            Minutes::Failed { id, failure }
        }
    };
    // Nobody listens any more where the network ends meanwhile.
    let _ = minutes.send(told);
}

/// Ends a session that was admitted and is not taken.
pub(super) async fn part(mut session: Session, clock: Clock, farewell: Farewell) {
    let mut out = Vec::new();
    if session
        .say(clock.now(), &Word::Bye(farewell), &mut out)
        .is_ok()
    {
        let _ = timeout(FAREWELL, session.writer.close()).await;
    }
}

impl Meeting {
    async fn hold(
        &mut self,
        first: Vec<Effect>,
        minutes: &mpsc::UnboundedSender<Minutes>,
    ) -> Result<(Standing, Option<(u32, u32)>), Failure> {
        self.follow(first)?;
        let (seal_key, greeting) = loop {
            match self.next().await? {
                Heard::Opened(key, greeting) => break (key, greeting),
                Heard::Early(requests) => {
                    let id = self.agenda.id;
                    // Where nobody listens any more the next telling says so.
                    let _ = minutes.send(Minutes::Early { id, requests });
                }
                Heard::Word(_) => return Err(Failure::Malformed("a message before the handshake")),
            }
        };
        // The initiator's confirmation may still be in the queue.
        self.session.writer.flush().await?;
        let (answer, answered) = oneshot::channel();
        let id = self.agenda.id;
        let greeted = Minutes::Greeted {
            id,
            seal_key,
            greeting,
            answer,
        };
        let gone = Failure::Dial(DialError::HungUp);
        minutes.send(greeted).map_err(|_| gone)?;
        if answered.await != Ok(Admission::Admit) {
            self.say(&Word::Bye(Farewell::Refused))?;
            return Err(Failure::Dial(DialError::RefusedHere));
        }
        self.say(&Word::Admitted(self.agenda.standing))?;
        let theirs = self.word(|word| match word {
            Word::Admitted(theirs) => Some(theirs),
            _ => None,
        });
        let theirs = theirs.await?;
        if self.agenda.decides {
            return Ok((theirs, None));
        }
        let commit = self.word(|word| match word {
            Word::Commit { number, after } if number != 0 => Some((number, after)),
            _ => None,
        });
        Ok((theirs, Some(commit.await?)))
    }

    fn say(&mut self, word: &Word<'_>) -> Result<(), Failure> {
        let mut out = Vec::new();
        let said = self.session.say(self.clock.now(), word, &mut out);
        said.map_err(|_| Failure::Dial(DialError::BrokenOff))?;
        self.follow(out)
    }

    /// The one word that may come now.
    async fn word<T>(&mut self, wanted: impl Fn(Word<'_>) -> Option<T>) -> Result<T, Failure> {
        let Heard::Word(bytes) = self.next().await? else {
            return Err(Failure::Malformed("a second handshake in one session"));
        };
        match Word::read(&bytes) {
            Some(Word::Bye(Farewell::Duplicate)) => Err(Failure::Duplicate),
            Some(Word::Bye(Farewell::Refused)) => Err(Failure::Dial(DialError::RefusedThere)),
            Some(Word::Bye(_)) => Err(Failure::Dial(DialError::BrokenOff)),
            Some(word) => wanted(word).ok_or(Failure::Malformed("a message before its time")),
            None => Err(Failure::Malformed("a frame that says nothing")),
        }
    }

    async fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Ok(heard);
            }
            if !self.session.writer.is_empty() {
                // Who refuses this node says so and goes: its word is read though ours finds nobody.
                let _ = self.session.writer.flush().await;
                self.asked = Instant::now();
            }
            let frame = self.session.reader.next().await?;
            self.rtt = self.asked.elapsed();
            let mut out = Vec::new();
            self.session.take(self.clock.now(), &frame, &mut out);
            self.follow(out)?;
        }
    }

    fn follow(&mut self, effects: Vec<Effect>) -> Result<(), Failure> {
        for effect in effects {
            match effect {
                Effect::Send(frame) => self.session.writer.push(&frame),
                Effect::Opened {
                    remote, greeting, ..
                } => self.heard.push_back(Heard::Opened(remote, greeting)),
                Effect::Message(bytes) => self.heard.push_back(Heard::Word(bytes)),
                Effect::Closed { reason } => {
                    return Err(Failure::Dial(DialError::Handshake(reason)));
                }
                Effect::Early { requests, .. } => self.heard.push_back(Heard::Early(requests)),
                Effect::EarlyRefused { .. }
                | Effect::RekeyDone { .. }
                | Effect::RenewalDue
                | Effect::Refused(_) => {}
            }
        }
        Ok(())
    }
}

/// Whether the peer could not read an `IK` and is to be met as at a first contact.
pub(super) fn is_refused_key(failure: &Failure) -> bool {
    *failure == Failure::Dial(DialError::Handshake(CloseReason::Refused))
}
