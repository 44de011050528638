use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::flight::Flights;
use super::metrics::CacheMetrics;
use super::store::{Entry, Hit, Store, weight};
use super::{CacheLimits, CacheStats, CachedResponse, Lookup, RequestCaching};
use crate::memory::{ExpectedLimit, ResourceKind, ResourceTracker};
use crate::metrics::MetricsCollector;

/// Slots looked at per hold of the lock while sweeping: some tens of microseconds.
const SWEEP_STEP: usize = 1024;

/// Bytes under keys, for a time. Clones are the same cache.
///
/// `get`, `put`, `invalidate` and `clear` are async because a cache shared between machines has to wait for it; this one
/// never does. Locks are held for the work on one entry and never across an await.
#[derive(Clone)]
pub struct ResponseCache {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    enabled: AtomicBool,
    ttl: Duration,
    /// Locked inside of `flights` where both are.
    store: Mutex<Store>,
    pub(super) flights: Flights,
    metrics: CacheMetrics,
    resources: Option<ResourceKind>,
}

impl ResponseCache {
    /// Holds at most `max_bytes` **bytes** of keys and values (a configured number of megabytes is `mb << 20`), each entry
    /// for `ttl` unless `put` says otherwise, and no more than the default number of entries.
    pub fn new(max_bytes: usize, ttl: Duration) -> Self {
        Self::with_limits(CacheLimits {
            bytes: max_bytes,
            ttl,
            ..CacheLimits::default()
        })
    }

    /// With every limit named.
    pub fn with_limits(limits: CacheLimits) -> Self {
        Self::build(limits, CacheMetrics::default(), None)
    }

    /// The same, recording `cache.*` into `collector`.
    pub fn with_metrics(limits: CacheLimits, collector: &MetricsCollector) -> Self {
        Self::build(limits, CacheMetrics::new(collector), None)
    }

    /// The same, with each entry an account in `tracker` under `cache_entries`.
    pub fn with_observers(
        limits: CacheLimits,
        collector: &MetricsCollector,
        tracker: &ResourceTracker,
    ) -> Self {
        let resources = tracker.kind("cache_entries");
        // Entries rest until they are asked for: within the bounds, neither their age nor their growth is a leak.
        resources.expect_at_most(ExpectedLimit {
            count: limits.entries as u64,
            bytes: limits.bytes as u64,
        });
        Self::build(limits, CacheMetrics::new(collector), Some(resources))
    }

    fn build(limits: CacheLimits, metrics: CacheMetrics, resources: Option<ResourceKind>) -> Self {
        ResponseCache {
            inner: Arc::new(Inner {
                enabled: AtomicBool::new(true),
                ttl: limits.ttl,
                store: Mutex::new(Store::new(limits.entries, limits.bytes)),
                flights: Flights::default(),
                metrics,
                resources,
            }),
        }
    }

