//! What `/proc` tells of a process.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// A process's line is some hundred bytes long.
const MAX_STAT: u64 = 4096;

/// Environments above this are not searched: no child of ours is given as much.
const MAX_ENVIRONMENT: u64 = 1024 * 1024;

/// The part of `/proc/PID/stat` that tells who a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) group: u32,
    /// Ticks from the boot to its start. With the number it names a process for as long as the machine runs.
    pub(super) start: u64,
    /// Ended, and only waits for its parent to notice.
    pub(super) zombie: bool,
}

pub(super) fn stat(pid: u32) -> io::Result<Stat> {
    let text = read(&format!("/proc/{pid}/stat"), MAX_STAT)?;
    let text = String::from_utf8_lossy(&text);
    parse(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat can't be understood"))
}

/// The process, if it lives and is the one that started then.
pub(super) fn living(pid: u32, start: u64) -> Option<Stat> {
    stat(pid).ok().filter(|stat| stat.start == start && !stat.zombie)
}

fn parse(text: &str) -> Option<Stat> {
    // The name in parentheses can hold anything, more parentheses and spaces included.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    // Field 22 of the line; the group was field 5.
    let start = fields.nth(16)?.parse().ok()?;
    Some(Stat {
        group,
        start,
        zombie: matches!(state, "Z" | "X"),
    })
}

/// Whether the process was started with this variable in its environment.
pub(super) fn is_marked(pid: u32, assignment: &[u8]) -> bool {
    read(&format!("/proc/{pid}/environ"), MAX_ENVIRONMENT).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == assignment)
    })
}

/// Every process number that can be seen.
pub(super) fn all() -> io::Result<Vec<u32>> {
    let entries = std::fs::read_dir("/proc")?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}

/// Names this boot of this machine, and the numbering of processes in which this one lives.
pub(super) fn numbering() -> io::Result<(String, String)> {
    let boot = read("/proc/sys/kernel/random/boot_id", 64)?;
    let namespace = std::fs::read_link("/proc/self/ns/pid")?;
    let boot = String::from_utf8_lossy(&boot).trim().to_owned();
    Ok((boot, namespace.to_string_lossy().into_owned()))
}

fn read(path: &str, limit: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(Path::new(path))?.take(limit).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_spaces_and_parentheses_do_not_shift_the_fields() {
        let line = "42 (a) b (c) S 1 41 40 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 2";
        let expected = Stat {
            group: 41,
            start: 98_765,
            zombie: false,
        };
        assert_eq!(parse(line), Some(expected));
        assert!(parse(&line.replace(" S ", " Z ")).expect("fine").zombie);
        for broken in ["", "42", "42 (a)", "42 (a) S", "42 (a) S 1 x", &line[..60]] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn this_process_is_alive_and_nobody_else_with_its_number() {
        let own = std::process::id();
        let start = stat(own).expect("we run").start;
        assert!(living(own, start).is_some());
        assert!(living(own, start + 1).is_none());
        assert!(all().expect("/proc").contains(&own));
    }
}
