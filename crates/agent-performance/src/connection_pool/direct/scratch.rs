//! Memory that a thread reads and writes with. What is in it counts only until the call returns, so that connections which wait hold none.

use std::cell::RefCell;

use tokio::io::ReadBuf;

/// Read from a socket at once. A piece that waits for a slow reader takes this much at most.
const READ: usize = 16 << 10;

/// Kept of a request's head. A longer one, which is rare, takes its memory anew.
const MAX_KEPT_HEAD: usize = 16 << 10;

thread_local! {
    static READING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static WRITING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends memory to read into.
pub(super) fn reading<T>(read: impl FnOnce(&mut ReadBuf<'_>) -> T) -> T {
    READING.with_borrow_mut(|memory| {
        memory.resize(READ, 0);
        read(&mut ReadBuf::new(memory))
    })
}

/// Lends memory to put a head together in.
pub(super) fn writing<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    WRITING.with_borrow_mut(|memory| {
        memory.clear();
        let written = write(memory);
        memory.shrink_to(MAX_KEPT_HEAD);
        written
    })
}
