//! One series: a name, its tags, and everything recorded under them.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::archive::Limits;
use super::gather::Gathered;
use super::raw::Sample;
use super::samples::{Samples, Totals};
use super::small_counts::{SMALL, SmallCounts};
use super::tags::CleanTags;
use super::types::{MetricKind, MetricUnit};
use crate::clock::Clock;

/// What the series of one collector share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) clock: Clock,
    /// Values that were not finite, and increments that were negative.
    pub(crate) refused: AtomicU64,
}

/// What a series is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nature {
    pub(crate) kind: MetricKind,
    pub(crate) unit: MetricUnit,
}

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) hash: u64,
    pub(crate) name: Box<str>,
    pub(crate) tags: CleanTags,
    pub(crate) nature: Nature,
    pub(crate) bounds: &'static [f64],
    context: std::sync::Arc<Context>,
    small: OnceLock<Box<SmallCounts>>,
    /// The last value of a gauge, as bits of a float.
    level: AtomicU64,
    /// The highest absolute value that a counter was set to.
    absolute: AtomicU64,
    samples: Samples,
}

impl Series {
    pub(crate) fn new(
        hash: u64,
        name: &str,
        tags: CleanTags,
        nature: Nature,
        limits: Limits,
        context: std::sync::Arc<Context>,
    ) -> Self {
        Series {
            hash,
            name: name.into(),
            tags,
            nature,
            bounds: limits.bounds,
            context,
            small: OnceLock::new(),
            level: AtomicU64::new(0f64.to_bits()),
            absolute: AtomicU64::new(0),
            samples: Samples::new(limits),
        }
    }

    /// Makes the fast path of [`increment`](Self::increment) ready.
    pub(crate) fn count_small(&self) {
        self.small.get_or_init(Box::default);
    }

    #[inline]
    pub(crate) fn increment(&self, by: u64) {
        match self.small.get() {
            Some(small) if by < SMALL as u64 => small.add(own_shard(), by as usize),
            _ => self.record(by as f64),
        }
    }

    pub(crate) fn raise_to(&self, absolute: u64) {
        let before = self.absolute.fetch_max(absolute, Ordering::Relaxed);
        if absolute > before {
            self.increment(absolute - before);
        }
    }

    /// Records an increment of any size; a counter does not fall.
    #[inline]
    pub(crate) fn add(&self, value: f64) {
        if value < 0.0 {
            self.refuse();
        } else {
            self.record_exactly(value);
        }
    }

    #[inline]
    pub(crate) fn record(&self, value: f64) {
        if value.is_finite() {
            self.record_at(value, self.context.clock.about_now());
        } else {
            self.refuse();
        }
    }

    /// As [`record`](Self::record), with the exact time: where a name is looked up, the clock's price matters less.
    pub(crate) fn record_exactly(&self, value: f64) {
        if value.is_finite() {
            self.record_at(value, self.context.clock.now());
        } else {
            self.refuse();
        }
    }

    #[inline]
    pub(crate) fn record_since(&self, start: std::time::Instant, per_second: f64) {
        let now = std::time::Instant::now();
        let value = now.saturating_duration_since(start).as_secs_f64() * per_second;
        self.record_at(value, self.context.clock.at(now));
    }

    #[inline]
    fn record_at(&self, value: f64, at: u64) {
        self.samples.record(own_shard(), Sample { value, at });
    }

    #[inline]
    pub(crate) fn set(&self, value: f64) {
        if value.is_finite() {
            self.level.store(value.to_bits(), Ordering::Relaxed);
        }
        self.record_exactly(value);
    }

    /// Moves the level by `delta`.
    pub(crate) fn shift(&self, delta: f64) {
        if !delta.is_finite() {
            return self.refuse();
        }
        let moved = |bits| Some((f64::from_bits(bits) + delta).to_bits());
        let before = self
            .level
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
        let before = before.expect("the update always gives a value");
        self.record(f64::from_bits(before) + delta);
    }

    pub(crate) fn level(&self) -> f64 {
        f64::from_bits(self.level.load(Ordering::Relaxed))
    }

    #[cold]
    fn refuse(&self) {
        self.context.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn gather(&self, into: &mut Gathered) {
        self.samples.gather(self.context.clock.now(), self.small(), into);
    }

    pub(crate) fn recent(&self) -> Vec<Sample> {
        self.samples.recent(self.context.clock.now(), self.small())
    }

    pub(crate) fn totals_into(&self, totals: &mut Totals) {
        self.samples
            .totals_into(self.context.clock.now(), self.small(), totals);
    }

    pub(crate) fn maintain(&self) {
        self.samples.maintain(self.context.clock.now(), self.small());
    }

    fn small(&self) -> Option<&SmallCounts> {
        self.small.get().map(|small| &**small)
    }
}

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The calling thread's number; threads take turns over the shards.
#[inline]
fn own_shard() -> usize {
    SHARD.with(|shard| match shard.get() {
        usize::MAX => first_shard(shard),
        number => number,
    })
}

#[cold]
fn first_shard(shard: &Cell<usize>) -> usize {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // In steps of five, so that threads which start one after the other are not neighbours: processors fetch cache
    // lines in pairs.
    let number = (NEXT.fetch_add(5, Ordering::Relaxed) % 1024) as usize;
    shard.set(number);
    number
}
