//! The collector: what everything records to and reads from.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::catalogue;
use super::gather::Gathered;
use super::handles::{Counter, Gauge, Histogram, Timing};
use super::registry::Registry;
use super::series::{Context, Nature, Series};
use super::tags::{MAX_NAME_BYTES, TagSet, cleaned};
use super::types::{MetricKind, MetricStatistics, MetricUnit, PerformanceMetric};
use crate::clock::{Clock, micros};
use crate::instrumentation::Tracer;

/// Longest retention. A month of samples is a database's work.
const MAX_RETENTION: Duration = Duration::from_secs(31 * 24 * 3600);

/// Most raw samples that may be asked for, so that a series stays below a megabyte.
const MAX_RAW_SAMPLES: usize = 65_536;

/// How much a collector keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// How long samples count; between a millisecond and a month, an hour unless said otherwise.
    pub retention: Duration,
    /// Series that get memory of their own; 10,000 unless said otherwise.
    pub max_series: usize,
    /// Samples that each series keeps as they are; 1,000 unless said otherwise, 65,536 at most.
    pub max_raw_samples: usize,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        MetricsConfig {
            retention: Duration::from_secs(3600),
            max_series: 10_000,
            max_raw_samples: 1_000,
        }
    }
}

/// Records measurements and tells what they were. Cheap to clone; clones share everything.
///
/// Recording never waits for a reader. What is recorded past the cap of series goes to one series,
/// `metrics.overflow`; values that are not finite are refused. Both are counted, see
/// [`series_overflowed`](Self::series_overflowed) and [`values_refused`](Self::values_refused).
#[derive(Clone, Debug)]
pub struct MetricsCollector(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    context: Arc<Context>,
    retention: u64,
    tracer: OnceLock<Tracer>,
}

impl MetricsCollector {
    /// A collector that keeps an hour of 10,000 series.
    pub fn new() -> Self {
        Self::with_config(MetricsConfig::default())
    }

    /// A collector that keeps what `config` says.
    pub fn with_config(config: MetricsConfig) -> Self {
        Self::with_clock(config, Clock::system())
    }

    /// A collector whose time is `clock`'s.
    pub fn with_clock(config: MetricsConfig, clock: Clock) -> Self {
        let retention = micros(config.retention.clamp(Duration::from_millis(1), MAX_RETENTION));
        let raw_samples = config.max_raw_samples.min(MAX_RAW_SAMPLES);
        let context = Arc::new(Context {
            clock,
            refused: AtomicU64::new(0),
        });
        MetricsCollector(Arc::new(Inner {
            registry: Registry::new(config.max_series, retention, raw_samples, Arc::clone(&context)),
            context,
            retention,
            tracer: OnceLock::new(),
        }))
    }

    /// Records how long `operation` took, in series `timing.{operation}`, as milliseconds with fractions.
    pub fn record_timing(&self, operation: &str, duration: Duration, tags: HashMap<String, String>) {
        with_prefix("timing.", operation, |name| {
            let milliseconds = duration.as_secs_f64() * 1_000.0;
            self.0
                .registry
                .with(name, &tags, TIMING, |series| series.record_exactly(milliseconds));
        });
    }

    /// Records how much memory `component` holds, in series `memory.{component}`.
    pub fn record_memory_usage(&self, component: &str, bytes: u64, tags: HashMap<String, String>) {
        with_prefix("memory.", component, |name| {
            self.0
                .registry
                .with(name, &tags, gauge_of(MetricUnit::Bytes), |series| {
                    series.set(bytes as f64)
                });
        });
    }

    /// Adds `value` to a counter. Negative values are refused and counted: a counter does not fall.
    pub fn record_counter(&self, name: &str, value: f64, tags: HashMap<String, String>) {
        self.0
            .registry
            .with(name, &tags, COUNTER, |series| series.add(value));
    }

    /// Sets a gauge. A series keeps the unit that it was first recorded with.
    pub fn record_gauge(&self, name: &str, value: f64, unit: MetricUnit, tags: HashMap<String, String>) {
        self.0
            .registry
            .with(name, &tags, gauge_of(unit), |series| series.set(value));
    }

    /// Counts `by` more without keeping a handle and without owning the tags: the same as
    /// `counter(name, tags).increment(by)`, for tags that differ from call to call.
    pub fn increment<T: TagSet + ?Sized>(&self, name: &str, tags: &T, by: u64) {
        self.0.registry.with(name, tags, COUNTER, |series| {
            series.count_small();
            series.increment(by);
        });
    }

    /// The handle of a counter.
    pub fn counter<T: TagSet + ?Sized>(&self, name: &str, tags: &T) -> Counter {
        let series = self.0.registry.resolve(name, tags, COUNTER);
        series.count_small();
        Counter(series)
    }

    /// The handle of a gauge.
    pub fn gauge<T: TagSet + ?Sized>(&self, name: &str, unit: MetricUnit, tags: &T) -> Gauge {
        Gauge(self.0.registry.resolve(name, tags, gauge_of(unit)))
    }

    /// The handle of a histogram.
    pub fn histogram<T: TagSet + ?Sized>(&self, name: &str, unit: MetricUnit, tags: &T) -> Histogram {
        let kind = MetricKind::Histogram;
        Histogram(self.0.registry.resolve(name, tags, Nature { kind, unit }))
    }

    /// The handle of series `timing.{operation}`, in milliseconds.
    pub fn timing<T: TagSet + ?Sized>(&self, operation: &str, tags: &T) -> Timing {
        with_prefix("timing.", operation, |name| {
            Timing::new(self.0.registry.resolve(name, tags, TIMING))
        })
    }

