//! Whether the process can do its work: checks that run at the same time, each with a deadline of its own, and a monitor
//! that remembers.
//!
//! A check only reports what it sees now. The monitor counts failures in a row, keeps the last success and the last
//! transitions, and makes one state of it all. A check that hangs or panics fails alone.

mod check;
pub mod checks;
mod config;
mod json;
mod measure;
mod monitor;
mod record;
mod status;

#[cfg(test)]
mod tests;

pub use check::HealthCheck;
pub use config::HealthConfig;
pub use json::{HEALTH_MEDIA_TYPE, health_json};
pub use monitor::{HealthMonitor, MAX_CHECKS, RegisterError};
pub use status::{CheckResult, CheckStatus, HealthState, HealthStatus, Observed, Transition};
