//! Finding a series by name and tags, and making it the first time.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use papaya::{Equivalent, HashSet};
use parking_lot::Mutex;

use super::archive::Limits;
use super::catalogue;
use super::series::{Context, Nature, Series};
use super::tags::{CleanTags, MAX_NAME_BYTES, NO_TAGS, TagSet, cleaned, hash_of};
use super::types::{MetricKind, MetricUnit};

/// The series that takes what is recorded past the cap.
pub(crate) const OVERFLOW: &str = "metrics.overflow";

/// All series. Reading and finding take no lock; making one takes the lock of makers, which no reader holds.
#[derive(Debug)]
pub(crate) struct Registry {
    /// Random for each registry: tags may come from outside.
    hasher: RandomState,
    series: HashSet<Entry, BuildHasherDefault<HashIsKnown>>,
    making: Mutex<()>,
    max_series: usize,
    retention: u64,
    raw_samples: usize,
    context: Arc<Context>,
    overflow: Arc<Series>,
    /// How often a name and tags were given that had no series and got none.
    overflowed: AtomicU64,
}

impl Registry {
    pub(crate) fn new(max_series: usize, retention: u64, raw_samples: usize, context: Arc<Context>) -> Self {
        let nature = Nature {
            kind: MetricKind::Histogram,
            unit: MetricUnit::Count,
        };
        let limits = Limits {
            retention,
            raw_samples,
            bounds: &[],
        };
        let tags = CleanTags::new(NO_TAGS);
        let overflow = Series::new(0, OVERFLOW, tags, nature, limits, Arc::clone(&context));
        Registry {
            hasher: RandomState::default(),
            series: HashSet::default(),
            making: Mutex::new(()),
            max_series,
            retention,
            raw_samples,
            context,
            overflow: Arc::new(overflow),
            overflowed: AtomicU64::new(0),
        }
    }

    /// Runs `work` on the series, without touching its reference count.
    #[inline]
    pub(crate) fn with<T: TagSet + ?Sized, R>(
        &self,
        name: &str,
        tags: &T,
        nature: Nature,
        work: impl FnOnce(&Series) -> R,
    ) -> R {
        if let Some(hash) = hash_of(&self.hasher, name, tags) {
            let pinned = self.series.pin();
            if let Some(entry) = pinned.get(&Wanted { hash, name, tags }) {
                return work(&entry.0);
            }
        }
        work(&self.make(name, tags, nature))
    }

    /// The series, for keeping.
    pub(crate) fn resolve<T: TagSet + ?Sized>(&self, name: &str, tags: &T, nature: Nature) -> Arc<Series> {
        if let Some(hash) = hash_of(&self.hasher, name, tags) {
            let pinned = self.series.pin();
            if let Some(entry) = pinned.get(&Wanted { hash, name, tags }) {
                return Arc::clone(&entry.0);
            }
        }
        self.make(name, tags, nature)
    }

    #[cold]
    fn make<T: TagSet + ?Sized>(&self, name: &str, tags: &T, nature: Nature) -> Arc<Series> {
        let name = cleaned(name, MAX_NAME_BYTES);
        let tags = CleanTags::new(tags);
        let hash = hash_of(&self.hasher, &name, &tags).expect("cleaned tags are within the limits");
        let wanted = Wanted {
            hash,
            name: &name,
            tags: &tags,
        };
        let pinned = self.series.pin();
        if let Some(entry) = pinned.get(&wanted) {
            return Arc::clone(&entry.0);
        }
        let _one = self.making.lock();
        if let Some(entry) = pinned.get(&wanted) {
            return Arc::clone(&entry.0);
        }
        if pinned.len() >= self.max_series {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
            return Arc::clone(&self.overflow);
        }
        let limits = Limits {
            retention: self.retention,
            raw_samples: self.raw_samples,
            bounds: match nature.kind {
                MetricKind::Histogram => catalogue::bounds_of(&name),
                MetricKind::Counter | MetricKind::Gauge => &[],
            },
        };
        let context = Arc::clone(&self.context);
        let series = Arc::new(Series::new(hash, &name, tags, nature, limits, context));
        pinned.insert(Entry(Arc::clone(&series)));
        series
    }

    /// Calls `work` for every series, those of the cap included.
    pub(crate) fn each(&self, mut work: impl FnMut(&Series)) {
        let pinned = self.series.pin();
        for entry in &pinned {
            work(&entry.0);
        }
        if self.overflowed() > 0 {
            work(&self.overflow);
        }
    }

    /// Every series, those of the cap included, for work that takes longer than the registry should be held.
    pub(crate) fn all(&self) -> Vec<Arc<Series>> {
        let pinned = self.series.pin();
        let overflow = (self.overflowed() > 0).then_some(&self.overflow);
        let made = pinned.iter().map(|entry| &entry.0);
        made.chain(overflow).map(Arc::clone).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.series.pin().len()
    }

    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Entry(Arc<Series>);

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name && self.0.tags == other.0.tags
    }
}

impl Eq for Entry {}

/// A name and tags that are looked for, as the caller holds them.
struct Wanted<'a, T: ?Sized> {
    hash: u64,
    name: &'a str,
    tags: &'a T,
}

impl<T: ?Sized> Hash for Wanted<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<T: TagSet + ?Sized> Equivalent<Entry> for Wanted<'_, T> {
    fn equivalent(&self, entry: &Entry) -> bool {
        let series = &entry.0;
        series.hash == self.hash
            && *series.name == *self.name
            && series.tags.count() == self.tags.count()
            && self
                .tags
                .pairs()
                .all(|(key, value)| series.tags.get(key) == Some(value))
    }
}

/// Hands on the hash that an entry already knows.
#[derive(Default)]
struct HashIsKnown(u64);

impl Hasher for HashIsKnown {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used by `Entry` and `Wanted`; right nevertheless.
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
