//! Finds the end of a JSON string, many bytes at a time: prompts are mostly long strings.

use super::json::Invalid;

/// Bytes looked at together. A block of this size is judged without a branch, which compilers turn into vector instructions.
const BLOCK: usize = 64;

/// What was learned of a string on the way to its end.
pub(super) struct Skipped {
    /// Where the closing quote is.
    pub(super) end: usize,
    /// It has escapes.
    pub(super) escaped: bool,
    /// It has bytes beyond ASCII.
    pub(super) wide: bool,
}

/// From `at`, just after the opening quote, to the closing one. Every escape and every byte is checked, except that what
/// is beyond ASCII is only told of.
pub(super) fn string(bytes: &[u8], mut at: usize) -> Result<Skipped, Invalid> {
    let (mut escaped, mut wide) = (false, false);
    // Code and quoted text mean something every few bytes: there, a look at a whole block would mostly be wasted.
    let mut plain = BLOCK;
    'stretch: loop {
        if plain >= BLOCK {
            while let Some(block) = bytes.get(at..at + BLOCK) {
                let (special, beyond) = judge(block);
                wide |= beyond;
                if special {
                    break;
                }
                at += BLOCK;
            }
        }
        plain = 0;
        while let Some(word) = bytes.get(at..at + 8) {
            let word = word.try_into().map(u64::from_le_bytes).unwrap_or_default();
            wide |= word & HIGH != 0;
            let special = special_bytes(word);
            if special != 0 {
                at += special.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
            plain += 8;
            if plain >= BLOCK {
                continue 'stretch;
            }
        }
        match *bytes.get(at).ok_or(Invalid::Truncated)? {
            b'"' => {
                return Ok(Skipped {
                    end: at,
                    escaped,
                    wide,
                });
            }
            b'\\' => {
                escaped = true;
                at = escape(bytes, at + 1)?;
            }
            0..0x20 => return Err(Invalid::Control { at }),
            byte => {
                wide |= byte >= 0x80;
                at += 1;
            }
        }
    }
}

/// Whether the block holds a byte that means something, and one beyond ASCII.
#[inline]
fn judge(block: &[u8]) -> (bool, bool) {
    let (mut special, mut all) = (0u8, 0u8);
    for &byte in block {
        special |= u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20);
        all |= byte;
    }
    (special != 0, all >= 0x80)
}

const LOW: u64 = u64::from_le_bytes([0x01; 8]);
const HIGH: u64 = u64::from_le_bytes([0x80; 8]);

/// The high bit of each byte that is a quote, a backslash or a control character. Bytes after the first such one may be
/// marked wrongly.
#[inline]
fn special_bytes(word: u64) -> u64 {
    let zero = |word: u64| word.wrapping_sub(LOW) & !word;
    let control = word.wrapping_sub(LOW * 0x20) & !word;
    let quote = zero(word ^ (LOW * u64::from(b'"')));
    let backslash = zero(word ^ (LOW * u64::from(b'\\')));
    (control | quote | backslash) & HIGH
}

/// Passes what follows a backslash.
fn escape(bytes: &[u8], at: usize) -> Result<usize, Invalid> {
    match bytes.get(at).ok_or(Invalid::Truncated)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 1),
        b'u' => {
            let digits = bytes.get(at + 1..at + 5).ok_or(Invalid::Truncated)?;
            if digits.iter().all(u8::is_ascii_hexdigit) {
                Ok(at + 5)
            } else {
                Err(Invalid::Escape { at })
            }
        }
        _ => Err(Invalid::Escape { at }),
    }
}
