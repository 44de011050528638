//! Figures of the process and the machine.
//!
//! On Linux everything of the catalogue's `process.*`, `system.*` and `cgroup.*` rows comes from `/proc`, the control
//! groups (both versions) and pressure stall information. Other Unix systems tell processor time, disk space and the
//! limit of open files; Windows none of it. What can't be read is left out, never recorded as zero.

mod cgroup;
mod files;
mod process;

pub use cgroup::CgroupFigures;
pub use process::MemoryFigures;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::sleep;

use crate::lifecycle::{Lifecycle, TaskHandle};
use crate::metrics::{MetricUnit, MetricsCollector, NO_TAGS};
pub(crate) use files::Files;
use process::{CpuTimes, percent};

/// Processor shares are taken over at least this long: the kernel counts in hundredths of a second, and a monitor must
/// not be the load it watches.
const SHORTEST_CPU_INTERVAL: Duration = Duration::from_secs(1);

/// Reads the system; keeps the last reading of processor times, so that shares are of the time between two readings.
#[derive(Debug)]
pub struct SystemMetrics {
    files: Files,
    data_directory: PathBuf,
    last: Option<(Instant, CpuTimes)>,
    shares: Shares,
}

/// The shares of the last interval, in percent.
#[derive(Clone, Copy, Debug, Default)]
struct Shares {
    system: Option<f64>,
    process: Option<f64>,
}

impl SystemMetrics {
    /// A reader that reports on the file system of `data_directory`.
    pub fn new(data_directory: &Path) -> Self {
        Self::with_files(Files::of_the_machine(), data_directory)
    }

    pub(crate) fn with_files(files: Files, data_directory: &Path) -> Self {
        SystemMetrics {
            files,
            data_directory: data_directory.to_owned(),
            last: None,
            shares: Shares::default(),
        }
    }

    /// Reads everything once for a caller that keeps no reader: the process keeps one for all such callers, and it
    /// reports on the file system of the working directory.
    ///
    /// The first call of a process has no share of the system's processors to tell, only that of the process.
    pub fn collect_system_info(collector: &MetricsCollector) {
        static SHARED: Mutex<Option<SystemMetrics>> = Mutex::new(None);
        let mut shared = SHARED.lock();
        shared
            .get_or_insert_with(|| SystemMetrics::new(Path::new(".")))
            .collect(collector);
    }

    /// What is known of the memory of this process and of the limits around it, read now.
    pub fn memory(&self) -> MemoryFigures {
        process::memory(&self.files)
    }

    /// Reads everything and records it. Takes about a millisecond of reading files that are not on a disk.
    pub fn collect(&mut self, collector: &MetricsCollector) {
        let set = |name: &str, unit, value: Option<f64>| {
            if let Some(value) = value {
                collector.gauge(name, unit, NO_TAGS).set(value);
            }
        };
        let cpu_time = self.read_cpu();
        set("system.cpu_usage", MetricUnit::Percentage, self.shares.system);
        set("process.cpu_usage", MetricUnit::Percentage, self.shares.process);
        set("process.cpu.time", MetricUnit::Seconds, cpu_time);

        let machine = process::machine_memory(&self.files);
        let used = machine.map(|memory| memory.used as f64);
        let total = machine.map(|memory| memory.total as f64);
        set("system.memory_used", MetricUnit::Bytes, used);
        set("system.memory_total", MetricUnit::Bytes, total);
        let usage = machine.map(|memory| percent(memory.used, memory.total));
        set("system.memory_usage", MetricUnit::Percentage, usage);

        let disk = process::disk(&self.data_directory);
        set(
            "system.disk_used",
            MetricUnit::Bytes,
            disk.map(|disk| disk.used as f64),
        );
        let usage = disk.map(|disk| percent(disk.used, disk.total));
        set("system.disk_usage", MetricUnit::Percentage, usage);

        let own = process::own_status(&self.files);
        set(
            "process.memory_rss",
            MetricUnit::Bytes,
            own.resident.map(|bytes| bytes as f64),
        );
        set(
            "process.memory_vms",
            MetricUnit::Bytes,
            own.virtual_size.map(|bytes| bytes as f64),
        );
        set(
            "process.threads",
            MetricUnit::Count,
            own.threads.map(|count| count as f64),
        );
        let open = process::open_files(&self.files).map(|count| count as f64);
        set("process.open_fds", MetricUnit::Count, open);
        let most = process::most_open_files().map(|count| count as f64);
        set("process.max_fds", MetricUnit::Count, most);

        let group = cgroup::read(&self.files);
        set(
            "cgroup.memory_limit",
            MetricUnit::Bytes,
            group.memory_limit.map(|bytes| bytes as f64),
        );
        set(
            "cgroup.memory_used",
            MetricUnit::Bytes,
            group.memory_used.map(|bytes| bytes as f64),
        );
        set("cgroup.cpu_limit", MetricUnit::Count, group.cpu_limit);

        for resource in ["cpu", "memory", "io"] {
            if let Some(pressure) = process::pressure(&self.files, resource) {
                collector
                    .gauge(
                        "system.pressure",
                        MetricUnit::Percentage,
                        &[("resource", resource)],
                    )
                    .set(pressure.some);
            }
        }
    }

    /// Starts collecting every `interval`, and keeping the collector's books; until the lifecycle ends.
    ///
    /// The first reading is at once. Each interval is shortened by up to a tenth, differently each time, so that the
    /// readers of many processes do not fall into step.
    pub fn start(
        mut self,
        lifecycle: &Lifecycle,
        collector: &MetricsCollector,
        interval: Duration,
    ) -> TaskHandle<()> {
        let interval = interval.max(SHORTEST_CPU_INTERVAL);
        let (token, collector) = (lifecycle.token(), collector.clone());
        lifecycle.spawn("system-metrics", async move {
            loop {
                let target = collector.clone();
                let reading = tokio::task::spawn_blocking(move || {
                    self.collect(&target);
                    target.maintain();
                    self
                });
                self = match reading.await {
                    Ok(reader) => reader,
                    Err(error) => {
                        tracing::error!(%error, "reading the system failed; it is not read any more");
                        return;
                    }
                };
                tokio::select! {
                    biased;
                    () = token.cancelled() => return,
                    () = sleep(jittered(interval)) => {}
                }
            }
        })
    }

    /// Brings the shares up to date and gives the seconds of processor time of the process.
    fn read_cpu(&mut self) -> Option<f64> {
        let now = Instant::now();
        let times = CpuTimes::read(&self.files);
        match &self.last {
            None => {
                self.shares.process = times.process_share_since_start(&self.files);
                self.last = Some((now, times));
            }
            Some((before, last)) if now.duration_since(*before) >= SHORTEST_CPU_INTERVAL => {
                self.shares = Shares {
                    system: times.system_share_since(last),
                    process: times.process_share_since(last, now.duration_since(*before)),
                };
                self.last = Some((now, times));
            }
            Some(_) => {}
        }
        times.process.map(|time| time.as_secs_f64())
    }
}

/// A time between nine tenths of `interval` and all of it.
fn jittered(interval: Duration) -> Duration {
    use std::hash::BuildHasher;
    let random = std::hash::RandomState::new().hash_one(0u8);
    interval.mul_f64(0.9 + 0.1 * (random as f64 / u64::MAX as f64))
}

#[cfg(test)]
impl SystemMetrics {
    /// Makes the last reading older.
    pub(crate) fn pretend_longer_ago(&mut self, by: Duration) {
        if let Some((at, _)) = &mut self.last {
            *at -= by;
        }
    }
}
