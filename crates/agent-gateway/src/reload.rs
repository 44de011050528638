//! What can change while the gateway runs, and how a client asks for it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::parts::Sharing;
use crate::pipeline::{OriginRules, RateLimits};

/// Reloads that may wait for the one under way; each reads the same files, so that more would tell nobody anything new.
pub(crate) const MAX_WAITING: usize = 4;

/// What came of reading the configuration again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReloadReport {
    /// The keys whose new values hold from now on.
    pub applied: Vec<String>,
    /// The keys whose new values hold after a restart, those of earlier reloads included.
    pub needs_restart: Vec<String>,
    /// How many keys have the value that is running.
    pub unchanged: usize,
}

/// What was wrong with the configuration: one text for each problem. Nothing was changed.
pub type Problems = Vec<String>;

/// A client's wish to have the configuration read again.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Where the answer goes. Nobody may be waiting for it any more.
    pub answer: oneshot::Sender<Result<ReloadReport, Problems>>,
}

/// The values that can change while the gateway runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSettings {
    /// See [`crate::GatewaySettings::allowed_hosts`].
    pub allowed_hosts: Vec<String>,
    /// See [`crate::GatewaySettings::allowed_origins`].
    pub allowed_origins: Vec<String>,
    /// See [`crate::GatewayLimits::requests_per_minute`].
    pub requests_per_minute: u32,
}

/// Changes a running gateway. Requests that were admitted already go on as they were.
pub struct GatewayControl {
    pub(crate) origins: Arc<ArcSwap<OriginRules>>,
    pub(crate) rates: Arc<ArcSwap<RateLimits>>,
    pub(crate) sharing: Option<Sharing>,
    pub(crate) configuration: Arc<ArcSwap<Value>>,
    pub(crate) current: LiveSettings,
}

impl GatewayControl {
    /// Makes these values hold for every request from now on. Where the rate stays, what was counted stays as well.
    pub fn apply(&mut self, settings: LiveSettings) {
        if settings.requests_per_minute != self.current.requests_per_minute {
            let rates = RateLimits::new(settings.requests_per_minute, self.sharing.as_ref());
            self.rates.store(Arc::new(rates));
        }
        let rules = OriginRules::new(&settings.allowed_hosts, &settings.allowed_origins);
        self.origins.store(Arc::new(rules));
        self.current = settings;
    }

    /// What `/api/v1/config` shows from now on; without secrets.
    pub fn show(&self, configuration: Value) {
        self.configuration.store(Arc::new(configuration));
    }
}
