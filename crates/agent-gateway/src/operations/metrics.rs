//! Metrics: as text for scrapers, as statistics for people and programs.

use std::collections::HashMap;
use std::time::Duration;

use agent_performance::metrics::exposition::{self, Format};
use agent_performance::metrics::{
    MetricKind, MetricStatistics, MetricsCollector, SeriesSnapshot, Snapshot, catalogue,
};
use chrono::{TimeDelta, Utc};
use http::header::{ACCEPT, HeaderValue, VARY};
use http::{Request, StatusCode};

use super::types::{Kind as SeriesKind, MetricsPage, Series, Statistics};
use crate::answer::{Answer, Refusal, content, json};
use crate::input::{Kind, Parameter, Query};
use crate::pipeline::RequestBody;

/// Series that may be looked at sample by sample in one request: each keeps a thousand.
const MAX_WINDOWED: usize = 100;

pub(crate) static PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "name",
        kind: Kind::Text { max_chars: 128 },
        help: "Only series whose name begins so.",
    },
    Parameter {
        name: "window",
        kind: Kind::Integer {
            min: 1,
            max: 31 * 24 * 3600,
            default: None,
        },
        help: "Statistics of the last so many seconds, from the samples that are kept, instead of the retention window. \
               Needs a `name` that few series have.",
    },
];

/// For Prometheus: text 0.0.4 or OpenMetrics, as `accept` says.
pub(super) async fn exposition(
    metrics: Option<&MetricsCollector>,
    request: &Request<RequestBody>,
) -> Result<Answer, Refusal> {
    Query::read(request.uri(), &[])?;
    let metrics = wanted(metrics)?;
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok());
    let format = Format::for_accept(accept);
    let text = blocking(move || exposition::write(&metrics, format)).await?;
    let mut answer = content(format.content_type(), text);
    answer
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("accept"));
    Ok(answer)
}

/// For programs: every series with its statistics.
pub(super) async fn statistics(
    metrics: Option<&MetricsCollector>,
    request: &Request<RequestBody>,
) -> Result<Answer, Refusal> {
    let query = Query::read(request.uri(), PARAMETERS)?;
    let metrics = wanted(metrics)?;
    let name = query.text("name").unwrap_or_default().to_owned();
    let window = query.integer("window").map(Duration::from_secs);
    let page = blocking(move || page(&metrics, &name, window)).await??;
    Ok(json(StatusCode::OK, &page))
}

fn wanted(metrics: Option<&MetricsCollector>) -> Result<MetricsCollector, Refusal> {
    metrics.cloned().ok_or_else(|| {
        Refusal::not_found(
            "nothing is measured: set monitoring.enable_metrics to true and start the daemon again",
        )
    })
}

/// Thousands of series take milliseconds, which other requests must not wait for.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "reading the figures failed");
        Refusal::internal("reading the figures failed; the log of the daemon says why")
    })
}

fn page(metrics: &MetricsCollector, name: &str, window: Option<Duration>) -> Result<MetricsPage, Refusal> {
    let Snapshot {
        started_at,
        taken_at,
        mut series,
    } = metrics.snapshot();
    series.retain(|one| one.name.starts_with(name));
    if window.is_some() && series.len() > MAX_WINDOWED {
        return Err(Refusal::bad_request(format!(
            "`window` is for at most {MAX_WINDOWED} series, and {} have such a name; give more of the `name`",
            series.len()
        )));
    }
    let series = series.into_iter().map(|one| {
        let statistics = match window {
            None => one.window.map(|window| Statistics::of(window, true)),
            Some(window) => windowed(metrics, &one, window),
        };
        shown(one, statistics)
    });
    Ok(MetricsPage {
        started_at,
        taken_at,
        retention_seconds: metrics.retention().as_secs_f64(),
        series: series.collect(),
    })
}

