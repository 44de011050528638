//! Reading processor times, memory, disks and descriptors.

use std::path::Path;
use std::time::Duration;

use super::cgroup;
use super::files::{Files, kibibytes_of, value_of};

/// Descriptors counted; a process with more has a limit that was raised on purpose, and the count is then a lower bound.
const MOST_FDS: usize = 65_536;

/// What pressure on memory is judged by. None where the machine does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemoryFigures {
    /// Resident memory of the process, in bytes.
    pub resident: Option<u64>,
    /// The control groups around the process.
    pub cgroup: cgroup::CgroupFigures,
    /// Percent of the last ten seconds in which some task waited for memory.
    pub stall_some: Option<f64>,
    /// Percent of the last ten seconds in which all tasks waited for memory.
    pub stall_full: Option<f64>,
}

pub(super) fn memory(files: &Files) -> MemoryFigures {
    let pressure = pressure(files, "memory");
    MemoryFigures {
        resident: own_status(files).resident,
        cgroup: cgroup::read(files),
        stall_some: pressure.map(|pressure| pressure.some),
        stall_full: pressure.and_then(|pressure| pressure.full),
    }
}

/// `part` of `whole` in percent.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 * 100.0 / whole as f64,
    }
}

/// Processor times at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuTimes {
    /// Ticks of all processors: busy, and in all.
    system: Option<(u64, u64)>,
    /// Time that the process used.
    pub(super) process: Option<Duration>,
}

impl CpuTimes {
    pub(super) fn read(files: &Files) -> Self {
        CpuTimes {
            system: files.text("proc/stat").and_then(|text| ticks(&text)),
            process: own_cpu_time(),
        }
    }

    /// Percent of the processors that were busy since `before`.
    pub(super) fn system_share_since(&self, before: &CpuTimes) -> Option<f64> {
        let ((busy, all), (busy_before, all_before)) = (self.system?, before.system?);
        // Waiting for disks may be counted backwards by the kernel: no share is below zero.
        let all = all.saturating_sub(all_before);
        (all > 0).then(|| percent(busy.saturating_sub(busy_before).min(all), all))
    }

    /// Percent of one processor that the process used in the `time` since `before`.
    pub(super) fn process_share_since(&self, before: &CpuTimes, time: Duration) -> Option<f64> {
        let used = self.process?.saturating_sub(before.process?);
        Some(used.as_secs_f64() * 100.0 / time.as_secs_f64())
    }

    /// The same since the process began, when it had used nothing.
    pub(super) fn process_share_since_start(&self, files: &Files) -> Option<f64> {
        let age = age_of_process(files)?;
        (age > 0.0).then_some(self.process?.as_secs_f64() * 100.0 / age)
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

/// Seconds since the process began: the kernel tells the start in ticks since boot.
fn age_of_process(files: &Files) -> Option<f64> {
    /// Ticks that Linux tells user space, on every architecture that this is built for.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = files.text("proc/self/stat")?;
    // The name in parentheses may hold anything, parentheses too.
    let after_name = stat.rsplit_once(')')?.1;
    let start: f64 = after_name.split_whitespace().nth(19)?.parse().ok()?;
    let uptime: f64 = files
        .text("proc/uptime")?
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    Some(uptime - start / TICKS_PER_SECOND)
}

#[cfg(unix)]
fn own_cpu_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).ok()
}

#[cfg(not(unix))]
fn own_cpu_time() -> Option<Duration> {
    None
}

/// Bytes used and in all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Space {
    pub(super) used: u64,
    pub(super) total: u64,
}

pub(super) fn machine_memory(files: &Files) -> Option<Space> {
    let text = files.text("proc/meminfo")?;
    let total = kibibytes_of(&text, "MemTotal:")?;
    let available = kibibytes_of(&text, "MemAvailable:")?;
    Some(Space {
        used: total.saturating_sub(available),
        total,
    })
}

#[cfg(unix)]
pub(super) fn disk(directory: &Path) -> Option<Space> {
    let found = rustix::fs::statvfs(directory).ok()?;
    let total = found.f_blocks.checked_mul(found.f_frsize)?;
    let free = found.f_bfree.checked_mul(found.f_frsize)?;
    Some(Space {
        used: total.saturating_sub(free),
        total,
    })
}

#[cfg(not(unix))]
pub(super) fn disk(_: &Path) -> Option<Space> {
    None
}

/// What the kernel says of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnStatus {
    pub(super) resident: Option<u64>,
    pub(super) virtual_size: Option<u64>,
    pub(super) threads: Option<u64>,
}

pub(super) fn own_status(files: &Files) -> OwnStatus {
    let Some(text) = files.text("proc/self/status") else {
        return OwnStatus::default();
    };
    OwnStatus {
        resident: kibibytes_of(&text, "VmRSS:"),
        virtual_size: kibibytes_of(&text, "VmSize:"),
        threads: value_of(&text, "Threads:").and_then(|count| count.parse().ok()),
    }
}

/// Open descriptors, without the one that the counting needs.
pub(super) fn open_files(files: &Files) -> Option<usize> {
    let entries = files.entries("proc/self/fd", MOST_FDS)?;
    Some(entries.saturating_sub(1))
}

#[cfg(unix)]
pub(super) fn most_open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(not(unix))]
pub(super) fn most_open_files() -> Option<u64> {
    None
}

/// Percent of the last ten seconds in which tasks waited for a resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pressure {
    pub(super) some: f64,
    pub(super) full: Option<f64>,
}

pub(super) fn pressure(files: &Files, resource: &str) -> Option<Pressure> {
    let text = files.text(format!("proc/pressure/{resource}"))?;
    let share = |key| value_of(&text, key)?.strip_prefix("avg10=")?.parse().ok();
    Some(Pressure {
        some: share("some ")?,
        full: share("full "),
    })
}
