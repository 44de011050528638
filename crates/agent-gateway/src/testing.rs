//! A gateway of real parts for tests: bound to a free port, in front of the simulator.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent_claude::client::{ClaudeClient, ClaudeConfig};
use agent_claude::keys::KeyRing;
use agent_claude::pricing::PriceTable;
use agent_config::{PermissionMode, Secret, WhitelistLevel};
use agent_core::session::SessionStore;
use agent_core::tools::ToolRegistry;
use agent_core::{Agent, AgentParts, AgentSettings, Instruments, RunLimits};
use agent_performance::cache::ResponseCache;
use agent_performance::cleanup::ResourceCleanupManager;
use agent_performance::connection_pool::{ConnectionPoolConfig, HttpConnectionPool};
use agent_performance::lifecycle::{Lifecycle, TaskHandle};
use agent_performance::memory::{MemoryPool, ResourceTracker};
use agent_performance::metrics::MetricsCollector;
use agent_security::command::CommandRules;
use agent_security::permission::{DeniedPaths, Policy};
use agent_security::redact::Redactor;
use agent_security::token::{Credentials, Token};
use agent_simulator::{Simulator, SimulatorConfig};
use tempfile::TempDir;
use url::Url;

use crate::{
    Addresses, ConfigurationView, DrainReport, Gateway, GatewayLimits, GatewayParts, GatewaySettings,
    LogBuffer, Upstream, UpstreamTimeouts,
};

/// The credential that every test gateway knows.
pub(crate) const TOKEN: &str = "token-of-the-tests-0123456789";

/// A hang of the code under test ends the test, not the patience of its reader.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(60);

/// Short enough to wait for, long enough for a machine with much to do.
pub(crate) const SHORT: Duration = Duration::from_millis(400);

/// Gives up on every slow client after [`SHORT`].
pub(crate) fn make_impatient(limits: &mut GatewayLimits) {
    limits.header_read_timeout = SHORT;
    limits.body_read_timeout = SHORT;
    limits.keep_alive_timeout = SHORT;
    limits.write_timeout = SHORT;
}

/// A gateway that serves, and what it stands on.
pub(crate) struct Running {
    pub(crate) addresses: Addresses,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) metrics: MetricsCollector,
    /// Held for its end.
    _folder: TempDir,
    pub(crate) simulator: Simulator,
    serving: TaskHandle<DrainReport>,
}

impl Running {
    /// With the tests' own settings.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With settings that `change` changes.
    pub(crate) async fn with(change: impl FnOnce(&mut GatewayParts)) -> Self {
        let folder = TempDir::new().unwrap();
        let simulator = Simulator::bind(SimulatorConfig::default()).await.unwrap();
        let mut parts = parts(&folder, simulator.base_url().parse().unwrap());
        change(&mut parts);
        let lifecycle = parts.lifecycle.clone();
        let metrics = parts.metrics.clone().unwrap_or_default();
        let gateway = Gateway::bind(parts).await.unwrap();
        let addresses = gateway.addresses().clone();
        // Apart from the gateway's own: it ends by that one's token.
        let serving = Lifecycle::new().spawn("gateway", gateway.serve());
        Running {
            addresses,
            lifecycle,
            metrics,
            _folder: folder,
            simulator,
            serving,
        }
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(self) -> DrainReport {
        self.lifecycle.token().cancel();
        tokio::time::timeout(TOO_LONG, self.serving)
            .await
            .unwrap()
            .unwrap()
    }
}

/// Parts with the shipped limits, but for a rate limit.
pub(crate) fn parts(folder: &TempDir, upstream: Url) -> GatewayParts {
    let lifecycle = Lifecycle::new();
    let store = SessionStore::open(folder.path().join("sessions.db")).unwrap();
    let mut credentials = Credentials::none();
    credentials
        .add("tests", &Token::parse(Secret::from(TOKEN)).unwrap())
        .unwrap();
    let cleanup = ResourceCleanupManager::new(Arc::new(MemoryPool::new()), Arc::default());
    GatewayParts {
        audit: agent_security::audit::AuditLog::off(),
        settings: settings(),
        credentials,
        logins: crate::PageLogins::default(),
        upstream: Upstream {
            base_url: upstream.clone(),
            keys: KeyRing::of(&upstream, Secret::from("sk-ant-simulated")).unwrap(),
            timeouts: UpstreamTimeouts {
                connect: Duration::from_secs(10),
                first_byte: TOO_LONG,
                idle: TOO_LONG,
                total: TOO_LONG,
            },
            connections: Arc::new(HttpConnectionPool::new(ConnectionPoolConfig::default())),
        },
        agent: agent(&upstream, &store, &lifecycle),
        store,
        run_limits: RunLimits {
            max_turns: 10,
            max_budget_usd: None,
            timeout: TOO_LONG,
        },
        metrics: Some(MetricsCollector::new()),
        tracker: ResourceTracker::new(),
        cache: ResponseCache::new(1024 * 1024, Duration::from_secs(60)),
        admission: cleanup.admission(),
        health: None,
        safe_mode: None,
        prices: PriceTable::built_in(),
        shared: None,
        configuration: ConfigurationView::default(),
        logs: LogBuffer::new(Redactor::default()),
        lifecycle,
        version: "0.0.0-test",
    }
}

fn settings() -> GatewaySettings {
    GatewaySettings {
        listen: ([127, 0, 0, 1], 0).into(),
        unix_socket: None::<PathBuf>,
        tls: None,
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
        limits: GatewayLimits {
            max_connections: 1024,
            header_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            max_buffered_bodies: 256 * 1024 * 1024,
            max_request_size: 1024 * 1024,
            max_gateway_request_size: 32 * 1024 * 1024,
            requests_per_minute: 0,
            max_concurrent_requests: 64,
            max_turns_in_flight: 32,
        },
        compression: true,
        serve_messages_cache: false,
        signing: None,
        drain_deadline: Duration::from_secs(30),
    }
}

fn agent(upstream: &Url, store: &SessionStore, lifecycle: &Lifecycle) -> Agent {
    Agent::new(AgentParts {
        client: ClaudeClient::new(ClaudeConfig::new(upstream.clone())).unwrap(),
        store: store.clone(),
        tools: ToolRegistry::built_in(agent_core::tools::ToolLimits::default()),
        policy: Policy {
            mode: PermissionMode::Policy,
            level: WhitelistLevel::Strict,
            rules: CommandRules::new(&[] as &[String], &[] as &[String]).unwrap(),
            denied_paths: DeniedPaths::default(),
            interactive: false,
        },
        redactor: Redactor::default(),
        settings: AgentSettings::new("claude-opus-5-5"),
        prices: PriceTable::built_in(),
        lifecycle: lifecycle.clone(),
        audit: agent_security::audit::AuditLog::off(),
        instruments: Instruments::none(),
    })
}
