//! Who may append to a session: one owner at a time, over all processes.
//!
//! An owner holds an advisory lock on a small file of the session's. The kernel lets go of it when the process
//! ends, however it ends, so there is no stale lock to judge.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::error::{StoreError, from_io};
use super::files::{self, Creation};
use super::types::SessionId;

/// Sessions that one process may own: each costs a file descriptor, of which 1,024 is a usual limit.
const MAX_OWNED: usize = 256;

/// How often a lock file may be swept away between our opening and locking it.
const ATTEMPTS: usize = 16;

/// How long we wait for the lock of a process that has ended. A child that it was starting at that moment holds the lock
/// too, until it has become the program it was started for: milliseconds, or more on a busy machine.
const MAX_AFTERLIFE: Duration = Duration::from_secs(2);
const AFTERLIFE_POLL: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Claims {
    folder: PathBuf,
    owned: Mutex<HashMap<SessionId, Owned>>,
}

#[derive(Debug)]
struct Owned {
    _lock: LockFile,
    /// Whether a [`SessionClaim`] holds it; else it is held until it is released or the store closes.
    guarded: bool,
}

/// The right to append to a session, for as long as this value lives.
#[derive(Debug)]
#[must_use = "dropping the claim lets others append to the session"]
pub struct SessionClaim {
    claims: Arc<Claims>,
    session: SessionId,
}

impl SessionClaim {
    /// The session that is owned.
    pub fn session(&self) -> SessionId {
        self.session
    }
}

impl Drop for SessionClaim {
    fn drop(&mut self) {
        self.claims.owned.lock().remove(&self.session);
    }
}

impl Claims {
    pub(super) fn new(store: &Path) -> Self {
        Self {
            folder: files::beside(store, "-locks"),
            owned: Mutex::default(),
        }
    }

    /// Owns the session until the returned value is dropped. A session that was owned by way of `ensure` passes to
    /// the guard.
    pub(super) fn guard(self: &Arc<Self>, session: SessionId) -> Result<SessionClaim, StoreError> {
        let mut owned = self.owned.lock();
        if owned.get(&session).is_some_and(|held| held.guarded) {
            return Err(StoreError::InUse {
                session,
                pid: Some(std::process::id()),
            });
        }
        self.own(&mut owned, session)?.guarded = true;
        Ok(SessionClaim {
            claims: Arc::clone(self),
            session,
        })
    }

    /// Makes sure that this process owns the session.
    pub(super) fn ensure(&self, session: SessionId) -> Result<(), StoreError> {
        self.own(&mut self.owned.lock(), session).map(|_| ())
    }

    /// Makes sure that nobody works on the session: another process or a guard of this one.
    pub(super) fn ensure_unguarded(&self, session: SessionId) -> Result<(), StoreError> {
        let mut owned = self.owned.lock();
        match self.own(&mut owned, session)?.guarded {
            true => Err(StoreError::InUse {
                session,
                pid: Some(std::process::id()),
            }),
            false => Ok(()),
        }
    }

    /// Gives up a session that no guard holds.
    pub(super) fn release(&self, session: SessionId) {
        if let Entry::Occupied(held) = self.owned.lock().entry(session)
            && !held.get().guarded
        {
            held.remove();
        }
    }

    pub(super) fn release_unguarded(&self) {
        self.owned.lock().retain(|_, held| held.guarded);
    }

    fn own<'a>(
        &self,
        owned: &'a mut HashMap<SessionId, Owned>,
        session: SessionId,
    ) -> Result<&'a mut Owned, StoreError> {
        let count = owned.len();
        match owned.entry(session) {
            Entry::Occupied(held) => Ok(held.into_mut()),
            Entry::Vacant(_) if count >= MAX_OWNED => Err(StoreError::TooLarge {
                what: "sessions open for writing in this process",
                size: count as u64 + 1,
                limit: MAX_OWNED as u64,
            }),
            Entry::Vacant(free) => {
                let lock = LockFile::acquire(&self.folder, session)?;
                Ok(free.insert(Owned {
                    _lock: lock,
                    guarded: false,
                }))
            }
        }
    }
}

#[derive(Debug)]
struct LockFile {
    path: PathBuf,
    file: File,
}

