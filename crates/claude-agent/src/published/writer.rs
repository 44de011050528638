//! Publishing this process's figures: every two seconds while it works, and once at the end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agent_performance::lifecycle::Lifecycle;
use agent_performance::metrics::{MetricKind, MetricsCollector, Snapshot};
use tokio::sync::watch;
use tokio::time::Instant;

use super::folder::{self, Folder};
use super::{FORMAT, MAX_FILE_BYTES, Published, Writer};

/// How often a busy process publishes: `top` looks every second, and a file that is younger helps nobody.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);

/// Series that change though nobody works: how the process sees itself.
const UPKEEP: &[&str] = &[
    "system.",
    "process.",
    "runtime.",
    "memory.",
    "cleanup.",
    "metrics.",
    "resources.",
];

/// The first time, soon enough that `top` shows a run that was just started.
const FIRST: Duration = Duration::from_millis(300);

/// How long the last time may take: a disk that hangs must not keep the process.
const LAST_DEADLINE: Duration = Duration::from_secs(2);

/// Brings figures up to date that are not recorded as they change.
type Refresh = Arc<dyn Fn() + Send + Sync>;

/// Writes this process's file. Failing is told in the log and changes nothing else.
pub(crate) struct Publisher {
    shared: Shared,
    work: watch::Sender<usize>,
}

#[derive(Clone)]
struct Shared {
    data: PathBuf,
    collector: MetricsCollector,
    refresh: Refresh,
    idle: Duration,
}

/// While one of these is alive the process works.
#[must_use = "work ends when this is dropped"]
pub(crate) struct Busy(watch::Sender<usize>);

impl Publisher {
    /// Publishes what `collector` knows in the data folder, until the lifecycle ends. While nothing but the process's
    /// view of itself changes, no more often than every `idle`.
    pub(crate) fn start(
        lifecycle: &Lifecycle,
        data: &Path,
        collector: MetricsCollector,
        idle: Duration,
        refresh: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared {
            data: data.to_owned(),
            collector,
            refresh: Arc::new(refresh),
            idle,
        };
        let work = watch::Sender::new(0);
        let (token, seen) = (lifecycle.token(), work.subscribe());
        let task = publish_while_busy(shared.clone(), seen);
        drop(lifecycle.spawn("publish-metrics", async move {
            tokio::select! {
                biased;
                () = token.cancelled() => {}
                () = task => {}
            }
        }));
        Self { shared, work }
    }

    /// Work begins.
    pub(crate) fn busy(&self) -> Busy {
        self.work.send_modify(|count| *count += 1);
        Busy(self.work.clone())
    }

    /// Publishes for the last time, and removes the oldest files.
    pub(crate) async fn finish(self) {
        let data = self.shared.data.clone();
        let last = async {
            self.shared.publish(true, None).await;
            let pruned = tokio::task::spawn_blocking(move || folder::prune(&data)).await;
            if let Ok(Err(error)) = pruned {
                tracing::warn!(%error, "old figures can't be removed");
            }
        };
        if tokio::time::timeout(LAST_DEADLINE, last).await.is_err() {
            tracing::warn!("the last figures were not written within {LAST_DEADLINE:?}");
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

async fn publish_while_busy(shared: Shared, mut work: watch::Receiver<usize>) {
    let mut wait = FIRST;
    let mut written: Option<(u64, Instant)> = None;
    loop {
        // The publisher keeps the sender for as long as this runs.
        if work.wait_for(|count| *count > 0).await.is_err() {
            return;
        }
        let ended = tokio::time::timeout(wait, work.wait_for(|count| *count == 0))
            .await
            .is_ok();
        let is_old = ended || written.is_none_or(|(_, at)| at.elapsed() >= shared.idle);
        let known = written.filter(|_| !is_old).map(|(work_done, _)| work_done);
        if let Some(work_done) = shared.publish(false, known).await {
            written = Some((work_done, Instant::now()));
        }
        wait = if ended { FIRST } else { INTERVAL };
    }
}

impl Shared {
    /// Writes the figures, unless no more work was done than is `known`. Gives how much that was, when it wrote.
    async fn publish(&self, ended: bool, known: Option<u64>) -> Option<u64> {
        let shared = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            (shared.refresh)();
            let snapshot = shared.collector.snapshot();
            let work_done = work_done(&snapshot);
            if known == Some(work_done) {
                return Ok(None);
            }
            shared.write(snapshot, ended).map(|()| Some(work_done))
        });
        match written.await {
            Ok(Ok(work_done)) => return work_done,
            Ok(Err(error)) => {
                tracing::warn!(%error, folder = %self.data.display(), "figures can't be published");
            }
            Err(error) => tracing::error!(%error, "publishing figures failed"),
        }
        None
    }

    fn write(&self, snapshot: Snapshot, ended: bool) -> io::Result<()> {
        let published = Published {
            format: FORMAT.to_owned(),
            writer: Writer::this_process(),
            ended,
            series_left_out: 0,
            snapshot,
        };
        let bytes = encode(published, MAX_FILE_BYTES)?;
        Folder::make(&self.data)?.write(std::process::id(), &bytes)
    }
}

/// A number that grows with everything that is done for somebody.
fn work_done(snapshot: &Snapshot) -> u64 {
    let done = snapshot.series.iter().filter(|one| {
        one.kind != MetricKind::Gauge && !UPKEEP.iter().any(|prefix| one.name.starts_with(prefix))
    });
    done.fold(0, |sum, one| sum.wrapping_add(one.count))
}

/// As much as fits: first the buckets go, which only exporters need, then series from the end.
fn encode(mut published: Published, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(&published)?;
    if bytes.len() > limit {
        for series in &mut published.snapshot.series {
            series.buckets.clear();
        }
        bytes = serde_json::to_vec(&published)?;
    }
    while bytes.len() > limit && !published.snapshot.series.is_empty() {
        published.series_left_out += halve(&mut published.snapshot);
        bytes = serde_json::to_vec(&published)?;
    }
    Ok(bytes)
}

fn halve(snapshot: &mut Snapshot) -> usize {
    let keep = snapshot.series.len() / 2;
    let left_out = snapshot.series.len() - keep;
    snapshot.series.truncate(keep);
    left_out
}

#[cfg(test)]
mod tests {
    use super::super::folder::Name;
    use super::*;
    use agent_performance::metrics::{MetricUnit, NO_TAGS};

