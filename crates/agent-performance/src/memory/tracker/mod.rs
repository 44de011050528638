//! What is alive, by type: counts, bytes, ages; and which of it looks like a leak.
//!
//! Real resources hold a [`Tracked`] value, which ends with them: then the age of every single one is known.
//! [`ResourceTracker::track_allocation`] and [`ResourceTracker::track_deallocation`] are for code that has nowhere
//! to keep such a value; they know how many there are, not which, and take the oldest to end first.

mod account;
mod leaks;
mod window;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;

use crate::clock::{Clock, millis};
use account::{Account, Instance};
pub use leaks::{Growth, LeakEvidence, LeakSuspect, Untouched};

/// Types beyond the limit are counted together under this name.
pub const OVERFLOW_TYPE: &str = "(other)";

/// Types known by name. The product has about ten; names come from program text, so more means a mistake.
const MAX_TYPES: usize = 256;

/// Live resources of one type whose ages are known one by one; beyond, they are only counted. Enough for every
/// session, child and connection at once, and about 100 KiB a type.
const MAX_INSTANCES: usize = 1024;

/// Characters kept of a type's name or an instance's label.
const MAX_NAME: usize = 128;

/// How a tracker behaves.
#[derive(Clone, Debug)]
pub struct TrackerConfig {
    /// Over what time growth is judged. Longer than the common life of a resource: what is being filled for the
    /// first time can't be told from a leak within its first lifetime. Default 10 min.
    pub observation_window: Duration,
    /// Types known by name.
    pub max_types: usize,
    /// Live resources of each type whose ages are known one by one.
    pub max_instances: usize,
    /// By what time resources age.
    pub clock: Clock,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        TrackerConfig {
            observation_window: Duration::from_secs(600),
            max_types: MAX_TYPES,
            max_instances: MAX_INSTANCES,
            clock: Clock::system(),
        }
    }
}

/// What is known of one type of resource.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResourceInfo {
    /// Alive now.
    pub count: u64,
    /// Bytes they hold now.
    pub total_size: u64,
    /// When the type was first seen.
    pub created_at: DateTime<Utc>,
    /// When one of them was last made, ended or touched.
    pub last_accessed: DateTime<Utc>,
    /// The most that were alive at one time.
    pub peak_count: u64,
    /// Made since the start.
    pub allocations: u64,
    /// Ended since the start.
    pub deallocations: u64,
    /// Of those alive, how many are counted without a known age, because there are too many.
    pub unlisted: u64,
}

/// What the tracker tells about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TrackerStats {
    /// Types known by name.
    pub types: usize,
    /// Deallocations of what was never allocated, or not in that size. They change no count below zero.
    pub anomalies: u64,
    /// Allocations of types beyond the limit.
    pub overflowed: u64,
}

/// How many of a type its owner allows. Below it neither age nor growth is evidence: a cache may fill and rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedLimit {
    /// Live resources.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Keeps the account of live resources. Clones share one.
#[derive(Clone)]
pub struct ResourceTracker {
    inner: Arc<Inner>,
}

struct Inner {
    kinds: RwLock<HashMap<Box<str>, ResourceKind>>,
    overflow: ResourceKind,
    overflowed: AtomicU64,
    /// Of types that were never seen; the others are counted in their accounts.
    unknown: AtomicU64,
    config: TrackerConfig,
}

/// One type, looked up once. Clones share one account.
#[derive(Clone)]
pub struct ResourceKind {
    shared: Arc<Shared>,
}

struct Shared {
    name: Box<str>,
    clock: Clock,
    account: Mutex<Account>,
}

/// One live resource. It ends with this value.
#[must_use = "the resource counts as ended when this is dropped"]
pub struct Tracked {
    kind: ResourceKind,
    /// Absent when too many of the type are alive: then it is only counted.
    instance: Option<(u64, Arc<Instance>)>,
    size: AtomicU64,
}

impl ResourceTracker {
    /// A tracker with the default configuration.
    pub fn new() -> Self {
        Self::with_config(TrackerConfig::default())
    }

    /// A tracker of one's own making.
    pub fn with_config(config: TrackerConfig) -> Self {
        ResourceTracker {
            inner: Arc::new(Inner {
                kinds: RwLock::default(),
                overflow: ResourceKind::new(OVERFLOW_TYPE, &config),
                overflowed: AtomicU64::new(0),
                unknown: AtomicU64::new(0),
                config,
            }),
        }
    }

    /// The type called `name`, for those who track often. Beyond the limit on types, [`OVERFLOW_TYPE`].
    pub fn kind(&self, name: &str) -> ResourceKind {
        let name = shortened(name);
        if let Some(kind) = self.inner.kinds.read().get(name) {
            return kind.clone();
        }
        let mut kinds = self.inner.kinds.write();
        if let Some(kind) = kinds.get(name) {
            return kind.clone();
        }
        if kinds.len() >= self.inner.config.max_types {
            self.inner.overflowed.fetch_add(1, Ordering::Relaxed);
            return self.inner.overflow.clone();
        }
        let kind = ResourceKind::new(name, &self.inner.config);
        kinds.insert(name.into(), kind.clone());
        kind
    }

    /// One more resource, which ends when the returned value is dropped.
    pub fn track(&self, resource_type: &str, size: u64) -> Tracked {
        self.kind(resource_type).track(size)
    }

    /// One more resource of `size` bytes.
    pub fn track_allocation(&self, resource_type: &str, size: u64) {
        let kind = self.kind(resource_type);
        kind.shared
            .account
            .lock()
            .begin_anonymous(kind.shared.clock.about_now_ms(), size);
    }