impl LockFile {
    fn acquire(folder: &Path, session: SessionId) -> Result<Self, StoreError> {
        files::create_private_folder(folder).map_err(|e| from_io(folder, "creating", e))?;
        let path = folder.join(session.to_string());
        let begun = Instant::now();
        let mut attempts = 0;
        while attempts < ATTEMPTS {
            let mut file = files::open_private(&path, Creation::IfMissing)
                .map_err(|e| from_io(&path, "opening the lock", e))?;
            match file.try_lock() {
                Ok(()) => attempts += 1,
                Err(TryLockError::WouldBlock) => {
                    let pid = read_pid(&mut file);
                    if pid.is_some_and(has_ended) && begun.elapsed() < MAX_AFTERLIFE {
                        std::thread::sleep(AFTERLIFE_POLL);
                        continue;
                    }
                    return Err(StoreError::InUse { session, pid });
                }
                Err(TryLockError::Error(error)) => return Err(from_io(&path, "locking", error)),
            }
            // The last owner removes the file: what we locked may have no name any more, and then it is no lock.
            if is_still(&file, &path) {
                write_pid(&mut file).map_err(|e| from_io(&path, "writing the lock", e))?;
                return Ok(Self { path, file });
            }
        }
        Err(StoreError::InUse { session, pid: None })
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // While the lock is held nobody else removes the file. One that stays behind is empty of meaning, so a
        // failure costs nothing but the file.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(lock = %self.path.display(), %error, "a session's lock file stays behind");
        }
        drop(self.file.unlock());
    }
}

/// Only to tell a person who it is; the lock itself does not depend on it.
fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    write!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    /// More digits than a process id has.
    const LONGEST: u64 = 20;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Whether no process has this id any more.
fn has_ended(pid: u32) -> bool {
    use rustix::process::{Pid, test_kill_process};
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return true;
    };
    // A process of another user answers EPERM: it is there.
    test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}

#[cfg(unix)]
fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(ours), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (named.dev(), named.ino())
}

/// Elsewhere an open file can't lose its name.
#[cfg(not(unix))]
fn is_still(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;

    /// The file is removed and made anew all the time: an owner must never hold the lock of one that has lost its
    /// name while another holds that of the next.
    #[test]
    fn there_is_one_owner_though_lock_files_come_and_go() {
        const OWNERS: usize = 4;
        const TURNS: u32 = 500;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let session = SessionId::generate();
        let (owned, turns) = (AtomicBool::new(false), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..OWNERS {
                scope.spawn(|| {
                    // Each as a process of its own would: nothing but the file is shared.
                    let claims = Arc::new(Claims::new(&folder.path().join("store")));
                    while turns.load(Ordering::SeqCst) < TURNS {
                        if let Ok(claim) = claims.guard(session) {
                            assert!(!owned.swap(true, Ordering::SeqCst), "two owners");
                            std::thread::yield_now();
                            owned.store(false, Ordering::SeqCst);
                            drop(claim);
                            turns.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
    }

    /// As after `kill -9` in the moment in which the owner started a child: the child holds the lock a little longer.
    #[test]
    fn the_lock_of_a_process_that_has_ended_is_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let claims = Arc::new(Claims::new(&folder.path().join("store")));
        let session = SessionId::generate();
        std::fs::create_dir(&claims.folder).expect("a folder for locks");
        let path = claims.folder.join(session.to_string());
        let file = File::create_new(&path).expect("a lock file");
        file.lock().expect("the lock is free");
        // No process has this id: it is beyond the largest that Linux gives.
        std::fs::write(&path, (1u32 << 30).to_string()).expect("the pid is written");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(100));
                drop(file);
            });
            drop(claims.guard(session).expect("the lock becomes free"));
        });
        // A living owner is not waited for.
        let held = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .expect("a lock file");
        held.lock().expect("the lock is free");
        std::fs::write(&path, std::process::id().to_string()).expect("the pid is written");
        let begun = Instant::now();
        assert!(matches!(
            claims.guard(session),
            Err(StoreError::InUse { pid: Some(_), .. })
        ));
        assert!(begun.elapsed() < MAX_AFTERLIFE);
    }
}
