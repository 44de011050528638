//! The configuration cut into the narrow values that parts are built from.

use std::path::Path;

use agent_claude::client::{ClaudeConfig, Timeouts};
use agent_claude::keys::{KeyRing, is_loopback};
use agent_claude::pricing::PriceTable;
use agent_config::environment::Environment;
use agent_config::{Loaded, PermissionMode, ProductionConfig};
use agent_core::tools::{ToolLimits, WebAccess};
use agent_core::{AgentSettings, RunLimits};
use agent_security::command::CommandRules;
use agent_security::network::HostRules;
use agent_security::permission::{DeniedPaths, Policy};

use super::{AppError, Presence, misconfigured};

/// A price list is a page of text; a larger file is something else.
const MAX_PRICES_BYTES: u64 = 1024 * 1024;

/// How the API is talked to.
pub(super) fn client(loaded: &Loaded, keys: &KeyRing) -> Result<ClaudeConfig, AppError> {
    let (api, limits) = (&loaded.config.api, &loaded.config.performance);
    // A model server on this machine may want no key; the real API always does.
    if keys.current().is_none() && !is_loopback(&api.base_url) {
        return Err(misconfigured(
            format!("there is no API key for {}", api.base_url),
            "add one with `claude-agent keys add`, or set ANTHROPIC_API_KEY, api.api_key_file to a file with mode 0600, or api.api_key_command; \
             `claude-agent demo` shows the agent without a key, `claude-agent simulate` stands in for the API",
        ));
    }
    Ok(ClaudeConfig {
        api_version: api.api_version,
        keys: keys.clone(),
        timeouts: timeouts(&loaded.config),
        max_retries: api.max_retries,
        max_retry_after: api.max_retry_after.duration(),
        max_concurrency: limits.max_concurrent_requests.min(limits.connection_pool_size) as usize,
        ..ClaudeConfig::new(api.base_url.clone())
    })
}

pub(super) fn timeouts(config: &ProductionConfig) -> Timeouts {
    let api = &config.api;
    Timeouts {
        connect: api.connect_timeout.duration(),
        first_byte: api.first_byte_timeout.duration(),
        idle: api.idle_timeout.duration(),
        total: api.total_timeout.duration(),
    }
}

pub(super) fn prices(config: &ProductionConfig) -> Result<PriceTable, AppError> {
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

/// What the agent may do. Each session adds its own workspace.
pub(super) fn policy(config: &ProductionConfig, presence: Presence) -> Result<Policy, AppError> {
    let Rules { commands, paths, .. } = rules(config)?;
    let default = match presence {
        Presence::Person => PermissionMode::Ask,
        Presence::Nobody => PermissionMode::Policy,
    };
    Ok(Policy {
        mode: config.agent.permission_mode.unwrap_or(default),
        level: config.security.whitelist_enforcement_level,
        rules: commands,
        denied_paths: paths,
        interactive: presence == Presence::Person,
    })
}

/// What the configuration lists, in the form that decisions are made with.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Commands that are known, and those that are never run.
    pub commands: CommandRules,
    /// Paths that tools never touch.
    pub paths: DeniedPaths,
    /// Hosts that may be asked without asking.
    pub hosts: HostRules,
}

/// The configuration's lists as rules.
///
/// # Errors
/// A rule can't be used; the error names it.
pub fn rules(config: &ProductionConfig) -> Result<Rules, AppError> {
    let tools = &config.tools;
    let commands = CommandRules::new(&tools.allowed_commands, &tools.denied_commands).map_err(|error| {
        misconfigured(
            error.to_string(),
            "correct tools.allowed_commands or tools.denied_commands",
        )
    })?;
    let paths = DeniedPaths::new(&tools.denied_paths)
        .map_err(|error| misconfigured(error.to_string(), "correct tools.denied_paths"))?;
    let hosts = HostRules::new(&tools.allowed_hosts)
        .map_err(|error| misconfigured(error.to_string(), "correct tools.allowed_hosts"))?;
    Ok(Rules {
        commands,
        paths,
        hosts,
    })
}

pub(super) fn tool_limits(
    config: &ProductionConfig,
    environment: &Environment,
) -> Result<ToolLimits, AppError> {
    let tools = &config.tools;
    Ok(ToolLimits {
        command_timeout: tools.command_timeout.duration(),
        max_output: tools.max_output.as_usize(),
        max_file_read: tools.max_file_read.as_usize(),
        max_matches: tools.max_matches as usize,
        environment: environment
            .with_prefix("")
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        web: WebAccess {
            allowed_hosts: rules(config)?.hosts,
            ca_bundle: config.api.ca_bundle.clone(),
            ..WebAccess::default()
        },
        ..ToolLimits::default()
    })
}

pub(super) fn settings(config: &ProductionConfig) -> AgentSettings {
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

pub(super) fn run_limits(config: &ProductionConfig) -> RunLimits {
    RunLimits {
        max_turns: config.agent.max_turns,
        max_budget_usd: config.agent.max_budget_usd,
        timeout: config.agent.turn_timeout.duration(),
    }
}
