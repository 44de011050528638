//! Looks into every file that the product writes while the tests run, also those that are gone a moment later, for the secrets that the tests plant.
//!
//! The kernel tells of each file that is closed after writing, and hands over the file itself (fanotify). That needs root on Linux; elsewhere nothing
//! is looked at, and the run says so. What the tests write themselves (their inputs hold the secrets) is told apart by the program that wrote it.

use std::path::{Path, PathBuf};

/// Part of every secret that a test plants in the environment, a key file or a configuration of the product.
pub(crate) const PLANTED: &str = "never-printed";

/// How the names of files begin that are there to hold secrets, and of those that take their place.
#[cfg(target_os = "linux")]
const KEEPERS: &[&str] = &["keys.json", ".new-keys-"];

/// A secret where none may be.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leak {
    file: PathBuf,
    writer: String,
}

impl std::fmt::Display for Leak {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} holds a planted secret; written by {}",
            self.file.display(),
            self.writer
        )
    }
}

/// What came of watching.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Files that were looked into.
    pub(crate) files: u64,
    /// What was found, each once.
    pub(crate) leaks: Vec<Leak>,
    /// Why not everything was looked at.
    pub(crate) gap: Option<String>,
}

#[cfg(target_os = "linux")]
pub(crate) use watch::Watch;

#[cfg(target_os = "linux")]
mod watch {
    use std::collections::BTreeSet;
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::{AsRawFd as _, BorrowedFd};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::JoinHandle;
    use std::time::Duration;

    use nix::errno::Errno;
    use nix::sys::fanotify::{EventFFlags, Fanotify, FanotifyEvent, InitFlags, MarkFlags, MaskFlags};

    use super::{KEEPERS, Leak, PLANTED, Path, PathBuf, Report};

    /// Bytes of one file that are looked at. Nothing the product writes in a test is nearly as long.
    const MAX_BYTES: u64 = 64 * 1024 * 1024;

    /// Between two looks at an empty queue; the kernel keeps 16384 files meanwhile.
    const PAUSE: Duration = Duration::from_millis(10);

    /// Watches the file system of a folder until it is stopped.
    pub(crate) struct Watch {
        stop: Arc<AtomicBool>,
        thread: JoinHandle<Report>,
    }

    impl Watch {
        /// Begins to watch what is written beneath `folder`.
        ///
        /// # Errors
        /// Why the kernel does not let this process watch.
        pub(crate) fn start(folder: &Path) -> Result<Self, String> {
            let not_permitted = |errno: Errno| match errno {
                Errno::EPERM => "only root may watch".to_owned(),
                other => format!("the kernel can't watch: {other}"),
            };
            let group = Fanotify::init(
                InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK,
                EventFFlags::O_RDONLY | EventFFlags::O_LARGEFILE | EventFFlags::O_CLOEXEC,
            )
            .map_err(not_permitted)?;
            let here = File::open(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
            group
                .mark(flags, MaskFlags::FAN_CLOSE_WRITE, &here, None::<&Path>)
                .map_err(not_permitted)?;
            let stop = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&stop);
            let mut scan = Scan {
                folder: folder.to_owned(),
                seen: BTreeSet::new(),
                report: Report::default(),
            };
            let thread = std::thread::spawn(move || {
                scan.follow(&group, &told);
                scan.report.leaks = scan.seen.into_iter().collect();
                scan.report
            });
            Ok(Self { stop, thread })
        }

        /// Ends when everything that was written until now has been looked at.
        pub(crate) fn stop(self) -> Report {
            self.stop.store(true, Ordering::Release);
            self.thread.join().unwrap_or_else(|_| Report {
                gap: Some("the watcher failed".to_owned()),
                ..Report::default()
            })
        }
    }

    struct Scan {
        folder: PathBuf,
        seen: BTreeSet<Leak>,
        report: Report,
    }

    impl Scan {
        fn follow(&mut self, group: &Fanotify, stop: &AtomicBool) {
            loop {
                // Read before the queue: what comes in between is still taken.
                let ending = stop.load(Ordering::Acquire);
                match group.read_events() {
                    Ok(events) => events.iter().for_each(|event| self.look(event)),
                    Err(Errno::EAGAIN) if ending => return,
                    Err(Errno::EAGAIN | Errno::EINTR) => std::thread::sleep(PAUSE),
                    Err(errno) => {
                        self.report.gap = Some(format!("the watcher broke off: {errno}"));
                        return;
                    }
                }
            }
        }

