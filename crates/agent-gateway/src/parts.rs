//! What a gateway is put together from: finished parts and narrow values, no configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent_claude::keys::KeyRing;
use agent_claude::pricing::PriceTable;
use agent_config::WhenDown;
use agent_core::session::SessionStore;
use agent_core::{Agent, RunLimits};
use agent_operations::health::HealthMonitor;
use agent_performance::cache::ResponseCache;
use agent_performance::cleanup::Admission;
use agent_performance::connection_pool::HttpConnectionPool;
use agent_performance::lifecycle::Lifecycle;
use agent_performance::memory::ResourceTracker;
use agent_performance::metrics::MetricsCollector;
use agent_performance::shared::Shared;
use agent_security::audit::AuditLog;
use agent_security::signature::VerifyingKey;
use agent_security::token::Credentials;
use url::Url;

use crate::operations::LogBuffer;
use crate::page::PageLogins;

/// Everything that the gateway serves with.
pub struct GatewayParts {
    /// Where it listens and what it allows.
    pub settings: GatewaySettings,
    /// Who may call it. With none, everybody who reaches it may, and it then refuses to listen beyond this machine.
    pub credentials: Credentials,
    /// Browsers that show the web page. Whoever starts the gateway makes the code of the first.
    pub logins: PageLogins,
    /// The Messages API behind `/v1`.
    pub upstream: Upstream,
    /// Runs turns.
    pub agent: Agent,
    /// The stored sessions.
    pub store: SessionStore,
    /// What one turn may use.
    pub run_limits: RunLimits,
    /// Records who did what, and who was turned away.
    pub audit: AuditLog,
    /// What is measured; none where no figures are wanted.
    pub metrics: Option<MetricsCollector>,
    /// What is alive.
    pub tracker: ResourceTracker,
    /// Answers that may be given again.
    pub cache: ResponseCache,
    /// Refuses new work while memory is short.
    pub admission: Admission,
    /// Looks at what the daemon needs; none where nothing is to be checked. Its owner starts and stops it.
    pub health: Option<HealthMonitor>,
    /// Why no new turns are taken on; none while the daemon is not in safe mode.
    pub safe_mode: Option<String>,
    /// What models cost.
    pub prices: PriceTable,
    /// What replicas share; none for one that is alone.
    pub shared: Option<Sharing>,
    /// The configuration as it may be shown.
    pub configuration: ConfigurationView,
    /// The latest lines of the log. The subscriber fills it through [`LogBuffer::layer`].
    pub logs: LogBuffer,
    /// Owns every task; its token ends the gateway, its readiness is what `/readyz` tells.
    pub lifecycle: Lifecycle,
    /// The version of the program.
    pub version: &'static str,
}

/// The store that replicas share, and what holds while it is down.
#[derive(Clone, Debug)]
pub struct Sharing {
    /// The store. The cache has it already.
    pub store: Shared,
    /// Whether each replica then counts requests by itself, or refuses what it would have to count.
    pub rate_limits_when_down: WhenDown,
    /// The same for nonces; counting by itself, a replica can't know those that others have seen.
    pub nonces_when_down: WhenDown,
}

/// The values that the gateway takes from the configuration.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// A Unix socket to listen on as well.
    pub unix_socket: Option<PathBuf>,
    /// Certificate and key; TCP connections are encrypted when they are given, the Unix socket never is.
    pub tls: Option<TlsFiles>,
    /// Names that may stand in `Host`, besides this machine's own and the address listened on.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call.
    pub allowed_origins: Vec<String>,
    /// Sizes, numbers and times.
    pub limits: GatewayLimits,
    /// Whether the gateway's own JSON answers are compressed for clients that ask for it.
    pub compression: bool,
    /// Whether the cache may answer `/v1/messages`.
    pub serve_messages_cache: bool,
    /// The keys of which one has to have signed each request under `/v1` and on the agent API; none where signatures are
    /// not asked for.
    pub signing: Option<Vec<VerifyingKey>>,
    /// How long requests may take to end after the daemon was asked to stop.
    pub drain_deadline: Duration,
}

/// Limits on what clients may send, hold and take.
#[derive(Clone, Debug)]
pub struct GatewayLimits {
    /// Connections open at once, over all listeners; more wait in the system's queue.
    pub max_connections: usize,
    /// From accepting a connection, or the first byte of a further request, to the end of the request's head.
    pub header_read_timeout: Duration,
    /// How long a request's body may pause.
    pub body_read_timeout: Duration,
    /// How long a connection is kept without a request.
    pub keep_alive_timeout: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub write_timeout: Duration,
    /// Bytes of request bodies in memory at once, over all requests.
    pub max_buffered_bodies: usize,
    /// Bytes of one request's body on the gateway's own routes.
    pub max_request_size: u64,
    /// Bytes of one request's body under `/v1`.
    pub max_gateway_request_size: u64,
    /// Requests a minute that each credential may make under `/v1` and on the agent API; 0 for any number.
    pub requests_per_minute: u32,
    /// Requests under `/v1` that are served at once.
    pub max_concurrent_requests: usize,
    /// Turns that the agent works on at once.
    pub max_turns_in_flight: usize,
}

/// Where certificate and key are, in PEM. They are read again when they change.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The Messages API that requests under `/v1` go to.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its address; the path is kept as a prefix.
    pub base_url: Url,
    /// One of them is put in the place of the client's credential. Without any, requests go without.
    pub keys: KeyRing,
    /// How long it may take.
    pub timeouts: UpstreamTimeouts,
    /// The connections to it.
    pub connections: Arc<HttpConnectionPool>,
}

/// How long the upstream may take for each step.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamTimeouts {
    /// To an open connection.
    pub connect: Duration,
    /// From there to the head of the answer.
    pub first_byte: Duration,
    /// Without a byte of the body.
    pub idle: Duration,
    /// In all.
    pub total: Duration,
}

/// The configuration with the origin of each value, made by whoever read it and already without secrets.
#[derive(Clone, Debug, Default)]
pub struct ConfigurationView(pub serde_json::Value);
