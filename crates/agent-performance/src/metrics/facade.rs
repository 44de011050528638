//! The collector as a recorder of the `metrics` facade: what crates instrumented with it report ends up here.

use std::sync::Arc;

use metrics::{CounterFn, GaugeFn, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::RwLock;

use super::collector::MetricsCollector;
use super::handles::{Counter, Gauge, Histogram};
use super::tags::{Labels, MAX_NAME_BYTES, cleaned};
use super::types::MetricUnit;

/// Descriptions kept: as many as there can be series.
const MAX_DESCRIBED: usize = 10_000;

/// Hands everything that comes through the `metrics` facade to a collector.
///
/// Nothing is installed by making one: a program calls [`install`](Self::install), a test gives it to
/// `metrics::with_local_recorder`. A described unit counts for series made after the description.
#[derive(Clone, Debug)]
pub struct FacadeRecorder {
    collector: MetricsCollector,
    /// Sorted by name. Descriptions are made at start-up; handles are made rarely. Neither is recording.
    units: Arc<RwLock<Units>>,
}

/// The process reports to another recorder already.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "another recorder of the `metrics` facade is installed in this process; figures of other crates go there"
)]
pub struct RecorderTaken;

type Units = Vec<(Box<str>, MetricUnit)>;

impl FacadeRecorder {
    /// A recorder that reports to `collector`.
    pub fn new(collector: MetricsCollector) -> Self {
        FacadeRecorder {
            collector,
            units: Arc::default(),
        }
    }

    /// Makes `collector` the one place to which everything in this process reports that is instrumented with the facade.
    ///
    /// # Errors
    /// The process has such a place already; it stays. Once in a process this succeeds.
    pub fn install(collector: &MetricsCollector) -> Result<(), RecorderTaken> {
        metrics::set_global_recorder(Self::new(collector.clone())).map_err(|_| RecorderTaken)
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>) {
        let Some(unit) = unit.and_then(unit_from) else {
            return;
        };
        let name = cleaned(name.as_str(), MAX_NAME_BYTES);
        let mut units = self.units.write();
        match units.binary_search_by(|(known, _)| (**known).cmp(&*name)) {
            Ok(place) => units[place].1 = unit,
            Err(place) if units.len() < MAX_DESCRIBED => units.insert(place, (name.into(), unit)),
            Err(_) => {}
        }
    }

    fn unit_of(&self, name: &str) -> MetricUnit {
        let units = self.units.read();
        units
            .binary_search_by(|(known, _)| (**known).cmp(name))
            .map_or(MetricUnit::Count, |place| units[place].1)
    }
}

/// Units that the collector has; others are told by the name, as is usual with the facade.
fn unit_from(unit: Unit) -> Option<MetricUnit> {
    Some(match unit {
        Unit::Milliseconds => MetricUnit::Milliseconds,
        Unit::Seconds => MetricUnit::Seconds,
        Unit::Bytes => MetricUnit::Bytes,
        Unit::Kibibytes => MetricUnit::Kilobytes,
        Unit::Mebibytes => MetricUnit::Megabytes,
        Unit::Count => MetricUnit::Count,
        Unit::Percent => MetricUnit::Percentage,
        Unit::CountPerSecond => MetricUnit::Rate,
        _ => return None,
    })
}

impl Recorder for FacadeRecorder {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&key, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
        metrics::Counter::from_arc(Arc::new(self.collector.counter(key.name(), &Labels(key))))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        let unit = self.unit_of(key.name());
        metrics::Gauge::from_arc(Arc::new(self.collector.gauge(key.name(), unit, &Labels(key))))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        let unit = self.unit_of(key.name());
        metrics::Histogram::from_arc(Arc::new(self.collector.histogram(key.name(), unit, &Labels(key))))
    }
}

impl CounterFn for Counter {
    fn increment(&self, value: u64) {
        Counter::increment(self, value);
    }

    fn absolute(&self, value: u64) {
        self.raise_to(value);
    }
}

impl GaugeFn for Gauge {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        Gauge::set(self, value);
    }
}

impl HistogramFn for Histogram {
    fn record(&self, value: f64) {
        Histogram::record(self, value);
    }
}
