//! What keeps the agent running for weeks: [`health`], and [`crash`], the watch over itself,
//! and [`telemetry`], what is sent to a collector.
//!
//! Knows nothing of the agent loop; it is given handles to check.

pub mod crash;
pub mod health;
pub mod telemetry;
