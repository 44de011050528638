//! Puts everything together: the only code that sees the whole configuration. It cuts it into narrow values and builds
//! upward, from connections to the agent.

mod performance;

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_claude::client::{ClaudeClient, ClaudeConfig, Timeouts};
use agent_claude::pricing::PriceTable;
use agent_config::environment::Environment;
use agent_config::{Loaded, PermissionMode, ProductionConfig};
use agent_core::session::{SessionStore, StoreError};
use agent_core::tools::{ToolLimits, ToolRegistry};
use agent_core::{Agent, AgentParts, AgentSettings, RunLimits, SessionChoice};
use agent_performance::cleanup::Admission;
use agent_performance::lifecycle::Lifecycle;
use agent_performance::metrics::MetricsCollector;
use agent_security::command::CommandRules;
use agent_security::permission::{DeniedPaths, Policy};
use agent_security::redact::Redactor;

use self::performance::Performance;
use crate::published::Busy;

/// How long running work may take to end in order: killing a tool's children takes a grace period of its own.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);

/// A price list is a page of text; a larger file is something else.
const MAX_PRICES_BYTES: u64 = 1024 * 1024;

/// The name of the session store in the data folder.
const STORE_FILE: &str = "sessions.db";

/// Why the program can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The session store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration is valid in itself but does not work here.
    #[error("{message}; {advice}")]
    Misconfigured {
        /// What is wrong, with what.
        message: String,
        /// What to do about it.
        advice: String,
    },
}

fn misconfigured(message: impl Into<String>, advice: impl Into<String>) -> AppError {
    AppError::Misconfigured {
        message: message.into(),
        advice: advice.into(),
    }
}

/// Whether somebody can be asked for approvals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A person sits at a terminal.
    Person,
    /// Nobody: the policy decides alone.
    Nobody,
}

/// The agent with what it runs on.
pub struct App {
    /// Starts sessions.
    pub agent: Agent,
    /// The limits of a run, from the configuration.
    pub limits: RunLimits,
    /// Which session to work in.
    pub choice: SessionChoice,
    store: SessionStore,
    performance: Performance,
    lifecycle: Lifecycle,
}

