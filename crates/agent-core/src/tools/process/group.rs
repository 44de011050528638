//! A process group with its leader: signalled as one, and never by a number that may belong to others by now.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use process_wrap::tokio::ChildWrapper;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// Killed when dropped, unless disarmed after its leader was reaped.
#[derive(Debug)]
pub(super) struct Group {
    id: Pid,
    armed: AtomicBool,
}

impl Group {
    pub(super) fn led_by(child: &dyn ChildWrapper) -> io::Result<Self> {
        let id = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("the child has no process number"))?;
        Ok(Self {
            id,
            armed: AtomicBool::new(true),
        })
    }

    pub(super) fn id(&self) -> Pid {
        self.id
    }

    /// The leader's number.
    pub(super) fn number(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }

    /// To everyone in the group. Only while the leader is not reaped: until then its number is its own.
    pub(super) fn signal(&self, signal: Signal) {
        // The one possible failure is that nobody is left.
        let _nobody_left = kill_process_group(self.id, signal);
    }

    /// Done when the leader has ended, without reaping it.
    pub(super) fn leader_exit(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let id = self.id;
        // A blocking thread for each running command. It ends, because the group is killed in every case.
        let waiting = tokio::task::spawn_blocking(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while waitid(WaitId::Pid(id), options).is_err_and(|errno| errno == Errno::INTR) {}
        });
        Box::pin(async move {
            // It can only fail by a panic, and there is nothing in it that panics.
            drop(waiting.await);
        })
    }

    /// The leader was reaped; the number may be used again by somebody else.
    pub(super) fn disarm(&self) {
        self.armed.store(false, Ordering::Relaxed);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.armed.load(Ordering::Relaxed) {
            self.signal(Signal::KILL);
        }
    }
}
