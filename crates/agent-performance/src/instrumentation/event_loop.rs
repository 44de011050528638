//! How late the runtime is.

use std::time::Duration;

use tokio::time::Instant;

use super::jittered;
use crate::lifecycle::{Lifecycle, TaskHandle};
use crate::metrics::{MetricsCollector, NO_TAGS};

/// Measures how much later than asked a timer fires: on a healthy runtime a millisecond or two, the timer's own
/// resolution; more means that tasks hold their threads too long.
#[derive(Debug)]
pub struct EventLoopLag;

impl EventLoopLag {
    /// The least time between two measurements: a hundred a second are no load.
    pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

    /// Starts measuring about every `interval` (each is shortened by up to a tenth, differently each time: what happens in
    /// step with a timer would else always be met, or never), into `runtime.event_loop_lag`, until the lifecycle ends.
    pub fn start(lifecycle: &Lifecycle, collector: &MetricsCollector, interval: Duration) -> TaskHandle<()> {
        let lag = collector.duration("runtime.event_loop_lag", NO_TAGS);
        let interval = interval.max(Self::SHORTEST_INTERVAL);
        let token = lifecycle.token();
        lifecycle.spawn("event-loop-lag", async move {
            loop {
                let wanted = Instant::now() + jittered(interval);
                tokio::select! {
                    biased;
                    () = token.cancelled() => return,
                    () = tokio::time::sleep_until(wanted) => lag.record(wanted.elapsed()),
                }
            }
        })
    }
}
