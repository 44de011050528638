//! `cargo xtask bench`: runs the benchmarks and writes what they measured to `docs/benchmarks.md`.
//!
//! A benchmark is a plain program under a crate's `benches/` that prints one JSON object a line, a [`Figure`]. Each
//! compares two things in one run, so that a ratio means the same on another machine.

mod report;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use crate::tools;

/// A group of figures, and the bench targets that measure it: package and name.
struct Group {
    name: &'static str,
    targets: &'static [(&'static str, &'static str)],
}

const GROUPS: &[Group] = &[
    Group {
        name: "startup",
        targets: &[("claude-agent", "startup")],
    },
    Group {
        name: "decoder",
        targets: &[("agent-claude", "decoder")],
    },
    Group {
        name: "allocations",
        targets: &[("agent-claude", "allocations")],
    },
    Group {
        name: "tools",
        targets: &[("agent-core", "tools")],
    },
    Group {
        name: "sessions",
        targets: &[("agent-core", "sessions")],
    },
    Group {
        name: "performance",
        targets: &[("agent-performance", "performance"), ("agent-core", "turns")],
    },
    Group {
        name: "gateway",
        targets: &[("claude-agent", "gateway")],
    },
];

/// One measured figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Figure {
    group: String,
    name: String,
    /// What this program took, in `unit`.
    ours: f64,
    /// What it is compared with, in `unit`; none where the requirement is an absolute bound.
    #[serde(default)]
    baseline: Option<f64>,
    unit: String,
    #[serde(default)]
    ratio: Option<f64>,
    /// The requirement in words, for instance `ratio >= 2.0`.
    need: String,
    ok: bool,
    /// What the measured time includes.
    includes: String,
}

/// Runs the chosen groups, or all.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let choice = Choice::parse(words)?;
    let root = tools::root();
    let mut figures = report::load(&root)?;
    for group in GROUPS.iter().filter(|group| choice.wants(group.name)) {
        figures.retain(|figure| figure.group != group.name);
        for (package, bench) in group.targets {
            let measured = measure(package, bench, choice.json)?;
            if measured.is_empty() {
                return Err(format!(
                    "the benchmark `{bench}` of `{package}` printed no figure"
                ));
            }
            figures.extend(measured);
        }
    }
    report::save(&root, &figures)?;
    let shown: Vec<&Figure> = figures
        .iter()
        .filter(|figure| choice.wants(&figure.group))
        .collect();
    if choice.json {
        let text = serde_json::to_string_pretty(&shown).map_err(|error| error.to_string())?;
        println!("{text}");
    } else {
        print!("{}", report::table(&shown));
        println!("written to docs/benchmarks.md");
    }
    let missed: Vec<&str> = shown
        .iter()
        .filter(|figure| !figure.ok)
        .map(|figure| figure.name.as_str())
        .collect();
    if choice.check && !missed.is_empty() {
        return Err(format!("not met: {}", missed.join("; ")));
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Choice {
    group: Option<String>,
    check: bool,
    json: bool,
}

impl Choice {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let mut choice = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--check" => choice.check = true,
                "--output" => match words.next() {
                    Some(&"json") => choice.json = true,
                    other => return Err(format!("--output takes `json`, not {other:?}")),
                },
                group if GROUPS.iter().any(|known| known.name == group) && choice.group.is_none() => {
                    choice.group = Some(group.to_owned());
                }
                other => {
                    let names: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
                    return Err(format!(
                        "unknown benchmark group `{other}`; there are: {}",
                        names.join(", ")
                    ));
                }
            }
        }
        Ok(choice)
    }

    fn wants(&self, group: &str) -> bool {
        self.group.as_deref().is_none_or(|wanted| wanted == group)
    }
}

/// Runs one bench target; its figures are the lines that are JSON objects.
fn measure(package: &str, bench: &str, quiet: bool) -> Result<Vec<Figure>, String> {
    let mut command = tools::cargo();
    command.args(["bench", "--locked", "--package", package, "--bench", bench]);
    if !quiet {
        println!("$ {}", tools::shown(&command));
    }
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    let output = child
        .stdout
        .take()
        .expect("standard output was asked for as a pipe");
    let mut figures = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|error| format!("the output of {bench} broke off: {error}"))?;
        if line.starts_with('{') {
            figures.push(
                serde_json::from_str(&line).map_err(|error| format!("{bench} printed {line}: {error}"))?,
            );
        }
    }
    let status = child
        .wait()
        .map_err(|error| format!("cargo bench could not be waited for: {error}"))?;
    if status.success() {
        Ok(figures)
    } else {
        Err(format!("the benchmark `{bench}` of `{package}` failed: {status}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_choose_a_group_and_unknown_ones_are_refused_with_the_list() {
        let choice = Choice::parse(&["decoder", "--check"]).unwrap();
        assert!(choice.check && choice.wants("decoder") && !choice.wants("tools"));
        assert!(Choice::parse(&[]).unwrap().wants("tools"));
        assert!(
            Choice::parse(&["decodr"])
                .unwrap_err()
                .contains("startup, decoder")
        );
        assert!(Choice::parse(&["--output", "xml"]).is_err());
    }
}
