use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::choice::PermissionMode;
use crate::units::{ByteSize, HumanDuration};

/// The agent loop: permissions, limits of a run, the context window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Who decides on what a tool wants to do. When it is not set: `ask` on a terminal and behind the
    /// daemon's API, `policy` where nobody can be asked.
    pub permission_mode: Option<PermissionMode>,
    /// How often the model may answer within one task.
    pub max_turns: u32,
    /// What one task may cost, in US dollars. When it is not set there is no such limit. A project file may only
    /// lower it.
    pub max_budget_usd: Option<f64>,
    /// How long one task may take.
    pub turn_timeout: HumanDuration,
    /// How many tools run at once.
    pub max_parallel_tools: u32,
    /// The size of the model's context window in tokens. When it is not set, it is the model's own.
    pub context_window: Option<u32>,
    /// How full the context window may be, in percent, before the conversation is compacted.
    pub compact_at_percent: u8,
    /// How much of `CLAUDE.md` and `AGENTS.md` is read.
    pub instructions_max_bytes: ByteSize,
    /// Let the model think before it answers.
    pub thinking: bool,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            permission_mode: None,
            max_turns: 100,
            max_budget_usd: None,
            turn_timeout: HumanDuration::hours(1),
            max_parallel_tools: 8,
            context_window: None,
            compact_at_percent: 80,
            instructions_max_bytes: ByteSize::kib(64),
            thinking: false,
        }
    }
}
