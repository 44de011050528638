//! JSON strings to text with one allocation.
//!
//! `serde_json` decodes a string with escapes into a scratch buffer of its own and copies from there: two allocations
//! for each delta that has a line break. A delta's text is the one thing that arrives all the time.

use memchr::memchr;

/// How much is searched before it is copied: little enough to be still in the cache then.
const BLOCK: usize = 16 * 1024;

/// Decodes a JSON string, quotes included, whose syntax was checked before. The text is the only allocation.
pub(super) fn decode(raw: &str) -> Result<String, &'static str> {
    let mut rest = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or("expected a string")?;
    // No escape is shorter than what it stands for, so this never grows.
    let mut text = String::with_capacity(rest.len());
    while !rest.is_empty() {
        let (block, after) = rest.split_at(rest.floor_char_boundary(BLOCK));
        let Some(at) = memchr(b'\\', block.as_bytes()) else {
            text.push_str(block);
            rest = after;
            continue;
        };
        let (plain, escaped) = rest.split_at(at);
        text.push_str(plain);
        let (character, after) = escape(escaped)?;
        text.push(character);
        rest = after;
    }
    Ok(text)
}

/// The character of the escape that `rest` begins with, and what follows it.
fn escape(rest: &str) -> Result<(char, &str), &'static str> {
    let character = match rest.as_bytes().get(1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(rest),
        _ => return Err("unknown escape in a string"),
    };
    Ok((character, &rest[2..]))
}

/// The character of the `\uXXXX` or the surrogate pair that `rest` begins with, and what follows it.
fn unicode(rest: &str) -> Result<(char, &str), &'static str> {
    let first = code_unit(rest)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, &rest[6..]));
    }
    let tail = &rest[6..];
    let second = code_unit(tail)?;
    if !(0xD800..0xDC00).contains(&first) || !(0xDC00..0xE000).contains(&second) {
        return Err(LONE_SURROGATE);
    }
    let scalar = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    let character = char::from_u32(scalar).ok_or(LONE_SURROGATE)?;
    Ok((character, &tail[6..]))
}

const LONE_SURROGATE: &str = "half of a surrogate pair in a string";

fn code_unit(rest: &str) -> Result<u32, &'static str> {
    let digits = rest
        .strip_prefix("\\u")
        .and_then(|rest| rest.get(..4))
        .ok_or(LONE_SURROGATE)?;
    // `from_str_radix` would take a sign.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("bad digits after \\u in a string");
    }
    u32::from_str_radix(digits, 16).map_err(|_| "bad digits after \\u in a string")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    #[test]
    fn every_escape_and_broken_ones() {
        let text = decode(r#""\"\\\/\b\f\n\r\t\u0041\ud83d\ude00é""#).unwrap();
        assert_eq!(text, "\"\\/\u{8}\u{c}\n\r\tA😀é");
        for bad in [
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ud83dA""#,
            r#""\ude00\ud83d""#,
            r#""\u+041""#,
            "7",
            "\"",
            "null",
        ] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(pieces in prop::collection::vec(
            prop_oneof![
                any::<char>().prop_map(|c| { let s = serde_json::to_string(&c).unwrap(); s[1..s.len() - 1].to_owned() }),
                any::<u16>().prop_map(|unit| format!("\\u{unit:04x}")),
                any::<char>().prop_map(|c| { let mut b = [0; 2]; c.encode_utf16(&mut b).iter().map(|u| format!("\\u{u:04X}")).collect::<String>() }),
                Just("\\/\\b\\f".to_owned()),
            ],
            0..12,
        )) {
            let json = format!("\"{}\"", pieces.concat());
            let expected = serde_json::from_str::<String>(&json).ok();
            // What is not JSON never reaches `decode`.
            if serde_json::from_str::<&RawValue>(&json).is_ok() {
                prop_assert_eq!(decode(&json).ok(), expected, "{}", json);
            }
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            decode(&text).ok();
            decode(&format!("\"{text}\"")).ok();
        }
    }
}
