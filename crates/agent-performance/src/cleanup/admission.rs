//! The question that new work asks first.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::pressure::{MemoryUse, PressureLevel};

/// Says whether there is memory for new work. Clones ask the same manager.
#[derive(Clone, Debug)]
pub struct Admission {
    level: watch::Receiver<PressureLevel>,
    last: Arc<Mutex<MemoryUse>>,
    retry_after: Duration,
}

/// Memory is critically short. Nothing was begun; the same request can succeed later.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "memory is critically short, or was a moment ago ({} of {} MiB used), so no new work is taken on; \
     what is running goes on; try again in {} s", .used / MIB, .limit / MIB, .retry_after.as_secs()
)]
pub struct Overloaded {
    /// Bytes in use when last measured.
    pub used: u64,
    /// The limit they are measured against, in bytes; `u64::MAX` when only stalls tell of the shortage.
    pub limit: u64,
    /// When to ask again: sooner the level can't fall.
    pub retry_after: Duration,
}

const MIB: u64 = 1024 * 1024;

impl Admission {
    pub(super) fn new(
        level: watch::Receiver<PressureLevel>,
        last: Arc<Mutex<MemoryUse>>,
        retry_after: Duration,
    ) -> Self {
        Admission {
            level,
            last,
            retry_after,
        }
    }

    /// Call before taking on new work; what has begun may finish.
    ///
    /// # Errors
    /// The pressure level is critical.
    pub fn check(&self) -> Result<(), Overloaded> {
        if *self.level.borrow() < PressureLevel::Critical {
            return Ok(());
        }
        let MemoryUse { used, limit } = *self.last.lock();
        Err(Overloaded {
            used,
            limit,
            retry_after: self.retry_after,
        })
    }
}
