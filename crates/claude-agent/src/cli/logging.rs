//! Log lines on standard error, only when they are asked for: a command's own output must stay readable.

use std::str::FromStr;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

use super::Failure;
use super::exit::Exit;

/// Starts logging at this level; without one nothing is logged.
pub(super) fn start(level: Option<&str>) -> Result<(), Failure> {
    let Some(level) = level else { return Ok(()) };
    let level = LevelFilter::from_str(&level.to_ascii_lowercase()).map_err(|_| {
        Failure::new(Exit::Usage, format!("--log-level {level}: not a level"))
            .advise("use error, warn, info, debug or trace")
    })?;
    fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(output_is_terminal())
        .init();
    Ok(())
}

fn output_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}
