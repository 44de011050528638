//! Everything that looks random and is not: hashes, ids, signatures, the generator of a request.
//!
//! The hash detects changes, it does not resist attackers; the simulator has no secret to keep.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The generator that one request draws its ids, wording, cuts and delays from.
pub(crate) type Random = ChaCha8Rng;

/// Fixed, not the seed: a conversation may go on with a simulator that was restarted under another seed.
const SIGNATURE_KEY: u64 = 0x5349_4d55_4c41_5445;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An incremental 64-bit FNV-1a hash: stable across releases and platforms, unlike the standard library's.
#[derive(Debug, Clone)]
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) fn keyed(key: u64) -> Self {
        let mut digest = Self(0xcbf2_9ce4_8422_2325);
        digest.push(&key.to_le_bytes());
        digest
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The hash, with its bits mixed once more: FNV's high bits depend little on the last bytes.
    pub(crate) fn finish(&self) -> u64 {
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The generator of the request that arrived as number `ordinal` with this body.
///
/// The body takes part so that a restarted simulator, which counts from zero again, makes no tool id
/// twice in a conversation that goes on.
pub(crate) fn random_for(seed: u64, ordinal: u64, body: &[u8]) -> Random {
    let mut digest = Digest::keyed(seed);
    digest.push(&ordinal.to_le_bytes());
    digest.push(body);
    Random::seed_from_u64(digest.finish())
}

/// An id as the API writes them: the prefix, a version, 22 characters.
pub(crate) fn id(prefix: &str, random: &mut Random) -> String {
    let mut id = format!("{prefix}01");
    id.extend((0..22).map(|_| char::from(BASE62[random.random_range(0..BASE62.len())])));
    id
}

/// The signature of a thinking block: anyone who changes a character of the text is found out.
pub(crate) fn signature(thinking: &str) -> String {
    let mut digest = Digest::keyed(SIGNATURE_KEY);
    digest.push(thinking.as_bytes());
    let first = digest.finish();
    digest.push(&first.to_le_bytes());
    format!("sim{first:016x}{:016x}", digest.finish())
}

/// The signature of a block whose text the client asked not to see.
pub(crate) fn omitted_signature(thinking: &str) -> String {
    format!("omitted{}", signature(thinking))
}

/// Whether a signature belongs to a block that was sent without its text.
pub(crate) fn is_omitted(signature: &str) -> bool {
    signature
        .strip_prefix("omittedsim")
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_request_draws_the_same_id_and_another_body_another() {
        let draw = |seed, ordinal, body: &[u8]| id("msg_", &mut random_for(seed, ordinal, body));
        assert_eq!(draw(1, 0, b"a"), draw(1, 0, b"a"));
        assert_ne!(draw(1, 0, b"a"), draw(1, 0, b"b"));
        assert_ne!(draw(1, 0, b"a"), draw(2, 0, b"a"));
        assert_ne!(draw(1, 0, b"a"), draw(1, 1, b"a"));
        assert!(draw(1, 0, b"a").starts_with("msg_01"));
    }

    #[test]
    fn a_signature_belongs_to_its_text() {
        assert_eq!(signature("thought"), signature("thought"));
        assert_ne!(signature("thought"), signature("thoughT"));
    }
}