    /// The handle of a histogram of durations under exactly this name, in the unit that the catalogue declares:
    /// seconds for `gen_ai.client.operation.duration`. Names that are not declared are in seconds, as conventions ask.
    pub fn duration<T: TagSet + ?Sized>(&self, name: &str, tags: &T) -> Timing {
        let unit = catalogue::find(name).map_or(MetricUnit::Seconds, |declared| declared.unit);
        let kind = MetricKind::Histogram;
        Timing::new(self.0.registry.resolve(name, tags, Nature { kind, unit }))
    }

    /// The recent samples of one name or of all, by name, oldest first. At most the configured number for each series;
    /// what a counter's handle counted comes as one sum for each stretch of time.
    pub fn get_metrics(&self, name: Option<&str>) -> HashMap<String, Vec<PerformanceMetric>> {
        let mut found: HashMap<String, Vec<PerformanceMetric>> = HashMap::new();
        self.each_named(name, |series| {
            let samples = series.recent();
            if samples.is_empty() {
                return;
            }
            let tags = series.tags.to_map();
            let metrics = samples.into_iter().map(|sample| PerformanceMetric {
                name: series.name.to_string(),
                value: sample.value,
                unit: series.nature.unit,
                timestamp: self.0.context.clock.wall(sample.at),
                tags: tags.clone(),
            });
            found.entry(series.name.to_string()).or_default().extend(metrics);
        });
        for metrics in found.values_mut() {
            metrics.sort_by_key(|metric| metric.timestamp);
        }
        found
    }

    /// The statistics of a name over the retention window, all tags together. None for a name that is unknown or has no
    /// samples left.
    pub fn get_metric_statistics(&self, name: &str) -> Option<MetricStatistics> {
        self.get_metric_statistics_with_tags(name, super::tags::NO_TAGS)
    }

    /// The same over the series that carry all of `tags`.
    pub fn get_metric_statistics_with_tags<T: TagSet + ?Sized>(
        &self,
        name: &str,
        tags: &T,
    ) -> Option<MetricStatistics> {
        let mut gathered = Gathered::new();
        self.each_named(Some(name), |series| {
            if tags
                .pairs()
                .all(|(key, value)| series.tags.get(key) == Some(value))
            {
                series.gather(&mut gathered);
            }
        });
        gathered.statistics()
    }

    /// From now on spans of whatever is measured here go to `tracer`, too. Only the first is taken; false for any other.
    pub fn trace_to(&self, tracer: Tracer) -> bool {
        self.0.tracer.set(tracer).is_ok()
    }

    /// Who takes spans; nobody unless [`trace_to`](Self::trace_to) named someone.
    pub fn tracer(&self) -> Tracer {
        self.0.tracer.get().cloned().unwrap_or_default()
    }

    /// How long ago the collector was made.
    pub fn uptime(&self) -> Duration {
        Duration::from_micros(self.0.context.clock.now())
    }

    /// When the collector was made.
    pub fn started_at(&self) -> DateTime<Utc> {
        self.0.context.clock.began_at()
    }

    /// How long samples count.
    pub fn retention(&self) -> Duration {
        Duration::from_micros(self.0.retention)
    }

    /// Series that exist, the overflow aside.
    pub fn series_count(&self) -> usize {
        self.0.registry.len()
    }

    /// How often something was recorded, or a handle asked for, under a name and tags that no longer got a series.
    pub fn series_overflowed(&self) -> u64 {
        self.0.registry.overflowed()
    }

    /// Values that were refused: not finite, or negative where only growth makes sense.
    pub fn values_refused(&self) -> u64 {
        self.0.context.refused.load(Ordering::Relaxed)
    }

    /// Files what was recorded in its time. Worth calling about every [`MAINTENANCE_INTERVAL`](super::MAINTENANCE_INTERVAL)
    /// in a long-lived process: small increments through counter handles carry no time of their own, and count from
    /// the first look at them.
    pub fn maintain(&self) {
        self.0.registry.each(Series::maintain);
    }

    pub(crate) fn each_series(&self, work: impl FnMut(&Series)) {
        self.0.registry.each(work);
    }

    pub(crate) fn all_series(&self) -> Vec<Arc<Series>> {
        self.0.registry.all()
    }

    fn each_named(&self, name: Option<&str>, mut work: impl FnMut(&Series)) {
        let name = name.map(|name| cleaned(name, MAX_NAME_BYTES));
        self.0.registry.each(|series| {
            if name.as_ref().is_none_or(|name| **name == *series.name) {
                work(series);
            }
        });
    }
}

impl Default for MetricsCollector {
    fn default() -> Self {
        Self::new()
    }
}

const COUNTER: Nature = Nature {
    kind: MetricKind::Counter,
    unit: MetricUnit::Count,
};

const TIMING: Nature = Nature {
    kind: MetricKind::Histogram,
    unit: MetricUnit::Milliseconds,
};

fn gauge_of(unit: MetricUnit) -> Nature {
    Nature {
        kind: MetricKind::Gauge,
        unit,
    }
}

/// Calls `work` with `prefix` and `name` in one piece, without an allocation where they are short.
fn with_prefix<R>(prefix: &str, name: &str, work: impl FnOnce(&str) -> R) -> R {
    let name = &name[..name.floor_char_boundary(MAX_NAME_BYTES)];
    let mut room = [0u8; MAX_NAME_BYTES + 16];
    let len = prefix.len() + name.len();
    room[..prefix.len()].copy_from_slice(prefix.as_bytes());
    room[prefix.len()..len].copy_from_slice(name.as_bytes());
    work(std::str::from_utf8(&room[..len]).expect("two strings make a string"))
}
