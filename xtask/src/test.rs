//! `cargo xtask test`: every test of the workspace, from nothing, with one closing line.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::secrets::{PLANTED, Watch};
use crate::{setup, tools};

#[derive(Debug, Default, PartialEq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Tally {
    /// Adds a line of libtest's summary, `test result: ok. 12 passed; 0 failed; 1 ignored; …`; other lines change nothing.
    fn add(&mut self, line: &str) {
        let Some(counts) = line
            .trim()
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in counts.1.split(';') {
            let mut words = part.split_whitespace();
            let (Some(Ok(count)), Some(what)) = (words.next().map(str::parse::<u64>), words.next()) else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

/// Runs the tests; the last line printed is `N passed, N failed`.
pub(crate) fn run(filter: Option<&str>) -> Result<(), String> {
    setup::install_missing()?;
    let mut command = tools::cargo();
    // --no-fail-fast: one broken crate must not hide what the others would have said.
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    command.args(filter);
    println!("$ {}", tools::shown(&command));
    // A short path: those of Unix sockets beneath it have 108 bytes.
    let folder = std::env::temp_dir().join(format!("ca-{}", std::process::id()));
    private_folder(&folder)?;
    command.env("TMPDIR", &folder);
    let watch = Watch::start(&folder);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    let mut tally = Tally::default();
    let output = child
        .stdout
        .take()
        .expect("standard output was asked for as a pipe");
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|error| format!("the output of cargo test broke off: {error}"))?;
        println!("{line}");
        tally.add(&line);
    }
    let status = child
        .wait()
        .map_err(|error| format!("cargo test could not be waited for: {error}"))?;
    tally.failed += told(watch);
    std::fs::remove_dir_all(&folder)
        .map_err(|error| format!("{} can't be removed: {error}", folder.display()))?;
    // A crate that does not compile, or a test process that dies, leaves no failed test to count.
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    if tally.passed == 0 && tally.failed == 0 {
        return Err("no test ran; is the filter right?".to_owned());
    }
    let skipped = if tally.ignored > 0 {
        format!(", {} skipped", tally.ignored)
    } else {
        String::new()
    };
    println!("{} passed, {} failed{skipped}", tally.passed, tally.failed);
    if tally.failed == 0 {
        Ok(())
    } else {
        Err("some tests failed".to_owned())
    }
}

/// Made now, and nobody else's.
fn private_folder(folder: &Path) -> Result<(), String> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|error| format!("{} can't be made: {error}", folder.display()))
}

/// Says what the watcher saw; gives how many failures that is.
fn told(watch: Result<Watch, String>) -> u64 {
    let report = match watch {
        Ok(watch) => watch.stop(),
        Err(why) => {
            println!("planted secrets: not looked for in written files ({why})");
            return 0;
        }
    };
    for leak in &report.leaks {
        println!("planted secrets: {leak}");
    }
    let gap = report
        .gap
        .as_ref()
        .map(|gap| format!("; not everything was seen: {gap}"));
    println!(
        "planted secrets: {} files written by the product were looked into for `{PLANTED}`, {} hold it{}",
        report.files,
        report.leaks.len(),
        gap.as_deref().unwrap_or_default()
    );
    report.leaks.len() as u64 + u64::from(gap.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_add_up_and_other_lines_do_not_count() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.10s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
            "assertion failed: 4 passed; 9 failed",
        ] {
            tally.add(line);
        }
        assert_eq!(
            tally,
            Tally {
                passed: 14,
                failed: 1,
                ignored: 1
            }
        );
    }
}
