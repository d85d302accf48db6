//! A link: what two members have with each other, over one session after another.
//!
//! One task for each. Its loop stands on one closed list of what can wake it. While a session hands
//! over to the next there are two: what is sent goes to the newer one, what is read comes from the
//! older one until its `Last`, so no message is lost and none overtakes another.

mod beat;
mod deliver;

use std::collections::VecDeque;
use std::time::Duration;

use regatta_protocol::crypto::channel::{CloseReason, Effect, Event};
use regatta_protocol::ident::NodeId;
use regatta_protocol::machine::Machine;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use self::beat::{Beat, Due};
use self::deliver::Inbox;
use crate::network::limits::{ADMISSION, HANDOVER, NetworkLimits};
use crate::network::session::{Clock, Session};
use crate::network::wire::WireError;
use crate::network::word::{Farewell, PIECE_BYTES_MAX, Word};
use crate::network::{DownReason, NetworkEvent};

/// How long a last word may take to get out.
const FAREWELL: Duration = Duration::from_secs(1);

/// A message for the peer, with its places in the queues.
pub(super) struct Outgoing {
    pub(super) tag: u8,
    pub(super) bytes: Vec<u8>,
    pub(super) _places: [OwnedSemaphorePermit; 2],
}

/// What the network tells a link.
pub(super) enum Order {
    /// Go on with this session.
    Follow(Box<Taken>),
    /// Measure the way there and back.
    Ping(oneshot::Sender<Duration>),
    /// Say farewell and end.
    Stop(DownReason),
}

/// A session that was chosen.
pub(super) struct Taken {
    pub(super) session: Session,
    /// The word that tells the peer so: `Commit` of the lower id, `Committed` of the higher.
    pub(super) commit: Commit,
    pub(super) rtt: Duration,
}

/// Who says that a session is taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum Commit {
    /// This side: after which session it comes.
    Ours { after: u32 },
    /// The peer; this side had begun so many sessions.
    Theirs { begun: u64 },
}

/// What a link tells the network.
pub(super) enum LinkNews {
    /// The peer has taken the session that we chose; it had begun so many by then.
    Settled {
        peer: NodeId,
        number: u32,
        begun: u64,
    },
    /// The session has done its time.
    RenewalDue { peer: NodeId },
    /// It is over, and its owner has been told.
    Ended { peer: NodeId },
}

/// What a link is given.
pub(super) struct Post {
    pub(super) peer: NodeId,
    pub(super) clock: Clock,
    pub(super) limits: NetworkLimits,
    pub(super) outgoing: mpsc::Receiver<Outgoing>,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    pub(super) events: mpsc::Sender<NetworkEvent>,
    pub(super) words: mpsc::UnboundedSender<LinkNews>,
}

struct Link {
    post: Post,
    sessions: VecDeque<Session>,
    beat: Beat,
    inbox: Inbox,
    /// Until the peer has taken the session that we chose; nothing of ours is sent before.
    unsettled: Option<Instant>,
    /// Until the older of two sessions is done.
    handover: Option<Instant>,
    pings: Vec<oneshot::Sender<Duration>>,
    rtt: Duration,
}

/// Everything that can wake a link.
enum Woken {
    Frame(Result<Vec<u8>, WireError>),
    Written(std::io::Result<()>),
    Outgoing(Option<Outgoing>),
    Order(Option<Order>),
    Delivered(bool),
    Time,
}

/// Keeps a link up, until it is down.
pub(super) async fn keep(post: Post, taken: Taken) {
    let now = Instant::now();
    let mut link = Link {
        beat: Beat::new(post.limits.ping_every, post.limits.pings_missed_max, now),
        inbox: Inbox::new(post.peer),
        sessions: VecDeque::new(),
        unsettled: None,
        handover: None,
        pings: Vec::new(),
        rtt: taken.rtt,
        post,
    };
    let reason = match link.begin(taken) {
        Ok(()) => link.run().await,
        Err(reason) => reason,
    };
    link.end(reason).await;
}

impl Link {
    fn begin(&mut self, taken: Taken) -> Result<(), DownReason> {
        let Taken {
            mut session,
            commit,
            ..
        } = taken;
        let now = self.post.clock.now();
        let mut out = Vec::new();
        if let Some(old) = self.sessions.back_mut() {
            old.say(now, &Word::Last, &mut out)
                .map_err(|_| DownReason::Lost)?;
            old.said_last = true;
            self.handover = Some(Instant::now() + HANDOVER);
        }
        let word = match commit {
            Commit::Ours { after } => {
                self.unsettled = Some(Instant::now() + ADMISSION);
                let number = session.number;
                Word::Commit { number, after }
            }
            Commit::Theirs { begun } => Word::Committed { begun },
        };
        session
            .say(now, &word, &mut out)
            .map_err(|_| DownReason::Lost)?;
        self.sessions.push_back(session);
        if matches!(commit, Commit::Theirs { .. }) {
            self.is_up();
        }
        self.follow(out)
    }

