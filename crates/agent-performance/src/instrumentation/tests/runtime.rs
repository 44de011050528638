//! Spans and the event loop.

use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;

use crate::instrumentation::{EventLoopLag, SpanTimings, SystemMetrics};
use crate::lifecycle::Lifecycle;
use crate::metrics::MetricsCollector;

#[test]
fn spans_become_timings_from_opening_to_closing() {
    let collector = MetricsCollector::new();
    let subscriber = tracing_subscriber::registry().with(SpanTimings::new(&collector));
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..3 {
            let outer = tracing::info_span!("outer", user = n);
            let _entered = outer.enter();
            tracing::info_span!("inner").in_scope(|| std::thread::sleep(Duration::from_millis(2)));
        }
    });
    let inner = collector.get_metric_statistics("timing.inner").expect("closed");
    let outer = collector.get_metric_statistics("timing.outer").expect("closed");
    assert_eq!((inner.count, outer.count), (3, 3));
    assert!(inner.min >= 2.0 && outer.sum >= inner.sum);
    assert_eq!(collector.series_count(), 2, "fields do not become tags");
}

#[test]
fn the_layer_wants_no_events_and_no_fine_spans_and_waits_for_its_collector() {
    let (timings, collector) = (SpanTimings::default(), MetricsCollector::new());
    let subscriber = tracing_subscriber::registry().with(timings.layer());
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("early").in_scope(|| ());
        let open = tracing::info_span!("opened_early");
        timings.connect(&collector);
        timings.connect(&MetricsCollector::new());
        drop(open);
        tracing::warn_span!("late").in_scope(|| ());
        tracing::debug_span!("fine").in_scope(|| ());
        assert!(
            !tracing::event_enabled!(tracing::Level::ERROR),
            "no log line is made for it"
        );
    });
    assert_eq!(collector.series_count(), 1);
    let late = collector.get_metric_statistics("timing.late");
    assert_eq!(late.map(|late| late.count), Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_probe_sees_a_blocked_loop_and_ends_with_the_lifecycle() {
    let (collector, lifecycle) = (MetricsCollector::new(), Lifecycle::new());
    let probe = EventLoopLag::start(&lifecycle, &collector, Duration::from_millis(100));
    tokio::time::sleep(Duration::from_millis(350)).await;
    // Time moves on while the probe can't run: as if a task had held the only thread.
    tokio::time::advance(Duration::from_millis(800)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let lag = collector
        .get_metric_statistics("runtime.event_loop_lag")
        .expect("measured");
    assert!(lag.count >= 4, "{}", lag.count);
    assert!(lag.max >= 700.0, "{}", lag.max);
    assert!(lag.min <= 2.0, "{}", lag.min);
    assert!(lifecycle.shutdown(Duration::from_secs(1)).await.is_clean());
    probe.await.expect("ended by itself");
}

#[tokio::test]
async fn the_readers_task_collects_at_once_and_ends_with_the_lifecycle() {
    let (collector, lifecycle) = (MetricsCollector::new(), Lifecycle::new());
    let directory = tempfile::tempdir().expect("made");
    let reader = SystemMetrics::new(directory.path());
    let task = reader.start(&lifecycle, &collector, Duration::from_secs(3600));
    let collected = async {
        while collector.get_metric_statistics("system.disk_used").is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), collected)
        .await
        .expect("collected");
    assert!(lifecycle.shutdown(Duration::from_secs(5)).await.is_clean());
    task.await.expect("ended by itself");
}
