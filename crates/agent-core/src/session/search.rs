//! Full-text search over everything that was said, compacted history included.

use std::ops::Range;
use std::path::PathBuf;

use agent_claude::messages::Role;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::MAX_HITS;
use super::error::{Fault, StoreError};
use super::rows::{from_path, seq_of, text, to_id, to_role, to_time};
use super::types::SessionId;

/// Longer than anything a person types.
const MAX_QUERY_BYTES: usize = 1024;

/// Words or phrases in one query; each is a look-up of its own.
const MAX_TERMS: usize = 32;

/// Words of context in a snippet.
const SNIPPET_WORDS: i64 = 20;

/// Around a hit in what SQLite hands us. The indexed text holds no control characters, so they mark nothing else.
const MARKS: (char, char) = ('\u{2}', '\u{3}');

/// What to search for, and where.
#[derive(Clone, Debug, Default)]
pub struct SearchQuery {
    /// Words that must all occur, in any order; `"two words"` is a phrase, `wor*` any word that begins so.
    /// Nothing else has a meaning: every text is a valid query.
    pub text: String,
    /// Only in sessions of this workspace.
    pub workspace: Option<PathBuf>,
    /// Only in this session.
    pub session: Option<SessionId>,
    /// At most this many hits, never more than [`MAX_HITS`]; 0 means as many as that.
    pub limit: usize,
}

/// A message that was found.
#[derive(Clone, Debug)]
pub struct SearchHit {
    /// Its session.
    pub session: SessionId,
    /// That session's title.
    pub title: String,
    /// Its place in the session.
    pub seq: u64,
    /// Who said it.
    pub role: Role,
    /// When it was stored.
    pub created: DateTime<Utc>,
    /// The best few words of it.
    pub snippet: Snippet,
}

/// An excerpt with the places that were hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snippet {
    /// The excerpt, `…` where something was left out.
    pub text: String,
    /// Byte ranges of `text`, in order.
    pub marks: Vec<Range<usize>>,
}

impl Snippet {
    fn from_marked(marked: &str) -> Self {
        let mut snippet = Self::default();
        let mut begin = None;
        for c in marked.chars() {
            match c {
                _ if c == MARKS.0 => begin = Some(snippet.text.len()),
                _ if c == MARKS.1 => snippet
                    .marks
                    .extend(begin.take().map(|from| from..snippet.text.len())),
                _ => snippet.text.push(c),
            }
        }
        snippet
    }
}

/// An FTS5 expression that means what [`SearchQuery::text`] says; `None` if there is no word in it.
pub(super) fn expression(text: &str) -> Result<Option<String>, StoreError> {
    if text.len() > MAX_QUERY_BYTES {
        return Err(StoreError::TooLarge {
            what: "search text, in bytes",
            size: text.len() as u64,
            limit: MAX_QUERY_BYTES as u64,
        });
    }
    let terms: Vec<String> = terms(text).collect();
    if terms.len() > MAX_TERMS {
        return Err(StoreError::TooLarge {
            what: "words in a search",
            size: terms.len() as u64,
            limit: MAX_TERMS as u64,
        });
    }
    Ok((!terms.is_empty()).then(|| terms.join(" AND ")))
}

/// Everything is quoted, so that nothing in it is an operator. What stands between an odd quote and the end is a
/// phrase as well.
fn terms(text: &str) -> impl Iterator<Item = String> {
    text.split('"').enumerate().flat_map(|(n, part)| {
        let phrase = n % 2 == 1;
        let pieces: Vec<&str> = if phrase {
            vec![part]
        } else {
            part.split_whitespace().collect()
        };
        pieces
            .into_iter()
            .filter(|piece| piece.chars().any(char::is_alphanumeric))
            .map(move |piece| {
                let prefix = if !phrase && piece.ends_with('*') { " *" } else { "" };
                format!("\"{}\"{prefix}", piece.replace('\0', " "))
            })
    })
}

/// Which part of a squeeze is asked for.
#[derive(Clone, Copy)]
pub(super) enum Squeeze {
    Begin,
    GoOn,
}

