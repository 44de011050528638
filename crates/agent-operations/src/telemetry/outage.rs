//! Telling that a collector is away, and that it is back, without telling it again and again.

use std::time::Duration;

use tokio::time::Instant;

use super::transport::NotSent;

/// How often a collector that is away, or refuses, is warned of.
const WARN_EVERY: Duration = Duration::from_secs(10 * 60);

/// What was told of one signal on its way to one collector.
#[derive(Debug)]
pub(super) struct Outage {
    what: &'static str,
    origin: String,
    /// When the collector was last warned of; none while all is well.
    warned: Option<Instant>,
}

impl Outage {
    pub(super) fn new(what: &'static str, origin: &str) -> Self {
        Outage {
            what,
            origin: origin.to_owned(),
            warned: None,
        }
    }

    pub(super) fn tell(&mut self, sent: Result<(), &NotSent>) {
        let Outage { what, origin, .. } = &*self;
        match sent {
            Ok(()) => {
                if self.warned.is_some() {
                    tracing::info!("{what} reach the collector at {origin} again");
                    self.warned = None;
                }
            }
            Err(failure) => {
                if self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
                    tracing::warn!(
                        "{what} do not reach the collector at {origin}: {}; it is tried again and again, and nothing waits for it",
                        failure.why
                    );
                    self.warned = Some(Instant::now());
                }
            }
        }
    }
}
