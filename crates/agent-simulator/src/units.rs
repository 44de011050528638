//! Durations and sizes inside the one-word texts of faults and latencies.

use std::time::Duration;

use agent_config::{ByteSize, HumanDuration};

/// A text that is no duration, size or latency; says what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(pub(crate) String);

pub(crate) fn duration(text: &str) -> Result<Duration, UnitError> {
    text.parse::<HumanDuration>()
        .map(Duration::from)
        .map_err(|error| UnitError(format!("{text:?} {error}")))
}

pub(crate) fn size(text: &str) -> Result<u64, UnitError> {
    text.parse::<ByteSize>()
        .map(u64::from)
        .map_err(|error| UnitError(format!("{text:?} {error}")))
}

/// Without the space between number and unit, so that the text needs no quotes in a shell.
pub(crate) fn show_duration(duration: Duration) -> String {
    HumanDuration(duration).to_string().replace(' ', "")
}

pub(crate) fn show_size(bytes: u64) -> String {
    ByteSize(bytes).to_string().replace(' ', "")
}