/// Rewrites a part of the index without the words that were deleted, and tells whether there is more to do. FTS5
/// can also take words out one by one, at once; for a long session that takes half a minute in one transaction.
pub(super) fn squeeze(connection: &Connection, part: Squeeze) -> Result<bool, Fault> {
    /// Pages (of 4 KiB) in one part: some milliseconds, after which other changes have their turn.
    const PAGES: i64 = 500;
    let pages = match part {
        Squeeze::Begin => -PAGES,
        Squeeze::GoOn => PAGES,
    };
    let before = connection.total_changes();
    connection
        .prepare_cached("INSERT INTO message_search (message_search, rank) VALUES ('merge', ?1)")?
        .execute([pages])?;
    // The command itself counts as one change; whatever it wrote comes on top.
    Ok(connection.total_changes() - before >= 2)
}

/// The best hits first.
pub(super) fn search(
    connection: &Connection,
    expression: &str,
    query: &SearchQuery,
) -> Result<Vec<SearchHit>, Fault> {
    let limit = match query.limit {
        0 => MAX_HITS,
        limit => limit.min(MAX_HITS),
    };
    // CROSS JOIN fixes the order: the index comes first and gives its hits by rank.
    let mut select = connection.prepare_cached(
        "SELECT s.id, s.title, m.id, m.role, m.created, snippet(message_search, 0, ?2, ?3, '…', ?4)
         FROM message_search CROSS JOIN messages m ON m.id = message_search.rowid
         CROSS JOIN sessions s ON s.number = message_search.rowid >> 32
         WHERE message_search MATCH ?1 AND (?5 IS NULL OR s.workspace = ?5) AND (?6 IS NULL OR s.id = ?6)
         ORDER BY message_search.rank LIMIT ?7",
    )?;
    let mut rows = select.query(params![
        expression,
        MARKS.0.to_string(),
        MARKS.1.to_string(),
        SNIPPET_WORDS,
        query.workspace.as_deref().map(from_path),
        query.session.map(|id| id.to_string()),
        limit.cast_signed(),
    ])?;
    let mut hits = Vec::new();
    while let Some(row) = rows.next()? {
        hits.push(SearchHit {
            session: to_id(text(row, 0)?)?,
            title: row.get(1)?,
            seq: seq_of(row.get(2)?),
            role: to_role(text(row, 3)?)?,
            created: to_time(row.get(4)?)?,
            snippet: Snippet::from_marked(text(row, 5)?),
        });
    }
    Ok(hits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_quoted_terms() {
        let cases = [
            ("hello", Some(r#""hello""#)),
            ("  two words ", Some(r#""two" AND "words""#)),
            (
                r#"say "two words" now"#,
                Some(r#""say" AND "two words" AND "now""#),
            ),
            ("pre*", Some(r#""pre*" *"#)),
            ("NOT a OR (b", Some(r#""NOT" AND "a" AND "OR" AND "(b""#)),
            ("body:x", Some(r#""body:x""#)),
            (r#"open "phrase"#, Some(r#""open" AND "phrase""#)),
            ("", None),
            ("*** -- \"\"", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                expression(text).expect("short enough").as_deref(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn limits_are_named() {
        assert_eq!(
            expression(&"x".repeat(MAX_QUERY_BYTES + 1))
                .expect_err("too long")
                .kind(),
            "too_large"
        );
        assert_eq!(
            expression(&"x ".repeat(MAX_TERMS + 1))
                .expect_err("too many")
                .kind(),
            "too_large"
        );
    }

    #[test]
    fn marks_become_ranges() {
        let snippet = Snippet::from_marked("…a \u{2}né\u{3} b \u{2}c\u{3}");
        let marked: Vec<&str> = snippet
            .marks
            .iter()
            .map(|range| &snippet.text[range.clone()])
            .collect();
        assert_eq!((snippet.text.as_str(), marked), ("…a né b c", vec!["né", "c"]));
    }
}
