//! What counts, and for how long, in simulated time.

use proptest::prelude::*;

use super::{MINUTE, with_clock};
use crate::clock::Clock;
use crate::metrics::{MetricUnit, MetricsCollector, MetricsConfig, NO_TAGS};

#[test]
fn samples_leave_when_the_retention_has_passed() {
    let (collector, clock) = with_clock();
    let histogram = collector.histogram("h", MetricUnit::Count, NO_TAGS);
    histogram.record(1.0);
    clock.advance(30 * MINUTE);
    histogram.record(2.0);
    clock.advance(30 * MINUTE);
    let found = collector.get_metric_statistics("h").expect("both count");
    assert_eq!((found.count, found.sum), (2, 3.0));
    clock.advance(MINUTE);
    let found = collector.get_metric_statistics("h").expect("one counts");
    assert_eq!((found.count, found.sum), (1, 2.0));
    clock.advance(30 * MINUTE);
    assert!(collector.get_metric_statistics("h").is_none());
    assert!(collector.get_metrics(Some("h")).is_empty());
    let total = collector.snapshot().series[0].count;
    assert_eq!(total, 2, "totals since the start do not expire");
}

#[test]
fn the_sketch_s_windows_expire_too_and_exactness_returns() {
    let (collector, clock) = with_clock();
    let histogram = collector.histogram("h", MetricUnit::Count, NO_TAGS);
    for minute in 0..60 {
        for n in 0..100 {
            histogram.record(f64::from(minute * 100 + n));
        }
        clock.advance(MINUTE);
    }
    let all = collector.get_metric_statistics("h").expect("samples");
    assert_eq!((all.count, all.min, all.max), (6_000, 0.0, 5_999.0));
    clock.advance(30 * MINUTE);
    let half = collector.get_metric_statistics("h").expect("samples");
    // The far edge is sharp to a twelfth of the retention: five minutes of a hundred samples each.
    assert!((3_000..=3_500).contains(&half.count), "{}", half.count);
    clock.advance(26 * MINUTE);
    let few = collector.get_metric_statistics("h").expect("samples");
    assert!(few.count <= 900, "{}", few.count);
    clock.advance(5 * MINUTE);
    (1..=999).for_each(|n| histogram.record(f64::from(n)));
    let exact = collector.get_metric_statistics("h").expect("samples");
    assert_eq!((exact.count, exact.median, exact.p99), (999, 500.0, 990.0));
}

#[test]
fn a_counter_s_small_increments_expire_with_the_looks_at_them() {
    let (collector, clock) = with_clock();
    let counter = collector.counter("c", NO_TAGS);
    for _ in 0..70 {
        counter.increment(1);
        counter.increment(3);
        counter.increment(20);
        collector.maintain();
        clock.advance(MINUTE);
    }
    let found = collector.get_metric_statistics("c").expect("counted");
    assert!((180..=198).contains(&found.count), "{}", found.count);
    assert_eq!((found.min, found.median, found.max), (1.0, 3.0, 20.0));
    let snapshot = &collector.snapshot().series[0];
    assert_eq!((snapshot.value, snapshot.count), (70.0 * 24.0, 210));
    clock.advance(70 * MINUTE);
    assert!(collector.get_metric_statistics("c").is_none());
}

#[test]
fn what_waited_in_a_batch_is_filed_in_its_own_time() {
    let (collector, clock) = with_clock();
    let histogram = collector.histogram("h", MetricUnit::Count, NO_TAGS);
    let other = histogram.clone();
    // One sample of another thread waits in that thread's batch while this one opens later windows.
    std::thread::spawn(move || other.record(1.0))
        .join()
        .expect("recorded");
    clock.advance(50 * MINUTE);
    (0..2_000).for_each(|_| histogram.record(2.0));
    let found = collector.get_metric_statistics("h").expect("samples");
    assert_eq!((found.count, found.min), (2_001, 1.0));
    clock.advance(20 * MINUTE);
    let found = collector.get_metric_statistics("h").expect("samples");
    assert_eq!((found.count, found.min), (2_000, 2.0));
}

#[test]
fn recent_samples_come_oldest_first_and_no_more_than_kept() {
    let (machine, clock) = Clock::simulated();
    let config = MetricsConfig {
        max_raw_samples: 100,
        ..MetricsConfig::default()
    };
    let collector = MetricsCollector::with_clock(config, machine);
    let histogram = collector.histogram("h", MetricUnit::Bytes, &[("k", "v")]);
    for n in 0..5_000 {
        histogram.record(f64::from(n));
        clock.advance(std::time::Duration::from_millis(1));
    }
    let metrics = &collector.get_metrics(None)["h"];
    assert!((25..=100).contains(&metrics.len()), "{}", metrics.len());
    assert!(metrics.is_sorted_by(|a, b| a.timestamp < b.timestamp && a.value < b.value));
    let last = metrics.last().expect("samples");
    assert_eq!((last.value, last.unit), (4_999.0, MetricUnit::Bytes));
    assert_eq!(last.tags["k"], "v");
    let since = last.timestamp - collector.started_at();
    assert_eq!(since.num_milliseconds(), 4_999);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the pace, the count lies between that of the retention and that of the retention and one window more.
    #[test]
    fn counts_follow_the_clock(steps in prop::collection::vec((0u64..400_000, 1u32..40), 1..400)) {
        let (machine, clock) = Clock::simulated();
        let config = MetricsConfig {
            retention: std::time::Duration::from_secs(12),
            max_raw_samples: 50,
            ..MetricsConfig::default()
        };
        let collector = MetricsCollector::with_clock(config, machine);
        let histogram = collector.histogram("h", MetricUnit::Count, NO_TAGS);
        let (mut now, mut times) = (0, Vec::new());
        for (micros, samples) in steps {
            clock.advance(std::time::Duration::from_micros(micros));
            now += micros;
            for _ in 0..samples {
                histogram.record(1.0);
                times.push(now);
            }
        }
        let within = |length: u64| times.iter().filter(|&&at| at >= now.saturating_sub(length)).count() as u64;
        let found = collector.get_metric_statistics("h").map_or(0, |found| found.count);
        prop_assert!(within(12_000_000) <= found && found <= within(13_000_000), "{found} is not {}", within(12_000_000));
        if within(12_000_000) <= 50 && times.len() <= 50 {
            prop_assert_eq!(found, within(12_000_000));
        }
    }
}

#[test]
fn a_short_retention_works_with_the_machine_s_clock() {
    let config = MetricsConfig {
        retention: std::time::Duration::from_millis(20),
        ..MetricsConfig::default()
    };
    let collector = MetricsCollector::with_config(config);
    let begun = std::time::Instant::now();
    collector.record_counter("c", 1.0, super::map(&[]));
    while collector.get_metric_statistics("c").is_some() {
        assert!(begun.elapsed() < MINUTE, "the sample never expires");
        std::thread::yield_now();
    }
    assert!(begun.elapsed() >= std::time::Duration::from_millis(20));
}
