//! How often the daemon was started, and how often after a crash.

use std::io;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{LOOP_WINDOW, files};

const FILE: &str = "starts.json";

/// Crashes whose time is remembered: far more than make a loop.
const MAX_RECENT: usize = 64;

/// The account, kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Starts {
    starts: u64,
    crashes: u64,
    /// When crashes were found, oldest first.
    recent: Vec<DateTime<Utc>>,
}

impl Starts {
    /// The account in the folder. One that can't be read begins anew: it must not keep the daemon from starting.
    pub(super) fn read(folder: &Path) -> Self {
        let read = files::read(&folder.join(FILE)).unwrap_or_else(|error| {
            tracing::warn!(%error, "the account of starts can't be read and begins anew");
            None
        });
        read.unwrap_or_default()
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        files::write(&folder.join(FILE), self)
    }

    /// A start, maybe after a crash.
    pub(super) fn note(&mut self, now: DateTime<Utc>, crashed: bool) {
        self.starts = self.starts.saturating_add(1);
        if crashed {
            self.crashes = self.crashes.saturating_add(1);
            self.recent.push(now);
        }
        self.recent.retain(|&at| counts(at, now));
        let too_many = self.recent.len().saturating_sub(MAX_RECENT);
        self.recent.drain(..too_many);
    }

    /// Crashes that still count at this moment.
    pub(super) fn recent(&self, now: DateTime<Utc>) -> usize {
        self.recent.iter().filter(|&&at| counts(at, now)).count()
    }

    /// Starts after the first: after an end in order, and after a crash.
    pub(super) fn totals(&self) -> (u64, u64) {
        let again = self.starts.saturating_sub(1);
        (again.saturating_sub(self.crashes), self.crashes)
    }

    pub(super) fn forgive(&mut self) {
        self.recent.clear();
    }
}

/// A time after `now` was written before the clock was set back; it counts, since nobody knows how long ago it was.
fn counts(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    TimeDelta::from_std(LOOP_WINDOW).is_ok_and(|window| now - at < window)
}
