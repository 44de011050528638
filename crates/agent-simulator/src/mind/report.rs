//! What is told about a step, and how results are shown in Markdown.

/// Lines of a result that are shown.
const SHOWN_LINES: usize = 40;
/// Bytes of one line that are shown: minified files have lines of megabytes.
const SHOWN_LINE: usize = 300;
/// Bytes of one result in all.
const SHOWN_BYTES: usize = 6000;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// Markdown without a heading.
    pub(crate) body: String,
    pub(crate) ok: bool,
}

impl Report {
    pub(crate) fn done(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            ok: true,
        }
    }

    pub(crate) fn failed(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            ok: false,
        }
    }

    /// A tool's error, in its own words.
    pub(crate) fn error(what: &str, error: &str) -> Self {
        Self::failed(format!("{what}: {}", inline(error)))
    }
}

/// An error inside a sentence: short ones as they are, long ones in a block.
fn inline(error: &str) -> String {
    let error = error.trim();
    if error.contains('\n') {
        format!("\n\n{}", fenced(error, ""))
    } else {
        shorten(error, SHOWN_BYTES)
    }
}

/// A block of code that nothing inside can end, cut to what a reader can take in.
pub(crate) fn fenced(text: &str, language: &str) -> String {
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut shown = String::new();
    let mut count = 0;
    for line in lines.iter().take(SHOWN_LINES) {
        if shown.len() > SHOWN_BYTES {
            break;
        }
        shown.push_str(&shorten(line, SHOWN_LINE));
        shown.push('\n');
        count += 1;
    }
    let rest = match lines.len() - count {
        0 => String::new(),
        1 => "\n… and 1 more line.".to_owned(),
        hidden => format!("\n… and {hidden} more lines."),
    };
    format!("{fence}{language}\n{shown}{fence}{rest}")
}

/// A list of which the first entries are shown.
pub(crate) fn list(items: &[String]) -> String {
    let mut lines: Vec<String> = items
        .iter()
        .take(SHOWN_LINES)
        .map(|item| format!("- {}", shorten(item, SHOWN_LINE)))
        .collect();
    if items.len() > SHOWN_LINES {
        lines.push(format!("- … and {} more", items.len() - SHOWN_LINES));
    }
    lines.join("\n")
}

pub(crate) fn plural(count: u64, noun: &str) -> String {
    let (stem, end) = match noun.strip_suffix('y') {
        Some(stem) if count != 1 => (stem, "ies"),
        None if count != 1 && noun.ends_with("ch") => (noun, "es"),
        None if count != 1 => (noun, "s"),
        _ => (noun, ""),
    };
    format!("{count} {stem}{end}")
}

/// Inline code; a backtick inside would end it.
pub(crate) fn code(text: &str) -> String {
    let text = shorten(text, SHOWN_LINE).replace('\n', "⏎");
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

pub(crate) fn shorten(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(bytes)])
}

/// "a, b and c"
pub(crate) fn joined(parts: &[String]) -> String {
    match parts.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inside_a_block_can_end_it_and_long_results_are_cut() {
        assert!(fenced("a\n```\nb", "").starts_with("````\n"));
        let long = fenced(&"line\n".repeat(100), "py");
        assert!(long.ends_with("… and 60 more lines.") && long.starts_with("```py\n"));
        assert!(fenced(&"x".repeat(1 << 20), "").len() < 1000);
    }

    #[test]
    fn numbers_and_lists_read_well() {
        assert_eq!(
            [
                plural(1, "file"),
                plural(2, "file"),
                plural(0, "entry"),
                plural(2, "match")
            ],
            ["1 file", "2 files", "0 entries", "2 matches"]
        );
        assert_eq!(joined(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
