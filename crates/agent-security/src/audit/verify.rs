//! Finding out whether anything was changed.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::line::GENESIS;
use super::segments::{self, HEAD, Line, io};
use super::{AuditError, AuditEvent, CHECKPOINT_EVERY, Head, Record, sign};

/// Lines that the change to another segment may put where a signed one would be due; the segment's own end is signed.
const BETWEEN_SEGMENTS: u64 = 8;

/// What is known of the log from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// A line that has to be there, as it was printed before.
    pub head: Option<Head>,
    /// Whose signatures count, in base64; without one, those of the first key that signed.
    pub public_key: Option<String>,
}

/// A log that nobody changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Lines that were read.
    pub lines: u64,
    /// Signed ones among them.
    pub checkpoints: u64,
    /// The last line: what to keep elsewhere.
    pub head: Head,
    /// The key that signed; none before the first signature.
    pub public_key: Option<String>,
    /// The number of the first line that is still there.
    pub first: u64,
    /// Bytes of a line without an end: a crash while it was written, which the next line will tell of.
    pub torn: usize,
}

/// Where the chain breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// The line in it; none when it is about the file or the whole.
    pub line: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: {}", self.file.display(), self.what),
            None => write!(f, "{}: {}", self.file.display(), self.what),
        }
    }
}

/// Reads the whole log and stops at the first fault. Memory does not grow with the log.
///
/// # Errors
/// A file can't be read. A fault is no error here: it is the answer.
pub fn verify(folder: &Path, expected: &Expected) -> Result<Result<Verified, Fault>, AuditError> {
    let told = told_head(folder)?;
    let mut check = Check::new(folder, expected, told);
    let all = segments::list(folder)?;
    let last = all.len().saturating_sub(1);
    for (at, (first, path)) in all.iter().enumerate() {
        if let Err(what) = check.enters(*first, at == 0) {
            return Ok(Err(fault(path, None, what)));
        }
        let read = segments::lines(path, |number, line| {
            check
                .line(line, at == last)
                .map(|()| true)
                .map_err(|what| fault(path, Some(number), what))
        })?;
        if let Err(fault) = read {
            return Ok(Err(fault));
        }
        if at != last && !check.ended {
            return Ok(Err(fault(path, None, "lines at its end are missing".to_owned())));
        }
    }
    Ok(check.finish())
}

fn fault(file: &Path, line: Option<u64>, what: String) -> Fault {
    Fault {
        file: file.to_owned(),
        line,
        what,
    }
}

