//! What is told of a daemon that ended without order, kept over restarts.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::marker::{Left, boot};
use super::panics::NotedPanic;
use super::{MAX_REPORTS, files};

/// Before the time in the name of a report; the names of reports sort by it.
const PREFIX: &str = "report-";

/// How it ended, as far as the next one can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Its main thread panicked.
    Panicked,
    /// By a signal that leaves no time: `kill -9`, want of memory, a fault of the program.
    Killed,
    /// With the machine, which was started since.
    MachineStopped,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrashReport {
    /// How it ended.
    pub ended: Ended,
    /// When this was found out: at the next start.
    pub found_at: DateTime<Utc>,
    /// The version of the program that ended.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// Its last sign of life; there is one each half minute.
    pub seen_at: Option<DateTime<Utc>>,
    /// From its start to that sign.
    pub uptime_seconds: u64,
    /// Its memory then, in bytes; 0 where it was not known.
    pub resident_bytes: u64,
    /// Its last panic, which need not be why it ended: one in a task ends only the task.
    pub last_panic: Option<NotedPanic>,
}

impl CrashReport {
    pub(super) fn of(left: Left, panic: Option<NotedPanic>, now: DateTime<Utc>) -> Self {
        let Left::Marker(marker) = left else {
            return CrashReport {
                ended: Ended::Killed,
                found_at: now,
                version: String::new(),
                pid: 0,
                started_at: None,
                seen_at: None,
                uptime_seconds: 0,
                resident_bytes: 0,
                last_panic: panic,
            };
        };
        // What an earlier one left has nothing to say of this one.
        let last_panic = panic.filter(|panic| panic.at >= marker.started_at);
        let ended = if marker.boot.is_some() && marker.boot != boot() {
            Ended::MachineStopped
        } else if last_panic.as_ref().is_some_and(|panic| panic.thread == "main") {
            Ended::Panicked
        } else {
            Ended::Killed
        };
        let uptime = (marker.seen_at - marker.started_at).num_seconds();
        CrashReport {
            ended,
            found_at: now,
            version: marker.version,
            pid: marker.pid,
            started_at: Some(marker.started_at),
            seen_at: Some(marker.seen_at),
            uptime_seconds: u64::try_from(uptime).unwrap_or(0),
            resident_bytes: marker.resident_bytes,
            last_panic,
        }
    }

    /// Writes it into the folder, and removes the oldest where there are too many.
    pub(super) fn keep(&self, folder: &Path) -> io::Result<PathBuf> {
        let time = self.found_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let file = folder.join(format!("{PREFIX}{}.json", time.replace(':', "")));
        files::write(&file, self)?;
        let mut reports: Vec<PathBuf> = std::fs::read_dir(folder)?
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
            .map(|entry| entry.path())
            .collect();
        reports.sort_unstable();
        let too_many = reports.len().saturating_sub(MAX_REPORTS);
        for old in &reports[..too_many] {
            files::remove(old);
        }
        Ok(file)
    }
}

impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ended {
            Ended::Panicked => write!(f, "the daemon before this one panicked")?,
            Ended::Killed => write!(
                f,
                "the daemon before this one was killed, by hand or for want of memory, or crashed"
            )?,
            Ended::MachineStopped => write!(f, "the daemon before this one ended with the machine")?,
        }
        match self.started_at {
            Some(_) => write!(
                f,
                " (process {}, version {}, seen last {} s after its start)",
                self.pid, self.version, self.uptime_seconds
            ),
            None => Ok(()),
        }
    }
}