    /// What is stored under `key` and not expired. Counts a hit or a miss; `None` uncounted while the cache is off.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        self.lookup(key, RequestCaching::Use).await.into_value()
    }

    /// [`get`](Self::get) as far as `caching` allows, with the age of what was found.
    pub async fn lookup(&self, key: &str, caching: RequestCaching) -> Lookup {
        let Some(max_age) = caching.max_age().filter(|_| self.is_enabled()) else {
            self.bypassed();
            return Lookup::Bypass;
        };
        match self.find(key, max_age) {
            Some((value, age)) => Lookup::Hit { value, age },
            None => {
                self.missed();
                Lookup::Miss
            }
        }
    }

    /// [`lookup`](Self::lookup) of what [`put_response`](Self::put_response) stored. Other bytes under `key` are removed
    /// and count as a miss.
    pub async fn lookup_response(&self, key: &str, caching: RequestCaching) -> Lookup<CachedResponse> {
        match self.lookup(key, caching).await {
            Lookup::Hit { value, age } => match CachedResponse::decode(value) {
                Some(value) => Lookup::Hit { value, age },
                None => {
                    self.store().counts.hits -= 1;
                    self.missed();
                    self.invalidate(key).await;
                    Lookup::Miss
                }
            },
            Lookup::Miss => Lookup::Miss,
            Lookup::Bypass => Lookup::Bypass,
        }
    }

    /// Stores a copy of `value` for `ttl` (`None`: the cache's own), in place of what was under `key`.
    ///
    /// A copy, because a slice of a read buffer would keep the whole buffer alive, uncounted. An entry larger than the
    /// cache or without time to live is refused and counted; what was under the key goes in any case.
    pub async fn put(&self, key: String, value: Bytes, ttl: Option<Duration>) {
        self.put_owned(&key, Bytes::copy_from_slice(&value), ttl);
    }

    /// Stores a response under the same rules.
    pub async fn put_response(&self, key: &str, response: &CachedResponse, ttl: Option<Duration>) {
        self.put_owned(key, response.encode(), ttl);
    }

    /// Removes what is under `key`. A fetch for it that is under way still answers its callers, and stores nothing.
    pub async fn invalidate(&self, key: &str) {
        let gone = self.inner.flights.overtake(key, || self.store().invalidate(key));
        self.changed(gone.is_some());
    }

    /// Removes everything; fetches under way store nothing. The figures go on counting.
    pub async fn clear(&self) {
        let gone = self.inner.flights.overtake_all(|| self.store().clear());
        drop(gone);
        self.changed(true);
    }

    /// Exact, and all of one moment.
    pub fn get_stats(&self) -> CacheStats {
        self.store().stats()
    }

    /// Removes what has expired; returns the bytes freed. Others can use the cache meanwhile.
    pub fn cleanup_expired(&self) -> usize {
        let now = Instant::now();
        let mut freed = 0;
        let mut from = 0;
        loop {
            let swept = self.store().sweep(from, SWEEP_STEP, now);
            let Some(gone) = swept else { break };
            freed += weight_of(&gone);
            from += SWEEP_STEP;
        }
        self.changed(freed > 0);
        freed
    }

    /// Evicts until at most `bytes` are held; returns the bytes freed. The limit stays: the cache may fill again.
    pub fn shrink_to(&self, bytes: usize) -> usize {
        let now = Instant::now();
        let gone = self.store().shrink_to(bytes, now);
        self.changed(!gone.is_empty());
        weight_of(&gone)
    }

    /// Evicts half of the bytes held: the answer to memory pressure. Returns the bytes freed.
    pub fn halve(&self) -> usize {
        let now = Instant::now();
        let gone = {
            let mut store = self.store();
            let half = store.bytes() / 2;
            store.shrink_to(half, now)
        };
        self.changed(!gone.is_empty());
        weight_of(&gone)
    }

    /// Turns the cache off and empties it, or on again. While it is off every look-up is a bypass and nothing is stored.
    pub fn set_enabled(&self, enabled: bool) {
        let gone = self.inner.flights.overtake_all(|| {
            let mut store = self.store();
            self.inner.enabled.store(enabled, Ordering::Release);
            (!enabled).then(|| store.clear())
        });
        self.changed(gone.is_some());
    }

    /// False after [`set_enabled(false)`](Self::set_enabled).
    pub fn is_enabled(&self) -> bool {
        self.inner.enabled.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(super) fn waiting_for(&self, key: &str) -> usize {
        self.inner.flights.waiting(key)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.inner.store.lock()
    }

    /// Counts a hit, and leaves the miss to the caller, who may find the answer elsewhere.
    pub(super) fn find(&self, key: &str, max_age: Duration) -> Option<(Bytes, Duration)> {
        let now = Instant::now();
        let hit = {
            let mut store = self.store();
            let hit = store.find(key, now);
            if let Hit::Fresh { stored, .. } = &hit
                && now.saturating_duration_since(*stored) <= max_age
            {
                store.counts.hits += 1;
            }
            hit
        };
        match hit {
            Hit::Fresh { value, stored } => {
                let age = now.saturating_duration_since(stored);
                if age > max_age {
                    return None;
                }
                self.inner.metrics.hit();
                Some((value, age))
            }
            Hit::Absent => None,
            Hit::Expired(_) => {
                self.changed(true);
                None
            }
        }
    }

    /// A put from outside is newer than any fetch under way.
    fn put_owned(&self, key: &str, value: Bytes, ttl: Option<Duration>) {
        self.inner.flights.overtake(key, || self.put_now(key, value, ttl));
    }

    pub(super) fn put_now(&self, key: &str, value: Bytes, ttl: Option<Duration>) {
        let now = Instant::now();
        // Past the end of the clock is never.
        let expires = now.checked_add(ttl.unwrap_or(self.inner.ttl));
        let size = weight(key, &value) as u64;
        let tracked = self.inner.resources.as_ref().map(|kind| kind.track(size));
        let gone = {
            let mut store = self.store();
            if !self.is_enabled() {
                return;
            }
            store.put(key, value, now, expires, tracked)
        };
        drop(gone);
        self.changed(true);
    }

    pub(super) fn missed(&self) {
        self.store().counts.misses += 1;
        self.inner.metrics.miss();
    }

    pub(super) fn coalesced(&self) {
        let mut store = self.store();
        store.counts.misses += 1;
        store.counts.coalesced += 1;
        drop(store);
        self.inner.metrics.coalesced();
    }

    pub(super) fn bypassed(&self) {
        self.store().counts.bypasses += 1;
        self.inner.metrics.bypass();
    }

    /// Publishes what is held and what was dropped.
    fn changed(&self, changed: bool) {
        if changed {
            self.inner.metrics.changed(|| self.get_stats());
        }
    }
}

fn weight_of(gone: &[Entry]) -> usize {
    gone.iter().map(Entry::weight).sum()
}

impl fmt::Debug for ResponseCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCache")
            .field("enabled", &self.is_enabled())
            .field("stats", &self.get_stats())
            .finish_non_exhaustive()
    }
}
