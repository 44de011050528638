//! Giving freed memory back to the system: the one unsafe call of the workspace.

/// Asks the allocator to give the pages of freed memory back, so that what was shed lowers resident memory too. Blocks
/// for some milliseconds; other allocators than glibc's give pages back by themselves, and nothing happens there.
pub(crate) fn give_back_freed_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "malloc_trim has no safe wrapper; Miri can't run foreign code, tests/memory_limit.rs shows what it does"
    )]
    // SAFETY: malloc_trim(3) takes a number and no pointer, returns only pages that the allocator holds as free, to which
    // nothing of ours can refer, and is safe to call from any thread at any time (MT-Safe by its manual page).
    unsafe {
        libc::malloc_trim(0);
    }
}
