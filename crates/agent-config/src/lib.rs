//! The configuration of the agent: its sections and defaults, the layers they are set in, and what is valid.
//!
//! [`load`] merges the layers ([`Sources`]) into a [`ProductionConfig`] and gives it with the origin of every value, or
//! with *every* problem of every layer. There is nothing in between: a configuration that can't be read is an error,
//! never a reason to go on with defaults.
//!
//! Nothing here is global. One file reads the process environment (`environment.rs`) and one reads and writes files
//! (`files.rs`); credentials are [`Secret`]s, which have no printable form.

mod api_key;
mod checks;
mod choice;
mod credentials;
mod document;
pub mod environment;
mod files;
mod folders;
mod identity;
mod keys;
mod layers;
mod load;
mod network_rules;
mod problem;
mod production;
mod profile;
mod program;
mod reference;
mod render;
mod rules;
mod secret;
mod sections;
mod setting;
mod suggest;
mod units;
mod unused;

pub use api_key::{ApiKey, KeyState, MAX_KEY_BYTES, host_of, parse_api_key};
pub use choice::ApiVersion;
pub use choice::DeploymentEnvironment;
pub use choice::LogLevel;
pub use choice::PermissionMode;
pub use choice::SignatureAlgorithm;
pub use choice::UnknownChoice;
pub use choice::WhenDown;
pub use choice::WhitelistLevel;
pub use credentials::KeySource;
pub use environment::Environment;
pub use folders::Folders;
pub use identity::deployment_id;
pub use layers::Sources;
pub use load::Examined;
pub use load::Loaded;
pub use load::OriginEntry;
pub use load::Origins;
pub use load::examine;
pub use load::load;
pub use problem::ConfigError;
pub use problem::Layer;
pub use problem::Origin;
pub use problem::Problem;
pub use problem::Problems;
pub use program::check_program;
pub use reference::json_schema;
pub use reference::reference_markdown;
pub use render::template;
pub use render::write_template;
pub use secret::Secret;
pub use sections::AgentConfig;
pub use sections::ApiConfig;
pub use sections::DeploymentConfig;
pub use sections::LoggingConfig;
pub use sections::MonitoringConfig;
pub use sections::PerformanceConfig;
pub use sections::PerformanceThresholds;
pub use sections::ProductionConfig;
pub use sections::SecurityConfig;
pub use sections::ServerConfig;
pub use sections::SharedConfig;
pub use sections::SigningKey;
pub use sections::ToolsConfig;
pub use units::ByteSize;
pub use units::HumanDuration;
pub use units::UnitError;
