//! macOS, Windows and others, through `sysinfo`. Compiled on Linux for tests, which compare it with our own reader.
//!
//! Control groups and stall information are Linux's; elsewhere there is nothing to tell. So it is with the number of
//! threads, which `sysinfo` knows on Linux only.

use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use sysinfo::{
    CpuRefreshKind, DiskRefreshKind, Disks, MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate,
    System,
};

use super::figures::{CgroupFigures, MemoryFigures, OwnStatus, Pressure, Space};

/// Reads this machine.
#[derive(Debug)]
pub(super) struct Source {
    /// None on a system that `sysinfo` does not know. Behind a lock, because reading changes it, and pressure is watched
    /// from elsewhere than the rest.
    system: Option<Mutex<System>>,
    own: Option<Pid>,
    looked_at_processors: bool,
}

impl Source {
    pub(super) fn new() -> Self {
        Source {
            system: System::new().ok().map(Mutex::new),
            own: sysinfo::get_current_pid().ok(),
            looked_at_processors: false,
        }
    }

    /// Percent of all processors that was busy since the last call; none at the first.
    pub(super) fn system_share(&mut self) -> Option<f64> {
        let system = self.system.as_mut()?.get_mut();
        system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        let before = std::mem::replace(&mut self.looked_at_processors, true);
        before.then(|| f64::from(system.global_cpu_usage()).clamp(0.0, 100.0))
    }

    /// Processor time that the process used.
    pub(super) fn process_time(&mut self) -> Option<Duration> {
        let refresh = ProcessRefreshKind::nothing().without_tasks().with_cpu();
        self.own_process(refresh, |process| {
            Duration::from_millis(process.accumulated_cpu_time())
        })
    }

    /// Seconds since the process began.
    pub(super) fn age(&mut self) -> Option<f64> {
        let refresh = ProcessRefreshKind::nothing().without_tasks();
        self.own_process(refresh, |process| process.run_time() as f64)
    }

    pub(super) fn machine_memory(&mut self) -> Option<Space> {
        let system = self.system.as_mut()?.get_mut();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let total = system.total_memory();
        (total > 0).then(|| Space {
            used: total.saturating_sub(system.available_memory()),
            total,
        })
    }

    /// The file system that holds `directory`: the one mounted closest above it.
    pub(super) fn disk(&mut self, directory: &Path) -> Option<Space> {
        let directory = directory.canonicalize().ok()?;
        let refresh = DiskRefreshKind::nothing().with_storage();
        // Afresh each time: disks come and go, and their list is short.
        let disks = Disks::new_with_refreshed_list_specifics(refresh).ok()?;
        let holds = disks
            .iter()
            .filter(|disk| directory.starts_with(disk.mount_point()));
        let closest = holds.max_by_key(|disk| disk.mount_point().components().count())?;
        Some(Space {
            used: closest.total_space().saturating_sub(closest.available_space()),
            total: closest.total_space(),
        })
    }

    pub(super) fn own_status(&self) -> OwnStatus {
        let refresh = ProcessRefreshKind::nothing().without_tasks().with_memory();
        let sizes = self.own_process(refresh, |process| (process.memory(), process.virtual_memory()));
        OwnStatus {
            resident: sizes.map(|(resident, _)| resident),
            virtual_size: sizes.map(|(_, virtual_size)| virtual_size),
            threads: None,
        }
    }

    /// Open descriptors; on Windows, handles.
    pub(super) fn open_files(&self) -> Option<usize> {
        let refresh = ProcessRefreshKind::nothing().without_tasks();
        self.own_process(refresh, sysinfo::Process::open_files).flatten()
    }

    pub(super) fn most_open_files(&self) -> Option<u64> {
        let most = System::open_files_limit().ok()?;
        u64::try_from(most).ok()
    }

    pub(super) fn cgroup(&self) -> CgroupFigures {
        CgroupFigures::default()
    }

    pub(super) fn pressure(&self, _resource: &str) -> Option<Pressure> {
        None
    }

    pub(super) fn memory(&self) -> MemoryFigures {
        MemoryFigures {
            resident: self.own_status().resident,
            ..MemoryFigures::default()
        }
    }

    fn own_process<T>(
        &self,
        refresh: ProcessRefreshKind,
        read: impl FnOnce(&sysinfo::Process) -> T,
    ) -> Option<T> {
        let own = self.own?;
        let mut system = self.system.as_ref()?.lock();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), true, refresh);
        system.process(own).map(read)
    }
}
