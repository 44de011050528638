use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn check(bytes: &[u8]) -> Result<(), Invalid> {
    walk_object(bytes, |_, _| {})
}

/// What serde_json says of the same bytes: an object, something else, or no JSON.
fn oracle(bytes: &[u8]) -> Option<bool> {
    if std::str::from_utf8(bytes).is_err() {
        return None;
    }
    serde_json::from_slice::<IgnoredAny>(bytes).ok()?;
    Some(bytes.trim_ascii_start().first() == Some(&b'{'))
}

fn agrees(bytes: &[u8]) {
    let ours = match check(bytes) {
        Ok(()) => Some(true),
        Err(Invalid::NotAnObject) => Some(false),
        Err(_) => None,
    };
    assert_eq!(ours, oracle(bytes), "{:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn it_judges_as_serde_does() {
    for text in [
        "",
        " ",
        "{}",
        " {\n}\t",
        "{",
        "}",
        "[]",
        "[1,]",
        "null",
        "nul",
        "true",
        "1",
        "01",
        "-",
        "-0",
        "-01",
        "1.",
        "1.5e",
        "1e+5",
        "1E-05",
        ".5",
        "+1",
        "\"a\"",
        "\"a",
        "{\"a\":1}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":}",
        "{\"a\":[{\"b\":[[],{}]}]}",
        "{\"a\":[}",
        "{\"a\":[1}]",
        "{\"a\":{]}",
        "{}{}",
        "{} x",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":tru}",
        "{\"a\":truee}",
        "{\"a\":\u{a0}1}",
        "{\"a\":\"\u{7f}\u{2028}\"}",
    ] {
        agrees(text.as_bytes());
    }
    agrees(b"{\"a\":\"\xff\"}");
    agrees(b"{\"\xc3\":1}");
    agrees(b"\xef\xbb\xbf{}");
}

#[test]
fn specials_are_found_at_every_place_of_a_long_string() {
    for length in 0..200 {
        for at in 0..length {
            for special in [
                b'"', b'\\', 0x1f, 0x00, 0x80, b'a', 0x7f, b'!', b'#', b'[', b']', 0x20,
            ] {
                let mut text = vec![b'x'; length];
                text[at] = special;
                let whole = [b"{\"k\":\"", &text[..], b"\"}"].concat();
                agrees(&whole);
            }
        }
    }
}

#[test]
fn depth_is_bounded_and_needs_no_stack() {
    let nested = |levels: usize| [&b"{\"a\":"[..], &b"[".repeat(levels), &b"]".repeat(levels), b"}"].concat();
    assert_eq!(check(&nested(MAX_DEPTH - 1)), Ok(()));
    assert_eq!(check(&nested(MAX_DEPTH)), Err(Invalid::TooDeep));
    assert_eq!(check(&nested(1_000_000)), Err(Invalid::TooDeep));
    assert_eq!(check(&b"[".repeat(1_000_000)), Err(Invalid::TooDeep));
}

/// Any JSON, as text with white space here and there.
fn any_json() -> impl Strategy<Value = String> {
    let text = || any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>()
            .prop_filter("finite", |value| value.is_finite())
            .prop_map(|value| format!("{value:e}")),
        text(),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        let member = (text(), inner.clone()).prop_map(|(name, value)| format!("{name} :\n{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|items| format!("[ {} ]", items.join(", "))),
            prop::collection::vec(member, 0..6).prop_map(|items| format!("{{{}\t}}", items.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn valid_json_is_judged_as_serde_does(text in any_json()) {
        agrees(text.as_bytes());
    }

    /// One byte changed, removed or added: nearly valid is where judges differ.
    #[test]
    fn nearly_valid_json_is_judged_as_serde_does(
        text in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>(), kind in 0..3,
    ) {
        let mut bytes = format!("{{\"k\":{text}}}").into_bytes();
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = byte,
            1 => { bytes.remove(at); }
            _ => bytes.insert(at, byte),
        }
        agrees(&bytes);
        agrees(&bytes[..at]);
    }

    #[test]
    fn garbage_is_judged_as_serde_does(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        agrees(&bytes);
    }
}
