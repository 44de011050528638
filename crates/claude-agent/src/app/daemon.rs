//! The daemon: the agent, and the gateway through which other programs reach it and the Messages API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_config::environment::Environment;
use agent_config::{Loaded, ProductionConfig, Secret, SignatureAlgorithm, SigningKey, Sources};
use agent_gateway::{
    BindError, ConfigurationView, Gateway, GatewayLimits, GatewayParts, GatewaySettings, PageLogins, Sharing,
    TlsFiles, Upstream, UpstreamTimeouts,
};
use agent_operations::crash::{OwnWatch, PanicNotes};
use agent_operations::health::HealthMonitor;
use agent_performance::lifecycle::Lifecycle;
use agent_performance::metrics::MetricsCollector;
use agent_security::audit::{AuditEvent, AuditLog};
use agent_security::redact::Redactor;
use agent_security::signature::{Algorithm, KeyError, VerifyingKey};
use agent_security::token::{self, Credentials, Kept};
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::keys::Keys;
use super::lock::DataLock;
use super::pace::Pace;
use super::reload::{self, Reload};
use super::{
    AppError, Presence, cut, descriptors, health, misconfigured, own_watch, service_manager, telemetry,
    unavailable,
};

/// The file with the token, in the data folder.
const TOKEN_FILE: &str = "token";

/// The Unix socket, in the data folder.
const SOCKET_FILE: &str = "claude-agent.sock";

/// What the holder of the token is called in limits and figures.
const OWNER: &str = "owner";

/// How long the tasks of the gateway may take to end once its connections are closed: they have nothing left to do.
const FRONT_DEADLINE: Duration = Duration::from_secs(2);

pub use agent_gateway::LogBuffer;

/// Keeps the latest lines of the log, without what `redactor` knows.
pub fn log_buffer(redactor: &Redactor) -> LogBuffer {
    LogBuffer::new(redactor.clone())
}

/// The Unix socket of the daemon that this configuration is for; none where it has none.
pub(crate) fn unix_socket(config: &ProductionConfig) -> Option<PathBuf> {
    let server = &config.server;
    let default_socket = || config.deployment.data_directory.join(SOCKET_FILE);
    server
        .enable_unix_socket
        .then(|| server.unix_socket.clone().unwrap_or_else(default_socket))
}

/// The file with the token of that daemon.
pub(crate) fn token_file(config: &ProductionConfig) -> PathBuf {
    let file = config.server.token_file.clone();
    file.unwrap_or_else(|| config.deployment.data_directory.join(TOKEN_FILE))
}

/// Where clients get in.
#[derive(Clone, Debug)]
pub struct Doors {
    /// The address that is listened on.
    pub address: SocketAddr,
    /// The Unix socket.
    pub unix_socket: Option<PathBuf>,
    /// The file with the token that clients show.
    pub token_file: PathBuf,
    /// The token was made just now.
    pub is_token_new: bool,
    /// Lets one browser in, once, within ten minutes; none where the system gives no random bytes.
    pub login_code: Option<Secret>,
}

/// The agent behind its gateway. It listens, but nothing is answered before [`Daemon::serve`].
pub struct Daemon {
    core: Core,
    gateway: Gateway,
    /// Ends before the core does: first nobody comes in any more, then what they started ends.
    front: Lifecycle,
    health: Option<HealthMonitor>,
    doors: Doors,
    /// None where its folder can't be written.
    watch: Option<OwnWatch>,
    _lock: DataLock,
}

