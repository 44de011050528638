//! How an entry lies in the shared store: what tells it from anything else that may be found there, and how old it is.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};

use super::{MAX_VALUE, SharedEntry};
use crate::cache::response;

/// The digit changes with the layout: replicas of another version neither read nor trust what this one writes.
const MAGIC: &[u8; 4] = b"ASC1";

/// The mark, the time to live when it was stored, the checksum.
pub(super) const HEADER: usize = 4 + 8 + 4;

/// `ttl` is what the entry had when it was new. Its age is that less what the server says is left of it: the clocks of
/// replicas do not come into it.
pub(super) fn wrap(key: &str, value: &[u8], ttl: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + value.len());
    out.put_slice(MAGIC);
    out.put_u64(ttl);
    out.put_u32(checksum(key, value, ttl));
    out.put_slice(value);
    out
}

/// `None` for anything that [`wrap`] did not make for this key, and for what says that it is younger than new. `left` is the
/// server's answer to what is left in milliseconds, negative for never.
pub(super) fn open(key: &str, mut from: Bytes, left: i64) -> Option<SharedEntry> {
    if from.len() < HEADER || from.len() > HEADER + MAX_VALUE || from.split_to(MAGIC.len()) != MAGIC[..] {
        return None;
    }
    let ttl = from.try_get_u64().ok()?;
    let expected = from.try_get_u32().ok()?;
    let left = u64::try_from(left).ok()?;
    let age = ttl.checked_sub(left)?;
    (checksum(key, &from, ttl) == expected).then_some(SharedEntry {
        value: from,
        age: Duration::from_millis(age),
        left: Duration::from_millis(left),
    })
}

/// Against damage and mix-ups, not against someone who may write into the store: he could as well compute it.
fn checksum(key: &str, value: &[u8], ttl: u64) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    // What lies in most entries has a layout of its own: replicas must agree on that too.
    sum.update(response::MAGIC);
    sum.update(&(key.len() as u64).to_le_bytes());
    sum.update(key.as_bytes());
    sum.update(&ttl.to_le_bytes());
    sum.update(value);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opened(key: &str, from: &[u8], left: i64) -> Option<(Vec<u8>, u128)> {
        let entry = open(key, Bytes::copy_from_slice(from), left)?;
        Some((entry.value.to_vec(), entry.age.as_millis()))
    }

    #[test]
    fn what_was_wrapped_opens_with_its_age() {
        let wrapped = wrap("k", b"value", 1000);
        assert_eq!(opened("k", &wrapped, 1000), Some((b"value".to_vec(), 0)));
        assert_eq!(opened("k", &wrapped, 1), Some((b"value".to_vec(), 999)));
        assert_eq!(opened("k", &wrap("k", b"", 5), 5), Some((Vec::new(), 0)));
        let largest = wrap("k", &vec![7; MAX_VALUE], 5);
        assert!(opened("k", &largest, 5).is_some());
    }

    #[test]
    fn anything_else_does_not() {
        let wrapped = wrap("k", b"value", 1000);
        assert_eq!(opened("other", &wrapped, 10), None, "another key's");
        assert_eq!(opened("k", &wrapped, 1001), None, "younger than new");
        assert_eq!(opened("k", &wrapped, -1), None, "for ever");
        assert_eq!(opened("k", &wrapped, i64::MIN), None);
        assert_eq!(opened("k", &wrap("k", &vec![7; MAX_VALUE + 1], 5), 5), None);
        let mut next = wrapped.clone();
        next[3] = b'2';
        assert_eq!(opened("k", &next, 10), None, "another version's");
    }

    proptest! {
        #[test]
        fn damage_shows(
            value in prop::collection::vec(any::<u8>(), 0..64),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let mut wrapped = wrap("k", &value, 1000);
            let at = at.index(wrapped.len());
            wrapped[at] ^= flip;
            prop_assert_eq!(opened("k", &wrapped, 10), None);
            wrapped[at] ^= flip;
            wrapped.truncate(at);
            prop_assert_eq!(opened("k", &wrapped, 10), None);
        }

        #[test]
        fn arbitrary_bytes_are_nothing(bytes in prop::collection::vec(any::<u8>(), 0..256), left in any::<i64>()) {
            prop_assert_eq!(opened("k", &bytes, left), None);
        }
    }
}