    fn published(series: usize) -> Published {
        let collector = MetricsCollector::new();
        for number in 0..series {
            let name = format!("level.{number}");
            collector.gauge(&name, MetricUnit::Count, NO_TAGS).set(1.0);
        }
        Published {
            format: FORMAT.to_owned(),
            writer: Writer::this_process(),
            ended: false,
            series_left_out: 0,
            snapshot: collector.snapshot(),
        }
    }

    #[test]
    fn a_file_never_grows_over_its_bound_and_says_what_is_missing() {
        let all = published(1000);
        let count = all.snapshot.series.len();
        let bytes = encode(all, 50_000).unwrap();
        assert!(bytes.len() <= 50_000);
        let read: Published = serde_json::from_slice(&bytes).unwrap();
        assert!(read.series_left_out > 0);
        assert_eq!(read.series_left_out + read.snapshot.series.len(), count);
    }

    #[tokio::test(start_paused = true)]
    async fn figures_come_while_work_goes_on_and_at_its_end() {
        let data = tempfile::tempdir().unwrap();
        let lifecycle = Lifecycle::new();
        let collector = MetricsCollector::new();
        let publisher = Publisher::start(&lifecycle, data.path(), collector.clone(), INTERVAL, || {});
        let taken = || {
            let folder = Folder::open(data.path()).unwrap()?;
            let bytes = folder.read(&Name::Figures(std::process::id())).ok()?;
            let read: Published = serde_json::from_slice(&bytes).unwrap();
            let found = read.snapshot.series.iter().find(|one| one.name == "x");
            found.map(|one| one.value)
        };
        let settle = || async {
            for _ in 0..200 {
                tokio::task::yield_now().await;
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        tokio::time::sleep(INTERVAL * 3).await;
        assert!(taken().is_none(), "nothing is written while nothing runs");
        let busy = publisher.busy();
        collector.counter("x", NO_TAGS).increment(1);
        tokio::time::sleep(FIRST * 2).await;
        settle().await;
        assert_eq!(taken(), Some(1.0));
        collector.counter("x", NO_TAGS).increment(1);
        drop(busy);
        settle().await;
        assert_eq!(taken(), Some(2.0));
        collector.counter("x", NO_TAGS).increment(1);
        tokio::time::sleep(INTERVAL * 3).await;
        settle().await;
        assert_eq!(taken(), Some(2.0), "nobody works");
        lifecycle.shutdown(Duration::from_secs(1)).await;
        publisher.finish().await;
        assert_eq!(taken(), Some(3.0));
    }

    /// What was published last of the series `x`, once what is under way has been written.
    async fn settled(data: &Path) -> Option<f64> {
        for _ in 0..200 {
            tokio::task::yield_now().await;
            std::thread::sleep(Duration::from_millis(1));
        }
        let bytes = Folder::open(data)
            .unwrap()?
            .read(&Name::Figures(std::process::id()));
        let read: Published = serde_json::from_slice(&bytes.ok()?).unwrap();
        let found = read.snapshot.series.iter().find(|one| one.name == "x");
        found.map(|one| one.value)
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_waits_seldom_writes() {
        let data = tempfile::tempdir().unwrap();
        let lifecycle = Lifecycle::new();
        let collector = MetricsCollector::new();
        let gauge = collector.gauge("x", MetricUnit::Count, NO_TAGS);
        let idle = INTERVAL * 10;
        let publisher = Publisher::start(&lifecycle, data.path(), collector.clone(), idle, || {});
        let _busy = publisher.busy();
        gauge.set(1.0);
        tokio::time::sleep(FIRST * 2).await;
        assert_eq!(settled(data.path()).await, Some(1.0));
        gauge.set(2.0);
        tokio::time::sleep(INTERVAL * 5).await;
        assert_eq!(settled(data.path()).await, Some(1.0), "nothing was done");
        collector.counter("requests", NO_TAGS).increment(1);
        tokio::time::sleep(INTERVAL * 2).await;
        assert_eq!(settled(data.path()).await, Some(2.0), "something was done");
        gauge.set(3.0);
        // The writer's clock is moved, not waited for: in steps, so that its own timers are seen.
        for _ in 0..12 {
            tokio::time::sleep(INTERVAL).await;
            settled(data.path()).await;
        }
        assert_eq!(settled(data.path()).await, Some(3.0), "the figures had grown old");
        lifecycle.shutdown(Duration::from_secs(1)).await;
    }
}
