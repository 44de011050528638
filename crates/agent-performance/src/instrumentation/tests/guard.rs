//! Exactly once, however it ends.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::instrumentation::{TimingGuard, timed};
use crate::metrics::{MetricUnit, MetricsCollector};

/// How often `op` was recorded, by outcome; the empty string for none.
fn outcomes(collector: &MetricsCollector) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    for metric in collector
        .get_metrics(Some("timing.op"))
        .remove("timing.op")
        .unwrap_or_default()
    {
        let outcome = metric.tags.get("outcome").cloned().unwrap_or_default();
        *found.entry(outcome).or_default() += 1;
    }
    found
}

fn once(outcome: &str) -> HashMap<String, usize> {
    HashMap::from([(outcome.to_owned(), 1)])
}

fn guard(collector: &MetricsCollector) -> TimingGuard {
    TimingGuard::new(collector, "op".to_owned(), HashMap::new())
}

#[test]
fn finished_or_dropped_it_records_once() {
    let collector = MetricsCollector::new();
    guard(&collector).finish();
    assert_eq!(outcomes(&collector), once(""));
    let collector = MetricsCollector::new();
    drop(guard(&collector));
    assert_eq!(outcomes(&collector), once(""));
}

#[test]
fn unwinding_is_told() {
    let collector = MetricsCollector::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _guard = guard(&collector);
        panic!("planted");
    }));
    assert!(result.is_err());
    assert_eq!(outcomes(&collector), once("panic"));
}

#[test]
fn a_guard_of_a_destructor_does_not_take_another_s_panic_for_its_own() {
    struct CleansUp<'a>(&'a MetricsCollector);
    impl Drop for CleansUp<'_> {
        fn drop(&mut self) {
            drop(guard(self.0));
        }
    }
    let collector = MetricsCollector::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _cleans_up = CleansUp(&collector);
        panic!("planted");
    }));
    assert!(result.is_err());
    assert_eq!(outcomes(&collector), once(""));
}

#[test]
fn the_macro_passes_values_early_returns_and_errors_through() {
    fn early(collector: &MetricsCollector, text: &str) -> Result<u32, std::num::ParseIntError> {
        let number: u32 = crate::time_operation!(collector, "op", {
            if text.is_empty() {
                return Ok(0);
            }
            text.parse()?
        });
        Ok(number + 1)
    }
    let collector = MetricsCollector::new();
    assert_eq!(early(&collector, "41"), Ok(42));
    assert_eq!(early(&collector, ""), Ok(0));
    assert!(early(&collector, "x").is_err());
    assert_eq!(outcomes(&collector), HashMap::from([(String::new(), 3)]));
    let tags = HashMap::from([("outcome".to_owned(), "mine".to_owned())]);
    let shared = Arc::new(collector);
    assert_eq!(crate::time_operation!(shared, String::from("op"), tags, 7), 7);
    assert_eq!(outcomes(&shared)["mine"], 1);
}

#[tokio::test(start_paused = true)]
async fn the_macro_records_across_awaits_and_when_its_future_is_cancelled() {
    let collector = MetricsCollector::new();
    let slow = async {
        crate::time_operation!(collector, "op", tokio::time::sleep(Duration::from_secs(60)).await);
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), slow).await.is_err());
    assert_eq!(outcomes(&collector), once(""));
    let value = crate::time_operation!(&collector, "op", async { 5 }.await);
    assert_eq!(value, 5);
    assert_eq!(outcomes(&collector)[""], 2);
}

#[tokio::test(start_paused = true)]
async fn a_timed_future_tells_that_it_was_cancelled() {
    let collector = MetricsCollector::new();
    let forever = timed(
        &collector,
        "op".to_owned(),
        HashMap::new(),
        std::future::pending::<()>(),
    );
    assert!(
        tokio::time::timeout(Duration::from_secs(1), forever)
            .await
            .is_err()
    );
    assert_eq!(outcomes(&collector), once("cancelled"));
    let failing = timed(&collector, "op".to_owned(), HashMap::new(), async {
        let number: i32 = "x".parse()?;
        Ok::<_, std::num::ParseIntError>(number)
    });
    assert!(failing.await.is_err());
    assert_eq!(outcomes(&collector)[""], 1);
}

#[test]
fn memory_of_any_integer_is_recorded() {
    let collector = MetricsCollector::new();
    let component = String::from("buffers");
    crate::record_memory!(collector, "buffers", 10usize);
    crate::record_memory!(collector, component, 20u64, HashMap::new());
    crate::record_memory!(&collector, &component, 30);
    let metrics = &collector.get_metrics(None)["memory.buffers"];
    let values: Vec<f64> = metrics.iter().map(|metric| metric.value).collect();
    assert_eq!(values, [10.0, 20.0, 30.0]);
    assert_eq!(metrics[0].unit, MetricUnit::Bytes);
}