    /// Says that the newest session is in use, where that is news.
    fn is_up(&mut self) {
        if let Some(session) = self.sessions.back() {
            self.inbox.up(session.route.path.clone(), self.rtt);
        }
    }

    async fn run(&mut self) -> DownReason {
        loop {
            let woken = self.sleep().await;
            if let Err(reason) = self.wake(woken) {
                return reason;
            }
        }
    }

    async fn sleep(&mut self) -> Woken {
        let wake_at = self.wake_at();
        let settled = self.unsettled.is_none();
        let mut sessions = self.sessions.iter_mut();
        let (first, second) = (sessions.next(), sessions.next());
        let Some(first) = first else {
            return Woken::Order(Some(Order::Stop(DownReason::Lost)));
        };
        let reads = !first.heard_last && self.inbox.has_room();
        let Session { reader, writer, .. } = first;
        let writer = match second {
            Some(second) if writer.is_empty() => &mut second.writer,
            _ => writer,
        };
        let writes = !writer.is_empty();
        let Post {
            outgoing,
            orders,
            events,
            ..
        } = &mut self.post;
        tokio::select! {
            order = orders.recv() => Woken::Order(order),
            frame = reader.next(), if reads => Woken::Frame(frame),
            written = writer.flush(), if writes => Woken::Written(written),
            delivered = self.inbox.deliver(events) => Woken::Delivered(delivered),
            message = outgoing.recv(), if settled && !writes => Woken::Outgoing(message),
            () = sleep_until(wake_at) => Woken::Time,
        }
    }

    fn wake_at(&self) -> Instant {
        let machines = self.sessions.iter();
        let machines = machines.filter_map(|session| session.channel.wake_at());
        let machines = machines.map(|at| self.post.clock.instant(at));
        let own = [Some(self.beat.at()), self.unsettled, self.handover];
        let all = machines.chain(own.into_iter().flatten());
        all.min().unwrap_or_else(|| self.beat.at())
    }

    fn wake(&mut self, woken: Woken) -> Result<(), DownReason> {
        match woken {
            Woken::Frame(Ok(frame)) => self.frame(&frame),
            Woken::Frame(Err(WireError::Length(_))) => Err(DownReason::Malformed),
            Woken::Frame(Err(WireError::Io(_) | WireError::Ended)) | Woken::Written(Err(_)) => {
                Err(DownReason::Lost)
            }
            Woken::Written(Ok(())) => {
                self.retire();
                Ok(())
            }
            Woken::Outgoing(Some(message)) => self.send(&message),
            Woken::Order(Some(Order::Follow(taken))) => {
                self.rtt = taken.rtt;
                self.begin(*taken)
            }
            Woken::Order(Some(Order::Ping(answer))) => {
                self.pings.retain(|ping| !ping.is_closed());
                self.pings.push(answer);
                let mark = self.beat.ask(Instant::now());
                self.say(&Word::Ping(mark))
            }
            Woken::Order(Some(Order::Stop(reason))) => Err(reason),
            Woken::Outgoing(None) | Woken::Order(None) | Woken::Delivered(false) => {
                Err(DownReason::HungUp)
            }
            Woken::Delivered(true) => Ok(()),
            Woken::Time => self.time(),
        }
    }

    fn time(&mut self) -> Result<(), DownReason> {
        let now = Instant::now();
        let late = [self.unsettled, self.handover];
        if late.into_iter().flatten().any(|deadline| now >= deadline) {
            return Err(DownReason::Silent);
        }
        let mut out = Vec::new();
        for session in &mut self.sessions {
            let time = self.post.clock.now();
            if session.channel.wake_at().is_some_and(|at| time >= at) {
                let from = out.len();
                session.channel.handle(time, Event::Wake, &mut out);
                session.queue(from, &mut out);
            }
        }
        self.follow(out)?;
        match self.beat.due(now) {
            Due::Nothing => Ok(()),
            Due::Ask(mark) => self.say(&Word::Ping(mark)),
            Due::GiveUp => Err(DownReason::Silent),
        }
    }

    fn send(&mut self, message: &Outgoing) -> Result<(), DownReason> {
        let tag = message.tag;
        let mut pieces = message.bytes.chunks(PIECE_BYTES_MAX).peekable();
        if pieces.peek().is_none() {
            return self.say(&Word::End { tag, piece: &[] });
        }
        while let Some(piece) = pieces.next() {
            let word = match pieces.peek() {
                Some(_) => Word::Piece { tag, piece },
                None => Word::End { tag, piece },
            };
            self.say(&word)?;
        }
        Ok(())
    }

    /// Says a word on the newest session.
    fn say(&mut self, word: &Word<'_>) -> Result<(), DownReason> {
        let now = self.post.clock.now();
        let mut out = Vec::new();
        let session = self.sessions.back_mut().ok_or(DownReason::Lost)?;
        session
            .say(now, word, &mut out)
            .map_err(|_| DownReason::Lost)?;
        self.follow(out)
    }

