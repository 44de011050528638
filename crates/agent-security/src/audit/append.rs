//! Writing: one line at a time, in the order in which processes get the lock.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

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
    /// What the file `head` named when the log turned out to be shorter, until that is recorded.
    lost: Option<String>,
    /// The time of the oldest line that no checkpoint signs, as far as this process knows.
    unsigned_since: Option<DateTime<Utc>>,
    /// A line was written that has to be on the disk before anybody is told so.
    unsynced: bool,
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
            lost: None,
            unsigned_since: None,
            unsynced: false,
            max_segment,
        };
        // A damaged log is told when the program starts, not when something has to be recorded.
        appender.locked(Appender::find_tail)?;
        Ok(appender)
    }

    /// Writes the events in their order, and stops at the first that fails. What has to be on the disk is, when this returns; one
    /// wait for the disk serves all of them. Each event has an outcome.
    pub(super) fn append(&mut self, events: Vec<(DateTime<Utc>, AuditEvent)>) -> Vec<Result<(), AuditError>> {
        let synced: Vec<bool> = events.iter().map(|(_, event)| event.is_synced()).collect();
        let mut written = 0;
        let done = self.locked(|appender| {
            let outcome: Result<(), AuditError> = events.into_iter().try_for_each(|(time, event)| {
                appender.write_event(time, event)?;
                written += 1;
                Ok(())
            });
            // After a failure, too: for those before it.
            let on_disk = appender.sync();
            if outcome.is_err() || on_disk.is_err() {
                // What there is of it is found out before the next line.
                appender.tail = None;
            }
            Ok((outcome, on_disk))
        });
        let outcome = |(at, &synced): (usize, &bool)| match &done {
            Err(error) => Err(error.again()),
            Ok((Err(error), _)) if at >= written => Err(error.again()),
            Ok((_, Err(error))) if synced => Err(error.again()),
            Ok(_) => Ok(()),
        };
        synced.iter().enumerate().map(outcome).collect()
    }

    fn write_event(&mut self, time: DateTime<Utc>, event: AuditEvent) -> Result<(), AuditError> {
        self.find_tail()?;
        if let Some(expected) = self.lost.take() {
            self.write(time, AuditEvent::LinesMissing { expected })?;
        }
        if let Some(kept_in) = self.torn.take() {
            self.write(time, AuditEvent::TornLine { kept_in })?;
        }
        self.write(time, event)?;
        self.close_segment(time)
    }

    /// Signs what has gone without a signature for `patience`, and puts it on the disk. Finds out whether the log can be written on the way.
    pub(super) fn sign_if_due(&mut self, now: DateTime<Utc>, patience: TimeDelta) -> Result<(), AuditError> {
        self.locked(|appender| {
            appender.find_tail()?;
            // Either way: a clock that was set back must not put it off.
            let is_due = |since: DateTime<Utc>| (now - since).abs() >= patience;
            if appender.unsigned_since.is_some_and(is_due) {
                appender.write_checkpoint(now)?;
                appender.unsynced = true;
            }
            appender.sync()
        })
    }

    /// The time of the oldest line that no checkpoint signs; none when all are signed.
    pub(super) fn unsigned_since(&self) -> Option<DateTime<Utc>> {
        self.unsigned_since
    }

    fn sync(&mut self) -> Result<(), AuditError> {
        if !std::mem::take(&mut self.unsynced) {
            return Ok(());
        }
        match &self.tail {
            Some(tail) => tail
                .file
                .sync_data()
                .map_err(|source| io("write to the disk", &tail.path, source)),
            // The file that held it is not known any more, so nobody knows what of it is safe.
            None => Err(io(
                "write to the disk",
                &self.folder,
                std::io::ErrorKind::NotFound.into(),
            )),
        }
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
        self.seek_tail()?;
        self.lost = self.missing()?;
        Ok(())
    }

    /// What the file `head` names, if the log does not reach it. Has to be looked at before the next line moves it on: afterwards
    /// nothing would tell of the cut.
    fn missing(&self) -> Result<Option<String>, AuditError> {
        let mut bytes = [0; segments::HEAD_BYTES];
        let read = self
            .head_file
            .read_at(&mut bytes, 0)
            .map_err(|source| io("read", &self.folder.join(HEAD), source))?;
        let told = std::str::from_utf8(&bytes[..read]).ok();
        let told = told.and_then(|text| text.parse::<Head>().ok());
        let Some(end) = self.tail.as_ref().map(|tail| &tail.head) else {
            return Ok(None);
        };
        Ok(match told {
            Some(told) if told.seq > end.seq || (told.seq == end.seq && told != *end) => {
                Some(told.to_string())
            }
            // After the very first line a process may have ended before it wrote the head.
            None if end.seq > 1 => Some(String::new()),
            _ => None,
        })
    }

    fn seek_tail(&mut self) -> Result<(), AuditError> {
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
                match last.event {
                    AuditEvent::Checkpoint { .. } => self.unsigned_since = None,
                    _ => drop(self.unsigned_since.get_or_insert(last.time)),
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
        let (synced, signs) = (event.is_synced(), matches!(event, AuditEvent::Checkpoint { .. }));
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
        self.unsynced |= synced;
        match signs {
            true => self.unsigned_since = None,
            false => drop(self.unsigned_since.get_or_insert(time)),
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
        self.sync()?;
        // All that counts of it is signed; its last line is vouched for by the next segment's.
        self.unsigned_since = None;
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
