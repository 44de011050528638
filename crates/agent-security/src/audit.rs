//! The audit log: what was decided and done, as a chain that shows any later change.
//!
//! A folder holds segments of JSON lines. Each line carries its number, the hash of the line before it, and its own hash: the SHA-256
//! of all its bytes before `,"hash"`. Whoever changes, removes, adds or moves a line breaks the chain, and [`verify()`] says where.
//! Every [`CHECKPOINT_EVERY`] lines, within [`CHECKPOINT_WITHIN`] while a daemon runs, and at the end of a segment a line is signed (Ed25519), so that a chain made anew is not
//! taken for the old one; the file `head` names the last line, so that a cut end shows. Neither helps against someone who
//! may read the key and write every file: keep the head that `audit verify` prints somewhere else.
//!
//! Several processes write into one folder; a lock on a file puts them in order. Who runs tasks on a thread records through
//! [`AuditLog::record_async`], which does not hold it up: a wait for the disk takes tens of milliseconds.

mod append;
mod event;
mod line;
mod queue;
mod segments;
mod sign;
mod verify;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::redact::Redactor;
use append::Appender;
use queue::Queue;

pub use event::{AuditEvent, Decision, MAX_TEXT, ToolOutcome};
pub use line::{Head, Record};
pub use queue::MAX_WAITING;
pub use segments::read;
pub use verify::{Expected, Fault, Verified, verify};

/// A segment is ended by the line that takes it past this many bytes.
pub const MAX_SEGMENT_BYTES: u64 = 16 << 20;

/// Segments that are kept: a GiB of audit, months of busy work. The oldest goes when there is one more, which is recorded.
pub const MAX_SEGMENTS: usize = 64;

/// A line in so many is signed.
pub const CHECKPOINT_EVERY: u64 = 256;

/// The longest that a line goes without a signature after it while somebody calls [`AuditLog::sign_if_due`]: who takes the machine over can
/// make up no more than what happened in that time.
pub const CHECKPOINT_WITHIN: TimeDelta = TimeDelta::minutes(10);

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
    /// The thread that wrote it came to an end.
    #[error("the audit log can't be written: its writer ended; look for a panic in the program's own log")]
    Ended,
}

impl AuditError {
    /// The same for another event that failed with it.
    fn again(&self) -> Self {
        match self {
            Self::Io { doing, path, source } => Self::Io {
                doing,
                path: path.clone(),
                source: match source.raw_os_error() {
                    Some(code) => std::io::Error::from_raw_os_error(code),
                    None => std::io::Error::new(source.kind(), source.to_string()),
                },
            },
            Self::Damaged { path, what } => Self::Damaged {
                path: path.clone(),
                what: what.clone(),
            },
            Self::Ended => Self::Ended,
        }
    }
}

/// What became of the events of this process, and how the log stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Events that were written.
    pub written: u64,
    /// Events that could not be written.
    pub failed: u64,
    /// Why the latest could not be written; none when it was.
    pub failure: Option<String>,
    /// Why the log could not be used when [`AuditLog::sign_if_due`] looked last; none when it could.
    pub unusable: Option<String>,
    /// When that was; none before the first time.
    pub looked_at: Option<DateTime<Utc>>,
    /// When the oldest line was written that no checkpoint signs yet, as far as this process knows; none when all are signed.
    pub unsigned_since: Option<DateTime<Utc>>,
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
    queue: Queue,
    standing: Mutex<Standing>,
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
                queue: Queue::default(),
                standing: Mutex::new(Standing {
                    unsigned_since: appender.unsigned_since(),
                    ..Standing::default()
                }),
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
    /// the rest when the system writes it, or with the next that has to be. Takes some tens of microseconds, or what the disk needs to
    /// sync: for threads that may block.
    ///
    /// # Errors
    /// It could not be written, and [`WhenUnwritable::Refuse`] says that it then must not be done.
    pub fn record(&self, event: AuditEvent) -> Result<(), AuditError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let event = ((inner.clock)(), event.bounded(&inner.redactor));
        inner.write(vec![event]).pop().unwrap_or(Err(AuditError::Ended))
    }

    /// The same without blocking the thread: another one writes, all that waits at a time with one wait for the disk, in the order in
    /// which this was called. Waits while [`MAX_WAITING`] events wait. An event that waits is written also when this is dropped.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn record_async(&self, event: AuditEvent) -> Result<(), AuditError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let event = event.bounded(&inner.redactor);
        queue::record(inner, event).await
    }

    /// Signs the lines that have gone without a signature for [`CHECKPOINT_WITHIN`], and puts them on the disk; for an upkeep that calls it
    /// now and then. Blocks as [`record`](Self::record) does.
    ///
    /// # Errors
    /// The log can't be written.
    pub fn sign_if_due(&self) -> Result<(), AuditError> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let now = (inner.clock)();
        let mut appender = inner.appender();
        let signed = appender.sign_if_due(now, CHECKPOINT_WITHIN);
        let mut standing = inner.standing();
        standing.unsigned_since = appender.unsigned_since();
        standing.unusable = signed.as_ref().err().map(AuditError::to_string);
        standing.looked_at = Some(now);
        signed
    }

    /// What became of the events so far. Waits for no disk.
    pub fn standing(&self) -> Standing {
        self.inner
            .as_ref()
            .map(|inner| inner.standing().clone())
            .unwrap_or_default()
    }
}

impl Inner {
    fn write(&self, events: Vec<(DateTime<Utc>, AuditEvent)>) -> Vec<Result<(), AuditError>> {
        let mut appender = self.appender();
        let outcomes = appender.append(events);
        let mut standing = self.standing();
        standing.unsigned_since = appender.unsigned_since();
        drop(appender);
        for outcome in &outcomes {
            match outcome {
                Ok(()) => (standing.written, standing.failure) = (standing.written + 1, None),
                Err(error) => {
                    standing.failed += 1;
                    standing.failure = Some(error.to_string());
                }
            }
        }
        drop(standing);
        let as_wanted = |outcome: Result<(), AuditError>| match (outcome, self.when_unwritable) {
            (Err(error), WhenUnwritable::Warn) => {
                tracing::warn!(%error, "an act was not recorded");
                Ok(())
            }
            (outcome, _) => outcome,
        };
        outcomes.into_iter().map(as_wanted).collect()
    }

    fn appender(&self) -> MutexGuard<'_, Appender> {
        self.appender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
