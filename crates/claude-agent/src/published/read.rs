//! Reading what processes published.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use chrono::{TimeDelta, Utc};

use super::folder::{Folder, Name};
use super::{Birth, FORMAT, Published, Writer};

/// Where nothing tells whether a process lives, figures this young count as those of a living one: a few times as long as
/// a busy process takes to publish again.
const YOUNG: TimeDelta = TimeDelta::seconds(10);

/// What [`read`] found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Those of living processes, the newest first; when none lives, those of the last that ended.
    pub(crate) processes: Vec<Process>,
    /// What was ignored and why, a sentence each.
    pub(crate) notes: Vec<String>,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) living: bool,
    pub(crate) published: Published,
}

/// Reads the newest figures. A missing folder holds none.
///
/// # Errors
/// The folder can't be read.
pub(crate) fn read(data: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    let Some(folder) = Folder::open(data)? else {
        return Ok(found);
    };
    for name in folder.names()? {
        match &name {
            Name::Unfinished(_) => continue,
            Name::Foreign(_) => found.ignore(&name, "it is not a file of figures"),
            Name::Figures(pid) => match folder.read(&name).and_then(|bytes| parse(&bytes, *pid)) {
                Ok(published) => found.processes.push(Process {
                    living: published.is_living(),
                    published,
                }),
                // Its owner may have pruned it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => found.ignore(&name, &error.to_string()),
            },
        }
    }
    found
        .processes
        .sort_by_key(|process| std::cmp::Reverse(process.published.snapshot.taken_at));
    if found.processes.iter().any(|process| process.living) {
        found.processes.retain(|process| process.living);
    } else {
        found.processes.truncate(1);
    }
    found.notes.sort();
    Ok(found)
}

impl Found {
    fn ignore(&mut self, name: &Name, why: &str) {
        self.notes
            .push(format!("{}/{} is ignored: {why}", super::FOLDER, name.text()));
    }
}

fn parse(bytes: &[u8], pid: u32) -> io::Result<Published> {
    let published: Published = serde_json::from_slice(bytes)
        .map_err(|_| io::Error::other("it does not hold figures that this version can read"))?;
    if published.format != FORMAT || published.writer.pid != pid {
        return Err(io::Error::other(
            "it does not hold figures that this version can read",
        ));
    }
    Ok(published)
}

impl Published {
    fn is_living(&self) -> bool {
        if self.ended {
            return false;
        }
        let here = Birth::of(std::process::id());
        match (&self.writer.birth, here) {
            // A process of another container has a number of its own; then only the age is left to judge by.
            (Some(birth), Some(here)) if birth.is_numbered_like(&here) => {
                Birth::of(self.writer.pid).as_ref() == Some(birth)
            }
            _ => (Utc::now() - self.snapshot.taken_at).abs() < YOUNG,
        }
    }
}

impl Writer {
    pub(super) fn this_process() -> Self {
        let pid = std::process::id();
        Self {
            pid,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            birth: Birth::of(pid),
        }
    }
}

impl Birth {
    /// `None` where no such process runs, or the system does not tell.
    fn of(pid: u32) -> Option<Self> {
        let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
        Some(Self {
            boot: line("/proc/sys/kernel/random/boot_id")?.trim().to_owned(),
            namespace: namespace.to_string_lossy().into_owned(),
            start: start(&line(&format!("/proc/{pid}/stat"))?)?,
        })
    }

    fn is_numbered_like(&self, other: &Birth) -> bool {
        (&self.boot, &self.namespace) == (&other.boot, &other.namespace)
    }
}

/// Whether some process has this number.
pub(super) fn is_running(pid: u32) -> bool {
    Birth::of(pid).is_some()
}

/// Field 22 of a process's line, none for one that has ended and only waits to be noticed. The name in parentheses can hold
/// anything, more parentheses included.
fn start(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18)?.parse().ok())?
}

/// Files of `/proc` that hold one short line.
fn line(path: &str) -> Option<String> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(4096).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_behind_any_name() {
        let stat = "42 (a) b (c) S 1 41 40 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 2";
        assert_eq!(start(stat), Some(98_765));
        assert_eq!(start(&stat.replace(" S ", " Z ")), None);
        for broken in ["", "42", "42 (a) S", &stat[..60]] {
            assert_eq!(start(broken), None, "{broken}");
        }
    }
}
