//! The one thread of this process that changes the store.
//!
//! Changes wait in a bounded queue. Whatever waits when the thread is free is committed together, so that many
//! sessions share the price of a disk flush; each caller hears of its own change only after that commit.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::connection::BUSY_WAIT;
use super::error::{Fault, StoreError, from_io};
use crate::instruments::Instruments;

/// Changes that may wait. One agent has one at a time; past this many, callers wait to be let in.
const QUEUE: usize = 256;

/// Changes in one commit: enough to share the flush, few enough that the first caller is not kept waiting.
const GROUP: usize = 64;

/// Other changes wait meanwhile; readers are done within milliseconds.
const EMPTY_LOG_WAIT: Duration = Duration::from_millis(250);

const ACTION: &str = "writing";

pub(super) struct Writer {
    path: PathBuf,
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What to do once a change is committed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    Nothing,
    /// Empty the log: what was deleted is to leave the disk.
    EmptyLog,
}

struct Job {
    change: Box<dyn Change>,
    afterwards: Afterwards,
    asked: Instant,
    result: Result<(), Fault>,
}

/// May be applied more than once: a group that fails is rolled back and its changes are tried one by one.
trait Change: Send {
    fn apply(&mut self, connection: &Connection) -> Result<(), Fault>;
    fn finish(self: Box<Self>, result: Result<(), StoreError>);
}

