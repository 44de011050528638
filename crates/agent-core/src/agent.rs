//! The agent: finished parts put together, from which sessions are started.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_claude::client::ClaudeClient;
use agent_claude::models;
use agent_claude::pricing::PriceTable;
use agent_performance::lifecycle::Lifecycle;
use agent_security::audit::AuditLog;
use agent_security::permission::Policy;
use agent_security::redact::Redactor;

use crate::instruments::Instruments;
use crate::session::{NewSession, SessionId, SessionStore, StoreError};
use crate::session_handle::Session;
use crate::tools::ToolRegistry;
use crate::workspace::{Workspace, WorkspaceError};

/// Tokens of the window where neither the settings nor the model list tell: the smallest window of any model in use.
const DEFAULT_CONTEXT_WINDOW: u64 = 200_000;

/// Everything an agent is made of.
#[derive(Clone, Debug)]
pub struct AgentParts {
    /// Asks the model.
    pub client: ClaudeClient,
    /// Keeps the sessions.
    pub store: SessionStore,
    /// What the model can do.
    pub tools: ToolRegistry,
    /// What it may do.
    pub policy: Policy,
    /// Takes secrets out of prompts and tool results, before they are stored or sent.
    pub redactor: Redactor,
    /// How it works.
    pub settings: AgentSettings,
    /// What requests cost.
    pub prices: PriceTable,
    /// Owns the running turns; its token ends them.
    pub lifecycle: Lifecycle,
    /// Measures it.
    pub instruments: Instruments,
    /// Records what was decided and done.
    pub audit: AuditLog,
}

/// How an agent works.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// The model to ask.
    pub model: String,
    /// Tokens of one answer, at most.
    pub max_output_tokens: u32,
    /// Tool calls that run at the same time.
    pub max_parallel_tools: usize,
    /// Tokens of the model's window; none takes what the model list says.
    pub context_window: Option<u32>,
    /// Share of the window at which the conversation is compacted.
    pub compact_at_percent: u8,
    /// Bytes of project instructions that are read.
    pub instructions_max_bytes: u64,
    /// Ask the model to think before it answers.
    pub thinking: bool,
}

impl AgentSettings {
    /// The documented defaults for `model`.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            max_output_tokens: 32_000,
            max_parallel_tools: 8,
            context_window: None,
            compact_at_percent: 80,
            instructions_max_bytes: 64 * 1024,
            thinking: false,
        }
    }

    /// What may be asked for in one answer: the API refuses more than the model can give.
    pub(crate) fn answer_tokens(&self) -> u32 {
        models::info(&self.model).map_or(self.max_output_tokens, |known| {
            self.max_output_tokens.min(known.max_output)
        })
    }

    pub(crate) fn context_window(&self) -> u64 {
        let known = || models::info(&self.model).map(|limits| limits.context_window);
        self.context_window
            .or_else(known)
            .map_or(DEFAULT_CONTEXT_WINDOW, u64::from)
    }
}

/// Which session to work in.
#[derive(Clone, Debug)]
pub enum SessionChoice {
    /// A new one in this folder. It is stored with its first prompt.
    New {
        /// The folder that the agent works in.
        workspace: PathBuf,
    },
    /// One that is stored, in its own folder.
    Resume {
        /// The session.
        id: SessionId,
    },
}

/// Why a session could not be started.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The session store failed, or the session is not there or in use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The workspace can't be used.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}

/// Starts sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Agent {
    parts: Arc<AgentParts>,
}

impl Agent {
    /// An agent of these parts.
    pub fn new(parts: AgentParts) -> Self {
        let instruments = parts
            .instruments
            .of_agent(&parts.tools.names(), &parts.settings.model);
        Self {
            parts: Arc::new(AgentParts { instruments, ..parts }),
        }
    }

    /// Stores a session without a prompt, in a folder that the agent can work in, for those who have to name the session
    /// before there is something to do. Without a title it gets one from its first prompt.
    ///
    /// # Errors
    /// [`AgentError`]; nothing was stored.
    pub async fn create_session(
        &self,
        workspace: &Path,
        title: Option<String>,
    ) -> Result<SessionId, AgentError> {
        let new = NewSession {
            workspace: Workspace::open(workspace)?.root().to_owned(),
            model: self.parts.settings.model.clone(),
            title: title.map(|title| self.parts.redactor.redact(&title).into_owned()),
        };
        Ok(self.parts.store.create(new).await?)
    }

    /// Opens a session: its workspace, its project instructions and, when it is resumed, its messages. Nothing is sent
    /// and nothing is stored before the first [`Session::run`].
    ///
    /// # Errors
    /// [`AgentError`]; nothing was changed.
    pub async fn start_session(&self, choice: SessionChoice) -> Result<Session, AgentError> {
        Session::open(Arc::clone(&self.parts), choice).await
    }
}