impl Daemon {
    /// Builds everything, and starts to listen. Opens no connection.
    ///
    /// # Errors
    /// [`AppError`], before anything runs: another daemon serves the data folder, a port is taken, a file can't be used.
    pub async fn build(
        loaded: &Loaded,
        environment: &Environment,
        keys: &Keys,
        logs: LogBuffer,
    ) -> Result<Self, AppError> {
        let config = &loaded.config;
        let data = &config.deployment.data_directory;
        let lock = DataLock::take(data)?;
        let watch = own_watch::begin(data);
        descriptors::make_room(config.server.max_connections.into());
        let mut core = Core::build(loaded, environment, keys, Presence::Person, Pace::DAEMON)?;
        let targets = telemetry::Targets::new(loaded, environment, &core, keys.redactor());
        let token_file = token_file(config);
        let kept = token::load_or_create(&token_file).map_err(|error| {
            unavailable(
                error.to_string(),
                "server.token_file names the file; it must be yours and in a folder that exists",
            )
        })?;
        let front = Lifecycle::new();
        let health = health::monitor(loaded, &core, keys.ring(), watch.as_ref(), &front).await?;
        let lines = logs.clone();
        let mut parts = parts(loaded, &core, keys, &front, &kept, logs, health.clone())?;
        if let Some(why) = watch.as_ref().and_then(OwnWatch::safe_mode) {
            parts.settings.serve_messages_cache = false;
            parts.safe_mode = Some(why);
        }
        let login_code = parts.logins.code(OWNER);
        let gateway = Gateway::bind(parts).await?;
        let addresses = gateway.addresses();
        if kept.created {
            record(&core.audit, made_token(&token_file)).await?;
        }
        let started = AuditEvent::DaemonStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: addresses.tcp.to_string(),
        };
        record(&core.audit, started).await?;
        let doors = Doors {
            address: addresses.tcp,
            unix_socket: addresses.unix.clone(),
            token_file,
            is_token_new: kept.created,
            login_code,
        };
        core.start();
        targets.start(&core, lines);
        keys.keep(&front, &core.audit);
        if let Some(watch) = &watch {
            own_watch::start(watch, core.performance.metrics(), &front);
        }
        Ok(Self {
            core,
            gateway,
            front,
            health,
            doors,
            watch,
            _lock: lock,
        })
    }

    /// What this process measures; none when `monitoring.enable_metrics` is off.
    pub fn metrics(&self) -> Option<&MetricsCollector> {
        self.core.performance.metrics()
    }

    /// Where clients get in.
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Why this daemon leaves out what may have crashed the ones before; none when it does all.
    pub fn safe_mode(&self) -> Option<String> {
        self.watch.as_ref().and_then(OwnWatch::safe_mode)
    }

    /// Where panics are to be written down, for the report of a crash; none where there is no place.
    pub fn panics(&self) -> Option<PanicNotes> {
        self.watch.as_ref().map(OwnWatch::panics)
    }

    /// From now on the configuration is read again, from the same places, at each hang-up and when a client asks for it.
    pub fn reload_from(&self, sources: Sources, loaded: &Loaded, hang_ups: Option<Signal>) {
        let reload = Reload::new(sources, loaded, self.gateway.control(), self.core.audit.clone());
        let requests = self.gateway.reloads();
        let stop = self.front.token();
        let task = self.front.spawn("configuration-reload", async move {
            stop.run_until_cancelled(reload.run(requests, hang_ups)).await;
        });
        // It ends with the front, which waits for it.
        drop(task);
    }

    /// Cancelling it stops the daemon in order.
    pub fn stopper(&self) -> CancellationToken {
        self.front.token()
    }

    /// Answers requests until the [`stopper`](Self::stopper) is cancelled, lets what is under way end within
    /// `server.drain_deadline`, and then ends everything else. Cancelling this drops connections in the middle of answers.
    ///
    /// # Errors
    /// The store could not be closed; what was acknowledged is safe all the same.
    pub async fn serve(self) -> Result<(), AppError> {
        let publishing = self.core.performance.busy();
        if let Some(health) = &self.health {
            health.start_monitoring().await;
        }
        service_manager::report(&self.core.store, &self.front);
        let report = self.gateway.serve().await;
        tracing::info!(?report, "stopped serving");
        let tasks = self.front.shutdown(FRONT_DEADLINE).await;
        for name in &tasks.aborted {
            tracing::warn!(
                task = name,
                "did not end within {FRONT_DEADLINE:?} and was aborted"
            );
        }
        drop(publishing);
        let audit = self.core.audit.clone();
        let ended = self.core.shutdown().await;
        if let Some(watch) = self.watch {
            watch.ended_in_order();
        }
        record(&audit, AuditEvent::DaemonStopped {}).await?;
        ended
    }
}

impl From<BindError> for AppError {
    fn from(error: BindError) -> Self {
        let told = error.to_string();
        let (message, advice) = told
            .split_once("; ")
            .unwrap_or((&told, "look at the section [server]"));
        match error {
            BindError::Address { .. } => unavailable(
                message,
                "name another address with --listen, for instance 127.0.0.1:0 for a free port",
            ),
            _ => unavailable(message, advice),
        }
    }
}

async fn record(audit: &AuditLog, event: AuditEvent) -> Result<(), AppError> {
    audit.record_async(event).await.map_err(|error| {
        unavailable(
            error.to_string(),
            "in production nothing is done that can't be recorded: mend the folder first",
        )
    })
}

fn made_token(file: &Path) -> AuditEvent {
    AuditEvent::Administered {
        act: "token created".to_owned(),
        subject: file.display().to_string(),
        by: "daemon".to_owned(),
    }
}

