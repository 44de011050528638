//! The reference page, made from the declarations.

use std::fmt::Write;

use super::{Declaration, GROUPS, SCHEMA};
use crate::metrics::exposition;

/// The text of `docs/metrics.md`.
pub fn reference_markdown() -> String {
    let mut page = format!(
        "# Metrics\n\n\
         Made from the declarations in `agent-performance`; do not edit. `claude-agent metrics` prints their values.\n\n\
         Names of the `gen_ai.*` rows follow: {SCHEMA}.\n\
         A part in braces stands for any text. Histograms say their statistics over the retention time (an hour unless\n\
         configured) and count the listed buckets since the start. Tags come from closed sets: never a session, a prompt, a\n\
         path or anything a user typed. The last column says what `/metrics` calls the samples, in seconds, bytes and ratios; tags keep\n\
         their names with underscores for dots.\n"
    );
    for group in GROUPS.iter().filter(|group| !group.rows.is_empty()) {
        page.push_str(&format!(
            "\n## {}\n\n| name | kind | unit | what it tells | tags | in Prometheus |\n| --- | --- | --- | --- | --- | --- |\n",
            group.title
        ));
        for row in group.rows {
            page.push_str(&line_of(row));
        }
        let mut bounded: Vec<&Declaration> = group.rows.iter().filter(|row| !row.bounds.is_empty()).collect();
        if !bounded.is_empty() {
            page.push_str("\nBuckets:\n\n");
        }
        while let [first, ..] = bounded[..] {
            let (same, rest): (Vec<&Declaration>, Vec<&Declaration>) =
                bounded.into_iter().partition(|row| row.bounds == first.bounds);
            let names: Vec<String> = same.iter().map(|row| format!("`{}`", row.name)).collect();
            let bounds: Vec<String> = first.bounds.iter().map(f64::to_string).collect();
            page.push_str(&format!("* {}: {}\n", names.join(", "), bounds.join(", ")));
            bounded = rest;
        }
    }
    page
}

fn line_of(row: &Declaration) -> String {
    let labels: Vec<String> = row.labels.iter().map(|label| format!("`{label}`")).collect();
    let mut line = String::new();
    writeln!(
        line,
        "| `{}` | {} | {} | {} | {} | `{}` |",
        row.name,
        row.kind.as_str(),
        row.unit.symbol(),
        row.help,
        labels.join(", "),
        exposition::sample_names(row).join("`, `")
    )
    .expect("writing to a string does not fail");
    line
}
