//! Statistics against the sorted samples themselves.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal, Normal, Uniform};

use crate::metrics::sketch::{Packed, Sketch, bucket_of, middle_of};
use crate::metrics::{MetricStatistics, MetricUnit, MetricsCollector, NO_TAGS};

fn record(values: &[f64]) -> MetricStatistics {
    let collector = MetricsCollector::new();
    let histogram = collector.histogram("x", MetricUnit::Milliseconds, NO_TAGS);
    for &value in values {
        histogram.record(value);
    }
    collector
        .get_metric_statistics("x")
        .expect("samples were recorded")
}

fn rank(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

fn check(values: &[f64], tolerance: f64) {
    let found = record(values);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    assert_eq!(found.count, values.len() as u64);
    assert_eq!(found.min, sorted[0]);
    assert_eq!(found.max, sorted[sorted.len() - 1]);
    let sum: f64 = values.iter().sum();
    let scale: f64 = values.iter().map(|value| value.abs()).sum();
    assert!(
        (found.sum - sum).abs() <= scale * 1e-12,
        "{} is not {sum}",
        found.sum
    );
    assert_eq!(found.avg, found.sum / found.count as f64);
    for (percent, estimate) in [(50, found.median), (95, found.p95), (99, found.p99)] {
        let exact = rank(&sorted, percent);
        assert!(
            (estimate - exact).abs() <= exact.abs() * tolerance,
            "p{percent}: {estimate} is not {exact}"
        );
    }
}

fn drawn(seed: u64, count: usize, mut one: impl FnMut(&mut ChaCha8Rng) -> f64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| one(&mut rng)).collect()
}

fn distribution(which: usize, seed: u64, count: usize) -> Vec<f64> {
    let uniform = Uniform::new(0.001, 5_000.0).expect("a range");
    let log_normal = LogNormal::new(3.0, 1.5).expect("a distribution");
    let fast = Normal::new(0.3, 0.02).expect("a distribution");
    let slow = Normal::new(900.0, 50.0).expect("a distribution");
    drawn(seed, count, |rng| match which {
        0 => uniform.sample(rng),
        1 => log_normal.sample(rng),
        2 if rand::RngExt::random_bool(rng, 0.5) => fast.sample(rng),
        2 => slow.sample(rng),
        _ => 123.456,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn beyond_a_thousand_samples_within_one_percent(which in 0usize..4, seed: u64, count in 1_001usize..20_000) {
        check(&distribution(which, seed, count), 0.01);
    }

    #[test]
    fn up_to_a_thousand_samples_exact(which in 0usize..4, seed: u64, count in 1usize..=1_000) {
        check(&distribution(which, seed, count), 0.0);
    }

    #[test]
    fn any_finite_values_are_exact_while_few(values in prop::collection::vec(-1e15f64..1e15, 1..200)) {
        check(&values, 0.0);
    }

    #[test]
    fn a_bucket_is_within_one_percent_of_every_value_in_it(exponent in -9.0f64..15.0, negative: bool) {
        let value = 10f64.powf(exponent) * if negative { -1.0 } else { 1.0 };
        let middle = middle_of(bucket_of(value));
        prop_assert!((middle - value).abs() <= value.abs() / 128.0, "{middle} stands for {value}");
    }

    #[test]
    fn buckets_are_in_order_of_their_values(a in -1e18f64..1e18, b in -1e18f64..1e18) {
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        prop_assert!(bucket_of(low) <= bucket_of(high));
    }

    #[test]
    fn packing_loses_nothing(counts in prop::collection::btree_map(-5_120i32..=5_120, 1u32.., 0..200)) {
        let mut sketch = Sketch::default();
        for (&bucket, &count) in counts.iter().rev() {
            sketch.add(bucket, count);
        }
        let packed = Packed::from_sketch(&sketch);
        prop_assert!(packed.iter().eq(counts.iter().map(|(&bucket, &count)| (bucket, count))));
    }
}

#[test]
fn values_out_of_the_sketch_s_range_are_counted_all_the_same() {
    let mut values = vec![1e300, -1e300, 1e-300, 0.0, -0.0, f64::MAX, f64::MIN];
    values.extend(std::iter::repeat_n(7.0, 2_000));
    let found = record(&values);
    assert_eq!(found.count, 2_007);
    assert_eq!((found.min, found.max), (f64::MIN, f64::MAX));
    assert!((found.median - 7.0).abs() < 0.07);
}

#[test]
fn fractions_of_a_millisecond_are_kept() {
    let collector = MetricsCollector::new();
    let tags = super::map(&[]);
    collector.record_timing("call", std::time::Duration::from_micros(300), tags);
    let found = collector.get_metric_statistics("timing.call").expect("recorded");
    assert!((found.avg - 0.3).abs() < 1e-12);
    assert_eq!(found.median, found.avg);
}

#[test]
fn all_tag_sets_are_merged_unless_filtered() {
    let collector = MetricsCollector::new();
    for (model, region, values) in [("a", "x", 0..50), ("b", "x", 50..75), ("b", "y", 75..100)] {
        let histogram = collector.histogram("h", MetricUnit::Count, &[("model", model), ("region", region)]);
        values.for_each(|value| histogram.record(f64::from(value)));
    }
    let of = |tags: &[(&str, &str)]| {
        collector
            .get_metric_statistics_with_tags("h", tags)
            .map(|found| (found.count, found.min, found.max))
    };
    assert_eq!(of(&[]), Some((100, 0.0, 99.0)));
    assert_eq!(of(&[("model", "b")]), Some((50, 50.0, 99.0)));
    assert_eq!(of(&[("region", "x")]), Some((75, 0.0, 74.0)));
    assert_eq!(of(&[("region", "y"), ("model", "b")]), Some((25, 75.0, 99.0)));
    assert_eq!(of(&[("model", "c")]), None);
    assert!(collector.get_metric_statistics("unknown").is_none());
}
