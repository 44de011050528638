//! From readings of memory to a level, up at once and down slowly.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::instrumentation::MemoryFigures;

/// How short memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PressureLevel {
    /// Enough.
    #[default]
    Normal,
    /// Pools are trimmed, caches halved.
    Elevated,
    /// Idle sessions leave memory; new work is refused.
    Critical,
}

/// Where readings come from: the system's, or a test's. Called on a runtime thread, so it must not block for long.
pub type MemoryReader = Arc<dyn Fn() -> MemoryFigures + Send + Sync>;

/// What counts as pressure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PressureConfig {
    /// Bytes of resident memory that the process may use; `None` leaves the control group and the stalls.
    pub memory_limit: Option<u64>,
    /// From which part of a limit on the level is elevated. Default 0.75: leaves room for one burst of work.
    pub elevated: f64,
    /// From which part on it is critical. Default 0.9: the rest is needed to finish what is running.
    pub critical: f64,
    /// By how much use must fall below where a level began before it ends. Default 0.1.
    pub hysteresis: f64,
    /// How long use must stay that low before the level falls by one. Default 10 s.
    pub calm: Duration,
    /// Percent of time with some task stalled from which the level is elevated. Default 10.
    pub stall_elevated: f64,
    /// Percent of time with all tasks stalled from which the level is critical. Default 10.
    pub stall_critical: f64,
}

impl Default for PressureConfig {
    fn default() -> Self {
        PressureConfig {
            memory_limit: None,
            elevated: 0.75,
            critical: 0.9,
            hysteresis: 0.1,
            calm: Duration::from_secs(10),
            stall_elevated: 10.0,
            stall_critical: 10.0,
        }
    }
}

/// The tightest limit and what is used of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MemoryUse {
    pub(super) used: u64,
    pub(super) limit: u64,
}

/// Keeps the level.
#[derive(Debug)]
pub(super) struct Gauge {
    config: PressureConfig,
    level: PressureLevel,
    /// Since when readings have allowed a lower level.
    calm_since: Option<Instant>,
}

impl Gauge {
    pub(super) fn new(config: PressureConfig) -> Self {
        Gauge {
            config,
            level: PressureLevel::Normal,
            calm_since: None,
        }
    }

    /// Takes a reading into account: the level after it.
    pub(super) fn observe(&mut self, reading: &MemoryFigures, now: Instant) -> PressureLevel {
        let reached = self.judge(reading, 0.0);
        if reached >= self.level {
            (self.level, self.calm_since) = (reached, None);
            return self.level;
        }
        // Below where the level begins; it ends only with some distance from there, for some time, step by step.
        if self.judge(reading, self.config.hysteresis) >= self.level {
            self.calm_since = None;
            return self.level;
        }
        let since = *self.calm_since.get_or_insert(now);
        if now.duration_since(since) >= self.config.calm {
            self.level = match self.level {
                PressureLevel::Critical => PressureLevel::Elevated,
                PressureLevel::Elevated | PressureLevel::Normal => PressureLevel::Normal,
            };
            self.calm_since = Some(now);
        }
        self.level
    }

    /// The tightest of the limits.
    pub(super) fn tightest(&self, reading: &MemoryFigures) -> MemoryUse {
        let resident = reading.resident.unwrap_or(0);
        let own = self.config.memory_limit.map(|limit| MemoryUse {
            used: resident,
            limit,
        });
        let group = reading.cgroup;
        let group = group
            .memory_used
            .zip(group.memory_limit)
            .map(|(used, limit)| MemoryUse { used, limit });
        let limits = own.into_iter().chain(group);
        let tightest = limits.max_by(|a, b| a.part().total_cmp(&b.part()));
        tightest.unwrap_or(MemoryUse {
            used: resident,
            limit: u64::MAX,
        })
    }

    /// The level that this reading alone would be, with all thresholds lowered by `margin` of the limit.
    fn judge(&self, reading: &MemoryFigures, margin: f64) -> PressureLevel {
        let config = &self.config;
        let part = self.tightest(reading).part();
        let (some, full) = (
            reading.stall_some.unwrap_or(0.0),
            reading.stall_full.unwrap_or(0.0),
        );
        // Stalls are averages already; half of where they began is calm.
        let stall_factor = if margin > 0.0 { 0.5 } else { 1.0 };
        if part >= config.critical - margin || full >= config.stall_critical * stall_factor {
            PressureLevel::Critical
        } else if part >= config.elevated - margin || some >= config.stall_elevated * stall_factor {
            PressureLevel::Elevated
        } else {
            PressureLevel::Normal
        }
    }
}

impl MemoryUse {
    fn part(self) -> f64 {
        self.used as f64 / self.limit.max(1) as f64
    }
}

impl PressureLevel {
    pub(super) fn as_number(self) -> f64 {
        match self {
            PressureLevel::Normal => 0.0,
            PressureLevel::Elevated => 1.0,
            PressureLevel::Critical => 2.0,
        }
    }
}

impl fmt::Display for PressureLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PressureLevel::Normal => "normal",
            PressureLevel::Elevated => "elevated",
            PressureLevel::Critical => "critical",
        })
    }
}
