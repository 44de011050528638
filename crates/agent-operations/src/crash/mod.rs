//! The daemon's watch over itself: a marker while it runs, a report when the marker is found again, and a safe mode when that
//! happens too often.
//!
//! A process that is killed can't tell of it. So the one before left a marker, which only an end in order takes away: who
//! finds it at the start knows that the one before ended without order, since when it ran, when it was seen last, and with
//! which panic. The folder is bounded: one marker, one panic, one account of starts, and [`MAX_REPORTS`] reports.

mod files;
mod marker;
mod panics;
mod report;
mod starts;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_performance::metrics::{MetricUnit, MetricsCollector, NO_TAGS};
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use marker::Marker;
pub use panics::PanicNotes;
pub use report::{CrashReport, Ended};
use starts::Starts;

/// Reports that are kept, the latest ones. Enough to see a pattern; together below a megabyte.
pub const MAX_REPORTS: usize = 10;

/// So many crashes within [`LOOP_WINDOW`] are a loop. Fewer happen by bad luck, or by someone who tries what a kill does.
pub const LOOP_CRASHES: usize = 5;

/// How long a crash counts. Service managers that wait longer and longer between starts stay within it for the first five.
pub const LOOP_WINDOW: Duration = Duration::from_secs(30 * 60);

/// How often the marker says that its process lives. Each time is one small file, and the exactness of a report's uptime.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// The watch of a running daemon. Dropping it takes the marker away, unless a panic is what drops it.
#[derive(Debug)]
pub struct OwnWatch {
    folder: PathBuf,
    marker: Marker,
    starts: Starts,
    found: Option<(PathBuf, CrashReport)>,
}

impl OwnWatch {
    /// Looks at what the one before left in `folder`, and begins to watch this process, which is of `version`. Makes the folder.
    ///
    /// # Errors
    /// The folder can't be written. Whoever calls can go on without a watch.
    pub fn begin(folder: &Path, version: &str) -> io::Result<Self> {
        Self::begin_at(folder, version, Utc::now())
    }

    fn begin_at(folder: &Path, version: &str, now: DateTime<Utc>) -> io::Result<Self> {
        files::make_folder(folder)?;
        let mut starts = Starts::read(folder);
        let left = Marker::find(folder);
        let found = match left {
            None => None,
            Some(left) => {
                let report = CrashReport::of(left, panics::read(folder), now);
                let file = report.keep(folder)?;
                Some((file, report))
            }
        };
        let crashed = found
            .as_ref()
            .is_some_and(|(_, report)| report.ended != Ended::MachineStopped);
        starts.note(now, crashed);
        starts.write(folder)?;
        panics::forget(folder);
        let marker = Marker::new(version, now);
        marker.write(folder)?;
        Ok(OwnWatch {
            folder: folder.to_owned(),
            marker,
            starts,
            found,
        })
    }

    /// What the one before left, and the file that it is kept in; none after an end in order.
    pub fn found(&self) -> Option<(&Path, &CrashReport)> {
        self.found.as_ref().map(|(file, report)| (file.as_path(), report))
    }

    /// Why this process should leave out what may have crashed the ones before; none when it need not.
    pub fn safe_mode(&self) -> Option<String> {
        let crashes = self.starts.recent(self.marker.started_at);
        (crashes >= LOOP_CRASHES).then(|| {
            format!(
                "it ended without order {crashes} times within {} minutes; the reports are in {}",
                LOOP_WINDOW.as_secs() / 60,
                self.folder.display()
            )
        })
    }

    /// How often it ended without order within [`LOOP_WINDOW`].
    pub fn recent_crashes(&self) -> usize {
        self.starts.recent(Utc::now())
    }

    /// Where panics of this process are written down.
    pub fn panics(&self) -> PanicNotes {
        PanicNotes::new(&self.folder)
    }

    /// Says in `metrics` how often it was started, and whether it is in safe mode.
    pub fn record(&self, metrics: &MetricsCollector) {
        let (stops, crashes) = self.starts.totals();
        for (after, times) in [("stop", stops), ("crash", crashes)] {
            metrics
                .counter("process.restarts", &[("after", after)])
                .increment(times);
        }
        let safe = if self.safe_mode().is_some() { 1.0 } else { 0.0 };
        metrics
            .gauge("process.safe_mode", MetricUnit::Count, NO_TAGS)
            .set(safe);
        self.record_recent(metrics);
    }

    fn record_recent(&self, metrics: &MetricsCollector) {
        metrics
            .gauge("process.recent_crashes", MetricUnit::Count, NO_TAGS)
            .set(self.recent_crashes() as f64);
    }

    /// Says every half minute, in the marker, that this process lives and what memory it has. Ends with `token`; cancelling it
    /// leaves the marker as it was written last.
    pub fn signs_of_life(
        &self,
        metrics: Option<MetricsCollector>,
        token: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (folder, mut marker, starts) = (self.folder.clone(), self.marker.clone(), self.starts.clone());
        async move {
            loop {
                tokio::select! {
                    biased;
                    () = token.cancelled() => return,
                    () = tokio::time::sleep(SIGN_OF_LIFE) => {}
                }
                let now = Utc::now();
                marker.seen_at = now;
                if let Some(metrics) = &metrics {
                    let gauge = |name, unit| metrics.gauge(name, unit, NO_TAGS);
                    marker.resident_bytes = gauge("process.memory_rss", MetricUnit::Bytes).value() as u64;
                    gauge("process.recent_crashes", MetricUnit::Count).set(starts.recent(now) as f64);
                }
                let (written, place) = (marker.clone(), folder.clone());
                let writing = tokio::task::spawn_blocking(move || written.write(&place));
                if let Ok(Err(error)) = writing.await {
                    tracing::debug!(%error, "the marker of the running daemon was not renewed");
                }
            }
        }
    }

    /// The process ends in order: what crashed before counts no more. This is the way out of safe mode.
    pub fn ended_in_order(mut self) {
        self.starts.forgive();
        if let Err(error) = self.starts.write(&self.folder) {
            tracing::warn!(%error, "that the daemon ended in order was not written down");
        }
    }
}

impl Drop for OwnWatch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panics::forget(&self.folder);
            Marker::remove(&self.folder);
        }
    }
}

#[cfg(test)]
mod tests;
