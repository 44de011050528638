use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use http::Extensions;
use hyper_util::client::legacy::connect::Connected;

use super::metrics::PoolMetrics;
use crate::memory::{ResourceKind, Tracked};

/// True figures, taken where connections open, serve and close.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ConnectionPoolStats {
    /// Sockets open now.
    pub open: u64,
    /// Of these, serving a request now (over HTTP/2: one or more).
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
    pub(super) metrics: PoolMetrics,
    resources: Option<ResourceKind>,
}

impl Counters {
    pub(super) fn new(metrics: PoolMetrics, resources: Option<ResourceKind>) -> Self {
        Counters {
            metrics,
            resources,
            ..Counters::default()
        }
    }

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

    pub(super) fn waits(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connection_opened(self: &Arc<Self>) -> OpenConnection {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        self.metrics.opened();
        OpenConnection {
            counters: Arc::clone(self),
            tracked: self.resources.as_ref().map(|kind| Arc::new(kind.track(0))),
        }
    }

    pub(super) fn request_began(self: &Arc<Self>, uses: &ConnectionUses) -> RequestInFlight {
        if uses.0.requests.fetch_add(1, Ordering::Relaxed) == 0 {
            self.in_use.fetch_add(1, Ordering::Relaxed);
            self.metrics.busy();
        }
        RequestInFlight {
            counters: Arc::clone(self),
            uses: uses.clone(),
        }
    }

    pub(super) fn response_came(&self, uses: &ConnectionUses) {
        self.responses.fetch_add(1, Ordering::Relaxed);
        if let Some(tracked) = uses.0.tracked.upgrade() {
            tracked.touch();
        }
        if uses.0.served.fetch_add(1, Ordering::Relaxed) > 0 {
            self.reused.fetch_add(1, Ordering::Relaxed);
            self.metrics.reused();
        }
    }
}

/// Counts a socket as open until it is dropped.
#[derive(Debug)]
pub(super) struct OpenConnection {
    counters: Arc<Counters>,
    tracked: Option<Arc<Tracked>>,
}

impl OpenConnection {
    /// What travels with the connection.
    pub(super) fn uses(&self) -> ConnectionUses {
        ConnectionUses(Arc::new(Uses {
            tracked: self.tracked.as_ref().map(Arc::downgrade).unwrap_or_default(),
            ..Uses::default()
        }))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
        self.counters.metrics.closed();
    }
}

/// Counts its connection as in use until it, and every other request on it, is dropped.
#[derive(Debug)]
pub(super) struct RequestInFlight {
    counters: Arc<Counters>,
    uses: ConnectionUses,
}

impl RequestInFlight {
    /// False when the request went on to another connection than it began with.
    pub(super) fn is_on(&self, uses: &ConnectionUses) -> bool {
        Arc::ptr_eq(&self.uses.0, &uses.0)
    }
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        if self.uses.0.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.counters.in_use.fetch_sub(1, Ordering::Relaxed);
            self.counters.metrics.free();
        }
    }
}

/// Travels with a connection and comes back with each response.
#[derive(Clone, Debug)]
pub(super) struct ConnectionUses(Arc<Uses>);

#[derive(Debug, Default)]
struct Uses {
    /// Responses so far.
    served: AtomicU64,
    /// Requests now.
    requests: AtomicU64,
    /// The socket's: what travels may outlive it.
    tracked: Weak<Tracked>,
}

impl ConnectionUses {
    pub(super) fn of(connected: &Connected) -> Option<Self> {
        let mut extras = Extensions::new();
        connected.get_extras(&mut extras);
        extras.remove()
    }
}
