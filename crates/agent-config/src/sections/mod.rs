//! The sections of the configuration: what can be set, and what holds when nothing is.
//!
//! These are plain values. What is valid stands in `keys.rs`, one line a key; the text on each field is also its
//! description in the JSON schema and in the reference.

mod agent;
mod api;
mod deployment;
mod logging;
mod monitoring;
mod performance;
mod security;
mod server;
mod shared;
mod tools;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use agent::AgentConfig;
pub use api::ApiConfig;
pub use deployment::DeploymentConfig;
pub use logging::LoggingConfig;
pub use monitoring::{MonitoringConfig, PerformanceThresholds};
pub use performance::PerformanceConfig;
pub use security::{SecurityConfig, SigningKey};
pub use server::ServerConfig;
pub use shared::SharedConfig;
pub use tools::ToolsConfig;

use crate::choice::{DeploymentEnvironment, LogLevel};
use crate::environment::Environment;
use crate::folders::Folders;

/// The whole configuration. [`Default`] is valid, and is what holds when nothing is configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProductionConfig {
    /// What kind of place the agent runs in: it selects a profile of defaults, and `Production` refuses insecure
    /// combinations of settings.
    pub environment: DeploymentEnvironment,
    /// Transport security, request limits, and what unknown actions may do.
    pub security: SecurityConfig,
    /// Limits on concurrency, time and memory, and the response cache.
    pub performance: PerformanceConfig,
    /// Metrics, health checks and alerts.
    pub monitoring: MonitoringConfig,
    /// Log output, its files, and the audit log.
    pub logging: LoggingConfig,
    /// This installation: its identity and its folders.
    pub deployment: DeploymentConfig,
    /// The Messages API that is talked to: where it is, the model, time-outs and retries.
    pub api: ApiConfig,
    /// The agent loop: permissions, limits of a run, the context window.
    pub agent: AgentConfig,
    /// The built-in tools: their limits, and the commands and paths they may touch.
    pub tools: ToolsConfig,
    /// The daemon that `claude-agent serve` starts: where it listens, who may talk to it, and what one client can hold.
    pub server: ServerConfig,
    /// What several daemons share: a Redis or Valkey server for the response cache, rate limits and signature nonces.
    pub shared: SharedConfig,
}

impl ProductionConfig {
    /// The built-in defaults, with data and temporary files in `folders`.
    pub fn with_folders(folders: &Folders) -> Self {
        Self {
            environment: DeploymentEnvironment::Development,
            security: SecurityConfig::default(),
            performance: PerformanceConfig::default(),
            monitoring: MonitoringConfig::default(),
            logging: LoggingConfig::default(),
            deployment: DeploymentConfig::with_folders(folders),
            api: ApiConfig::default(),
            agent: AgentConfig::default(),
            tools: ToolsConfig::default(),
            server: ServerConfig::default(),
            shared: SharedConfig::default(),
        }
    }

    /// Whether insecure combinations of settings are refused.
    pub fn is_production(&self) -> bool {
        self.environment == DeploymentEnvironment::Production
    }

    /// The log level in the terms of `tracing`.
    pub fn get_log_level(&self) -> tracing::Level {
        LogLevel::into(self.logging.level)
    }
}

impl Default for ProductionConfig {
    /// The built-in defaults with the folders of the user who runs this process. [`crate::load`] takes the folders
    /// from the environment that it is given instead.
    fn default() -> Self {
        Self::with_folders(&Folders::of(&Environment::from_process()))
    }
}
