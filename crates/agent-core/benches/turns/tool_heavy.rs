//! A turn of sixteen tools, with what makes it fast and without.

use std::error::Error;

use super::server::SIXTEEN_TOOLS;
use super::workspace::{Bench, Setup, run};
use super::{Figure, median, print};

/// Turns of each kind.
const TURNS: usize = 61;

/// What the ratio has to be.
const NEED: f64 = 1.2;

pub(crate) async fn measure(url: &str) -> Result<(), Box<dyn Error>> {
    let fast = Bench::new(Setup::ON, url)?;
    let slow = Bench::new(
        Setup {
            reuse: false,
            parallel: 1,
            pooled: false,
            ..Setup::ON
        },
        url,
    )?;
    let (mut ours, mut baseline, mut tools) = (Vec::new(), Vec::new(), (Vec::new(), Vec::new()));
    for turn in 0..TURNS + 2 {
        let (whole, of_tools) = run(&fast.session().await?, SIXTEEN_TOOLS).await?;
        let (slow_whole, slow_tools) = run(&slow.session().await?, SIXTEEN_TOOLS).await?;
        // The first ones find cold caches.
        if turn >= 2 {
            ours.push(whole.as_secs_f64() * 1e3);
            baseline.push(slow_whole.as_secs_f64() * 1e3);
            tools.0.push(of_tools.as_secs_f64() * 1e3);
            tools.1.push(slow_tools.as_secs_f64() * 1e3);
        }
    }
    let ratio = median(ours.iter().zip(&baseline).map(|(ours, slow)| slow / ours));
    let opened = [&fast, &slow].map(|bench| bench.connections.get_stats().opened_total);
    print(&Figure {
        name: "a turn of 16 mixed tools: everything on against parallel tools and reuse of connections and buffers off",
        ours: median(ours),
        baseline: Some(median(baseline)),
        unit: "ms",
        ratio: Some(ratio),
        need: format!("ratio >= {NEED}"),
        ok: ratio >= NEED,
        includes: format!(
            "the whole turn: prompt, answer, 5 reads, 3 greps and 2 globs over 120 files, 2 lists and 4 commands of bash, end; \
             the store in memory. Off: one tool at a time, no connection and no buffer used twice. Monitoring is on for both. The tools alone: {:.1} ms against {:.1} ms; \
             connections opened: {} against {}. Median of {TURNS} pairs on {} processors",
            median(tools.0),
            median(tools.1),
            opened[0],
            opened[1],
            std::thread::available_parallelism().map_or(0, usize::from),
        ),
    });
    Ok(())
}
