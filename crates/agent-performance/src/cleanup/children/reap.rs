//! Ends what a crash left behind.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, getpgrp, kill_process_group, pidfd_open, pidfd_send_signal};

use super::file::{self, Child, Owner};
use super::{folder_of, proc};

/// Ledgers read at one start. Each start removes those it is done with, so only a folder that others fill has more.
const MAX_LEDGERS: usize = 1024;

/// Searches for marked processes. One that starts others while we look is found in the next; a process can't
/// outrun as many while each is killed as it is seen.
const MAX_ROUNDS: usize = 20;

/// Between two searches: killed processes need a moment to be gone.
const PAUSE: Duration = Duration::from_millis(20);

/// What [`reap_orphans`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReapReport {
    /// Processes that were killed, with the groups they led.
    pub killed: Vec<Reaped>,
    /// Children whose number belongs to another process by now, which was not touched.
    pub recycled: usize,
    /// Children that had ended by themselves.
    pub ended: usize,
    /// Ledgers whose writer is still running, or lives where its process numbers mean nothing to us.
    pub left_alone: usize,
    /// Ledgers that could not be read or removed, with the reason.
    pub unreadable: Vec<String>,
    /// Marked processes that were still there after the last search.
    pub survivors: usize,
}

/// A process that was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Its number.
    pub pid: u32,
    /// The name of its program as the ledger has it; empty for one found by its mark alone.
    pub command: String,
}

/// Kills the children, and the children's children, of processes of this program that died without ending them,
/// and removes their ledgers. Never touches a process whose start time or mark does not match.
///
/// Blocks for some milliseconds for each ledger that was left behind, and at most half a second.
///
/// # Errors
/// The folder of ledgers or `/proc` can't be read. A missing folder is an empty one.
pub fn reap_orphans(data_folder: &Path) -> io::Result<ReapReport> {
    let mut report = ReapReport::default();
    let entries = match fs::read_dir(folder_of(data_folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(report),
        Err(error) => return Err(error),
    };
    let (boot, namespace) = proc::numbering()?;
    let mut marks = Vec::new();
    let mut done = Vec::new();
    for path in entries
        .take(MAX_LEDGERS)
        .filter_map(|entry| Some(entry.ok()?.path()))
    {
        let (owner, children) = match file::read(&path) {
            Ok(Some(ledger)) => ledger,
            // Not ours, or torn in its first line: then no child was written down yet.
            Ok(None) => continue,
            Err(error) => {
                report.unreadable.push(format!("{}: {error}", path.display()));
                continue;
            }
        };
        if owner.boot != boot {
            // The machine was started again since: nothing of it lives.
            done.push(path);
            continue;
        }
        if owner.namespace != namespace || proc::living(owner.pid, owner.start).is_some() || marks_us(&owner)
        {
            report.left_alone += 1;
            continue;
        }
        for child in children {
            end(child, &mut report);
        }
        marks.push(owner.assignment());
        done.push(path);
    }
    end_marked(&marks, &mut report)?;
    for path in done {
        if let Err(error) = fs::remove_file(&path) {
            report.unreadable.push(format!("{}: {error}", path.display()));
        }
    }
    Ok(report)
}

/// An agent that was started by the dead one would otherwise end itself.
fn marks_us(owner: &Owner) -> bool {
    proc::is_marked(std::process::id(), &owner.assignment())
}

fn end(child: Child, report: &mut ReapReport) {
    let Ok(stat) = proc::stat(child.pid) else {
        report.ended += 1;
        return;
    };
    if stat.start != child.start {
        report.recycled += 1;
        return;
    }
    if stat.zombie || !kill(&child) {
        report.ended += 1;
        return;
    }
    report.killed.push(Reaped {
        pid: child.pid,
        command: child.command,
    });
}

/// Kills the child and the group it leads. False when it had ended.
fn kill(child: &Child) -> bool {
    let Some(pid) = signalable(child.pid) else {
        return false;
    };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    // The handle is of the process that has the number now. Stopped, it can't end and free the number before its
    // group, which is known only by that number, was signalled.
    if proc::living(child.pid, child.start).is_none() {
        return false;
    }
    let stopped = pidfd_send_signal(&process, Signal::STOP).is_ok();
    let leads_group = proc::living(child.pid, child.start).is_some_and(|stat| stat.group == child.pid);
    if stopped && leads_group && pid != getpgrp() {
        // The one possible failure is that nobody is left.
        let _nobody_left = kill_process_group(pid, Signal::KILL);
    }
    pidfd_send_signal(&process, Signal::KILL).is_ok() || leads_group
}

/// Kills whoever carries a mark, again and again until nobody does.
fn end_marked(marks: &[Vec<u8>], report: &mut ReapReport) -> io::Result<()> {
    if marks.is_empty() {
        return Ok(());
    }
    let own = std::process::id();
    for round in 0..MAX_ROUNDS {
        let marked = |pid: u32| marks.iter().any(|mark| proc::is_marked(pid, mark));
        let found: Vec<u32> = proc::all()?
            .into_iter()
            .filter(|pid| *pid != own && marked(*pid))
            .filter(|pid| proc::stat(*pid).is_ok_and(|stat| !stat.zombie))
            .collect();
        report.survivors = found.len();
        if found.is_empty() {
            return Ok(());
        }
        for pid in found {
            let known = report.killed.iter().any(|reaped| reaped.pid == pid);
            if kill_if(pid, || marked(pid)) && !known {
                report.killed.push(Reaped {
                    pid,
                    command: String::new(),
                });
            }
        }
        if round + 1 < MAX_ROUNDS {
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Asks again once the handle is held: only then the number can't pass to another process in between.
fn kill_if(pid: u32, is_meant: impl Fn() -> bool) -> bool {
    let Some(raw) = signalable(pid) else { return false };
    pidfd_open(raw, PidfdFlags::empty())
        .is_ok_and(|process| is_meant() && pidfd_send_signal(&process, Signal::KILL).is_ok())
}

/// Never the first process, never ourselves.
fn signalable(pid: u32) -> Option<Pid> {
    if pid <= 1 || pid == std::process::id() {
        return None;
    }
    Pid::from_raw(i32::try_from(pid).ok()?)
}
