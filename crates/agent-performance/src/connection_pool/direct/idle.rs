use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Direct;

/// The connections of one client that wait for a request.
pub(in super::super) struct Idle {
    kept: Mutex<Kept>,
    limit: usize,
    timeout: Duration,
    keeper: Arc<Keeper>,
    waker: Waker,
}

#[derive(Default)]
struct Kept {
    /// The longest idle first.
    connections: Vec<(Instant, Box<Direct>)>,
    /// The keeper is at work.
    watched: bool,
}

/// Woken when something happens on an idle connection.
#[derive(Default)]
struct Keeper(Notify);

impl Wake for Keeper {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

impl Idle {
    pub(in super::super) fn new(limit: usize, timeout: Duration) -> Arc<Self> {
        let keeper = Arc::new(Keeper::default());
        Arc::new(Idle {
            kept: Mutex::default(),
            limit,
            timeout,
            waker: Waker::from(Arc::clone(&keeper)),
            keeper,
        })
    }

    /// The one that was used last: the others may grow old and close. One that the server has closed is passed over.
    pub(in super::super) fn take(&self) -> Option<Box<Direct>> {
        loop {
            let (_, mut connection) = self.kept.lock().connections.pop()?;
            if connection.is_quiet(&mut Context::from_waker(Waker::noop())) {
                return Some(connection);
            }
        }
    }

    /// Keeps `connection`, which has to be reusable, for the next request, if the server has not closed it.
    pub(super) fn put(self: &Arc<Self>, mut connection: Box<Direct>) {
        // From here on the keeper hears of it.
        if !connection.is_quiet(&mut Context::from_waker(&self.waker)) {
            return;
        }
        let mut kept = self.kept.lock();
        if kept.connections.len() >= self.limit {
            return;
        }
        kept.connections.push((Instant::now(), connection));
        if !std::mem::replace(&mut kept.watched, true) {
            drop(kept);
            let (idle, keeper) = (Arc::downgrade(self), Arc::clone(&self.keeper));
            // Ends when nothing is idle any more, or the client is dropped.
            TokioExecutor::new().execute(watch(idle, keeper));
        }
    }

    /// Closes what is too old or was closed by the server. When to look again; `None` when nothing is left.
    fn sweep(&self) -> Option<Instant> {
        let mut kept = self.kept.lock();
        let now = Instant::now();
        let mut cx = Context::from_waker(&self.waker);
        let timeout = self.timeout;
        let ends = |since: Instant| since.checked_add(timeout);
        let gone: Vec<_> = kept
            .connections
            .extract_if(.., |(since, connection)| {
                ends(*since).is_some_and(|end| end <= now) || !connection.is_quiet(&mut cx)
            })
            .collect();
        let next = kept.connections.first().map(|(since, _)| *since);
        kept.watched = next.is_some();
        drop(kept);
        // Sockets are closed outside of the lock.
        drop(gone);
        // A time past the end of the clock is never; a year is as good.
        next.map(|since| ends(since).unwrap_or(now + Duration::from_secs(31_536_000)))
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.keeper.0.notify_one();
    }
}

async fn watch(idle: Weak<Idle>, keeper: Arc<Keeper>) {
    loop {
        let Some(next) = idle.upgrade().and_then(|idle| idle.sweep()) else {
            return;
        };
        let changed = keeper.0.notified();
        // Whichever it is, the sweep finds out.
        drop(tokio::time::timeout_at(next, changed).await);
    }
}
