use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteSize, HumanDuration};

/// The built-in tools: their limits, and the commands and paths they may touch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolsConfig {
    /// How long one command may run.
    pub command_timeout: HumanDuration,
    /// How much of a tool's output the model is shown; of more, the head and the tail are kept.
    pub max_output: ByteSize,
    /// How much of a file is read at once.
    pub max_file_read: ByteSize,
    /// Commands that count as known besides the built-in ones, each by its first words: `"make test"`.
    pub allowed_commands: Vec<String>,
    /// Hosts that `web_fetch` may ask without asking: `"docs.rs"`, which includes the hosts below it. An address or `localhost` stands for itself,
    /// and is reached although it is not public.
    pub allowed_hosts: Vec<String>,
    /// Commands that are never run, each by its first words. What several files deny adds up.
    pub denied_commands: Vec<String>,
    /// Files and folders that tools never touch, relative to the workspace. What several files deny adds up.
    pub denied_paths: Vec<String>,
    /// How many matches one search returns.
    pub max_matches: u32,
}

impl Default for ToolsConfig {
    fn default() -> Self {
        Self {
            command_timeout: HumanDuration::secs(120),
            max_output: ByteSize::kib(64),
            max_file_read: ByteSize::kib(256),
            allowed_commands: Vec::new(),
            allowed_hosts: Vec::new(),
            denied_commands: Vec::new(),
            denied_paths: Vec::new(),
            max_matches: 500,
        }
    }
}
