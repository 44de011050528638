//! The reader for other systems against our own, on this machine.

use std::path::Path;
use std::time::{Duration, Instant};

use super::figures::Space;
use super::{elsewhere, linux};

/// Whether two readings that were not made at the same moment tell of the same thing.
fn near(name: &str, ours: Option<f64>, theirs: Option<f64>, tolerance: f64) {
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        panic!("{name}: ours {ours:?}, theirs {theirs:?}");
    };
    assert!(
        (ours - theirs).abs() <= tolerance,
        "{name}: ours {ours}, theirs {theirs}, which may differ by {tolerance}"
    );
}

#[test]
fn sysinfo_tells_the_same_as_our_own_reader() {
    const MIB: f64 = 1024.0 * 1024.0;
    let (mut ours, mut theirs) = (linux::Source::new(), elsewhere::Source::new());
    // Other tests of this process run meanwhile; so tolerances are those of a busy machine, and catch a wrong unit.
    let float = |value: Option<u64>| value.map(|value| value as f64);

    let (a, b) = (ours.own_status(), theirs.own_status());
    near("resident", float(a.resident), float(b.resident), 256.0 * MIB);
    near(
        "virtual",
        float(a.virtual_size),
        float(b.virtual_size),
        4096.0 * MIB,
    );

    let (a, b) = (ours.machine_memory(), theirs.machine_memory());
    near(
        "total memory",
        float(a.map(|m| m.total)),
        float(b.map(|m| m.total)),
        MIB,
    );
    near(
        "used memory",
        float(a.map(|m| m.used)),
        float(b.map(|m| m.used)),
        1024.0 * MIB,
    );

    let directory = tempfile::tempdir().expect("made");
    let (a, b) = (ours.disk(directory.path()), theirs.disk(directory.path()));
    // What is kept for root counts as used with them and not at all with us; what is left for us is the same.
    let left = |space: Option<Space>| space.map(|space| (space.total - space.used) as f64);
    near("left on the disk", left(a), left(b), 1024.0 * MIB);

    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    near(
        "cpu time",
        seconds(ours.process_time()),
        seconds(theirs.process_time()),
        2.0,
    );
    near("age", ours.age(), theirs.age(), 5.0);
    let count = |files: Option<usize>| files.map(|files| files as f64);
    near(
        "open files",
        count(ours.open_files()),
        count(theirs.open_files()),
        200.0,
    );
    near(
        "most open files",
        float(ours.most_open_files()),
        float(theirs.most_open_files()),
        0.0,
    );

    assert_eq!(
        (ours.system_share(), theirs.system_share()),
        (None, None),
        "one reading is no interval"
    );
    // Busy on one processor for longer than what sysinfo takes for an interval.
    let begun = Instant::now();
    while begun.elapsed() < sysinfo::MINIMUM_CPU_UPDATE_INTERVAL + Duration::from_millis(300) {
        std::hint::spin_loop();
    }
    near("busy share", ours.system_share(), theirs.system_share(), 35.0);
    let (a, b) = (ours.memory(), theirs.memory());
    near(
        "pressure is judged by",
        float(a.resident),
        float(b.resident),
        256.0 * MIB,
    );
}

#[test]
fn what_does_not_exist_is_not_told() {
    let nowhere = Path::new("/nowhere/at/all");
    let mut theirs = elsewhere::Source::new();
    assert_eq!(theirs.disk(nowhere), None);
    assert_eq!(theirs.pressure("memory"), None);
    assert_eq!(theirs.cgroup(), super::CgroupFigures::default());
    assert_eq!(theirs.own_status().threads, None);
}
