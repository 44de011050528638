//! What a write would change, for a person who is asked to allow it.

use std::time::Duration;

use similar::{Algorithm, TextDiff};

use super::output::bound_text;
use super::text::{SAMPLE, binary_kind, size};

/// Bytes of a diff that a person is shown. More is not read, and it travels through events.
const MAX_DIFF: usize = 32 * 1024;
/// Unchanged lines around a change, as everywhere.
const CONTEXT: usize = 3;
/// After this long the rest is diffed coarsely: someone waits to answer.
const PATIENCE: Duration = Duration::from_millis(200);
/// Sides larger than this together are only counted.
const MAX_INPUT: usize = 4 * 1024 * 1024;

/// A unified diff of `old` (none: the file is new) against `new`.
pub(super) fn unified(path: &str, old: Option<&[u8]>, new: &[u8]) -> String {
    let before = old.unwrap_or_default();
    if before.len() + new.len() > MAX_INPUT {
        return format!(
            "{path}: {} become {}; too large to compare",
            bytes(before),
            bytes(new)
        );
    }
    if let Some(kind) = binary_kind(&before[..before.len().min(SAMPLE)]) {
        return format!(
            "{path}: {kind} of {} is replaced by {} of text",
            bytes(before),
            bytes(new)
        );
    }
    let (before, after) = (String::from_utf8_lossy(before), String::from_utf8_lossy(new));
    let diff = TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .timeout(PATIENCE)
        .diff_lines(before.as_ref(), after.as_ref());
    let from = if old.is_some() {
        format!("a/{path}")
    } else {
        "/dev/null".to_owned()
    };
    let text = diff
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&from, &format!("b/{path}"))
        .to_string();
    if text.is_empty() {
        return format!("{path}: no change");
    }
    bound_text(&text, MAX_DIFF).text
}

fn bytes(content: &[u8]) -> String {
    size(content.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_what_changes() {
        let cases: [(Option<&[u8]>, &str, &str); 5] = [
            (
                Some(b"a\nb\nc\n"),
                "a\nB\nc\n",
                "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n",
            ),
            (None, "new\n", "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+new\n"),
            (
                Some(b"a\n"),
                "a",
                "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n",
            ),
            (Some(b"same"), "same", "f: no change"),
            (
                Some(b"\x7FELF\x00\x00"),
                "x",
                "f: an ELF program or library of 6 bytes is replaced by 1 bytes of text",
            ),
        ];
        for (old, new, expected) in cases {
            assert_eq!(unified("f", old, new.as_bytes()), expected);
        }
    }

    #[test]
    fn a_huge_change_gives_a_bounded_diff_in_bounded_time() {
        // Few different lines in two unrelated orders: the worst case of every algorithm.
        let lines = |mut state: u64| -> String {
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                format!("{}\n", state % 500)
            };
            (0..100_000).map(|_| next()).collect()
        };
        let (old, new) = (lines(1), lines(2));
        let started = std::time::Instant::now();
        let diff = unified("f", Some(old.as_bytes()), new.as_bytes());
        assert!(diff.len() < MAX_DIFF + 100);
        assert!(diff.contains("bytes left out"));
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
