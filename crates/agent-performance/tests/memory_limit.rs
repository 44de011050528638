//! A real process under a memory limit sheds load, stays alive and recovers.
//!
//! The test starts its own binary again as a child, so that the resident memory measured is that of one workload and not
//! of a test harness with other tests in it.
#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the test is about a process of its own and stops at the first surprise"
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use agent_performance::cache::{CacheLimits, ResponseCache};
use agent_performance::cleanup::{
    Admission, CleanupConfig, MemoryReader, PressureConfig, PressureLevel, ResourceCleanupManager, StopReport,
};
use agent_performance::instrumentation::{MemoryFigures, SystemMetrics};
use agent_performance::memory::{MemoryPool, PoolConfig};
use agent_performance::metrics::MetricsCollector;
use bytes::Bytes;

/// Tells the child what it is.
const MARKER: &str = "AGENT_MEMORY_LIMIT_CHILD";

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 64 * MIB;

/// The size of entries and buffers: large enough that the allocator, with the threshold set below, maps each by itself, and
/// unmaps it at once when it is freed.
const BLOCK: usize = 1 << 20;

/// What the pool is made to keep.
const BUFFERS: usize = 40;

/// How long memory must be plentiful before the level falls by one.
const CALM: Duration = Duration::from_millis(1000);

/// A level that is not reached by then never will be.
const TOO_LONG: Duration = Duration::from_secs(8);

#[test]
fn a_process_under_a_memory_limit_sheds_stays_alive_and_recovers() {
    if std::env::var_os(MARKER).is_some() {
        // One thread, so that what is filled without an await comes between two looks at memory.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(child());
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_process_under_a_memory_limit_sheds_stays_alive_and_recovers",
            "--nocapture",
        ])
        .env(MARKER, "1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let failure = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}\n{failure}");
    assert!(told.contains("recovered"), "the child ran to its end: {told}");
    print!("{told}");
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: u64 = line.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes << 10
}

/// The product's own reading, but for the machine's stalls and groups: those are not this test's.
fn reader() -> MemoryReader {
    let system = SystemMetrics::new(Path::new("."));
    Arc::new(move || MemoryFigures {
        resident: system.memory().resident,
        ..MemoryFigures::default()
    })
}

struct Process {
    manager: ResourceCleanupManager,
    pool: Arc<MemoryPool>,
    cache: ResponseCache,
    admission: Admission,
}

impl Process {
    fn new() -> Self {
        let pool = Arc::new(MemoryPool::with_config(PoolConfig {
            budget: 256 * MIB,
            ..PoolConfig::default()
        }));
        let config = CleanupConfig {
            pressure_interval: Duration::from_millis(20),
            pressure: PressureConfig {
                memory_limit: Some(LIMIT),
                calm: CALM,
                ..PressureConfig::default()
            },
            reader: reader(),
            ..CleanupConfig::default()
        };
        let manager =
            ResourceCleanupManager::with_config(Arc::clone(&pool), Arc::new(MetricsCollector::new()), config);
        let cache = ResponseCache::with_limits(CacheLimits {
            bytes: 256 << 20,
            ..CacheLimits::default()
        });
        let halved = cache.clone();
        manager
            .respond("response cache", move |level| {
                let freed = match level {
                    PressureLevel::Normal => 0,
                    PressureLevel::Elevated => halved.halve(),
                    PressureLevel::Critical => halved.shrink_to(0),
                };
                async move { freed as u64 }
            })
            .unwrap();
        Process {
            admission: manager.admission(),
            manager,
            pool,
            cache,
        }
    }

    /// Adds entries to the cache until the process holds `target` bytes.
    async fn fill_cache(&self, target: u64) {
        for number in 0.. {
            if resident() >= target {
                return;
            }
            assert!(number < 400, "the cache takes no memory");
            let value = Bytes::from(vec![b'x'; BLOCK]);
            let key = format!("{target} {number}");
            self.cache.put(key, value, None).await;
        }
    }