fn parts(
    loaded: &Loaded,
    core: &Core,
    keys: &Keys,
    front: &Lifecycle,
    kept: &Kept,
    logs: LogBuffer,
    health: Option<HealthMonitor>,
) -> Result<GatewayParts, AppError> {
    let config = &loaded.config;
    let mut credentials = Credentials::none();
    credentials
        .add(OWNER, &kept.token)
        .map_err(|error| unavailable(error.to_string(), "this is a fault of the program"))?;
    let timeouts = cut::timeouts(config);
    let performance = &core.performance;
    Ok(GatewayParts {
        settings: settings(config)?,
        credentials,
        logins: PageLogins::default(),
        upstream: Upstream {
            base_url: config.api.base_url.clone(),
            keys: keys.ring().clone(),
            timeouts: UpstreamTimeouts {
                connect: timeouts.connect,
                first_byte: timeouts.first_byte,
                idle: timeouts.idle,
                total: timeouts.total,
            },
            connections: performance.connections().clone(),
        },
        agent: core.agent.clone(),
        store: core.store.clone(),
        run_limits: cut::run_limits(config),
        audit: core.audit.clone(),
        metrics: performance.metrics().cloned(),
        tracker: performance.tracker().clone(),
        cache: performance.cache().clone(),
        admission: performance.admission(),
        health,
        safe_mode: None,
        prices: core.prices.clone(),
        shared: performance.shared().map(|store| Sharing {
            store: store.clone(),
            rate_limits_when_down: config.shared.rate_limits_when_down,
            nonces_when_down: config.shared.nonces_when_down,
        }),
        configuration: ConfigurationView(reload::first_view(loaded)),
        logs,
        lifecycle: front.clone(),
        version: env!("CARGO_PKG_VERSION"),
    })
}

fn settings(config: &ProductionConfig) -> Result<GatewaySettings, AppError> {
    let (server, security, performance) = (&config.server, &config.security, &config.performance);
    Ok(GatewaySettings {
        listen: server.listen,
        unix_socket: unix_socket(config),
        tls: tls(config),
        allowed_hosts: server.allowed_hosts.clone(),
        allowed_origins: server.allowed_origins.clone(),
        limits: GatewayLimits {
            max_connections: server.max_connections as usize,
            header_read_timeout: server.header_read_timeout.duration(),
            body_read_timeout: server.body_read_timeout.duration(),
            keep_alive_timeout: server.keep_alive_timeout.duration(),
            write_timeout: server.write_timeout.duration(),
            max_buffered_bodies: server.max_buffered_bodies.as_usize(),
            max_request_size: security.max_request_size.bytes(),
            max_gateway_request_size: security.max_gateway_request_size.bytes(),
            requests_per_minute: security.rate_limit_requests_per_minute,
            max_concurrent_requests: performance.max_concurrent_requests as usize,
            max_turns_in_flight: server.max_turns_in_flight as usize,
        },
        compression: performance.enable_compression,
        serve_messages_cache: performance.cache_messages,
        signing: signing(config)?,
        drain_deadline: server.drain_deadline.duration(),
    })
}

/// The keys that requests may be signed with; none where no signature is asked for.
fn signing(config: &ProductionConfig) -> Result<Option<Vec<VerifyingKey>>, AppError> {
    let security = &config.security;
    if !security.enable_request_signing {
        return Ok(None);
    }
    let key = |key: &SigningKey| {
        verifying_key(key).map_err(|error| {
            misconfigured(
                format!("the request signing key {} can't be used: {error}", key.id),
                "correct its entry in security.request_signing_keys",
            )
        })
    };
    security
        .request_signing_keys
        .iter()
        .map(key)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The key of an entry, from its file.
pub(super) fn verifying_key(key: &SigningKey) -> Result<VerifyingKey, KeyError> {
    let algorithm = match key.algorithm {
        SignatureAlgorithm::HmacSha256 => Algorithm::HmacSha256,
        SignatureAlgorithm::Ed25519 => Algorithm::Ed25519,
    };
    VerifyingKey::from_file(&key.id, algorithm, &key.key_file)
}

fn tls(config: &ProductionConfig) -> Option<TlsFiles> {
    let security = &config.security;
    let files = security.tls_cert_path.clone().zip(security.tls_key_path.clone());
    // Validation saw to it that both are there where TLS is on.
    let (certificate, key) = files.filter(|_| security.enable_tls)?;
    Some(TlsFiles { certificate, key })
}
