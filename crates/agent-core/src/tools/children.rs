//! Who hears of the programs that tools start: the ledger that outlives a crash, and the tracker of what is alive. And
//! the buffers that their output is read into.

use std::fmt;

#[cfg(target_os = "linux")]
use agent_performance::cleanup::{ChildEntry, ChildLedger};
use agent_performance::memory::{MemoryPool, ResourceKind, ResourceTracker, Tracked};

/// Where children are written down while they live, and whose buffers take what they print. The default is nowhere, and
/// a pool of its own.
#[derive(Clone, Default)]
pub struct Children {
    buffers: MemoryPool,
    #[cfg(target_os = "linux")]
    ledger: Option<ChildLedger>,
    tracked: Option<ResourceKind>,
}

impl Children {
    /// Counts children in `tracker`, as `child_processes`.
    #[must_use]
    pub fn with_tracker(self, tracker: &ResourceTracker) -> Self {
        Self {
            tracked: Some(tracker.kind("child_processes")),
            ..self
        }
    }

    /// Reads what children print into buffers of `pool`.
    #[must_use]
    pub fn with_buffers(self, pool: &MemoryPool) -> Self {
        Self {
            buffers: pool.clone(),
            ..self
        }
    }

    /// Writes children into `ledger`, and marks them with its mark, so that the next start of the program can end
    /// those that a crash left behind.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn with_ledger(self, ledger: ChildLedger) -> Self {
        Self {
            ledger: Some(ledger),
            ..self
        }
    }

    pub(super) fn buffers(&self) -> &MemoryPool {
        &self.buffers
    }

    /// What marks a child, as an environment variable.
    pub(super) fn mark(&self) -> Option<(&str, &str)> {
        #[cfg(target_os = "linux")]
        return self.ledger.as_ref().map(ChildLedger::mark);
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Writes a child down, which was started and does nothing yet. It is struck out when the returned value is
    /// dropped. A ledger that can't be written costs only what it is for, so it does not keep the child from running.
    pub(super) fn begun(&self, pid: u32, program: &str) -> Child {
        Child {
            #[cfg(target_os = "linux")]
            _entry: self.ledger.as_ref().and_then(|ledger| {
                ledger
                    .record(pid, program)
                    .inspect_err(|error| tracing::warn!(%error, pid, program, "a child was not written down"))
                    .ok()
            }),
            tracked: self
                .tracked
                .as_ref()
                .map(|kind| kind.track_labelled(0, &format!("{program} (process {pid})"))),
        }
    }
}

impl fmt::Debug for Children {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children").finish_non_exhaustive()
    }
}

/// A child that is written down. Keep it until the child was waited for.
#[derive(Debug)]
#[must_use = "the child is struck out when this is dropped"]
pub(super) struct Child {
    #[cfg(target_os = "linux")]
    _entry: Option<ChildEntry>,
    tracked: Option<Tracked>,
}

impl Child {
    /// Says that the child does something.
    pub(super) fn touch(&self) {
        if let Some(tracked) = &self.tracked {
            tracked.touch();
        }
    }
}