    /// Lends buffers, writes them full, and takes them back: the pool keeps them.
    fn fill_pool(&self) {
        let lent = (0..BUFFERS).map(|_| {
            let mut buffer = self.pool.get_buffer(BLOCK);
            buffer.resize(BLOCK, 1);
            buffer
        });
        drop(lent.collect::<Vec<_>>());
    }

    /// Waits until memory is this short.
    async fn reaches(&self, wanted: PressureLevel) {
        let mut level = self.manager.pressure();
        let reached = tokio::time::timeout(TOO_LONG, level.wait_for(|level| *level == wanted)).await;
        drop(reached.unwrap_or_else(|_| panic!("never {wanted}")).unwrap());
        self.tell(&wanted.to_string());
    }

    /// Waits until no more than this is resident. The level is public before anything is done about it, and pages are given
    /// back last.
    async fn sheds_below(&self, bytes: u64) {
        let shed = async {
            while resident() >= bytes {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let shed = tokio::time::timeout(TOO_LONG, shed).await;
        assert!(shed.is_ok(), "{} bytes are resident still", resident());
        self.tell("shed");
    }

    fn tell(&self, what: &str) {
        let (resident, cached) = (resident() / MIB, self.cache.get_stats().bytes / MIB);
        let idle = self.pool.get_stats().idle_bytes / MIB;
        println!("{what}: resident {resident} MiB, cache {cached} MiB, pool {idle} MiB idle");
    }
}

async fn child() {
    let process = Process::new();
    process.manager.start().await;
    process.reaches(PressureLevel::Normal).await;
    assert!(resident() < LIMIT / 2, "too much to begin with");
    assert_eq!(process.admission.check(), Ok(()));
    let mut running = process.pool.get_buffer(BLOCK);
    running.resize(BLOCK, 7);

    // Three quarters of the limit are passed: caches give half, work goes on.
    process.fill_cache(LIMIT * 4 / 5).await;
    let filled = process.cache.get_stats().bytes;
    process.tell("filled");
    process.reaches(PressureLevel::Elevated).await;
    let halved = async {
        while process.cache.get_stats().bytes > filled / 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(TOO_LONG, halved).await.is_ok(),
        "the cache keeps more than half"
    );
    assert!(
        process.cache.get_stats().bytes > 0,
        "elevated pressure takes half, not all"
    );
    assert_eq!(process.admission.check(), Ok(()));

    // Far beyond the limit: everything idle goes, and new work is refused.
    process.fill_pool();
    process.fill_cache(LIMIT * 2).await;
    process.tell("filled");
    let most = resident();
    assert!(most >= LIMIT * 2 && process.pool.get_stats().idle_bytes >= (BUFFERS * BLOCK) as u64);
    process.reaches(PressureLevel::Critical).await;
    let refused = process.admission.check().unwrap_err();
    assert!(refused.used >= LIMIT * 2 && refused.limit == LIMIT, "{refused:?}");
    assert_eq!(refused.retry_after, CALM);
    let words = refused.to_string();
    assert!(
        words.contains("of 64 MiB used") && words.contains("try again"),
        "{words}"
    );
    println!("refused: {words}");
    process.sheds_below(LIMIT / 2).await;
    assert_eq!(process.cache.get_stats().bytes, 0);
    assert_eq!(process.pool.get_stats().idle_bytes, 0);
    assert!(
        running.iter().all(|byte| *byte == 7),
        "what is in use stays as it is"
    );

    // It ends by itself, step by step.
    process.reaches(PressureLevel::Elevated).await;
    process.reaches(PressureLevel::Normal).await;
    assert_eq!(process.admission.check(), Ok(()));
    process
        .cache
        .put("new".to_owned(), Bytes::from_static(b"work"), None)
        .await;
    assert_eq!(process.cache.get("new").await, Some(Bytes::from_static(b"work")));
    process.pool.return_buffer(running);
    assert_eq!(process.manager.stop().await, StopReport::Clean);
    println!("recovered");
}
