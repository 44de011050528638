//! The manager in simulated time: cycles, tasks, start and stop.

mod pressure;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{CleanupConfig, ManagedResource, RegisterError, ResourceCleanupManager, StopReport};
use crate::instrumentation::MemoryFigures;
use crate::lifecycle::Lifecycle;
use crate::memory::{MemoryPool, PoolConfig, ResourceTracker, TrackerConfig};
use crate::metrics::MetricsCollector;

const SECOND: Duration = Duration::from_secs(1);

struct Setup {
    manager: ResourceCleanupManager,
    metrics: Arc<MetricsCollector>,
    lifecycle: Lifecycle,
}

fn setup(change: impl FnOnce(&mut CleanupConfig)) -> Setup {
    let (pool, metrics) = (Arc::new(MemoryPool::new()), Arc::new(MetricsCollector::new()));
    let lifecycle = Lifecycle::new();
    let mut config = CleanupConfig {
        reader: Arc::new(MemoryFigures::default),
        lifecycle: lifecycle.clone(),
        ..CleanupConfig::default()
    };
    change(&mut config);
    let manager = ResourceCleanupManager::with_config(pool, Arc::clone(&metrics), config);
    Setup {
        manager,
        metrics,
        lifecycle,
    }
}

fn sum(metrics: &MetricsCollector, name: &str) -> f64 {
    metrics
        .get_metric_statistics(name)
        .map_or(0.0, |statistics| statistics.sum)
}

fn memory(resident: u64) -> MemoryFigures {
    MemoryFigures {
        resident: Some(resident),
        ..MemoryFigures::default()
    }
}

/// Tasks run on the same thread as the test: each yield lets them catch up.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn counter() -> (Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let counter = Arc::new(AtomicUsize::new(0));
    (Arc::clone(&counter), counter)
}

#[tokio::test(start_paused = true)]
async fn cycles_run_on_time_start_twice_is_once_and_stop_ends_with_a_last_one() {
    let setup = setup(|_| {});
    let (seen, runs) = counter();
    setup
        .manager
        .register("counted", move || {
            let runs = Arc::clone(&runs);
            async move {
                runs.fetch_add(1, Ordering::SeqCst);
                100_u64
            }
        })
        .expect("free");
    setup.manager.start().await;
    setup.manager.start().await;
    assert_eq!(setup.lifecycle.running(), ["cleanup", "memory-pressure"]);
    sleep(150 * SECOND).await;
    settle().await;
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    assert_eq!(setup.manager.stop().await, StopReport::Clean);
    assert_eq!(seen.load(Ordering::SeqCst), 3, "the final one");
    assert_eq!(setup.lifecycle.running(), [""; 0]);
    assert_eq!(setup.manager.stop().await, StopReport::NotRunning);
    assert_eq!(seen.load(Ordering::SeqCst), 3);
    assert!((sum(&setup.metrics, "cleanup.freed_bytes") - 300.0).abs() < f64::EPSILON);
    assert_eq!(
        setup
            .metrics
            .get_metric_statistics("timing.cleanup.cycle")
            .expect("recorded")
            .count,
        3
    );

    setup.manager.start().await;
    sleep(61 * SECOND).await;
    assert_eq!(seen.load(Ordering::SeqCst), 4, "it can be started again");
    assert_eq!(setup.manager.stop().await, StopReport::Clean);
}

