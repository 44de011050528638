//! The manager in simulated time: cycles, stop, pressure with its responses, and a process under a limit of 64 MiB.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::pressure::Gauge;
use super::{
    CleanupConfig, ManagedResource, PressureConfig, PressureLevel, RegisterError, ResourceCleanupManager,
    StopReport,
};
use crate::instrumentation::{CgroupFigures, MemoryFigures};
use crate::lifecycle::Lifecycle;
use crate::memory::{MemoryPool, PoolConfig, ResourceTracker, TrackerConfig};
use crate::metrics::MetricsCollector;

const SECOND: Duration = Duration::from_secs(1);
const MIB: u64 = 1024 * 1024;
use PressureLevel::{Critical, Elevated, Normal};

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
    let (clock, time) = crate::memory::Clock::simulated();
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

/// Readings at seconds, and the level after each.
#[test]
fn levels_rise_at_once_and_fall_slowly_with_distance() {
    let cgroup = |percent: u64| MemoryFigures {
        cgroup: CgroupFigures {
            memory_used: Some(percent),
            memory_limit: Some(100),
            ..CgroupFigures::default()
        },
        ..memory(1)
    };
    let stall = |some: f64, full: f64| MemoryFigures {
        stall_some: Some(some),
        stall_full: Some(full),
        ..memory(1)
    };
    type Case = (&'static str, Vec<(u64, MemoryFigures, PressureLevel)>);
    let cases: [Case; 5] = [
        (
            "resident memory",
            vec![
                (0, memory(74), Normal),
                (1, memory(75), Elevated),
                (2, memory(90), Critical),
                (3, memory(200), Critical),
                // Below the threshold, yet not by the margin.
                (4, memory(85), Critical),
                (100, memory(81), Critical),
                (101, memory(79), Critical),
                (110, memory(79), Critical),
                // Once above the margin, the wait begins again.
                (111, memory(85), Critical),
                (112, memory(10), Critical),
                (121, memory(10), Critical),
                (122, memory(10), Elevated),
                (131, memory(10), Elevated),
                (132, memory(10), Normal),
            ],
        ),
        (
            "control group",
            vec![
                (0, cgroup(74), Normal),
                (1, cgroup(95), Critical),
                (2, cgroup(1), Critical),
                (12, cgroup(1), Elevated),
                (22, cgroup(1), Normal),
            ],
        ),
        (
            "stalls",
            vec![
                (0, stall(9.0, 9.0), Normal),
                (1, stall(10.0, 0.0), Elevated),
                (2, stall(90.0, 10.0), Critical),
                (3, stall(6.0, 6.0), Critical),
                (100, stall(6.0, 6.0), Critical),
                (101, stall(0.0, 0.0), Critical),
                (111, stall(0.0, 0.0), Elevated),
                (121, stall(0.0, 0.0), Normal),
            ],
        ),
        (
            "the tightest counts",
            vec![(
                0,
                MemoryFigures {
                    resident: Some(95),
                    ..cgroup(1)
                },
                Critical,
            )],
        ),
        (
            "a way back up on the way down",
            vec![
                (0, memory(95), Critical),
                (1, memory(70), Critical),
                (11, memory(70), Elevated),
                (12, memory(91), Critical),
            ],
        ),
    ];
    let begun = Instant::now();
    for (name, readings) in cases {
        let mut gauge = Gauge::new(PressureConfig {
            memory_limit: Some(100),
            ..PressureConfig::default()
        });
        for (at, reading, expected) in readings {
            let level = gauge.observe(&reading, begun + Duration::from_secs(at));
            assert_eq!(level, expected, "{name}, second {at}");
        }
    }
    let mut unlimited = Gauge::new(PressureConfig::default());
    assert_eq!(unlimited.observe(&memory(1 << 50), begun), Normal);
}

#[tokio::test(start_paused = true)]
async fn an_oscillating_reading_does_not_make_the_level_flap() {
    let reading = Arc::new(AtomicU64::new(0));
    let seam = Arc::clone(&reading);
    let setup = setup(|config| {
        config.pressure.memory_limit = Some(100);
        config.reader = Arc::new(move || {
            memory(if seam.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                76
            } else {
                72
            })
        });
    });
    let mut level = setup.manager.pressure();
    setup.manager.start().await;
    sleep(50 * SECOND).await;
    assert_eq!(*level.borrow_and_update(), Elevated);
    sleep(600 * SECOND).await;
    assert!(
        !level.has_changed().expect("the manager lives"),
        "ten minutes without a change"
    );
}

/// A process in which work, a cache and sessions use memory, and only that.
struct Simulated {
    work: AtomicU64,
    cache: AtomicU64,
    sessions: AtomicU64,
    peak: AtomicU64,
}

