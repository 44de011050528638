//! Interrupts: the first asks the program to stop in order, the second ends it at once.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;

/// A process's status has some sixty lines, of which only that of its groups can grow.
const MAX_STATUS: u64 = 64 * 1024;

/// The signals that ask for an end.
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// None where whoever started us had it ignored, as `nohup` does: to listen would undo that.
    hang_up: Option<Signal>,
}

impl Interrupts {
    /// From now on these signals no longer end the process by themselves.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::internal(format!("signals can't be watched: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: match is_hang_up_ignored() {
                true => None,
                false => Some(listen(SignalKind::hangup())?),
            },
        })
    }

    /// The same for a daemon. Where it has no terminal that could be closed, a hang-up asks it to read its configuration again,
    /// and comes with the second value.
    pub(super) fn listen_as_daemon() -> Result<(Self, Option<Signal>), Failure> {
        let mut interrupts = Self::listen()?;
        let has_terminal = std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
        let hang_ups = interrupts.hang_up.take_if(|_| !has_terminal);
        Ok((interrupts, hang_ups))
    }

    /// Waits for the next one. Cancelling the wait loses no signal.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hung_up(self.hang_up.as_mut()) => {}
        }
    }
}

async fn hung_up(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether a hang-up does nothing to this process. Where the system does not tell, it does.
fn is_hang_up_ignored() -> bool {
    let mut status = String::new();
    let read =
        File::open("/proc/self/status").and_then(|file| file.take(MAX_STATUS).read_to_string(&mut status));
    if read.is_err() {
        return false;
    }
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal 1 is the lowest bit.
    mask.is_some_and(|mask| mask & 1 == 1)
}
