//! The tasks that are alive: entered before they start, left when they end, however they end.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Names kept of tasks that panicked: enough to find the cause, however long the process runs.
const MAX_PANICKED_NAMES: usize = 32;

#[derive(Debug)]
pub(super) struct Registry {
    tasks: Mutex<Tasks>,
    alive: watch::Sender<usize>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Tasks {
    next: u64,
    closed: bool,
    alive: BTreeMap<u64, Task>,
    panicked: Vec<String>,
}

#[derive(Debug)]
struct Task {
    name: Cow<'static, str>,
    /// Absent for the instant between entering the registry and being started.
    abort: Option<AbortHandle>,
}

/// A task's place in the registry. Lives inside the task, so that end, panic and abort all give it back.
#[derive(Debug)]
pub(super) struct Entry {
    id: u64,
    registry: Arc<Registry>,
}

impl Registry {
    pub(super) fn new(limit: usize) -> Self {
        Registry {
            tasks: Mutex::default(),
            alive: watch::Sender::new(0),
            limit,
        }
    }

    pub(super) fn enter(self: &Arc<Self>, name: Cow<'static, str>) -> Result<Entry, &'static str> {
        let mut tasks = self.lock();
        if tasks.closed {
            return Err("shutting down");
        }
        if tasks.alive.len() >= self.limit {
            return Err("too many tasks are running");
        }
        let id = tasks.next;
        tasks.next += 1;
        tasks.alive.insert(id, Task { name, abort: None });
        self.alive.send_replace(tasks.alive.len());
        Ok(Entry {
            id,
            registry: Arc::clone(self),
        })
    }

    pub(super) fn started(&self, id: u64, abort: AbortHandle) {
        // The task may have ended already; then there is nothing to keep.
        if let Some(task) = self.lock().alive.get_mut(&id) {
            task.abort = Some(abort);
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lock()
            .alive
            .values()
            .map(|task| task.name.to_string())
            .collect()
    }

    pub(super) fn panicked(&self) -> Vec<String> {
        self.lock().panicked.clone()
    }

    /// Refuses new tasks from now on; returns how many are alive.
    pub(super) fn close(&self) -> usize {
        let mut tasks = self.lock();
        tasks.closed = true;
        tasks.alive.len()
    }

    pub(super) async fn empty(&self) {
        // The sender is ours, so waiting can only end by the condition.
        let _still_open = self.alive.subscribe().wait_for(|alive| *alive == 0).await.is_ok();
    }

    pub(super) fn abort_all(&self) -> Vec<String> {
        let tasks = self.lock();
        for handle in tasks.alive.values().filter_map(|task| task.abort.as_ref()) {
            handle.abort();
        }
        tasks.alive.values().map(|task| task.name.to_string()).collect()
    }

    fn leave(&self, id: u64, panicked: bool) {
        let mut tasks = self.lock();
        let Some(task) = tasks.alive.remove(&id) else {
            return;
        };
        if panicked {
            tracing::error!(task = %task.name, "task panicked");
            if tasks.panicked.len() < MAX_PANICKED_NAMES {
                tasks.panicked.push(task.name.into_owned());
            }
        }
        self.alive.send_replace(tasks.alive.len());
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        // Nothing under this lock can leave the map half changed, so a poisoned lock is still good.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.leave(self.id, std::thread::panicking());
    }
}
