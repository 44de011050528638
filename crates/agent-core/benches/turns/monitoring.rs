//! What all monitoring costs: the same turns with it and without, in blocks by turns.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use agent_performance::cleanup::{CleanupConfig, ResourceCleanupManager};
use agent_performance::instrumentation::{EventLoopLag, SystemMetrics};
use agent_performance::lifecycle::Lifecycle;
use rustix::time::{ClockId, clock_gettime};

use super::server::THREE_TOOLS;
use super::workspace::{Bench, Setup, run};
use super::{Figure, median, print};

/// Blocks of each kind.
const PAIRS: usize = 31;

/// Sessions of a block, and turns of a session.
const SESSIONS: usize = 20;
const TURNS: usize = 10;

/// Of CPU time, and of the 99th percentile.
const NEED: f64 = 1.05;

/// What a block took: CPU seconds a turn, and the 99th percentile of its turns in milliseconds.
struct Block {
    cpu: f64,
    p99: f64,
}

pub(crate) async fn measure(url: &str) -> Result<(), Box<dyn Error>> {
    let with = Bench::new(Setup::ON, url)?;
    let without = Bench::new(
        Setup {
            monitored: false,
            ..Setup::ON
        },
        url,
    )?;
    block(&with).await?;
    block(&without).await?;
    let mut pairs = Vec::new();
    for pair in 0..PAIRS {
        // Each kind is first as often as the other.
        if pair % 2 == 0 {
            let on = monitored(&with).await?;
            pairs.push((on, block(&without).await?));
        } else {
            let off = block(&without).await?;
            pairs.push((monitored(&with).await?, off));
        }
    }
    let includes = format!(
        "a prompt, a streamed answer with three tools (read, grep, list), a streamed end; the store in memory, the model in \
         another process whose time does not count. On: metrics of client, connections, agent and store, the tracker, the \
         ledger of children, and while a block runs the samplers of system and event loop and the clean-up manager, each \
         started anew for every block. Off: none of them. Median of {PAIRS} pairs of blocks of {} turns, by turns",
        SESSIONS * TURNS
    );
    for (name, unit, of) in [
        (
            "a turn with all monitoring against without: CPU time",
            "ms",
            (|block| block.cpu * 1e3) as fn(&Block) -> f64,
        ),
        (
            "a turn with all monitoring against without: 99th percentile of its time",
            "ms",
            |block| block.p99,
        ),
    ] {
        let ratio = median(pairs.iter().map(|(on, off)| of(on) / of(off)));
        print(&Figure {
            name,
            ours: median(pairs.iter().map(|(on, _)| of(on))),
            baseline: Some(median(pairs.iter().map(|(_, off)| of(off)))),
            unit,
            ratio: Some(ratio),
            need: format!("ratio <= {NEED}"),
            ok: ratio <= NEED,
            includes: includes.clone(),
        });
    }
    Ok(())
}

/// A block with what the product runs beside the agent.
async fn monitored(bench: &Bench) -> Result<Block, Box<dyn Error>> {
    let lifecycle = Lifecycle::new();
    let metrics = &bench.metrics;
    let cleanup = ResourceCleanupManager::with_config(
        Arc::new(bench.pool.clone()),
        Arc::new(metrics.clone()),
        CleanupConfig {
            pressure_interval: Duration::from_millis(1200),
            tracker: Some(bench.tracker.clone()),
            lifecycle: lifecycle.clone(),
            ..CleanupConfig::default()
        },
    );
    cleanup.start().await;
    let _lag = EventLoopLag::start(&lifecycle, metrics, Duration::from_secs(1));
    let system = SystemMetrics::new(&bench.workspace());
    let _system = system.start(&lifecycle, metrics, Duration::from_secs(2));
    let block = block(bench).await;
    cleanup.stop().await;
    lifecycle.shutdown(Duration::from_secs(5)).await;
    block
}

async fn block(bench: &Bench) -> Result<Block, Box<dyn Error>> {
    let (begun, mut times) = (cpu_seconds(), Vec::new());
    for _ in 0..SESSIONS {
        let session = bench.session().await?;
        for _ in 0..TURNS {
            times.push(run(&session, THREE_TOOLS).await?.0.as_secs_f64() * 1e3);
        }
    }
    let cpu = (cpu_seconds() - begun) / times.len() as f64;
    times.sort_by(f64::total_cmp);
    let p99 = times[times.len() * 99 / 100];
    Ok(Block { cpu, p99 })
}

/// Of the whole process.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
