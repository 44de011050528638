//! The recorder of a whole process, which therefore has a test program of its own.

use agent_performance::metrics::{FacadeRecorder, MetricsCollector, RecorderTaken};

#[test]
fn what_others_report_anywhere_in_the_process_ends_up_in_the_first_collector() {
    let (collector, late) = (MetricsCollector::new(), MetricsCollector::new());
    FacadeRecorder::install(&collector).unwrap();
    assert_eq!(FacadeRecorder::install(&late), Err(RecorderTaken));
    let elsewhere = std::thread::spawn(|| metrics::counter!("others.calls", "kind" => "a").increment(3));
    elsewhere.join().unwrap();
    let counted = collector.get_metric_statistics("others.calls").unwrap();
    assert_eq!(counted.sum, 3.0);
    assert_eq!(late.series_count(), 0);
}
