//! Events that wait to be written by a thread that may block: one at a time takes all that wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{AuditError, AuditEvent, Inner};

/// Events that wait at once; who has one more waits with it. A disk that syncs in 25 ms takes them all in one go, and a
/// thousand of the longest are 8 MB.
pub const MAX_WAITING: usize = 1024;

#[derive(Debug)]
pub(super) struct Queue {
    room: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// A thread writes, and will look for more when it is done.
    writing: bool,
}

#[derive(Debug)]
struct Waiting {
    time: DateTime<Utc>,
    event: AuditEvent,
    told: oneshot::Sender<Result<(), AuditError>>,
    /// Held until it is written.
    room: OwnedSemaphorePermit,
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            room: Arc::new(Semaphore::new(MAX_WAITING)),
            state: Mutex::default(),
        }
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn record(inner: &Arc<Inner>, event: AuditEvent) -> Result<(), AuditError> {
    let room = Arc::clone(&inner.queue.room).acquire_owned().await;
    let room = room.map_err(|_| AuditError::Ended)?;
    let (told, outcome) = oneshot::channel();
    let must_start = {
        let mut state = inner.queue.state();
        state.waiting.push_back(Waiting {
            // Under the lock, so that times never run against the order.
            time: (inner.clock)(),
            event,
            told,
            room,
        });
        !std::mem::replace(&mut state.writing, true)
    };
    if must_start {
        let inner = Arc::clone(inner);
        drop(tokio::task::spawn_blocking(move || write_all(&inner)));
    }
    outcome.await.unwrap_or(Err(AuditError::Ended))
}

fn write_all(inner: &Inner) {
    let mut writing = Writing { inner, ended: false };
    while let Some(batch) = writing.next() {
        let mut events = Vec::with_capacity(batch.len());
        let mut askers = Vec::with_capacity(batch.len());
        for waiting in batch {
            events.push((waiting.time, waiting.event));
            askers.push((waiting.told, waiting.room));
        }
        for ((told, _room), outcome) in askers.into_iter().zip(inner.write(events)) {
            // Who asked may be gone; it is written all the same.
            let _heard = told.send(outcome).is_ok();
        }
    }
}

/// The thread that writes. If it panics, those who wait are told, and the next event starts another.
struct Writing<'a> {
    inner: &'a Inner,
    ended: bool,
}

impl Writing<'_> {
    /// All that waits; none, and then the next event starts a thread, when nothing does.
    fn next(&mut self) -> Option<VecDeque<Waiting>> {
        let mut state = self.inner.queue.state();
        if state.waiting.is_empty() {
            state.writing = false;
            self.ended = true;
            return None;
        }
        Some(std::mem::take(&mut state.waiting))
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let mut state = self.inner.queue.state();
            state.writing = false;
            state.waiting.clear();
        }
    }
}
