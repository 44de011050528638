//! One budget for everything the program writes: who may still write, and who gives way first.
//!
//! Files are of six [`DiskClass`]es, in the order in which they are given up when the budget or the disk itself runs
//! short: caches, spilled output, logs, backups, sessions, and the audit log last. Whoever writes reserves first:
//!
//! ```
//! use agent_performance::disk::{DiskBudget, DiskClass};
//! let budget = DiskBudget::new(64 << 20);
//! let room = budget.reserve(DiskClass::Logs, 4096)?;
//! // ... write at most that much ...
//! room.commit(1024);
//! # Ok::<(), agent_performance::disk::DiskFull>(())
//! ```
//!
//! Between two readings of the files the account is what was reserved and written; each reading ([`DiskBudget::refresh`],
//! at most one a second) puts it right, so that files which somebody else removed do not count for ever.

mod account;
mod budget;
mod room;
mod scan;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use budget::{DiskBudget, DiskReport, Reservation};
pub use room::Room;
pub use scan::folder_bytes;

/// What a file is for, in the order in which room is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskClass {
    /// What can be made again.
    Cache,
    /// Long output of tools, of which the beginning and the end are kept elsewhere.
    Spill,
    /// Log files.
    Logs,
    /// Backups.
    Backups,
    /// Sessions: nothing of them is given up, but nothing new begins.
    Store,
    /// The audit log.
    Audit,
}

/// How many classes there are.
pub(crate) const CLASSES: usize = DiskClass::ALL.len();

impl DiskClass {
    /// All of them, the first to be given up first.
    pub const ALL: [Self; 6] = [
        Self::Cache,
        Self::Spill,
        Self::Logs,
        Self::Backups,
        Self::Store,
        Self::Audit,
    ];

    /// The word for it in figures and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Spill => "spill",
            Self::Logs => "logs",
            Self::Backups => "backups",
            Self::Store => "store",
            Self::Audit => "audit",
        }
    }
}

/// What is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The program's own files have taken their budget.
    Budget {
        /// What they take, in bytes.
        used: u64,
        /// What they may take, in bytes.
        budget: u64,
    },
    /// The disk itself is nearly full, whoever filled it.
    Disk {
        /// What is free on it, in bytes.
        free: u64,
    },
}

/// There is no room for this. Nothing was written; the same can succeed once there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room on the disk for the {}: {}", .class.name(), told(.shortage))]
pub struct DiskFull {
    /// Whose writing was refused.
    pub class: DiskClass,
    /// Why.
    pub shortage: Shortage,
    /// When to ask again: sooner nothing can have changed.
    pub retry_after: Duration,
}

fn told(shortage: &Shortage) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    match *shortage {
        Shortage::Budget { used, budget } => format!(
            "the program's files take {:.1} of {:.1} MiB (deployment.disk_budget); delete sessions, or raise the budget",
            used as f64 / MIB,
            budget as f64 / MIB
        ),
        Shortage::Disk { free } => {
            format!("only {:.1} MiB are free on it; make room", free as f64 / MIB)
        }
    }
}
