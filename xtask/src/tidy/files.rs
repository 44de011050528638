//! Rules about single files: length, stubs, silenced warnings, paths of somebody's machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Findings, read};

/// From here on a reader asks which second idea moved in.
const LONG_FILE_LINES: usize = 500;

/// What must not stand in a source file, and what to do instead. Written in two halves so that this file passes.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("tod", "o!(", "finish it, or leave it out"),
    ("unimplement", "ed!(", "finish it, or leave it out"),
    ("#[ign", "ore", "a test that does not run shows nothing"),
    ("allow(dead", "_code", "delete what nobody calls"),
];

/// The one file with unsafe code.
const UNSAFE_FILE: &str = "crates/agent-performance/src/memory/allocator.rs";

fn waives_unsafe(source: &str) -> bool {
    // In two halves, so that this file passes.
    let waiver = concat!("unsafe", "_code");
    source.lines().any(|line| {
        let line = line.trim();
        line.starts_with(waiver) && line.ends_with(',') || line.contains(&format!("({waiver}"))
    })
}

/// What people read or programs run; other files are data.
const TEXTS: &[&str] = &[".rs", ".js", ".sh", ".md", ".toml", ".json", ".html", ".css"];

pub(super) fn check(root: &Path, findings: &mut Findings) -> Result<(), String> {
    let here = format!("{}/", root.display());
    for path in tracked(root)? {
        let name = path.to_string_lossy().into_owned();
        let is = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if !is(TEXTS) || name.contains("/vendor/") || !root.join(&path).exists() {
            continue;
        }
        let text = read(&root.join(&path))?;
        if text.contains(&here) {
            findings
                .breaches
                .push(format!("{name} names a path of this machine, {here}"));
        }
        if waives_unsafe(&text) && name != UNSAFE_FILE {
            findings.breaches.push(format!(
                "{name} waives `unsafe_code`, which only {UNSAFE_FILE} may; find a safe crate"
            ));
        }
        if is(&[".rs", ".js", ".sh"]) {
            judge(&name, &text, findings);
        }
    }
    Ok(())
}

fn judge(name: &str, text: &str, findings: &mut Findings) {
    let lines = text.lines().count();
    if lines > LONG_FILE_LINES {
        findings
            .notices
            .push(format!("{name} has {lines} lines: which second idea moved in?"));
    }
    for (index, line) in text.lines().enumerate() {
        for (first, second, remedy) in FORBIDDEN {
            if line.contains(&format!("{first}{second}")) {
                findings
                    .breaches
                    .push(format!("{name}:{}: `{first}{second}`: {remedy}", index + 1));
            }
        }
    }
}

/// What git tracks, and what it does not ignore.
pub(super) fn tracked(root: &Path) -> Result<Vec<PathBuf>, String> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .map_err(|error| format!("git could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "git ls-files failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(PathBuf::from)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_for_unsafe_code_is_seen_in_either_form() {
        let lint = concat!("unsafe", "_code");
        assert!(waives_unsafe(&format!("#![allow({lint}, reason = \"x\")]")));
        assert!(waives_unsafe(&format!(
            "#[expect(\n    {lint},\n    reason = \"x\"\n)]"
        )));
        assert!(!waives_unsafe(&format!("// no {lint} here")));
    }

    #[test]
    fn stubs_are_breaches_and_long_files_are_told() {
        let mut findings = Findings::default();
        let stub = format!("fn later() {{ {}{}) }}\n", FORBIDDEN[0].0, FORBIDDEN[0].1);
        judge("a.rs", &stub, &mut findings);
        judge("b.rs", &"// line\n".repeat(LONG_FILE_LINES + 1), &mut findings);
        assert_eq!(findings.breaches.len(), 1);
        assert!(findings.breaches[0].starts_with("a.rs:1: "));
        assert_eq!(findings.notices.len(), 1);
    }
}
