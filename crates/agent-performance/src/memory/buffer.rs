//! A buffer on loan.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use zeroize::Zeroize;

use super::class;
use super::pool::Core;
use super::shelves::Return;
use super::tracker::Tracked;

/// A [`BytesMut`] that goes back to its [`MemoryPool`](super::MemoryPool) when dropped.
///
/// It may be grown, advanced and split like any other. What comes back whole is kept; what is still shared with
/// someone (after `split().freeze()`) or was replaced is left to its other owner. To pass a full buffer on without
/// losing it to the pool, use [`freeze`](Self::freeze).
pub struct PooledBuffer {
    buffer: BytesMut,
    home: Option<Home>,
}

/// Where the buffer belongs, and how to know it again.
struct Home {
    pool: Arc<Core>,
    shelf: usize,
    /// What the pool's books say it has, in bytes: its capacity when it was handed out.
    charged: u64,
    /// Where its memory began. With an unchanged capacity it proves that nobody else has a part of it.
    address: usize,
    secret: bool,
    tracked: Option<Tracked>,
}

impl PooledBuffer {
    pub(super) fn new(pool: Arc<Core>, shelf: usize, buffer: BytesMut, charged: u64) -> Self {
        let tracked = pool.track(charged);
        let secret = pool.wipes_all();
        PooledBuffer {
            home: Some(Home {
                pool,
                shelf,
                charged,
                address: buffer.as_ptr().addr(),
                secret,
                tracked,
            }),
            buffer,
        }
    }

    /// An empty buffer that no pool knows of, for code that works with either; it begins without capacity.
    pub fn detached() -> Self {
        PooledBuffer {
            buffer: BytesMut::new(),
            home: None,
        }
    }

    /// Has the whole buffer overwritten with zeros when it comes back.
    ///
    /// Only what the buffer still has then: memory that it outgrew, and parts split off, are out of reach. Ask for
    /// the capacity that the secret needs.
    pub fn mark_secret(&mut self) {
        if let Some(home) = &mut self.home {
            home.secret = true;
        }
    }

    /// The content as shared [`Bytes`]; the buffer goes back when the last of them is dropped.
    pub fn freeze(self) -> Bytes {
        if self.is_empty() {
            return Bytes::new();
        }
        Bytes::from_owner(Content(self))
    }

    /// The plain buffer, which the pool forgets.
    pub fn into_inner(mut self) -> BytesMut {
        if let Some(home) = self.home.take() {
            drop(home.pool.shelves.give_back(home.shelf, home.charged, None));
        }
        std::mem::take(&mut self.buffer)
    }
}

struct Content(PooledBuffer);

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else { return };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        if home.secret {
            wipe(&mut buffer);
        }
        let back = whole(buffer, &home).and_then(|item| {
            let bytes = item.capacity() as u64;
            let shelf = class::covered_by(item.capacity())?;
            let now = home.pool.clock.about_now_ms();
            Some(Return {
                item,
                shelf,
                bytes,
                now,
            })
        });
        // What is not kept is freed here, after the locks are released.
        drop(home.pool.shelves.give_back(home.shelf, home.charged, back));
    }
}

/// The buffer with all of its memory, if nobody else has a part of it.
fn whole(mut buffer: BytesMut, home: &Home) -> Option<BytesMut> {
    // Takes back what reading has consumed at the front.
    if !buffer.try_reclaim(usize::try_from(home.charged).ok()?) {
        return None;
    }
    if buffer.as_ptr().addr() == home.address && buffer.capacity() as u64 == home.charged {
        return Some(buffer);
    }
    // Grown, split or exchanged. This costs a small allocation, and fails where memory is shared.
    let mut buffer = buffer.freeze().try_into_mut().ok()?;
    // Succeeds exactly when something was consumed at the front, and then gives all of it back.
    let _moved = buffer.try_reclaim(buffer.capacity().saturating_add(1));
    Some(buffer)
}

fn wipe(buffer: &mut BytesMut) {
    // Reclaims what was consumed at the front; it may hold parts of the secret.
    let _moved = buffer.try_reclaim(buffer.capacity().saturating_add(1));
    buffer.resize(buffer.capacity(), 0);
    // The plain zeros above could be optimised away before memory is freed; these can't.
    buffer.as_mut().zeroize();
    buffer.clear();
}

impl Deref for PooledBuffer {
    type Target = BytesMut;

    fn deref(&self) -> &BytesMut {
        &self.buffer
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut BytesMut {
        if let Some(tracked) = self.home.as_ref().and_then(|home| home.tracked.as_ref()) {
            tracked.touch();
        }
        &mut self.buffer
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

/// Shows sizes, never content.
impl fmt::Debug for PooledBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledBuffer")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
