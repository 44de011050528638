//! The audit log: what was decided and done, as a chain that shows any later change.
//!
//! A folder holds segments of JSON lines. Each line carries its number, the hash of the line before it, and its own hash: the SHA-256
//! of all its bytes before `,"hash"`. Whoever changes, removes, adds or moves a line breaks the chain, and [`verify()`] says where.
//! Every [`CHECKPOINT_EVERY`] lines and at the end of a segment a line is signed (Ed25519), so that a chain made anew is not
//! taken for the old one; the file `head` names the last line, so that a cut end shows. Neither helps against someone who
//! may read the key and write every file: keep the head that `audit verify` prints somewhere else.
//!
//! Several processes write into one folder; a lock on a file puts them in order.

mod append;
mod event;
mod line;
mod segments;
mod sign;
mod verify;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::redact::Redactor;
use append::Appender;

pub use event::{AuditEvent, Decision, MAX_TEXT, ToolOutcome};
pub use line::{Head, Record};
pub use segments::read;
pub use verify::{Expected, Fault, Verified, verify};

/// A segment is ended by the line that takes it past this many bytes.
pub const MAX_SEGMENT_BYTES: u64 = 16 << 20;

/// Segments that are kept: a GiB of audit, months of busy work. The oldest goes when there is one more, which is recorded.
pub const MAX_SEGMENTS: usize = 64;

/// A line in so many is signed.
pub const CHECKPOINT_EVERY: u64 = 256;

/// Why something was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file system says no.
    #[error("the audit log can't be written: cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The last line is not one of ours, so nothing can be chained to it.
    #[error("the audit log is damaged: {}: {what}; `claude-agent audit verify` tells more, and with its folder moved away a new one begins", path.display())]
    Damaged {
        /// The segment, or the key.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// What becomes of an act that can't be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnwritable {
    /// It is not done: [`AuditLog::record`] fails.
    Refuse,
    /// It is done, and the log of the program says what is missing.
    Warn,
}

/// Where events are recorded. Cheap to clone; the clones are one log.
#[derive(Clone, Debug, Default)]
pub struct AuditLog {
    inner: Option<Arc<Inner>>,
}

#[derive(Debug)]
struct Inner {
    appender: Mutex<Appender>,
    redactor: Redactor,
    clock: fn() -> DateTime<Utc>,
    when_unwritable: WhenUnwritable,
}

impl AuditLog {
    /// Records nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// The log in `folder`, which is made where it is missing. Secrets that `redactor` knows are taken out of every text, and `clock`
    /// says when things happen.
    ///
    /// # Errors
    /// The folder or its key can't be used, or the last line is damaged.
    pub fn open(
        folder: PathBuf,
        redactor: Redactor,
        clock: fn() -> DateTime<Utc>,
        when_unwritable: WhenUnwritable,
    ) -> Result<Self, AuditError> {
        let appender = Appender::open(folder)?;
        Ok(AuditLog {
            inner: Some(Arc::new(Inner {
                appender: Mutex::new(appender),
                redactor,
                clock,
                when_unwritable,
            })),
        })
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.inner.is_some()
    }

    /// Appends the event. It outlives this process at once; denials and administrative acts are on the disk when this returns,
    /// the rest when the system writes it. Takes some tens of microseconds, or what the disk needs to sync.
    ///
    /// # Errors
    /// It could not be written, and [`WhenUnwritable::Refuse`] says that it then must not be done.
    pub fn record(&self, event: AuditEvent) -> Result<(), AuditError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let event = event.bounded(&inner.redactor);
        let mut appender = inner.appender.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(error) = appender.append((inner.clock)(), event) else {
            return Ok(());
        };
        match inner.when_unwritable {
            WhenUnwritable::Refuse => Err(error),
            WhenUnwritable::Warn => {
                tracing::warn!(%error, "an act was not recorded");
                Ok(())
            }
        }
    }
}
