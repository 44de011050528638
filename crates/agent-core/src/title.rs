//! A session's title, made from its first prompt.

/// Longest title in characters: one line of a session list next to its date and id.
const MAX_TITLE_CHARS: usize = 72;

/// The first line that says something, without control characters, cut at a word.
pub(crate) fn from_prompt(prompt: &str) -> String {
    let line = prompt
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let mut title = String::new();
    let mut chars = 0;
    for word in line
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        let length = word.chars().count();
        if chars + 1 + length > MAX_TITLE_CHARS {
            if title.is_empty() {
                title = word.chars().take(MAX_TITLE_CHARS - 1).collect();
            }
            title.push('…');
            return title;
        }
        if !title.is_empty() {
            title.push(' ');
        }
        title.push_str(word);
        chars += 1 + length;
    }
    if title.is_empty() {
        "Untitled".to_owned()
    } else {
        title
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles() {
        let long_word = "x".repeat(100);
        let cases = [
            ("Fix the build", "Fix the build".to_owned()),
            (
                "\n\n  Fix\tthe \u{1b}[31mbuild\nand more",
                "Fix the [31mbuild".to_owned(),
            ),
            ("   \n", "Untitled".to_owned()),
            (&long_word, format!("{}…", "x".repeat(71))),
            (
                "one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
                "one two three four five six seven eight nine ten eleven twelve thirteen…".to_owned(),
            ),
        ];
        for (prompt, expected) in cases {
            assert_eq!(from_prompt(prompt), expected);
        }
    }

    #[test]
    fn never_longer_than_its_limit() {
        for words in 0..40 {
            assert!(from_prompt(&"word ".repeat(words)).chars().count() <= MAX_TITLE_CHARS);
        }
    }
}
