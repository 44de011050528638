//! Everything at once, for exporters and for printing.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::collector::MetricsCollector;
use super::gather::Gathered;
use super::samples::Totals;
use super::series::Series;
use super::tags::TagSet;
use super::types::{MetricKind, MetricStatistics, MetricUnit};

/// All series at about one moment, by name and tags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When counting began.
    pub started_at: DateTime<Utc>,
    /// When this was taken.
    pub taken_at: DateTime<Utc>,
    /// The series, in order of name and tags.
    pub series: Vec<SeriesSnapshot>,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeriesSnapshot {
    /// Its name.
    pub name: String,
    /// Its tags, by key.
    pub tags: BTreeMap<String, String>,
    /// How it is recorded.
    pub kind: MetricKind,
    /// What its values count.
    pub unit: MetricUnit,
    /// The total of a counter, the level of a gauge, the sum of a histogram; since the start.
    pub value: f64,
    /// Samples since the start.
    pub count: u64,
    /// Buckets of a histogram since the start: cumulative, the last without a bound. Empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<Bucket>,
    /// The statistics of the retention window; none when nothing was recorded in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<MetricStatistics>,
}

/// How many samples were at or below a bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// The bound, in the series' unit; none is infinity.
    pub le: Option<f64>,
    /// Samples at or below it since the start.
    pub count: u64,
}

impl MetricsCollector {
    /// Everything that is known, the collector's own figures included.
    pub fn snapshot(&self) -> Snapshot {
        self.taken(SeriesSnapshot::of)
    }

    /// The same without the statistics of the retention window, which cost most: for who sends totals again and again.
    pub fn totals(&self) -> Snapshot {
        self.taken(SeriesSnapshot::totals_of)
    }

    fn taken(&self, one: impl Fn(&Series) -> SeriesSnapshot) -> Snapshot {
        let mut series = Vec::new();
        self.each_series(|each| series.push(one(each)));
        series.extend(self.own_figures());
        series.sort_by(|a, b| (&a.name, &a.tags).cmp(&(&b.name, &b.tags)));
        Snapshot {
            started_at: self.started_at(),
            taken_at: Utc::now(),
            series,
        }
    }

    fn own_figures(&self) -> [SeriesSnapshot; 3] {
        let own = |name: &str, kind, value: u64| SeriesSnapshot {
            name: name.to_owned(),
            tags: BTreeMap::new(),
            kind,
            unit: MetricUnit::Count,
            value: value as f64,
            count: value,
            buckets: Vec::new(),
            window: None,
        };
        [
            own("metrics.series", MetricKind::Gauge, self.series_count() as u64),
            own(
                "metrics.series_overflowed",
                MetricKind::Counter,
                self.series_overflowed(),
            ),
            own(
                "metrics.values_refused",
                MetricKind::Counter,
                self.values_refused(),
            ),
        ]
    }
}

impl SeriesSnapshot {
    fn of(series: &Series) -> Self {
        let mut window = Gathered::new();
        series.gather(&mut window);
        SeriesSnapshot {
            window: window.statistics(),
            ..Self::totals_of(series)
        }
    }

    fn totals_of(series: &Series) -> Self {
        let mut totals = Totals::new();
        series.totals_into(&mut totals);
        let counts = totals.at_or_below.iter().copied();
        let bounded = series.bounds.iter().zip(counts);
        let bounded = bounded.map(|(&bound, count)| Bucket {
            le: Some(bound),
            count,
        });
        let mut buckets: Vec<Bucket> = bounded.collect();
        if !buckets.is_empty() {
            buckets.push(Bucket {
                le: None,
                count: totals.figures.count,
            });
        }
        SeriesSnapshot {
            name: series.name.to_string(),
            tags: series
                .tags
                .pairs()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            kind: series.nature.kind,
            unit: series.nature.unit,
            value: match series.nature.kind {
                MetricKind::Counter | MetricKind::Histogram => totals.figures.sum,
                MetricKind::Gauge => series.level(),
            },
            count: totals.figures.count,
            buckets,
            window: None,
        }
    }
}