    fn frame(&mut self, frame: &[u8]) -> Result<(), DownReason> {
        let now = self.post.clock.now();
        let mut out = Vec::new();
        let session = self.sessions.front_mut().ok_or(DownReason::Lost)?;
        session.take(now, frame, &mut out);
        self.beat.heard(Instant::now());
        self.follow(out)
    }

    /// Does what the machines asked for besides sending.
    fn follow(&mut self, effects: Vec<Effect>) -> Result<(), DownReason> {
        for effect in effects {
            match effect {
                Effect::Message(bytes) => self.word(&bytes)?,
                Effect::RekeyDone { direction, epoch } => self.inbox.key(direction, epoch),
                Effect::RenewalDue => self.tell(LinkNews::RenewalDue {
                    peer: self.post.peer,
                }),
                Effect::Closed {
                    reason: CloseReason::Asked,
                } => return Err(DownReason::HungUp),
                Effect::Closed { reason } => return Err(DownReason::Session(reason)),
                // A frame that does not open in an open channel: the peer did not seal it.
                Effect::Opened { .. } | Effect::Early { .. } | Effect::EarlyRefused { .. } => {
                    return Err(DownReason::Malformed);
                }
                Effect::Send(_) | Effect::Refused(_) => {}
            }
        }
        Ok(())
    }

    fn tell(&self, word: LinkNews) {
        // The network is gone only when this task is about to be.
        let _ = self.post.words.send(word);
    }

    fn word(&mut self, bytes: &[u8]) -> Result<(), DownReason> {
        let now = Instant::now();
        match Word::read(bytes) {
            Some(Word::Piece { tag, piece }) if self.unsettled_reading() => {
                self.inbox.piece(tag, piece, false)
            }
            Some(Word::End { tag, piece }) if self.unsettled_reading() => {
                self.inbox.piece(tag, piece, true)
            }
            Some(Word::Ping(mark)) => self.say(&Word::Pong(mark)),
            Some(Word::Pong(mark)) => {
                if let Some(rtt) = self.beat.answered(mark, now) {
                    self.rtt = rtt;
                    for ping in self.pings.drain(..) {
                        let _ = ping.send(rtt);
                    }
                }
                Ok(())
            }
            Some(Word::Committed { begun }) if self.sessions.len() == 1 => {
                let expected = self.unsettled.take();
                expected.ok_or(DownReason::Malformed)?;
                let number = self.sessions.front().map_or(0, |session| session.number);
                let peer = self.post.peer;
                self.is_up();
                self.tell(LinkNews::Settled {
                    peer,
                    number,
                    begun,
                });
                Ok(())
            }
            Some(Word::Last) => {
                if let Some(session) = self.sessions.front_mut() {
                    session.heard_last = true;
                }
                // The session that follows may not have been handed over yet.
                let deadline = now + HANDOVER;
                self.handover.get_or_insert(deadline);
                self.retire();
                Ok(())
            }
            Some(Word::Bye(Farewell::HungUp | Farewell::Duplicate)) => Err(DownReason::PeerHungUp),
            Some(Word::Bye(Farewell::Refused)) => Err(DownReason::Refused),
            Some(Word::Bye(Farewell::Malformed)) => Err(DownReason::Lost),
            _ => Err(DownReason::Malformed),
        }
    }

    /// Whether messages may come on the session that is read: the older one of two, or a settled one.
    fn unsettled_reading(&self) -> bool {
        self.sessions.len() > 1 || self.unsettled.is_none()
    }

    /// Lets go of a session that has handed over in both directions.
    fn retire(&mut self) {
        let done = self.sessions.front().is_some_and(|session| {
            session.heard_last && session.said_last && session.writer.is_empty()
        });
        if done && self.sessions.len() > 1 {
            self.sessions.pop_front();
            self.handover = None;
        }
    }

    async fn end(mut self, reason: DownReason) {
        let farewell = match reason {
            DownReason::HungUp | DownReason::Replaced => Some(Farewell::HungUp),
            DownReason::Refused => Some(Farewell::Refused),
            DownReason::Malformed => Some(Farewell::Malformed),
            DownReason::PeerHungUp
            | DownReason::Lost
            | DownReason::Silent
            | DownReason::NotDraining
            | DownReason::Session(_) => None,
        };
        if let Some(farewell) = farewell
            && self.say(&Word::Bye(farewell)).is_ok()
        {
            for session in &mut self.sessions {
                let _ = timeout(FAREWELL, session.writer.close()).await;
            }
        }
        let peer = self.post.peer;
        tracing::debug!(%peer, %reason, "link is down");
        self.sessions.clear();
        self.inbox.close(&self.post.events, reason).await;
        self.tell(LinkNews::Ended { peer });
    }
}
