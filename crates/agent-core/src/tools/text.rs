//! What is text, what is not, and lines of any length read in bounded memory.

use std::io::{self, BufRead};

/// Bytes at the start of a file that decide whether it is text.
pub(super) const SAMPLE: usize = 8 * 1024;

/// One byte in so many may be invalid UTF-8 and the file still counts as text (Latin-1 names in a source file).
const INVALID_SHARE: usize = 10;

/// What a file that starts with `sample` is, when it isn't text.
pub(super) fn binary_kind(sample: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 18] = [
        (b"\x7FELF", "an ELF program or library"),
        (b"\x89PNG\r\n\x1A\n", "a PNG image"),
        (b"\xFF\xD8\xFF", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"%PDF-", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive (also docx, xlsx, jar, …)"),
        (b"\x1F\x8B", "gzip data"),
        (b"BZh", "bzip2 data"),
        (b"\xFD7zXZ\x00", "xz data"),
        (b"\x28\xB5\x2F\xFD", "zstd data"),
        (b"7z\xBC\xAF\x27\x1C", "a 7z archive"),
        (b"SQLite format 3\x00", "a SQLite database"),
        (b"\x00asm", "a WebAssembly module"),
        (b"\xCA\xFE\xBA\xBE", "a Java class or Mach-O program"),
        (b"\xCF\xFA\xED\xFE", "a Mach-O program"),
        (
            b"\xFF\xFE",
            "UTF-16 text (iconv -f UTF-16 -t UTF-8 makes it readable)",
        ),
        (
            b"\xFE\xFF",
            "UTF-16 text (iconv -f UTF-16 -t UTF-8 makes it readable)",
        ),
        (b"RIFF", "a RIFF file (wav, webp, avi)"),
    ];
    let odd = sample.contains(&0) || invalid_bytes(sample) * INVALID_SHARE > sample.len();
    let known = KNOWN
        .iter()
        .find(|(magic, _)| sample.starts_with(magic))
        .map(|(_, kind)| *kind);
    // "BZh" or "%PDF-" alone may well begin a text; with odd bytes after it, it does not.
    odd.then(|| known.unwrap_or("binary data of an unknown kind"))
}

fn invalid_bytes(sample: &[u8]) -> usize {
    sample.utf8_chunks().map(|chunk| chunk.invalid().len()).sum()
}

/// One line without its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// At most as many bytes as the reader was told to keep.
    pub(super) bytes: Vec<u8>,
    /// How long the line really is, as far as it was read.
    pub(super) length: u64,
    /// It ended with `\r\n`.
    pub(super) crlf: bool,
    /// It ended with a line end, not with the file.
    pub(super) ended: bool,
}

/// Reads the next line, keeping at most `keep` bytes of it, and stopping after `budget` bytes even inside a line.
/// The bytes read are taken off the budget. None at the end of the file or of the budget.
pub(super) fn next_line(
    reader: &mut impl BufRead,
    keep: usize,
    budget: &mut u64,
) -> io::Result<Option<Line>> {
    let mut line = Line::default();
    let mut last = 0;
    let mut any = false;
    while *budget > 0 {
        let block = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            block => block?,
        };
        if block.is_empty() {
            break;
        }
        any = true;
        let usable = block.len().min(usize::try_from(*budget).unwrap_or(usize::MAX));
        let end = block[..usable].iter().position(|byte| *byte == b'\n');
        let part = &block[..end.unwrap_or(usable)];
        line.length += part.len() as u64;
        line.bytes
            .extend_from_slice(&part[..part.len().min(keep - line.bytes.len())]);
        last = part.last().copied().unwrap_or(last);
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        *budget -= used as u64;
        if end.is_some() {
            line.ended = true;
            if last == b'\r' {
                line.crlf = true;
                line.length -= 1;
                line.bytes
                    .truncate(usize::try_from(line.length).unwrap_or(usize::MAX));
            }
            break;
        }
    }
    Ok(any.then_some(line))
}

/// A size for people and models.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        // Whole tenths are enough, and integers have no rounding surprises.
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

/// The first `limit` bytes of `text` at most, cut between characters.
pub(super) fn prefix(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn binary_is_told_from_text() {
        let cases: [(&[u8], Option<&str>); 9] = [
            (b"", None),
            (b"plain\n", None),
            ("größer\n".as_bytes(), None),
            (b"Gr\xF6sse in Latin-1, one letter only\n", None),
            (b"\x7FELF\x02\x01\x01\x00\x00", Some("ELF")),
            (b"\x89PNG\r\n\x1A\n\x00\x00\x00\rIHDR", Some("PNG")),
            (b"a\x00b", Some("unknown")),
            (b"\xFF\xFEh\x00i\x00", Some("UTF-16")),
            (b"\x80\x81\x82\x83", Some("unknown")),
        ];
        for (sample, expected) in cases {
            let kind = binary_kind(sample);
            assert_eq!(kind.is_some(), expected.is_some(), "{sample:?}");
            assert!(
                kind.unwrap_or_default().contains(expected.unwrap_or_default()),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn lines_are_the_same_whatever_the_buffer_and_only_their_start_is_kept() {
        let text = b"one\r\n\ntwo is longer than kept\nlast";
        for capacity in 1..40 {
            let mut reader = BufReader::with_capacity(capacity, &text[..]);
            let mut budget = 1000;
            let mut lines = Vec::new();
            while let Some(line) = next_line(&mut reader, 8, &mut budget).expect("memory never fails") {
                lines.push((
                    String::from_utf8(line.bytes).expect("text"),
                    line.length,
                    line.crlf,
                    line.ended,
                ));
            }
            let expected = [
                ("one".to_owned(), 3, true, true),
                (String::new(), 0, false, true),
                ("two is l".to_owned(), 23, false, true),
                ("last".to_owned(), 4, false, false),
            ];
            assert_eq!(lines, expected, "capacity {capacity}");
            assert_eq!(budget, 1000 - text.len() as u64);
        }
    }

    #[test]
    fn reading_stops_at_the_budget_in_an_endless_line() {
        let mut reader = BufReader::new(io::repeat(b'x'));
        let mut budget = 100_000;
        let line = next_line(&mut reader, 10, &mut budget)
            .expect("endless")
            .expect("a line");
        assert_eq!(
            (line.bytes.len(), line.length, line.ended, budget),
            (10, 100_000, false, 0)
        );
    }

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (5 << 30, "5.0 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
