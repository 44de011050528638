//! The benchmark report: `docs/benchmarks.json` for programs, `docs/benchmarks.md` made from it for people.

use std::path::Path;

use super::{Figure, GROUPS};

const JSON: &str = "docs/benchmarks.json";
const MARKDOWN: &str = "docs/benchmarks.md";

const INTRODUCTION: &str = "\
# Benchmarks

Made by `cargo xtask bench`; do not edit by hand. A ratio compares two things measured in one run, alternating, so it
holds on other machines; bare times are from the machine named below. `cargo xtask bench GROUP --check` repeats one
group and exits non-zero where a requirement is not met.
";

/// The figures of earlier runs; none when there was no run yet.
pub(super) fn load(root: &Path) -> Result<Vec<Figure>, String> {
    let path = root.join(JSON);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{JSON}: {error}"))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("{JSON}: {error}; delete the file and run all groups"))
}

pub(super) fn save(root: &Path, figures: &[Figure]) -> Result<(), String> {
    let json = serde_json::to_string_pretty(figures).map_err(|error| error.to_string())?;
    let mut markdown = format!("{INTRODUCTION}\nLast machine: {}.\n", machine());
    for group in GROUPS {
        let rows: Vec<&Figure> = figures
            .iter()
            .filter(|figure| figure.group == group.name)
            .collect();
        if rows.is_empty() {
            continue;
        }
        let sources: Vec<String> = group
            .targets
            .iter()
            .map(|(package, bench)| format!("`crates/{package}/benches/{bench}.rs`"))
            .collect();
        markdown.push_str(&format!(
            "\n## {}\n\nSource: {}.\n\n{}",
            group.name,
            sources.join(", "),
            table(&rows)
        ));
        markdown.push('\n');
        for figure in rows {
            let includes = figure.includes.trim_end_matches('.');
            markdown.push_str(&format!("- {}: {includes}.\n", figure.name));
        }
    }
    for (name, text) in [(JSON, json + "\n"), (MARKDOWN, markdown)] {
        std::fs::write(root.join(name), text).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

pub(super) fn table(figures: &[&Figure]) -> String {
    let mut text = String::from(
        "| figure | ours | compared with | ratio | needed | met |\n|---|---:|---:|---:|---|---|\n",
    );
    for figure in figures {
        let number = |value: f64| format!("{} {}", round(value), figure.unit);
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            figure.name,
            number(figure.ours),
            figure.baseline.map_or_else(|| "–".to_owned(), number),
            figure
                .ratio
                .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")),
            figure.need,
            if figure.ok { "yes" } else { "**no**" },
        ));
    }
    text
}

/// Three significant digits: more would claim a precision that a repeated run does not show.
fn round(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let digits = (2 - value.abs().log10().floor() as i32).max(0) as usize;
    format!("{value:.digits$}")
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    format!("{cores} cores, {model}, {}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        for (value, shown) in [
            (1234.5, "1234"),
            (12.345, "12.3"),
            (0.012_345, "0.0123"),
            (0.0, "0"),
        ] {
            assert_eq!(round(value), shown);
        }
    }

    #[test]
    fn a_saved_report_loads_again_and_says_what_was_missed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("docs")).unwrap();
        let figure = Figure {
            group: "decoder".into(),
            name: "small events".into(),
            ours: 2.0,
            baseline: Some(3.0),
            unit: "ms".into(),
            ratio: Some(1.5),
            need: "ratio >= 2.0".into(),
            ok: false,
            includes: "decoding".into(),
        };
        save(folder.path(), &[figure]).unwrap();
        assert_eq!(load(folder.path()).unwrap()[0].name, "small events");
        let markdown = std::fs::read_to_string(folder.path().join(MARKDOWN)).unwrap();
        assert!(
            markdown.contains("| small events | 2.00 ms | 3.00 ms | 1.50 | ratio >= 2.0 | **no** |"),
            "{markdown}"
        );
    }
}
