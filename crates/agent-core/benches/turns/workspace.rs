//! The folder that the tools work in, and an agent around it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_claude::client::{ClaudeClient, ClaudeConfig};
use agent_claude::pricing::PriceTable;
use agent_config::{PermissionMode, WhitelistLevel};
use agent_core::session::SessionStore;
use agent_core::tools::{Children, ToolRegistry};
use agent_core::{
    Agent, AgentEvent, AgentParts, AgentSettings, Instruments, Outcome, RunLimits, Session, SessionChoice,
};
use agent_performance::connection_pool::{ConnectionPoolConfig, HttpConnectionPool};
use agent_performance::lifecycle::Lifecycle;
use agent_performance::memory::{MemoryPool, PoolConfig, ResourceTracker};
use agent_performance::metrics::MetricsCollector;
use agent_security::redact::Redactor;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::fixture::{MODEL, policy};

/// Stands in the small files.
pub(crate) const SMALL: &str = "small and short";

/// Source files in the workspace.
const FILES: usize = 120;

/// In memory where that can be: flushing to a disk would drown what is measured.
const IN_MEMORY: &str = "/dev/shm";

/// How an agent is put together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Figures, the account of what is alive and the ledger of children.
    pub(crate) monitored: bool,
    /// Connections are used again.
    pub(crate) reuse: bool,
    /// Tools at a time.
    pub(crate) parallel: usize,
    /// What commands print is read into buffers that are used again.
    pub(crate) pooled: bool,
    /// Tokens of the model's window.
    pub(crate) window: Option<u32>,
}

impl Setup {
    pub(crate) const ON: Self = Self {
        monitored: true,
        reuse: true,
        parallel: 8,
        pooled: true,
        window: None,
    };
}

pub(crate) struct Bench {
    agent: Agent,
    folder: TempDir,
    pub(crate) metrics: MetricsCollector,
    pub(crate) tracker: ResourceTracker,
    pub(crate) pool: MemoryPool,
    pub(crate) connections: Arc<HttpConnectionPool>,
}

impl Bench {
    pub(crate) fn new(setup: Setup, url: &str) -> Result<Self, Box<dyn Error>> {
        let folder = TempDir::new_in(IN_MEMORY).or_else(|_| TempDir::new())?;
        fill(folder.path().join("work"))?;
        let (metrics, tracker) = (MetricsCollector::new(), ResourceTracker::new());
        let buffers = MemoryPool::with_config(PoolConfig {
            tracker: setup.monitored.then(|| tracker.clone()),
            max_buffers_per_class: if setup.pooled {
                PoolConfig::default().max_buffers_per_class
            } else {
                0
            },
            ..PoolConfig::default()
        });
        let pool = ConnectionPoolConfig {
            // At once too old to be used again.
            idle_timeout: if setup.reuse {
                Duration::from_secs(30)
            } else {
                Duration::ZERO
            },
            ..ConnectionPoolConfig::default()
        };
        let config = ClaudeConfig::new(url.parse()?);
        let (client, connections, instruments, children);
        if setup.monitored {
            connections = Arc::new(HttpConnectionPool::with_observers(pool, &metrics, &tracker));
            client = ClaudeClient::new_with_performance(
                config,
                Arc::new(metrics.clone()),
                Arc::clone(&connections),
            )?;
            instruments = Instruments::new(&metrics, &tracker);
            children =
                with_ledger(Children::default().with_tracker(&tracker), &folder)?.with_buffers(&buffers);
        } else {
            connections = Arc::new(HttpConnectionPool::new(pool));
            client = ClaudeClient::with_pool(config, Arc::clone(&connections))?;
            instruments = Instruments::none();
            children = Children::default().with_buffers(&buffers);
        }
        let parts = AgentParts {
            client,
            store: SessionStore::open_with(folder.path().join("sessions.db"), instruments.clone())?,
            tools: ToolRegistry::built_in_with(Default::default(), children),
            policy: policy(PermissionMode::Policy, WhitelistLevel::Disabled, false),
            redactor: Redactor::new(Vec::new()),
            settings: AgentSettings {
                max_parallel_tools: setup.parallel,
                context_window: setup.window,
                max_output_tokens: 1_000,
                ..AgentSettings::new(MODEL)
            },
            prices: PriceTable::built_in(),
            lifecycle: Lifecycle::new(),
            audit: agent_security::audit::AuditLog::off(),
            instruments,
        };
        Ok(Self {
            agent: Agent::new(parts),
            folder,
            metrics,
            tracker,
            pool: buffers,
            connections,
        })
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) async fn session(&self) -> Result<Session, Box<dyn Error>> {
        let workspace = self.workspace();
        Ok(self.agent.start_session(SessionChoice::New { workspace }).await?)
    }
}

