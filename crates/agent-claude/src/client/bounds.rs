use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{ClaudeError, ClaudeResult, TimeoutStage};

/// What ends every wait of one request, whatever it waits for.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    cancel: CancellationToken,
    deadline: Instant,
    total: Duration,
}

impl Bounds {
    /// The total timer starts now.
    pub(super) fn new(cancel: CancellationToken, total: Duration) -> Self {
        Bounds {
            cancel,
            deadline: Instant::now() + total,
            total,
        }
    }

    /// The same deadline, for work that others may come to depend on and that its owner ends by dropping it.
    pub(super) fn without_cancellation(&self) -> Self {
        Bounds {
            cancel: CancellationToken::new(),
            ..self.clone()
        }
    }

    /// True when a wait of `delay` would end after the deadline.
    pub(super) fn ends_within(&self, delay: Duration) -> bool {
        Instant::now() + delay >= self.deadline
    }

    /// Runs `wait` unless cancellation or the deadline comes first.
    pub(super) async fn run<F: Future>(&self, wait: F) -> ClaudeResult<F::Output> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(ClaudeError::Cancelled),
            output = wait => Ok(output),
            () = tokio::time::sleep_until(self.deadline) => {
                Err(ClaudeError::Timeout { stage: TimeoutStage::Total, after: self.total })
            }
        }
    }
}
