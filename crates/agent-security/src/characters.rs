//! Characters that make text mean something other than what a reader sees.

/// How much of a hostile string an error message quotes, in characters: enough to recognise it.
const SHOWN_CHARS: usize = 120;

/// What is wrong with a character in a path or a command, or `None` when it is what it looks like.
///
/// Letters of every script pass; what is listed changes the order in which text is read, is not visible at
/// all, or looks like the separator between folders.
pub(crate) fn deceptive(c: char) -> Option<&'static str> {
    if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
        return Some("a control character");
    }
    match c {
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
            Some("a character that changes the reading direction")
        }
        '\u{00AD}'
        | '\u{034F}'
        | '\u{115F}'
        | '\u{1160}'
        | '\u{17B4}'
        | '\u{17B5}'
        | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200D}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206A}'..='\u{206F}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}'
        | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFFB}'
        | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}' => Some("an invisible character"),
        '\u{1735}' | '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{2571}' | '\u{2572}' | '\u{27CB}'
        | '\u{27CD}' | '\u{29F5}' | '\u{29F8}' | '\u{29F9}' | '\u{FE68}' | '\u{FF0F}' | '\u{FF3C}' => {
            Some("a character that only looks like a slash")
        }
        _ => None,
    }
}

/// Whether a character is a full stop or could be taken for one (some file systems map it to one).
pub(crate) fn like_a_dot(c: char) -> bool {
    matches!(
        c,
        '.' | '\u{2024}' | '\u{2025}' | '\u{2026}' | '\u{FE52}' | '\u{FF0E}' | '\u{FF61}'
    )
}

/// Hostile text made fit for a message: bounded, and every deceptive character spelled out.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::from("`");
    for (index, c) in text.chars().enumerate() {
        if index == SHOWN_CHARS {
            out.push('…');
            break;
        }
        if deceptive(c).is_some() {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out.push('`');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceptive_characters_are_named_and_letters_pass() {
        let cases = [
            ('\0', Some("control")),
            ('\u{85}', Some("control")),
            ('\u{2028}', Some("control")),
            ('\u{202E}', Some("direction")),
            ('\u{200B}', Some("invisible")),
            ('\u{FEFF}', Some("invisible")),
            ('\u{E0041}', Some("invisible")),
            ('\u{2215}', Some("slash")),
            ('\u{FF0F}', Some("slash")),
            ('é', None),
            ('漢', None),
            ('ノ', None),
            ('\u{202F}', None),
            ('🦀', None),
        ];
        for (c, expected) in cases {
            let found = deceptive(c);
            match expected {
                Some(word) => assert!(found.is_some_and(|f| f.contains(word)), "{c:?}: {found:?}"),
                None => assert_eq!(found, None, "{c:?}"),
            }
        }
    }

    #[test]
    fn quoted_text_is_bounded_and_spelled_out() {
        assert_eq!(shown("a\u{202E}b"), "`a\\u{202e}b`");
        assert!(shown(&"x".repeat(10_000)).chars().count() <= SHOWN_CHARS + 3);
    }
}
