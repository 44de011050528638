//! The ledger's file: appended to line by line, written anew when most of it is history.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MARK, MAX_CHILDREN, proc};

/// Lines after which the file is written anew: four for each child that may be alive, so that this happens at most
/// once in two thousand beginnings and ends.
const MAX_LINES: usize = 4 * MAX_CHILDREN;

/// Bytes read of a file: its lines at their longest. What is beyond was not written by us.
const MAX_FILE: u64 = (MAX_LINES * 512) as u64;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Owner(Owner),
    Began(Child),
    Ended { pid: u32, start: u64 },
}

/// The process whose children these are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) pid: u32,
    pub(super) start: u64,
    pub(super) boot: String,
    pub(super) namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Child {
    pub(super) pid: u32,
    pub(super) group: u32,
    pub(super) start: u64,
    pub(super) command: String,
}

/// Removed when dropped: a process that ends in order has ended its children.
#[derive(Debug)]
pub(super) struct LedgerFile {
    path: PathBuf,
    file: File,
    owner: Owner,
    alive: Vec<Child>,
    lines: usize,
}

impl Owner {
    pub(super) fn this_process() -> io::Result<Self> {
        let pid = std::process::id();
        let (boot, namespace) = proc::numbering()?;
        let start = proc::stat(pid)?.start;
        Ok(Owner {
            pid,
            start,
            boot,
            namespace,
        })
    }

    /// Names this process among all that ever ran on the machine.
    pub(super) fn mark(&self) -> String {
        format!("{}-{}-{}", self.boot, self.pid, self.start)
    }

    /// The mark as it stands in an environment.
    pub(super) fn assignment(&self) -> Vec<u8> {
        format!("{MARK}={}", self.mark()).into_bytes()
    }
}

impl LedgerFile {
    pub(super) fn create(folder: &Path, owner: Owner) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // A second ledger of the same process has a name of its own.
        for number in 0_u32..1024 {
            let path = folder.join(format!("{}-{}-{number}.jsonl", owner.pid, owner.start));
            match create_new(&path) {
                Ok(file) => {
                    let mut ledger = LedgerFile {
                        path,
                        file,
                        owner,
                        alive: Vec::new(),
                        lines: 0,
                    };
                    let owner = Line::Owner(ledger.owner.clone());
                    ledger.append(&owner)?;
                    return Ok(ledger);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("this process has too many ledgers of children"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn begin(&mut self, child: Child) -> io::Result<()> {
        if self.alive.len() >= MAX_CHILDREN {
            return Err(io::Error::other(format!(
                "{MAX_CHILDREN} child processes are alive, and no more are written down"
            )));
        }
        self.append(&Line::Began(child.clone()))?;
        self.alive.push(child);
        Ok(())
    }

    pub(super) fn end(&mut self, child: &Child) -> io::Result<()> {
        self.alive
            .retain(|other| (other.pid, other.start) != (child.pid, child.start));
        if self.lines >= MAX_LINES {
            return self.rewrite();
        }
        self.append(&Line::Ended {
            pid: child.pid,
            start: child.start,
        })
    }

    /// One write a line: a crash leaves at most the last one torn, and readers skip it. Not synced to the disk: only
    /// a crash of the machine loses it, and that ends the children, too.
    fn append(&mut self, line: &Line) -> io::Result<()> {
        self.file.write_all(&encode(line)?)?;
        self.lines += 1;
        Ok(())
    }

    /// Replaces the file by one that holds only what is alive; the old one stays whole until then.
    fn rewrite(&mut self) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        // A leftover of an earlier try; it may not exist.
        drop(fs::remove_file(&fresh));
        let mut file = create_new(&fresh)?;
        let mut text = encode(&Line::Owner(self.owner.clone()))?;
        for child in &self.alive {
            text.extend(encode(&Line::Began(child.clone()))?);
        }
        file.write_all(&text)?;
        fs::rename(&fresh, &self.path)?;
        self.file = file;
        self.lines = 1 + self.alive.len();
        Ok(())
    }
}

impl Drop for LedgerFile {
    fn drop(&mut self) {
        // With children alive the file stays for the next start to read; failing, it names nobody who lives.
        if self.alive.is_empty() {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Who wrote a ledger, and which children had not ended when it stopped. `None` when it is no ledger.
pub(super) fn read(path: &Path) -> io::Result<Option<(Owner, Vec<Child>)>> {
    let file = OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(path)?;
    let mut owner = None;
    let mut alive: Vec<Child> = Vec::new();
    for line in BufReader::new(file.take(MAX_FILE)).split(b'\n') {
        // A torn or foreign line tells nothing; the others still do.
        match serde_json::from_slice(&line?) {
            Ok(Line::Owner(writer)) => owner = Some(writer),
            Ok(Line::Began(child)) if alive.len() < MAX_CHILDREN => alive.push(child),
            Ok(Line::Ended { pid, start }) => alive.retain(|child| (child.pid, child.start) != (pid, start)),
            Ok(Line::Began(_)) | Err(_) => {}
        }
    }
    Ok(owner.map(|owner| (owner, alive)))
}

const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(NO_FOLLOW)
        .open(path)
}

fn encode(line: &Line) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text)
}
