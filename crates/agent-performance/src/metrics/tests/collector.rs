//! What is written can be read, through every door.

use std::time::Duration;

use super::{map, with_clock};
use crate::metrics::{MetricKind, MetricUnit, MetricsCollector, NO_TAGS, PerformanceMetric, Snapshot};

#[test]
fn each_way_of_recording_has_its_name_and_unit() {
    let collector = MetricsCollector::new();
    collector.record_timing("load", Duration::from_millis(2), map(&[("k", "v")]));
    collector.record_memory_usage("cache", 4_096, map(&[]));
    collector.record_counter("requests", 2.5, map(&[]));
    collector.record_gauge("temperature", -3.0, MetricUnit::Percentage, map(&[]));
    let metrics = collector.get_metrics(None);
    let one = |name: &str| {
        let metric = &metrics[name][0];
        (metric.value, metric.unit)
    };
    assert_eq!(one("timing.load"), (2.0, MetricUnit::Milliseconds));
    assert_eq!(one("memory.cache"), (4_096.0, MetricUnit::Bytes));
    assert_eq!(one("requests"), (2.5, MetricUnit::Count));
    assert_eq!(one("temperature"), (-3.0, MetricUnit::Percentage));
    assert_eq!(metrics.len(), 4);
    assert_eq!(metrics["timing.load"][0].tags, map(&[("k", "v")]));
    assert_eq!(collector.get_metrics(Some("requests")).len(), 1);
    assert!(collector.get_metrics(Some("nothing")).is_empty());
}

#[test]
fn a_fresh_collector_is_empty_and_ages() {
    let collector = MetricsCollector::new();
    assert!(collector.get_metrics(None).is_empty());
    assert!(collector.uptime() > Duration::ZERO);
    let (collector, clock) = with_clock();
    clock.advance(Duration::from_secs(5));
    assert_eq!(collector.uptime(), Duration::from_secs(5));
}

#[test]
fn clones_and_handles_share_their_series() {
    let collector = MetricsCollector::new();
    let counter = collector.clone().counter("c", NO_TAGS);
    counter.clone().increment(2);
    counter.increment(100);
    counter.add(0.5);
    collector.record_counter("c", 1.0, map(&[]));
    collector.increment("c", NO_TAGS, 1);
    let found = collector.get_metric_statistics("c").expect("counted");
    assert_eq!((found.count, found.sum), (5, 104.5));
    assert_eq!((found.min, found.max), (0.5, 100.0));
}

#[test]
fn gauges_tell_the_level_and_its_history() {
    let collector = MetricsCollector::new();
    let gauge = collector.gauge("in_flight", MetricUnit::Count, NO_TAGS);
    let first = gauge.hold();
    let second = gauge.hold();
    assert_eq!(gauge.value(), 2.0);
    drop(first);
    drop(second);
    assert_eq!(gauge.value(), 0.0);
    let found = collector.get_metric_statistics("in_flight").expect("samples");
    assert_eq!((found.count, found.max), (4, 2.0));
    assert_eq!(collector.snapshot().series[0].value, 0.0);
}

#[test]
fn declared_histograms_have_their_buckets_and_unit() {
    let collector = MetricsCollector::new();
    let timing = collector.duration("gen_ai.client.operation.duration", NO_TAGS);
    for millis in [5, 10, 11, 1_000, 3_600_000] {
        timing.record(Duration::from_millis(millis));
    }
    let snapshot = collector.snapshot();
    let series = &snapshot.series[0];
    assert_eq!(
        (series.unit, series.kind),
        (MetricUnit::Seconds, MetricKind::Histogram)
    );
    let at = |bound: Option<f64>| {
        let bucket = series.buckets.iter().find(|bucket| bucket.le == bound);
        bucket.expect("a bound").count
    };
    assert_eq!(at(Some(0.01)), 2);
    assert_eq!(at(Some(0.02)), 3);
    assert_eq!(at(Some(1.28)), 4);
    assert_eq!(at(Some(655.36)), 4);
    assert_eq!(at(None), 5);
    assert_eq!(series.buckets.len(), 18);
}

#[test]
fn snapshots_and_metrics_survive_json() {
    let collector = MetricsCollector::new();
    collector.record_timing("load", Duration::from_micros(1_500), map(&[("k", "v")]));
    collector.counter("c", NO_TAGS).increment(7);
    let snapshot = collector.snapshot();
    let text = serde_json::to_string(&snapshot).expect("written");
    assert_eq!(serde_json::from_str::<Snapshot>(&text).expect("read"), snapshot);
    let metrics = collector.get_metrics(Some("timing.load"));
    let text = serde_json::to_string(&metrics["timing.load"]).expect("written");
    let read: Vec<PerformanceMetric> = serde_json::from_str(&text).expect("read");
    assert_eq!(read, metrics["timing.load"]);
}
