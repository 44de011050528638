use std::fmt;
use std::time::Duration;

use bytes::Bytes;

/// What the cache did for an answer: the value of its `x-cache` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// It came from the cache.
    Hit,
    /// The cache was asked and had nothing.
    Miss,
    /// The cache was not asked.
    Bypass,
}

impl CacheStatus {
    /// `hit`, `miss` or `bypass`.
    pub fn as_str(self) -> &'static str {
        match self {
            CacheStatus::Hit => "hit",
            CacheStatus::Miss => "miss",
            CacheStatus::Bypass => "bypass",
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a look-up gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T = Bytes> {
    /// It was there.
    Hit {
        /// What was stored.
        value: T,
        /// How long ago.
        age: Duration,
    },
    /// It was not there, or no longer fresh.
    Miss,
    /// The request forbade looking, or the cache is off.
    Bypass,
}

impl<T> Lookup<T> {
    /// For the `x-cache` header.
    pub fn status(&self) -> CacheStatus {
        match self {
            Lookup::Hit { .. } => CacheStatus::Hit,
            Lookup::Miss => CacheStatus::Miss,
            Lookup::Bypass => CacheStatus::Bypass,
        }
    }

    /// For the `age` header, in whole seconds; only a hit has one.
    pub fn age_seconds(&self) -> Option<u64> {
        match self {
            Lookup::Hit { age, .. } => Some(age.as_secs()),
            Lookup::Miss | Lookup::Bypass => None,
        }
    }

    /// What was found.
    pub fn into_value(self) -> Option<T> {
        match self {
            Lookup::Hit { value, .. } => Some(value),
            Lookup::Miss | Lookup::Bypass => None,
        }
    }
}

/// What a fetch brought, and whether it may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// To be stored.
    Keep {
        /// The answer.
        value: Bytes,
        /// How long; `None` is the cache's default.
        ttl: Option<Duration>,
    },
    /// For those who asked now, and not to be stored.
    Pass(Bytes),
}

impl Fetched {
    /// The answer.
    pub fn value(&self) -> &Bytes {
        match self {
            Fetched::Keep { value, .. } | Fetched::Pass(value) => value,
        }
    }

    /// The answer.
    pub fn into_value(self) -> Bytes {
        match self {
            Fetched::Keep { value, .. } | Fetched::Pass(value) => value,
        }
    }
}

/// Where the answer of [`get_or_fetch`](super::ResponseCache::get_or_fetch) came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the cache, stored this long ago.
    Cached {
        /// How long ago.
        age: Duration,
    },
    /// This caller's own fetch.
    Fetched,
    /// The fetch of another caller who asked for the same at the same time.
    Shared,
    /// This caller's own fetch; the cache was not asked.
    Bypassed,
}

/// An answer, with where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The answer.
    pub value: Bytes,
    /// Where it came from.
    pub source: Source,
}

impl Found {
    /// For the `x-cache` header.
    pub fn status(&self) -> CacheStatus {
        match self.source {
            Source::Cached { .. } => CacheStatus::Hit,
            Source::Fetched | Source::Shared => CacheStatus::Miss,
            Source::Bypassed => CacheStatus::Bypass,
        }
    }

    /// For the `age` header, in whole seconds; only what was cached has one.
    pub fn age_seconds(&self) -> Option<u64> {
        match self.source {
            Source::Cached { age } => Some(age.as_secs()),
            Source::Fetched | Source::Shared | Source::Bypassed => None,
        }
    }
}
