//! HTTP connections: limited per host, reused, counted; one connector for all of them.
//!
//! No ready-made client enforces a limit on connections, so two permits do it here: one is held by the request
//! until its response body ends, the other lives inside the connection until its socket closes.
//!
//! HTTP/1.1, and HTTP/2 where an origin offers it under TLS; there one connection carries as many requests at once as an
//! origin may have connections. No redirects, no retries, no cookies: callers see what the server said.

mod body;
mod client;
mod config;
mod connector;
mod direct;
mod error;
mod io;
mod metrics;
mod origin;
mod pool;
mod proxy;
mod request_body;
mod stats;
mod tls;

#[cfg(test)]
mod tests;

pub use body::PooledBody;
pub use client::{HttpClient, SendLimits};
pub use config::{AddressFilter, ConnectionPoolConfig};
pub use direct::wire::Malformed;
pub use error::{AnswerError, ConnectFailure, PoolError, SendError};
pub use pool::HttpConnectionPool;
pub use proxy::{ProxyError, ProxySettings};
pub use request_body::RequestBody;
pub use stats::ConnectionPoolStats;

// Those who write code against this module look for the cache here, too.
pub use crate::cache::{CacheStats, ResponseCache};
