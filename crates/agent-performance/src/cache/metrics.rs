use parking_lot::Mutex;

use super::CacheStats;
use crate::metrics::{Counter, Gauge, MetricUnit, MetricsCollector, NO_TAGS};

/// Where a cache records what it does; nowhere by default.
#[derive(Default)]
pub(super) struct CacheMetrics(Option<Handles>);

struct Handles {
    hits: Counter,
    misses: Counter,
    coalesced: Counter,
    bypasses: Counter,
    insertions: Counter,
    evictions: Counter,
    expirations: Counter,
    refused: Counter,
    entries: Gauge,
    bytes: Gauge,
    /// What was told last. Differences are told, so that several caches add up under the same names.
    told: Mutex<CacheStats>,
}

impl CacheMetrics {
    pub(super) fn new(collector: &MetricsCollector) -> Self {
        let counter = |name| collector.counter(name, NO_TAGS);
        CacheMetrics(Some(Handles {
            hits: counter("cache.hits"),
            misses: counter("cache.misses"),
            coalesced: counter("cache.coalesced"),
            bypasses: counter("cache.bypasses"),
            insertions: counter("cache.insertions"),
            evictions: counter("cache.evictions"),
            expirations: counter("cache.expirations"),
            refused: counter("cache.refused"),
            entries: collector.gauge("cache.entries", MetricUnit::Count, NO_TAGS),
            bytes: collector.gauge("cache.bytes", MetricUnit::Bytes, NO_TAGS),
            told: Mutex::default(),
        }))
    }

    pub(super) fn hit(&self) {
        if let Some(handles) = &self.0 {
            handles.hits.increment(1);
        }
    }

    pub(super) fn miss(&self) {
        if let Some(handles) = &self.0 {
            handles.misses.increment(1);
        }
    }

    pub(super) fn coalesced(&self) {
        if let Some(handles) = &self.0 {
            handles.misses.increment(1);
            handles.coalesced.increment(1);
        }
    }

    pub(super) fn bypass(&self) {
        if let Some(handles) = &self.0 {
            handles.bypasses.increment(1);
        }
    }

    /// Tells what changed in the table. `stats` is read under the lock: what is told last is what is newest.
    pub(super) fn changed(&self, stats: impl FnOnce() -> CacheStats) {
        let Some(handles) = &self.0 else { return };
        let mut told = handles.told.lock();
        let now = stats();
        handles.insertions.increment(now.insertions - told.insertions);
        handles.evictions.increment(now.evictions - told.evictions);
        handles.expirations.increment(now.expirations - told.expirations);
        handles.refused.increment(now.refused - told.refused);
        handles.entries.add(now.entries as f64 - told.entries as f64);
        handles.bytes.add(now.bytes as f64 - told.bytes as f64);
        *told = now;
    }
}

impl Drop for CacheMetrics {
    /// A cache that is gone holds nothing.
    fn drop(&mut self) {
        if let Some(handles) = &mut self.0 {
            let told = handles.told.get_mut();
            handles.entries.add(-(told.entries as f64));
            handles.bytes.add(-(told.bytes as f64));
        }
    }
}