/// One run to its end, its events read as they come: how long it took, and how long from the first request for a tool
/// to the end of the last.
pub(crate) async fn run(session: &Session, prompt: &str) -> Result<(Duration, Duration), Box<dyn Error>> {
    let limits = RunLimits {
        max_turns: 20,
        max_budget_usd: None,
        timeout: Duration::from_secs(60),
    };
    let begun = Instant::now();
    let mut handle = session.run(prompt, limits);
    let (mut first, mut tools, mut end) = (None, Duration::ZERO, None);
    while let Some(event) = handle.events.recv().await {
        match event {
            AgentEvent::ToolRequested { .. } => first = first.or(Some(Instant::now())),
            AgentEvent::ToolFinished {
                is_error: true,
                output,
                ..
            } => return Err(format!("a tool failed: {output}").into()),
            AgentEvent::ToolFinished { .. } => tools = first.map_or(Duration::ZERO, |first| first.elapsed()),
            AgentEvent::Finished(finished) => end = Some(finished),
            _ => {}
        }
    }
    match end {
        Some(finished) if finished.outcome == Outcome::Done => Ok((begun.elapsed(), tools)),
        other => Err(format!("the run ended as {other:?}").into()),
    }
}

/// Sixteen calls of the kinds that a look around a project is made of.
pub(crate) fn sixteen_tools() -> Vec<(&'static str, Value)> {
    let read = |n: usize| ("read_file", json!({"path": format!("src/f{n}.rs")}));
    let bash = |command: &str| ("bash", json!({"command": command}));
    vec![
        read(1),
        read(2),
        read(3),
        read(4),
        read(5),
        (
            "grep",
            json!({"pattern": "checked_[a-z]+\\(", "path": "src", "max_results": 100}),
        ),
        (
            "grep",
            json!({"pattern": "fn +step_1[0-9]*7", "context_lines": 2}),
        ),
        (
            "grep",
            json!({"pattern": "HEADER", "ignore_case": true, "max_results": 100}),
        ),
        ("glob", json!({"pattern": "**/f1*.rs"})),
        ("glob", json!({"pattern": "*.txt"})),
        ("list_directory", json!({})),
        ("list_directory", json!({"path": "src"})),
        bash("wc -l src/f1.rs src/f2.rs"),
        bash("ls src"),
        bash("grep -c checked_sub src/f7.rs"),
        bash("head -n 5 src/f8.rs"),
    ]
}

fn fill(work: PathBuf) -> std::io::Result<()> {
    let source = work.join("src");
    std::fs::create_dir_all(&source)?;
    for n in 0..2 {
        std::fs::write(work.join(format!("small{n}.txt")), format!("{SMALL}\n"))?;
    }
    for n in 0..FILES {
        let step = |line| {
            format!("fn step_{n}_{line}(header: u64) -> Option<u64> {{ header.checked_sub({line}) }}\n")
        };
        std::fs::write(
            source.join(format!("f{n}.rs")),
            (0..200).map(step).collect::<String>(),
        )?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn with_ledger(children: Children, folder: &TempDir) -> std::io::Result<Children> {
    let ledger = agent_performance::cleanup::ChildLedger::open(folder.path())?;
    Ok(children.with_ledger(ledger))
}

#[cfg(not(target_os = "linux"))]
fn with_ledger(children: Children, _: &TempDir) -> std::io::Result<Children> {
    Ok(children)
}
