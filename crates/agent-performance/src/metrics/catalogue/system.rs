//! The process and the machine it runs on.

use super::{Declaration, MetricUnit};

pub(super) const ROWS: &[Declaration] = &[
    Declaration::gauge(
        "system.cpu_usage",
        MetricUnit::Percentage,
        "Share of all processors that was busy since the reading before",
        &[],
    ),
    Declaration::gauge(
        "system.memory_used",
        MetricUnit::Bytes,
        "Memory of the machine that is not available for use",
        &[],
    ),
    Declaration::gauge(
        "system.memory_total",
        MetricUnit::Bytes,
        "Memory of the machine",
        &[],
    ),
    Declaration::gauge(
        "system.memory_usage",
        MetricUnit::Percentage,
        "Share of the machine's memory that is used",
        &[],
    ),
    Declaration::gauge(
        "system.disk_used",
        MetricUnit::Bytes,
        "Used space of the file system that holds the data directory",
        &[],
    ),
    Declaration::gauge(
        "system.disk_usage",
        MetricUnit::Percentage,
        "Used share of the file system that holds the data directory, without what is kept for root",
        &[],
    ),
    Declaration::gauge(
        "system.pressure",
        MetricUnit::Percentage,
        "Share of the last ten seconds in which some task waited for the resource (pressure stall information)",
        &["resource"],
    ),
    Declaration::gauge(
        "cgroup.memory_limit",
        MetricUnit::Bytes,
        "The least memory limit of the control groups around the process",
        &[],
    ),
    Declaration::gauge(
        "cgroup.memory_used",
        MetricUnit::Bytes,
        "Memory charged to the control group of the process",
        &[],
    ),
    Declaration::gauge(
        "cgroup.cpu_limit",
        MetricUnit::Count,
        "Processors that the control groups around the process allow",
        &[],
    ),
    Declaration::gauge(
        "process.memory_rss",
        MetricUnit::Bytes,
        "Resident memory of the process",
        &[],
    ),
    Declaration::gauge(
        "process.memory_vms",
        MetricUnit::Bytes,
        "Virtual memory of the process",
        &[],
    ),
    Declaration::gauge(
        "process.cpu_usage",
        MetricUnit::Percentage,
        "Processor time of the process since the reading before; 100 is one processor",
        &[],
    ),
    Declaration::gauge(
        "process.open_fds",
        MetricUnit::Count,
        "File descriptors that the process holds open",
        &[],
    ),
    Declaration::gauge(
        "process.max_fds",
        MetricUnit::Count,
        "File descriptors that the process may hold open",
        &[],
    ),
    Declaration::gauge(
        "process.threads",
        MetricUnit::Count,
        "Threads of the process",
        &[],
    ),
    Declaration::gauge(
        "process.cpu.time",
        MetricUnit::Seconds,
        "Processor time that the process used since its start",
        &[],
    ),
    Declaration::gauge(
        "process.start_time",
        MetricUnit::Seconds,
        "When the process began, since the beginning of 1970",
        &[],
    ),
    Declaration::counter(
        "process.restarts",
        "Starts of the daemon after the first on its data folder, kept over restarts; `after` is `stop` or `crash`",
        &["after"],
    ),
    Declaration::gauge(
        "process.recent_crashes",
        MetricUnit::Count,
        "How often the daemon ended without order within the last half hour",
        &[],
    ),
    Declaration::gauge(
        "process.safe_mode",
        MetricUnit::Count,
        "1 while the daemon runs in safe mode because it crashed too often, 0 otherwise",
        &[],
    ),
];
