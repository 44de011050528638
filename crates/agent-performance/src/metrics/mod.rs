//! Recording, keeping and reading back measurements.
//!
//! A [`MetricsCollector`] holds series, each a name with tags. Hot paths resolve a handle once ([`Counter`], [`Gauge`],
//! [`Histogram`], [`Timing`]) and record through it; the rest records by name. Memory is bounded by the number of
//! series, never by what is recorded. Names, units and help of everything that this product measures are declared in
//! [`catalogue`].
//!
//! The collector sends nothing anywhere: exporters read a [`Snapshot`].

mod archive;
pub mod catalogue;
mod collector;
pub mod exposition;
mod facade;
mod gather;
mod handles;
mod raw;
mod registry;
mod samples;
mod series;
mod sketch;
mod small_counts;
mod snapshot;
mod sync;
mod tags;
mod types;
mod window;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use collector::{MetricsCollector, MetricsConfig};
pub use facade::{FacadeRecorder, RecorderTaken};
pub use handles::{Counter, Gauge, GaugeGuard, Histogram, Timing};
pub use snapshot::{Bucket, SeriesSnapshot, Snapshot};
pub use tags::{MAX_KEY_BYTES, MAX_NAME_BYTES, MAX_TAGS, MAX_VALUE_BYTES, NO_TAGS, TagSet};
pub use types::{MetricKind, MetricStatistics, MetricUnit, PerformanceMetric};

/// How often [`MetricsCollector::maintain`] is worth calling: as often as telemetry may read the system.
pub const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(10);
