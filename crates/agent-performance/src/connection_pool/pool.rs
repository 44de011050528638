use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper_util::client::proxy::matcher::Matcher;

use super::metrics::PoolMetrics;
use super::origin::Origin;
use super::stats::Counters;
use super::tls::Tls;
use super::{ConnectionPoolConfig, ConnectionPoolStats, HttpClient, PoolError};
use crate::memory::{ResourceKind, ResourceTracker};
use crate::metrics::MetricsCollector;

/// Origins with a client at once. An agent talks to a handful; without a bound, addresses chosen by a web page could
/// make clients without end.
const MAX_ORIGINS: usize = 64;

/// One [`HttpClient`] per origin, with shared limits, certificates and counts.
pub struct HttpConnectionPool {
    config: ConnectionPoolConfig,
    tls: Arc<Tls>,
    counters: Arc<Counters>,
    proxies: Arc<Matcher>,
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    by_origin: HashMap<Origin, Known>,
    /// Counts the calls of `get_client`: which origin was asked for last.
    asked: u64,
}

struct Known {
    client: Arc<HttpClient>,
    asked: u64,
}

impl Known {
    fn is_unused(&self) -> bool {
        Arc::strong_count(&self.client) == 1
    }
}

impl Clients {
    /// Forgets the client that nobody holds and that was asked for longest ago; its idle connections close.
    fn forget_oldest(&mut self) {
        let unused = self.by_origin.iter().filter(|(_, known)| known.is_unused());
        let oldest = unused
            .min_by_key(|(_, known)| known.asked)
            .map(|(origin, _)| origin.clone());
        if let Some(origin) = oldest {
            self.by_origin.remove(&origin);
        }
    }
}

impl HttpConnectionPool {
    /// Opens nothing and reads nothing: certificates are loaded at the first https connection.
    pub fn new(config: ConnectionPoolConfig) -> Self {
        Self::build(config, PoolMetrics::default(), None)
    }

    /// The same, recording `connections.*` into `collector`.
    pub fn with_metrics(config: ConnectionPoolConfig, collector: &MetricsCollector) -> Self {
        Self::build(config, PoolMetrics::new(collector), None)
    }

    /// The same, with each open connection an account in `tracker` under `http_connections`, touched by each response.
    pub fn with_observers(
        config: ConnectionPoolConfig,
        collector: &MetricsCollector,
        tracker: &ResourceTracker,
    ) -> Self {
        Self::build(
            config,
            PoolMetrics::new(collector),
            Some(tracker.kind("http_connections")),
        )
    }

    fn build(config: ConnectionPoolConfig, metrics: PoolMetrics, resources: Option<ResourceKind>) -> Self {
        let tls = Arc::new(Tls::new(config.ca_bundle.clone(), config.http2));
        HttpConnectionPool {
            proxies: Arc::new(config.proxy.matcher()),
            config,
            tls,
            counters: Arc::new(Counters::new(metrics, resources)),
            clients: Mutex::default(),
        }
    }

    /// The client of `origin` (a URL; only scheme, host and port count). The same one for everyone.
    ///
    /// # Errors
    /// [`PoolError::InvalidOrigin`], or [`PoolError::TooManyOrigins`] when that many are in use.
    pub async fn get_client(&self, origin: &str) -> Result<Arc<HttpClient>, PoolError> {
        let origin = Origin::parse(origin)?;
        let mut clients = self.clients();
        clients.asked += 1;
        let asked = clients.asked;
        if let Some(known) = clients.by_origin.get_mut(&origin) {
            known.asked = asked;
            return Ok(Arc::clone(&known.client));
        }
        let idle = self.get_stats().idle;
        if clients.by_origin.len() >= MAX_ORIGINS || idle >= self.config.max_idle_connections as u64 {
            clients.forget_oldest();
        }
        if clients.by_origin.len() >= MAX_ORIGINS {
            return Err(PoolError::TooManyOrigins {
                origin: origin.to_string(),
                limit: MAX_ORIGINS,
            });
        }
        let client = Arc::new(HttpClient::new(
            origin.clone(),
            &self.config,
            Arc::clone(&self.tls),
            Arc::clone(&self.proxies),
            Arc::clone(&self.counters),
        ));
        let known = Known {
            client: Arc::clone(&client),
            asked,
        };
        clients.by_origin.insert(origin, known);
        Ok(client)
    }

    /// Forgets every client. Idle connections close; requests in flight go on.
    pub fn clear_cache(&self) {
        self.clients().by_origin.clear();
    }

    /// What the connections are doing now, and did so far, over all origins.
    pub fn get_stats(&self) -> ConnectionPoolStats {
        self.counters.snapshot()
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        // Single inserts and removals: a panic cannot leave the map half changed.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn tls_is_loaded(&self) -> bool {
        self.tls.is_loaded()
    }
}

impl fmt::Debug for HttpConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnectionPool")
            .field("config", &self.config)
            .field("stats", &self.get_stats())
            .finish_non_exhaustive()
    }
}
