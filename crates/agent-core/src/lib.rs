//! The agent: loop, sessions, tools, permissions, compaction.
//!
//! An [`Agent`] is built from finished [`AgentParts`], a [`Session`] from an agent. [`Session::run`] gives a
//! [`TurnHandle`]: the run is watched through its [`AgentEvent`]s and directed through its [`TurnControl`]. This crate
//! serves nothing and prints nothing: the terminal, the HTTP API and the desktop all read the same events.
//!
//! What a run does, from the outside in: `session_handle` owns the task and its end, `turn` is the loop, `ask` gets one
//! answer, `calls` runs the tools of one answer, `conversation` keeps store and memory equal.

mod agent;
mod approvals;
mod ask;
mod calls;
mod compaction;
mod control;
mod conversation;
mod emitter;
mod event;
mod history;
mod instructions;
mod instruments;
mod limits;
mod prompt;
mod report;
mod scheduling;
pub mod session;
mod session_handle;
mod stop;
mod title;
pub mod tools;
mod turn;
pub mod workspace;

pub use agent::Agent;
pub use agent::AgentError;
pub use agent::AgentParts;
pub use agent::AgentSettings;
pub use agent::SessionChoice;
pub use control::ControlError;
pub use control::TurnControl;
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
pub use instruments::Instruments;
pub use limits::RunLimits;
pub use session_handle::Session;
pub use session_handle::TurnHandle;