    /// One resource of `size` bytes less. Ending what never began changes nothing but the count of anomalies.
    pub fn track_deallocation(&self, resource_type: &str, size: u64) {
        let name = shortened(resource_type);
        let kind = {
            let kinds = self.inner.kinds.read();
            match kinds.get(name) {
                Some(kind) => kind.clone(),
                None if kinds.len() >= self.inner.config.max_types => self.inner.overflow.clone(),
                None => {
                    self.inner.unknown.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        };
        kind.shared
            .account
            .lock()
            .end_anonymous(kind.shared.clock.about_now_ms(), size);
    }

    /// What is alive, by type.
    pub fn get_resource_info(&self) -> HashMap<String, ResourceInfo> {
        let info = |kind: &ResourceKind| (kind.shared.name.to_string(), kind.info());
        self.all_kinds().iter().map(info).collect()
    }

    /// Types that look like leaks: live instances untouched for longer than `threshold`, or growth over the whole
    /// observation window that neither more traffic nor an expected limit explains. Sorted by name.
    pub fn detect_leaks(&self, threshold: Duration) -> Vec<LeakSuspect> {
        let now = self.inner.config.clock.about_now_ms();
        let mut suspects: Vec<LeakSuspect> = self
            .all_kinds()
            .iter()
            .filter_map(|kind| {
                leaks::suspect(
                    &kind.shared.name,
                    &mut kind.shared.account.lock(),
                    now,
                    millis(threshold),
                )
            })
            .collect();
        suspects.sort_by(|a, b| a.resource_type.cmp(&b.resource_type));
        suspects
    }

    /// What went wrong in tracking itself.
    pub fn stats(&self) -> TrackerStats {
        let kinds = self.all_kinds();
        let counted: u64 = kinds
            .iter()
            .map(|kind| kind.shared.account.lock().anomalies)
            .sum();
        TrackerStats {
            types: self.inner.kinds.read().len(),
            anomalies: counted + self.inner.unknown.load(Ordering::Relaxed),
            overflowed: self.inner.overflowed.load(Ordering::Relaxed),
        }
    }

    /// Every known type, and the overflow once it is used.
    fn all_kinds(&self) -> Vec<ResourceKind> {
        let mut kinds: Vec<_> = self.inner.kinds.read().values().cloned().collect();
        if self.inner.overflowed.load(Ordering::Relaxed) > 0 {
            kinds.push(self.inner.overflow.clone());
        }
        kinds
    }
}

impl ResourceKind {
    fn new(name: &str, config: &TrackerConfig) -> Self {
        let account = Account::new(
            config.clock.about_now_ms(),
            millis(config.observation_window),
            config.max_instances,
        );
        ResourceKind {
            shared: Arc::new(Shared {
                name: name.into(),
                clock: config.clock.clone(),
                account: Mutex::new(account),
            }),
        }
    }

    /// One more resource of `size` bytes, which ends when the returned value is dropped.
    pub fn track(&self, size: u64) -> Tracked {
        self.track_as(size, None)
    }

    /// As [`track`](Self::track), with a name by which evidence calls it. No secrets: it is shown and logged.
    pub fn track_labelled(&self, size: u64, label: &str) -> Tracked {
        self.track_as(size, Some(shortened(label)))
    }

    fn track_as(&self, size: u64, label: Option<&str>) -> Tracked {
        let now = self.shared.clock.about_now_ms();
        Tracked {
            instance: self.shared.account.lock().begin(now, size, label),
            kind: self.clone(),
            size: AtomicU64::new(size),
        }
    }

    /// Says how many its owner allows, so that filling up to there is no suspicion.
    pub fn expect_at_most(&self, limit: ExpectedLimit) {
        self.shared.account.lock().expected = Some(limit);
    }

    fn info(&self) -> ResourceInfo {
        let account = self.shared.account.lock();
        ResourceInfo {
            count: account.count(),
            total_size: account.bytes(),
            created_at: self.shared.clock.wall(account.created.saturating_mul(1_000)),
            last_accessed: self
                .shared
                .clock
                .wall(account.last_accessed().saturating_mul(1_000)),
            peak_count: account.peak_count,
            allocations: account.allocations,
            deallocations: account.deallocations,
            unlisted: account.unlisted(),
        }
    }
}

impl Tracked {
    /// Says that the resource is in use. Costs a reading of the coarse clock and one store.
    pub fn touch(&self) {
        if let Some((_, instance)) = &self.instance {
            instance
                .touched
                .store(self.kind.shared.clock.about_now_ms(), Ordering::Relaxed);
        }
    }

    /// The resource now holds `size` bytes. Counts as a touch.
    pub fn resize(&self, size: u64) {
        let now = self.kind.shared.clock.about_now_ms();
        let mut account = self.kind.shared.account.lock();
        // Under the lock, so that two resizes can't cross.
        let before = self.size.swap(size, Ordering::Relaxed);
        account.resize(
            now,
            before,
            size,
            self.instance.as_ref().map(|(_, instance)| &**instance),
        );
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let now = self.kind.shared.clock.about_now_ms();
        let size = *self.size.get_mut();
        let listed = self.instance.as_ref().map(|(id, _)| *id);
        self.kind.shared.account.lock().end(now, size, listed);
    }
}

/// As much of a name as is kept, cut between characters.
fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

impl Default for ResourceTracker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ResourceTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.get_resource_info()).finish()
    }
}

impl fmt::Debug for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResourceKind").field(&self.shared.name).finish()
    }
}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked")
            .field("kind", &self.kind.shared.name)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
