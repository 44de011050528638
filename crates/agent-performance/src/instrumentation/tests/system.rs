//! Readings of prepared files and of this machine.

use std::path::Path;

use crate::instrumentation::SystemMetrics;
use crate::instrumentation::system::Files;
use crate::metrics::{MetricsCollector, catalogue};

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    std::fs::write(path, text).expect("written");
}

fn level(collector: &MetricsCollector, name: &str) -> Option<f64> {
    let snapshot = collector.snapshot();
    let mut series = snapshot.series.into_iter();
    series
        .find(|series| series.name == name)
        .map(|series| series.value)
}

fn reader(root: &Path) -> SystemMetrics {
    SystemMetrics::with_files(Files::under(root), root)
}

#[test]
fn figures_are_those_of_the_files() {
    let root = tempfile::tempdir().expect("made");
    let root = root.path();
    write(
        root,
        "proc/meminfo",
        "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n",
    );
    write(
        root,
        "proc/self/status",
        "Name:\tx\nVmSize:\t  300 kB\nVmRSS:\t  20 kB\nThreads:\t5\n",
    );
    write(
        root,
        "proc/pressure/memory",
        "some avg10=1.50 avg60=0 total=9\nfull avg10=0.25 avg60=0 total=1\n",
    );
    write(root, "proc/self/cgroup", "0::/outer/inner\n");
    write(root, "sys/fs/cgroup/outer/memory.max", "5000\n");
    write(root, "sys/fs/cgroup/outer/memory.current", "4000\n");
    write(
        root,
        "sys/fs/cgroup/outer/memory.stat",
        "anon 1\ninactive_file 1500\n",
    );
    write(root, "sys/fs/cgroup/outer/inner/memory.max", "max\n");
    write(root, "sys/fs/cgroup/outer/inner/memory.current", "900\n");
    write(root, "sys/fs/cgroup/outer/cpu.max", "150000 100000\n");
    write(root, "sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
    let collector = MetricsCollector::new();
    let mut reader = reader(root);
    reader.collect(&collector);
    let check = |name, wanted| assert_eq!(level(&collector, name), Some(wanted), "{name}");
    check("system.memory_total", 1_024_000.0);
    check("system.memory_used", 768_000.0);
    check("system.memory_usage", 75.0);
    check("process.memory_rss", 20_480.0);
    check("process.memory_vms", 307_200.0);
    check("process.threads", 5.0);
    check("system.pressure", 1.5);
    check("cgroup.memory_limit", 5_000.0);
    check("cgroup.memory_used", 2_500.0);
    check("cgroup.cpu_limit", 1.5);
    let memory = reader.memory();
    assert_eq!((memory.resident, memory.stall_full), (Some(20_480), Some(0.25)));
    for series in collector.snapshot().series {
        assert!(
            catalogue::find(&series.name).is_some(),
            "{} is not declared",
            series.name
        );
    }
}

#[test]
fn the_first_version_of_control_groups_is_read_too() {
    let root = tempfile::tempdir().expect("made");
    let root = root.path();
    write(
        root,
        "proc/self/cgroup",
        "5:cpu,cpuacct:/job\n3:memory:/job\n0::/other\n",
    );
    write(
        root,
        "sys/fs/cgroup/memory/memory.limit_in_bytes",
        "9223372036854771712\n",
    );
    write(root, "sys/fs/cgroup/memory/job/memory.limit_in_bytes", "7000\n");
    write(root, "sys/fs/cgroup/memory/job/memory.usage_in_bytes", "600\n");
    write(
        root,
        "sys/fs/cgroup/memory/job/memory.stat",
        "total_inactive_file 100\n",
    );
    write(root, "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "50000\n");
    write(root, "sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    let group = reader(root).memory().cgroup;
    assert_eq!((group.memory_limit, group.memory_used), (Some(7_000), Some(500)));
    assert_eq!(group.cpu_limit, Some(0.5));
}

#[test]
fn processor_shares_are_of_the_time_between_two_readings() {
    let root = tempfile::tempdir().expect("made");
    let root = root.path();
    let collector = MetricsCollector::new();
    let mut reader = reader(root);
    write(root, "proc/stat", "cpu  900 0 100 9000 0 0 0 0 5 5\ncpu0 1 1\n");
    reader.collect(&collector);
    assert_eq!(
        level(&collector, "system.cpu_usage"),
        None,
        "one reading is no interval"
    );
    write(root, "proc/stat", "cpu  950 0 150 9200 100 0 0 0 5 5\n");
    reader.collect(&collector);
    assert_eq!(level(&collector, "system.cpu_usage"), None, "too soon");
    reader.pretend_longer_ago(std::time::Duration::from_secs(10));
    reader.collect(&collector);
    assert_eq!(level(&collector, "system.cpu_usage"), Some(25.0));
}

#[test]
fn files_that_are_missing_or_nonsense_are_left_out() {
    let root = tempfile::tempdir().expect("made");
    let root = root.path();
    let collector = MetricsCollector::new();
    reader(root).collect(&collector);
    let long = "9".repeat(1 << 20);
    for path in [
        "stat",
        "meminfo",
        "self/status",
        "self/stat",
        "uptime",
        "self/cgroup",
        "pressure/cpu",
    ] {
        write(
            root,
            &format!("proc/{path}"),
            &format!("cpu  {long}\nMemTotal: {long}\n0::/../../etc\n5:memory:/..\n"),
        );
    }
    reader(root).collect(&collector);
    for name in [
        "system.cpu_usage",
        "system.memory_total",
        "process.memory_rss",
        "cgroup.memory_limit",
    ] {
        assert_eq!(level(&collector, name), None, "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn this_machine_tells_its_figures() {
    let collector = MetricsCollector::new();
    SystemMetrics::collect_system_info(&collector);
    let known = |name| level(&collector, name).unwrap_or_else(|| panic!("{name} is missing"));
    assert!(known("process.memory_rss") > 1e6);
    assert!(known("process.memory_vms") >= known("process.memory_rss"));
    assert!(known("process.threads") >= 1.0);
    assert!(known("process.open_fds") >= 3.0);
    assert!(known("process.max_fds") >= known("process.open_fds"));
    assert!(known("process.cpu_usage") >= 0.0);
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    let age = now.expect("after 1970").as_secs_f64() - known("process.start_time");
    assert!((-1.0..3600.0).contains(&age), "{age}");
    assert!((0.0..=100.0).contains(&known("system.memory_usage")));
    assert!((0.0..=100.0).contains(&known("system.disk_usage")));
    assert!(known("system.disk_used") > 0.0);
}
