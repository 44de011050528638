//! Finds the piece to replace; knows bytes and line ends, no files.

use memchr::memmem;

use crate::tools::text::prefix;
use crate::workspace::MAX_WRITE;

/// Lines named in an error about several matches.
const LINES_NAMED: usize = 10;
/// Bytes of a line quoted in an error.
const QUOTED: usize = 200;
/// How alike (in percent) a line must be to be worth a hint.
const ALIKE: usize = 60;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edited {
    pub(super) content: Vec<u8>,
    /// Where the pieces were, in lines of the old content.
    pub(super) lines: Vec<usize>,
}

/// `content` with `old` replaced by `new`. Both may have other line ends than the content.
pub(super) fn replace(content: &[u8], old: &str, new: &str, all: bool) -> Result<Edited, String> {
    let (old, new, places) = find(content, old, new).ok_or_else(|| not_found(content, old))?;
    if places.len() > 1 && !all {
        let lines = line_numbers(content, &places);
        let named: Vec<String> = lines.iter().take(LINES_NAMED).map(usize::to_string).collect();
        let more = if lines.len() > LINES_NAMED { ", …" } else { "" };
        return Err(format!(
            "old_string occurs {} times (at lines {}{more}); add lines around it until it occurs once, or set \
             replace_all",
            lines.len(),
            named.join(", ")
        ));
    }
    let size = content.len() - places.len() * old.len() + places.len() * new.len();
    if size > MAX_WRITE {
        return Err(format!(
            "the result would have {size} bytes, more than the {MAX_WRITE} that are written at once"
        ));
    }
    let mut result = Vec::with_capacity(size);
    let mut copied = 0;
    for place in &places {
        result.extend_from_slice(&content[copied..*place]);
        result.extend_from_slice(new.as_bytes());
        copied = place + old.len();
    }
    result.extend_from_slice(&content[copied..]);
    Ok(Edited {
        content: result,
        lines: line_numbers(content, &places),
    })
}

/// The places of `old`: as it is given, or else with the line ends that the file has.
fn find(content: &[u8], old: &str, new: &str) -> Option<(String, String, Vec<usize>)> {
    let ends = memchr::memchr_iter(b'\n', content).count();
    let mostly_crlf = memmem::find_iter(content, b"\r\n").count() * 2 > ends;
    let to_lf = |text: &str| text.replace("\r\n", "\n");
    let to_crlf = |text: &str| to_lf(text).replace('\n', "\r\n");
    // A piece without a line end matches in any file, so only its replacement has to fit.
    let new_for_exact = match (old.contains('\n'), mostly_crlf) {
        (true, _) => new.to_owned(),
        (false, true) => to_crlf(new),
        (false, false) => to_lf(new),
    };
    let candidates = [
        (old.to_owned(), new_for_exact),
        (to_crlf(old), to_crlf(new)),
        (to_lf(old), to_lf(new)),
    ];
    candidates.into_iter().find_map(|(old, new)| {
        let places: Vec<usize> = memmem::find_iter(content, &old).collect();
        (!places.is_empty()).then_some((old, new, places))
    })
}

fn line_numbers(content: &[u8], places: &[usize]) -> Vec<usize> {
    let mut line = 1;
    let mut from = 0;
    places
        .iter()
        .map(|place| {
            line += memchr::memchr_iter(b'\n', &content[from..*place]).count();
            from = *place;
            line
        })
        .collect()
}

/// What to do about it, with the line that was probably meant.
fn not_found(content: &[u8], old: &str) -> String {
    let wanted = old
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let best = content
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter_map(|(at, line)| Some((alike(line.trim_ascii(), wanted.as_bytes())?, at + 1, line)))
        .max_by_key(|(score, at, _)| (*score, std::cmp::Reverse(*at)));
    let Some((score, number, line)) = best else {
        return "old_string does not occur in it; read the file and copy the text exactly".to_owned();
    };
    let line = String::from_utf8_lossy(line);
    let line = prefix(line.trim_end_matches('\r'), QUOTED);
    let how = match score {
        100 if old.lines().filter(|line| !line.trim().is_empty()).count() > 1 => {
            "its first line is there but what follows differs, or white space does"
        }
        100 => "a line differs only in white space",
        _ => "the most similar line differs",
    };
    format!(
        "old_string does not occur in it: {how}. Line {number} is {line:?}; read there and copy the text exactly"
    )
}

