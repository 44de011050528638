//! What one session in a terminal and the daemon have in common: the agent, and what it runs on.

use std::time::Duration;

use agent_claude::pricing::PriceTable;
use agent_config::Loaded;
use agent_config::environment::Environment;
use agent_core::session::SessionStore;
use agent_core::tools::ToolRegistry;
use agent_core::{Agent, AgentParts};
use agent_performance::lifecycle::Lifecycle;
use agent_security::audit::AuditLog;

use super::audit::{self, open_audit};
use super::keys::Keys;
use super::pace::Pace;
use super::performance::Performance;
use super::{AppError, Presence, cut, misconfigured, store_file};

/// How long running work may take to end in order: killing a tool's children takes a grace period of its own.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

pub(super) struct Core {
    pub(super) agent: Agent,
    pub(super) store: SessionStore,
    pub(super) audit: AuditLog,
    pub(super) prices: PriceTable,
    pub(super) performance: Performance,
    pub(super) lifecycle: Lifecycle,
}

impl Core {
    /// Builds upward, and starts nothing. Opens the store, but no connection.
    pub(super) fn build(
        loaded: &Loaded,
        environment: &Environment,
        keys: &Keys,
        presence: Presence,
        pace: Pace,
    ) -> Result<Self, AppError> {
        let config = &loaded.config;
        let lifecycle = Lifecycle::new();
        let performance = Performance::new(config, environment, &lifecycle, pace)?;
        let client = performance
            .client(cut::client(loaded, keys.ring())?)
            .map_err(|error| {
                misconfigured(
                    format!("the API can't be used: {error}"),
                    "check the section [api]",
                )
            })?;
        let prices = cut::prices(config)?;
        let policy = cut::policy(config, presence)?;
        let instruments = performance.instruments();
        let store = SessionStore::open_with(store_file(config), instruments.clone())?;
        // After the store, which says best what is wrong with a folder that can't be used.
        let audit = open_audit(loaded, keys.redactor())?;
        let agent = Agent::new(AgentParts {
            client,
            store: store.clone(),
            tools: ToolRegistry::built_in_with(
                cut::tool_limits(config, environment)?,
                performance.children(),
            ),
            policy,
            redactor: keys.redactor().clone(),
            settings: cut::settings(config),
            prices: prices.clone(),
            instruments,
            audit: audit.clone(),
            lifecycle: lifecycle.clone(),
        });
        Ok(Self {
            agent,
            store,
            audit,
            prices,
            performance,
            lifecycle,
        })
    }

    /// Starts what runs beside the agent.
    pub(super) fn start(&mut self) {
        self.performance.start(&self.lifecycle);
        audit::keep(&self.audit, self.performance.metrics(), &self.lifecycle);
    }

    /// Ends what still runs, closes the store, cleans up, and publishes the last figures.
    pub(super) async fn shutdown(self) -> Result<(), AppError> {
        let report = self.lifecycle.shutdown(SHUTDOWN_DEADLINE).await;
        for name in &report.aborted {
            tracing::warn!(
                task = name,
                "did not end within {SHUTDOWN_DEADLINE:?} and was aborted"
            );
        }
        let closed = self.store.close().await;
        self.performance.finish().await;
        Ok(closed?)
    }
}
