use chrono::{DateTime, Utc};
use serde::Serialize;

/// How the shared store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedState {
    /// The first attempt is under way.
    Connecting,
    /// It answers.
    Up,
    /// It does not, and this replica goes on alone. Attempts go on.
    Down,
}

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SharedFailure {
    /// When.
    pub at: DateTime<Utc>,
    /// What, without passwords.
    pub message: String,
}

/// For health and readiness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SharedStatus {
    /// Host and port, or path.
    pub address: String,
    /// How it stands.
    pub state: SharedState,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The last failure, also after the recovery from it; `None` when there was none.
    pub last_failure: Option<SharedFailure>,
}

impl SharedStatus {
    /// True while it answers.
    pub fn is_up(&self) -> bool {
        self.state == SharedState::Up
    }
}
