use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::choice::LogLevel;

/// Log output, its files, and the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoggingConfig {
    /// How much the daemon logs: each level includes those before it. Other commands log only with `--log-level`.
    pub level: LogLevel,
    /// Log JSON lines instead of text for people. On a terminal it is text all the same.
    pub enable_structured_logging: bool,
    /// The file that is logged to. Without one, logs go to standard error.
    #[schemars(with = "Option<String>")]
    pub log_file_path: Option<PathBuf>,
    /// How large one log file grows before it is rotated, in MiB.
    pub max_log_file_size_mb: u64,
    /// How many rotated log files are kept.
    pub log_rotation_count: u32,
    /// Keep the hash-chained record of tool executions, decisions and administrative acts.
    pub enable_audit_logging: bool,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            enable_structured_logging: true,
            log_file_path: None,
            max_log_file_size_mb: 100,
            log_rotation_count: 5,
            enable_audit_logging: true,
        }
    }
}
