//! A gateway of real parts before an upstream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent_claude::client::{ClaudeClient, ClaudeConfig};
use agent_claude::keys::KeyRing;
use agent_claude::pricing::PriceTable;
use agent_config::{PermissionMode, WhitelistLevel};
use agent_core::session::SessionStore;
use agent_core::tools::ToolRegistry;
use agent_core::{Agent, AgentParts, AgentSettings, Instruments, RunLimits};
use agent_gateway::{
    ConfigurationView, Gateway, GatewayLimits, GatewayParts, GatewaySettings, LogBuffer, TlsFiles, Upstream,
    UpstreamTimeouts,
};
use agent_performance::cache::{CacheLimits, ResponseCache};
use agent_performance::cleanup::ResourceCleanupManager;
use agent_performance::connection_pool::{ConnectionPoolConfig, HttpConnectionPool};
use agent_performance::lifecycle::Lifecycle;
use agent_performance::memory::{MemoryPool, ResourceTracker};
use agent_performance::metrics::MetricsCollector;
use agent_security::command::CommandRules;
use agent_security::permission::{DeniedPaths, Policy};
use agent_security::redact::Redactor;
use agent_security::token::{Credentials, Token};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::wire::{self, Reply};

pub(crate) const KEY: &str = "sk-upstream-key";

/// What a test wants otherwise than usual.
#[derive(Clone)]
pub(crate) struct Choice {
    pub(crate) cache_messages: bool,
    pub(crate) timeouts: UpstreamTimeouts,
    pub(crate) connections: usize,
    pub(crate) max_size: u64,
    pub(crate) write_timeout: Duration,
    pub(crate) tls: Option<TlsFiles>,
}

impl Default for Choice {
    fn default() -> Self {
        Choice {
            cache_messages: false,
            timeouts: UpstreamTimeouts {
                connect: Duration::from_secs(20),
                first_byte: Duration::from_secs(20),
                idle: Duration::from_secs(20),
                total: Duration::from_secs(40),
            },
            connections: 16,
            max_size: 1 << 20,
            write_timeout: Duration::from_secs(30),
            tls: None,
        }
    }
}

impl Choice {
    pub(crate) fn idle(idle: Duration) -> Self {
        let mut choice = Choice::default();
        choice.timeouts.idle = idle;
        choice
    }
}

pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    pub(crate) other_token: String,
    pub(crate) collector: MetricsCollector,
    pub(crate) lifecycle: Lifecycle,
    _folder: tempfile::TempDir,
}

impl Rig {
    pub(crate) async fn before(upstream: &str) -> Self {
        Self::with(upstream, Choice::default()).await
    }

