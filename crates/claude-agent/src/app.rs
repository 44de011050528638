//! Puts everything together: the only code that sees the whole configuration. It cuts it into narrow values and builds
//! upward, from connections to the agent: [`App`] is one session of a person or a script, [`Daemon`] serves many.

mod asked;
mod audit;
mod check;
mod core;
mod cut;
mod daemon;
mod descriptors;
mod health;
mod keyring;
mod keys;
mod lock;
mod own_watch;
mod pace;
mod performance;
mod reload;
mod service_manager;
mod telemetry;

use std::path::{Path, PathBuf};

use agent_config::environment::Environment;
use agent_config::{Loaded, ProductionConfig};
use agent_core::session::{SessionStore, StoreError};
use agent_core::{Agent, RunLimits, SessionChoice};
use agent_performance::cleanup::Admission;
use agent_performance::metrics::MetricsCollector;

pub use self::audit::{audit_folder, open_audit};
pub use self::check::examine;
use self::core::Core;
pub use self::cut::{Rules, rules};
pub use self::daemon::{Daemon, Doors, LogBuffer, log_buffer};
pub(crate) use self::daemon::{token_file, unix_socket};
pub use self::keys::{Keys, key_file, now};
use self::pace::Pace;
use crate::published::Busy;

/// The name of the session store in the data folder.
const STORE_FILE: &str = "sessions.db";

/// Why the program can't be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The session store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration is valid in itself but does not work here.
    #[error("{message}; {advice}")]
    Misconfigured {
        /// What is wrong, with what.
        message: String,
        /// What to do about it.
        advice: String,
    },
    /// Something that the program needs for itself alone is not to be had: a port, a folder.
    #[error("{message}; {advice}")]
    Unavailable {
        /// What is wrong, with what.
        message: String,
        /// What to do about it.
        advice: String,
    },
}

fn misconfigured(message: impl Into<String>, advice: impl Into<String>) -> AppError {
    AppError::Misconfigured {
        message: message.into(),
        advice: advice.into(),
    }
}

fn unavailable(message: impl Into<String>, advice: impl Into<String>) -> AppError {
    AppError::Unavailable {
        message: message.into(),
        advice: advice.into(),
    }
}

/// Whether somebody can be asked for approvals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A person, at a terminal or behind the daemon's API.
    Person,
    /// Nobody: the policy decides alone.
    Nobody,
}

/// The agent with what it runs on, for one session.
pub struct App {
    /// Starts sessions.
    pub agent: Agent,
    /// The limits of a run, from the configuration.
    pub limits: RunLimits,
    /// Which session to work in.
    pub choice: SessionChoice,
    core: Core,
}

/// While one of these is alive, the figures of this process are published for `metrics` and `top`.
#[must_use = "publishing ends when this is dropped"]
pub struct Working(#[expect(dead_code, reason = "held for its end")] Option<Busy>);

impl App {
    /// Builds everything for one session. Opens no connection.
    ///
    /// # Errors
    /// [`AppError`], before anything runs.
    pub async fn build(
        loaded: &Loaded,
        environment: &Environment,
        keys: &Keys,
        session: Option<&str>,
        workspace: Option<&Path>,
        presence: Presence,
    ) -> Result<Self, AppError> {
        let mut core = Core::build(loaded, environment, keys, presence, Pace::SESSION)?;
        let choice = choose_session(&core.store, session, workspace).await?;
        core.start();
        keys.keep(&core.lifecycle, &core.audit);
        Ok(Self {
            agent: core.agent.clone(),
            limits: cut::run_limits(&loaded.config),
            choice,
            core,
        })
    }

    /// What this process measures; none when `monitoring.enable_metrics` is off.
    pub fn metrics(&self) -> Option<&MetricsCollector> {
        self.core.performance.metrics()
    }

    /// To be asked before new work begins: memory may be too short for it.
    pub fn admission(&self) -> Admission {
        self.core.performance.admission()
    }

    /// To be held while a run is under way.
    pub fn working(&self) -> Working {
        Working(self.core.performance.busy())
    }

    /// Ends what still runs, closes the store, cleans up, and publishes the last figures.
    ///
    /// # Errors
    /// The store could not be closed; what was acknowledged is safe all the same.
    pub async fn shutdown(self) -> Result<(), AppError> {
        self.core.shutdown().await
    }
}

/// Opens the session store in the data folder.
///
/// # Errors
/// [`StoreError`], each with its advice.
pub fn open_store(config: &ProductionConfig) -> Result<SessionStore, StoreError> {
    SessionStore::open(store_file(config))
}

fn store_file(config: &ProductionConfig) -> PathBuf {
    config.deployment.data_directory.join(STORE_FILE)
}

/// The folder to work in, absolute and without links; the current one when none is named.
///
/// # Errors
/// It does not exist, or is not a folder.
pub fn workspace_folder(named: Option<&Path>) -> Result<PathBuf, AppError> {
    let folder = match named {
        Some(folder) => folder.to_owned(),
        None => current_folder()?,
    };
    let failed = |why: String| {
        misconfigured(
            format!("the workspace {} can't be used: {why}", folder.display()),
            "give an existing folder with --workspace",
        )
    };
    let root = folder.canonicalize().map_err(|error| failed(error.to_string()))?;
    if root.is_dir() {
        Ok(root)
    } else {
        Err(failed("it is not a folder".to_owned()))
    }
}

/// A path that does not depend on the current folder; links stay.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The current folder.
///
/// # Errors
/// It was deleted, or may not be read.
pub fn current_folder() -> Result<PathBuf, AppError> {
    std::env::current_dir().map_err(|error| {
        misconfigured(
            format!("the current folder can't be used: {error}"),
            "change to another one",
        )
    })
}

async fn choose_session(
    store: &SessionStore,
    session: Option<&str>,
    workspace: Option<&Path>,
) -> Result<SessionChoice, AppError> {
    let Some(part) = session else {
        let workspace = workspace_folder(workspace)?;
        return Ok(SessionChoice::New { workspace });
    };
    let id = store.resolve(part).await?;
    let stored = store.get(&id).await?.workspace;
    let root = workspace_folder(Some(&stored))?;
    if let Some(named) = workspace
        && workspace_folder(Some(named))? != root
    {
        return Err(misconfigured(
            format!(
                "session {} belongs to {}, not to {}",
                id.short(),
                root.display(),
                named.display()
            ),
            "leave out --workspace, or start a new session there",
        ));
    }
    Ok(SessionChoice::Resume { id })
}
