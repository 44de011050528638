//! Log lines on standard error: from commands only when they are asked for, because their own output must stay readable;
//! from the daemon always, and in a buffer that its clients can read.

use std::io::IsTerminal as _;
use std::str::FromStr;

use agent_config::ProductionConfig;
use agent_performance::instrumentation::SpanTimings;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use super::Failure;
use super::exit::Exit;
use crate::app::LogBuffer;

/// Starts logging at this level; without one nothing is logged.
pub(super) fn start(level: Option<&str>) -> Result<(), Failure> {
    let Some(level) = level else { return Ok(()) };
    fmt()
        .with_max_level(parse(level)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}

/// Starts the daemon's log, on standard error and in `buffer`, and has the time of its spans taken by `spans`.
pub(super) fn start_daemon(config: &ProductionConfig, buffer: &LogBuffer, spans: &SpanTimings) {
    let level = LevelFilter::from_level(config.get_log_level());
    let is_terminal = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(is_terminal);
    let lines = match config.logging.enable_structured_logging && !is_terminal {
        true => lines.json().flatten_event(true).boxed(),
        false => lines.boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(of_interest(level)))
        .with(buffer.layer().with_filter(of_interest(level)))
        .with(spans.layer())
        .init();
}

/// What others log of every connection and frame is wanted by nobody but who asks for everything.
fn of_interest(level: LevelFilter) -> Targets {
    let others = match level {
        LevelFilter::DEBUG => LevelFilter::INFO,
        level => level,
    };
    Targets::new()
        .with_default(others)
        .with_target("agent_", level)
        .with_target("claude_agent", level)
}

fn parse(level: &str) -> Result<LevelFilter, Failure> {
    LevelFilter::from_str(&level.to_ascii_lowercase()).map_err(|_| {
        Failure::new(Exit::Usage, format!("--log-level {level}: not a level"))
            .advise("use error, warn, info, debug or trace")
    })
}
