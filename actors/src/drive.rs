//! How an actor drives a machine: one timer for when it wants to be woken, and its effects in their
//! order, none of them before the store has kept what it promises.

mod keeper;
pub mod task;

use std::collections::VecDeque;

use ractor::{ActorRef, Message};
use regatta_protocol::machine::Millis;
use tokio::task::AbortHandle;

use crate::clock::Clock;
pub use crate::drive::keeper::{Keeper, Told};

/// The timer of one machine.
///
/// It may go off early, never late: whoever hears it asks the machine whether its time has come, and
/// sets the timer again.
#[derive(Debug, Default)]
pub struct Alarm {
    armed: Option<(Millis, AbortHandle)>,
}

impl Alarm {
    /// Has `actor` told by `message` when `at` has come, or earlier.
    pub fn set<M: Message>(
        &mut self,
        clock: &Clock,
        at: Option<Millis>,
        actor: &ActorRef<M>,
        message: impl FnOnce() -> M + Send + 'static,
    ) {
        let Some(at) = at else {
            return;
        };
        if self.armed.as_ref().is_some_and(|(armed, _)| *armed <= at) {
            return;
        }
        self.disarm();
        let wait = clock.until(at);
        let actor = actor.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            // An actor that is gone needs no waking.
            let _ = actor.send_message(message());
        });
        self.armed = Some((at, task.abort_handle()));
    }

    /// It went off.
    pub fn rang(&mut self) {
        self.armed = None;
    }

    fn disarm(&mut self) {
        if let Some((_, task)) = self.armed.take() {
            task.abort();
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// A number for each write that was given to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Debug)]
enum Waiting<E> {
    Write(Ticket),
    Effect(E),
}

/// Effects in their order. What stands behind a write waits until the store has kept it; writes
/// themselves go to the store at once, so that many of them share one sync.
#[derive(Debug)]
pub struct Outbox<E> {
    waiting: VecDeque<Waiting<E>>,
    written: u64,
}

impl<E> Default for Outbox<E> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            written: 0,
        }
    }
}

impl<E> Outbox<E> {
    /// Something was given to the store: what comes after this waits for it.
    pub fn wrote(&mut self) -> Ticket {
        self.written += 1;
        let ticket = Ticket(self.written);
        self.waiting.push_back(Waiting::Write(ticket));
        ticket
    }

    /// An effect: given back where it may be performed now.
    pub fn push(&mut self, effect: E) -> Option<E> {
        if self.waiting.is_empty() {
            return Some(effect);
        }
        self.waiting.push_back(Waiting::Effect(effect));
        None
    }

    /// The store has kept this, and with it all that it was given before: what may be performed now.
    pub fn kept(&mut self, ticket: Ticket) -> Vec<E> {
        let mut free = Vec::new();
        loop {
            match self.waiting.front() {
                Some(Waiting::Write(write)) if *write > ticket => break,
                None => break,
                Some(_) => {}
            }
            if let Some(Waiting::Effect(effect)) = self.waiting.pop_front() {
                free.push(effect);
            }
        }
        free
    }

    /// How many effects wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Alarm, Outbox};
    use crate::clock::Clock;
    use ractor::{Actor, ActorProcessingErr, ActorRef};
    use regatta_protocol::machine::Millis;
    use tokio::sync::mpsc;

    #[test]
    fn what_stands_behind_a_write_waits_for_it_and_for_no_later_one() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push("before"), Some("before"));
        let first = outbox.wrote();
        assert_eq!(outbox.push("a"), None);
        let second = outbox.wrote();
        assert_eq!(outbox.push("b"), None);
        assert_eq!(outbox.kept(first), ["a"]);
        assert_eq!(outbox.push("c"), None);
        assert_eq!(outbox.kept(second), ["b", "c"]);
        assert_eq!(outbox.push("after"), Some("after"));
    }

    #[test]
    fn a_later_word_of_the_store_stands_for_the_earlier_ones() {
        let mut outbox = Outbox::default();
        let first = outbox.wrote();
        outbox.push("a");
        let second = outbox.wrote();
        outbox.push("b");
        assert_eq!(outbox.kept(second), ["a", "b"]);
        assert_eq!(outbox.kept(first), [] as [&str; 0]);
        assert!(outbox.is_empty());
    }

    struct Listener;

    impl Actor for Listener {
        type Msg = u32;
        type State = mpsc::UnboundedSender<u32>;
        type Arguments = mpsc::UnboundedSender<u32>;

        async fn pre_start(
            &self,
            _: ActorRef<u32>,
            heard: Self::Arguments,
        ) -> Result<Self::State, ActorProcessingErr> {
            Ok(heard)
        }

        async fn handle(
            &self,
            _: ActorRef<u32>,
            message: u32,
            heard: &mut Self::State,
        ) -> Result<(), ActorProcessingErr> {
            heard.send(message)?;
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_time_that_was_set_rings_once() {
        let (sender, mut heard) = mpsc::unbounded_channel();
        let (actor, _) = Actor::spawn(None, Listener, sender)
            .await
            .expect("an actor");
        let clock = Clock::system();
        let mut alarm = Alarm::default();
        alarm.set(&clock, Some(Millis(5_000)), &actor, || 5);
        alarm.set(&clock, Some(Millis(9_000)), &actor, || 9);
        alarm.set(&clock, None, &actor, || 0);
        alarm.set(&clock, Some(Millis(2_000)), &actor, || 2);
        assert_eq!(heard.recv().await, Some(2));
        assert_eq!(clock.now(), Millis(2_000));
        alarm.rang();
        alarm.set(&clock, Some(Millis(3_000)), &actor, || 3);
        assert_eq!(heard.recv().await, Some(3));
        drop(alarm);
        actor.stop(None);
        assert_eq!(heard.recv().await, None, "nothing else rings");
    }
}
