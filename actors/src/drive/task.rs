//! A task that an actor owns: whoever owns it learns that it ended, also when it panicked.

use std::future::Future;

use tokio::task::AbortHandle;

/// Runs `task`, and tells by `ended` what came of it: an error where it panicked. To be aborted by its
/// owner, in `Drop`.
pub fn run<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
    ended: impl FnOnce(Result<T, String>) + Send + 'static,
) -> AbortHandle {
    let running = tokio::spawn(task);
    let handle = running.abort_handle();
    tokio::spawn(async move {
        match running.await {
            Ok(outcome) => ended(Ok(outcome)),
            Err(error) if error.is_panic() => ended(Err("a task panicked".to_owned())),
            // Its owner is gone.
            Err(_) => {}
        }
    });
    handle
}

#[cfg(test)]
mod tests {
    use super::run;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_task_that_panics_is_not_missed_in_silence() {
        let (tell, told) = oneshot::channel();
        run(
            async { panic!("as a bug does") },
            |outcome: Result<(), _>| {
                tell.send(outcome.is_err()).expect("the test waits");
            },
        );
        assert_eq!(told.await, Ok(true));
    }

    #[tokio::test]
    async fn one_that_ends_says_with_what() {
        let (tell, told) = oneshot::channel();
        run(async { 7 }, |outcome| {
            tell.send(outcome).expect("the test waits");
        });
        assert_eq!(told.await, Ok(Ok(7)));
    }
}
