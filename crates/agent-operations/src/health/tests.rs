use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agent_performance::lifecycle::Lifecycle;
use agent_performance::metrics::MetricsCollector;

use super::checks::Probe;
use super::*;

fn config() -> HealthConfig {
    HealthConfig {
        check_interval: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
        max_consecutive_failures: 3,
        ..HealthConfig::default()
    }
}

fn monitor(metrics: &MetricsCollector) -> HealthMonitor {
    HealthMonitor::new(Arc::new(metrics.clone()), config())
}

fn always(name: &str, result: CheckResult) -> Probe {
    Probe::new(name, move || std::future::ready(result.clone()))
}

async fn cycles(monitor: &HealthMonitor, count: u64) {
    let mut watch = monitor.watch();
    watch.wait_for(|cycles| *cycles >= count).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_says_that_it_is_starting_and_then_how_it_is() {
    let monitor = monitor(&MetricsCollector::new());
    monitor
        .register_check(always("a", CheckResult::pass("fine")))
        .await
        .unwrap();
    let before = monitor.get_status().await;
    assert!(before.starting);
    assert_eq!(before.status, HealthState::Degraded);
    monitor.start_monitoring().await;
    cycles(&monitor, 1).await;
    let after = monitor.get_status().await;
    assert!(!after.starting);
    assert_eq!(after.status, HealthState::Healthy);
    assert!(after.checks["a"].last_success.is_some());
    // A check that came later is not forgotten.
    monitor
        .register_check(always("b", CheckResult::pass("fine")))
        .await
        .unwrap();
    assert!(monitor.get_status().await.starting);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn three_failures_in_a_row_are_unhealthy_and_one_success_is_well_again() {
    let metrics = MetricsCollector::new();
    let monitor = monitor(&metrics);
    let looks = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&looks);
    let flaky = Probe::new("flaky", move || {
        let look = counter.fetch_add(1, Ordering::Relaxed);
        std::future::ready(if look < 3 {
            CheckResult::fail("down")
        } else {
            CheckResult::pass("up")
        })
    });
    monitor.register_check(flaky).await.unwrap();
    monitor.start_monitoring().await;
    let expected = [
        HealthState::Degraded,
        HealthState::Degraded,
        HealthState::Unhealthy,
        HealthState::Healthy,
    ];
    for (cycle, expected) in (1..).zip(expected) {
        cycles(&monitor, cycle).await;
        assert_eq!(monitor.get_status().await.status, expected, "cycle {cycle}");
    }
    monitor.stop().await;
    let status = monitor.get_status().await;
    let changes: Vec<CheckStatus> = status.transitions.iter().map(|change| change.to).collect();
    assert_eq!(changes, [CheckStatus::Fail, CheckStatus::Pass]);
    let score = metrics.get_metric_statistics("health.score").unwrap();
    assert_eq!((score.min, score.max), (0.0, 100.0));
    assert_eq!(
        metrics
            .get_metric_statistics("health_check.duration")
            .unwrap()
            .count,
        4
    );
    assert_eq!(
        metrics.get_metric_statistics("health_check.cycle").unwrap().count,
        4
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_or_panics_fails_alone() {
    let monitor = monitor(&MetricsCollector::new());
    monitor
        .register_check(always("well", CheckResult::pass("fine")))
        .await
        .unwrap();
    monitor
        .register_check(Probe::new("hangs", std::future::pending))
        .await
        .unwrap();
    let panics = Probe::new("panics", || async { panic!("boom") });
    monitor.register_check(panics).await.unwrap();
    let begun = tokio::time::Instant::now();
    let status = monitor.check_now().await;
    assert_eq!(
        begun.elapsed(),
        Duration::from_secs(10),
        "the deadline of one check, not of all"
    );
    assert_eq!(status.checks["well"].status, CheckStatus::Pass);
    assert!(status.checks["hangs"].message.contains("no answer within 10s"));
    assert!(status.checks["panics"].message.contains("boom"));
    assert_eq!(status.status, HealthState::Degraded);
    assert_eq!(monitor.check_now().await.checks["hangs"].consecutive_failures, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_that_blocks_its_thread_is_not_started_twice() {
    let config = HealthConfig {
        timeout: Duration::from_millis(50),
        ..config()
    };
    let monitor = HealthMonitor::new(Arc::new(MetricsCollector::new()), config);
    let (release, blocked) = std::sync::mpsc::sync_channel::<()>(1);
    let blocked = Arc::new(parking_lot::Mutex::new(blocked));
    let started = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&started);
    let blocks = Probe::new("blocks", move || {
        count.fetch_add(1, Ordering::Relaxed);
        let blocked = Arc::clone(&blocked);
        async move {
            // Gives up by itself, so that a failed test ends.
            assert!(blocked.lock().recv_timeout(Duration::from_secs(20)).is_err());
            CheckResult::pass("at last")
        }
    });
    monitor.register_check(blocks).await.unwrap();
    monitor
        .register_check(always("well", CheckResult::pass("fine")))
        .await
        .unwrap();
    for _ in 0..3 {
        let status = monitor.check_now().await;
        assert_eq!(status.checks["blocks"].status, CheckStatus::Fail);
        assert_eq!(status.checks["well"].status, CheckStatus::Pass);
    }
    assert_eq!(started.load(Ordering::Relaxed), 1);
    drop(release);
}

#[tokio::test(start_paused = true)]
async fn starting_twice_checks_once_and_stopping_ends_it() {
    let lifecycle = Lifecycle::new();
    let monitor =
        HealthMonitor::with_lifecycle(Arc::new(MetricsCollector::new()), config(), lifecycle.clone());
    let looks = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&looks);
    let counted = Probe::new("counted", move || {
        counter.fetch_add(1, Ordering::Relaxed);
        std::future::ready(CheckResult::pass("fine"))
    });
    monitor.register_check(counted).await.unwrap();
    monitor.start_monitoring().await;
    monitor.start_monitoring().await;
    cycles(&monitor, 2).await;
    assert_eq!(looks.load(Ordering::Relaxed), 2);
    monitor.stop().await;
    monitor.stop().await;
    assert!(lifecycle.running().is_empty(), "{:?}", lifecycle.running());
    monitor.start_monitoring().await;
    cycles(&monitor, 3).await;
    drop(monitor);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        lifecycle.running().is_empty(),
        "a dropped monitor leaves nothing running"
    );
}

#[tokio::test]
async fn names_are_unique_and_checks_are_bounded() {
    let monitor = monitor(&MetricsCollector::new());
    let most = MAX_CHECKS;
    for number in 0..most {
        let check = always(&format!("check {number}"), CheckResult::pass(""));
        monitor.register_check(check).await.unwrap();
    }
    let again = monitor
        .register_check(always("check 1", CheckResult::pass("")))
        .await;
    assert_eq!(again, Err(RegisterError::NameTaken("check 1".to_owned())));
    let more = monitor
        .register_check(always("more", CheckResult::pass("")))
        .await;
    assert_eq!(more, Err(RegisterError::TooMany("more".to_owned())));
}

#[tokio::test]
async fn the_document_has_the_shape_that_monitors_read() {
    let monitor = monitor(&MetricsCollector::new());
    let slow = CheckResult::warn("slow").observing("responseTime", 250.0, "ms");
    monitor.register_check(always("api", slow)).await.unwrap();
    monitor
        .register_check(always("store", CheckResult::pass("fine")))
        .await
        .unwrap();
    let (document, is_ok) = health_json(&monitor.check_now().await, "here");
    assert!(is_ok);
    assert_eq!(document["status"], "warn");
    assert_eq!(document["serviceId"], "here");
    let api = &document["checks"]["api:responseTime"][0];
    assert_eq!(api["observedValue"], 250.0);
    assert_eq!(api["output"], "slow");
    let store = &document["checks"]["store:responseTime"][0];
    assert!(store.get("output").is_none(), "{store}");

    let failing = HealthMonitor::new(
        Arc::new(MetricsCollector::new()),
        HealthConfig {
            max_consecutive_failures: 1,
            ..config()
        },
    );
    failing
        .register_check(always("api", CheckResult::fail("down")))
        .await
        .unwrap();
    let (document, is_ok) = health_json(&failing.check_now().await, "here");
    assert!(!is_ok);
    assert_eq!(document["status"], "fail");
}

#[test]
fn a_long_message_is_cut_at_a_character() {
    let result = CheckResult::fail("é".repeat(1000));
    assert!(result.message.len() < 600);
    assert!(result.message.ends_with('…'));
}