        fn look(&mut self, event: &FanotifyEvent) {
            if event.mask().contains(MaskFlags::FAN_Q_OVERFLOW) {
                self.report.gap = Some("more was written at once than the kernel remembers".to_owned());
            }
            let Some(file) = event.fd() else { return };
            // The path at the time of a look, with a mark behind it if the file is gone; the file is the same one.
            let Ok(path) = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) else {
                return;
            };
            if !path.starts_with(&self.folder) {
                return;
            }
            // A process that is ending has no program any more: then it is taken for the product.
            let writer = std::fs::read_link(format!("/proc/{}/exe", event.pid()));
            if writer.as_ref().is_ok_and(|program| is_test(program)) || is_keeper(&path) {
                return;
            }
            self.report.files += 1;
            match holds_secret(file) {
                Ok(false) => {}
                Ok(true) => {
                    let writer = writer.map_or_else(
                        |_| format!("process {}, which has ended", event.pid()),
                        |program| program.display().to_string(),
                    );
                    self.seen.insert(Leak { file: path, writer });
                }
                Err(error) => self.report.gap = Some(format!("{}: {error}", path.display())),
            }
        }
    }

    /// Cargo puts the programs of tests, and only those of what runs here, into a folder of that name.
    fn is_test(program: &Path) -> bool {
        program.parent().is_some_and(|folder| folder.ends_with("deps"))
    }

    fn is_keeper(path: &Path) -> bool {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| KEEPERS.iter().any(|keeper| name.starts_with(keeper)))
    }

    fn holds_secret(file: BorrowedFd<'_>) -> std::io::Result<bool> {
        let mut content = Vec::new();
        File::from(file.try_clone_to_owned()?)
            .take(MAX_BYTES)
            .read_to_end(&mut content)?;
        Ok(content
            .windows(PLANTED.len())
            .any(|window| window == PLANTED.as_bytes()))
    }

    #[cfg(test)]
    mod tests {
        use std::process::Command;

        use super::*;

        fn watched(script: &str) -> Option<(PathBuf, Report)> {
            let folder = outside().unwrap();
            // Without root there is nothing to see.
            let watch = Watch::start(folder.path()).ok()?;
            std::fs::write(folder.path().join("by-the-test"), PLANTED).unwrap();
            let status = Command::new("sh")
                .args(["-c", script])
                .env("SECRET", PLANTED)
                .current_dir(folder.path())
                .status()
                .unwrap();
            assert!(status.success());
            Some((folder.path().to_owned(), watch.stop()))
        }

        /// Beside the folder that is watched while these tests run themselves: what is planted here is no leak of that run.
        fn outside() -> std::io::Result<tempfile::TempDir> {
            tempfile::tempdir_in("/tmp")
        }

        #[test]
        fn a_secret_is_found_in_a_file_that_is_gone_at_once() {
            let script = "echo a > clean; echo \"x $SECRET\" > leak; rm leak; echo $SECRET > keys.json";
            let Some((_, report)) = watched(script) else {
                return;
            };
            assert!(report.gap.is_none(), "{:?}", report.gap);
            assert!(report.files >= 2, "{report:?}");
            let [leak] = report.leaks.as_slice() else {
                panic!("{report:?}");
            };
            assert!(leak.to_string().contains("/leak"), "{leak}");
        }

        #[test]
        fn what_a_test_writes_and_what_holds_no_secret_is_no_leak() {
            let Some((_, report)) = watched("echo never > a; echo printed > b") else {
                return;
            };
            assert!(report.leaks.is_empty(), "{report:?}");
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) struct Watch;

#[cfg(not(target_os = "linux"))]
impl Watch {
    pub(crate) fn start(_folder: &Path) -> Result<Self, String> {
        Err("this system has no way to watch all files".to_owned())
    }

    pub(crate) fn stop(self) -> Report {
        Report::default()
    }
}
