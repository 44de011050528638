//! Code that is instrumented with the `metrics` facade.

use metrics::Unit;

use crate::metrics::{FacadeRecorder, MetricUnit, MetricsCollector};

#[test]
fn the_facade_s_macros_report_here() {
    let collector = MetricsCollector::new();
    let recorder = FacadeRecorder::new(collector.clone());
    metrics::with_local_recorder(&recorder, || {
        metrics::describe_histogram!("latency", Unit::Seconds, "how long");
        metrics::counter!("hits", "kind" => "a").increment(2);
        metrics::counter!("hits", "kind" => "b").increment(40);
        metrics::counter!("seen").absolute(10);
        metrics::counter!("seen").absolute(7);
        metrics::counter!("seen").absolute(12);
        metrics::gauge!("level").set(5.0);
        metrics::gauge!("level").increment(2.0);
        metrics::gauge!("level").decrement(4.0);
        metrics::histogram!("latency").record(0.25);
        metrics::histogram!("latency").record(f64::NAN);
    });
    let hits = collector.get_metric_statistics("hits").expect("counted");
    assert_eq!((hits.count, hits.sum), (2, 42.0));
    let a = collector.get_metric_statistics_with_tags("hits", &[("kind", "a")]);
    assert_eq!(a.map(|found| found.sum), Some(2.0));
    let snapshot = collector.snapshot();
    let find = |name: &str| {
        let series = snapshot.series.iter().find(|series| series.name == name);
        series.expect("recorded")
    };
    assert_eq!(find("seen").value, 12.0);
    assert_eq!(find("level").value, 3.0);
    assert_eq!(find("latency").unit, MetricUnit::Seconds);
    assert_eq!((find("latency").count, find("latency").value), (1, 0.25));
    assert_eq!(collector.values_refused(), 1);
}
