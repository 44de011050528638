//! A snapshot of the collector as requests of the published protobuf definitions.

use std::collections::BTreeMap;

use agent_performance::metrics::{MetricKind, SeriesSnapshot, Snapshot, catalogue};
use chrono::{DateTime, Utc};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::names;

/// Bytes of a request's metrics, about: a collector takes 4 MiB at least. Only thousands of series need more than one request.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// What says who measured: the program.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "claude-agent".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// Everything in the snapshot, in one request or, where it is much, in several.
pub(super) fn requests(snapshot: &Snapshot, resource: &Resource) -> Vec<ExportMetricsServiceRequest> {
    requests_of(snapshot, resource, MOST_BYTES)
}

pub(super) fn requests_of(
    snapshot: &Snapshot,
    resource: &Resource,
    most_bytes: usize,
) -> Vec<ExportMetricsServiceRequest> {
    let times = Times {
        start: nanoseconds(snapshot.started_at),
        now: nanoseconds(snapshot.taken_at),
    };
    let request = |metrics| ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource.clone()),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope()),
                metrics,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    };
    let (mut done, mut metrics, mut bytes) = (Vec::new(), Vec::new(), 0);
    // The series of one name stand side by side. Of a name with thousands each request gets some, which is allowed.
    for members in snapshot
        .series
        .chunk_by(|a, b| a.name == b.name && a.kind == b.kind && a.unit == b.unit)
    {
        for some in members.chunks(256) {
            let metric = metric_of(some, times);
            let size = metric.encoded_len();
            if bytes + size > most_bytes && !metrics.is_empty() {
                done.push(request(std::mem::take(&mut metrics)));
                bytes = 0;
            }
            bytes += size;
            metrics.push(metric);
        }
    }
    if !metrics.is_empty() {
        done.push(request(metrics));
    }
    done
}

#[derive(Clone, Copy)]
struct Times {
    start: u64,
    now: u64,
}

/// One metric of series that have everything but their tags in common.
fn metric_of(members: &[SeriesSnapshot], times: Times) -> Metric {
    let first = &members[0];
    let (name, kind) = names::of(&first.name, first.kind);
    let (unit, divisor) = names::unit(&first.name, first.unit);
    let number = |series: &SeriesSnapshot| NumberDataPoint {
        attributes: attributes(&series.tags),
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        value: Some(number_data_point::Value::AsDouble(series.value / divisor)),
        ..NumberDataPoint::default()
    };
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match kind {
        MetricKind::Counter => metric::Data::Sum(Sum {
            data_points: members.iter().map(number).collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        MetricKind::Gauge => metric::Data::Gauge(Gauge {
            data_points: members.iter().map(number).collect(),
        }),
        MetricKind::Histogram => metric::Data::Histogram(Histogram {
            data_points: members
                .iter()
                .map(|series| distribution(series, divisor, times))
                .collect(),
            aggregation_temporality: cumulative,
        }),
    };
    Metric {
        name: name.to_owned(),
        description: catalogue::find(&first.name)
            .map(|row| row.help.to_owned())
            .unwrap_or_default(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn distribution(series: &SeriesSnapshot, divisor: f64, times: Times) -> HistogramDataPoint {
    // Ours count what is at or below a bound, theirs what is between two.
    let below = std::iter::once(0).chain(series.buckets.iter().map(|bucket| bucket.count));
    let counts = series.buckets.iter().zip(below);
    HistogramDataPoint {
        attributes: attributes(&series.tags),
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        count: series.count,
        sum: Some(series.value / divisor),
        bucket_counts: counts
            .map(|(bucket, below)| bucket.count.saturating_sub(below))
            .collect(),
        explicit_bounds: series
            .buckets
            .iter()
            .filter_map(|bucket| Some(bucket.le? / divisor))
            .collect(),
        ..HistogramDataPoint::default()
    }
}

fn attributes(tags: &BTreeMap<String, String>) -> Vec<KeyValue> {
    let value = |key: &str, value: &str| match value.parse() {
        Ok(number) if names::is_number(key) => Value::IntValue(number),
        _ => Value::StringValue(value.to_owned()),
    };
    tags.iter()
        .map(|(key, text)| attribute(key, value(key, text)))
        .collect()
}

pub(super) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// Since 1970; 0, which means that it is not known, for times that don't fit.
pub(super) fn nanoseconds(time: DateTime<Utc>) -> u64 {
    time.timestamp_nanos_opt()
        .and_then(|nanoseconds| u64::try_from(nanoseconds).ok())
        .unwrap_or(0)
}
