//! The agent: loop, sessions, tools, permissions, compaction.
//!
//! `Agent` is built from finished parts, a `Session` from an agent, and a running turn is watched through the
//! [`AgentEvent`]s of its `TurnHandle` and steered through its `TurnControl`. This crate serves nothing and
//! prints nothing: the terminal, the HTTP API and the desktop all read the same events.

mod event;
pub mod session;
pub mod tools;
pub mod workspace;

pub use event::AgentEvent;
pub use event::ApprovalAnswer;
pub use event::ApprovalId;
pub use event::ErrorKind;
pub use event::ErrorReport;
pub use event::Finished;
pub use event::Outcome;
pub use event::PlanItem;
pub use event::PlanStatus;
pub use event::ResolvedBy;
pub use event::UsageTotals;
