//! A bounded cache of complete responses, in memory and, for several replicas, in a store that they share.
//!
//! [`ResponseCache`] keeps bytes under a key for a time. Bounds on entries and bytes hold at every moment, every
//! figure of [`CacheStats`] is exact, and requests for the same thing at the same time become one
//! ([`ResponseCache::get_or_fetch`]). [`CacheKey`] is the only safe way to name a response; [`RequestCaching`] says
//! what a request allows; [`CachedResponse`] and [`StreamRecorder`] keep a response, streams with the boundaries of
//! their chunks.
//!
//! Eviction is SIEVE: a queue in order of arrival, a mark set by each hit, and a hand that passes marked entries
//! over once. It costs O(1), a hit moves nothing, and one-time entries leave before those that were asked for again.
//! The store is our own because ready-made ones settle evictions and figures some time later, and cannot be shrunk
//! while they run.
//!
//! [`ResponseCache::with_shared`] adds the second tier. The memory answers first, and alone while the shared store is down.
//!
//! What may be cached for how long is the caller's to decide; nothing here knows what a response means.

mod directives;
mod flight;
mod get_or_fetch;
mod inner;
mod key;
mod limits;
mod lookup;
mod metrics;
mod recorder;
mod recording;
mod response;
mod response_cache;
mod stats;
mod store;
mod tier;

#[cfg(test)]
mod tests;

pub use directives::{RequestCaching, storable};
pub use flight::FetchError;
pub use key::{CacheKey, KeyParts, Tenant};
pub use limits::CacheLimits;
pub use lookup::{CacheStatus, Fetched, Found, Lookup, Source};
pub use recorder::{RecordLimits, StreamRecorder};
pub use recording::RecordingBody;
pub use response::{CachedResponse, ReplayBody};
pub use response_cache::ResponseCache;
pub use stats::CacheStats;
pub use tier::SharedCacheStats;