#[tokio::test(start_paused = true)]
async fn bad_tasks_harm_nobody_and_are_told() {
    let setup = setup(|_| {});
    let manager = &setup.manager;
    let (seen, runs) = counter();
    manager
        .register("failing", || async { Err::<u64, _>("disk on fire") })
        .expect("free");
    manager
        .register_sync("panicking", || -> u64 { panic!("on purpose") })
        .expect("free");
    manager
        .register("panicking later", || async {
            sleep(SECOND).await;
            panic!("on purpose") as u64
        })
        .expect("free");
    manager
        .register("hanging", std::future::pending::<u64>)
        .expect("free");
    manager.register_sync("boasting", || u64::MAX).expect("free");
    manager
        .register_sync("good", move || {
            runs.fetch_add(1, Ordering::SeqCst);
            7_u64
        })
        .expect("free");
    let begun = Instant::now();
    let report = manager.run_cycle().await;
    assert_eq!(begun.elapsed(), 31 * SECOND, "thirty for the one that hangs");
    assert_eq!(report.freed, u64::MAX, "no overflow");
    assert_eq!((report.succeeded, seen.load(Ordering::SeqCst)), (2, 1));
    let failed: Vec<_> = report
        .failed
        .iter()
        .map(|(name, why)| (name.as_str(), why.as_str()))
        .collect();
    let expected = [
        ("failing", "disk on fire"),
        ("panicking", "it panicked"),
        ("panicking later", "it panicked"),
        ("hanging", "it took longer than 30s"),
    ];
    assert_eq!(failed, expected);
    assert!((sum(&setup.metrics, "cleanup.failures") - 4.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn names_are_unique_and_their_number_is_bounded() {
    let setup = setup(|_| {});
    let add = |name: String| setup.manager.register_sync(&name, || 0_u64);
    for name in 0..64 {
        assert_eq!(add(name.to_string()), Ok(()));
    }
    assert_eq!(add("7".into()), Err(RegisterError::Duplicate("7".into())));
    assert_eq!(add("new".into()), Err(RegisterError::TooMany("new".into())));
}

#[tokio::test(start_paused = true)]
async fn stop_returns_within_its_deadline_and_drop_leaves_nothing() {
    let first = setup(|config| config.final_deadline = 5 * SECOND);
    first
        .manager
        .register("hanging", std::future::pending::<u64>)
        .expect("free");
    first.manager.start().await;
    let begun = Instant::now();
    assert_eq!(first.manager.stop().await, StopReport::Clean);
    assert_eq!(
        begun.elapsed(),
        5 * SECOND,
        "its one task was dropped at the deadline"
    );
    assert_eq!(first.lifecycle.running(), [""; 0]);

    let second = setup(|_| {});
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&dropped);
    second
        .manager
        .register("holding", move || {
            let flag = ManagedResource::new(Arc::clone(&flag), |flag| flag.store(true, Ordering::SeqCst));
            async move {
                let _flag = flag;
                std::future::pending::<u64>().await
            }
        })
        .expect("free");
    second.manager.start().await;
    sleep(61 * SECOND).await;
    assert!(!dropped.load(Ordering::SeqCst), "a cycle is under way");
    drop(second.manager);
    settle().await;
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(second.lifecycle.running(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_process_runs_the_final_cycle_too() {
    let setup = setup(|_| {});
    let (seen, runs) = counter();
    setup
        .manager
        .register_sync("counted", move || {
            runs.fetch_add(1, Ordering::SeqCst);
            0_u64
        })
        .expect("free");
    setup.manager.start().await;
    settle().await;
    assert!(setup.lifecycle.shutdown(10 * SECOND).await.is_clean());
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    assert_eq!(setup.manager.stop().await, StopReport::Clean);
}

#[tokio::test(start_paused = true)]
async fn cycles_trim_the_pool_and_name_leaks_once() {
    let (clock, time) = crate::clock::Clock::simulated();
    let tracker = ResourceTracker::with_config(TrackerConfig {
        clock: clock.clone(),
        ..TrackerConfig::default()
    });
    let pool = Arc::new(MemoryPool::with_config(PoolConfig {
        clock,
        ..PoolConfig::default()
    }));
    let metrics = Arc::new(MetricsCollector::new());
    let config = CleanupConfig {
        reader: Arc::new(MemoryFigures::default),
        tracker: Some(tracker.clone()),
        ..CleanupConfig::default()
    };
    let manager = ResourceCleanupManager::with_config(Arc::clone(&pool), Arc::clone(&metrics), config);
    let session = tracker.track("sessions", 10);
    drop(pool.get_buffer(4096));
    time.advance(3601 * SECOND);
    let report = manager.run_cycle().await;
    assert_eq!(
        (report.freed, report.suspects),
        (4096, vec!["sessions".to_owned()])
    );
    assert!((sum(&metrics, "resources.leak_suspects") - 1.0).abs() < f64::EPSILON);
    drop(session);
    assert_eq!(manager.run_cycle().await.suspects, [""; 0]);
}

#[tokio::test]
async fn two_threads_may_call_everything_at_once() {
    let setup = setup(|config| {
        (config.interval, config.pressure_interval) = (Duration::from_micros(50), Duration::from_micros(50))
    });
    let manager = Arc::new(setup.manager);
    let work = |seed: usize, manager: Arc<ResourceCleanupManager>| async move {
        for n in 0..300_usize {
            match (n * 31 + seed) % 7 {
                0 => drop(manager.register_sync(&format!("{seed}-{n}"), || 1_u64)),
                1 => drop(manager.respond(&format!("{seed}-{n}"), |_| async { 1_u64 })),
                2 | 3 => manager.start().await,
                4 => assert_ne!(manager.stop().await, StopReport::Aborted),
                5 => drop(manager.run_cycle().await),
                _ => assert!(manager.admission().check().is_ok()),
            }
        }
    };
    let lifecycle = Lifecycle::new();
    let both = [1, 2].map(|seed| lifecycle.spawn("worker", work(seed, Arc::clone(&manager))));
    for handle in both {
        assert_eq!(handle.await, Ok(()));
    }
    assert_ne!(manager.stop().await, StopReport::Aborted);
    assert_eq!(setup.lifecycle.running(), [""; 0]);
}

#[test]
fn a_managed_resource_is_cleaned_up_exactly_once() {
    let runs = Arc::new(AtomicUsize::new(0));
    let make = || {
        let runs = Arc::clone(&runs);
        ManagedResource::new(5, move |value| {
            runs.fetch_add(value, Ordering::SeqCst);
        })
    };
    let mut resource = make();
    assert_eq!(resource.get(), Some(&5));
    *resource.get_mut().expect("held") = 6;
    drop(resource);
    assert_eq!(runs.load(Ordering::SeqCst), 6);
    assert_eq!(make().take(), Some(5));
    assert_eq!(runs.load(Ordering::SeqCst), 6, "taken, so not cleaned up");
    let mut resource = make();
    resource.release();
    resource.release();
    assert_eq!((resource.get(), runs.load(Ordering::SeqCst)), (None, 11));
    assert_eq!(resource.take(), None);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _held = make();
        panic!("on purpose")
    }));
    assert!(unwound.is_err());
    assert_eq!(runs.load(Ordering::SeqCst), 16);
    // A clean-up that panics while another panic unwinds would end the process, if it got out.
    let unwound = catch_unwind(|| {
        let _held = ManagedResource::new((), |()| panic!("in the clean-up"));
        panic!("on purpose")
    });
    assert!(unwound.is_err());
}