/// While one of these is alive, the figures of this process are published for `metrics` and `top`.
#[must_use = "publishing ends when this is dropped"]
pub struct Working(#[expect(dead_code, reason = "held for its end")] Option<Busy>);

impl App {
    /// Builds everything for one session. Opens no connection.
    ///
    /// # Errors
    /// [`AppError`], before anything runs.
    pub async fn build(
        loaded: &Loaded,
        environment: &Environment,
        session: Option<&str>,
        workspace: Option<&Path>,
        presence: Presence,
    ) -> Result<Self, AppError> {
        let config = &loaded.config;
        let lifecycle = Lifecycle::new();
        let mut performance = Performance::new(config, environment, &lifecycle)?;
        let client = client(loaded, &performance)?;
        let prices = prices(config)?;
        let instruments = performance.instruments();
        let store = SessionStore::open_with(store_file(config), instruments.clone())?;
        let (choice, root) = choose_session(&store, session, workspace).await?;
        let agent = Agent::new(AgentParts {
            client,
            store: store.clone(),
            tools: ToolRegistry::built_in_with(tool_limits(config, environment), performance.children()),
            policy: policy(config, root, presence)?,
            redactor: Redactor::new(loaded.api_key.iter().cloned().collect()),
            settings: settings(config),
            prices,
            instruments,
            lifecycle: lifecycle.clone(),
        });
        performance.start(&lifecycle);
        let limits = RunLimits {
            max_turns: config.agent.max_turns,
            max_budget_usd: config.agent.max_budget_usd,
            timeout: config.agent.turn_timeout.duration(),
        };
        Ok(Self {
            agent,
            limits,
            choice,
            store,
            performance,
            lifecycle,
        })
    }

    /// What this process measures; none when `monitoring.enable_metrics` is off.
    pub fn metrics(&self) -> Option<&MetricsCollector> {
        self.performance.metrics()
    }

    /// To be asked before new work begins: memory may be too short for it.
    pub fn admission(&self) -> Admission {
        self.performance.admission()
    }

    /// To be held while a run is under way.
    pub fn working(&self) -> Working {
        Working(self.performance.busy())
    }

    /// Ends what still runs, closes the store, cleans up, and publishes the last figures.
    ///
    /// # Errors
    /// The store could not be closed; what was acknowledged is safe all the same.
    pub async fn shutdown(self) -> Result<(), AppError> {
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

/// Opens the session store in the data folder.
///
/// # Errors
/// [`StoreError`], each with its advice.
pub fn open_store(config: &ProductionConfig) -> Result<SessionStore, StoreError> {
    SessionStore::open(store_file(config))
}

fn store_file(config: &ProductionConfig) -> PathBuf {
    config.deployment.data_directory.join(STORE_FILE)
}

/// The folder to work in, absolute and without links; the current one when none is named.
///
/// # Errors
/// It does not exist, or is not a folder.
pub fn workspace_folder(named: Option<&Path>) -> Result<PathBuf, AppError> {
    let folder = match named {
        Some(folder) => folder.to_owned(),
        None => current_folder()?,
    };
    let failed = |why: String| {
        misconfigured(
            format!("the workspace {} can't be used: {why}", folder.display()),
            "give an existing folder with --workspace",
        )
    };
    let root = folder.canonicalize().map_err(|error| failed(error.to_string()))?;
    if root.is_dir() {
        Ok(root)
    } else {
        Err(failed("it is not a folder".to_owned()))
    }
}

/// A path that does not depend on the current folder; links stay.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The current folder.
///
/// # Errors
/// It was deleted, or may not be read.
pub fn current_folder() -> Result<PathBuf, AppError> {
    std::env::current_dir().map_err(|error| {
        misconfigured(
            format!("the current folder can't be used: {error}"),
            "change to another one",
        )
    })
}

async fn choose_session(
    store: &SessionStore,
    session: Option<&str>,
    workspace: Option<&Path>,
) -> Result<(SessionChoice, PathBuf), AppError> {
    let Some(part) = session else {
        let root = workspace_folder(workspace)?;
        return Ok((
            SessionChoice::New {
                workspace: root.clone(),
            },
            root,
        ));
    };
    let id = store.resolve(part).await?;
    let stored = store.get(&id).await?.workspace;
    let root = workspace_folder(Some(&stored))?;
    if let Some(named) = workspace
        && workspace_folder(Some(named))? != root
    {
        return Err(misconfigured(
            format!(
                "session {} belongs to {}, not to {}",
                id.short(),
                root.display(),
                named.display()
            ),
            "leave out --workspace, or start a new session there",
        ));
    }
    Ok((SessionChoice::Resume { id }, root))
}

fn client(loaded: &Loaded, performance: &Performance) -> Result<ClaudeClient, AppError> {
    let (api, limits) = (&loaded.config.api, &loaded.config.performance);
    let is_local = match api.base_url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    // A model server on this machine may want no key; the real API always does.
    if loaded.api_key.is_none() && !is_local {
        return Err(misconfigured(
            format!("there is no API key for {}", api.base_url),
            "set ANTHROPIC_API_KEY, or api.api_key_file to a file with mode 0600; \
             `claude-agent demo` shows the agent without a key, `claude-agent simulate` stands in for the API",
        ));
    }
    let config = ClaudeConfig {
        api_version: api.api_version,
        api_key: loaded.api_key.clone(),
        timeouts: Timeouts {
            connect: api.connect_timeout.duration(),
            first_byte: api.first_byte_timeout.duration(),
            idle: api.idle_timeout.duration(),
            total: api.total_timeout.duration(),
        },
        max_retries: api.max_retries,
        max_retry_after: api.max_retry_after.duration(),
        max_concurrency: limits.max_concurrent_requests.min(limits.connection_pool_size) as usize,
        ..ClaudeConfig::new(api.base_url.clone())
    };
    performance.client(config).map_err(|error| {
        misconfigured(
            format!("the API can't be used: {error}"),
            "check the section [api]",
        )
    })
}

fn prices(config: &ProductionConfig) -> Result<PriceTable, AppError> {
    let built_in = PriceTable::built_in();
    let Some(path) = &config.api.prices_file else {
        return Ok(built_in);
    };
    let failed = |why: String| {
        misconfigured(
            format!("the price list {} can't be used: {why}", path.display()),
            "correct the file, or remove api.prices_file",
        )
    };
    let text = read_bounded(path, MAX_PRICES_BYTES).map_err(|error| failed(error.to_string()))?;
    built_in
        .with_overrides(&text)
        .map_err(|error| failed(error.to_string()))
}

fn read_bounded(path: &Path, limit: u64) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(limit + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        return Err(std::io::Error::other(format!("it is larger than {limit} bytes")));
    }
    Ok(text)
}

fn policy(config: &ProductionConfig, root: PathBuf, presence: Presence) -> Result<Policy, AppError> {
    let (rules, denied_paths) = rules(config)?;
    let default = match presence {
        Presence::Person => PermissionMode::Ask,
        Presence::Nobody => PermissionMode::Policy,
    };
    Ok(Policy {
        mode: config.agent.permission_mode.unwrap_or(default),
        level: config.security.whitelist_enforcement_level,
        rules: rules.with_workspace(root),
        denied_paths,
        interactive: presence == Presence::Person,
    })
}

/// The configuration's lists as rules.
///
/// # Errors
/// A rule can't be used; the error names it.
pub fn rules(config: &ProductionConfig) -> Result<(CommandRules, DeniedPaths), AppError> {
    let tools = &config.tools;
    let commands = CommandRules::new(&tools.allowed_commands, &tools.denied_commands).map_err(|error| {
        misconfigured(
            error.to_string(),
            "correct tools.allowed_commands or tools.denied_commands",
        )
    })?;
    let paths = DeniedPaths::new(&tools.denied_paths)
        .map_err(|error| misconfigured(error.to_string(), "correct tools.denied_paths"))?;
    Ok((commands, paths))
}

fn tool_limits(config: &ProductionConfig, environment: &Environment) -> ToolLimits {
    let tools = &config.tools;
    ToolLimits {
        command_timeout: tools.command_timeout.duration(),
        max_output: tools.max_output.as_usize(),
        max_file_read: tools.max_file_read.as_usize(),
        max_matches: tools.max_matches as usize,
        environment: environment
            .with_prefix("")
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..ToolLimits::default()
    }
}

fn settings(config: &ProductionConfig) -> AgentSettings {
    let (api, agent) = (&config.api, &config.agent);
    AgentSettings {
        max_output_tokens: api.max_output_tokens,
        max_parallel_tools: agent.max_parallel_tools as usize,
        context_window: agent.context_window,
        compact_at_percent: agent.compact_at_percent,
        instructions_max_bytes: agent.instructions_max_bytes.bytes(),
        thinking: agent.thinking,
        ..AgentSettings::new(api.model.clone())
    }
}
