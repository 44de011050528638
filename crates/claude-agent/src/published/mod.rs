//! The figures of a process, for other processes to read: one file each in the data folder.
//!
//! `run`, `chat` and `serve` write theirs, `metrics` and `top` read all of them. A file says who wrote it, so that a reader can tell
//! a process that lives from one that ended, even where the number was given to another process meanwhile. Nothing but the
//! figures is in it: no prompt, no path, no name of a file.

mod folder;
mod read;
mod writer;

use agent_performance::metrics::Snapshot;
use serde::{Deserialize, Serialize};

pub(crate) use folder::prune;
pub(crate) use read::{Found, Process, read};
pub(crate) use writer::{Busy, INTERVAL, Publisher};

/// The folder of the files, within the data folder.
const FOLDER: &str = "metrics";

/// What a file begins with; the number grows when readers of before could no longer understand it.
const FORMAT: &str = "claude-agent-metrics/1";

/// Files that are kept. Enough for every agent that a person has running at once, and their last ones.
const MAX_FILES: usize = 16;

/// Bytes of one file. Some hundred series take about 100 KiB; whoever has 10,000 gets as many of them as fit.
const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// What one process tells of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Published {
    format: String,
    /// The process.
    pub(crate) writer: Writer,
    /// It ended in order; the figures are its last.
    pub(crate) ended: bool,
    /// Series that did not fit.
    pub(crate) series_left_out: usize,
    /// The figures.
    pub(crate) snapshot: Snapshot,
}

/// Names a process among all that ever ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Writer {
    /// Its number.
    pub(crate) pid: u32,
    /// Its version of the program.
    pub(crate) version: String,
    /// Where its number is valid, and when it started in ticks; none where the system does not tell.
    pub(crate) birth: Option<Birth>,
}

/// What tells a process from an earlier or later one with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Birth {
    pub(crate) boot: String,
    pub(crate) namespace: String,
    pub(crate) start: u64,
}
