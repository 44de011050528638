//! A turn that asks for eight reads, against the same reads one after the other.
//!
//! Both go through the same agent and the same scheduling; only `max_parallel_tools` differs. The time is taken from
//! the events, as a reader sees them. Prints one JSON object a line.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "its output is its figures, and a fault ends it"
)]

use std::error::Error;
use std::time::{Duration, Instant};

use agent_core::{AgentEvent, Outcome};
use serde_json::json;

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/agent/support/mod.rs"]
mod support;

use support::fixture::{Fixture, limits};
use support::server::{answer, call, text};

/// Reads in one answer.
const READS: usize = 8;

/// What each read waits for, in milliseconds.
const LATENCY_MS: u64 = 5;

/// Turns measured of each kind; the median counts.
const TURNS: usize = 41;

/// What the issue demands of the ratio.
const NEED: f64 = 5.0;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut together, mut in_turn) = (Vec::new(), Vec::new());
    // Alternating, so that a slow moment of the machine falls on both.
    for _ in 0..TURNS {
        together.push(turn(READS).await?);
        in_turn.push(turn(1).await?);
    }
    let (ours, baseline) = (median(together), median(in_turn));
    let ratio = baseline / ours;
    let figure = json!({
        "group": "tools",
        "name": "eight reads, 5 ms injected latency each: one turn in parallel against one after the other",
        "ours": ours,
        "baseline": baseline,
        "unit": "ms",
        "ratio": ratio,
        "need": format!("ratio >= {NEED:.1}"),
        "ok": ratio >= NEED,
        "includes": "preparing, permission, scheduling, events and the injected latency; not the model, not the store",
    });
    println!("{figure}");
    Ok(())
}

/// Milliseconds from the first request for a tool to the end of the last one.
async fn turn(parallel: usize) -> Result<f64, Box<dyn Error>> {
    let reads = (0..READS).map(|n| {
        call(
            &format!("t{n}"),
            "look",
            json!({"path": format!("f{n}"), "ms": LATENCY_MS}),
        )
    });
    let mut fixture = Fixture::new([answer(reads, "tool_use"), answer([text("ok")], "end_turn")]).await;
    fixture.parts.settings.max_parallel_tools = parallel;
    let mut handle = fixture.session().await.run("read", limits());
    let (mut begun, mut took, mut outcome) = (None, Duration::ZERO, None);
    while let Some(event) = handle.events.recv().await {
        match event {
            AgentEvent::ToolRequested { .. } => begun = begun.or(Some(Instant::now())),
            AgentEvent::ToolFinished { .. } => {
                took = begun.ok_or("finished before it was requested")?.elapsed()
            }
            AgentEvent::Finished(finished) => outcome = Some(finished.outcome),
            _ => {}
        }
    }
    match outcome {
        Some(Outcome::Done) => Ok(took.as_secs_f64() * 1000.0),
        other => Err(format!("the turn ended as {other:?}").into()),
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