/// What the file `head` says. It is written after each line, so the log may be ahead of it, never behind.
fn told_head(folder: &Path) -> Result<Option<Result<Head, String>>, AuditError> {
    let path = folder.join(HEAD);
    let mut text = String::new();
    match segments::open(&path, File::options().read(true)) {
        Ok(file) => {
            // A number and a hash.
            let read = file.take(128).read_to_string(&mut text);
            read.map_err(|source| io("read", &path, source))?;
        }
        Err(AuditError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    Ok((!text.is_empty()).then(|| text.parse()))
}

struct Check<'a> {
    folder: &'a Path,
    expected: &'a Expected,
    told: Option<Result<Head, String>>,
    head: Head,
    first: u64,
    lines: u64,
    checkpoints: u64,
    key: Option<String>,
    since_checkpoint: u64,
    /// The last line says that another segment follows.
    ended: bool,
    torn: usize,
    /// The line that the oldest segment follows, if that was removed; it has to be told of.
    removed: Option<Head>,
    /// Heads that have to be met on the way.
    wanted: HashSet<u64>,
}

impl<'a> Check<'a> {
    fn new(folder: &'a Path, expected: &'a Expected, told: Option<Result<Head, String>>) -> Self {
        let heads = expected
            .head
            .iter()
            .chain(told.iter().filter_map(|told| told.as_ref().ok()));
        Check {
            folder,
            expected,
            wanted: heads.map(|head| head.seq).filter(|&seq| seq > 0).collect(),
            told,
            head: Head::default(),
            first: 1,
            lines: 0,
            checkpoints: 0,
            key: expected.public_key.clone(),
            since_checkpoint: 0,
            ended: false,
            torn: 0,
            removed: None,
        }
    }

    fn enters(&mut self, first: u64, is_oldest: bool) -> Result<(), String> {
        self.ended = false;
        if is_oldest {
            self.first = first;
            if first == 0 {
                return Err("its name is not that of a segment".to_owned());
            }
            self.head.seq = first - 1;
            return Ok(());
        }
        match self.head.seq + 1 == first {
            true => Ok(()),
            false => Err(format!(
                "it begins with line {first}, but the one before ends with line {}",
                self.head.seq
            )),
        }
    }

    fn line(&mut self, line: Line<'_>, is_last_segment: bool) -> Result<(), String> {
        let line = match line {
            Line::Whole(line) => line,
            Line::Torn(bytes) if is_last_segment => {
                self.torn = bytes.len();
                return Ok(());
            }
            Line::Torn(_) => return Err("its end is missing".to_owned()),
            Line::TooLong => return Err("it is longer than any line that is written".to_owned()),
        };
        if self.ended {
            return Err("it stands after the end of its segment".to_owned());
        }
        let (record, head) = Record::open(line)?;
        if record.seq != self.head.seq + 1 {
            return Err(format!(
                "it is number {}, where {} belongs",
                record.seq,
                self.head.seq + 1
            ));
        }
        if self.lines == 0 && self.first > 1 {
            self.removed = Some(Head {
                seq: self.head.seq,
                hash: record.prev.clone(),
            });
        } else if record.prev != self.head.hash {
            return Err("it does not follow the line before it".to_owned());
        }
        self.event(&record)?;
        self.lines += 1;
        self.head = head;
        self.meets()
    }

    fn event(&mut self, record: &Record) -> Result<(), String> {
        self.since_checkpoint += 1;
        match &record.event {
            AuditEvent::Checkpoint { key, signature } => {
                let before = Head {
                    seq: record.seq - 1,
                    hash: record.prev.clone(),
                };
                if self.key.get_or_insert_with(|| key.clone()) != key {
                    return Err("another key signed it".to_owned());
                }
                if !sign::is_signed(&before, key, signature) {
                    return Err("its signature is wrong".to_owned());
                }
                self.checkpoints += 1;
                self.since_checkpoint = 0;
            }
            AuditEvent::SegmentEnded {} => self.ended = true,
            AuditEvent::Pruned { through, hash } => {
                self.removed
                    .take_if(|removed| removed.seq == *through && removed.hash == *hash);
            }
            _ => {}
        }
        if self.since_checkpoint > CHECKPOINT_EVERY + BETWEEN_SEGMENTS {
            return Err("a signed line is missing".to_owned());
        }
        Ok(())
    }

    /// A line that was told of has to be the very one.
    fn meets(&mut self) -> Result<(), String> {
        if !self.wanted.remove(&self.head.seq) {
            return Ok(());
        }
        let told = self.told.as_ref().and_then(|told| told.as_ref().ok());
        let is_other = |head: &Head| head.seq == self.head.seq && head.hash != self.head.hash;
        if self.expected.head.as_ref().is_some_and(is_other) {
            return Err("it is not the line that was expected".to_owned());
        }
        if told.is_some_and(is_other) {
            return Err("it is not the line that the file `head` names".to_owned());
        }
        Ok(())
    }

    fn finish(self) -> Result<Verified, Fault> {
        let whole = |what: String| Err(fault(self.folder, None, what));
        match &self.told {
            Some(Err(what)) => return Err(fault(&self.folder.join(HEAD), None, what.clone())),
            None if self.lines > 0 => return whole("the file `head` is missing".to_owned()),
            _ => {}
        }
        if let Some(missing) = self.wanted.iter().filter(|&&seq| seq > self.head.seq).max() {
            return whole(format!(
                "lines at the end are missing: there were {missing} at least, and {} are left",
                self.head.seq
            ));
        }
        if let Some(expected) = &self.expected.head
            && (1..self.first).contains(&expected.seq)
        {
            return whole(format!(
                "line {} is expected, but the oldest that is kept is {}",
                expected.seq, self.first
            ));
        }
        if let Some(removed) = &self.removed {
            return whole(format!(
                "the lines up to {} are missing, and nothing says why",
                removed.seq
            ));
        }
        debug_assert!(self.lines > 0 || self.head.hash == GENESIS);
        Ok(Verified {
            lines: self.lines,
            checkpoints: self.checkpoints,
            head: self.head,
            public_key: self.key,
            first: self.first,
            torn: self.torn,
        })
    }
}
