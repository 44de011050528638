//! What tools return, taken apart: numbered lines, matches, lists of paths.

/// A line that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match<'t> {
    pub(crate) file: &'t str,
    pub(crate) line: u64,
    pub(crate) text: &'t str,
}

/// The text without the remarks that tools put in brackets on the last line, and those remarks.
pub(crate) fn without_note(text: &str) -> (&str, Option<&str>) {
    let text = text.trim_end_matches('\n');
    let (before, last) = text
        .rsplit_once('\n')
        .map_or(("", text), |(before, last)| (before, last));
    match last.strip_prefix('[').and_then(|note| note.strip_suffix(']')) {
        Some(note) => (before, Some(note)),
        None => (text, None),
    }
}

/// A file as `read_file` gave it, without the numbers before its lines. `None` for the line of an empty file.
pub(crate) fn file_lines(text: &str) -> Vec<(u64, &str)> {
    let (content, _) = without_note(text);
    if content.ends_with("is empty (0 bytes).") && !content.contains('\n') {
        return Vec::new();
    }
    let numbered = |line| -> Option<(u64, &str)> {
        let (number, text): (&str, &str) =
            Option::or(str::split_once(line, '\t'), str::split_once(line, '→'))?;
        Some((number.trim().parse().ok()?, text))
    };
    let all = content.lines().count();
    let lines: Vec<_> = content.lines().map(|line| (numbered(line), line)).collect();
    // A line without a number among numbered ones says that something was left out there.
    if all > 0 && lines.iter().filter(|(number, _)| number.is_some()).count() * 2 > all {
        let mut last = 0;
        return lines
            .into_iter()
            .map(|(numbered, line)| {
                let (number, text) = numbered.unwrap_or((last, line));
                last = number;
                (number, text)
            })
            .collect();
    }
    // A tool that numbers nothing: its brackets may belong to the file.
    (1..).zip(text.lines()).collect()
}

/// `file:line:text` lines; of lines without a file (one file was searched) the file is empty.
pub(crate) fn matches(text: &str) -> Vec<Match<'_>> {
    let found = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (first, second) = (parts.next()?, parts.next()?);
        match (second.parse(), parts.next(), first.parse()) {
            (Ok(line), Some(text), _) => Some(Match {
                file: first,
                line,
                text,
            }),
            (_, _, Ok(number)) => Some(Match {
                file: "",
                line: number,
                text: &line[first.len() + 1..],
            }),
            _ => None,
        }
    });
    found.collect()
}

/// Paths, one a line.
pub(crate) fn paths(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim_end);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('[') && !line.starts_with("No file"))
        .collect()
}

/// Whether an error says that there is no such file.
pub(crate) fn is_not_found(error: &str) -> bool {
    let error = error.to_lowercase();
    [
        "not found",
        "no such file",
        "does not exist",
        "doesn't exist",
        "there is no",
    ]
    .iter()
    .any(|part| error.contains(part))
}

/// Whether a tool says that it left something out.
pub(crate) fn is_partial(text: &str) -> bool {
    let note = without_note(text).1.unwrap_or_default();
    // Agents clip results in the transcripts that they have summarised.
    if text.contains(" bytes left out of ") {
        return true;
    }
    [
        "stopped after",
        "only the first",
        "more entries",
        "read on with",
        "truncated",
        "omitted",
    ]
    .iter()
    .any(|part| note.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_taken_apart() {
        assert_eq!(file_lines("1\ta\n2\t\n3\t[c]\n"), [(1, "a"), (2, ""), (3, "[c]")]);
        assert_eq!(file_lines("5\ta\n[lines 5 to 5, the last]"), [(5, "a")]);
        assert_eq!(file_lines("plain\n[text]"), [(1, "plain"), (2, "[text]")]);
        assert_eq!(
            file_lines("1\ta\n… 9 bytes left out of 12 …\n5\tb"),
            [(1, "a"), (1, "… 9 bytes left out of 12 …"), (5, "b")]
        );
        assert_eq!(file_lines("a.txt is empty (0 bytes)."), []);
        let found = matches("a.py:3:x: y\nNo line\n12:alone\n[stopped after 2 matches]");
        assert_eq!(
            found[0],
            Match {
                file: "a.py",
                line: 3,
                text: "x: y"
            }
        );
        assert_eq!(
            found[1],
            Match {
                file: "",
                line: 12,
                text: "alone"
            }
        );
        assert_eq!(found.len(), 2);
        assert_eq!(paths("a\nb/c.py\n[only the first 2 are shown]"), ["a", "b/c.py"]);
        assert_eq!(paths("No file in . matches \"x\"."), Vec::<&str>::new());
        assert!(is_partial("a\n[stopped after 500 matches in 3 files]") && !is_partial("a\n[b]"));
    }
}
