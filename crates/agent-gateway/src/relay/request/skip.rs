//! Finds the end of a JSON string, a block at a time: prompts are mostly long strings, with an escape in each line.

use super::json::Invalid;

/// Bytes looked at together: one bit for each fits a word.
const BLOCK: usize = 64;

/// What was learned of a string on the way to its end.
pub(super) struct Skipped {
    /// Where the closing quote is.
    pub(super) end: usize,
    /// It has escapes.
    pub(super) escaped: bool,
    /// It, or what follows it closely, has bytes beyond ASCII.
    pub(super) wide: bool,
}

/// From `at`, just after the opening quote, to the closing one. Every escape and every byte is checked, except that what
/// is beyond ASCII is only told of.
pub(super) fn string(bytes: &[u8], mut at: usize) -> Result<Skipped, Invalid> {
    let (mut escaped, mut wide) = (false, false);
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        if let Some(follows) = bytes.get(at + 1..).and_then(<[u8]>::first_chunk::<BLOCK>) {
            let plain = plain(block, follows);
            if plain.holds {
                escaped |= plain.escaped;
                wide |= plain.wide;
                // An escape that begins with the last byte ends with the next.
                at += BLOCK + usize::from(block[BLOCK - 1] == b'\\');
                continue;
            }
        }
        let found = look(block);
        wide |= found.wide;
        let mut special = found.special;
        let mut next = at + BLOCK;
        while special != 0 {
            let place = at + special.trailing_zeros() as usize;
            match bytes[place] {
                b'"' => {
                    return Ok(Skipped {
                        end: place,
                        escaped,
                        wide,
                    });
                }
                b'\\' => {
                    escaped = true;
                    let after = escape(bytes, place + 1)?;
                    if after >= next {
                        next = after;
                        break;
                    }
                    special &= u64::MAX << (after - at);
                }
                _ => return Err(Invalid::Control { at: place }),
            }
        }
        at = next;
    }
    loop {
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

/// What a block is that a string goes on behind.
struct Plain {
    /// Text and the commonest escapes are all that is in it. If not, it has to be looked at closely.
    holds: bool,
    escaped: bool,
    wide: bool,
}

/// Looks at each byte together with the one that follows it: so no byte waits for what was found at
/// another one, and how many escapes there are makes no difference. `block` begins outside of any escape.
#[inline]
fn plain(block: &[u8; BLOCK], follows: &[u8; BLOCK]) -> Plain {
    let (mut close, mut escapes, mut all) = (u8::from(block[0] == b'"'), 0, 0);
    for (&byte, &next) in block.iter().zip(follows) {
        let escape = u8::from(byte == b'\\');
        let quote = u8::from(next == b'"');
        let common = quote | u8::from(next == b'n') | u8::from(next == b't');
        close |= (escape & (common ^ 1)) | (quote & (escape ^ 1)) | u8::from(byte < 0x20);
        escapes |= escape;
        all |= byte;
    }
    Plain {
        holds: close == 0,
        escaped: escapes != 0,
        wide: all >= 0x80,
    }
}

/// What is in a block.
struct Found {
    /// A bit for each byte that is a quote, a backslash or a control character; the lowest for the first byte.
    special: u64,
    /// There are bytes beyond ASCII.
    wide: bool,
}

/// No branch and no dependence between bytes, which compilers turn into vector instructions.
#[inline]
fn look(block: &[u8; BLOCK]) -> Found {
    let mut marks = [0u8; BLOCK];
    let mut all = 0;
    for (mark, &byte) in marks.iter_mut().zip(block) {
        *mark = u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20);
        all |= byte;
    }
    let (words, _) = marks.as_chunks::<8>();
    let special = words.iter().enumerate().fold(0, |special, (index, word)| {
        special | gathered(u64::from_le_bytes(*word)) << (8 * index)
    });
    Found {
        special,
        wide: all >= 0x80,
    }
}

/// The lowest bit of each byte, the first byte's lowest: the product moves each to its place in the highest byte, where no two
/// meet.
#[inline]
fn gathered(word: u64) -> u64 {
    word.wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// The bytes that make an escape of their own. A table, because which one comes next can't be guessed.
const SIMPLE: [bool; 256] = {
    let mut simple = [false; 256];
    let mut index = 0;
    while index < SIMPLE_ESCAPES.len() {
        simple[SIMPLE_ESCAPES[index] as usize] = true;
        index += 1;
    }
    simple
};

const SIMPLE_ESCAPES: &[u8] = b"\"\\/bfnrt";

/// Passes what follows a backslash.
#[inline(always)]
fn escape(bytes: &[u8], at: usize) -> Result<usize, Invalid> {
    let byte = *bytes.get(at).ok_or(Invalid::Truncated)?;
    if SIMPLE[usize::from(byte)] {
        return Ok(at + 1);
    }
    long_escape(bytes, at, byte)
}

#[cold]
fn long_escape(bytes: &[u8], at: usize, byte: u8) -> Result<usize, Invalid> {
    if byte != b'u' {
        return Err(Invalid::Escape { at });
    }
    let digits = bytes.get(at + 1..at + 5).ok_or(Invalid::Truncated)?;
    if digits.iter().all(u8::is_ascii_hexdigit) {
        Ok(at + 5)
    } else {
        Err(Invalid::Escape { at })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the standard says it, a byte at a time.
    fn simple(bytes: &[u8]) -> Option<(usize, bool)> {
        let (mut at, mut escaped) = (0, false);
        loop {
            match *bytes.get(at)? {
                b'"' => return Some((at, escaped)),
                b'\\' => {
                    escaped = true;
                    let digits = bytes.get(at + 2..at + 6);
                    match *bytes.get(at + 1)? {
                        b'u' if digits?.iter().all(u8::is_ascii_hexdigit) => at += 6,
                        byte if SIMPLE_ESCAPES.contains(&byte) => at += 2,
                        _ => return None,
                    }
                }
                0..0x20 => return None,
                _ => at += 1,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]
        /// Escapes stand on every place of a block, and across its ends.
        #[test]
        fn a_string_ends_where_it_does_for_a_simple_reader(
            parts in prop::collection::vec(
                prop_oneof![
                    8 => "[a-z]{0,20}".prop_map(String::into_bytes),
                    8 => prop::sample::select(&["\\n", "\\\"", "\\t", "\\\\", "\\/", "\\u00e9", "\u{e9}"][..])
                        .prop_map(|escape| escape.as_bytes().to_vec()),
                    1 => prop::collection::vec(prop::sample::select(b"\\\"nx\n".to_vec()), 1..3),
                ],
                0..60,
            ),
        ) {
            let bytes = [&*parts.concat(), b"\""].concat();
            let found = string(&bytes, 0);
            prop_assert_eq!(found.as_ref().ok().map(|found| (found.end, found.escaped)), simple(&bytes));
            if let Ok(found) = found {
                prop_assert!(found.wide || bytes[..found.end].is_ascii());
            }
        }
    }

    #[test]
    fn a_block_tells_each_of_its_bytes() {
        for byte in 0..=255u8 {
            for at in 0..BLOCK {
                let mut block = [b'x'; BLOCK];
                block[at] = byte;
                block[(at * 7 + 3) % BLOCK] = b'"';
                let found = look(&block);
                for (index, &byte) in block.iter().enumerate() {
                    let special = byte == b'"' || byte == b'\\' || byte < 0x20;
                    assert_eq!(found.special >> index & 1 == 1, special, "{byte} at {index}");
                }
                assert_eq!(found.wide, !block.is_ascii());
            }
        }
    }
}
