//! A gateway that runs, its agent behind it, and a client that checks every answer.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_claude::client::{ClaudeClient, ClaudeConfig};
use agent_claude::keys::KeyRing;
use agent_claude::pricing::PriceTable;
use agent_config::{PermissionMode, Secret, WhitelistLevel};
use agent_core::session::SessionStore;
use agent_core::tools::{ToolLimits, ToolRegistry};
use agent_core::{Agent, AgentParts, AgentSettings, Instruments, RunLimits};
use agent_gateway::{
    ConfigurationView, DrainReport, Gateway, GatewayLimits, GatewayParts, GatewaySettings, LogBuffer,
    Upstream, UpstreamTimeouts,
};
use agent_performance::cache::ResponseCache;
use agent_performance::cleanup::ResourceCleanupManager;
use agent_performance::connection_pool::{ConnectionPoolConfig, HttpConnectionPool};
use agent_performance::lifecycle::Lifecycle;
use agent_performance::memory::{MemoryPool, ResourceTracker};
use agent_performance::metrics::MetricsCollector;
use agent_security::command::CommandRules;
use agent_security::permission::{DeniedPaths, Policy};
use agent_security::redact::Redactor;
use agent_security::token::{Credentials, Token};
use agent_simulator::{Simulator, SimulatorConfig};
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::health_switch::HealthSwitch;
use crate::promised;

/// A hang of the code under test ends the test, not the patience of its reader.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(60);

pub(crate) const MODEL: &str = "claude-opus-5-5";

pub(crate) struct Rig {
    pub(crate) folder: TempDir,
    pub(crate) simulator: Simulator,
    /// The gateway's.
    pub(crate) front: Lifecycle,
    /// The agent's.
    pub(crate) core: Lifecycle,
    pub(crate) store: SessionStore,
    pub(crate) metrics: MetricsCollector,
    pub(crate) tracker: ResourceTracker,
    pub(crate) logs: LogBuffer,
    pub(crate) document: Value,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) token: String,
    pub(crate) health: HealthSwitch,
    serving: Option<JoinHandle<DrainReport>>,
    seen: Arc<Mutex<BTreeSet<String>>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self
    }
}

/// How a rig differs from the usual.
pub(crate) struct Setup {
    pub(crate) simulator: SimulatorConfig,
    pub(crate) mode: PermissionMode,
    pub(crate) max_turns_in_flight: usize,
    pub(crate) with_metrics: bool,
    pub(crate) drain_deadline: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            simulator: SimulatorConfig::default(),
            mode: PermissionMode::Ask,
            max_turns_in_flight: 32,
            with_metrics: true,
            drain_deadline: Duration::from_secs(30),
        }
    }
}

impl Setup {
    /// Answers in this order.
    pub(crate) fn scenario(toml: &str) -> Self {
        let scenario = Some(toml.parse().unwrap());
        let simulator = SimulatorConfig {
            scenario,
            ..SimulatorConfig::default()
        };
        Setup {
            simulator,
            ..Setup::default()
        }
    }

    pub(crate) async fn start(self) -> Rig {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        let simulator = Simulator::bind(self.simulator.clone()).await.unwrap();
        let (front, core) = (Lifecycle::new(), Lifecycle::new());
        let store = SessionStore::open(folder.path().join("sessions.db")).unwrap();
        let metrics = MetricsCollector::new();
        let tracker = ResourceTracker::new();
        let logs = LogBuffer::new(Redactor::new(vec![Secret::from("s3cr3t-of-the-operator")]));
        let token = Token::generate().unwrap();
        let mut credentials = Credentials::none();
        credentials.add("owner", &token).unwrap();
        let connections = Arc::new(HttpConnectionPool::new(ConnectionPoolConfig::default()));
        let pool = Arc::new(MemoryPool::new());
        let health = HealthSwitch::new().await;
        let parts = GatewayParts {
            audit: agent_security::audit::AuditLog::off(),
            settings: self.settings(),
            credentials,
            logins: agent_gateway::PageLogins::default(),
            upstream: Upstream {
                base_url: simulator.base_url().parse().unwrap(),
                keys: keys(&simulator),
                timeouts: UpstreamTimeouts {
                    connect: TOO_LONG,
                    first_byte: TOO_LONG,
                    idle: TOO_LONG,
                    total: TOO_LONG,
                },
                connections,
            },
            agent: self.agent(&simulator, &store, &core),
            store: store.clone(),
            run_limits: RunLimits {
                max_turns: 20,
                max_budget_usd: None,
                timeout: TOO_LONG,
            },
            metrics: self.with_metrics.then(|| metrics.clone()),
            tracker: tracker.clone(),
            cache: ResponseCache::new(1 << 20, Duration::from_secs(60)),
            admission: ResourceCleanupManager::new(pool, Arc::new(metrics.clone())).admission(),
            health: Some(health.monitor.clone()),
            safe_mode: None,
            prices: PriceTable::built_in(),
            shared: None,
            configuration: ConfigurationView(serde_json::json!({ "server": { "listen": "127.0.0.1:0" } })),
            logs: logs.clone(),
            lifecycle: front.clone(),
            version: "0.0.0-test",
        };
        let gateway = Gateway::bind(parts).await.unwrap();
        let address = gateway.addresses().tcp;
        let mut rig = Rig {
            serving: Some(tokio::spawn(gateway.serve())),
            document: Value::Null,
            token: token.secret().expose().to_owned(),
            seen: Arc::default(),
            folder,
            simulator,
            front,
            core,
            store,
            metrics,
            tracker,
            logs,
            address,
            health,
        };
        rig.document = rig.get("/api/v1/openapi.json").await.expect(200).json();
        rig
    }

