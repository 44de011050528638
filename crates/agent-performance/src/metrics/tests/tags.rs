//! Names and tags from careless and hostile callers.

use super::map;
use crate::metrics::{
    MAX_KEY_BYTES, MAX_NAME_BYTES, MAX_TAGS, MAX_VALUE_BYTES, MetricUnit, MetricsCollector, MetricsConfig,
    NO_TAGS,
};

#[test]
fn the_order_of_tags_makes_no_difference() {
    let collector = MetricsCollector::new();
    collector.counter("c", &[("a", "1"), ("b", "2")]).increment(1);
    collector.counter("c", &[("b", "2"), ("a", "1")]).increment(1);
    collector.record_counter("c", 1.0, map(&[("b", "2"), ("a", "1")]));
    assert_eq!(collector.series_count(), 1);
    collector.counter("c", &[("b", "1"), ("a", "2")]).increment(1);
    collector.counter("c", &[("a", "1")]).increment(1);
    collector.counter("c", NO_TAGS).increment(1);
    assert_eq!(collector.series_count(), 4);
}

#[test]
fn a_million_distinct_values_share_what_is_left() {
    let collector = MetricsCollector::with_config(MetricsConfig {
        max_series: 100,
        ..MetricsConfig::default()
    });
    for n in 0..1_000_000u32 {
        collector.increment("c", &[("user", n.to_string().as_str())], 1);
    }
    assert_eq!(collector.series_count(), 100);
    assert_eq!(collector.series_overflowed(), 999_900);
    let overflow = collector
        .get_metric_statistics("metrics.overflow")
        .expect("the rest is counted");
    assert_eq!(overflow.count, 999_900);
    let known = collector
        .get_metric_statistics_with_tags("c", &[("user", "7")])
        .expect("an early one");
    assert_eq!(known.count, 1);
    let told = collector.snapshot();
    let told = told
        .series
        .iter()
        .find(|series| series.name == "metrics.series_overflowed");
    assert_eq!(told.map(|series| series.value), Some(999_900.0));
}

#[test]
fn huge_names_and_tags_are_cut() {
    let collector = MetricsCollector::new();
    let huge = "é".repeat(1 << 20);
    let many: Vec<String> = (0..10_000).map(|n| format!("key{n:05}")).collect();
    let mut tags = map(&[(&huge, &huge)]);
    tags.extend(
        many.iter()
            .map(|key| (key.clone(), "v".repeat(MAX_VALUE_BYTES + 1))),
    );
    collector.record_gauge(&huge, 1.0, MetricUnit::Count, tags.clone());
    collector.record_gauge(&huge, 2.0, MetricUnit::Count, tags);
    collector.record_timing(&huge, std::time::Duration::from_secs(1), map(&[]));
    assert_eq!(collector.series_count(), 2);
    for series in collector.snapshot().series {
        assert!(series.name.len() <= MAX_NAME_BYTES);
        assert!(series.tags.len() <= MAX_TAGS);
        for (key, value) in series.tags {
            assert!(key.len() <= MAX_KEY_BYTES && value.len() <= MAX_VALUE_BYTES);
        }
    }
    let found = collector
        .get_metric_statistics(&huge)
        .expect("found by the same name");
    assert_eq!(found.count, 2);
}

#[test]
fn control_characters_are_replaced() {
    let collector = MetricsCollector::new();
    collector
        .counter("a\nb", &[("k\u{0}", "v\u{1b}[31m\u{85}")])
        .increment(1);
    let snapshot = collector.snapshot();
    let series = &snapshot.series[0];
    assert_eq!(series.name, "a_b");
    assert_eq!(series.tags["k_"], "v_[31m_");
}

#[test]
fn a_tag_given_twice_counts_once() {
    let collector = MetricsCollector::new();
    collector.counter("c", &[("k", "b"), ("k", "a")]).increment(1);
    collector.counter("c", &[("k", "a")]).increment(1);
    assert_eq!(collector.series_count(), 1);
}

#[test]
fn what_is_not_finite_is_refused_and_counted() {
    let collector = MetricsCollector::new();
    let gauge = collector.gauge("g", MetricUnit::Count, NO_TAGS);
    gauge.set(5.0);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        gauge.set(bad);
        gauge.add(bad);
        collector.record_gauge("g", bad, MetricUnit::Count, map(&[]));
        collector.record_counter("c", bad, map(&[]));
        collector.histogram("h", MetricUnit::Count, NO_TAGS).record(bad);
    }
    collector.record_counter("c", -1.0, map(&[]));
    assert_eq!(collector.values_refused(), 16);
    assert_eq!(gauge.value(), 5.0);
    let found = collector.get_metric_statistics("g").expect("one sample");
    assert_eq!((found.count, found.sum), (1, 5.0));
    assert!(collector.get_metric_statistics("c").is_none());
    assert!(collector.get_metric_statistics("h").is_none());
}
