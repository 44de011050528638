//! Sends requests to the Messages API and reads its answers.
//!
//! [`ClaudeClient`] repeats what failed before any content came; after that an error is the caller's to judge, because
//! only the caller knows what was shown. Every wait ends by a timer, by dropping the future or by the client's
//! cancellation token. It runs no tool and keeps no history.

mod attempts;
mod bounds;
mod calls;
mod concurrency;
mod config;
mod events;
mod measure;
mod rate_limits;
mod recording;
mod reply;
mod request;
mod stream;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use agent_performance::cache::ResponseCache;
use agent_performance::connection_pool::{ConnectionPoolConfig, HttpConnectionPool};
use agent_performance::metrics::{Gauge, MetricsCollector};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

pub use calls::Answer;
pub use config::{ClaudeConfig, Timeouts};
pub use measure::{Meter, Operation, RequestKind};
pub use rate_limits::{RateLimit, RateLimits};
pub use stream::MessageStream;

pub use crate::retry::RetryNotice;

use crate::error::ClaudeResult;
use crate::retry::breaker::CircuitBreaker;
use crate::retry::budget::RetryBudget;
use concurrency::Concurrency;
use request::Endpoint;

/// A client of the Messages API. Clones are cheap and share connections, retry budget, circuit breaker, concurrency
/// limit and rate-limit figures.
#[derive(Clone)]
pub struct ClaudeClient {
    shared: Arc<Shared>,
    cancel: CancellationToken,
    /// For what may be answered from it.
    cache: Option<ResponseCache>,
    cached: Cached,
}

/// What comes from the cache, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cached {
    /// Lists of models and token counts.
    LookUps,
    /// Messages, too.
    Messages,
}

struct Shared {
    config: ClaudeConfig,
    endpoint: Endpoint,
    pool: Arc<HttpConnectionPool>,
    budget: RetryBudget,
    breaker: CircuitBreaker,
    concurrency: Concurrency,
    rate_limits: Mutex<RateLimits>,
    meter: Option<Arc<Meter>>,
}

impl ClaudeClient {
    /// A client with connections of its own. Opens none yet.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::error::ClaudeError::InvalidRequest) for a base URL, key or beta that cannot be sent.
    pub fn new(config: ClaudeConfig) -> ClaudeResult<Self> {
        let pool = ConnectionPoolConfig {
            connection_timeout: config.timeouts.connect,
            max_connections_per_host: config.max_concurrency,
            ..ConnectionPoolConfig::default()
        };
        Self::with_pool(config, Arc::new(HttpConnectionPool::new(pool)))
    }

    /// A client on connections shared with others. Of the pool's connect timeout and the client's, the shorter holds.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_pool(config: ClaudeConfig, pool: Arc<HttpConnectionPool>) -> ClaudeResult<Self> {
        Self::build(config, pool, None)
    }

    /// The same, recording into `metrics` what its requests take, use and meet: `gen_ai.client.*` and `claude.*` of the
    /// metrics catalogue.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn new_with_performance(
        config: ClaudeConfig,
        metrics: Arc<MetricsCollector>,
        pool: Arc<HttpConnectionPool>,
    ) -> ClaudeResult<Self> {
        let meter = Meter::new(&metrics, &config.base_url);
        Self::build(config, pool, Some(meter))
    }

    fn build(
        config: ClaudeConfig,
        pool: Arc<HttpConnectionPool>,
        meter: Option<Arc<Meter>>,
    ) -> ClaudeResult<Self> {
        let gauge = |of: fn(&Meter) -> Gauge| meter.as_deref().map(of);
        let shared = Shared {
            endpoint: Endpoint::new(&config)?,
            pool,
            budget: RetryBudget::new(),
            breaker: CircuitBreaker::new(gauge(Meter::circuit_state)),
            concurrency: Concurrency::new(config.max_concurrency, gauge(Meter::concurrency_limit)),
            rate_limits: Mutex::default(),
            meter,
            config,
        };
        Ok(ClaudeClient {
            shared: Arc::new(shared),
            cancel: CancellationToken::new(),
            cache: None,
            cached: Cached::LookUps,
        })
    }

    /// The same client, whose lists of models and token counts come from `cache` while they are fresh there.
    ///
    /// Those who ask for the same at the same time share one request. An answer is kept for the cache's own time, and
    /// only if it is a complete 200; it serves only requests with the same credential, address, version, betas and body.
    pub fn with_cache(&self, cache: ResponseCache) -> Self {
        ClaudeClient {
            cache: Some(cache),
            ..self.clone()
        }
    }

    /// The same client, whose messages, too, come from the cache that [`with_cache`](Self::with_cache) gave it or will
    /// give it. Answers are samples: with this, the same question gets the same one while it is fresh.
    ///
    /// A stream is kept as it was sent, once it came to its end without an error, and is given again as a stream. Of
    /// whole answers asked for at the same time one is sent for; streams under way are not shared. What came from the
    /// cache cost nothing: see [`MessageStream::is_replay`] and [`Answer::is_replay`].
    pub fn with_message_cache(&self) -> Self {
        ClaudeClient {
            cached: Cached::Messages,
            ..self.clone()
        }
    }

    /// The same client, whose every wait ends with [`Cancelled`](crate::error::ClaudeError::Cancelled) once `cancel` is
    /// cancelled: connecting, waiting for an answer, in the middle of a stream, backing off, or queueing.
    pub fn with_cancellation(&self, cancel: CancellationToken) -> Self {
        ClaudeClient {
            cancel,
            ..self.clone()
        }
    }

    /// What the last reply said is left of the API's rate limits.
    pub fn rate_limits(&self) -> RateLimits {
        self.shared.rate_limits.lock().clone()
    }

    /// How many requests may be under way at once now: lowered when the API is overloaded, raised by successes.
    pub fn concurrency_limit(&self) -> usize {
        self.shared.concurrency.limit()
    }

    /// The cache for answers to messages, where they may come from it.
    fn message_cache(&self) -> Option<&ResponseCache> {
        self.cache.as_ref().filter(|_| self.cached == Cached::Messages)
    }

    fn operation(&self, kind: RequestKind, model: &str) -> Operation {
        Operation::begin(self.shared.meter.as_ref(), kind, model)
    }
}

impl fmt::Debug for ClaudeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaudeClient")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
