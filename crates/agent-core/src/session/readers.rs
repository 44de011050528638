//! A few connections for reading, used on the runtime's blocking threads.
//!
//! Readers never wait for the writer nor it for them: each sees the store as it was when its operation began.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connection::{self, Access};
use super::error::{Fault, StoreError};

/// Reads at once. Reading is bound by memory speed; more would only hold more caches.
const CONNECTIONS: usize = 3;

/// How long a read waits for one of them. An operation takes milliseconds: this is reached when something hangs.
const WAIT: Duration = Duration::from_secs(10);

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Path, first: Connection) -> Self {
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        Self {
            path: path.into(),
            idle: Mutex::new(vec![first]),
            permits,
        }
    }

    /// Runs `operation` on one state of the store. It goes on when the future is dropped, so it has to be short.
    pub(super) async fn read<T, F>(self: &Arc<Self>, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let permit = match tokio::time::timeout(WAIT, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(permit) => permit.map_err(|_| StoreError::Closed)?,
            Err(_) => {
                return Err(StoreError::Locked {
                    path: self.path.clone(),
                    waited: WAIT,
                });
            }
        };
        let readers = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || {
            let result = readers.read_blocking(operation);
            drop(permit);
            result
        });
        work.await.map_err(|error| StoreError::Io {
            path: self.path.clone(),
            action: "reading",
            source: Box::new(error),
        })?
    }

    /// The same on this thread.
    pub(super) fn read_blocking<T>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => connection::open(&self.path, Access::Read)?,
        };
        let result = (|| {
            let transaction = connection.transaction()?;
            let value = operation(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })();
        // A connection that met an error may hold pages it should not trust; opening another is cheap.
        if !matches!(result, Err(Fault::Sql(_) | Fault::Damaged(_))) && !self.permits.is_closed() {
            self.idle.lock().push(connection);
        }
        result.map_err(|fault| fault.at(&self.path, "reading"))
    }

    /// Lets no new reads in and closes the idle connections.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().clear();
    }
}
