//! The primitives that the storage is built of, in one place: the interleaving tests compile the same storage
//! against a scheduler's versions of these names.

pub(crate) use parking_lot::Mutex;
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::thread::yield_now;
