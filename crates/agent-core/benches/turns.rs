//! Whole turns of the agent, with the performance layer and without: what its figures cost, what a turn of many tools
//! gains, and what a long session leaves in memory. Prints one JSON object a line.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "its output is its figures, and a fault ends it"
)]

use std::error::Error;

use serde_json::json;

#[path = "turns/command_output.rs"]
mod command_output;
#[path = "turns/long_session.rs"]
mod long_session;
#[path = "turns/monitoring.rs"]
mod monitoring;
#[path = "turns/server.rs"]
mod server;
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/agent/support/mod.rs"]
mod support;
#[path = "turns/tool_heavy.rs"]
mod tool_heavy;
#[path = "turns/workspace.rs"]
mod workspace;

/// One comparison.
struct Figure {
    name: &'static str,
    ours: f64,
    baseline: Option<f64>,
    unit: &'static str,
    ratio: Option<f64>,
    need: String,
    ok: bool,
    includes: String,
}

fn print(figure: &Figure) {
    let line = json!({
        "group": "performance", "name": figure.name, "ours": figure.ours, "baseline": figure.baseline,
        "unit": figure.unit, "ratio": figure.ratio, "need": figure.need, "ok": figure.ok,
        "includes": figure.includes,
    });
    println!("{line}");
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Without words it measures; a word makes it one of its own helpers, or measures only one part.
fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words == ["serve"] {
        return server::serve();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let ["session", kind, url] = words[..] {
        return runtime.block_on(long_session::run_session(kind, url));
    }
    let server = server::Server::start()?;
    let wanted = |part| words.is_empty() || words.contains(&part);
    if wanted("output") {
        command_output::measure();
    }
    if wanted("tools") {
        runtime.block_on(tool_heavy::measure(&server.url))?;
    }
    if wanted("monitoring") {
        runtime.block_on(monitoring::measure(&server.url))?;
    }
    if wanted("memory") {
        long_session::measure(&server.url)?;
    }
    Ok(())
}
