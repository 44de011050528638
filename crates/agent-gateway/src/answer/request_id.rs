use std::fmt;

use http::HeaderValue;

/// What comes before the random part, as the Messages API has it.
const PREFIX: &[u8; 4] = b"req_";

/// 22 characters of 62 hold 128 bits and more: no two requests share one.
const LENGTH: usize = PREFIX.len() + 22;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Names one request, in its answer, in logs and in error bodies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId([u8; LENGTH]);

impl RequestId {
    pub(crate) fn new() -> Self {
        Self::of(rand::random())
    }

    fn of(random: u128) -> Self {
        let mut text = [0; LENGTH];
        text[..PREFIX.len()].copy_from_slice(PREFIX);
        // Two halves, because dividing 64 bits is an instruction and dividing 128 a function. Eleven digits hold 65 bits.
        let (high, low) = text[PREFIX.len()..].split_at_mut(11);
        for (digits, mut half) in [(high, (random >> 64) as u64), (low, random as u64)] {
            for digit in digits {
                *digit = ALPHABET[(half % 62) as usize];
                half /= 62;
            }
        }
        RequestId(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        // Every byte is ASCII; the other arm is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or_else(|_| HeaderValue::from_static("req_"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_the_api_and_differ() {
        for random in [0, 1, u128::MAX, u128::from(u64::MAX)] {
            let id = RequestId::of(random);
            assert_eq!(id.as_str().len(), LENGTH);
            assert!(id.as_str().starts_with("req_") && id.as_str().is_ascii());
            assert_eq!(id.header().to_str().unwrap(), id.as_str());
        }
        assert_ne!(RequestId::of(1 << 64), RequestId::of(1));
        assert_ne!(RequestId::new(), RequestId::new());
    }
}
