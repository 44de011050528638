//! The face of the session store.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_claude::messages::Usage;
use chrono::Utc;

use super::claims::{Claims, SessionClaim};
use super::connection::{self, Access};
use super::error::{Fault, StoreError};
use super::messages::Prepared;
use super::readers::Readers;
use super::rows::number_of;
use super::search::{self, SearchHit, SearchQuery, Squeeze};
use super::types::{
    Context, Cost, CostScope, ListFilter, NewMessage, NewSession, SessionId, SessionInfo, StoredMessage,
};
use super::writer::{Afterwards, Writer};
use super::{catalogue, export, files, fork, markdown, messages, migration, schema, spending, verify};
use crate::instruments::Instruments;

/// Sessions in one SQLite file. Cheap to clone; every clone is the same store, which closes (finishing what waits)
/// when the last is dropped or with [`close`](Self::close).
///
/// Several processes may use one file at a time. A *session* has one owner: the first append or compaction takes it
/// for this store, others are told who has it ([`StoreError::InUse`]).
///
/// A method that changes something returns when the change is on the disk. Dropping its future before that does not
/// take the change back.
#[derive(Clone)]
pub struct SessionStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    writer: Writer,
    readers: Arc<Readers>,
    claims: Arc<Claims>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shut();
    }
}

impl Inner {
    /// The writer goes last: the last connection to close empties the log into the store.
    fn shut(&self) {
        self.readers.close();
        self.writer.close();
        self.claims.release_unguarded();
    }
}

impl std::fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionStore")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

