//! What is recorded.

use serde::{Deserialize, Serialize};

use crate::redact::Redactor;

/// Bytes of one text in an event. A command line may be as long as a script; its beginning tells what it was.
pub const MAX_TEXT: usize = 1024;

/// One event. The set is closed: a reader of the log knows all there can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AuditEvent {
    /// Whether a tool call may run.
    PermissionDecided {
        /// The session that the call belongs to.
        session: String,
        /// The tool.
        tool: String,
        /// What the call would do, in a line.
        action: String,
        /// What was decided.
        decision: Decision,
        /// Who decided: `policy`, `user`, or what else ended the question.
        by: String,
        /// Why.
        reason: String,
    },
    /// A tool call ended.
    ToolExecuted {
        /// The session that the call belongs to.
        session: String,
        /// The tool.
        tool: String,
        /// What the call did, in a line.
        action: String,
        /// How it ended.
        outcome: ToolOutcome,
        /// How long it took.
        duration_ms: u64,
    },
    /// A wrong credential was shown.
    LoginFailed {
        /// From where.
        client: String,
    },
    /// A browser was let in to the web page.
    LoggedIn {
        /// From where.
        client: String,
        /// Whose code or token it showed.
        by: String,
    },
    /// A request had to be signed, and its signature was missing, wrong, old or used.
    SignatureRefused {
        /// From where.
        client: String,
        /// Whose credential it came with.
        by: String,
        /// What it asked for, as the table of routes names it.
        act: String,
        /// What is wrong with the signature.
        reason: String,
    },
    /// A daemon began to serve.
    DaemonStarted {
        /// Its version.
        version: String,
        /// Where it listens.
        address: String,
    },
    /// A daemon ended in order.
    DaemonStopped {},
    /// Somebody did something to what the agent keeps or to how it works.
    Administered {
        /// What was done, such as `session deleted`.
        act: String,
        /// To what.
        subject: String,
        /// Who did it: `cli`, or whose credential it was.
        by: String,
    },
    /// The end of the last line was missing: a crash or a power cut. What was there is kept in a file.
    TornLine {
        /// The name of that file.
        kept_in: String,
    },
    /// The log was shorter than its file `head` said: a power cut took lines that were not on the disk, or somebody cut them off.
    LinesMissing {
        /// The last line that there was, as `NUMBER:HASH`; empty where the file said nothing.
        expected: String,
    },
    /// The oldest segment was removed, because there were too many.
    Pruned {
        /// The number of its last line.
        through: u64,
        /// The hash of its last line.
        hash: String,
    },
    /// The line before this one, signed.
    Checkpoint {
        /// The public key, in base64.
        key: String,
        /// Of `claude-agent audit {number} {hash}` of the line before, in base64.
        signature: String,
    },
    /// The log goes on in the next segment.
    SegmentEnded {},
}

/// Whether a call may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It ran.
    Allowed,
    /// It did not.
    Denied,
}

/// How a tool call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolOutcome {
    /// It did what it was asked.
    Done,
    /// It said that it failed.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl AuditEvent {
    /// The same with texts cut to [`MAX_TEXT`] and without secrets.
    pub(super) fn bounded(mut self, redactor: &Redactor) -> Self {
        for text in self.texts() {
            // Cut last: half of a secret would not be found.
            let mut clean = redactor.redact(text).into_owned();
            if clean.len() > MAX_TEXT {
                clean.truncate(clean.floor_char_boundary(MAX_TEXT));
                clean.push('…');
            }
            *text = clean;
        }
        self
    }

    /// The texts that come from outside.
    fn texts(&mut self) -> Vec<&mut String> {
        match self {
            Self::PermissionDecided {
                session,
                tool,
                action,
                by,
                reason,
                ..
            } => vec![session, tool, action, by, reason],
            Self::ToolExecuted {
                session,
                tool,
                action,
                ..
            } => vec![session, tool, action],
            Self::LoginFailed { client } => vec![client],
            Self::LoggedIn { client, by } => vec![client, by],
            Self::SignatureRefused {
                client,
                by,
                act,
                reason,
            } => vec![client, by, act, reason],
            Self::DaemonStarted { version, address } => vec![version, address],
            Self::Administered { act, subject, by } => vec![act, subject, by],
            Self::DaemonStopped {}
            | Self::TornLine { .. }
            | Self::LinesMissing { .. }
            | Self::Pruned { .. }
            | Self::Checkpoint { .. }
            | Self::SegmentEnded {} => Vec::new(),
        }
    }

    /// Whether it has to be on the disk before anything goes on: what an operator will be asked about. Ordinary tool calls
    /// survive the end of the process, and only a power cut within seconds can take them.
    pub(super) fn is_synced(&self) -> bool {
        match self {
            Self::PermissionDecided { decision, .. } => *decision == Decision::Denied,
            Self::LoggedIn { .. }
            | Self::DaemonStarted { .. }
            | Self::DaemonStopped {}
            | Self::Administered { .. }
            | Self::TornLine { .. }
            | Self::LinesMissing { .. } => true,
            Self::ToolExecuted { .. }
            | Self::LoginFailed { .. }
            | Self::SignatureRefused { .. }
            | Self::Pruned { .. }
            | Self::Checkpoint { .. }
            | Self::SegmentEnded {} => false,
        }
    }
}
