//! A Messages API server with scripted answers and injectable faults.
mod answer;
mod cache;
mod config;
mod conversation;
mod digest;
mod error;
mod fault;
mod latency;
mod limits;
mod mind;
mod models;
mod scenario;
mod server;
mod tokens;
mod units;
mod validate;

pub use config::{Exposure, SimulatorConfig};
pub use error::SimulatorError;
pub use fault::{Fault, FaultError, FaultHelp, FaultSpec, MAX_HUGE_EVENT};
pub use latency::{Latency, MAX_LATENCY};
pub use limits::RateLimits;
pub use models::ModelEntry;
pub use scenario::{Scenario, ScenarioError};
pub use server::{ReceivedRequest, Simulator};
pub use units::UnitError;

/// The API versions in use; they differ in what a request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiVersion {
    V2023_06_01,
    V2026_10_21,
}
