use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// True figures, taken where connections open, serve and close.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ConnectionPoolStats {
    /// Sockets open now.
    pub open: u64,
    /// Of these, serving a request now.
    pub in_use: u64,
    /// Of these, waiting for one.
    pub idle: u64,
    /// Sockets opened since the start.
    pub opened_total: u64,
    /// Responses that came over a connection which had served before.
    pub reused_total: u64,
    /// Responses in all.
    pub responses_total: u64,
    /// Requests that had to wait for a connection to be free.
    pub waited_total: u64,
}

impl ConnectionPoolStats {
    /// Part of the responses that needed no new connection, 0 to 1; 0 before the first.
    pub fn reuse_ratio(&self) -> f64 {
        if self.responses_total == 0 {
            return 0.0;
        }
        self.reused_total as f64 / self.responses_total as f64
    }
}

/// Shared by every client of a pool.
#[derive(Debug, Default)]
pub(super) struct Counters {
    open: AtomicU64,
    in_use: AtomicU64,
    opened: AtomicU64,
    reused: AtomicU64,
    responses: AtomicU64,
    waited: AtomicU64,
}

impl Counters {
    pub(super) fn snapshot(&self) -> ConnectionPoolStats {
        let open = self.open.load(Ordering::Relaxed);
        // A request can be counted an instant longer than its socket, when the socket closes first.
        let in_use = self.in_use.load(Ordering::Relaxed).min(open);
        ConnectionPoolStats {
            open,
            in_use,
            idle: open - in_use,
            opened_total: self.opened.load(Ordering::Relaxed),
            reused_total: self.reused.load(Ordering::Relaxed),
            responses_total: self.responses.load(Ordering::Relaxed),
            waited_total: self.waited.load(Ordering::Relaxed),
        }
    }

    pub(super) fn waited(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connection_opened(self: &Arc<Self>) -> OpenConnection {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    pub(super) fn request_began(self: &Arc<Self>) -> RequestInFlight {
        self.in_use.fetch_add(1, Ordering::Relaxed);
        RequestInFlight(Arc::clone(self))
    }

    pub(super) fn response_came(&self, uses: &ConnectionUses) {
        self.responses.fetch_add(1, Ordering::Relaxed);
        if uses.0.fetch_add(1, Ordering::Relaxed) > 0 {
            self.reused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Counts a socket as open until it is dropped.
#[derive(Debug)]
pub(super) struct OpenConnection(Arc<Counters>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a connection as in use until it is dropped.
#[derive(Debug)]
pub(super) struct RequestInFlight(Arc<Counters>);

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Travels with a connection and comes back with each response: how many it has served.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionUses(Arc<AtomicU64>);