    pub(crate) async fn with(upstream: &str, choice: Choice) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let lifecycle = Lifecycle::new();
        let collector = MetricsCollector::new();
        let (token, other) = (Token::generate().unwrap(), Token::generate().unwrap());
        let mut credentials = Credentials::none();
        credentials.add("owner", &token).unwrap();
        credentials.add("guest", &other).unwrap();
        let tracker = ResourceTracker::new();
        let manager = ResourceCleanupManager::new(Arc::new(MemoryPool::new()), Arc::new(collector.clone()));
        let store = SessionStore::open(folder.path().join("sessions.db")).unwrap();
        let base_url: url::Url = upstream.parse().unwrap();
        let parts = GatewayParts {
            audit: agent_security::audit::AuditLog::off(),
            settings: settings(&choice),
            credentials,
            logins: agent_gateway::PageLogins::default(),
            upstream: Upstream {
                base_url: base_url.clone(),
                keys: KeyRing::of(&base_url, KEY.into()).unwrap(),
                timeouts: choice.timeouts,
                connections: Arc::new(HttpConnectionPool::new(ConnectionPoolConfig {
                    max_connections_per_host: choice.connections,
                    acquire_timeout: Duration::from_millis(300),
                    ..ConnectionPoolConfig::default()
                })),
            },
            agent: agent(base_url, &store, &lifecycle),
            store,
            run_limits: RunLimits {
                max_turns: 2,
                max_budget_usd: None,
                timeout: Duration::from_secs(20),
            },
            metrics: Some(collector.clone()),
            tracker,
            cache: ResponseCache::with_limits(CacheLimits::default()),
            admission: manager.admission(),
            health: None,
            safe_mode: None,
            prices: PriceTable::built_in(),
            shared: None,
            configuration: ConfigurationView::default(),
            logs: LogBuffer::new(Redactor::new(Vec::new())),
            lifecycle: lifecycle.clone(),
            version: "0",
        };
        let gateway = Gateway::bind(parts).await.unwrap();
        let address = gateway.addresses().tcp;
        tokio::spawn(gateway.serve());
        Rig {
            address,
            token: token.secret().expose().to_owned(),
            other_token: other.secret().expose().to_owned(),
            collector,
            lifecycle,
            _folder: folder,
        }
    }

    /// The header lines that every call has.
    pub(crate) fn head(&self) -> String {
        format!(
            "x-api-key: {}\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n",
            self.token
        )
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        self.post_with(path, "", body).await
    }

    pub(crate) async fn post_with(&self, path: &str, head: &str, body: &str) -> Reply {
        let request = wire::request("POST", path, &(self.head() + head), body.as_bytes());
        wire::exchange(self.address, &request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        wire::exchange(self.address, &wire::request("GET", path, &self.head(), b"")).await
    }

    /// A connection on which a message was asked for, its answer still to be read.
    pub(crate) async fn asked(&self, body: &str) -> TcpStream {
        let mut stream = wire::connect(self.address).await;
        let request = wire::request("POST", "/v1/messages", &self.head(), body.as_bytes());
        stream.write_all(&request).await.unwrap();
        stream
    }

    /// Streams a message.
    pub(crate) async fn stream(&self) -> Reply {
        self.post("/v1/messages", STREAM).await
    }

    /// The sum of a series, waited for: figures are recorded when the body is dropped.
    pub(crate) async fn figure(&self, name: &str, tags: &[(&str, &str)], expected: f64) {
        let read = || {
            let samples = self.collector.get_metrics(Some(name));
            let all = samples.values().flatten();
            let fits = all.filter(|sample| {
                tags.iter()
                    .all(|(key, value)| sample.tags.get(*key).is_some_and(|known| known == value))
            });
            fits.map(|sample| sample.value).sum::<f64>()
        };
        for _ in 0..200 {
            if (read() - expected).abs() < 1e-9 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{name} {tags:?} is {} and not {expected}", read());
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.lifecycle.token().cancel();
    }
}

pub(crate) const STREAM: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":8,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
pub(crate) const WHOLE: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":8,"messages":[{"role":"user","content":"hi"}]}"#;

fn settings(choice: &Choice) -> GatewaySettings {
    let long = Duration::from_secs(30);
    GatewaySettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        signing: None,
        unix_socket: None,
        tls: choice.tls.clone(),
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
        limits: GatewayLimits {
            max_connections: 1024,
            header_read_timeout: long,
            body_read_timeout: long,
            keep_alive_timeout: long,
            write_timeout: choice.write_timeout,
            max_buffered_bodies: 8 << 20,
            max_request_size: 1 << 20,
            max_gateway_request_size: choice.max_size,
            requests_per_minute: 0,
            max_concurrent_requests: 512,
            max_turns_in_flight: 1,
        },
        compression: true,
        serve_messages_cache: choice.cache_messages,
        drain_deadline: Duration::from_secs(1),
    }
}

fn agent(url: url::Url, store: &SessionStore, lifecycle: &Lifecycle) -> Agent {
    Agent::new(AgentParts {
        client: ClaudeClient::new(ClaudeConfig::new(url)).unwrap(),
        store: store.clone(),
        tools: ToolRegistry::empty(),
        policy: Policy {
            mode: PermissionMode::Deny,
            level: WhitelistLevel::Enforce,
            rules: CommandRules::new(&[], &[]).unwrap(),
            denied_paths: DeniedPaths::default(),
            interactive: false,
        },
        redactor: Redactor::new(Vec::new()),
        settings: AgentSettings::new("claude-opus-5-5"),
        prices: PriceTable::built_in(),
        lifecycle: lifecycle.clone(),
        audit: agent_security::audit::AuditLog::off(),
        instruments: Instruments::none(),
    })
}
