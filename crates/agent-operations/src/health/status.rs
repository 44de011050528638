//! What checks and monitor say.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The longest message of a check that is kept, in bytes; a page of HTML from a proxy is no message.
const MAX_MESSAGE_BYTES: usize = 500;

/// The state of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Every check passes.
    Healthy,
    /// Something warns, or fails and may be back at the next look. Also the state before the first cycle.
    Degraded,
    /// A check failed as often in a row as is tolerated.
    Unhealthy,
}

/// What a check says of what it looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// All is well.
    Pass,
    /// It works, and someone should look.
    Warn,
    /// It does not work.
    Fail,
}

impl CheckStatus {
    /// The word of the health format, and the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            CheckStatus::Pass => "pass",
            CheckStatus::Warn => "warn",
            CheckStatus::Fail => "fail",
        }
    }
}

/// A value that a check measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// What was measured, in a word: `memory`, `responseTime`.
    pub measurement: String,
    /// How much.
    pub value: f64,
    /// In what unit: `MB`, `percent`, `ms`.
    pub unit: String,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// How it went.
    pub status: CheckStatus,
    /// What was seen, and what to do where it is not well.
    pub message: String,
    /// How long the look took; the monitor's to fill in.
    pub duration: Duration,
    /// When the check passed or warned last; the monitor's to fill in.
    pub last_success: Option<DateTime<Utc>>,
    /// How many times in a row it failed, this time included; the monitor's to fill in.
    pub consecutive_failures: u32,
    /// What was measured, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
}

impl CheckResult {
    /// All is well.
    pub fn pass(message: impl Into<String>) -> Self {
        Self::new(CheckStatus::Pass, message.into())
    }

    /// It works, and someone should look.
    pub fn warn(message: impl Into<String>) -> Self {
        Self::new(CheckStatus::Warn, message.into())
    }

    /// It does not work.
    pub fn fail(message: impl Into<String>) -> Self {
        Self::new(CheckStatus::Fail, message.into())
    }

    /// The same with what was measured.
    #[must_use]
    pub fn observing(mut self, measurement: &str, value: f64, unit: &str) -> Self {
        // The format is JSON, which knows no infinities.
        self.observed = value.is_finite().then(|| Observed {
            measurement: measurement.to_owned(),
            value,
            unit: unit.to_owned(),
        });
        self
    }

    fn new(status: CheckStatus, mut message: String) -> Self {
        if message.len() > MAX_MESSAGE_BYTES {
            let end = message.floor_char_boundary(MAX_MESSAGE_BYTES);
            message.truncate(end);
            message.push('…');
        }
        CheckResult {
            status,
            message,
            duration: Duration::ZERO,
            last_success: None,
            consecutive_failures: 0,
            observed: None,
        }
    }
}

/// A change of one check's status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// When it was seen.
    pub at: DateTime<Utc>,
    /// Which check.
    pub check: String,
    /// What it said before; none at its first look.
    pub from: Option<CheckStatus>,
    /// What it says since.
    pub to: CheckStatus,
    /// What it said about it.
    pub message: String,
}

/// What the monitor knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthStatus {
    /// The state of the whole.
    pub status: HealthState,
    /// True until every check was looked at once.
    pub starting: bool,
    /// When the last cycle ended; when the monitor was made, before the first.
    pub timestamp: DateTime<Utc>,
    /// Since the monitor was made.
    pub uptime: Duration,
    /// The last result of each check, by name.
    pub checks: BTreeMap<String, CheckResult>,
    /// The last changes, oldest first; a bounded number.
    pub transitions: Vec<Transition>,
    /// The version of the program.
    pub version: String,
    /// The build it is.
    pub build_hash: String,
}
