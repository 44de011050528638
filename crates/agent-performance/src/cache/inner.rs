//! What all clones of a cache share: the memory, the fetches under way, the figures.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::CacheStats;
use super::flight::Flights;
use super::metrics::CacheMetrics;
use super::store::{Hit, Lifetime, Store, weight};
use super::tier::SharedEntry;
use crate::memory::ResourceKind;

pub(super) struct Inner {
    pub(super) enabled: AtomicBool,
    pub(super) ttl: Duration,
    /// Locked inside of `flights` where both are.
    pub(super) store: Mutex<Store>,
    pub(super) flights: Flights,
    pub(super) metrics: CacheMetrics,
    pub(super) resources: Option<ResourceKind>,
    /// Counts removals, so that what was read elsewhere before one is not kept after it.
    pub(super) removals: AtomicU64,
}

impl Inner {
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock()
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    pub(super) fn removals(&self) -> u64 {
        self.removals.load(Ordering::Acquire)
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
                self.metrics.hit();
                Some((value, age))
            }
            Hit::Absent => None,
            Hit::Expired(_) => {
                self.changed(true);
                None
            }
        }
    }

    pub(super) fn put_now(&self, key: &str, value: Bytes, ttl: Duration) {
        let now = Instant::now();
        let lifetime = Lifetime {
            stored: now,
            // Past the end of the clock is never.
            expires: now.checked_add(ttl),
        };
        self.keep(key, value, now, lifetime, |_| true);
    }

    /// Keeps what was found in the shared store, as old as it is, unless something was removed since `removals`, or the
    /// memory has something newer.
    pub(super) fn promote(&self, key: &str, entry: &SharedEntry, removals: u64) {
        let now = Instant::now();
        // The clock may not reach back as far as an entry from before the machine's start.
        let (Some(stored), Some(expires)) = (now.checked_sub(entry.age), now.checked_add(entry.left)) else {
            return;
        };
        let lifetime = Lifetime {
            stored,
            expires: Some(expires),
        };
        self.keep(key, entry.value.clone(), now, lifetime, |store| {
            let newer =
                matches!(store.find(key, now), Hit::Fresh { stored: held, .. } if held >= lifetime.stored);
            !newer && self.removals() == removals
        });
    }

    fn keep(
        &self,
        key: &str,
        value: Bytes,
        now: Instant,
        lifetime: Lifetime,
        wanted: impl FnOnce(&mut Store) -> bool,
    ) {
        let size = weight(key, &value) as u64;
        let tracked = self.resources.as_ref().map(|kind| kind.track(size));
        let gone = {
            let mut store = self.store();
            if !self.is_enabled() || !wanted(&mut store) {
                return;
            }
            store.put(key, value, now, lifetime, tracked)
        };
        drop(gone);
        self.changed(true);
    }

    /// Removes what is under `key`, also from what is fetched at the moment. `also` runs with it, in the same order for all.
    pub(super) fn drop_one<T>(&self, key: &str, also: impl FnOnce() -> T) -> T {
        let (gone, also) = self.flights.overtake(key, || {
            self.removals.fetch_add(1, Ordering::AcqRel);
            (self.store().invalidate(key), also())
        });
        self.changed(gone.is_some());
        also
    }

    /// The same for everything.
    pub(super) fn drop_all<T>(&self, also: impl FnOnce() -> T) -> T {
        let (gone, also) = self.flights.overtake_all(|| {
            self.removals.fetch_add(1, Ordering::AcqRel);
            (self.store().clear(), also())
        });
        drop(gone);
        self.changed(true);
        also
    }

    /// Counts a hit in the shared store.
    pub(super) fn found_elsewhere(&self) {
        self.store().counts.hits += 1;
        self.metrics.hit();
    }

    pub(super) fn missed(&self) {
        self.store().counts.misses += 1;
        self.metrics.miss();
    }

    pub(super) fn coalesced(&self) {
        let mut store = self.store();
        store.counts.misses += 1;
        store.counts.coalesced += 1;
        drop(store);
        self.metrics.coalesced();
    }

    pub(super) fn bypassed(&self) {
        self.store().counts.bypasses += 1;
        self.metrics.bypass();
    }

    pub(super) fn stats(&self) -> CacheStats {
        self.store().stats()
    }

    /// Publishes what is held and what was dropped.
    pub(super) fn changed(&self, changed: bool) {
        if changed {
            self.metrics.changed(|| self.stats());
        }
    }
}
