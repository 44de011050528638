use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::flight::Flights;
use super::inner::Inner;
use super::metrics::CacheMetrics;
use super::store::{Entry, Store};
use super::tier::Tier;
use super::{CacheLimits, CacheStats, CachedResponse, Lookup, RequestCaching, SharedCacheStats};
use crate::memory::{ExpectedLimit, ResourceKind, ResourceTracker};
use crate::metrics::MetricsCollector;
use crate::shared::Shared;

/// Slots looked at per hold of the lock while sweeping: some tens of microseconds.
const SWEEP_STEP: usize = 1024;

/// Bytes under keys, for a time. Clones are the same cache.
///
/// In memory, nothing here waits. [With a shared store](Self::with_shared), look-ups that the memory misses wait for it, and
/// `invalidate` and `clear` until other replicas are told, each within the store's time-out; `put` never waits. Locks are
/// held for the work on one entry and never across an await.
#[derive(Clone)]
pub struct ResponseCache {
    pub(super) inner: Arc<Inner>,
    pub(super) tier: Option<Arc<Tier>>,
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
                removals: AtomicU64::new(0),
            }),
            tier: None,
        }
    }

    /// The same memory, and behind it what replicas share in `shared`: what the memory misses is looked up there, what is
    /// stored goes there too, and a removal reaches the memory of every replica that is connected, or else as soon as it is
    /// connected again.
    ///
    /// Values over 1 MiB and keys over 512 bytes stay in memory. Coalescing is for each replica by itself. Records
    /// `shared.cache_*` into `collector`. While the store is down this is the cache that it was.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn with_shared(self, shared: &Shared, collector: Option<&MetricsCollector>) -> Self {
        let tier = Tier::start(shared.clone(), Arc::downgrade(&self.inner), collector);
        ResponseCache {
            tier: Some(tier),
            ..self
        }
    }

    /// What is stored under `key` and not expired. Counts a hit or a miss; `None` uncounted while the cache is off.
    pub async fn get(&self, key: &str) -> Option<Bytes> {
        self.lookup(key, RequestCaching::Use).await.into_value()
    }

    /// [`get`](Self::get) as far as `caching` allows, with the age of what was found.
    pub async fn lookup(&self, key: &str, caching: RequestCaching) -> Lookup {
        let Some(max_age) = caching.max_age().filter(|_| self.is_enabled()) else {
            self.inner.bypassed();
            return Lookup::Bypass;
        };
        if let Some((value, age)) = self.inner.find(key, max_age) {
            return Lookup::Hit { value, age };
        }
        match self.find_shared(key, max_age).await {
            Some((value, age)) => Lookup::Hit { value, age },
            None => {
                self.inner.missed();
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
                    self.inner.store().counts.hits -= 1;
                    self.inner.missed();
                    // Other replicas are told behind this request's back.
                    let _removal = self.remove(key);
                    Lookup::Miss
                }
            },
            Lookup::Miss => Lookup::Miss,
            Lookup::Bypass => Lookup::Bypass,
        }
    }

    /// What this process's own memory holds of what [`put_response`](Self::put_response) stored, with its age. Counts a hit;
    /// where there is none nothing is counted, because the caller goes on to ask in a way that also reaches further.
    pub fn held_response(&self, key: &str, caching: RequestCaching) -> Option<(CachedResponse, Duration)> {
        let max_age = caching.max_age().filter(|_| self.is_enabled())?;
        let (value, age) = self.inner.find(key, max_age)?;
        let response = CachedResponse::decode(value);
        if response.is_none() {
            // Who asks on finds the same bytes, and removes them.
            self.inner.store().counts.hits -= 1;
        }
        Some((response?, age))
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
    ///
    /// Gone from this replica at once. With a shared store also from there and from other replicas, which is waited for as
    /// long as for one command; it is made up for later where that was too short.
    pub async fn invalidate(&self, key: &str) {
        let removal = self.remove(key);
        self.settled(removal).await;
    }

    /// Removes everything; fetches under way store nothing. The figures go on counting. Waits as
    /// [`invalidate`](Self::invalidate) does.
    pub async fn clear(&self) {
        let removal = self
            .inner
            .drop_all(|| self.tier.as_ref().and_then(|tier| tier.remove(None)));
        self.settled(removal).await;
    }

    /// Exact, and all of one moment.
    pub fn get_stats(&self) -> CacheStats {
        self.inner.stats()
    }

    /// What came of the part that replicas share; `None` without one.
    pub fn get_shared_stats(&self) -> Option<SharedCacheStats> {
        self.tier.as_ref().map(|tier| tier.stats())
    }

    /// Removes what has expired; returns the bytes freed. Others can use the cache meanwhile.
    pub fn cleanup_expired(&self) -> usize {
        let now = Instant::now();
        let mut freed = 0;
        let mut from = 0;
        loop {
            let swept = self.inner.store().sweep(from, SWEEP_STEP, now);
            let Some(gone) = swept else { break };
            freed += weight_of(&gone);
            from += SWEEP_STEP;
        }
        self.inner.changed(freed > 0);
        freed
    }

    /// Evicts until at most `bytes` are held; returns the bytes freed. The limit stays: the cache may fill again.
    pub fn shrink_to(&self, bytes: usize) -> usize {
        let now = Instant::now();
        let gone = self.inner.store().shrink_to(bytes, now);
        self.inner.changed(!gone.is_empty());
        weight_of(&gone)
    }

    /// Evicts half of the bytes held: the answer to memory pressure. Returns the bytes freed.
    pub fn halve(&self) -> usize {
        let now = Instant::now();
        let gone = {
            let mut store = self.inner.store();
            let half = store.bytes() / 2;
            store.shrink_to(half, now)
        };
        self.inner.changed(!gone.is_empty());
        weight_of(&gone)
    }

    /// Turns the cache off and empties it, or on again. While it is off every look-up is a bypass and nothing is stored.
    pub fn set_enabled(&self, enabled: bool) {
        let gone = self.inner.flights.overtake_all(|| {
            self.inner.removals.fetch_add(1, Ordering::AcqRel);
            let mut store = self.inner.store();
            self.inner.enabled.store(enabled, Ordering::Release);
            (!enabled).then(|| store.clear())
        });
        self.inner.changed(gone.is_some());
    }

    /// False after [`set_enabled(false)`](Self::set_enabled).
    pub fn is_enabled(&self) -> bool {
        self.inner.is_enabled()
    }

    #[cfg(test)]
    pub(super) fn waiting_for(&self, key: &str) -> usize {
        self.inner.flights.waiting(key)
    }

    /// What replicas share under `key`, kept in memory from now on.
    pub(super) async fn find_shared(&self, key: &str, max_age: Duration) -> Option<(Bytes, Duration)> {
        let tier = self.tier.as_ref()?;
        let removals = self.inner.removals();
        let found = tier.get(key).await?;
        if found.age > max_age {
            return None;
        }
        self.inner.promote(key, &found, removals);
        self.inner.found_elsewhere();
        Some((found.value, found.age))
    }

    /// A put from outside is newer than any fetch under way.
    fn put_owned(&self, key: &str, value: Bytes, ttl: Option<Duration>) {
        self.inner.flights.overtake(key, || self.put_now(key, value, ttl));
    }

    pub(super) fn put_now(&self, key: &str, value: Bytes, ttl: Option<Duration>) {
        if !self.is_enabled() {
            return;
        }
        let ttl = ttl.unwrap_or(self.inner.ttl);
        if let Some(tier) = &self.tier {
            tier.put(key, &value, ttl);
        }
        self.inner.put_now(key, value, ttl);
    }

    fn remove(&self, key: &str) -> Removal {
        self.inner
            .drop_one(key, || self.tier.as_ref().and_then(|tier| tier.remove(Some(key))))
    }

    async fn settled(&self, removal: Removal) {
        if let Some(tier) = &self.tier {
            tier.settled(removal).await;
        }
    }
}

/// Told when a removal has reached the shared store.
type Removal = Option<tokio::sync::oneshot::Receiver<()>>;

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
