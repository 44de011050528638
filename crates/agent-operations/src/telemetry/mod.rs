//! Figures, spans and lines of the log sent to a collector of OpenTelemetry's, by OTLP over HTTP with protobuf.
//!
//! Off unless an endpoint is named, in the configuration or by the standard variables. Figures are sent as
//! totals since the start, so none wait here and none are lost while the collector is away: one request is under way at most,
//! the next one says it all again. Spans wait in a queue with a limit, and beyond it are counted and dropped; lines
//! wait in the ring of the latest ones, which is there anyway. A collector that
//! is away costs one warning a while.

mod logs;
mod metrics;
mod names;
mod outage;
mod push;
mod resource;
mod settings;
mod traces;
mod transport;

#[cfg(test)]
mod tests;

pub use logs::{SentLine, push_logs};
pub use push::push_metrics;
pub use settings::{BATCH_WAIT, OtlpSettings, SettingsError, Signal};
pub use traces::push_spans;
pub use transport::Collector;
