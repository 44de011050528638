//! The values that go in and come out.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricUnit {
    /// Thousandths of a second, with fractions.
    Milliseconds,
    /// Seconds, with fractions.
    Seconds,
    /// Bytes.
    Bytes,
    /// 1,024 bytes.
    Kilobytes,
    /// 1,048,576 bytes.
    Megabytes,
    /// Things: requests, tokens, errors.
    Count,
    /// Hundredths; 100 is all of it.
    Percentage,
    /// Things a second.
    Rate,
}

impl MetricUnit {
    /// As it is written behind a number.
    pub fn symbol(self) -> &'static str {
        match self {
            MetricUnit::Milliseconds => "ms",
            MetricUnit::Seconds => "s",
            MetricUnit::Bytes => "bytes",
            MetricUnit::Kilobytes => "KiB",
            MetricUnit::Megabytes => "MiB",
            MetricUnit::Count => "count",
            MetricUnit::Percentage => "%",
            MetricUnit::Rate => "1/s",
        }
    }
}

impl MetricUnit {
    /// The unit that others want it in, in a word where it has one, and what values are divided by to be in it: dividing by a
    /// thousand is exact where it can be, multiplying by a thousandth is not.
    pub fn base(self) -> (Option<&'static str>, f64) {
        match self {
            MetricUnit::Milliseconds => (Some("seconds"), 1_000.0),
            MetricUnit::Seconds => (Some("seconds"), 1.0),
            MetricUnit::Bytes => (Some("bytes"), 1.0),
            MetricUnit::Kilobytes => (Some("bytes"), 1.0 / 1024.0),
            MetricUnit::Megabytes => (Some("bytes"), 1.0 / (1024.0 * 1024.0)),
            MetricUnit::Percentage => (Some("ratio"), 100.0),
            MetricUnit::Rate => (Some("per_second"), 1.0),
            MetricUnit::Count => (None, 1.0),
        }
    }
}

/// How a series is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// Only grows: what is recorded is added.
    Counter,
    /// A level that is set.
    Gauge,
    /// Samples whose distribution matters.
    Histogram,
}

impl MetricKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// One recorded value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerformanceMetric {
    /// The series' name, for instance `timing.request`.
    pub name: String,
    /// The value, in `unit`.
    pub value: f64,
    /// What the value counts.
    pub unit: MetricUnit,
    /// When it was recorded.
    pub timestamp: DateTime<Utc>,
    /// The series' tags.
    pub tags: HashMap<String, String>,
}

/// What the samples of the retention window look like. `count`, `sum`, `min` and `max` are exact.
///
/// `median`, `p95` and `p99` are order statistics by nearest rank: the smallest sample with at least that share of
/// all samples at or below it. They are exact while no series involved holds more samples in the retention window
/// than it keeps (1,000 unless configured); beyond that each is within 1 % of the exact order statistic, for
/// magnitudes from 10⁻⁹ to 10¹⁵, and the window's far edge is sharp to a twelfth of the retention.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricStatistics {
    /// How many samples.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Their mean.
    pub avg: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Half of the samples are at or below it.
    pub median: f64,
    /// 95 of 100 samples are at or below it.
    pub p95: f64,
    /// 99 of 100 samples are at or below it.
    pub p99: f64,
}
