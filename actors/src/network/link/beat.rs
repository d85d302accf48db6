//! When to ask a silent peer for a word, and when to give it up.

use std::time::Duration;

use tokio::time::Instant;

/// What is to be done about a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// Ask; the answer bears this mark.
    Ask(u64),
    /// Give it up.
    GiveUp,
}

/// The pulse of one link. Anything that is heard counts, so a link that is used is never asked.
#[derive(Clone, Debug)]
pub(super) struct Beat {
    every: Duration,
    missed_max: u32,
    heard: Instant,
    missed: u32,
    asked: Option<(u64, Instant)>,
    marks: u64,
}

impl Beat {
    pub(super) fn new(every: Duration, missed_max: u32, now: Instant) -> Self {
        Self {
            every,
            missed_max,
            heard: now,
            missed: 0,
            asked: None,
            marks: 0,
        }
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.missed = 0;
    }

    /// An answer came: how long it took, where it answers the last question.
    pub(super) fn answered(&mut self, mark: u64, now: Instant) -> Option<Duration> {
        let (_, asked) = self.asked.take_if(|(asked, _)| *asked == mark)?;
        Some(now.duration_since(asked))
    }

    /// When `due` is to be asked next.
    pub(super) fn at(&self) -> Instant {
        self.heard + self.every * (self.missed + 1)
    }

    /// What this moment asks for.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        if now < self.at() {
            return Due::Nothing;
        }
        if self.missed == self.missed_max {
            return Due::GiveUp;
        }
        self.missed += 1;
        Due::Ask(self.ask(now))
    }

    /// A question out of turn; its mark.
    pub(super) fn ask(&mut self, now: Instant) -> u64 {
        self.marks += 1;
        self.asked = Some((self.marks, now));
        self.marks
    }
}

#[cfg(test)]
mod tests {
    use super::{Beat, Due};
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn three_questions_go_unanswered_before_a_link_is_given_up() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut beat = Beat::new(Duration::from_secs(15), 3, start);
        assert_eq!(beat.due(after(14)), Due::Nothing);
        assert_eq!(beat.due(after(15)), Due::Ask(1));
        assert_eq!(beat.due(after(29)), Due::Nothing);
        assert_eq!(beat.due(after(30)), Due::Ask(2));
        assert_eq!(beat.due(after(45)), Due::Ask(3));
        assert_eq!(beat.due(after(60)), Due::GiveUp);
        beat.heard(after(50));
        assert_eq!(beat.at(), after(65));
        assert_eq!(beat.answered(3, after(50)), Some(Duration::from_secs(5)));
        assert_eq!(beat.answered(3, after(50)), None);
    }
}
