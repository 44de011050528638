//! Two threads at every public operation, and readers that recorders must not feel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::map;
use crate::metrics::archive::Limits;
use crate::metrics::raw::Sample;
use crate::metrics::samples::{Samples, Totals};
use crate::metrics::{MetricUnit, MetricsCollector, NO_TAGS};

#[test]
fn nothing_is_lost_or_counted_twice_while_everything_is_called() {
    const ROUNDS: u64 = 20_000;
    let collector = MetricsCollector::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|thread: u64| {
                let collector = collector.clone();
                scope.spawn(move || {
                    let counter = collector.counter("c", NO_TAGS);
                    let gauge = collector.gauge("g", MetricUnit::Count, NO_TAGS);
                    let timing = collector.timing("t", NO_TAGS);
                    for n in 0..ROUNDS {
                        counter.increment(n % 20);
                        gauge.add(if thread == 0 { 1.0 } else { -1.0 });
                        timing.record(Duration::from_micros(n + 1));
                        if n % 50 == 0 {
                            let own = n.to_string();
                            collector.record_counter("named", 1.0, map(&[("n", &own)]));
                            collector.record_timing("t", Duration::from_micros(n + 1), map(&[]));
                            collector.record_gauge("other", f64::NAN, MetricUnit::Count, map(&[]));
                            collector.record_memory_usage("m", n, map(&[]));
                        }
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut counted, mut timed) = (0, 0);
                    while !stop.load(Ordering::Relaxed) {
                        let found = collector.get_metric_statistics("c");
                        let count = found.map_or(0, |found| found.count);
                        assert!(count >= counted, "a counter fell from {counted} to {count}");
                        counted = count;
                        if let Some(found) = collector.get_metric_statistics("timing.t") {
                            assert!(found.count >= timed);
                            timed = found.count;
                            assert!(found.min <= found.median && found.median <= found.p95);
                            assert!(found.p95 <= found.p99 && found.p99 <= found.max);
                            assert!(found.min * found.count as f64 <= found.sum * 1.000_001);
                        }
                        for series in collector.snapshot().series {
                            assert!(series.buckets.is_sorted_by(|a, b| a.count <= b.count));
                            if let Some(last) = series.buckets.last() {
                                assert_eq!(last.count, series.count);
                            }
                        }
                        collector.get_metrics(None);
                        collector.maintain();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("the writer did not panic");
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().expect("the reader did not panic");
        }
    });
    let counter = collector.get_metric_statistics("c").expect("counted");
    let each: u64 = (0..ROUNDS).map(|n| n % 20).sum();
    assert_eq!((counter.count, counter.sum), (2 * ROUNDS, 2.0 * each as f64));
    let timing = collector.get_metric_statistics("timing.t").expect("timed");
    assert_eq!(timing.count, 2 * (ROUNDS + ROUNDS / 50));
    assert_eq!((timing.min, timing.max), (0.001, ROUNDS as f64 / 1_000.0));
    let named = collector.get_metric_statistics("named").expect("counted");
    assert_eq!(named.count, 2 * ROUNDS / 50);
    assert_eq!(collector.gauge("g", MetricUnit::Count, NO_TAGS).value(), 0.0);
    assert_eq!(collector.values_refused(), 2 * ROUNDS / 50);
}

/// Holds what a reader can hold at one time, for as long as the test lasts, and records all the while.
#[test]
fn recording_goes_on_while_a_reader_holds_its_locks() {
    let limits = Limits {
        retention: 1_000_000,
        raw_samples: 1_000,
        bounds: &[],
    };
    let samples = Arc::new(Samples::new(limits));
    for (stripe, archive) in [(Some(0), None), (Some(3), None), (None, Some(0)), (None, Some(1))] {
        samples.while_held(stripe, archive, || {
            let recording = Arc::clone(&samples);
            let (done, finished) = std::sync::mpsc::sync_channel(1);
            let thread = std::thread::spawn(move || {
                for n in 0..10_000 {
                    recording.record(n % 5, Sample { value: 1.0, at: 1 });
                }
                done.send(()).expect("the test waits");
            });
            finished
                .recv_timeout(Duration::from_secs(20))
                .expect("recording waits for a reader");
            thread.join().expect("no panic");
        });
    }
    let mut totals = Totals::new();
    samples.totals_into(2, None, &mut totals);
    assert_eq!(totals.figures.count, 40_000);
}