fn shown(one: SeriesSnapshot, statistics: Option<Statistics>) -> Series {
    let declared = catalogue::find(&one.name);
    // A counter's handle does not know whether it counts bytes; the declaration does.
    let unit = declared.map_or(one.unit, |declared| declared.unit);
    Series {
        kind: match one.kind {
            MetricKind::Counter => SeriesKind::Counter,
            MetricKind::Gauge => SeriesKind::Gauge,
            MetricKind::Histogram => SeriesKind::Histogram,
        },
        unit: unit.symbol().to_owned(),
        help: declared.map(|declared| declared.help.to_owned()),
        name: one.name,
        tags: one.tags,
        value: one.value,
        count: one.count,
        statistics,
    }
}

/// The statistics of the kept samples that are no older than `window`. Exact, as far as they are kept.
fn windowed(metrics: &MetricsCollector, one: &SeriesSnapshot, window: Duration) -> Option<Statistics> {
    let window = TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX);
    let since = Utc::now() - window;
    let samples = metrics
        .get_metrics(Some(&one.name))
        .remove(&one.name)
        .unwrap_or_default();
    let is_own = |tags: &HashMap<String, String>| {
        tags.len() == one.tags.len() && tags.iter().all(|(key, value)| one.tags.get(key) == Some(value))
    };
    let own: Vec<_> = samples
        .into_iter()
        .filter(|sample| is_own(&sample.tags))
        .collect();
    // Older samples are gone when the oldest that is kept lies within the window and there were more in all.
    let is_complete =
        own.first().is_none_or(|oldest| oldest.timestamp < since) || own.len() as u64 >= one.count;
    let mut values: Vec<f64> = own
        .iter()
        .filter(|sample| sample.timestamp >= since)
        .map(|s| s.value)
        .collect();
    values.sort_by(f64::total_cmp);
    statistics_of(&values).map(|statistics| Statistics::of(statistics, is_complete))
}

/// `values` in order.
fn statistics_of(values: &[f64]) -> Option<MetricStatistics> {
    let (min, max) = (*values.first()?, *values.last()?);
    let sum: f64 = values.iter().sum();
    // By nearest rank, as the retention window's are.
    let rank =
        |share: f64| values[((values.len() as f64 * share).ceil() as usize).clamp(1, values.len()) - 1];
    Some(MetricStatistics {
        count: values.len() as u64,
        sum,
        avg: sum / values.len() as f64,
        min,
        max,
        median: rank(0.5),
        p95: rank(0.95),
        p99: rank(0.99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_performance::metrics::{MetricUnit, MetricsConfig};

    #[test]
    fn a_window_is_of_one_series_and_says_when_it_is_not_whole() {
        let metrics = MetricsCollector::with_config(MetricsConfig {
            max_raw_samples: 10,
            ..MetricsConfig::default()
        });
        let a = metrics.histogram("h", MetricUnit::Seconds, &[("k", "a")]);
        let b = metrics.histogram("h", MetricUnit::Seconds, &[("k", "b")]);
        (1..=5).for_each(|n| a.record(f64::from(n)));
        (1..=100).for_each(|n| b.record(f64::from(n)));
        let page = page(&metrics, "h", Some(Duration::from_secs(60))).unwrap();
        let [a, b] = &page.series[..] else {
            panic!("two series: {:?}", page.series)
        };
        let a = a.statistics.as_ref().unwrap();
        assert_eq!(
            (a.count, a.sum, a.median, a.p99, a.is_complete),
            (5, 15.0, 3.0, 5.0, true)
        );
        let b = b.statistics.as_ref().unwrap();
        assert!(!b.is_complete && b.count <= 10 && b.max == 100.0, "{b:?}");
    }

    #[test]
    fn a_window_over_too_many_series_is_refused() {
        let metrics = MetricsCollector::new();
        (0..=MAX_WINDOWED)
            .for_each(|n| drop(metrics.counter(&format!("c.{n}"), agent_performance::metrics::NO_TAGS)));
        assert_eq!(
            page(&metrics, "c.", Some(Duration::from_secs(1)))
                .unwrap_err()
                .status(),
            400
        );
        assert!(page(&metrics, "c.", None).unwrap().series.len() > MAX_WINDOWED);
        assert!(page(&metrics, "nothing", None).unwrap().series.is_empty());
    }
}
