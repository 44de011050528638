//! Where the file tools wait for disks: a bounded share of the runtime's blocking threads.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::ToolError;

/// File calls at work at once, over all sessions that share a registry. A turn runs at most this many tools by
/// default; more threads would only queue at the disk.
const MAX_AT_ONCE: usize = 8;

/// How long a cancelled call may take to notice. Work checks between entries and blocks of 64 KiB; only a file
/// system that doesn't answer takes longer, and the user should not wait for it.
const NOTICE_CANCEL: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub(super) struct Blocking {
    slots: Arc<Semaphore>,
}

impl Blocking {
    pub(super) fn new() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(MAX_AT_ONCE)),
        }
    }

    /// Runs `work` on a blocking thread. The token that it gets fires when `cancel` does and when the returned
    /// future is dropped, so that work that nobody waits for ends as well.
    pub(super) async fn run<T, F>(&self, cancel: &CancellationToken, work: F) -> Result<T, ToolError>
    where
        T: Send + 'static,
        F: FnOnce(&CancellationToken) -> Result<T, ToolError> + Send + 'static,
    {
        let slot = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(ToolError::cancelled()),
            slot = self.slots.clone().acquire_owned() => slot.expect("the semaphore is never closed"),
        };
        let token = cancel.child_token();
        let _stop_when_dropped = token.clone().drop_guard();
        let mut task = tokio::task::spawn_blocking(move || {
            let outcome = work(&token);
            drop(slot);
            outcome
        });
        let joined = tokio::select! {
            joined = &mut task => joined,
            () = async { cancel.cancelled().await; tokio::time::sleep(NOTICE_CANCEL).await } => {
                return Err(ToolError::new(
                    "cancelled while the file system did not answer; the call may still finish in the background",
                ));
            }
        };
        joined.unwrap_or_else(|_| {
            Err(ToolError::new(
                "the tool failed inside (a bug in it); try another way to the same end",
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_call_stops_its_work() {
        let (told, seen) = std::sync::mpsc::sync_channel(1);
        let blocking = Blocking::new();
        let cancel = CancellationToken::new();
        let call = blocking.run(&cancel, move |token| {
            while !token.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            told.send(()).expect("the test listens");
            Ok(())
        });
        drop(tokio::time::timeout(Duration::from_millis(50), call).await);
        seen.recv_timeout(Duration::from_secs(5))
            .expect("the work saw that its call was dropped");
    }

    #[tokio::test]
    async fn a_panic_in_a_tool_becomes_an_error_and_frees_its_slot() {
        let blocking = Blocking::new();
        let cancel = CancellationToken::new();
        for _ in 0..=MAX_AT_ONCE {
            let outcome: Result<(), _> = blocking.run(&cancel, |_| panic!("on purpose")).await;
            assert!(outcome.expect_err("a panic is an error").message.contains("bug"));
        }
    }

    #[tokio::test]
    async fn a_cancelled_call_does_not_wait_for_a_slot() {
        let blocking = Blocking {
            slots: Arc::new(Semaphore::new(0)),
        };
        let cancel = CancellationToken::new();
        cancel.cancel();
        let outcome = blocking.run(&cancel, |_| Ok(())).await;
        assert_eq!(outcome, Err(ToolError::cancelled()));
    }
}