    fn settings(&self) -> GatewaySettings {
        GatewaySettings {
            listen: ([127, 0, 0, 1], 0).into(),
            unix_socket: None,
            tls: None,
            signing: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            limits: GatewayLimits {
                max_connections: 256,
                header_read_timeout: TOO_LONG,
                body_read_timeout: TOO_LONG,
                keep_alive_timeout: TOO_LONG,
                write_timeout: TOO_LONG,
                max_buffered_bodies: 64 << 20,
                max_request_size: 1 << 20,
                max_gateway_request_size: 1 << 20,
                requests_per_minute: 0,
                max_concurrent_requests: 50,
                max_turns_in_flight: self.max_turns_in_flight,
            },
            compression: false,
            serve_messages_cache: false,
            drain_deadline: self.drain_deadline,
        }
    }

    fn agent(&self, simulator: &Simulator, store: &SessionStore, core: &Lifecycle) -> Agent {
        let mut config = ClaudeConfig::new(simulator.base_url().parse().unwrap());
        config.keys = keys(simulator);
        Agent::new(AgentParts {
            client: ClaudeClient::new(config).unwrap(),
            store: store.clone(),
            tools: ToolRegistry::built_in(ToolLimits::default()),
            policy: Policy {
                mode: self.mode,
                level: WhitelistLevel::Warn,
                rules: CommandRules::new(&[], &[]).unwrap(),
                denied_paths: DeniedPaths::default(),
                interactive: true,
            },
            redactor: Redactor::new(Vec::new()),
            settings: AgentSettings::new(MODEL),
            prices: PriceTable::built_in(),
            lifecycle: core.clone(),
            audit: agent_security::audit::AuditLog::off(),
            instruments: Instruments::none(),
        })
    }
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Setup::default().start().await
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// A new session; gives its path.
    pub(crate) async fn session(&self) -> String {
        let body = serde_json::json!({ "workspace": self.workspace() });
        let answer = self.post("/api/v1/sessions", &body).await.expect(201);
        let path = answer.headers["location"].to_str().unwrap().to_owned();
        assert_eq!(
            path,
            format!("/api/v1/sessions/{}", answer.json()["id"].as_str().unwrap())
        );
        path
    }

    /// A new turn in the session; gives its path.
    pub(crate) async fn turn(&self, session: &str, prompt: &str) -> String {
        let body = serde_json::json!({ "prompt": prompt });
        let answer = self.post(&format!("{session}/turns"), &body).await.expect(201);
        answer.json()["status_url"].as_str().unwrap().to_owned()
    }

    /// The turn's status once it has ended.
    pub(crate) async fn ended(&self, turn: &str) -> Value {
        let mut events = self.events(turn, &[]).await;
        while events.next().await.is_some() {}
        let status = self.get(turn).await.expect(200).json();
        assert_eq!(status["state"], "ended", "{status}");
        status
    }

