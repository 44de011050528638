//! Writing: one line at a time, in the order in which processes get the lock.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::line::MAX_LINE;
use super::segments::{self, HEAD, io};
use super::sign::Signer;
use super::{AuditError, AuditEvent, CHECKPOINT_EVERY, Head, MAX_SEGMENT_BYTES, MAX_SEGMENTS, Record};

const LOCK: &str = "lock";

#[derive(Debug)]
pub(super) struct Appender {
    folder: PathBuf,
    lock: File,
    head_file: File,
    signer: Signer,
    /// As this process left it; another may have gone on since.
    tail: Option<Tail>,
    /// The file that a torn line was put into, until that is recorded.
    torn: Option<String>,
    max_segment: u64,
}

#[derive(Debug)]
struct Tail {
    path: PathBuf,
    file: File,
    length: u64,
    head: Head,
}

impl Appender {
    pub(super) fn open(folder: PathBuf) -> Result<Self, AuditError> {
        Self::with_segments_of(folder, MAX_SEGMENT_BYTES)
    }

    pub(super) fn with_segments_of(folder: PathBuf, max_segment: u64) -> Result<Self, AuditError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|source| io("make", &folder, source))?;
        let own = |name: &str| {
            let options = &mut OpenOptions::new();
            segments::open(
                &folder.join(name),
                options.read(true).write(true).create(true).truncate(false),
            )
        };
        let (lock, head_file) = (own(LOCK)?, own(HEAD)?);
        lock.lock().map_err(|source| io("lock", &folder, source))?;
        let made = Signer::of(&folder);
        lock.unlock().map_err(|source| io("unlock", &folder, source))?;
        let mut appender = Appender {
            signer: made?,
            folder,
            lock,
            head_file,
            tail: None,
            torn: None,
            max_segment,
        };
        // A damaged log is told when the program starts, not when something has to be recorded.
        appender.locked(Appender::find_tail)?;
        Ok(appender)
    }

    pub(super) fn append(&mut self, time: DateTime<Utc>, event: AuditEvent) -> Result<(), AuditError> {
        self.locked(|appender| {
            appender.find_tail()?;
            if let Some(kept_in) = appender.torn.take() {
                appender.write(time, AuditEvent::TornLine { kept_in })?;
            }
            appender.write(time, event)?;
            appender.close_segment(time)
        })
    }

    fn locked<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, AuditError>) -> Result<T, AuditError> {
        self.lock
            .lock()
            .map_err(|source| io("lock", &self.folder, source))?;
        let done = act(self);
        if done.is_err() {
            // What was written of it is found out the next time.
            self.tail = None;
        }
        self.lock
            .unlock()
            .map_err(|source| io("unlock", &self.folder, source))?;
        done
    }

    /// Makes `tail` the end of the log as it is now.
    fn find_tail(&mut self) -> Result<(), AuditError> {
        if let Some(tail) = &self.tail
            && length_of(&tail.file, &tail.path)? == tail.length
            && tail.path.exists()
        {
            return Ok(());
        }
        self.tail = None;
        let Some((first, path)) = segments::list(&self.folder)?.pop() else {
            return self.begin_segment(Head::default());
        };
        let mut file = segments::open(&path, OpenOptions::new().read(true).append(true))?;
        let length = length_of(&file, &path)?;
        let mut end = Vec::new();
        // The last line and a torn one after it.
        let from = length.saturating_sub(2 * MAX_LINE as u64);
        file.seek(SeekFrom::Start(from))
            .and_then(|_| Read::by_ref(&mut file).read_to_end(&mut end))
            .map_err(|source| io("read", &path, source))?;
        let whole = end.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let torn = end.split_off(whole);
        let head = match end.split_last() {
            Some((_, lines)) => {
                let begin = lines
                    .iter()
                    .rposition(|&byte| byte == b'\n')
                    .map_or(0, |at| at + 1);
                let (last, head) = Record::open(&lines[begin..]).map_err(|what| AuditError::Damaged {
                    path: path.clone(),
                    what: format!("the last line: {what}"),
                })?;
                if last.event == (AuditEvent::SegmentEnded {}) {
                    // Who ended it did not come to make the next.
                    return self.begin_segment(head);
                }
                head
            }
            None => self.head_before(first)?,
        };
        if !torn.is_empty() {
            self.torn = Some(self.put_aside(&file, &path, &torn, length, &head)?);
        }
        let length = length - torn.len() as u64;
        self.tail = Some(Tail {
            path,
            file,
            length,
            head,
        });
        Ok(())
    }

    /// What a segment without a whole line follows: it was made, and the process ended.
    fn head_before(&self, first: u64) -> Result<Head, AuditError> {
        let mut head = Head::default();
        for (begins, path) in segments::list(&self.folder)? {
            if begins >= first {
                break;
            }
            let last = segments::lines(&path, |_, line| {
                if let segments::Line::Whole(line) = line {
                    head = Record::open(line)?.1;
                }
                Ok::<_, String>(true)
            })?;
            last.map_err(|what| AuditError::Damaged { path, what })?;
        }
        Ok(head)
    }

    fn put_aside(
        &self,
        file: &File,
        path: &Path,
        torn: &[u8],
        length: u64,
        head: &Head,
    ) -> Result<String, AuditError> {
        let name = format!("torn-after-{:020}", head.seq);
        let aside = self.folder.join(&name);
        let options = &mut OpenOptions::new();
        let mut kept = segments::open(&aside, options.write(true).create(true).truncate(true))?;
        kept.write_all(torn)
            .and_then(|()| kept.sync_all())
            .map_err(|source| io("write", &aside, source))?;
        file.set_len(length - torn.len() as u64)
            .map_err(|source| io("shorten", path, source))?;
        Ok(name)
    }

    fn begin_segment(&mut self, head: Head) -> Result<(), AuditError> {
        let path = segments::path_of(&self.folder, head.seq + 1);
        let options = &mut OpenOptions::new();
        let file = segments::open(&path, options.read(true).append(true).create_new(true))?;
        self.tail = Some(Tail {
            path,
            file,
            length: 0,
            head,
        });
        Ok(())
    }

    /// Writes a line at the tail, and a signed one after it where it is time for that.
    fn write(&mut self, time: DateTime<Utc>, event: AuditEvent) -> Result<(), AuditError> {
        let seq = self.write_line(time, event)?;
        if (seq + 1).is_multiple_of(CHECKPOINT_EVERY) {
            self.write_checkpoint(time)?;
        }
        Ok(())
    }

    fn write_checkpoint(&mut self, time: DateTime<Utc>) -> Result<(), AuditError> {
        let head = self
            .tail
            .as_ref()
            .map(|tail| tail.head.clone())
            .unwrap_or_default();
        let checkpoint = self.signer.checkpoint(&head);
        self.write_line(time, checkpoint).map(drop)
    }

    fn write_line(&mut self, time: DateTime<Utc>, event: AuditEvent) -> Result<u64, AuditError> {
        let Some(tail) = &mut self.tail else {
            return Err(io(
                "find the end of",
                &self.folder,
                std::io::ErrorKind::NotFound.into(),
            ));
        };
        let synced = event.is_synced();
        let record = Record {
            seq: tail.head.seq + 1,
            time,
            event,
            prev: tail.head.hash.clone(),
        };
        let failed = |source| io("append to", &tail.path, source);
        let (line, head) = record.seal().map_err(|error| failed(error.into()))?;
        // In one call, so that a reader never sees a part of it for long.
        tail.file.write_all(line.as_bytes()).map_err(failed)?;
        if synced {
            tail.file.sync_data().map_err(failed)?;
        }
        tail.length += line.len() as u64;
        tail.head = head;
        let text = format!("{:020}:{}\n", tail.head.seq, tail.head.hash);
        self.head_file
            .write_all_at(text.as_bytes(), 0)
            .map_err(|source| io("write", &self.folder.join(HEAD), source))?;
        Ok(record.seq)
    }

    /// Ends a segment that is large enough, signed, and lets the oldest go where there are too many.
    fn close_segment(&mut self, time: DateTime<Utc>) -> Result<(), AuditError> {
        if self
            .tail
            .as_ref()
            .is_none_or(|tail| tail.length < self.max_segment)
        {
            return Ok(());
        }
        self.write_checkpoint(time)?;
        // Others see by its length that the segment is not the last any more.
        self.write_line(time, AuditEvent::SegmentEnded {})?;
        let head = self.tail.take().map(|tail| tail.head).unwrap_or_default();
        self.begin_segment(head)?;
        let mut all = segments::list(&self.folder)?;
        while all.len() > MAX_SEGMENTS {
            let (_, oldest) = all.remove(0);
            let through = self.head_before(all[0].0)?;
            self.write_line(
                time,
                AuditEvent::Pruned {
                    through: through.seq,
                    hash: through.hash,
                },
            )?;
            std::fs::remove_file(&oldest).map_err(|source| io("remove", &oldest, source))?;
        }
        Ok(())
    }
}

fn length_of(file: &File, path: &Path) -> Result<u64, AuditError> {
    let about = file.metadata().map_err(|source| io("examine", path, source))?;
    Ok(about.len())
}
