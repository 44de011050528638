//! One type's books: what is alive, since when, and how that went up and down.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ExpectedLimit;
use super::window::Window;

pub(super) struct Account {
    pub(super) created: u64,
    accessed: u64,
    pub(super) allocations: u64,
    pub(super) deallocations: u64,
    pub(super) anomalies: u64,
    pub(super) peak_count: u64,
    pub(super) expected: Option<ExpectedLimit>,
    pub(super) instances: HashMap<u64, Arc<Instance>>,
    pub(super) anonymous: Anonymous,
    pub(super) window: Window,
    /// Alive with a `Tracked`, listed or not.
    held: u64,
    held_bytes: u64,
    next_id: u64,
    max_instances: usize,
}

/// One live resource with a `Tracked`.
pub(super) struct Instance {
    pub(super) created: u64,
    pub(super) touched: AtomicU64,
    pub(super) size: AtomicU64,
    pub(super) label: Option<Box<str>>,
}

/// What is alive without a `Tracked`. Of equal ones the oldest is taken to end first, which finds no leak by age
/// that isn't one; growth tells the rest.
#[derive(Default)]
pub(super) struct Anonymous {
    pub(super) count: u64,
    pub(super) bytes: u64,
    /// When each began, by size.
    pub(super) begun: HashMap<u64, VecDeque<u64>>,
    listed: usize,
}

impl Account {
    pub(super) fn new(now: u64, window_ms: u64, max_instances: usize) -> Self {
        Account {
            created: now,
            accessed: now,
            allocations: 0,
            deallocations: 0,
            anomalies: 0,
            peak_count: 0,
            expected: None,
            instances: HashMap::new(),
            anonymous: Anonymous::default(),
            window: Window::new(now, window_ms),
            held: 0,
            held_bytes: 0,
            next_id: 0,
            max_instances,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.held.saturating_add(self.anonymous.count)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.held_bytes.saturating_add(self.anonymous.bytes)
    }

    pub(super) fn unlisted(&self) -> u64 {
        self.count() - (self.instances.len() + self.anonymous.listed) as u64
    }

    pub(super) fn last_accessed(&self) -> u64 {
        let touched = self
            .instances
            .values()
            .map(|instance| instance.touched.load(Ordering::Relaxed));
        touched.fold(self.accessed, u64::max)
    }

    /// Whether the owner allows as many as there are.
    pub(super) fn within_expected(&self) -> bool {
        self.expected
            .is_some_and(|limit| self.count() <= limit.count && self.bytes() <= limit.bytes)
    }

    pub(super) fn begin(&mut self, now: u64, size: u64, label: Option<&str>) -> Option<(u64, Arc<Instance>)> {
        self.held += 1;
        self.held_bytes = self.held_bytes.saturating_add(size);
        self.began(now);
        if self.instances.len() >= self.max_instances {
            return None;
        }
        let id = self.next_id;
        self.next_id += 1;
        let instance = Arc::new(Instance {
            created: now,
            touched: AtomicU64::new(now),
            size: AtomicU64::new(size),
            label: label.map(Into::into),
        });
        self.instances.insert(id, Arc::clone(&instance));
        Some((id, instance))
    }

    pub(super) fn end(&mut self, now: u64, size: u64, listed: Option<u64>) {
        self.held -= 1;
        self.held_bytes = self.held_bytes.saturating_sub(size);
        if let Some(id) = listed {
            self.instances.remove(&id);
        }
        self.ended(now);
    }

    pub(super) fn resize(&mut self, now: u64, before: u64, size: u64, instance: Option<&Instance>) {
        self.held_bytes = self.held_bytes.saturating_sub(before).saturating_add(size);
        if let Some(instance) = instance {
            instance.touched.store(now, Ordering::Relaxed);
            instance.size.store(size, Ordering::Relaxed);
        }
        self.accessed = now;
        self.window.record(now, self.count(), self.bytes());
    }

    pub(super) fn begin_anonymous(&mut self, now: u64, size: u64) {
        let anonymous = &mut self.anonymous;
        anonymous.count += 1;
        anonymous.bytes = anonymous.bytes.saturating_add(size);
        if anonymous.listed < self.max_instances {
            anonymous.listed += 1;
            anonymous.begun.entry(size).or_default().push_back(now);
        }
        self.began(now);
    }

    pub(super) fn end_anonymous(&mut self, now: u64, size: u64) {
        let anonymous = &mut self.anonymous;
        if anonymous.count == 0 {
            self.anomalies += 1;
            return;
        }
        let unlisted = anonymous.count - anonymous.listed as u64;
        if !anonymous.forget(size) && unlisted == 0 {
            // Something of this type ended, but nothing of this size began.
            self.anomalies += 1;
            anonymous.forget_any();
        }
        anonymous.count -= 1;
        anonymous.bytes = match anonymous.count {
            0 => 0,
            _ => anonymous.bytes.saturating_sub(size),
        };
        self.ended(now);
    }

    fn began(&mut self, now: u64) {
        self.allocations += 1;
        self.accessed = now;
        self.peak_count = self.peak_count.max(self.count());
        self.window.began(now);
        self.window.record(now, self.count(), self.bytes());
    }

    fn ended(&mut self, now: u64) {
        self.deallocations += 1;
        self.accessed = now;
        self.window.ended(now);
        self.window.record(now, self.count(), self.bytes());
    }
}

impl Anonymous {
    /// Strikes the oldest of this size off the list.
    fn forget(&mut self, size: u64) -> bool {
        let Some(begun) = self.begun.get_mut(&size) else {
            return false;
        };
        begun.pop_front();
        if begun.is_empty() {
            self.begun.remove(&size);
        }
        self.listed -= 1;
        true
    }

    /// Strikes the oldest of the largest size off the list; which one it was is unknown.
    fn forget_any(&mut self) {
        if let Some(size) = self.begun.keys().max().copied() {
            self.forget(size);
        }
    }
}