/// How much of the longer line is common to both at the start and the end, in percent; none when too little.
fn alike(a: &[u8], b: &[u8]) -> Option<usize> {
    let longer = a.len().max(b.len());
    if longer == 0 || b.is_empty() {
        return None;
    }
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let rest = a.len().min(b.len()) - start;
    let end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take(rest)
        .take_while(|(a, b)| a == b)
        .count();
    let percent = (start + end) * 100 / longer;
    (percent >= ALIKE).then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content: &str, old: &str, new: &str, all: bool, expected: Result<&str, &str>) {
        let outcome = replace(content.as_bytes(), old, new, all);
        match (outcome, expected) {
            (Ok(edited), Ok(expected)) => assert_eq!(String::from_utf8_lossy(&edited.content), expected),
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (outcome, expected) => panic!("{outcome:?} is not {expected:?}"),
        }
    }

    #[test]
    fn one_place_is_replaced_and_the_rest_stays() {
        check("a b c", "b", "B", false, Ok("a B c"));
        check("a\nb\n", "b\n", "", false, Ok("a\n"));
        check("no end", "end", "END", false, Ok("no END"));
        check("\u{FEFF}first", "first", "second", false, Ok("\u{FEFF}second"));
    }

    #[test]
    fn all_places_are_replaced_only_when_asked() {
        check("x\ny\nx\n", "x", "z", true, Ok("z\ny\nz\n"));
        check(
            "x\ny\nx\n",
            "x",
            "z",
            false,
            Err("occurs 2 times (at lines 1, 3)"),
        );
        let many = "x\n".repeat(30);
        check(
            &many,
            "x",
            "z",
            false,
            Err("occurs 30 times (at lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …)"),
        );
    }

    #[test]
    fn line_ends_stay_as_the_file_has_them() {
        check(
            "a\r\nb\r\nc\r\n",
            "a\nb",
            "A\nB\nBB",
            false,
            Ok("A\r\nB\r\nBB\r\nc\r\n"),
        );
        check("a\r\nb\r\n", "b", "b\nc", false, Ok("a\r\nb\r\nc\r\n"));
        check("a\nb\n", "a\r\nb", "A\r\nB", false, Ok("A\nB\n"));
        check("a\nb\r\nc\n", "a\nb", "A\nB", false, Ok("A\nB\r\nc\n"));
        check("a\nb\nc\r\n", "a\r\nb", "A\r\nB", false, Ok("A\nB\nc\r\n"));
    }

    #[test]
    fn what_is_not_there_is_told_with_the_line_that_was_meant() {
        check(
            "fn a() {\n    let x = 1;\n}\n",
            "let x = 2;",
            "y",
            false,
            Err("Line 2 is \"    let x = 1;\""),
        );
        check(
            "\tlet x = 1;\n\tlet y = 2;\n",
            "  let x = 1;\n  let y = 2;",
            "y",
            false,
            Err("first line is there"),
        );
        check("a  b\n", "a b", "y", false, Err("does not occur"));
        check(
            "abc\n",
            "wholly different",
            "y",
            false,
            Err("read the file and copy"),
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_stay() {
        let edited = replace(b"Gr\xF6sse = 1\n", "= 1", "= 2", false).expect("it is there");
        assert_eq!(edited.content, b"Gr\xF6sse = 2\n");
    }

    #[test]
    fn a_result_that_explodes_is_refused() {
        let content = "x".repeat(100_000);
        check(&content, "x", &"y".repeat(1000), true, Err("more than"));
    }
}
