//! Limits of the control groups around the process, both versions.

use std::path::{Path, PathBuf};

use super::figures::CgroupFigures;
use super::files::{Files, value_of};

/// Groups within groups that are looked at; nesting is rarely deeper than six.
const MOST_LEVELS: usize = 32;

/// The first version says "no limit" as the largest multiple of a page; no machine has half of that.
const NO_LIMIT: u64 = 1 << 62;

pub(super) fn read(files: &Files) -> CgroupFigures {
    let Some(groups) = files.text("proc/self/cgroup") else {
        return CgroupFigures::default();
    };
    let of_version_1 = |controller: &str| {
        groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers
                .split(',')
                .any(|one| one == controller)
                .then_some(path)
        })
    };
    let unified = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let mut figures = CgroupFigures::default();
    match (of_version_1("memory"), unified) {
        (Some(path), _) => memory_1(files, path, &mut figures),
        (None, Some(path)) => memory_2(files, path, &mut figures),
        (None, None) => {}
    }
    figures.cpu_limit = match (of_version_1("cpu"), unified) {
        (Some(path), _) => least(levels("sys/fs/cgroup/cpu", path).filter_map(|group| {
            let number = |file| files.text(group.join(file))?.trim().parse::<f64>().ok();
            let (quota, period) = (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?);
            (quota > 0.0 && period > 0.0).then_some(quota / period)
        })),
        (None, Some(path)) => least(levels("sys/fs/cgroup", path).filter_map(|group| {
            let text = files.text(group.join("cpu.max"))?;
            let (quota, period) = text.trim().split_once(' ')?;
            let (quota, period) = (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
            (period > 0.0).then_some(quota / period)
        })),
        (None, None) => None,
    };
    figures
}

fn memory_2(files: &Files, path: &str, figures: &mut CgroupFigures) {
    let names = ["memory.max", "memory.current", "inactive_file "];
    memory(files, levels("sys/fs/cgroup", path), names, figures);
}

fn memory_1(files: &Files, path: &str, figures: &mut CgroupFigures) {
    let names = [
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file ",
    ];
    memory(files, levels("sys/fs/cgroup/memory", path), names, figures);
}

fn memory(
    files: &Files,
    groups: impl Iterator<Item = PathBuf>,
    [limit, current, droppable]: [&str; 3],
    figures: &mut CgroupFigures,
) {
    for group in groups {
        let number = |file: &str| files.text(group.join(file))?.trim().parse::<u64>().ok();
        let limit = number(limit).filter(|&bytes| bytes < NO_LIMIT);
        let tighter = match (limit, figures.memory_limit) {
            (Some(limit), Some(least)) => limit < least,
            (Some(_), None) => true,
            (None, _) => figures.memory_used.is_none(),
        };
        let Some(used) = number(current).filter(|_| tighter) else {
            continue;
        };
        let cached = files
            .text(group.join("memory.stat"))
            .and_then(|text| value_of(&text, droppable)?.parse().ok())
            .unwrap_or(0);
        figures.memory_used = Some(used.saturating_sub(cached));
        figures.memory_limit = limit.or(figures.memory_limit);
    }
}

fn least(limits: impl Iterator<Item = f64>) -> Option<f64> {
    limits.min_by(f64::total_cmp)
}

/// The group's directory and those above it, up to the root of the hierarchy. In a container the path may be the
/// host's, and only the root is there: files that do not exist are passed over.
fn levels(hierarchy: &str, path: &str) -> impl Iterator<Item = PathBuf> {
    let path = Path::new(path.trim_start_matches('/'));
    let safe = path
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    let path = if safe { path } else { Path::new("") };
    let hierarchy = PathBuf::from(hierarchy);
    let groups: Vec<PathBuf> = path
        .ancestors()
        .take(MOST_LEVELS)
        .map(|group| hierarchy.join(group))
        .collect();
    groups.into_iter()
}