    /// What waits for a person, once something does.
    pub(crate) async fn approval(&self) -> Value {
        let waiting = async {
            loop {
                let open = self.get("/api/v1/approvals").await.expect(200).json();
                match open["approvals"].as_array().unwrap().first() {
                    Some(approval) => return approval.clone(),
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(TOO_LONG, waiting)
            .await
            .expect("nothing is asked")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, &[], Some(body.to_string())).await
    }

    /// A request with a credential and, with a body, as JSON; `headers` come on top, and an empty one takes away.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        let answer = self.send(method.clone(), path, headers, body).await;
        let (head, body) = answer.into_parts();
        let body = tokio::time::timeout(TOO_LONG, body.collect())
            .await
            .expect("the body hangs")
            .unwrap()
            .to_bytes();
        let is_head = method == Method::HEAD;
        self.check(
            &method,
            path,
            head.status,
            &head.headers,
            (!is_head).then_some(&body),
        );
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    fn check(
        &self,
        method: &Method,
        path: &str,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&Bytes>,
    ) {
        if self.document.is_null() {
            return;
        }
        let answer = (status, headers, body.map(|body| &body[..]));
        if let Some((operation, status)) = promised::check(&self.document, (method, path), answer) {
            self.seen.lock().unwrap().insert(format!("{operation} {status}"));
        }
    }

    /// What was answered so far, as `operation status`.
    pub(crate) fn seen(&self) -> BTreeSet<String> {
        self.seen.lock().unwrap().clone()
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> http::Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string());
        let usual = [
            (AUTHORIZATION.as_str(), format!("Bearer {}", self.token)),
            (
                CONTENT_TYPE.as_str(),
                body.as_ref()
                    .map(|_| "application/json".to_owned())
                    .unwrap_or_default(),
            ),
        ];
        for (name, value) in &usual {
            if !value.is_empty() && !headers.iter().any(|(other, _)| other == name) {
                request = request.header(*name, value);
            }
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(async move { drop(connection.await) });
        tokio::time::timeout(TOO_LONG, sender.send_request(request))
            .await
            .expect("no answer")
            .unwrap()
    }

    /// The events of a turn.
    pub(crate) async fn events(&self, turn: &str, headers: &[(&str, &str)]) -> Events {
        let path = format!("{turn}/events");
        self.stream(Method::GET, &path, headers, None).await
    }

    pub(crate) async fn stream(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Events {
        let mut headers = headers.to_vec();
        headers.push((ACCEPT.as_str(), "text/event-stream"));
        let answer = self.send(method.clone(), path, &headers, body).await;
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        self.check(&method, path, answer.status(), answer.headers(), None);
        let template = promised::template(&self.document, path).unwrap();
        let operation = &self.document["paths"][template][method.as_str().to_ascii_lowercase()];
        let media = &operation["responses"]["200"]["content"]["text/event-stream"];
        Events {
            body: answer.into_body(),
            buffer: BytesMut::new(),
            schema: promised::validator(
                &self.document,
                &media["schema"]["properties"]["data"]["contentSchema"],
            ),
        }
    }

    /// Ends the gateway in order.
    pub(crate) async fn stop(&mut self) -> DrainReport {
        self.front.token().cancel();
        let serving = self.serving.take().unwrap();
        tokio::time::timeout(TOO_LONG, serving)
            .await
            .expect("the gateway does not end")
            .unwrap()
    }
}

/// Events as they come, each held against the document.
pub(crate) struct Events {
    body: Incoming,
    buffer: BytesMut,
    schema: jsonschema::Validator,
}

impl Events {
    /// The next event with its number; none at the end.
    pub(crate) async fn next(&mut self) -> Option<(Option<u64>, Value)> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block = self.buffer.split_to(end + 2);
                let text = std::str::from_utf8(&block).unwrap();
                let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
                if let Some(data) = field("data: ") {
                    let value: Value = serde_json::from_str(data).unwrap();
                    assert!(self.schema.is_valid(&value), "not promised: {value}");
                    return Some((field("id: ").map(|id| id.parse().unwrap()), value));
                }
            }
            let frame = tokio::time::timeout(TOO_LONG, self.body.frame())
                .await
                .expect("no event comes");
            match frame {
                None => return None,
                Some(frame) => self
                    .buffer
                    .extend_from_slice(&frame.unwrap().into_data().unwrap()),
            }
        }
    }

    /// All that are left.
    pub(crate) async fn rest(mut self) -> Vec<(Option<u64>, Value)> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }

    /// Reads up to the first event of this type.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            match self.next().await {
                Some((_, event)) if event["type"] == kind => return event,
                Some(_) => {}
                None => panic!("the stream ended before {kind}"),
            }
        }
    }
}

fn keys(simulator: &Simulator) -> KeyRing {
    KeyRing::of(&simulator.base_url().parse().unwrap(), Secret::from("sk-test")).unwrap()
}
