//! The declarations keep their own rules.

use std::collections::HashSet;

use crate::metrics::MetricKind;
use crate::metrics::catalogue::{Declaration, GROUPS, find, reference_markdown};

fn rows() -> impl Iterator<Item = &'static Declaration> {
    GROUPS.iter().flat_map(|group| group.rows)
}

#[test]
fn every_row_is_well_formed() {
    let mut names = HashSet::new();
    for row in rows() {
        assert!(names.insert(row.name), "{} is declared twice", row.name);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._{}".contains(c);
        assert!(row.name.chars().all(plain), "{}", row.name);
        assert!(!row.help.is_empty() && !row.help.ends_with('.'), "{}", row.name);
        assert!(row.bounds.is_sorted_by(|a, b| a < b), "{}", row.name);
        let histogram = row.kind == MetricKind::Histogram;
        assert!(histogram || row.bounds.is_empty(), "{} has no buckets", row.name);
    }
}

#[test]
fn names_are_found_exactly_or_by_their_pattern() {
    let name = |wanted| find(wanted).map(|row| row.name);
    assert_eq!(name("timing.load"), Some("timing.{operation}"));
    assert_eq!(name("timing."), None);
    assert_eq!(name("process.memory_rss"), Some("process.memory_rss"));
    assert_eq!(name("nothing"), None);
}

#[test]
fn the_conventions_buckets_are_complete() {
    let bounds = |name| find(name).expect("declared").bounds;
    let duration = bounds("gen_ai.client.operation.duration");
    assert_eq!(
        (duration[0], duration.last(), duration.len()),
        (0.01, Some(&655.36), 17)
    );
    assert!(duration.windows(2).all(|pair| pair[1] == pair[0] * 2.0));
    let tokens = bounds("gen_ai.client.token.usage");
    assert!(tokens.windows(2).all(|pair| pair[1] == pair[0] * 4.0));
    assert_eq!((tokens[0], tokens.last()), (1.0, Some(&67_108_864.0)));
    assert_eq!(bounds("gen_ai.invoke_agent.duration").last(), Some(&409.6));
    assert_eq!(bounds("mcp.client.session.duration").len(), 14);
}

#[test]
fn the_reference_page_is_made_from_the_declarations() {
    let page = reference_markdown();
    for row in rows() {
        assert!(page.contains(&format!("| `{}` |", row.name)), "{}", row.name);
        assert!(page.contains(row.help), "{}", row.name);
    }
}

/// `UPDATE_DOCS=1 cargo test -p agent-performance catalogue` writes the file.
#[test]
fn the_reference_page_in_the_repository_is_that_of_the_code() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    #[expect(
        clippy::disallowed_methods,
        reason = "the switch that writes the page; nothing else reads it"
    )]
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    let page = reference_markdown();
    if update {
        std::fs::write(&path, &page).expect("written");
    }
    #[expect(clippy::disallowed_methods, reason = "a file of this repository")]
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/metrics.md is not what the code says; write it with UPDATE_DOCS=1 cargo test -p agent-performance catalogue"
    );
}
