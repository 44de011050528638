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

#[cfg(test)]
mod tests {
    use agent_config::Secret;

    use super::*;

    const PLANTED: &str = "opaque-canary-in-a-panic-0123456789";
    /// One that only its form gives away.
    const FORMED: &str = "sk-ant-api03-canarycanarycanarycanarycanary0123456789";
    const NAME: &str =
        "cli::protect::tests::secrets_in_crash_reports_are_taken_out_and_no_image_of_the_memory_is_left";
    /// Set where this program is its own child: the settings are for a whole process.
    const IS_CHILD: &str = "PROTECTED_CHILD";

    fn panic_with_secrets() {
        let redactor = Redactor::new(vec![Secret::from(PLANTED)]);
        from_leaks(&redactor);
        let folder = tempfile::tempdir().unwrap();
        let watch = agent_operations::crash::OwnWatch::begin(folder.path(), "1").unwrap();
        note_panics(watch.panics(), &redactor);
        let panicked = std::panic::catch_unwind(|| panic!("before {PLANTED} between\n{FORMED} after"));
        assert!(panicked.is_err());
        let in_thread = std::thread::spawn(|| {
            let number = format!("of a thread: {PLANTED}").parse::<u8>();
            number
                .map_err(|error| format!("{error} of a thread: {PLANTED}"))
                .unwrap();
        });
        assert!(in_thread.join().is_err());
        // What the report of a crash would hold.
        #[expect(clippy::disallowed_methods, reason = "a small file of this test's own")]
        let noted = std::fs::read_to_string(folder.path().join("panic.json")).unwrap();
        assert!(noted.contains("of a thread: [redacted]"), "{noted}");
        assert!(!noted.contains("canary"), "{noted}");
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
            assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
            let core = getrlimit(Resource::Core);
            assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
        }
        output::note("reached the end");
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the child is this very program, and is told so by its environment"
    )]
    #[test]
    fn secrets_in_crash_reports_are_taken_out_and_no_image_of_the_memory_is_left() {
        if std::env::var_os(IS_CHILD).is_some() {
            return panic_with_secrets();
        }
        for backtrace in ["0", "1"] {
            let child = std::process::Command::new(std::env::current_exe().unwrap())
                .args([NAME, "--exact", "--nocapture"])
                .env("RUST_BACKTRACE", backtrace)
                .env(IS_CHILD, "1")
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&child.stderr) + String::from_utf8_lossy(&child.stdout);
            assert!(child.status.success(), "{told}");
            for expected in [
                "before [redacted] between",
                " after",
                "of a thread",
                "protect.rs:",
                "reached the end",
            ] {
                assert!(told.contains(expected), "{expected}: {told}");
            }
            assert!(!told.contains("canary"), "{told}");
            assert_eq!(told.contains(" 0: "), backtrace == "1", "{told}");
        }
    }
}
