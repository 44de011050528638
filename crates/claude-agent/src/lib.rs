//! Runs Claude as an agent: fast, small, observable and safe while it does.
//!
//! The facade: what a program that embeds the agent uses, under short names. The work is done in the `agent-*` crates;
//! [`app`] puts them together, [`cli`] is the `claude-agent` command.

pub mod app;
pub mod cli;
mod published;

pub use agent_performance::{record_memory, time_operation};

/// The agent: sessions, runs, events, tools.
pub mod agent {
    pub use agent_core::{
        Agent, AgentError, AgentEvent, AgentParts, AgentSettings, ApprovalAnswer, ApprovalId, ControlError,
        ErrorKind, ErrorReport, Finished, Outcome, PlanItem, PlanStatus, ResolvedBy, RunLimits, Session,
        SessionChoice, TurnControl, TurnHandle, UsageTotals, session, workspace,
    };
}

/// The Messages API.
pub mod claude {
    pub use agent_claude::{client, error, messages, models, pricing, stream};
    pub use agent_core::tools;
}

/// What keeps the process fast, small and stoppable.
pub mod performance {
    pub use agent_performance::{
        cache, cleanup, connection_pool, instrumentation, lifecycle, memory, metrics,
    };
}

/// What a production set-up is made of.
pub mod production {
    pub use agent_config as config;
    pub use agent_operations::health;
    pub use agent_security as security;
}