#[tokio::test(start_paused = true)]
async fn under_a_limit_of_64_mib_it_sheds_stays_alive_and_recovers() {
    const LIMIT: u64 = 64 * MIB;
    let process = Arc::new(Simulated {
        work: AtomicU64::new(0),
        cache: AtomicU64::new(20 * MIB),
        sessions: AtomicU64::new(10 * MIB),
        peak: AtomicU64::new(0),
    });
    let pool = Arc::new(MemoryPool::new());
    let metrics = Arc::new(MetricsCollector::new());
    let (seam, pooled) = (Arc::clone(&process), Arc::clone(&pool));
    let config = CleanupConfig {
        pressure: PressureConfig {
            memory_limit: Some(LIMIT),
            ..PressureConfig::default()
        },
        reader: Arc::new(move || {
            let parts = [&seam.work, &seam.cache, &seam.sessions].map(|part| part.load(Ordering::SeqCst));
            let resident = parts.iter().sum::<u64>() + pooled.get_stats().total_allocated_bytes;
            seam.peak.fetch_max(resident, Ordering::SeqCst);
            memory(resident)
        }),
        ..CleanupConfig::default()
    };
    let manager = ResourceCleanupManager::with_config(Arc::clone(&pool), Arc::clone(&metrics), config);
    let (cached, told) = (Arc::clone(&process), Arc::new(Mutex::new(Vec::new())));
    let levels = Arc::clone(&told);
    manager
        .respond("cache", move |level| {
            let cached = Arc::clone(&cached);
            levels.lock().push(level);
            async move {
                if level == Normal {
                    return 0;
                }
                let before = cached.cache.load(Ordering::SeqCst);
                cached.cache.store(before / 2, Ordering::SeqCst);
                before - before / 2
            }
        })
        .expect("free");
    let idle = Arc::clone(&process);
    manager
        .respond("sessions", move |level| {
            let idle = Arc::clone(&idle);
            async move {
                if level == Critical {
                    idle.sessions.swap(2 * MIB, Ordering::SeqCst) - 2 * MIB
                } else {
                    0
                }
            }
        })
        .expect("free");
    drop((0..10).map(|_| pool.get_buffer(1024 * 1024)).collect::<Vec<_>>());
    manager.start().await;
    let admission = manager.admission();

    // For two minutes more work comes every second than the limit allows for; then less.
    let (mut taken, mut refused, mut running) = (0, 0, Vec::new());
    for second in 0..240_u64 {
        sleep(SECOND).await;
        running.retain(|end| *end > second);
        for _ in 0..if second < 120 { 3 } else { 0 } {
            match admission.check() {
                Ok(()) => {
                    taken += 1;
                    running.push(second + 20);
                }
                Err(overloaded) => {
                    refused += 1;
                    assert_eq!(overloaded.limit, LIMIT);
                    assert!(
                        overloaded.to_string().contains("of 64 MiB used")
                            && overloaded.to_string().contains("try again in 10 s")
                    );
                }
            }
        }
        process.work.store(running.len() as u64 * MIB, Ordering::SeqCst);
    }
    assert!(refused > 50, "{refused} refused");
    assert!(taken > 100, "it goes on working: {taken} taken");
    let peak = process.peak.load(Ordering::SeqCst);
    assert!(peak < LIMIT, "it reached {} MiB", peak / MIB);
    assert_eq!(pool.get_stats().idle_bytes, 0, "the pool was emptied");
    assert_eq!(process.sessions.load(Ordering::SeqCst), 2 * MIB);
    assert!(process.cache.load(Ordering::SeqCst) <= 10 * MIB);
    assert_eq!(*manager.pressure().borrow(), Normal, "it recovered by itself");
    assert_eq!(admission.check(), Ok(()));
    let told = told.lock().clone();
    assert!(
        told.contains(&Elevated) && told.contains(&Critical) && told.last() == Some(&Normal),
        "{told:?}"
    );
    assert!(sum(&metrics, "cleanup.freed_bytes") >= 20.0 * MIB as f64);
    assert_eq!(manager.stop().await, StopReport::Clean);
}

#[tokio::test(start_paused = true)]
async fn the_pool_gives_back_half_when_memory_is_short_and_all_when_it_is_critical() {
    for (resident, left) in [(10, 8), (80, 4), (95, 0)] {
        let pool = Arc::new(MemoryPool::new());
        drop((0..8).map(|_| pool.get_buffer(MIB as usize)).collect::<Vec<_>>());
        let config = CleanupConfig {
            pressure: PressureConfig {
                memory_limit: Some(100),
                ..PressureConfig::default()
            },
            reader: Arc::new(move || memory(resident)),
            ..CleanupConfig::default()
        };
        let metrics = Arc::new(MetricsCollector::new());
        let manager = ResourceCleanupManager::with_config(Arc::clone(&pool), metrics, config);
        manager.start().await;
        sleep(5 * SECOND).await;
        assert_eq!(pool.get_stats().idle_buffers, left, "at {resident} percent");
    }
}

#[tokio::test(start_paused = true)]
async fn refusal_ends_when_nobody_looks_at_memory_any_more() {
    let setup = setup(|config| {
        config.pressure.memory_limit = Some(100);
        config.reader = Arc::new(|| memory(99));
    });
    let admission = setup.manager.admission();
    setup.manager.start().await;
    sleep(SECOND).await;
    assert!(admission.check().is_err());
    drop(setup.manager);
    settle().await;
    assert!(admission.check().is_ok());
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

/// The default reader tells of this very process.
#[test]
#[cfg(target_os = "linux")]
fn memory_is_read_from_the_system_unless_told_otherwise() {
    let reader = CleanupConfig::default().reader;
    let resident = reader().resident.expect("the system tells");
    assert!(resident > MIB && resident < 10_000 * MIB, "{resident}");
}
