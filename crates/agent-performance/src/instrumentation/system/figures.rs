//! What the readers of all systems tell. None where a system does not tell it.

/// The control groups of the process. None where there is no group, no limit or no permission.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CgroupFigures {
    /// The least memory limit of the group and those around it, in bytes.
    pub memory_limit: Option<u64>,
    /// Memory of the group that has that limit (the process' own where none has), in bytes, without file cache that
    /// can be dropped at once.
    pub memory_used: Option<u64>,
    /// The least number of processors allowed, with fractions.
    pub cpu_limit: Option<f64>,
}

/// What pressure on memory is judged by. None where the machine does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemoryFigures {
    /// Resident memory of the process, in bytes.
    pub resident: Option<u64>,
    /// The control groups around the process.
    pub cgroup: CgroupFigures,
    /// Percent of the last ten seconds in which some task waited for memory.
    pub stall_some: Option<f64>,
    /// Percent of the last ten seconds in which all tasks waited for memory.
    pub stall_full: Option<f64>,
}

/// Bytes used and in all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Space {
    pub(super) used: u64,
    pub(super) total: u64,
}

/// What the system says of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnStatus {
    pub(super) resident: Option<u64>,
    pub(super) virtual_size: Option<u64>,
    pub(super) threads: Option<u64>,
}

/// Percent of the last ten seconds in which tasks waited for a resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pressure {
    pub(super) some: f64,
    pub(super) full: Option<f64>,
}

/// `part` of `whole` in percent.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 * 100.0 / whole as f64,
    }
}
