//! Handles: the series found once, then recorded through without looking it up again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::series::Series;
use super::types::MetricUnit;

/// A counter's handle. Clones record into the same series.
#[derive(Clone, Debug)]
pub struct Counter(pub(crate) Arc<Series>);

impl Counter {
    /// Counts `by` more. Below 16 this is one atomic addition; such increments get their time when the series is next
    /// looked at, by a reader or by [`MetricsCollector::maintain`](super::MetricsCollector::maintain).
    #[inline]
    pub fn increment(&self, by: u64) {
        self.0.increment(by);
    }

    /// Adds `value`, which may have a fraction. Negative, infinite and NaN values are refused and counted.
    #[inline]
    pub fn add(&self, value: f64) {
        self.0.add(value);
    }

    pub(crate) fn raise_to(&self, absolute: u64) {
        self.0.raise_to(absolute);
    }
}

/// A gauge's handle. Clones record into the same series.
#[derive(Clone, Debug)]
pub struct Gauge(pub(crate) Arc<Series>);

impl Gauge {
    /// Sets the level. Infinite and NaN values are refused and counted.
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Moves the level by `delta`, up or down.
    pub fn add(&self, delta: f64) {
        self.0.shift(delta);
    }

    /// The level now.
    pub fn value(&self) -> f64 {
        self.0.level()
    }

    /// Counts the caller in until the returned guard is dropped: for what is in flight.
    pub fn hold(&self) -> GaugeGuard {
        self.add(1.0);
        GaugeGuard(self.clone())
    }
}

/// One that is in flight, until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends what it counts"]
pub struct GaugeGuard(Gauge);

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.add(-1.0);
    }
}

/// A histogram's handle. Clones record into the same series.
#[derive(Clone, Debug)]
pub struct Histogram(pub(crate) Arc<Series>);

impl Histogram {
    /// Records `value` in the series' unit. Infinite and NaN values are refused and counted.
    #[inline]
    pub fn record(&self, value: f64) {
        self.0.record(value);
    }
}

/// The handle of a histogram of durations, in the unit of its series: milliseconds, or seconds where that is declared.
#[derive(Clone, Debug)]
pub struct Timing {
    pub(crate) series: Arc<Series>,
    per_second: f64,
}

impl Timing {
    pub(crate) fn new(series: Arc<Series>) -> Self {
        let per_second = match series.nature.unit {
            MetricUnit::Seconds => 1.0,
            _ => 1_000.0,
        };
        Timing { series, per_second }
    }

    /// Records `duration`.
    #[inline]
    pub fn record(&self, duration: Duration) {
        self.series.record(duration.as_secs_f64() * self.per_second);
    }

    /// Records the time from `start` to now, reading the clock once.
    #[inline]
    pub fn record_since(&self, start: Instant) {
        self.series.record_since(start, self.per_second);
    }
}
