//! The locks and atomics of [`super::shelves`], in one place so that its tests can compile the same source
//! against types whose every interleaving can be tried.

pub(super) use parking_lot::{Mutex, MutexGuard};
pub(super) use std::sync::atomic::{AtomicU64, Ordering};
