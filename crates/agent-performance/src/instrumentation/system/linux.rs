//! Linux: small files of the kernel, read by our own hands. A reading of everything takes a quarter of a millisecond.

use std::path::Path;
use std::time::Duration;

use super::cgroup;
use super::figures::{CgroupFigures, MemoryFigures, OwnStatus, Pressure, Space, percent};
use super::files::{Files, kibibytes_of, value_of};

/// Descriptors counted; a process with more has a limit that was raised on purpose, and the count is then a lower bound.
const MOST_FDS: usize = 65_536;

/// Reads this machine, or prepared files.
#[derive(Debug)]
pub(super) struct Source {
    files: Files,
    /// Ticks of all processors at the last look: busy, and in all.
    ticks: Option<(u64, u64)>,
}

impl Source {
    pub(super) fn new() -> Self {
        Self::with_files(Files::of_the_machine())
    }

    pub(super) fn with_files(files: Files) -> Self {
        Source { files, ticks: None }
    }

    /// Percent of all processors that was busy since the last call; none at the first.
    pub(super) fn system_share(&mut self) -> Option<f64> {
        let (busy, all) = self.files.text("proc/stat").and_then(|text| ticks(&text))?;
        let (busy_before, all_before) = self.ticks.replace((busy, all))?;
        // Waiting for disks may be counted backwards by the kernel: no share is below zero.
        let all = all.saturating_sub(all_before);
        (all > 0).then(|| percent(busy.saturating_sub(busy_before).min(all), all))
    }

    /// Processor time that the process used.
    pub(super) fn process_time(&mut self) -> Option<Duration> {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::try_from(time).ok()
    }

    /// Seconds since the process began: the kernel tells the start in ticks since boot.
    pub(super) fn age(&mut self) -> Option<f64> {
        /// Ticks that Linux tells user space, on every architecture that this is built for.
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = self.files.text("proc/self/stat")?;
        // The name in parentheses may hold anything, parentheses too.
        let after_name = stat.rsplit_once(')')?.1;
        let start: f64 = after_name.split_whitespace().nth(19)?.parse().ok()?;
        let uptime = self.files.text("proc/uptime")?;
        let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        Some(uptime - start / TICKS_PER_SECOND)
    }

    pub(super) fn machine_memory(&mut self) -> Option<Space> {
        let text = self.files.text("proc/meminfo")?;
        let total = kibibytes_of(&text, "MemTotal:")?;
        let available = kibibytes_of(&text, "MemAvailable:")?;
        Some(Space {
            used: total.saturating_sub(available),
            total,
        })
    }

    /// The file system that holds `directory`, without what is kept back for root: full is when we can't write.
    pub(super) fn disk(&mut self, directory: &Path) -> Option<Space> {
        let found = rustix::fs::statvfs(directory).ok()?;
        let bytes = |blocks: u64| blocks.checked_mul(found.f_frsize);
        let used = bytes(found.f_blocks.saturating_sub(found.f_bfree))?;
        Some(Space {
            used,
            total: used.checked_add(bytes(found.f_bavail)?)?,
        })
    }

    pub(super) fn own_status(&self) -> OwnStatus {
        let Some(text) = self.files.text("proc/self/status") else {
            return OwnStatus::default();
        };
        OwnStatus {
            resident: kibibytes_of(&text, "VmRSS:"),
            virtual_size: kibibytes_of(&text, "VmSize:"),
            threads: value_of(&text, "Threads:").and_then(|count| count.parse().ok()),
        }
    }

    /// Open descriptors, without the one that the counting needs.
    pub(super) fn open_files(&self) -> Option<usize> {
        let entries = self.files.entries("proc/self/fd", MOST_FDS)?;
        Some(entries.saturating_sub(1))
    }

    pub(super) fn most_open_files(&self) -> Option<u64> {
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current
    }

    pub(super) fn cgroup(&self) -> CgroupFigures {
        cgroup::read(&self.files)
    }

    pub(super) fn pressure(&self, resource: &str) -> Option<Pressure> {
        let text = self.files.text(format!("proc/pressure/{resource}"))?;
        let share = |key| value_of(&text, key)?.strip_prefix("avg10=")?.parse().ok();
        Some(Pressure {
            some: share("some ")?,
            full: share("full "),
        })
    }

    pub(super) fn memory(&self) -> MemoryFigures {
        let pressure = self.pressure("memory");
        MemoryFigures {
            resident: self.own_status().resident,
            cgroup: self.cgroup(),
            stall_some: pressure.map(|pressure| pressure.some),
            stall_full: pressure.and_then(|pressure| pressure.full),
        }
    }
}

/// Ticks of the line `cpu  user nice system idle iowait irq softirq steal …`; guests are counted in user already.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks = line.split_whitespace().take(8);
    let ticks = ticks.map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    let [_, _, _, idle, waiting, ..] = ticks[..] else {
        return None;
    };
    let all: u64 = ticks.iter().sum();
    Some((all - idle - waiting, all))
}
