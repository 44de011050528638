//! Keeps secrets out of what is left behind when something goes wrong: the text of a panic, and images of the memory.

use std::backtrace::{Backtrace, BacktraceStatus};

use agent_operations::crash::PanicNotes;
use agent_security::redact::Redactor;

use super::output;

/// From now on panics are told without secrets, and the memory of this process is written nowhere.
pub(super) fn from_leaks(redactor: &Redactor) {
    keep_memory_private();
    let redactor = redactor.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let backtrace = Backtrace::capture();
        let mut text = panic.to_string();
        if backtrace.status() == BacktraceStatus::Captured {
            text = format!("{text}\n{backtrace}");
        }
        output::note(&redactor.redact(&text));
    }));
}

/// From now on panics are also written down for the report of a crash, without secrets.
pub(super) fn note_panics(notes: PanicNotes, redactor: &Redactor) {
    let (before, redactor) = (std::panic::take_hook(), redactor.clone());
    std::panic::set_hook(Box::new(move |panic| {
        notes.note(&redactor.redact(&panic.to_string()));
        before(panic);
    }));
}

/// No core dumps, and no other process of this user may read the memory. What is refused here is no reason not to work: the
/// keys are then as safe as in any other program.
#[cfg(target_os = "linux")]
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    no_core_files();
    // Covers handlers that are sent cores through a pipe, for which a limit of zero does not hold, and debuggers.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::debug!(%error, "other processes of this user may read the memory of this one");
    }
}

#[cfg(not(target_os = "linux"))]
fn keep_memory_private() {
    no_core_files();
}

fn no_core_files() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::debug!(%error, "core dumps can't be turned off");
    }
}
