//! Figures sent to a collector of OpenTelemetry's, by OTLP over HTTP with protobuf.
//!
//! Off unless an endpoint is named, in the configuration or by the standard variables. What is sent are totals since the
//! start, so nothing waits here and nothing is lost while the collector is away: one request is under way at most, the next
//! one says it all again. A collector that is away costs one warning a while.

mod metrics;
mod names;
mod push;
mod resource;
mod settings;
mod transport;

#[cfg(test)]
mod tests;

pub use push::push_metrics;
pub use settings::{OtlpSettings, SettingsError};
pub use transport::Collector;
