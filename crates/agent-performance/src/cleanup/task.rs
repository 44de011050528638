//! Registered clean-up tasks and responders, and running one of them so that it can't harm the others.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::pressure::PressureLevel;

/// Tasks of each sort. The product has about ten; more means that somebody registers in a loop.
const MAX_TASKS: usize = 64;

/// What a task gives: the bytes it freed, or why it could not.
pub trait Outcome {
    /// Bytes really freed.
    ///
    /// # Errors
    /// Why the task failed, in words for the log.
    fn freed(self) -> Result<u64, String>;
}

impl Outcome for u64 {
    fn freed(self) -> Result<u64, String> {
        Ok(self)
    }
}

impl<E: fmt::Display> Outcome for Result<u64, E> {
    fn freed(self) -> Result<u64, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Why a task was not registered.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RegisterError {
    /// The name is taken.
    #[error("a clean-up task called `{0}` is registered already")]
    Duplicate(String),
    /// The limit is reached.
    #[error("`{0}` is one clean-up task more than the {MAX_TASKS} allowed")]
    TooMany(String),
}

/// Why a task freed nothing.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TaskFailure {
    /// It said so.
    #[error("{0}")]
    Failed(String),
    /// It panicked; it will be tried again next time.
    #[error("it panicked")]
    Panicked,
    /// It took too long and was dropped.
    #[error("it took longer than {0:?}")]
    TimedOut(Duration),
}

pub(super) type Job = Arc<dyn Fn(PressureLevel) -> JobFuture + Send + Sync>;
pub(super) type JobFuture = Pin<Box<dyn Future<Output = Result<u64, String>> + Send>>;

/// Named jobs in the order of their registration.
#[derive(Default)]
pub(super) struct Jobs {
    jobs: Mutex<Vec<(Arc<str>, Job)>>,
}

impl Jobs {
    pub(super) fn add(&self, name: &str, job: Job) -> Result<(), RegisterError> {
        let mut jobs = self.jobs.lock();
        if jobs.iter().any(|(taken, _)| **taken == *name) {
            return Err(RegisterError::Duplicate(name.to_owned()));
        }
        if jobs.len() >= MAX_TASKS {
            return Err(RegisterError::TooMany(name.to_owned()));
        }
        jobs.push((name.into(), job));
        Ok(())
    }

    pub(super) fn all(&self) -> Vec<(Arc<str>, Job)> {
        self.jobs.lock().clone()
    }
}

/// Runs one job to its end, its panic or its time limit.
pub(super) async fn run(job: &Job, level: PressureLevel, limit: Duration) -> Result<u64, TaskFailure> {
    // The closure itself is task code, too, so it runs inside.
    let guarded = CatchUnwind(Box::pin(async move { job(level).await }));
    match tokio::time::timeout(limit, guarded).await {
        Ok(Some(outcome)) => outcome.map_err(TaskFailure::Failed),
        Ok(None) => Err(TaskFailure::Panicked),
        Err(_) => Err(TaskFailure::TimedOut(limit)),
    }
}

/// Gives `None` when the future panics. It is not polled again, so nobody sees its broken state.
struct CatchUnwind<'a, T>(Pin<Box<dyn Future<Output = T> + Send + 'a>>);

impl<T> Future for CatchUnwind<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        match std::panic::catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => std::task::Poll::Ready(None),
        }
    }
}
