use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::origin::Origin;
use super::stats::Counters;
use super::tls::Tls;
use super::{ConnectionPoolConfig, ConnectionPoolStats, HttpClient, PoolError};

/// Origins with a client at once. An agent talks to a handful; without a bound, addresses chosen by a web page could
/// make clients without end.
const MAX_ORIGINS: usize = 64;

/// One [`HttpClient`] per origin, with shared limits, certificates and counts.
pub struct HttpConnectionPool {
    config: ConnectionPoolConfig,
    tls: Arc<Tls>,
    counters: Arc<Counters>,
    clients: Mutex<HashMap<Origin, Arc<HttpClient>>>,
}

impl HttpConnectionPool {
    /// Opens nothing and reads nothing: certificates are loaded at the first https connection.
    pub fn new(config: ConnectionPoolConfig) -> Self {
        let tls = Arc::new(Tls::new(config.ca_bundle.clone()));
        HttpConnectionPool {
            config,
            tls,
            counters: Arc::default(),
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
        if let Some(client) = clients.get(&origin) {
            return Ok(Arc::clone(client));
        }
        if clients.len() >= MAX_ORIGINS {
            clients.retain(|_, client| Arc::strong_count(client) > 1);
        }
        if clients.len() >= MAX_ORIGINS {
            return Err(PoolError::TooManyOrigins {
                origin: origin.to_string(),
                limit: MAX_ORIGINS,
            });
        }
        let client = Arc::new(HttpClient::new(
            origin.clone(),
            &self.config,
            Arc::clone(&self.tls),
            Arc::clone(&self.counters),
        ));
        clients.insert(origin, Arc::clone(&client));
        Ok(client)
    }

    /// Forgets every client. Idle connections close; requests in flight go on.
    pub fn clear_cache(&self) {
        self.clients().clear();
    }

    /// What the connections are doing now, and did so far, over all origins.
    pub fn get_stats(&self) -> ConnectionPoolStats {
        self.counters.snapshot()
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Origin, Arc<HttpClient>>> {
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