impl SessionStore {
    /// Opens the store at `path`, or makes it (mode 0600, in a folder that is made with mode 0700) if nothing is
    /// there. Blocks for a few milliseconds; longer where the store is of an older version, which is copied and brought up to date. A file that is damaged, of a newer version or no session store is
    /// refused and left as it is.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, Instruments::none())
    }

    /// As [`open`](Self::open), and measures its changes: how long they wait, how long commits take, what fails.
    pub fn open_with(path: impl AsRef<Path>, instruments: Instruments) -> Result<Self, StoreError> {
        let path = files::prepare(path.as_ref(), schema::create)?;
        // Looked at before anything is set: settings of a writer would change another program's file.
        let reader = connection::open(&path, Access::Read)?;
        let version = schema::check(&reader, &path)?;
        let writer = connection::open(&path, Access::Write)?;
        migration::bring_up_to_date(&writer, &path, version)?;
        let inner = Inner {
            writer: Writer::start(&path, writer, instruments)?,
            readers: Arc::new(Readers::new(&path, reader)),
            claims: Arc::new(Claims::new(&path)),
            path,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Writes to the file, without changing what is in it, and returns when that is on the disk: the same way that a
    /// message takes, so that it fails where a message would.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        self.write(|c| Ok(schema::write_version(c)?)).await
    }

    /// Finishes what waits, closes the file and gives up all sessions. Calls after it get [`StoreError::Closed`].
    pub async fn close(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.shut())
            .await
            .map_err(|_| StoreError::Closed)
    }

    /// Makes a session.
    pub async fn create(&self, new: NewSession) -> Result<SessionId, StoreError> {
        catalogue::check_title(new.title.as_deref().unwrap_or_default())?;
        catalogue::check_name("name of a model, in bytes", &new.model)?;
        let id = SessionId::generate();
        self.write(move |c| catalogue::create(c, id, &new, Utc::now()).map(|()| id))
            .await
    }

    /// Owns the session until the claim is dropped. To resume a session, claim it *before* loading its context: then
    /// nobody else appends in between. Fails with [`StoreError::InUse`] while another process or another claim of
    /// this one has it.
    pub async fn claim(&self, session: &SessionId) -> Result<SessionClaim, StoreError> {
        let (id, claims) = (*session, Arc::clone(&self.inner.claims));
        self.read(move |c| {
            number_of(c, id)?;
            Ok(claims.guard(id)?)
        })
        .await
    }

    /// Gives up a session that an append took and that no claim holds.
    pub fn release(&self, session: &SessionId) {
        self.inner.claims.release(*session);
    }

    /// Stores messages at the end of the session, all or none, with their usage and cost; returns their `seq`s.
    pub async fn append(&self, session: &SessionId, new: Vec<NewMessage>) -> Result<Vec<u64>, StoreError> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let new = Prepared::all(new)?;
        self.write_owned(*session, move |c, number| {
            messages::append(c, number, &new, Utc::now())
        })
        .await
    }

    /// Records the usage of a request that gave no message: one that failed late, or that was made for the program's
    /// own sake. `cost_usd` is `None` where the price is not known.
    pub async fn record_usage(
        &self,
        session: &SessionId,
        usage: Usage,
        cost_usd: Option<f64>,
    ) -> Result<(), StoreError> {
        let id = *session;
        self.write(move |c| spending::record(c, number_of(c, id)?, None, &usage, cost_usd, Utc::now()))
            .await
    }

    /// What the session goes on from: the last summary, if it was compacted, and every message after it. At most
    /// [`MAX_CONTEXT_BYTES`](super::MAX_CONTEXT_BYTES).
    pub async fn load_context(&self, session: &SessionId) -> Result<Context, StoreError> {
        let id = *session;
        self.read(move |c| messages::load_context(c, id)).await
    }

    /// Messages from `first` on, at most `limit`, of all that were ever stored. Fewer when they are large: go on
    /// after the last until nothing comes.
    pub async fn messages(
        &self,
        session: &SessionId,
        first: u64,
        limit: u64,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let id = *session;
        let last = first
            .max(1)
            .saturating_add(limit.min(super::MAX_BATCH as u64))
            .saturating_sub(1);
        self.read(move |c| messages::page(c, id, first, last, super::MAX_MESSAGE_BYTES))
            .await
    }

    /// From now on the context is `summary` and what comes after `upto_seq`. The messages before it stay: they are
    /// found, exported and forked as ever. The summary is no message and has no `seq`; its usage is recorded.
    pub async fn compact(
        &self,
        session: &SessionId,
        upto_seq: u64,
        summary: NewMessage,
    ) -> Result<(), StoreError> {
        let id = *session;
        let summary = Prepared::new(summary)?;
        self.write_owned(id, move |c, number| {
            messages::compact(c, id, number, upto_seq, &summary, Utc::now())
        })
        .await
    }

    /// A new session that begins with the messages up to and with `at` (all of them if `None`).
    pub async fn fork(&self, session: &SessionId, at: Option<u64>) -> Result<SessionId, StoreError> {
        let (source, copy) = (*session, SessionId::generate());
        self.write(move |c| fork::fork(c, source, at, copy, Utc::now()).map(|()| copy))
            .await
    }

    /// Gives the session a title, of at most [`MAX_TITLE_BYTES`](super::MAX_TITLE_BYTES).
    pub async fn rename(&self, session: &SessionId, title: &str) -> Result<(), StoreError> {
        catalogue::check_title(title)?;
        let (id, title) = (*session, title.to_owned());
        self.write(move |c| catalogue::rename(c, id, &title)).await
    }

    /// Notes for good that the session holds what a stranger wrote, and where that is from. The first source stays; nothing takes it back.
    pub async fn distrust(&self, session: &SessionId, source: &str) -> Result<(), StoreError> {
        catalogue::check_name("source of a session's content, in bytes", source)?;
        let source = source.to_owned();
        self.write_owned(*session, move |c, number| catalogue::distrust(c, number, &source))
            .await
    }

    /// Removes the session, its messages and what search knows of them, and returns when they are overwritten in the
    /// file. What it cost stays in the totals of its days. Refused while someone owns it. When the future is dropped
    /// early the session is gone all the same, but words of it may stay in the index until a later change.
    pub async fn delete(&self, session: &SessionId) -> Result<(), StoreError> {
        let (id, claims) = (*session, Arc::clone(&self.inner.claims));
        let deleted = self
            .write(move |c| {
                number_of(c, id)?;
                claims.ensure_unguarded(id)?;
                catalogue::delete(c, id)
            })
            .await;
        self.inner.claims.release(id);
        deleted?;
        self.squeeze_index().await
    }

    /// In parts, so that nobody waits for all of it.
    async fn squeeze_index(&self) -> Result<(), StoreError> {
        /// Enough for an index of 8 GiB; the rest would wait for the next time.
        const MOST_PARTS: usize = 4_096;
        let mut more = self.write(|c| search::squeeze(c, Squeeze::Begin)).await?;
        for _ in 0..MOST_PARTS {
            if !more {
                break;
            }
            more = self.write(|c| search::squeeze(c, Squeeze::GoOn)).await?;
        }
        self.inner.writer.write(Afterwards::EmptyLog, |_| Ok(())).await
    }

    /// One session's figures.
    pub async fn get(&self, session: &SessionId) -> Result<SessionInfo, StoreError> {
        let id = *session;
        self.read(move |c| catalogue::get(c, id)).await
    }

    /// The figures of those of `sessions` that there are, in no order, with one query; more than
    /// [`MAX_LIST`](super::MAX_LIST) are refused.
    pub async fn get_all(&self, sessions: &[SessionId]) -> Result<Vec<SessionInfo>, StoreError> {
        let ids = sessions.to_vec();
        self.read(move |c| catalogue::get_all(c, &ids)).await
    }

    /// Sessions, the one that changed last first.
    pub async fn list(&self, filter: ListFilter) -> Result<Vec<SessionInfo>, StoreError> {
        self.read(move |c| catalogue::list(c, &filter)).await
    }

    /// The one session whose id begins or ends with `part`, as people type it.
    pub async fn resolve(&self, part: &str) -> Result<SessionId, StoreError> {
        let part = part.to_owned();
        self.read(move |c| catalogue::resolve(c, &part)).await
    }

    /// Messages that hold the words, the best first. A text without a word finds nothing.
    pub async fn search(&self, query: SearchQuery) -> Result<Vec<SearchHit>, StoreError> {
        match search::expression(&query.text)? {
            None => Ok(Vec::new()),
            Some(expression) => self.read(move |c| search::search(c, &expression, &query)).await,
        }
    }

    /// What was spent.
    pub async fn total_cost(&self, scope: CostScope) -> Result<Cost, StoreError> {
        self.read(move |c| spending::total(c, scope)).await
    }

    /// Writes the session as one JSON document and gives `out` back, flushed. Memory is bounded whatever the length
    /// of the session. A failure to write is [`StoreError::Io`] with the `io::Error` as its source.
    pub async fn export_json<W>(&self, session: &SessionId, out: W) -> Result<W, StoreError>
    where
        W: Write + Send + 'static,
    {
        let id = *session;
        self.export(out, move |readers, out| export::json(readers, id, out))
            .await
    }

    /// Writes the session as Markdown, otherwise like [`export_json`](Self::export_json).
    pub async fn export_markdown<W>(&self, session: &SessionId, out: W) -> Result<W, StoreError>
    where
        W: Write + Send + 'static,
    {
        let id = *session;
        self.export(out, move |readers, out| markdown::markdown(readers, id, out))
            .await
    }

    /// Reads the whole file and checks everything that can be checked: structure, index, every message's checksum.
    /// Takes as long as reading the file does, and holds up changes while it checks the index.
    pub async fn verify(&self) -> Result<(), StoreError> {
        self.write(verify::index).await?;
        self.read(verify::structure_and_messages).await
    }

    async fn export<W, F>(&self, mut out: W, write: F) -> Result<W, StoreError>
    where
        W: Write + Send + 'static,
        F: FnOnce(&Readers, &mut W) -> Result<(), StoreError> + Send + 'static,
    {
        let readers = Arc::clone(&self.inner.readers);
        let work = tokio::task::spawn_blocking(move || write(&readers, &mut out).map(|()| out));
        work.await.map_err(|_| StoreError::Closed)?
    }

    async fn read<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.inner.readers.read(operation).await
    }

    async fn write<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&rusqlite::Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.inner.writer.write(Afterwards::Nothing, change).await
    }

    /// A change to a session's content, which only its owner may make.
    async fn write_owned<T, F>(&self, session: SessionId, mut change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&rusqlite::Connection, i64) -> Result<T, Fault> + Send + 'static,
    {
        let claims = Arc::clone(&self.inner.claims);
        self.write(move |c| {
            let number = number_of(c, session)?;
            claims.ensure(session)?;
            change(c, number)
        })
        .await
    }
}
