//! The owner of every task: started here under a name, ended by one token, waited for at the end.
//!
//! `Lifecycle` knows which tasks live, not what they do. A task that panics is reported and removed; the
//! process goes on, and whoever awaits its handle is told.

mod readiness;
mod registry;
mod task;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use readiness::Readiness;
pub use readiness::ReadinessBlocker;
use registry::Registry;
pub use task::{TaskError, TaskHandle};

/// Most tasks alive at once. Far above what one agent needs (tools, streams, servers); reaching it means a
/// leak, and then refusing one more task keeps the process alive to say so.
pub const MAX_TASKS: usize = 4096;

/// How long aborted tasks get to be dropped. An abort takes effect at the next await, so a task that needs
/// longer is blocking its thread, and waiting more would not help.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// Starts tasks, tells them when to stop, and waits for them. Clones share one registry.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    token: CancellationToken,
    registry: Arc<Registry>,
    readiness: Arc<Readiness>,
}

/// What [`Lifecycle::shutdown`] saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Tasks that were running when shutdown began and ended by themselves.
    pub finished: usize,
    /// Names of the tasks that did not end before the deadline and were aborted.
    pub aborted: Vec<String>,
    /// Names of tasks that panicked at any time since the start (the first few; see the log for all).
    pub panicked: Vec<String>,
}

impl ShutdownReport {
    /// True when nothing had to be aborted and nothing panicked.
    pub fn is_clean(&self) -> bool {
        self.aborted.is_empty() && self.panicked.is_empty()
    }
}

impl Lifecycle {
    /// An empty registry with a fresh token.
    pub fn new() -> Self {
        Lifecycle {
            token: CancellationToken::new(),
            registry: Arc::new(Registry::new(MAX_TASKS)),
            readiness: Arc::default(),
        }
    }

    /// The token that ends every task. Tasks select on it (or on a child of it) at each wait.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Starts `future` as a task called `name`.
    ///
    /// Dropping the handle leaves the task running. Over [`MAX_TASKS`], or after
    /// [`shutdown`](Self::shutdown) began, the future is dropped unrun and the handle gives
    /// [`TaskError::Refused`].
    ///
    /// # Panics
    /// Outside a Tokio runtime, as `tokio::spawn` does.
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let name = name.into();
        let entry = match self.registry.enter(name.clone()) {
            Ok(entry) => entry,
            Err(reason) => {
                tracing::warn!(task = %name, reason, "task refused");
                return TaskHandle::refused(name, reason);
            }
        };
        let id = entry.id();
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the owner that the lint sends everyone to"
        )]
        let join = tokio::spawn(async move {
            let output = future.await;
            drop(entry);
            output
        });
        self.registry.started(id, join.abort_handle());
        TaskHandle::running(name, join)
    }

    /// Names of the tasks alive now, in order of their start.
    pub fn running(&self) -> Vec<String> {
        self.registry.names()
    }

    /// Holds readiness back until the returned value is dropped. `name` says what is being waited for.
    pub fn block_readiness(&self, name: &'static str) -> ReadinessBlocker {
        Readiness::block(&self.readiness, name)
    }

    /// True while no blocker is alive and shutdown has not begun.
    pub fn is_ready(&self) -> bool {
        !self.token.is_cancelled() && self.readiness.blockers().is_empty()
    }

    /// What readiness is waiting for.
    pub fn readiness_blockers(&self) -> Vec<&'static str> {
        self.readiness.blockers()
    }

    /// Waits for the last blocker to drop. False when shutdown came first.
    pub async fn ready(&self) -> bool {
        tokio::select! {
            biased;
            () = self.token.cancelled() => false,
            () = self.readiness.wait() => true,
        }
    }

    /// Cancels the token, waits up to `deadline` for every task, then aborts the rest and names them.
    ///
    /// Takes at most `deadline` and one second. Not to be awaited inside a task of this same lifecycle: it would
    /// wait for itself. A second call reports on what is left.
    pub async fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let before = self.registry.close();
        self.token.cancel();
        let mut aborted = Vec::new();
        if tokio::time::timeout(deadline, self.registry.empty())
            .await
            .is_err()
        {
            aborted = self.registry.abort_all();
            if tokio::time::timeout(ABORT_GRACE, self.registry.empty())
                .await
                .is_err()
            {
                tracing::error!(tasks = ?self.registry.names(), "tasks block their thread and cannot be stopped");
            }
        }
        ShutdownReport {
            finished: before.saturating_sub(aborted.len()),
            aborted,
            panicked: self.registry.panicked(),
        }
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}
