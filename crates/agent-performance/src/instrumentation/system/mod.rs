//! Figures of the process and the machine.
//!
//! On Linux everything of the catalogue's `process.*`, `system.*` and `cgroup.*` rows comes from `/proc`, the control
//! groups (both versions) and pressure stall information. macOS and Windows tell what `sysinfo` knows of them: all but
//! control groups, stalls and the number of threads. What can't be read is left out, never recorded as zero.

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(any(not(target_os = "linux"), test))]
mod elsewhere;
mod figures;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod comparison;

pub use figures::{CgroupFigures, MemoryFigures};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::time::sleep;

use super::jittered;
use crate::lifecycle::{Lifecycle, TaskHandle};
use crate::metrics::{MetricUnit, MetricsCollector, NO_TAGS};
#[cfg(not(target_os = "linux"))]
use elsewhere::Source;
use figures::percent;
#[cfg(all(test, target_os = "linux"))]
pub(crate) use files::Files;
#[cfg(target_os = "linux")]
use linux::Source;

/// Processor shares are taken over at least this long: the kernel counts in hundredths of a second, and a monitor must
/// not be the load it watches.
const SHORTEST_CPU_INTERVAL: Duration = Duration::from_secs(1);

/// Reads the system; keeps the last reading of processor times, so that shares are of the time between two readings.
#[derive(Debug)]
pub struct SystemMetrics {
    source: Source,
    data_directory: PathBuf,
    /// When processor times were last read, and what the process had used then.
    last: Option<(Instant, Option<Duration>)>,
    shares: Shares,
    /// When the process began, in seconds since 1970. Reckoned once: it would seem to move with each correction of the
    /// clock.
    started: Option<f64>,
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
        Self::with_source(Source::new(), data_directory)
    }

    fn with_source(source: Source, data_directory: &Path) -> Self {
        SystemMetrics {
            source,
            data_directory: data_directory.to_owned(),
            last: None,
            shares: Shares::default(),
            started: None,
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
        self.source.memory()
    }

    /// The process's share of one processor since the last reading at least a second ago, in percent; since its start at
    /// the first reading.
    pub fn cpu_share(&mut self) -> Option<f64> {
        self.read_cpu();
        self.shares.process
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
        set("process.start_time", MetricUnit::Seconds, self.started);

        let machine = self.source.machine_memory();
        let used = machine.map(|memory| memory.used as f64);
        let total = machine.map(|memory| memory.total as f64);
        set("system.memory_used", MetricUnit::Bytes, used);
        set("system.memory_total", MetricUnit::Bytes, total);
        let usage = machine.map(|memory| percent(memory.used, memory.total));
        set("system.memory_usage", MetricUnit::Percentage, usage);

        let disk = self.source.disk(&self.data_directory);
        set(
            "system.disk_used",
            MetricUnit::Bytes,
            disk.map(|disk| disk.used as f64),
        );
        let usage = disk.map(|disk| percent(disk.used, disk.total));
        set("system.disk_usage", MetricUnit::Percentage, usage);

        let own = self.source.own_status();
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
        let open = self.source.open_files().map(|count| count as f64);
        set("process.open_fds", MetricUnit::Count, open);
        let most = self.source.most_open_files().map(|count| count as f64);
        set("process.max_fds", MetricUnit::Count, most);

        let group = self.source.cgroup();
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
            if let Some(pressure) = self.source.pressure(resource) {
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
        let used = self.source.process_time();
        match self.last {
            None => {
                let age = self.source.age().filter(|&age| age > 0.0);
                let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok();
                self.started = since_1970.zip(age).map(|(now, age)| now.as_secs_f64() - age);
                // When it began it had used nothing.
                self.shares.process = used.zip(age).map(|(used, age)| used.as_secs_f64() * 100.0 / age);
                self.shares.system = self.source.system_share();
                self.last = Some((now, used));
            }
            Some((before, used_before)) if now.duration_since(before) >= SHORTEST_CPU_INTERVAL => {
                let used = used
                    .zip(used_before)
                    .map(|(used, before)| used.saturating_sub(before));
                let time = now.duration_since(before).as_secs_f64();
                self.shares.process = used.map(|used| used.as_secs_f64() * 100.0 / time);
                self.shares.system = self.source.system_share();
                self.last = Some((now, self.source.process_time()));
            }
            Some(_) => {}
        }
        used.map(|time| time.as_secs_f64())
    }
}

#[cfg(all(test, target_os = "linux"))]
impl SystemMetrics {
    /// A reader of prepared files.
    pub(crate) fn with_files(files: Files, data_directory: &Path) -> Self {
        Self::with_source(Source::with_files(files), data_directory)
    }

    /// Makes the last reading older.
    pub(crate) fn pretend_longer_ago(&mut self, by: Duration) {
        if let Some((at, _)) = &mut self.last {
            *at -= by;
        }
    }
}
