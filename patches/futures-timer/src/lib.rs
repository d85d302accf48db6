//! The timers of libp2p, as timers of tokio: in place of the crate `futures-timer`.
//!
//! That crate keeps time in a thread of its own, which no test can stop. All of libp2p's timers go
//! through its one type, so with this in its place they follow tokio's clock: the system's in the
//! shipped binary, and in tests one that is paused and jumps from one deadline to the next.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// A future that is ready once its time has passed; made and polled within a tokio runtime.
pub struct Delay(Pin<Box<Sleep>>);

impl Delay {
    /// Ready after `duration`.
    #[must_use]
    pub fn new(duration: Duration) -> Self {
        Self(Box::pin(sleep(duration)))
    }

    /// Ready `duration` from now, whatever it waited for before.
    pub fn reset(&mut self, duration: Duration) {
        // As far off as tokio can say, where the sum has no name.
        let far = Duration::from_secs(60 * 60 * 24 * 365);
        let now = Instant::now();
        let deadline = now.checked_add(duration).unwrap_or_else(|| now + far);
        self.0.as_mut().reset(deadline);
    }
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Delay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Delay(until {:?})", self.0.deadline())
    }
}

#[cfg(test)]
mod tests {
    use super::Delay;
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_delay_follows_tokios_clock() {
        let start = Instant::now();
        let mut delay = Delay::new(Duration::from_secs(3600));
        delay.reset(Duration::from_secs(7200));
        delay.await;
        assert_eq!(start.elapsed().as_secs(), 7200);
    }
}
