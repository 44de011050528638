//! What the starter of a task holds, and what it learns at the end.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::{JoinError, JoinHandle};

/// Awaits one task. Dropping it leaves the task running.
#[derive(Debug)]
#[must_use = "a dropped handle hides the task's failure; bind it to `_name` where that is meant"]
pub struct TaskHandle<T> {
    name: Cow<'static, str>,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Running(JoinHandle<T>),
    Refused(&'static str),
}

/// Why a task gave no result.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TaskError {
    /// The task panicked. The rest of the process goes on.
    #[error("task `{name}` panicked: {message}")]
    Panicked {
        /// The task's name.
        name: String,
        /// What the panic said, when it was text.
        message: String,
    },
    /// The task was aborted before its end, by its handle or by the end of the process.
    #[error("task `{name}` was aborted")]
    Aborted {
        /// The task's name.
        name: String,
    },
    /// The task never ran.
    #[error("task `{name}` was not started: {reason}")]
    Refused {
        /// The task's name.
        name: String,
        /// Why: shutting down, or the limit on tasks is reached.
        reason: &'static str,
    },
}

impl<T> TaskHandle<T> {
    pub(super) fn running(name: Cow<'static, str>, join: JoinHandle<T>) -> Self {
        TaskHandle {
            name,
            state: State::Running(join),
        }
    }

    pub(super) fn refused(name: Cow<'static, str>, reason: &'static str) -> Self {
        TaskHandle {
            name,
            state: State::Refused(reason),
        }
    }

    /// The name it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends the task at its next await. Awaiting the handle then gives [`TaskError::Aborted`].
    pub fn abort(&self) {
        if let State::Running(join) = &self.state {
            join.abort();
        }
    }

    /// True once the task has ended, or when it never ran.
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Running(join) => join.is_finished(),
            State::Refused(_) => true,
        }
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.state {
            State::Running(join) => std::task::ready!(Pin::new(join).poll(cx)),
            State::Refused(reason) => {
                let reason = *reason;
                return Poll::Ready(Err(TaskError::Refused {
                    name: self.name.to_string(),
                    reason,
                }));
            }
        };
        Poll::Ready(outcome.map_err(|error| failed(&self.name, error)))
    }
}

fn failed(name: &str, error: JoinError) -> TaskError {
    let name = name.to_owned();
    match error.try_into_panic() {
        Ok(payload) => {
            let message = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "(no message)".to_owned());
            TaskError::Panicked { name, message }
        }
        Err(_) => TaskError::Aborted { name },
    }
}
