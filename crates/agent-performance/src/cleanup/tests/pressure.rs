//! Memory pressure: levels, responses, and a process under a limit of 64 MiB.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::super::PressureLevel::{Critical, Elevated, Normal};
use super::super::pressure::Gauge;
use super::super::{CleanupConfig, PressureConfig, PressureLevel, ResourceCleanupManager, StopReport};
use super::{SECOND, memory, settle, setup, sum};
use crate::instrumentation::{CgroupFigures, MemoryFigures};
use crate::memory::MemoryPool;
use crate::metrics::MetricsCollector;

const MIB: u64 = 1024 * 1024;

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

/// The default reader tells of this very process.
#[test]
#[cfg(target_os = "linux")]
fn memory_is_read_from_the_system_unless_told_otherwise() {
    let reader = CleanupConfig::default().reader;
    let resident = reader().resident.expect("the system tells");
    assert!(resident > MIB && resident < 10_000 * MIB, "{resident}");
}