struct Pending<T, F> {
    apply: F,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Change for Pending<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> Result<T, Fault> + Send,
{
    fn apply(&mut self, connection: &Connection) -> Result<(), Fault> {
        self.value = Some((self.apply)(connection)?);
        Ok(())
    }

    fn finish(self: Box<Self>, result: Result<(), StoreError>) {
        let value = self.value;
        // A caller that stopped waiting has its change stored all the same.
        drop(
            self.reply
                .send(result.map(|()| value.expect("a change that succeeded left its value"))),
        );
    }
}

impl Writer {
    pub(super) fn start(
        path: &Path,
        connection: Connection,
        instruments: Instruments,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let at = path.to_path_buf();
        let thread = std::thread::Builder::new()
            .name("session-writer".into())
            .spawn(move || serve(&connection, &at, &instruments, jobs))
            .map_err(|e| from_io(path, "starting the writer of", e))?;
        Ok(Self {
            path: path.into(),
            queue: Mutex::new(Some(queue)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Runs `apply` in a transaction and answers when that is on the disk. Dropping the future does not take a
    /// change back that has been queued.
    pub(super) async fn write<T, F>(&self, afterwards: Afterwards, apply: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let queue = self.queue.lock().clone().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let change = Box::new(Pending {
            apply,
            value: None,
            reply,
        });
        let job = Job {
            change,
            afterwards,
            asked: Instant::now(),
            result: Ok(()),
        };
        queue.send(job).await.map_err(|_| StoreError::Closed)?;
        drop(queue);
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Takes no more changes, finishes those that wait, and returns when the file is closed. Blocks.
    pub(super) fn close(&self) {
        drop(self.queue.lock().take());
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(store = %self.path.display(), "the session writer panicked");
        }
    }
}

fn serve(connection: &Connection, path: &Path, instruments: &Instruments, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = jobs.try_recv()
        {
            group.push(next);
        }
        let empty_log = group.iter().any(|job| job.afterwards == Afterwards::EmptyLog);
        for job in &group {
            instruments.write_queued(job.asked.elapsed());
        }
        commit(connection, path, instruments, group);
        if empty_log {
            truncate_log(connection, path);
        }
    }
}

fn commit(connection: &Connection, path: &Path, instruments: &Instruments, mut group: Vec<Job>) {
    let answer = |change: Box<dyn Change>, result: Result<(), StoreError>| {
        if let Err(error) = &result {
            instruments.write_failed(error.kind());
        }
        change.finish(result);
    };
    let begun = Instant::now();
    match transaction(connection, &mut group) {
        Ok(()) => {
            instruments.committed(begun.elapsed());
            for job in group {
                answer(job.change, job.result.map_err(|fault| fault.at(path, ACTION)));
            }
        }
        // One after the other they would each wait as long again for the same lock.
        Err(Fault::Sql(error)) if is_busy(&error) => {
            for job in group {
                let (path, waited) = (path.into(), BUSY_WAIT);
                answer(job.change, Err(StoreError::Locked { path, waited }));
            }
        }
        Err(fault) => match group.pop() {
            Some(only) if group.is_empty() => answer(only.change, Err(fault.at(path, ACTION))),
            // A change that fails as a whole (no space for it, say) must not take its neighbours with it.
            last => group
                .into_iter()
                .chain(last)
                .for_each(|job| commit(connection, path, instruments, vec![job])),
        },
    }
}

/// All of the group in one transaction. A change that is refused for a reason of its own is taken out of it by its
/// savepoint; anything else ends the transaction, with nothing of it stored.
fn transaction(connection: &Connection, group: &mut [Job]) -> Result<(), Fault> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let applied = group.iter_mut().try_for_each(|job| {
        connection.execute_batch("SAVEPOINT change")?;
        job.result = match job.change.apply(connection) {
            Err(refused @ Fault::Store(_)) => {
                connection.execute_batch("ROLLBACK TO change")?;
                Err(refused)
            }
            other => Ok(other?),
        };
        Ok(connection.execute_batch("RELEASE change")?)
    });
    let committed = applied.and_then(|()| Ok(connection.execute_batch("COMMIT")?));
    // SQLite has rolled back by itself after some errors (a full disk is one).
    if committed.is_err()
        && !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a failed change to the session store could not be rolled back");
    }
    committed
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// As far as no reader stands in the way; the rest happens at the next checkpoint.
fn truncate_log(connection: &Connection, path: &Path) {
    let run = || {
        connection.busy_timeout(EMPTY_LOG_WAIT)?;
        let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        connection.busy_timeout(BUSY_WAIT)?;
        emptied
    };
    if let Err(error) = run() {
        tracing::warn!(store = %path.display(), %error, "the log of the session store could not be emptied");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::session::connection::{self, Access};
    use crate::session::{files, schema};

    fn writer() -> (tempfile::TempDir, Arc<Writer>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = files::prepare(&folder.path().join("sessions.db"), schema::create).expect("created");
        let connection = connection::open(&path, Access::Write).expect("opens");
        connection.busy_timeout(Duration::from_millis(20)).expect("set");
        (
            folder,
            Arc::new(Writer::start(&path, connection, Instruments::none()).expect("starts")),
        )
    }

    fn insert(text: String) -> impl FnMut(&Connection) -> Result<usize, Fault> + Send + 'static {
        move |c| {
            let sql = "INSERT INTO messages (role, created, checksum, content) VALUES ('user', 0, 0, ?1)";
            Ok(c.execute(sql, [&text])?)
        }
    }

    async fn count(writer: &Writer) -> i64 {
        let count = |c: &Connection| Ok(c.query_row("SELECT count(*) FROM messages", [], |row| row.get(0))?);
        writer.write(Afterwards::Nothing, count).await.expect("counted")
    }

    /// Holds the thread until all of `changes` wait, so that they are one group.
    async fn as_one_group(
        writer: &Arc<Writer>,
        changes: Vec<Option<String>>,
    ) -> Vec<Result<usize, StoreError>> {
        let (release, held) = sync_channel::<()>(1);
        let mut tasks = Vec::new();
        let blocked = async {
            // Waits once only: it may share the group, and then a failure of that runs it again.
            let mut held = Some(held);
            let hold = move |_: &Connection| Ok(held.take().is_none_or(|held| held.recv().is_ok()));
            writer.write(Afterwards::Nothing, hold).await.expect("held");
        };
        for change in changes {
            tasks.push(async move {
                match change {
                    Some(text) => writer.write(Afterwards::Nothing, insert(text)).await,
                    None => {
                        let refuse = |c: &Connection| {
                            insert("taken back".into())(c)?;
                            Err(StoreError::Closed.into())
                        };
                        writer.write(Afterwards::Nothing, refuse).await
                    }
                }
            });
        }
        let releasing = async { release.send(()).expect("the thread waits") };
        // `join!` polls in order: the blocker and every change are queued before the release.
        let all = futures_util::future::join_all(tasks);
        let ((), results, ()) = tokio::join!(blocked, all, releasing);
        results
    }

    fn kinds(results: &[Result<usize, StoreError>]) -> Vec<&'static str> {
        results
            .iter()
            .map(|result| result.as_ref().map_or_else(StoreError::kind, |_| "ok"))
            .collect()
    }

    #[tokio::test]
    async fn a_refused_change_is_taken_out_of_its_group() {
        let (_folder, writer) = writer();
        let results = as_one_group(&writer, vec![Some("a".into()), None, Some("b".into())]).await;
        assert_eq!(kinds(&results), ["ok", "closed", "ok"]);
        assert_eq!(count(&writer).await, 2);
    }

    #[tokio::test]
    async fn a_full_disk_fails_only_what_does_not_fit_and_is_survived() {
        let (_folder, writer) = writer();
        let limit = |pages: u32| {
            move |c: &Connection| {
                let sql = format!("PRAGMA max_page_count = {pages}");
                Ok(c.query_row(&sql, [], |row| row.get::<_, i64>(0))?)
            }
        };
        let pages = |c: &Connection| Ok(c.query_row("PRAGMA page_count", [], |row| row.get(0))?);
        let pages: u32 = writer.write(Afterwards::Nothing, pages).await.expect("counted");
        writer
            .write(Afterwards::Nothing, limit(pages + 10))
            .await
            .expect("limited");

        let large = "x".repeat(1 << 20);
        let results = as_one_group(
            &writer,
            vec![Some("a".into()), Some(large.clone()), Some("b".into())],
        )
        .await;
        assert_eq!(kinds(&results), ["ok", "full", "ok"]);
        assert_eq!(count(&writer).await, 2);

        writer
            .write(Afterwards::Nothing, limit(1_000_000))
            .await
            .expect("raised");
        writer
            .write(Afterwards::Nothing, insert(large))
            .await
            .expect("fits now");
        assert_eq!(count(&writer).await, 3);
    }

    #[tokio::test]
    async fn a_lock_of_another_process_fails_the_group_once() {
        let (folder, writer) = writer();
        let other = Connection::open(folder.path().join("sessions.db")).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("locked");
        let change = writer.write(Afterwards::Nothing, insert("a".into())).await;
        assert_eq!(change.expect_err("locked").kind(), "locked");
        other.execute_batch("ROLLBACK").expect("released");
        writer
            .write(Afterwards::Nothing, insert("a".into()))
            .await
            .expect("stored");
        assert_eq!(count(&writer).await, 1);
    }
}
