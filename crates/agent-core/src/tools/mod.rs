//! What the model can do: the tools, and the two traits behind which they stand.
//!
//! A call goes through two steps. [`Tool::prepare`] parses the input and resolves every path, so that the
//! policy judges what will really be touched; [`Prepared::run`] does it. Nothing here decides whether a call
//! is allowed, asks anyone, or stores anything.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use agent_claude::messages::ToolDefinition;
use agent_security::path::RelPath;
use agent_security::permission::Action;
use agent_security::redact::Redactor;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::PlanItem;
use crate::workspace::Workspace;

mod bash;
mod blocking;
mod children;
mod conflict;
mod diff;
mod edit_file;
mod glob;
mod grep;
mod input;
mod ledger;
mod limits;
mod list_directory;
mod live;
mod output;
mod process;
mod read_file;
mod registry;
#[cfg(test)]
mod testing;
mod text;
mod update_plan;
mod walk;
pub(crate) mod web_fetch;
mod write_file;

pub use children::Children;
pub use conflict::conflicts;
pub use input::{definition, parse};
pub use limits::ToolLimits;
pub use live::LiveOutput;
pub use output::{Bounded, HeadTail, bound_text};
pub use process::{SecretCommand, SecretCommandError};
pub use registry::ToolRegistry;
pub use web_fetch::WebAccess;

pub(crate) use ledger::ReadLedger;

/// One thing the model can ask for, under one name.
pub trait Tool: Send + Sync {
    /// The name the model calls it by, the same as in [`Tool::definition`].
    fn name(&self) -> &str;

    /// What the model is told: name, description, JSON schema of the input.
    fn definition(&self) -> ToolDefinition;

    /// Checks `input` and resolves what it names beneath `workspace`. Changes nothing.
    ///
    /// May look at the file system (a few bounded system calls, never a blocking open), so it can be called
    /// where a short pause is harmless.
    ///
    /// # Errors
    /// The message is for the model: what was wrong, with which field or path, and what would fit.
    fn prepare(&self, input: Value, workspace: &Workspace) -> Result<Box<dyn Prepared>, ToolError>;
}

/// A call whose input was understood and whose paths are known; not yet allowed, not yet run.
pub trait Prepared: Send + Sync {
    /// Everything the call will touch. The policy and [`conflicts`] work on this.
    fn actions(&self) -> Vec<Action<'_>>;

    /// One line for a person: what the call does, to what.
    fn summary(&self) -> String;

    /// What a person should see before saying yes: the whole command, or a bounded diff against the file as it
    /// is now. Reads that file; `None` when the summary says everything.
    fn detail(&self) -> Option<String> {
        None
    }

    /// Does it. Never panics and never hangs past its own limits; when `context.cancel` fires it stops, cleans up
    /// (children are killed and reaped) and returns a result that says so. Dropping the future cancels it too.
    fn run(self: Box<Self>, context: ToolContext) -> BoxFuture<'static, ToolResult>;
}

/// Says of a path, relative to the workspace, whether tools that walk folders may show it.
pub type PathFilter = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// What a running call is given besides its input.
#[derive(Clone)]
pub struct ToolContext {
    /// Ends the call early.
    pub cancel: CancellationToken,
    /// Where output goes while the call still runs.
    pub output: LiveOutput,
    /// Takes out of results what the model must not see.
    pub redactor: Redactor,
    /// Paths that `glob`, `grep` and `list_directory` leave out because the policy denies them. Calls that name
    /// one path are judged by their [`Prepared::actions`] instead.
    pub may_read: PathFilter,
}

impl ToolContext {
    /// A context without live output and without denied paths.
    pub fn new(cancel: CancellationToken) -> Self {
        Self {
            cancel,
            output: LiveOutput::none(),
            redactor: Redactor::default(),
            may_read: Arc::new(|_| true),
        }
    }

    /// Shows output as it comes.
    #[must_use]
    pub fn with_output(self, output: LiveOutput) -> Self {
        Self { output, ..self }
    }

    /// Says what was taken out of the results that the model has seen.
    #[must_use]
    pub fn with_redactor(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// Leaves out of listings and searches what `may_read` says no to.
    #[must_use]
    pub fn with_path_filter(self, may_read: PathFilter) -> Self {
        Self { may_read, ..self }
    }
}

impl fmt::Debug for ToolContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolContext")
            .field("cancel", &self.cancel)
            .finish_non_exhaustive()
    }
}

/// What a call does to a path, for that path and for the other names that led to it.
fn on<'a>(action: fn(&'a RelPath) -> Action<'a>, path: &'a RelPath, also: &'a [RelPath]) -> Vec<Action<'a>> {
    std::iter::once(path).chain(also).map(action).collect()
}

/// What goes back to the model, always bounded by the tool's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    /// Text for the model; never empty.
    pub content: String,
    /// The call did not do what was asked (a command that ends non-zero counts).
    pub is_error: bool,
    /// Something was left out of `content`; the text says how much and how to get at it.
    pub truncated: bool,
    /// The new plan, when the call was `update_plan`.
    pub plan: Option<Vec<PlanItem>>,
    /// Where `content` is from, when anyone may have written it. The session is distrustful from then on.
    pub distrusted: Option<String>,
}

impl ToolResult {
    /// A result that did what was asked.
    pub fn ok(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            is_error: false,
            truncated: false,
            plan: None,
            distrusted: None,
        }
    }

    /// A result that tells the model what went wrong.
    pub fn error(content: impl Into<String>) -> Self {
        Self {
            is_error: true,
            ..Self::ok(content)
        }
    }

    /// Marks the content as written by whoever is behind `source`.
    #[must_use]
    pub fn distrusting(self, source: &str) -> Self {
        Self {
            distrusted: Some(source.to_owned()),
            ..self
        }
    }

    /// Marks whether something was left out.
    #[must_use]
    pub fn with_truncated(self, truncated: bool) -> Self {
        Self { truncated, ..self }
    }
}

/// Why a call could not be prepared or done, in words the model can act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// What happened, to what, what to do.
    pub message: String,
}

impl ToolError {
    /// Wraps a message meant for the model.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }

    /// The one text for a call that was stopped.
    pub(crate) fn cancelled() -> Self {
        Self::new("cancelled before it finished; nothing more was done")
    }
}

impl From<ToolError> for ToolResult {
    fn from(error: ToolError) -> Self {
        Self::error(error.message)
    }
}

impl From<Result<ToolResult, ToolError>> for ToolResult {
    fn from(outcome: Result<ToolResult, ToolError>) -> Self {
        outcome.unwrap_or_else(Self::from)
    }
}
